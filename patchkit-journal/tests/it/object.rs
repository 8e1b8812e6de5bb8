//! The journal of objects, by the suite, over every store at hand.

use std::{
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures::{FutureExt, StreamExt, TryStreamExt, future::join_all, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    local::LocalFileSystem, memory::InMemory, path::Path,
};
use patchkit_core::{Book, Event, Journal, Ledger, NodeId, Record, RunId, RunLease, VirtualClock};
use patchkit_journal::ObjectJournal;
use patchkit_testkit::journal::{JournalHarness, Spoilt, Tear};
use tempfile::TempDir;

mod in_memory {
    patchkit_testkit::journal_conformance!(crate::object::ObjectHarness::in_memory());
}

mod in_a_directory {
    patchkit_testkit::journal_conformance!(crate::object::ObjectHarness::in_a_directory());
}

const TERM: Duration = Duration::from_mins(5);

fn event(name: &str) -> Event {
    Event::Torn { detail: name.to_owned() }
}

async fn begun(journal: &dyn Journal) -> RunLease {
    journal.begin(&RunId::new("run").unwrap(), "worker-1", TERM).await.unwrap()
}

async fn names(journal: &dyn Journal) -> Vec<String> {
    let run = RunId::new("run").unwrap();
    let records: Vec<Record> = journal.events(&run).try_collect().await.unwrap();
    let name = |record: Record| match record.event {
        Event::Torn { detail } => detail,
        other => panic!("{other:?}"),
    };
    records.into_iter().map(name).collect()
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_was_made_once() {
    for answer in [LOSES, SAYS_TAKEN] {
        let harness = ObjectHarness::in_memory();
        let journal = harness.journal();
        harness.store.answer.store(answer, Ordering::Release);
        let lease = begun(&journal).await;
        journal.append(&lease, &[event("a")]).await.unwrap();
        let lease = journal.renew(&lease).await.unwrap();
        let nodes: [NodeId; 2] = ["aws/1/r/i-1", "aws/1/r/i-2"].map(|id| id.parse().unwrap());
        for (_, claim) in journal.claim(&lease, &nodes).await {
            claim.unwrap();
        }
        journal.append(&lease, &[event("b")]).await.unwrap();
        journal.order(&patchkit_core::Order::Halt, "kim", "").await.unwrap();
        journal.unclaim(&lease, &nodes).await.unwrap();
        journal.release(&lease).await.unwrap();
        harness.store.answer.store(ANSWERS, Ordering::Release);
        assert_eq!(names(&harness.journal()).await, ["a", "b"]);
        assert_eq!(harness.journal().orders(&lease.run).await.unwrap().len(), 1);
        let taken = harness.journal().take_over(&lease.run, "worker-2", TERM).await.unwrap();
        assert_eq!(taken.fence, lease.fence + 1);
    }
}

#[tokio::test]
async fn an_append_that_is_dropped_before_its_answer_is_written_once() {
    let harness = ObjectHarness::in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    journal.append(&lease, &[event("a")]).await.unwrap();
    harness.store.answer.store(NEVER_ANSWERS, Ordering::Release);
    let broken_off = [event("b")];
    {
        let mut appending = Box::pin(journal.append(&lease, &broken_off));
        // The second poll writes it.
        assert!((&mut appending).now_or_never().is_none());
        assert!(appending.now_or_never().is_none());
    }
    harness.store.answer.store(ANSWERS, Ordering::Release);
    // Others read past it, and write after it, before its own journal writes again.
    let other = harness.journal();
    other.append(&lease, &[event("c")]).await.unwrap();
    journal.head(&lease.run).await.unwrap();
    journal.append(&lease, &[event("d")]).await.unwrap();
    assert_eq!(names(&journal).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn appends_that_wait_share_a_put() {
    let harness = ObjectHarness::in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    let before = harness.store.puts.load(Ordering::Relaxed);
    let texts: Vec<String> = (0..40).map(|at| at.to_string()).collect();
    let events: Vec<[Event; 1]> = texts.iter().map(|text| [event(text)]).collect();
    for written in join_all(events.iter().map(|event| journal.append(&lease, event))).await {
        written.unwrap();
    }
    let puts = harness.store.puts.load(Ordering::Relaxed) - before;
    assert!(puts <= 2, "{puts} puts");
    assert_eq!(names(&journal).await, texts);
}

#[tokio::test]
async fn ten_thousand_nodes_are_claimed_by_one_put() {
    let harness = ObjectHarness::in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    let before = harness.store.puts.load(Ordering::Relaxed);
    let nodes: Vec<NodeId> =
        (0..10_000).map(|at| format!("aws/1/r/i-{at}").parse().unwrap()).collect();
    assert!(journal.claim(&lease, &nodes).await.iter().all(|(_, claim)| claim.is_ok()));
    assert_eq!(harness.store.puts.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn an_object_of_a_newer_version_is_not_passed_over() {
    let harness = ObjectHarness::in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    let next = Path::from(format!("some/where/runs/run/{:020}.json", 1));
    harness.store.put(&next, "{\"journal\":2}\n".into()).await.unwrap();
    let error = journal.append(&lease, &[event("a")]).await.unwrap_err();
    assert_eq!(error.kind(), patchkit_core::ErrorKind::Unsupported);
    assert!(error.message().contains("newer version"), "{error}");
    let read: patchkit_core::Result<Vec<Record>> =
        harness.journal().events(&lease.run).try_collect().await;
    assert_eq!(read.unwrap_err().kind(), patchkit_core::ErrorKind::Unsupported);
}

#[tokio::test]
async fn nothing_is_overwritten_and_objects_are_readable_by_people() {
    let harness = ObjectHarness::in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    journal.append(&lease, &[event("a")]).await.unwrap();
    let keys = harness.objects(&lease.run).await;
    let names: Vec<&str> = keys.iter().filter_map(|key| key.filename()).collect();
    assert_eq!(names, ["00000000000000000000.json", "00000000000000000001.json"]);
    let text = String::from_utf8(harness.bytes(&keys[1]).await).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["journal"], 1);
    assert_eq!(lines[1]["lease"]["holder"], "worker-1");
    assert_eq!(lines[2]["event"]["detail"], "a");
}

/// A store of its own, whose puts can be made to fail.
pub(crate) struct ObjectHarness {
    clock: VirtualClock,
    pub(crate) store: Arc<Switched>,
    _directory: Option<TempDir>,
}

impl ObjectHarness {
    pub(crate) fn in_memory() -> Self {
        Self::over(InMemory::new(), None)
    }

    pub(crate) fn in_a_directory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
        Self::over(store, Some(directory))
    }

    pub(crate) fn over(store: impl ObjectStore, directory: Option<TempDir>) -> Self {
        Self {
            clock: VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap()),
            store: Arc::new(Switched {
                store: Box::new(store),
                broken: AtomicBool::new(false),
                answer: AtomicU8::new(ANSWERS),
                puts: AtomicUsize::new(0),
            }),
            _directory: directory,
        }
    }

    pub(crate) fn journal(&self) -> ObjectJournal {
        let store: Arc<dyn ObjectStore> = Arc::<Switched>::clone(&self.store);
        ObjectJournal::new(store, "some/where", self.clock.clone()).unwrap()
    }

    /// The objects of a run, in order.
    async fn objects(&self, run: &RunId) -> Vec<Path> {
        let folder = Path::from(format!("some/where/runs/{run}"));
        let listed = self.store.list(Some(&folder)).map_ok(|object| object.location);
        let mut keys: Vec<Path> = listed.try_collect().await.unwrap();
        keys.sort();
        assert!(!keys.is_empty(), "the run has objects");
        keys
    }

    async fn bytes(&self, key: &Path) -> Vec<u8> {
        self.store.get(key).await.unwrap().bytes().await.unwrap().to_vec()
    }
}

impl fmt::Debug for ObjectHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectHarness({})", self.store)
    }
}

#[async_trait::async_trait]
impl JournalHarness for ObjectHarness {
    fn clock(&self) -> VirtualClock {
        self.clock.clone()
    }

    async fn open(&self) -> Arc<dyn Journal> {
        Arc::new(self.journal())
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.journal())
    }

    /// Half an object, as a store leaves it that makes it before it is whole.
    async fn tear(&self, run: &RunId) -> Tear {
        let keys = self.objects(run).await;
        let mut bytes = self.bytes(&keys[0]).await;
        bytes.truncate(bytes.len() / 2);
        let next = Path::from(format!("some/where/runs/{run}/{:020}.json", keys.len()));
        self.store.put(&next, bytes.into()).await.unwrap();
        Tear::Shown
    }

    async fn spoil(&self, run: &RunId, seq: u64) -> Spoilt {
        for key in self.objects(run).await {
            let mut bytes = self.bytes(&key).await;
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some(at) = text.find(&format!("{{\"seq\":{seq},")) else { continue };
            bytes[at + 3] ^= 1;
            self.store.put(&key, bytes.into()).await.unwrap();
            return Spoilt::WithItsBatch;
        }
        panic!("no object holds record {seq}");
    }

    async fn spoil_entry(&self, book: Book, number: u64) -> Spoilt {
        let (object, place) = (number >> 20, number & ((1 << 20) - 1));
        assert_eq!(place, 0, "it was entered alone");
        let key = Path::from(format!("some/where/ledger/{book}/{object:020}.json"));
        let mut bytes = self.bytes(&key).await;
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        self.store.put(&key, bytes.into()).await.unwrap();
        Spoilt::Alone
    }

    async fn break_writes(&self) {
        self.store.broken.store(true, Ordering::Release);
    }

    async fn mend(&self) {
        self.store.broken.store(false, Ordering::Release);
    }
}

/// A store whose puts can be made to fail, or to be done without an answer that says so.
#[derive(Debug)]
pub(crate) struct Switched {
    store: Box<dyn ObjectStore>,
    broken: AtomicBool,
    answer: AtomicU8,
    puts: AtomicUsize,
}

/// What becomes of the answers to puts that were done.
const ANSWERS: u8 = 0;
const LOSES: u8 = 1;
/// As a store says whose client has sent the put twice.
const SAYS_TAKEN: u8 = 2;
const NEVER_ANSWERS: u8 = 3;

impl fmt::Display for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Switched({})", self.store)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Switched {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if self.broken.load(Ordering::Acquire) {
            let source = "no space left on device".into();
            return Err(object_store::Error::Generic { store: "switched", source });
        }
        self.puts.fetch_add(1, Ordering::Relaxed);
        // As over a network: others get their turn.
        let mut waited = false;
        futures::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let answer = self.store.put_opts(location, payload, options).await?;
        match self.answer.load(Ordering::Acquire) {
            LOSES => {
                let source = "the connection was reset".into();
                Err(object_store::Error::Generic { store: "switched", source })
            }
            SAYS_TAKEN => {
                let (path, source) = (location.to_string(), "it is there".into());
                Err(object_store::Error::AlreadyExists { path, source })
            }
            NEVER_ANSWERS => pending().await,
            _ => Ok(answer),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    /// In the order that suits no reader: none is promised.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.store.list(prefix).collect::<Vec<_>>();
        futures::stream::once(listed)
            .flat_map(|listed| futures::stream::iter(listed.into_iter().rev()))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
