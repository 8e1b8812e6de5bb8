//! Reads what was written, all of it.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::{
    StreamExt, TryFutureExt, future,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{Event, Record, Result, RunId};

use super::{
    Shelf,
    error::{classify, malformed, not_begun},
    key,
    leaf::{self, Broken},
    sequence::Sequence,
    tail::Entry,
};

/// How many objects are asked for at once.
const AT_ONCE: usize = 32;

const READ: &str = "events";

/// How far a run was read.
struct Reading {
    run: RunId,
    sequence: Sequence,
    /// The number of the next record, and the time of the last object.
    expected: u64,
    at: Timestamp,
    /// Objects since then that are torn, each with how it looks.
    torn: Vec<(u64, String)>,
}

/// The records of a run, object by object.
pub(super) fn events(run: RunId, sequence: Sequence) -> BoxStream<'static, Result<Record>> {
    async move {
        let count = sequence.count(READ, None).await?;
        if count == 0 {
            return Err(not_begun(READ, &run));
        }
        let read = sequence.clone();
        let objects = stream::iter(0..count).map(move |number| object(read.clone(), number));
        let objects = objects.buffered(AT_ONCE).map(Some).chain(stream::iter([None]));
        let (at, torn) = (Timestamp::UNIX_EPOCH, Vec::new());
        let reading = Reading { run, sequence, expected: 0, at, torn };
        let items = objects.scan(Some(reading), |reading, object| {
            future::ready(read_on(reading, object).map(stream::iter))
        });
        Ok(items.flatten())
    }
    .try_flatten_stream()
    .boxed()
}

async fn object(sequence: Sequence, number: u64) -> Result<(u64, Bytes)> {
    let bytes = sequence.read(READ, number).await?;
    let gone = || malformed(READ, format!("{} is gone", sequence.place(number)));
    Ok((number, bytes.ok_or_else(gone)?))
}

/// What an object adds, or the end of the sequence. Nothing is read on after an error of the store.
fn read_on(
    state: &mut Option<Reading>,
    object: Option<Result<(u64, Bytes)>>,
) -> Option<Vec<Result<Record>>> {
    let mut reading = state.take()?;
    let (number, bytes) = match object {
        None => return Some(reading.end()),
        Some(Err(error)) => return Some(vec![Err(error)]),
        Some(Ok(object)) => object,
    };
    let items = match leaf::open::<Entry>(&bytes) {
        Ok((entry, _)) if entry.lease.run != reading.run => {
            let what = format!("{} is of another run", reading.sequence.place(number));
            return Some(vec![Err(malformed(READ, what))]);
        }
        Ok((entry, lines)) => reading.take(&entry, &lines),
        Err(Broken::Torn(detail)) => {
            reading.torn.push((number, detail));
            Vec::new()
        }
        Err(Broken::Newer(version)) => {
            return Some(vec![Err(reading.sequence.newer(READ, number, version))]);
        }
    };
    *state = Some(reading);
    Some(items)
}

impl Reading {
    fn take(&mut self, entry: &Entry, lines: &[&[u8]]) -> Vec<Result<Record>> {
        let mut items = Vec::with_capacity(lines.len());
        // Those that the object tells of were never acknowledged, and its first records say so. It
        // builds on the others.
        let spoilt = self.torn.drain(..).filter(|(number, _)| !entry.torn.contains(number));
        let spoilt: Vec<String> = spoilt
            .map(|(number, detail)| format!("{}: {detail}", self.sequence.place(number)))
            .collect();
        if !spoilt.is_empty() || entry.first != self.expected {
            let (run, lost) = (&self.run, self.expected..entry.first);
            let what = format!("records {lost:?} of run {run} are lost: {}", spoilt.join("; "));
            items.push(Err(malformed(READ, what)));
        }
        for (seq, line) in (entry.first..).zip(lines) {
            items.push(serde_json::from_slice(line).map_err(|error| {
                let what = format!("record {seq} of run {} cannot be read", self.run);
                malformed(READ, what).with_source(error)
            }));
        }
        self.expected = entry.next();
        self.at = entry.at;
        items
    }

    /// What is torn at the end was never acknowledged, or nobody can tell.
    fn end(self) -> Vec<Result<Record>> {
        let Self { sequence, expected, at, torn, .. } = self;
        (expected..)
            .zip(torn)
            .map(|(seq, (number, detail))| {
                let detail = format!("{}: {detail}", sequence.place(number));
                Ok(Record::new(seq, at, Event::Torn { detail }))
            })
            .collect()
    }
}

/// All runs, oldest first.
pub(super) fn runs(shelf: Arc<Shelf>) -> BoxStream<'static, Result<RunId>> {
    async move {
        let folder = shelf.prefix.clone().join("runs");
        let listed = shelf.store.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|error| classify("runs", error))?;
        let folders = listed.common_prefixes.into_iter().filter_map(|path| {
            Some((path.filename()?.to_owned(), Sequence::new(&shelf.store, path)))
        });
        let beginnings = stream::iter(folders)
            .map(|(folder, sequence)| beginning(&shelf, folder, sequence))
            .buffer_unordered(AT_ONCE);
        let (mut begun, mut unread) = (Vec::new(), Vec::new());
        let mut beginnings = std::pin::pin!(beginnings);
        while let Some(beginning) = beginnings.next().await {
            match beginning {
                Ok(beginning) => begun.extend(beginning),
                Err(error) => unread.push(Err(error)),
            }
        }
        begun.sort();
        let runs = begun.into_iter().map(|(_, run)| Ok(run));
        // A run that cannot be read does not hide the others.
        Ok(stream::iter(runs.chain(unread).collect::<Vec<_>>()))
    }
    .try_flatten_stream()
    .boxed()
}

/// When the run of a folder began; none where nobody was told that it did.
async fn beginning(
    shelf: &Shelf,
    folder: String,
    sequence: Sequence,
) -> Result<Option<(Timestamp, RunId)>> {
    if let Some(begun) = shelf.begun(&folder) {
        return Ok(Some(begun));
    }
    for number in 0.. {
        let Some(bytes) = sequence.read("runs", number).await? else { return Ok(None) };
        let entry = match leaf::open::<Entry>(&bytes) {
            Ok((entry, _)) => entry,
            Err(broken) => {
                sequence.torn("runs", number, broken)?;
                continue;
            }
        };
        let run = entry.lease.run;
        if key::folder(run.as_str()) != folder {
            return Err(malformed("runs", format!("{} is of run {run}", sequence.place(number))));
        }
        let begun = (entry.begun_at, run);
        let mut known = shelf.beginnings.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(folder, begun.clone());
        return Ok(Some(begun));
    }
    Ok(None)
}
