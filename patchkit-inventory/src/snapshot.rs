//! The lake as it was read once, kept so that only what changes is read again.

mod absent;
mod builder;
#[cfg(feature = "sql")]
mod columns;
mod object;
mod part;
mod query;
mod refresh;
mod replay;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
};

use patchkit_core::{Error, ErrorKind, Result};

#[cfg(feature = "sql")]
pub(crate) use self::columns::{HeldAt, PartReader, Wants};
pub(crate) use self::query::Cells;
use self::{
    absent::Absent,
    part::Part,
    store::{Manifest, PartEntry},
};
pub use self::{
    query::RowCount,
    refresh::Refresh,
    store::{SnapshotStore, Stale},
};
use crate::{
    InventoryType, LakeReading, Listed, ObjectSource, Repaired, Skipped,
    scan::{Wanted, add_native_drift},
};

/// A lake in memory, as its objects were when they were last listed.
///
/// # Behavior
/// - Holds the rows of every object, each distinct text once, with all that was lost and repaired in
///   reading them: what is asked of it has the answers that a pass over the lake has.
/// - [`refresh`](Self::refresh) lists the lake and reads only the objects whose [`ChangeMark`] is new.
/// - What is kept is versioned and checksummed. A snapshot that is damaged, of another version or of
///   another lake is never used: the lake is read anew, and [`Opened`] says why.
/// - Several processes may share one store. Each has a whole snapshot at any time, and the last one to
///   write leaves its own.
/// - Clones share everything. A refresh gives a new value, and who has the old one keeps it.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use patchkit_inventory::{
///     LakeReport, LakeSnapshot, LoadOptions, LocalSource, Opened, SnapshotStore,
/// };
///
/// # let lake = tempfile::tempdir()?;
/// # let kept = tempfile::tempdir()?;
/// # let folder = lake.path().join("AWS:InstanceInformation/accountid=111122223333/region=eu-west-1");
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("i-0a.json"), r#"{"InstanceStatus":"Active"}"#)?;
/// # let (path, kept) = (lake.path(), kept.path());
/// # futures::executor::block_on(async {
/// let source = Arc::new(LocalSource::open(path)?);
/// let open = LakeSnapshot::open_or_rebuild(SnapshotStore::folder(kept)?, source);
/// let (snapshot, opened) = open.await?;
/// assert!(matches!(opened, Opened::Rebuilt(..)));
/// let (snapshot, refresh) = snapshot.refresh().await?;
/// assert_eq!((refresh.listed, refresh.gone), (1, 0));
/// let report = LakeReport::from_snapshot(&snapshot, LoadOptions::default()).await?;
/// assert_eq!(report.nodes().count(), 1);
/// # Ok::<(), patchkit_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`ChangeMark`]: crate::ChangeMark
#[derive(Clone)]
pub struct LakeSnapshot(Arc<Inner>);

struct Inner {
    store: SnapshotStore,
    source: Arc<dyn ObjectSource>,
    options: SnapshotOptions,
    manifest: Manifest,
    held: Vec<Held>,
}

/// A part, and which of its objects count.
#[derive(Clone)]
struct Held {
    entry: PartEntry,
    part: Arc<Part>,
    live: Arc<[Life]>,
}

/// Whether an object of a part is that of the lake still.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Current,
    Gone,
}

/// With how much at once a snapshot reads the lake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SnapshotOptions {
    /// How many threads parse; as many as the machine has cores where none is given.
    pub workers: Option<NonZeroUsize>,
    /// How many objects are open at once; as many as suit the source where none is given.
    pub in_flight: Option<NonZeroUsize>,
}

impl SnapshotOptions {
    /// Parses on so many threads.
    #[must_use]
    pub fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Keeps so many objects open at once.
    #[must_use]
    pub fn with_in_flight(mut self, objects: NonZeroUsize) -> Self {
        self.in_flight = Some(objects);
        self
    }
}

/// Where the rows of an opened snapshot come from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Opened {
    /// From what was kept; the lake was not asked.
    Loaded,
    /// From the lake, because what was kept could not be used.
    Rebuilt(Stale, Refresh),
}

impl fmt::Debug for LakeSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeSnapshot")
            .field("store", &self.0.store)
            .field("listed", &self.0.manifest.listed)
            .field("parts", &self.0.held.len())
            .finish_non_exhaustive()
    }
}

impl LakeSnapshot {
    /// Opens the snapshot that is kept, or reads the lake and keeps one.
    ///
    /// # Behavior
    /// - What is kept is opened as it is, however old: [`refresh`](Self::refresh) brings it up to date.
    ///
    /// # Errors
    /// Where the store does not answer, and, where the lake is read, what makes its listing end before
    /// its time.
    ///
    /// # Cancellation
    /// Dropping the future stops the reading, and what was kept stays.
    pub async fn open_or_rebuild(
        store: SnapshotStore,
        source: Arc<dyn ObjectSource>,
    ) -> Result<(Self, Opened)> {
        Self::open_or_rebuild_with(store, source, SnapshotOptions::default()).await
    }

    /// Opens the snapshot that is kept, whichever lake it is of, without that lake.
    ///
    /// # Behavior
    /// - What is asked of it is answered as ever. [`refresh`](Self::refresh) is `Unsupported`: it needs
    ///   the lake.
    ///
    /// # Errors
    /// `NotFound` where there is none, `Malformed` where what is kept is damaged or of another version:
    /// it is never used. Where the store does not answer, what it says.
    pub async fn open(store: SnapshotStore) -> Result<Self> {
        match store.open_any().await? {
            Ok((manifest, parts)) => {
                let source = Arc::new(Absent(manifest.place.clone()));
                Ok(Self::loaded(store, source, SnapshotOptions::default(), manifest, parts))
            }
            Err(Stale::Missing) => {
                Err(Error::not_found("lake", "snapshot", format!("a snapshot in {store}")))
            }
            Err(stale) => {
                Err(Error::new(ErrorKind::Malformed, "lake", "snapshot", stale.to_string()))
            }
        }
    }

    fn loaded(
        store: SnapshotStore,
        source: Arc<dyn ObjectSource>,
        options: SnapshotOptions,
        manifest: Manifest,
        parts: Vec<Part>,
    ) -> Self {
        let held = manifest.parts.iter().zip(parts);
        let held = held.map(|(entry, part)| Held::new(entry.clone(), Arc::new(part))).collect();
        Self(Arc::new(Inner { store, source, options, manifest, held }))
    }

    /// As [`open_or_rebuild`](Self::open_or_rebuild), with options.
    ///
    /// # Errors
    /// As there.
    pub async fn open_or_rebuild_with(
        store: SnapshotStore,
        source: Arc<dyn ObjectSource>,
        options: SnapshotOptions,
    ) -> Result<(Self, Opened)> {
        match store.open(source.place().as_deref()).await? {
            Ok((manifest, parts)) => {
                Ok((Self::loaded(store, source, options, manifest, parts), Opened::Loaded))
            }
            Err(stale) => {
                let (manifest, held) = (Manifest::default(), Vec::new());
                let empty = Self(Arc::new(Inner { store, source, options, manifest, held }));
                let (snapshot, refresh) = empty.refresh().await?;
                Ok((snapshot, Opened::Rebuilt(stale, refresh)))
            }
        }
    }

    /// What was read of the lake, what was lost of it and what was read in spite of dirt, as a pass
    /// over all of it would say.
    pub fn reading(&self) -> LakeReading {
        self.reading_of(None, None)
    }

    /// As a pass over these objects would say.
    pub(crate) fn reading_of(
        &self,
        types: Option<&BTreeSet<InventoryType>>,
        only: Option<&Wanted>,
    ) -> LakeReading {
        let held = self.0.held.iter().filter(|held| is_wanted(types, &held.part.ty));
        let objects = held.flat_map(|held| held.objects().map(|(_, object)| object));
        let wanted = objects.filter(|it| only.is_none_or(|only| only.takes(&it.key)));
        add_objects(self.listing(), wanted)
    }

    /// What the listing alone said.
    pub(crate) fn listing(&self) -> LakeReading {
        let manifest = &self.0.manifest;
        let strays = manifest.strays.iter().map(|(key, reason)| Skipped {
            key: Arc::clone(key),
            line: None,
            reason: reason.clone(),
        });
        LakeReading {
            listed: manifest.listed,
            ignored: manifest.ignored,
            skipped: Listed::of(strays.collect(), manifest.strays_total),
            ..LakeReading::default()
        }
    }
}

/// Adds what was found in reading some objects.
fn add_objects<'a>(
    mut reading: LakeReading,
    objects: impl Iterator<Item = &'a object::HeldObject>,
) -> LakeReading {
    let mut natives: BTreeMap<Box<str>, Listed<Repaired>> = BTreeMap::new();
    for object in objects {
        object.stored.add_to(&mut reading, &mut natives, object.key.inventory_type());
    }
    add_native_drift(&mut reading, natives);
    reading.skipped.sort();
    reading.repaired.sort();
    reading
}

fn is_wanted(types: Option<&BTreeSet<InventoryType>>, ty: &InventoryType) -> bool {
    types.is_none_or(|types| types.contains(ty))
}

impl Held {
    fn new(entry: PartEntry, part: Arc<Part>) -> Self {
        let mut live = vec![Life::Current; part.objects.len()];
        for at in &entry.gone {
            if let Some(life) = live.get_mut(*at as usize) {
                *life = Life::Gone;
            }
        }
        Self { entry, part, live: live.into() }
    }

    /// The objects that count, by their number in the part.
    fn objects(&self) -> impl Iterator<Item = (usize, &object::HeldObject)> {
        let all = self.part.objects.iter().enumerate();
        all.filter(|(at, _)| self.live[*at] == Life::Current)
    }
}

#[cfg(test)]
mod tests;
