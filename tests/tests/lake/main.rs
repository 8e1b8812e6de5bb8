//! Lakes read from disk and from a real S3 server, held against the answers of their generator.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod server;
mod snapshot;
mod tagged;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use patchkit_core::{ComplianceReport, ErrorKind, NodeSelector};
use patchkit_inventory::{
    ApplicationQuery, Below, Checked, Dimension, LakeReport, Liveness, LoadOptions, LocalSource,
    ObjectSource, PatchDetails, S3Source, SkipReason, VersionScheme,
};
use patchkit_testkit::lake::{AnswerKey, Dirt, InstanceStatus, SampleLake};
use server::{BUCKET, Fault, S3Server};

const PREFIX: &str = "sync/prod";

async fn load(source: Arc<dyn ObjectSource>, options: LoadOptions) -> LakeReport {
    LakeReport::load(source, options).await.unwrap()
}

fn local(folder: &tempfile::TempDir) -> Arc<dyn ObjectSource> {
    Arc::new(LocalSource::open(folder.path().join(PREFIX)).unwrap())
}

fn remote(server: &S3Server) -> Arc<dyn ObjectSource> {
    let location = format!("s3://{BUCKET}/{PREFIX}").parse().unwrap();
    Arc::new(S3Source::new(server.client(), location))
}

/// Every type, so that every loss is found.
fn whole() -> LoadOptions {
    LoadOptions::default().with_patches(PatchDetails::Loaded).with_checked(Checked::All)
}

/// Counts by account and Region: compliant, not, unknown, stopped, terminated.
type Counts = BTreeMap<(String, String), [u64; 5]>;

fn counted(report: &LakeReport) -> Counts {
    let groups = report.groups(&[Dimension::Account, Dimension::Region]);
    let named = groups.into_iter().map(|group| {
        let mut values = group.values.into_iter().flatten();
        let key = (values.next().unwrap(), values.next().unwrap());
        let (c, off) = (group.counts, group.counts.not_live);
        (key, [c.compliant, c.non_compliant, c.unknown, off.stopped, off.terminated])
    });
    named.collect()
}

fn expected(key: &AnswerKey) -> Counts {
    let named = key.groups.iter().map(|group| {
        let off = group.not_live;
        let counts =
            [group.compliant, group.non_compliant, group.unknown, off.stopped, off.terminated];
        ((group.account.clone(), group.region.clone()), counts)
    });
    named.collect()
}

/// The nodes with `openssl*` below 3.0.7, and how many packages they have of it.
async fn old_openssl(report: &LakeReport) -> (Vec<String>, u64) {
    let found = Arc::new(Mutex::new((BTreeSet::new(), 0)));
    let sink = Arc::clone(&found);
    let query = ApplicationQuery::default().with_name_prefix("openssl");
    let reading = report
        .for_each_application(&query, move |row| {
            let below = Below::parse(VersionScheme::for_family(row.family()), "3.0.7").unwrap();
            let (epoch, release) = (row.epoch.unwrap_or_default(), row.release.unwrap_or_default());
            let is_below = below.is_below(epoch, row.version.unwrap_or_default(), release);
            if is_below == Some(true) {
                let mut found = sink.lock().unwrap();
                found.0.insert(row.node.id.to_string());
                found.1 += 1;
            }
        })
        .await
        .unwrap();
    assert!(reading.total().bytes > 0);
    let found = found.lock().unwrap();
    (found.0.iter().cloned().collect(), found.1)
}

fn resources(ids: &[String]) -> Vec<&str> {
    let mut ids: Vec<_> = ids.iter().map(|id| id.rsplit('/').next().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_nodes_are_the_same_from_disk_and_from_s3_and_as_the_answers_say() {
    let lake = SampleLake::new()
        .with_seed(7)
        .with_nodes(2_000)
        .with_accounts(5)
        .with_regions(3)
        .with_prefix(PREFIX);
    let folder = tempfile::tempdir().unwrap();
    let key = lake.write(folder.path()).unwrap();
    let server = S3Server::start().await;
    lake.write(&server.folder()).unwrap();

    let disk = load(local(&folder), LoadOptions::default()).await;
    let s3 = load(remote(&server), LoadOptions::default()).await;
    assert_eq!(counted(&disk), expected(&key));
    assert_eq!(counted(&s3), expected(&key));
    assert!(disk.nodes().eq(s3.nodes()));
    assert_eq!(disk.reading(), s3.reading());
    assert!(disk.reading().skipped.is_empty(), "{:?}", disk.reading().skipped.entries().first());
    assert!(disk.reading().repaired.is_empty(), "{:?}", disk.reading().repaired.entries().first());

    for truth in &key.nodes {
        let node =
            disk.nodes().find(|node| node.id.resource() == truth.id.rsplit('/').next().unwrap());
        let node = node.unwrap();
        let liveness = match truth.instance_status {
            InstanceStatus::Active => Liveness::Active,
            InstanceStatus::ConnectionLost => Liveness::ConnectionLost,
            InstanceStatus::Stopped => Liveness::Stopped,
            _ => Liveness::Terminated,
        };
        assert_eq!((node.liveness, node.last.status), (liveness, truth.status), "{}", truth.id);
        let group = node.patch_group().map(|group| group.to_string());
        assert_eq!(group, truth.patch_group, "{}", truth.id);
    }

    for report in [&disk, &s3] {
        let (nodes, rows) = old_openssl(report).await;
        assert!(resources(&nodes) == resources(&key.openssl.nodes), "other nodes than expected");
        assert_eq!(rows, key.openssl.rows);
    }

    let node = s3.worst(1)[0].id.clone();
    let patches: Vec<_> = futures::TryStreamExt::try_collect(s3.patches(&node)).await.unwrap();
    let missing = patches.iter().filter(|p| p.state == patchkit_core::PatchState::Missing).count();
    assert_eq!(missing as u64, u64::from(s3.node(&node).unwrap().last.counts.missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spoiled_object_is_listed_and_nothing_else_is_lost() {
    let lake = SampleLake::new()
        .with_seed(11)
        .with_nodes(300)
        .with_prefix(PREFIX)
        .with_dirt(&Dirt::ALL, 10);
    let folder = tempfile::tempdir().unwrap();
    let key = lake.write(folder.path()).unwrap();
    let report = load(local(&folder), whole()).await;
    let reading = report.reading();

    let relative = |key: &str| key.strip_prefix(&format!("{PREFIX}/")).unwrap_or(key).to_owned();
    let skipped: BTreeSet<_> =
        reading.skipped.entries().iter().map(|entry| entry.key.to_string()).collect();
    let repaired: BTreeSet<_> =
        reading.repaired.entries().iter().map(|entry| entry.key.to_string()).collect();
    let kinds: BTreeSet<_> = key.dirt.iter().map(|dirt| dirt.kind).collect();
    assert_eq!(kinds.len(), Dirt::ALL.len());
    for dirt in &key.dirt {
        let path = relative(&dirt.key);
        // A row without any of the fields that are set to null is as it was.
        let is_harmless = dirt.kind == Dirt::NullField;
        if dirt.data_lost {
            assert!(skipped.contains(&path), "{:?} {path}", dirt.kind);
        } else {
            assert!(repaired.contains(&path) || is_harmless, "{:?} {path}", dirt.kind);
            assert!(!skipped.contains(&path), "{:?} {path}", dirt.kind);
        }
    }
    // What is listed was spoiled, or is one of the empty objects that may be no loss.
    let spoiled: BTreeSet<_> = key
        .dirt
        .iter()
        .map(|dirt| &dirt.key)
        .chain(&key.not_data)
        .map(|key| relative(key))
        .collect();
    assert!(skipped.is_subset(&spoiled) && repaired.is_subset(&spoiled));

    // Nodes none of whose deciding objects was spoiled are as they would be without dirt.
    let hurt: BTreeSet<_> = key.dirt.iter().map(|dirt| &dirt.node).collect();
    for truth in key.nodes.iter().filter(|truth| !hurt.contains(&truth.id)) {
        let node =
            report.nodes().find(|node| node.id.resource() == truth.id.rsplit('/').next().unwrap());
        assert_eq!(node.unwrap().last.status, truth.status, "{}", truth.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_s3_does_not_give_are_named_and_cost_no_other() {
    let lake = SampleLake::new().with_seed(3).with_nodes(60).with_prefix(PREFIX);
    let server = S3Server::start().await;
    server.upload(lake.objects().map(|object| (object.key, object.bytes))).await;
    // A neighbour whose name begins alike is another lake.
    server.upload([("sync/prod-old/readme.txt".to_owned(), b"x".to_vec())]).await;
    let clean = load(remote(&server), LoadOptions::default()).await;

    let summaries: Vec<_> = lake
        .objects()
        .map(|object| object.key)
        .filter(|key| key.contains("AWS:ComplianceSummary"))
        .take(4)
        .collect();
    let faults = [Fault::Denied, Fault::Broken, Fault::CutOnce, Fault::CutAlways];
    for (key, fault) in summaries.iter().zip(faults) {
        server.spoil(key, fault);
    }
    let report = load(remote(&server), LoadOptions::default()).await;
    let lost: Vec<_> = report.reading().skipped.entries().to_vec();
    let keys: BTreeSet<_> = lost.iter().map(|entry| format!("{PREFIX}/{}", entry.key)).collect();
    let expected = [0, 1, 3].map(|at| summaries[at].clone());
    assert_eq!(keys, BTreeSet::from(expected), "{lost:?}");
    for entry in &lost {
        assert!(matches!(entry.reason, SkipReason::Unreadable(_)), "{entry:?}");
    }
    let shown = lost.iter().map(|entry| entry.reason.to_string()).collect::<Vec<_>>().join("\n");
    assert!(shown.contains("AccessDenied") && shown.contains("broke off"), "{shown}");
    // The patch summaries of these nodes say the same.
    assert_eq!(report.totals(), clean.totals());
    assert_eq!(report.reading().listed, clean.reading().listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_may_not_be_listed_is_an_error() {
    let server = S3Server::start().await;
    let location = format!("s3://{BUCKET}/{PREFIX}").parse().unwrap();
    let source = Arc::new(S3Source::new(server.client_with("wrong"), location));
    let error = LakeReport::load(source, LoadOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");

    let source = Arc::new(S3Source::new(server.client(), "s3://no-such-bucket".parse().unwrap()));
    let error = LakeReport::load(source, LoadOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}

#[tokio::test]
async fn a_current_thread_runtime_is_enough_for_s3() {
    let lake = SampleLake::new().with_seed(5).with_nodes(10).with_prefix(PREFIX);
    let server = S3Server::start().await;
    server.upload(lake.objects().map(|object| (object.key, object.bytes))).await;
    let report = load(remote(&server), LoadOptions::default()).await;
    assert_eq!(counted(&report), expected(&lake.answer_key()));
    let listed = futures::StreamExt::count(report.summaries(&NodeSelector::all())).await;
    assert_eq!(listed as u64, report.totals().nodes());
}
