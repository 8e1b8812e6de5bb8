//! What one query reads of a lake or of what was kept of one: its listing, made once, and what was
//! lost on the way.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt;
#[cfg(feature = "parquet")]
use patchkit_core::{Error, ErrorKind};
use patchkit_core::{NodeId, Result};
use tokio::sync::OnceCell;

use crate::{
    InventoryKey, InventoryType, LakeReading, ListEntry, ObjectSource, SkipReason, Skipped,
};

/// One object of a lake, with what its key says.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: Arc<str>,
    pub(super) size: Option<u64>,
    pub(super) node: NodeId,
    pub(super) partition_kind: Option<Box<str>>,
    /// Where a snapshot holds it.
    #[cfg(feature = "snapshot")]
    pub(super) held: Option<crate::snapshot::HeldAt>,
}

impl Listed {
    fn new(path: Arc<str>, size: Option<u64>, key: &InventoryKey) -> Self {
        Self {
            path,
            size,
            node: key.node().clone(),
            partition_kind: key.partition_kind().map(Box::from),
            #[cfg(feature = "snapshot")]
            held: None,
        }
    }
}

/// The objects of a lake by type.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) types: BTreeMap<InventoryType, Vec<Listed>>,
}

/// Where the rows of a query come from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A lake, which is listed and read for each query.
    Lake(Arc<dyn ObjectSource>),
    /// A lake as it was, with its listing.
    #[cfg(feature = "snapshot")]
    Snapshot(crate::LakeSnapshot, Arc<Listing>),
    /// An export, which the engine reads by itself.
    #[cfg(feature = "parquet")]
    Export(Box<str>),
}

/// The answer of an export to what only a lake can tell.
#[cfg(feature = "parquet")]
pub(super) fn not_told(url: &str) -> Error {
    let message = format!(
        "what was lost in reading the lake is not known of the export {url}: ask the lake or a snapshot"
    );
    Error::new(ErrorKind::Unsupported, "sql", "query", message)
}

/// The place where all that one query reads is written down. Every table of the query has the same.
pub(super) struct Ledger {
    origin: Origin,
    listing: OnceCell<Arc<Listing>>,
    reading: Mutex<LakeReading>,
}

impl Ledger {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, listing: OnceCell::new(), reading: Mutex::default() }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The listing of the lake, the same for all tables of the query: a join never sees two states.
    pub(super) async fn listing(&self) -> Result<Arc<Listing>> {
        self.listing.get_or_try_init(|| self.list()).await.cloned()
    }

    async fn list(&self) -> Result<Arc<Listing>> {
        let source = match &self.origin {
            Origin::Lake(source) => Arc::clone(source),
            #[cfg(feature = "snapshot")]
            Origin::Snapshot(snapshot, listing) => {
                self.note(snapshot.listing());
                return Ok(Arc::clone(listing));
            }
            #[cfg(feature = "parquet")]
            Origin::Export(url) => return Err(not_told(url)),
        };
        // Walking a directory blocks, and the caller's runtime has other things to do.
        let (listing, reading) = crate::scan::on_thread("lake-list", async move {
            let (mut listing, mut reading) = (Listing::default(), LakeReading::default());
            let mut entries = source.list();
            while let Some(entry) = entries.next().await {
                take(entry?, &mut listing, &mut reading);
            }
            Ok::<_, patchkit_core::Error>((listing, reading))
        })
        .await??;
        self.note(reading);
        Ok(Arc::new(listing))
    }

    /// Adds what a scan has read of objects that the listing has counted already.
    pub(super) fn note_scan(&self, mut reading: LakeReading) {
        (reading.listed, reading.ignored) = (0, 0);
        self.note(reading);
    }

    fn note(&self, reading: LakeReading) {
        let mut all = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        all.merge(reading);
    }

    /// What was read so far, in order; what two passes found once.
    pub(super) fn reading(&self) -> LakeReading {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reading.skipped.sort_and_unite();
        reading.repaired.sort_and_unite();
        reading
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(feature = "snapshot")]
impl Listing {
    /// What a snapshot holds.
    pub(super) fn of(snapshot: &crate::LakeSnapshot) -> Self {
        let mut listing = Self::default();
        snapshot.objects(|held, path, key| {
            let listed = Listed { held: Some(held), ..Listed::new(Arc::clone(path), None, key) };
            match listing.types.get_mut(key.inventory_type()) {
                Some(objects) => objects.push(listed),
                None => drop(listing.types.insert(key.inventory_type().clone(), vec![listed])),
            }
        });
        listing
    }
}

fn take(entry: ListEntry, listing: &mut Listing, reading: &mut LakeReading) {
    let (path, size) = match entry {
        ListEntry::Object { key, size, .. } => (key, size),
        ListEntry::Unreadable { key, problem } => {
            let reason = SkipReason::Unreadable(problem.into());
            return reading.skipped.push_with(|| Skipped { key, line: None, reason });
        }
    };
    reading.listed += 1;
    match path.parse::<InventoryKey>() {
        Ok(key) => {
            let listed = Listed::new(path, size, &key);
            listing.types.entry(key.inventory_type().clone()).or_default().push(listed);
        }
        Err(problem) if problem.is_expected() => reading.ignored += 1,
        Err(problem) => {
            reading.skipped.push_with(|| Skipped { key: path, line: None, reason: problem.into() });
        }
    }
}
