//! Bringing a snapshot up to date: what the listing shows as changed is read, the rest stays.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::Result;

use super::{
    Held, Inner, LakeSnapshot, Life,
    builder::{Collector, PartBuilder},
    part::Part,
    store::{Manifest, PartEntry, SnapshotStore},
};
use crate::{
    ChangeMark, InventoryKey, InventoryType, KeyProblem, ListEntry, Listed, LocalSource,
    ObjectBody, ObjectSource, ScanOptions, SkipReason, scan, scan::on_thread,
};

/// A part with more dead rows than live ones is written anew without them.
const MOST_DEAD: usize = 2;

/// Each refresh leaves a small part for every type that changed. So many of one type are put
/// together.
const MOST_SMALL: usize = 8;

/// What a small part holds at most.
const SMALL_ROWS: usize = 1 << 15;

/// What a refresh has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Refresh {
    /// Objects that the lake lists.
    pub listed: u64,
    /// Objects that were read, because they are new, have changed, or could not be read before.
    pub read: u64,
    /// How many bytes these hold.
    pub read_bytes: u64,
    /// Objects that were left as they are.
    pub kept: u64,
    /// Objects that the lake has no more.
    pub gone: u64,
    /// Bytes written to the store; the list of parts comes on top.
    pub written_bytes: u64,
}

impl LakeSnapshot {
    /// Lists the lake, reads what has changed, and keeps the result.
    ///
    /// # Behavior
    /// - Costs one listing, the changed objects, and for each type that changed a part with these alone.
    ///   Now and then parts are put together, so that in the long run every row is written a few times.
    /// - An object without a mark, or of which not all could be read, is read every time.
    /// - An object that is not listed any more is not in the new snapshot.
    ///
    /// # Errors
    /// What makes the listing of the lake end before its time, and where the store does not take the
    /// result. This snapshot and what is kept then stay as they are.
    ///
    /// # Cancellation
    /// Dropping the future stops the reading, and what was kept stays.
    pub async fn refresh(&self) -> Result<(Self, Refresh)> {
        let source = Arc::clone(&self.0.source);
        let listing = on_thread("snapshot-list", Listing::of(source)).await??;
        let mut refresh = Refresh { listed: listing.listed, ..Refresh::default() };
        let mut held = self.0.held.clone();
        let changed = Changed::find(listing.objects, &mut held);
        (refresh.kept, refresh.gone) = (changed.kept, changed.gone);

        let fresh = self.read(changed, &mut refresh).await?;
        let (mut held, fresh) = on_thread("snapshot-merge", async move {
            let merged = merge(&mut held, fresh)?;
            Ok::<_, patchkit_core::Error>((held, merged))
        })
        .await??;
        let before = self.0.store.manifest().await?.unwrap_or_default();
        self.0.store.keep(&mut held, &before).await?;
        let entries = self.0.store.write_parts(&fresh).await?;
        refresh.written_bytes = entries.iter().map(|entry| entry.bytes).sum();
        held.extend(entries.into_iter().zip(fresh).map(|(entry, part)| Held::new(entry, part)));
        let manifest = Manifest {
            place: self.0.source.place(),
            listed: listing.listed,
            ignored: listing.ignored,
            strays_total: listing.strays.total(),
            strays: listing.strays.entries().to_vec(),
            parts: held.iter().map(|held| held.entry.clone()).collect(),
        };
        if manifest != before {
            self.0.store.write_manifest(&manifest, &before).await?;
        }
        let Inner { store, source, options, .. } = &*self.0;
        let (store, source, options) = (store.clone(), Arc::clone(source), *options);
        Ok((Self(Arc::new(Inner { store, source, options, manifest, held })), refresh))
    }

    /// Reads the changed objects into parts.
    async fn read(&self, changed: Changed, refresh: &mut Refresh) -> Result<Vec<Part>> {
        if changed.entries.is_empty() {
            return Ok(Vec::new());
        }
        let marks = Arc::new(changed.marks);
        let source = Reduced { source: Arc::clone(&self.0.source), entries: changed.entries };
        let mut options = ScanOptions::default();
        (options.workers, options.in_flight) = (self.0.options.workers, self.0.options.in_flight);
        let make = || Collector::new(Arc::clone(&marks));
        let (collectors, reading) = scan(Arc::new(source), options, make).await?;
        let total = reading.total();
        (refresh.read, refresh.read_bytes) = (total.objects, total.bytes);
        collectors.into_iter().flat_map(Collector::finish).collect()
    }
}

impl SnapshotStore {
    /// Writes those parts anew that another process, which has refreshed since, does not name any more:
    /// they may have been swept.
    async fn keep(&self, held: &mut [Held], before: &Manifest) -> Result<()> {
        let named: HashSet<_> = before.parts.iter().map(|entry| &entry.sha256).collect();
        let lost = held.iter_mut().filter(|held| !named.contains(&held.entry.sha256));
        let lost: Vec<_> = lost.collect();
        let parts: Vec<_> = lost.iter().map(|held| Arc::clone(&held.part)).collect();
        for (held, entry) in lost.into_iter().zip(self.write_parts(&parts).await?) {
            let gone = std::mem::take(&mut held.entry.gone);
            held.entry = PartEntry { gone, ..entry };
        }
        Ok(())
    }
}

/// What a listing says, sorted out.
#[derive(Default)]
struct Listing {
    listed: u64,
    ignored: u64,
    strays: Listed<(Arc<str>, SkipReason)>,
    objects: Vec<Entry>,
}

/// An object that is listed.
struct Entry {
    key: Arc<str>,
    size: Option<u64>,
    mark: Option<ChangeMark>,
}

impl Listing {
    async fn of(source: Arc<dyn ObjectSource>) -> Result<Self> {
        let (mut listing, mut entries) = (Self::default(), source.list_marked());
        while let Some(entry) = entries.next().await {
            match entry? {
                ListEntry::Object { key, size, mark } => {
                    listing.listed += 1;
                    match key.parse::<InventoryKey>() {
                        Ok(_) => listing.objects.push(Entry { key, size, mark }),
                        Err(problem) if KeyProblem::is_expected(&problem) => listing.ignored += 1,
                        Err(problem) => listing.strays.push((key, problem.into())),
                    }
                }
                ListEntry::Unreadable { key, problem } => {
                    listing.strays.push((key, SkipReason::Unreadable(problem.into())));
                }
            }
        }
        listing.strays.sort();
        Ok(listing)
    }
}

/// What has to be read.
struct Changed {
    entries: Vec<(Arc<str>, Option<u64>)>,
    marks: HashMap<Arc<str>, ChangeMark>,
    kept: u64,
    gone: u64,
}

impl Changed {
    /// Holds a listing against what is held; what is not held as it is listed is gone from there.
    fn find(listed: Vec<Entry>, held: &mut [Held]) -> Self {
        let mut known: HashMap<&str, (usize, usize)> = HashMap::new();
        for (number, held) in held.iter().enumerate() {
            known.extend(held.objects().map(|(at, it)| (&*it.stored.key, (number, at))));
        }
        let mut stays: Vec<_> =
            held.iter().map(|held| vec![Life::Gone; held.part.objects.len()]).collect();
        let (mut entries, mut marks) = (Vec::new(), HashMap::new());
        let (mut kept, mut found) = (0, 0);
        for Entry { key, size, mark } in listed {
            let place = known.get(&*key);
            found += u64::from(place.is_some());
            if let Some((number, at)) = place
                && mark.is_some()
                && held[*number].part.objects[*at].stored.mark == mark
            {
                stays[*number][*at] = Life::Current;
                kept += 1;
                continue;
            }
            marks.extend(mark.map(|mark| (Arc::clone(&key), mark)));
            entries.push((key, size));
        }
        let gone = known.len() as u64 - found;
        drop(known);
        for (held, stays) in held.iter_mut().zip(stays) {
            held.live_as(stays);
        }
        Self { entries, marks, kept, gone }
    }
}

impl Held {
    fn live_as(&mut self, live: Vec<Life>) {
        let gone = live.iter().enumerate().filter(|(_, life)| **life == Life::Gone);
        self.entry.gone = gone.filter_map(|(at, _)| u32::try_from(at).ok()).collect();
        self.live = live.into();
    }

    fn live_rows(&self) -> usize {
        self.objects().map(|(at, _)| self.part.range(at).len()).sum()
    }
}

/// Puts parts together where that is due, and gives the parts that are to be written.
fn merge(held: &mut Vec<Held>, fresh: Vec<Part>) -> Result<Vec<Arc<Part>>> {
    let mut small: BTreeMap<InventoryType, usize> = BTreeMap::new();
    let (mut due, mut stays) = (Vec::new(), Vec::new());
    for held in held.drain(..) {
        let (live, all) = (held.live_rows(), held.part.rows());
        let objects = held.objects().count();
        if objects == 0 {
            continue;
        }
        let mostly_dead = live * MOST_DEAD < all || objects * MOST_DEAD < held.part.objects.len();
        if mostly_dead {
            due.push(held);
        } else {
            *small.entry(held.part.ty.clone()).or_default() += usize::from(all < SMALL_ROWS);
            stays.push(held);
        }
    }
    let is_due = |held: &Held| {
        held.part.rows() < SMALL_ROWS
            && small.get(&held.part.ty).is_some_and(|parts| *parts > MOST_SMALL)
    };
    let (together, stays): (Vec<_>, Vec<_>) = stays.into_iter().partition(is_due);
    due.extend(together);
    *held = stays;

    let mut builders: BTreeMap<InventoryType, PartBuilder> = BTreeMap::new();
    let mut parts: Vec<_> = Vec::new();
    let mut put = |part: &Part, at: usize| {
        let ty = &part.ty;
        let builder = builders.entry(ty.clone()).or_insert_with(|| PartBuilder::new(ty.clone()));
        builder.copy(part, at);
        if builder.is_full()
            && let Some(full) = builders.remove(ty)
        {
            parts.push(full.finish());
        }
    };
    // Small fresh parts of a type that is put together go along.
    let merged: Vec<_> = due.iter().map(|held| held.part.ty.clone()).collect();
    let (along, fresh): (Vec<_>, Vec<_>) =
        fresh.into_iter().partition(|part| part.rows() < SMALL_ROWS && merged.contains(&part.ty));
    for held in &due {
        held.objects().for_each(|(at, _)| put(&held.part, at));
    }
    for part in &along {
        (0..part.objects.len()).for_each(|at| put(part, at));
    }
    parts.extend(builders.into_values().map(PartBuilder::finish));
    parts.into_iter().chain(fresh.into_iter().map(Ok)).map(|part| part.map(Arc::new)).collect()
}

/// A source that lists what has to be read and nothing else.
#[derive(Debug)]
struct Reduced {
    source: Arc<dyn ObjectSource>,
    entries: Vec<(Arc<str>, Option<u64>)>,
}

#[async_trait]
impl ObjectSource for Reduced {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let entry = |(key, size)| Ok(ListEntry::Object { key, size, mark: None });
        stream::iter(self.entries.clone()).map(entry).boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        self.source.get(key).await
    }

    fn in_flight(&self) -> usize {
        self.source.in_flight()
    }

    fn as_local(&self) -> Option<&LocalSource> {
        self.source.as_local()
    }
}
