//! The lake that a simulated world keeps is one that `patchkit-inventory` reads without a loss.

#![cfg(feature = "cloud")]

use std::{sync::Arc, time::Duration};

use patchkit_core::{ComplianceStatus, NodeOrigin};
use patchkit_inventory::{Checked, LakeReport, Liveness, LoadOptions, LocalSource, PatchDetails};
use patchkit_testkit::cloud::World;

#[tokio::test]
async fn every_row_of_a_simulated_lake_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::builder().seed(7).nodes(600).lake(folder.path()).start().await.unwrap();
    // The sync of a Region is written piece by piece.
    world.advance(Duration::from_mins(1));

    let source = Arc::new(LocalSource::open(folder.path()).unwrap());
    let options =
        LoadOptions::default().with_patches(PatchDetails::Loaded).with_checked(Checked::All);
    let report = LakeReport::load(source, options).await.unwrap();
    let reading = report.reading();
    assert!(reading.skipped.is_empty(), "{:?}", reading.skipped.entries().first());
    assert!(reading.repaired.is_empty(), "{:?}", reading.repaired.entries().first());
    assert_eq!(report.disagreements().count(), 0);

    let nodes: Vec<_> = report.nodes().collect();
    assert!(nodes.len() > 250, "{}", nodes.len());
    for status in [ComplianceStatus::Compliant, ComplianceStatus::NonCompliant] {
        assert!(nodes.iter().any(|node| node.status() == status), "{status:?}");
    }
    for liveness in [Liveness::Active, Liveness::ConnectionLost, Liveness::Stopped] {
        assert!(nodes.iter().any(|node| node.liveness == liveness), "{liveness:?}");
    }
    assert!(nodes.iter().all(|node| node.liveness != Liveness::Unknown));
    assert!(nodes.iter().any(|node| node.origin() == NodeOrigin::Hybrid));
}
