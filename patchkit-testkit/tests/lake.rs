//! The lake that a simulated world keeps is one that `patchkit-inventory` reads without a loss.

#![cfg(feature = "cloud")]
#![expect(clippy::unwrap_used, reason = "a test that cannot ask has failed")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use patchkit_core::{ComplianceStatus, NodeOrigin};
use patchkit_inventory::{Checked, LakeReport, Liveness, LoadOptions, LocalSource, PatchDetails};
use patchkit_testkit::cloud::World;

#[tokio::test]
async fn every_row_of_a_simulated_lake_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::builder().seed(7).nodes(600).lake(folder.path()).start().await.unwrap();
    // Waits for what is written in the background.
    world.advance(Duration::ZERO);

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

/// The first that commands reach of the first account and Region.
fn some_node(world: &World) -> String {
    let here = |id: &&String| {
        let node = world.node(id).unwrap();
        node.answers && node.aws_scope.as_deref() == Some("111122223333/us-east-1")
    };
    world.node_ids().iter().find(here).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_commands_beside_the_inventory_is_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let builder = World::builder().seed(7).nodes(60).lake(&lake);
    let world = builder.start().await.unwrap();
    world.ensure_bucket("command-output").unwrap();
    let command = serde_json::json!({
        "DocumentName": "AWS-RunPatchBaseline",
        "InstanceIds": [some_node(&world)],
        "Parameters": {"Operation": ["Scan"]},
        "OutputS3BucketName": "command-output",
        "OutputS3KeyPrefix": "runs/patch",
    });
    send(&world, "SendCommand", &command.to_string());
    world.advance(Duration::from_mins(10));
    let outputs = std::fs::read_dir(lake.join("runs/patch")).unwrap().count();
    assert_eq!(outputs, 1);

    let source = Arc::new(LocalSource::open(&lake).unwrap());
    let report = LakeReport::load(source, LoadOptions::default()).await.unwrap();
    let reading = report.reading();
    assert!(reading.skipped.is_empty(), "{:?}", reading.skipped.entries().first());
    let known = send(&world, "DescribeInstanceInformation", r#"{"MaxResults": 50}"#);
    let known: BTreeSet<_> = known.split("\"InstanceId\":\"").skip(1).map(until_quote).collect();
    let here = report.nodes().filter(|it| {
        let scope = it.id.scope();
        let is_live = matches!(it.liveness, Liveness::Active | Liveness::ConnectionLost);
        is_live
            && scope.account().as_str() == "111122223333"
            && scope.region().as_str() == "us-east-1"
    });
    let here: BTreeSet<_> = here.map(|it| it.id.resource().to_owned()).collect();
    assert_eq!(here, known);
}

fn until_quote(text: &str) -> String {
    text.split('"').next().unwrap().to_owned()
}

/// What Systems Manager answers in the first account and Region.
fn send(world: &World, operation: &str, body: &str) -> String {
    use std::io::{Read as _, Write as _};

    let address = world.endpoints().aws_endpoint.trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         x-amz-target: AmazonSSM.{operation}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=any/20261124/us-east-1/ssm/aws4_request, \
         Signature=0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}
