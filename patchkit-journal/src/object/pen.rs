//! Writing to one run: objects are made one after the other, and who waits for his turn shares the
//! next one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{channel::oneshot, lock::Mutex as Turn};
use jiff::Timestamp;
use patchkit_core::{Error, ErrorKind, Event, Result, RunHead, RunId, RunLease};
use serde::Serialize;

use super::{
    Shelf,
    error::{OBJECTS, again, malformed, not_begun},
    later, leaf,
    sequence::{Put, Sequence},
    tail::{Entry, Tail},
};

/// Writes to one run, for all clones of a journal.
pub(super) struct Pen {
    run: RunId,
    sequence: Sequence,
    waiting: Mutex<Vec<Waiting>>,
    desk: Turn<Desk>,
}

/// What is known of the run, and what is being written to it.
#[derive(Default)]
struct Desk {
    tail: Option<Tail>,
    /// What is being appended. A writer that is dropped leaves it here, and it may have been
    /// written: who comes next ends it under the same mark.
    batch: Option<Batch>,
}

/// Appends of one holder that are written at once.
struct Batch {
    mark: String,
    lease: RunLease,
    events: Arc<[Event]>,
    told: Vec<oneshot::Sender<Result<()>>>,
    /// Whether it was met in the run.
    met: bool,
}

struct Waiting {
    lease: RunLease,
    events: Vec<Event>,
    told: oneshot::Sender<Result<()>>,
}

impl Pen {
    pub(super) fn new(run: RunId, sequence: Sequence) -> Self {
        Self { run, sequence, waiting: Mutex::default(), desk: Turn::default() }
    }

    pub(super) async fn begin(
        &self,
        shelf: &Shelf,
        holder: &str,
        term: Duration,
    ) -> Result<RunLease> {
        let mut desk = self.desk.lock().await;
        let mark = shelf.mark();
        // From the beginning: only torn objects may stand before the first.
        let mut torn = Vec::new();
        for number in 0.. {
            let now = shelf.clock.now();
            let lease = RunLease::new(self.run.clone(), holder, 1, term, later(now, term));
            let start = Tail {
                entry: Entry {
                    mark: mark.clone(),
                    begun_at: now,
                    at: now,
                    lease: lease.clone(),
                    first: 0,
                    records: 0,
                    last: None,
                    torn: Vec::new(),
                },
                free: number,
                torn: torn.clone(),
            };
            let (entry, bytes) = Self::entry("begin", shelf, &start, &mark, lease.clone(), &[])?;
            if self.put("begin", number, bytes, &mark).await? == Put::Done {
                desk.tail = Some(Tail { entry, free: number + 1, torn: Vec::new() });
                return Ok(lease);
            }
            let found = self.sequence.read("begin", number).await?.unwrap_or_default();
            match leaf::open::<Entry>(&found) {
                Ok(_) => break,
                Err(broken) => torn.push((number, self.sequence.torn("begin", number, broken)?)),
            }
        }
        let message = format!("run {} exists already", self.run);
        Err(Error::new(ErrorKind::Conflict, OBJECTS, "begin", message))
    }

    pub(super) async fn take_over(
        &self,
        shelf: &Shelf,
        holder: &str,
        term: Duration,
    ) -> Result<RunLease> {
        self.change("take_over", shelf, |lease| {
            let now = shelf.clock.now();
            if lease.expires_at > now {
                let RunLease { run, holder, expires_at, .. } = lease;
                let message = format!("run {run} is {holder}'s until {expires_at}");
                return Err(Error::new(ErrorKind::Conflict, OBJECTS, "take_over", message));
            }
            let (run, fence) = (self.run.clone(), lease.fence + 1);
            Ok(RunLease::new(run, holder, fence, term, later(now, term)))
        })
        .await
    }

    pub(super) async fn renew(&self, shelf: &Shelf, lease: &RunLease) -> Result<RunLease> {
        self.change("renew", shelf, |newest| {
            owned("renew", newest, lease)?;
            let mut renewed = newest.clone();
            renewed.expires_at = later(shelf.clock.now(), newest.term);
            Ok(renewed)
        })
        .await
    }

    pub(super) async fn release(&self, shelf: &Shelf, lease: &RunLease) -> Result<()> {
        self.change("release", shelf, |newest| {
            owned("release", newest, lease)?;
            let mut released = newest.clone();
            released.expires_at = newest.expires_at.min(shelf.clock.now());
            Ok(released)
        })
        .await
        .map(drop)
    }

    pub(super) async fn append(
        &self,
        shelf: &Shelf,
        lease: &RunLease,
        events: &[Event],
    ) -> Result<()> {
        let (told, answer) = oneshot::channel();
        let append = Waiting { lease: lease.clone(), events: events.to_vec(), told };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(append);
        {
            let mut desk = self.desk.lock().await;
            // Someone who had his turn before may have written it along with his own.
            self.write_waiting(shelf, &mut desk).await;
        }
        answer.await.map_err(|_| {
            let message = "the write was broken off";
            Error::new(ErrorKind::Unexpected, OBJECTS, "append", message)
        })?
    }

    pub(super) async fn head(&self) -> Result<RunHead> {
        let mut desk = self.desk.lock().await;
        self.newest("head", &mut desk).await?.head(&self.sequence).await
    }

    pub(super) async fn exists(&self, operation: &'static str) -> Result<()> {
        let mut desk = self.desk.lock().await;
        if desk.tail.is_none() {
            self.newest(operation, &mut desk).await?;
        }
        Ok(())
    }

    /// The lease is the run's newest.
    pub(super) async fn is_owned(&self, operation: &'static str, lease: &RunLease) -> Result<()> {
        let mut desk = self.desk.lock().await;
        owned(operation, &self.newest(operation, &mut desk).await?.entry.lease, lease)
    }

    /// Reads on to the end of the run.
    async fn newest<'d>(
        &self,
        operation: &'static str,
        desk: &'d mut Desk,
    ) -> Result<&'d mut Tail> {
        if let Some(tail) = &mut desk.tail {
            while let Some(bytes) = self.sequence.read(operation, tail.free).await? {
                tail.take(operation, &self.run, &self.sequence, &bytes)?;
                if let Some(batch) = &mut desk.batch {
                    batch.met |= tail.entry.mark == batch.mark;
                }
            }
        } else {
            desk.tail = Tail::find(operation, &self.run, &self.sequence).await?;
        }
        desk.tail.as_mut().ok_or_else(|| not_begun(operation, &self.run))
    }

    /// Writes a lease that is made from the newest one.
    async fn change(
        &self,
        operation: &'static str,
        shelf: &Shelf,
        make: impl Fn(&RunLease) -> Result<RunLease> + Send + Sync,
    ) -> Result<RunLease> {
        let mut desk = self.desk.lock().await;
        let mark = shelf.mark();
        self.write(operation, shelf, &mut desk, &mark, make, &[]).await?;
        match &desk.tail {
            Some(tail) => Ok(tail.entry.lease.clone()),
            None => Err(not_begun(operation, &self.run)),
        }
    }

    /// Writes what was broken off, and what waits. Everyone who waited is told.
    async fn write_waiting(&self, shelf: &Shelf, desk: &mut Desk) {
        loop {
            if desk.batch.is_none() {
                desk.batch = self.next_batch(shelf);
            }
            let Some(Batch { mark, lease, events, .. }) = &desk.batch else { return };
            let (mark, lease, events) = (mark.clone(), lease.clone(), Arc::clone(events));
            let keep = |newest: &RunLease| {
                owned("append", newest, &lease)?;
                Ok(newest.clone())
            };
            let written = self.write("append", shelf, desk, &mark, keep, &events).await;
            for told in desk.batch.take().into_iter().flat_map(|batch| batch.told) {
                // Whoever asked may be gone.
                let _ = told.send(written.as_ref().map(|&()| ()).map_err(again));
            }
        }
    }

    /// What waits, as far as it is of one holder: of two, one is to be refused.
    fn next_batch(&self, shelf: &Shelf) -> Option<Batch> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = waiting.first()?.lease.clone();
        let same = waiting.iter().take_while(|it| it.lease.fence == lease.fence).count();
        let (mut events, mut told) = (Vec::new(), Vec::new());
        for append in waiting.drain(..same) {
            events.extend(append.events);
            told.push(append.told);
        }
        Some(Batch { mark: shelf.mark(), lease, events: events.into(), told, met: false })
    }

    /// Makes the run's next object, on top of what others have written meanwhile.
    ///
    /// `make` makes the lease, as it is from then on, from the newest one.
    async fn write(
        &self,
        operation: &'static str,
        shelf: &Shelf,
        desk: &mut Desk,
        mark: &str,
        make: impl Fn(&RunLease) -> Result<RunLease> + Send + Sync,
        events: &[Event],
    ) -> Result<()> {
        if desk.tail.is_none() {
            self.newest(operation, desk).await?;
        }
        loop {
            // Done already, by a writer that was dropped before it knew.
            if desk.batch.as_ref().is_some_and(|batch| batch.met && batch.mark == mark) {
                return Ok(());
            }
            let Some(tail) = &desk.tail else { return Err(not_begun(operation, &self.run)) };
            let number = tail.free;
            let lease = match make(&tail.entry.lease) {
                Ok(lease) => lease,
                // What is known of the run may be old, and the lease newer than that.
                Err(error) => {
                    if self.newest(operation, desk).await?.free == number {
                        return Err(error);
                    }
                    continue;
                }
            };
            if operation == "append" && events.is_empty() {
                return Ok(());
            }
            let (entry, bytes) = Self::entry(operation, shelf, tail, mark, lease, events)?;
            match self.put(operation, number, bytes, mark).await? {
                Put::Done => {
                    desk.tail = Some(Tail { entry, free: number + 1, torn: Vec::new() });
                    return Ok(());
                }
                Put::Taken => {
                    self.newest(operation, desk).await?;
                }
            }
        }
    }

    async fn put(
        &self,
        operation: &'static str,
        number: u64,
        bytes: Vec<u8>,
        mark: &str,
    ) -> Result<Put> {
        let is_ours =
            |found: &[u8]| leaf::open::<Entry>(found).is_ok_and(|(entry, _)| entry.mark == mark);
        self.sequence.put(operation, number, bytes, is_ours).await
    }

    /// The object that comes after `tail`. It first tells of what is torn there.
    fn entry(
        operation: &'static str,
        shelf: &Shelf,
        tail: &Tail,
        mark: &str,
        lease: RunLease,
        events: &[Event],
    ) -> Result<(Entry, Vec<u8>)> {
        let now = shelf.clock.now();
        let first = tail.entry.next();
        let mut lines: Vec<String> = Vec::with_capacity(tail.torn.len() + events.len());
        let written = |error| {
            malformed(operation, "what is to be written is not JSON".to_owned()).with_source(error)
        };
        for torn in tail.tears(now) {
            lines.push(serde_json::to_string(&torn).map_err(written)?);
        }
        for event in events {
            let line = Line { seq: first + lines.len() as u64, at: now, event };
            lines.push(serde_json::to_string(&line).map_err(written)?);
        }
        let entry = Entry {
            mark: mark.to_owned(),
            begun_at: tail.entry.begun_at,
            at: now,
            lease,
            first,
            records: lines.len() as u64,
            last: if lines.is_empty() { tail.entry.last } else { Some(tail.free) },
            torn: tail.torn.iter().map(|(number, _)| *number).collect(),
        };
        let bytes = leaf::seal(&entry, lines).map_err(written)?;
        Ok((entry, bytes))
    }
}

/// A record, as it is written.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: Timestamp,
    event: &'a Event,
}

/// The lease is the newest one.
fn owned(operation: &'static str, newest: &RunLease, lease: &RunLease) -> Result<()> {
    if newest.fence == lease.fence {
        return Ok(());
    }
    let message = format!("run {} was taken over by {}", lease.run, newest.holder);
    Err(Error::new(ErrorKind::Conflict, OBJECTS, operation, message))
}
