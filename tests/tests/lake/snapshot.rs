//! Snapshots of a lake in a bucket, with what they fetch counted at the server.

use std::{collections::BTreeMap, fs, time::Duration};

use futures::StreamExt;
use patchkit_inventory::{
    LakeReport, LakeSnapshot, ListEntry, ObjectSource, Opened, SnapshotStore,
};
use patchkit_testkit::lake::{Dirt, SampleLake};

use crate::{
    PREFIX, load, old_openssl, remote,
    server::{BUCKET, S3Server},
    whole,
};

fn lake() -> SampleLake {
    SampleLake::new().with_seed(13).with_nodes(400).with_accounts(3).with_regions(2)
}

/// Keys with sizes, as the source lists them.
async fn listed(source: &dyn ObjectSource) -> BTreeMap<String, u64> {
    let mut keys = BTreeMap::new();
    let mut entries = source.list();
    while let Some(entry) = entries.next().await {
        let ListEntry::Object { key, size, mark } = entry.unwrap() else {
            panic!("a bucket has no part that cannot be listed")
        };
        assert!(mark.is_some(), "{key}");
        assert_eq!(keys.insert(key.to_string(), size.unwrap()), None, "listed twice");
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_by_folders_has_the_entries_of_a_plain_one() {
    let server = S3Server::start().await;
    lake().with_prefix(PREFIX).write(&server.folder()).unwrap();
    // Folders that are no lake's: one too wide to be split, one too deep, and objects beside them.
    for at in 0..1_200 {
        let folder = server.folder().join(format!("{PREFIX}/runs/{at:04}/i-0a/plugin"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stdout"), "x").unwrap();
    }
    let deep = server.folder().join(format!("{PREFIX}/a/b/c/d/e/f/g"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep.txt"), "deep").unwrap();
    fs::write(server.folder().join(format!("{PREFIX}/AWS:Tag/stray.txt")), "stray").unwrap();
    fs::write(server.folder().join(format!("{PREFIX}/readme.txt")), "read").unwrap();

    // A prefix without its slash is listed by s3s-fs itself, page by page.
    let client = server.client();
    let start = PREFIX.trim_end_matches('d');
    let request = client.list_objects_v2().bucket(BUCKET).prefix(start);
    let mut pages = request.into_paginator().send();
    let mut plain = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents.unwrap_or_default() {
            let key = object.key.unwrap();
            let key = key.strip_prefix(&format!("{PREFIX}/")).unwrap().to_owned();
            plain.insert(key, u64::try_from(object.size.unwrap()).unwrap());
        }
    }
    server.traffic();
    assert_eq!(listed(&*remote(&server)).await, plain);
    let traffic = server.traffic();
    // A page or two for every leaf and what is above it; the wide folder is not asked for one by one.
    assert!(traffic.lists < 300, "{traffic:?}");
    assert_eq!(traffic.gets, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_percent_of_the_objects_changed_is_under_two_percent_of_the_bytes_fetched() {
    let server = S3Server::start().await;
    let lake = lake().with_prefix(PREFIX).with_dirt(&Dirt::ALL, 2);
    lake.write(&server.folder()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::folder(folder.path()).unwrap();

    let (_, opened) = LakeSnapshot::open_or_rebuild(store.clone(), remote(&server)).await.unwrap();
    let Opened::Rebuilt(_, first) = opened else { panic!("{opened:?}") };
    let whole_lake = server.traffic();
    assert!(
        whole_lake.bytes >= first.read_bytes && first.read_bytes > 0,
        "{whole_lake:?} {first:?}"
    );

    // Every hundredth object is written again, with a row more.
    let keys = lake.objects().map(|object| object.key);
    let keys: Vec<_> = keys.filter(|key| key.contains("/region=")).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let changed: Vec<_> = keys.iter().step_by(100).collect();
    for key in &changed {
        let path = server.folder().join(key);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"\n{\"captureTime\":\"2026-11-01T00:00:00Z\"}\n");
        fs::write(path, bytes).unwrap();
    }
    let opened = LakeSnapshot::open_or_rebuild(store.clone(), remote(&server)).await.unwrap();
    let (snapshot, Opened::Loaded) = opened else { panic!("{:?}", opened.1) };
    assert_eq!(server.traffic().gets, 0, "opening asks nothing of the lake");
    let (snapshot, refresh) = snapshot.refresh().await.unwrap();
    let traffic = server.traffic();
    assert_eq!(refresh.read, changed.len() as u64);
    assert_eq!(traffic.gets, changed.len() as u64);
    assert!(traffic.bytes * 50 < whole_lake.bytes, "{traffic:?} of {whole_lake:?}");
    // A file for each type that changed has some 10 kB of its own, which in so small a lake counts.
    assert!(refresh.written_bytes * 8 < first.written_bytes, "{refresh:?} of {first:?}");

    let full = load(remote(&server), whole()).await;
    let ours = LakeReport::from_snapshot(&snapshot, whole()).await.unwrap();
    assert!(ours.nodes().eq(full.nodes()));
    assert_eq!(ours.reading(), full.reading());
    assert_eq!(old_openssl(&ours).await, old_openssl(&full).await);
}
