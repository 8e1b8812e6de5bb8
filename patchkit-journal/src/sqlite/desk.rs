//! The thread that works on the file.
//!
//! SQLite blocks, and a disk may take its time, so nothing of it runs on the caller's threads. A
//! thread of our own asks for no runtime, which a library has no business to choose. It also makes
//! group commits simple: what has come in while the last transaction went to the disk is the next
//! one, so that forty acts of a round wait for the disk once and not forty times.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use futures::channel::oneshot;
use patchkit_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use super::error::{SQLITE, classify};

/// The most writes of one transaction: an answer is not to wait for all of a long queue.
const GROUP: usize = 256;

/// Where jobs for the thread are handed in.
pub(super) struct Desk {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Write(&'static str, Write),
}

/// Does its work in an open transaction, where there is one; says whether it is to stay, and how its
/// caller is told.
type Write = Box<dyn FnOnce(Option<&Connection>) -> (Fate, Tell) + Send>;
/// Takes how the transaction ended.
type Tell = Box<dyn FnOnce(Result<()>) + Send>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Keep,
    Undo,
}

impl Desk {
    pub(super) fn new(connection: Connection) -> Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        // Ends when the last sender is gone; nobody waits for it, for what was acknowledged is on
        // the disk.
        thread::Builder::new()
            .name("patchkit-journal".to_owned())
            .spawn(move || work(&connection, &inbox))
            .map_err(|error| {
                Error::new(ErrorKind::Unexpected, SQLITE, "open", "no thread for the journal")
                    .with_source(error)
            })?;
        Ok(Self { jobs })
    }

    /// Reads what was committed.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Read(Box::new(move |connection| {
            // Whoever asked may be gone.
            let _ = reply.send(work(connection));
        }));
        self.hand_in(operation, job, answer).await
    }

    /// Writes in a transaction; answers when it is on the disk. What `work` wrote before an error
    /// is undone.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Write(
            operation,
            Box::new(move |connection| {
                let done = connection.map(work);
                let fate = if matches!(done, Some(Ok(_))) { Fate::Keep } else { Fate::Undo };
                let tell = move |committed: Result<()>| {
                    let untried = || Err(gone(operation));
                    let _ = reply.send(match done {
                        Some(Err(error)) => Err(error),
                        done => committed.and_then(|()| done.unwrap_or_else(untried)),
                    });
                };
                (fate, Box::new(tell) as Box<_>)
            }),
        );
        self.hand_in(operation, job, answer).await
    }

    async fn hand_in<T>(
        &self,
        operation: &'static str,
        job: Job,
        answer: oneshot::Receiver<Result<T>>,
    ) -> Result<T> {
        self.jobs.send(job).map_err(|_| gone(operation))?;
        answer.await.map_err(|_| gone(operation))?
    }
}

fn gone(operation: &'static str) -> Error {
    let message = "the journal's thread is gone";
    Error::new(ErrorKind::Unexpected, SQLITE, operation, message)
}

fn work(connection: &Connection, inbox: &mpsc::Receiver<Job>) {
    let mut next = inbox.recv().ok();
    while let Some(job) = next.take() {
        match job {
            Job::Read(read) => read(connection),
            Job::Write(operation, write) => {
                let mut group = vec![(operation, write)];
                while group.len() < GROUP {
                    match inbox.try_recv() {
                        Ok(Job::Write(operation, write)) => group.push((operation, write)),
                        Ok(read) => {
                            next = Some(read);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                commit(connection, group);
            }
        }
        if next.is_none() {
            next = inbox.recv().ok();
        }
    }
}

/// Does the writes of a group in one transaction, and tells their callers how it went.
fn commit(connection: &Connection, group: Vec<(&'static str, Write)>) {
    let mut written = Vec::with_capacity(group.len());
    let outcome = together(connection, group, &mut written).map_err(Arc::new);
    if outcome.is_err() && !connection.is_autocommit() {
        // The transaction is what failed; there is nothing more to be done about it.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for (operation, tell) in written {
        tell(outcome.as_ref().map_err(|error| classify(operation, error)).map(|&()| ()));
    }
}

fn together(
    connection: &Connection,
    group: Vec<(&'static str, Write)>,
    written: &mut Vec<(&'static str, Tell)>,
) -> rusqlite::Result<()> {
    // At once a writer, so that nobody writes between what a job reads and what it writes.
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE");
    for (operation, write) in group {
        if outcome.is_ok() {
            outcome = connection.execute_batch("SAVEPOINT job");
        }
        let (fate, tell) = write(outcome.is_ok().then_some(connection));
        written.push((operation, tell));
        if outcome.is_ok() {
            outcome = match fate {
                Fate::Keep => connection.execute_batch("RELEASE job"),
                // Fails where a full disk has ended the transaction, with all that was in it.
                Fate::Undo => connection.execute_batch("ROLLBACK TO job; RELEASE job"),
            };
        }
    }
    outcome?;
    connection.execute_batch("COMMIT")
}
