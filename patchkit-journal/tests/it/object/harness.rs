//! The journal of objects, over a store whose puts can be made to fail or to lose their answers.

use std::{
    any::Any,
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::Poll,
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use patchkit_core::{Book, Journal, Ledger, RunId, VirtualClock};
use patchkit_journal::ObjectJournal;
use patchkit_testkit::journal::{JournalHarness, Spoilt, Tear};

/// A store of its own, whose puts can be made to fail.
pub(crate) struct ObjectHarness {
    clock: VirtualClock,
    pub(crate) store: Arc<Switched>,
    _kept: Box<dyn Any + Send + Sync>,
}

impl ObjectHarness {
    /// Over a store, which lives no longer than what is kept.
    pub(crate) fn over(store: impl ObjectStore, kept: impl Any + Send + Sync) -> Self {
        Self {
            clock: VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap()),
            store: Arc::new(Switched {
                store: Box::new(store),
                broken: AtomicBool::new(false),
                answer: AtomicU8::new(ANSWERS),
                puts: AtomicUsize::new(0),
            }),
            _kept: Box::new(kept),
        }
    }

    pub(crate) fn journal(&self) -> ObjectJournal {
        let store: Arc<dyn ObjectStore> = Arc::<Switched>::clone(&self.store);
        ObjectJournal::new(store, "some/where", self.clock.clone()).unwrap()
    }

    /// The objects of a run, in order.
    pub(crate) async fn objects(&self, run: &RunId) -> Vec<Path> {
        let folder = Path::from(format!("some/where/runs/{run}"));
        let listed = self.store.list(Some(&folder)).map_ok(|object| object.location);
        let mut keys: Vec<Path> = listed.try_collect().await.unwrap();
        keys.sort();
        assert!(!keys.is_empty(), "the run has objects");
        keys
    }

    pub(crate) async fn bytes(&self, key: &Path) -> Vec<u8> {
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
    pub(crate) answer: AtomicU8,
    pub(crate) puts: AtomicUsize,
}

/// What becomes of the answers to puts that were done.
pub(crate) const ANSWERS: u8 = 0;
pub(crate) const LOSES: u8 = 1;
/// As a store says whose client has sent the put twice.
pub(crate) const SAYS_TAKEN: u8 = 2;
pub(crate) const NEVER_ANSWERS: u8 = 3;

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
