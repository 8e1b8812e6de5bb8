//! The journal of objects, by the suite, over every store at hand.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    local::LocalFileSystem, memory::InMemory, path::Path,
};
use patchkit_core::{Journal, RunId, VirtualClock};
use patchkit_journal::ObjectJournal;
use patchkit_testkit::journal::{JournalHarness, Spoilt, Tear};
use tempfile::TempDir;

mod in_memory {
    patchkit_testkit::journal_conformance!(crate::object::ObjectHarness::in_memory());
}

mod in_a_directory {
    patchkit_testkit::journal_conformance!(crate::object::ObjectHarness::in_a_directory());
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
            store: Arc::new(Switched { store: Box::new(store), broken: AtomicBool::new(false) }),
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

    async fn break_writes(&self) {
        self.store.broken.store(true, Ordering::Release);
    }

    async fn mend(&self) {
        self.store.broken.store(false, Ordering::Release);
    }
}

/// A store whose puts can be made to fail.
#[derive(Debug)]
pub(crate) struct Switched {
    store: Box<dyn ObjectStore>,
    broken: AtomicBool,
}

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
        self.store.put_opts(location, payload, options).await
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
