use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    executor::block_on,
    stream::{self, BoxStream},
};
use object_store::memory::InMemory;
use patchkit_core::{Error, ErrorKind, whatif::MatrixBuilder};
use proptest::prelude::*;

use super::*;
use crate::{
    ApplicationQuery, ChangeMark, Checked, LakeReport, ListEntry, LoadOptions, NodesWanted,
    ObjectBody, PatchDetails,
};

/// A lake in memory, whose objects have a new mark with each write.
#[derive(Debug, Default)]
struct MemoryLake {
    objects: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    /// Keys that cannot be read.
    broken: Mutex<BTreeSet<String>>,
    writes: AtomicU64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
}

impl MemoryLake {
    fn put(&self, key: &str, body: &[u8]) {
        let mark = self.writes.fetch_add(1, Ordering::Relaxed);
        self.objects.lock().unwrap().insert(key.to_owned(), (mark, body.to_vec()));
    }

    fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }

    fn reads(&self) -> (u64, u64) {
        (self.reads.swap(0, Ordering::Relaxed), self.read_bytes.swap(0, Ordering::Relaxed))
    }
}

#[async_trait]
impl ObjectSource for MemoryLake {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let objects = self.objects.lock().unwrap();
        let entries: Vec<_> = objects
            .iter()
            .map(|(key, (mark, body))| {
                let mark = Some(ChangeMark::new(mark.to_string()));
                Ok(ListEntry::Object {
                    key: key.as_str().into(),
                    size: Some(body.len() as u64),
                    mark,
                })
            })
            .collect();
        stream::iter(entries).boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.broken.lock().unwrap().contains(key) {
            return Err(Error::new(ErrorKind::PermissionDenied, "memory", "get", "denied"));
        }
        let body = self.objects.lock().unwrap().get(key).map(|(_, body)| body.clone());
        let body = body.ok_or_else(|| Error::not_found("memory", "get", key.to_owned()))?;
        self.read_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        Ok(stream::iter([Ok(body.into())]).boxed())
    }

    fn in_flight(&self) -> usize {
        3
    }

    fn place(&self) -> Option<String> {
        Some("memory".to_owned())
    }
}

fn key(ty: &str, node: usize) -> String {
    let region = ["eu-west-1", "us-east-1"][node % 2];
    format!(
        "AWS:{ty}/accountid=11112222333{}/region={region}/\
         resourcetype=ManagedInstanceInventory/i-0{node}.json",
        node % 3,
    )
}

const TYPES: [&str; 7] = [
    "InstanceInformation",
    "ComplianceSummary",
    "PatchSummary",
    "Tag",
    "ComplianceItem",
    "Application",
    "Future",
];

/// What objects hold, clean and not.
const BODIES: [&[u8]; 22] = [
    b"",
    b"{\"InstanceStatus\":\"Active\",\"PlatformName\":\"Ubuntu\",\"PlatformVersion\":\"22.04\",\"captureTime\":\"2026-01-01T00:00:00Z\",\"ResourceType\":\"EC2Instance\",\"resourceId\":\"i-0other\"}",
    b"{\"InstanceStatus\":\"Stopped\"}\n",
    b"{\"ComplianceType\":\"Patch\",\"Status\":\"COMPLIANT\",\"PatchGroup\":\"web\",\"ExecutionTime\":\"2026-01-02T00:00:00Z\"}\n{\"ComplianceType\":\"Association\",\"Status\":\"NON_COMPLIANT\"}\n",
    b"{\"ComplianceType\":\"Patch\",\"Status\":\"NON_COMPLIANT\",\"OverallSeverity\":\"CRITICAL\",\"NonCompliantCriticalCount\":3}\n",
    b"{\"MissingCount\":\"2\",\"FailedCount\":0,\"InstalledCount\":\"x\",\"OperationEndTime\":\"2026-01-03T00:00:00Z\"}",
    b"{\"MissingCount\":\"0\",\"FailedCount\":\"0\",\"InstalledCount\":\"unreadable\"}",
    b"{\"Key\":\"Name\",\"Value\":\"web-1\"}\r\n{\"Key\":\"Patch Group\",\"Value\":\"\"}\r\n",
    b"\n\n{\"ComplianceType\":\"Patch\",\"Id\":\"KB1\",\"Title\":\"One\",\"PatchState\":\"Missing\",\"Severity\":\"Critical\",\"Classification\":\"Security\"}\n{\"ComplianceType\":\"Patch\",\"Id\":\"KB2\",\"PatchState\":\"Odd\"}{\"ComplianceType\":\"Patch\",\"PatchState\":\"Installed\"}\n",
    b"{\"ComplianceType\":\"Patch\",\"Id\":\"KB1\",\"PatchState\":\"Installed\",\"CVEIds\":\"CVE-1,CVE-2\"}\n{\"ComplianceType\":\"Pat",
    b"\xef\xbb\xbf{\"Name\":\"openssl\",\"Version\":\"3.0.2\",\"Release\":\"1.el9\",\"Epoch\":\"1\"}\n{\"Name\":\"bash\",\"Version\":null}\n",
    b"{\"Name\":\"openssl\",\"Name\":\"OpenSSL Light\",\"name\":\"x\",\"NAME\":\"y\"}\n{\"name\":\"openssl-libs\",\"Publisher\":7}\n",
    b"{\"Name\":\"openssl\",\"Version\":3.10,\"Mystery\":{\"a\":[1,\"}\"]},\"Riddle\":\"q\\\"\\u00e9\",\"No\":null,\"Yes\":true}\n",
    b"{\"Name\":\"bad\xff\xfename\"}\n\0\0{\"Name\":\"openssl\"}\0\n",
    b"not json\n[1]\n{\"Name\":\"openssl\",}\n{\"Name\":\"\"}\n",
    b"{\"Name\":\"openssl\"}\n\n{\"Name\":\"openssl\",\"Version\":\"1\"}{\"Name\":\"zlib\"}{\"Name\":\"openssl3\"}\n{\"Name\":\"a\"}\n",
    b"{\"CompliantCriticalCount\":1,\"ComplianceType\":\"Patch\",\"Status\":\"COMPLIANT\"}",
    b"{\"resourceType\":\"inner\",\"ResourceType\":\"ManagedInstance\",\"InstanceStatus\":\"ConnectionLost\"}",
    b"\0\0\0",
    b"{\"Key\":\"a\",\"Value\":\"\\ud800 half\",\"accountId\":\"1\",\"schemaVersion\":\"1.0\"}\n{\"Key\":\"b\"}",
    // Rows of two layouts in turn, which are read the short way from the second of each on.
    b"{\"Name\":\"openssl\",\"Version\":\"1\",\"Publisher\":\"a\\\"b\"}\n{\"Name\":\"openssl\",\"Version\":\"\",\"Publisher\":\"c\\n\\/\\\\\"}\n{\"name\":\"openssl3\",\"VERSION\":\"2\"}\n{\"Name\":\"\",\"Version\":\"1\",\"Publisher\":\"\xc3\xa9\"}\r\n\n{\"name\":\"OpenSSL\",\"VERSION\":\"\"}\n{\"name\":\"bash\",\"VERSION\":\"openssl\"}\n",
    b"{\"ComplianceType\":\"Patch\",\"Id\":\"KB1\",\"Title\":\"T\",\"PatchState\":\"Missing\"}\n{\"ComplianceType\":\"Patch\",\"Id\":\"KB2\",\"Title\":\"\",\"PatchState\":\"Installed\"}\n{\"ComplianceType\":\"Association\",\"Id\":\"KB2\",\"Title\":\"T\",\"PatchState\":\"\"}\n{\"ComplianceType\":\"Patch\",\"Id\":\"KB\\u0033\",\"Title\":\"T\",\"PatchState\":\"Failed\"}\n",
];

const STRAYS: [&str; 4] =
    ["readme.txt", "AWS:Tag/accountid=111122223333/test.json", "AWS:Tag/x/i-01.json", "AWS:Tag/"];

fn whole() -> LoadOptions {
    LoadOptions::default().with_patches(PatchDetails::Loaded).with_checked(Checked::All)
}

/// Every application, in order, as `node name version …`.
async fn applications(report: &LakeReport, prefix: &str) -> Vec<String> {
    let query = ApplicationQuery::default().with_name_prefix(prefix).with_nodes(NodesWanted::All);
    let found = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&found);
    let take = move |row: &crate::ApplicationRow<'_>| {
        let (name, version, release) = (row.name, row.version, row.release);
        let text = format!(
            "{} {name} {version:?} {release:?} {:?} {:?}",
            row.node.id, row.epoch, row.publisher
        );
        sink.lock().unwrap().push(text);
    };
    report.for_each_application(&query, take).await.unwrap();
    let mut found = std::mem::take(&mut *found.lock().unwrap());
    found.sort();
    found
}

/// Holds all that a snapshot answers against a pass over the lake.
async fn same(snapshot: &LakeSnapshot, lake: &Arc<MemoryLake>) {
    let source = || Arc::clone(lake) as Arc<dyn ObjectSource>;
    let full = LakeReport::load(source(), whole()).await.unwrap();
    let ours = LakeReport::from_snapshot(snapshot, whole()).await.unwrap();
    assert_eq!(ours.nodes().collect::<Vec<_>>(), full.nodes().collect::<Vec<_>>());
    assert_eq!(ours.reading(), full.reading());
    assert_eq!(&snapshot.reading(), full.reading());
    assert_eq!(ours.most_missing(9), full.most_missing(9));
    for prefix in ["openssl", ""] {
        assert_eq!(applications(&ours, prefix).await, applications(&full, prefix).await);
    }
    let (a, b) = (ours.matrix(MatrixBuilder::default()), full.matrix(MatrixBuilder::default()));
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    let told = |problems: &[Error]| problems.iter().map(Error::report).collect::<Vec<_>>();
    assert_eq!(told(&a.problems), told(&b.problems));
    assert_eq!(a.reading, b.reading);
    for node in full.nodes() {
        let patches = |report: &LakeReport| {
            let rows = patchkit_core::ComplianceReport::patches(report, &node.id);
            rows.map(|row| row.map_err(|error| error.report())).collect::<Vec<_>>()
        };
        assert_eq!(patches(&ours).await, patches(&full).await);
    }
    // Only what a report needs, too.
    let full = LakeReport::load(source(), LoadOptions::default()).await.unwrap();
    let ours = LakeReport::from_snapshot(snapshot, LoadOptions::default()).await.unwrap();
    assert_eq!(ours.nodes().collect::<Vec<_>>(), full.nodes().collect::<Vec<_>>());
    assert_eq!(ours.reading(), full.reading());
}

fn memory_store() -> SnapshotStore {
    SnapshotStore::new(Arc::new(InMemory::new()), "kept/here")
}

async fn open(store: &SnapshotStore, lake: &Arc<MemoryLake>) -> (LakeSnapshot, Opened) {
    let source = Arc::clone(lake) as Arc<dyn ObjectSource>;
    LakeSnapshot::open_or_rebuild(store.clone(), source).await.unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize, usize),
    Delete(usize, usize),
    Stray(usize),
    Deny(usize, usize),
    Refresh,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (ty, node, body) = (0..TYPES.len(), 0..5_usize, 0..BODIES.len());
    prop_oneof![
        8 => (ty.clone(), node.clone(), body).prop_map(|(ty, node, body)| Step::Put(ty, node, body)),
        3 => (ty.clone(), node.clone()).prop_map(|(ty, node)| Step::Delete(ty, node)),
        1 => (0..STRAYS.len()).prop_map(Step::Stray),
        1 => (ty, node).prop_map(|(ty, node)| Step::Deny(ty, node)),
        3 => Just(Step::Refresh),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_refreshed_snapshot_says_what_a_pass_over_the_lake_says(
        before in proptest::collection::vec(step(), 0..30),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        block_on(async {
            let (lake, store) = (Arc::new(MemoryLake::default()), memory_store());
            let carry = |step: &Step| match *step {
                Step::Put(ty, node, body) => lake.put(&key(TYPES[ty], node), BODIES[body]),
                Step::Delete(ty, node) => lake.remove(&key(TYPES[ty], node)),
                Step::Stray(at) => lake.put(STRAYS[at], b"x"),
                Step::Deny(ty, node) => {
                    let (key, mut broken) = (key(TYPES[ty], node), lake.broken.lock().unwrap());
                    if !broken.remove(&key) {
                        broken.insert(key);
                    }
                }
                Step::Refresh | Step::Reopen => {}
            };
            before.iter().for_each(carry);
            let (mut snapshot, opened) = open(&store, &lake).await;
            assert!(matches!(opened, Opened::Rebuilt(Stale::Missing, _)));
            for step in &steps {
                carry(step);
                match step {
                    Step::Refresh => snapshot = snapshot.refresh().await.unwrap().0,
                    Step::Reopen => {
                        let (kept, opened) = open(&store, &lake).await;
                        assert_eq!(opened, Opened::Loaded);
                        assert_eq!(kept.reading(), snapshot.reading());
                        snapshot = kept;
                    }
                    _ => {}
                }
            }
            // What could not be read for a while is read again by itself.
            lake.broken.lock().unwrap().clear();
            snapshot = snapshot.refresh().await.unwrap().0;
            same(&snapshot, &lake).await;
            let (kept, opened) = open(&store, &lake).await;
            assert_eq!(opened, Opened::Loaded);
            same(&kept, &lake).await;
        });
    }
}

/// A lake of many objects, one for each of so many nodes.
fn wide(nodes: usize) -> Arc<MemoryLake> {
    let lake = Arc::new(MemoryLake::default());
    for node in 0..nodes {
        lake.put(&key("InstanceInformation", node), BODIES[1]);
        let rows = format!("{{\"Name\":\"openssl\",\"Version\":\"3.0.{node}\"}}\n").repeat(20);
        lake.put(&key("Application", node), rows.as_bytes());
    }
    lake
}

#[test]
fn only_what_changed_is_read() {
    block_on(async {
        let (lake, store) = (wide(200), memory_store());
        let (snapshot, opened) = open(&store, &lake).await;
        let Opened::Rebuilt(_, first) = opened else { panic!("{opened:?}") };
        assert_eq!((first.read, lake.reads().0), (400, 400));

        lake.put(&key("Application", 7), b"{\"Name\":\"bash\"}");
        lake.remove(&key("Application", 8));
        lake.put(&key("Tag", 9), BODIES[7]);
        let (snapshot, refresh) = snapshot.refresh().await.unwrap();
        assert_eq!((refresh.read, refresh.kept, refresh.gone), (2, 398, 1));
        assert_eq!(lake.reads(), (2, refresh.read_bytes));
        assert!(refresh.written_bytes * 4 < first.written_bytes, "{refresh:?} {first:?}");
        same(&snapshot, &lake).await;

        lake.reads();
        let (_, refresh) = snapshot.refresh().await.unwrap();
        assert_eq!((refresh.read, refresh.kept, refresh.written_bytes), (0, 400, 0));
        assert_eq!(lake.reads(), (0, 0));
    });
}

#[test]
fn many_refreshes_leave_few_parts() {
    block_on(async {
        let (lake, store) = (wide(40), memory_store());
        let (mut snapshot, _) = open(&store, &lake).await;
        for round in 0..60 {
            lake.put(&key("Application", round % 40), BODIES[10 + round % 6]);
            snapshot = snapshot.refresh().await.unwrap().0;
            assert!(snapshot.0.held.len() < 2 * MOST_PARTS, "{}", snapshot.0.held.len());
        }
        same(&snapshot, &lake).await;
        same(&open(&store, &lake).await.0, &lake).await;
    });
}

/// More than are put together, for each type.
const MOST_PARTS: usize = 12;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder.join("parts")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_torn_snapshot_is_rebuilt_and_never_trusted() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 7] = [
        ("a part is cut", |folder| {
            let path = &files(folder)[0];
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a part has another byte", |folder| {
            let path = &files(folder)[0];
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("a part is missing", |folder| fs::remove_file(&files(folder)[0]).unwrap()),
        ("a part is another one", |folder| {
            let files = files(folder);
            fs::copy(&files[0], &files[1]).unwrap();
        }),
        ("the manifest is cut", |folder| {
            let bytes = fs::read(folder.join("manifest")).unwrap();
            fs::write(folder.join("manifest"), &bytes[..bytes.len() - 9]).unwrap();
        }),
        ("the manifest is of a later version", |folder| {
            let text = fs::read_to_string(folder.join("manifest")).unwrap();
            fs::write(folder.join("manifest"), text.replacen(" 1 ", " 2 ", 1)).unwrap();
        }),
        ("the manifest is something else", |folder| {
            fs::write(folder.join("manifest"), "{}").unwrap();
        }),
    ];
    let lake = wide(6);
    for (what, damage) in damages {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = SnapshotStore::folder(folder.path()).unwrap();
            open(&store, &lake).await;
            damage(folder.path());
            let (snapshot, opened) = open(&store, &lake).await;
            let Opened::Rebuilt(stale, refresh) = opened else { panic!("{what}: {opened:?}") };
            let is_as_told = match what {
                "the manifest is of a later version" | "the manifest is something else" => {
                    stale == Stale::OtherVersion
                }
                _ => matches!(stale, Stale::Torn(_)),
            };
            assert!(is_as_told, "{what}: {stale}");
            assert_eq!(refresh.read, 12, "{what}");
            same(&snapshot, &lake).await;
            assert_eq!(open(&store, &lake).await.1, Opened::Loaded, "{what}");
        });
    }
}

#[test]
fn the_snapshot_of_another_lake_is_not_used() {
    block_on(async {
        let (lake, store) = (wide(2), memory_store());
        open(&store, &lake).await;
        let folder = tempfile::tempdir().unwrap();
        let other = Arc::new(crate::LocalSource::open(folder.path()).unwrap());
        let (snapshot, opened) = LakeSnapshot::open_or_rebuild(store, other).await.unwrap();
        let Opened::Rebuilt(Stale::OtherLake(place), _) = opened else { panic!("{opened:?}") };
        assert_eq!(place.as_deref(), Some("memory"));
        assert_eq!(snapshot.reading(), LakeReading::default());
    });
}

#[test]
fn processes_that_refresh_at_once_leave_a_whole_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let lake = wide(30);
    let store = SnapshotStore::folder(folder.path()).unwrap();
    block_on(open(&store, &lake));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (lake, store) = (&lake, &store);
            scope.spawn(move || {
                block_on(async {
                    let (mut snapshot, _) = open(store, lake).await;
                    for round in 0..8 {
                        lake.put(&key("Tag", worker * 8 + round), BODIES[7]);
                        snapshot = snapshot.refresh().await.unwrap().0;
                        assert_eq!(open(store, lake).await.1, Opened::Loaded);
                    }
                });
            });
        }
    });
    block_on(async {
        let (snapshot, opened) = open(&store, &lake).await;
        assert_eq!(opened, Opened::Loaded);
        same(&snapshot.refresh().await.unwrap().0, &lake).await;
    });
}

#[test]
fn a_process_that_comes_late_writes_again_what_others_have_swept() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = SnapshotStore::folder(folder.path()).unwrap();
        let lake = wide(30);
        let (late, _) = open(&store, &lake).await;
        let (mut other, _) = open(&store, &lake).await;
        for round in 0..12 {
            lake.put(&key("Application", round), BODIES[10 + round % 6]);
            other = other.refresh().await.unwrap().0;
        }
        let named = |path: &PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            other.0.manifest.parts.iter().any(|entry| entry.sha256 == name)
        };
        let swept: BTreeSet<_> = files(folder.path()).into_iter().filter(|it| !named(it)).collect();
        let had: BTreeSet<_> = late.0.held.iter().map(|held| held.entry.sha256.clone()).collect();
        assert!(swept.iter().any(|it| had.contains(it.file_stem().unwrap().to_str().unwrap())));
        for path in &swept {
            fs::remove_file(path).unwrap();
        }

        let (late, _) = late.refresh().await.unwrap();
        same(&late, &lake).await;
        let (kept, opened) = open(&store, &lake).await;
        assert_eq!(opened, Opened::Loaded);
        same(&kept, &lake).await;
    });
}

#[test]
fn rows_are_counted_by_scope_and_texts() {
    block_on(async {
        let lake = Arc::new(MemoryLake::default());
        for node in 0..6 {
            lake.put(&key("ComplianceSummary", node), BODIES[3 + node % 2]);
        }
        let (snapshot, _) = open(&memory_store(), &lake).await;
        let ty = InventoryType::ComplianceSummary;
        let counts = snapshot.count_rows(&ty, &["compliancetype", "Status", "Future"]);
        let all: u64 = counts.iter().map(|count| count.rows).sum();
        assert_eq!(all, 9);
        let text = |count: &RowCount| format!("{} {:?} {}", count.scope, count.values, count.rows);
        assert_eq!(
            text(&counts[0]),
            "aws/111122223330/eu-west-1 [Some(\"Association\"), Some(\"NON_COMPLIANT\"), None] 1"
        );
        assert_eq!(
            text(&counts[1]),
            "aws/111122223330/eu-west-1 [Some(\"Patch\"), Some(\"COMPLIANT\"), None] 1"
        );
    });
}

#[test]
fn a_listing_that_breaks_off_leaves_what_was_kept() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = SnapshotStore::folder(folder.path()).unwrap();
        let lake = wide(3);
        open(&store, &lake).await;
        let manifest = fs::read(folder.path().join("manifest")).unwrap();
        let broken = Arc::new(Broken);
        let (snapshot, opened) = LakeSnapshot::open_or_rebuild(store, broken).await.unwrap();
        assert_eq!(opened, Opened::Loaded);
        assert_eq!(snapshot.refresh().await.unwrap_err().kind(), ErrorKind::Throttled);
        assert_eq!(fs::read(folder.path().join("manifest")).unwrap(), manifest);
    });
}

/// A lake whose listing breaks off.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl ObjectSource for Broken {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let error = Error::new(ErrorKind::Throttled, "memory", "list", "slow down");
        stream::iter([Err(error)]).boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        Err(Error::not_found("memory", "get", key.to_owned()))
    }

    fn in_flight(&self) -> usize {
        1
    }

    fn place(&self) -> Option<String> {
        Some("memory".to_owned())
    }
}
