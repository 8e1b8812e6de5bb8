//! What a snapshot holds, shown to a visitor as a pass over the lake shows it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::try_join_all;
use patchkit_core::{Error, Result};

use super::{LakeSnapshot, is_wanted};
use crate::{
    InventoryRecord, LakeReading, ObjectReading, RowSink, ScanOptions, Visitor,
    scan::{cores, on_thread},
};

impl LakeSnapshot {
    /// Shows the rows of every object of the wanted types to a visitor, as [`scan`](crate::scan) does.
    ///
    /// # Behavior
    /// - Fields come under their documented names and as text, and of several of one name the one that
    ///   counts; those that are not documented come as they were. Empty ones do not come.
    /// - [`Visitor::consider`] is not asked: no line is parsed.
    ///
    /// # Errors
    /// `Unexpected` where a visitor panicked.
    pub async fn scan<V: Visitor>(
        &self,
        options: ScanOptions,
        mut make: impl FnMut() -> V,
    ) -> Result<(Vec<V>, LakeReading)> {
        let workers = options.workers.map_or_else(cores, std::num::NonZeroUsize::get);
        let next = Arc::new(AtomicUsize::new(0));
        let (types, only) = (Arc::new(options.types), options.wanted);
        let work = (0..workers).map(|_| {
            let (snapshot, next, types) = (self.clone(), Arc::clone(&next), Arc::clone(&types));
            let (mut visitor, only) = (make(), only.clone());
            on_thread("snapshot-scan", async move {
                while let Some(held) = snapshot.0.held.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let of_type = is_wanted((*types).as_ref(), &held.part.ty);
                    for (at, object) in held.objects() {
                        if !visitor.goes_on() {
                            break;
                        }
                        visitor.listed(&object.stored.key, &object.key);
                        if of_type && only.as_ref().is_none_or(|only| only.takes(&object.key)) {
                            let mut taken = visitor.begin(&object.key);
                            held.part.replay(at, |line, row: &InventoryRecord<'_>| {
                                visitor.row(&mut taken, line, row);
                            });
                            visitor.end(taken, &object.stored.reading());
                        }
                    }
                }
                visitor.finish();
                visitor
            })
        });
        let work: Vec<_> = work.collect();
        let visitors = try_join_all(work).await?;
        Ok((visitors, self.reading_of((*types).as_ref(), only.as_ref())))
    }

    /// Shows the rows of one object to a sink.
    pub(crate) fn read_object<S: RowSink + ?Sized>(
        &self,
        path: &str,
        sink: &mut S,
    ) -> Result<ObjectReading> {
        let place = self.0.held.iter().find_map(|held| {
            let mut objects = held.objects();
            let found = objects.find(|(_, object)| *object.stored.key == *path);
            found.map(|(at, object)| (held, at, object))
        });
        let (held, at, object) =
            place.ok_or_else(|| Error::not_found("lake", "get", format!("the object {path:?}")))?;
        held.part.replay(at, |line, row| sink.row(line, row));
        Ok(object.stored.reading())
    }
}
