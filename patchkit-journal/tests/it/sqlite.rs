//! The SQLite journal, by the suite, and by what only a file can suffer.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use patchkit_core::{Book, Event, Journal, Ledger, RunId, VirtualClock};
use patchkit_journal::{SqliteJournal, SqliteOptions};
use patchkit_testkit::journal::{JournalHarness, Spoilt, Tear};
use rusqlite::Connection;
use tempfile::TempDir;

mod suite {
    patchkit_testkit::journal_conformance!(crate::sqlite::SqliteHarness::new());
}

/// A file in a directory of its own.
pub(crate) struct SqliteHarness {
    clock: VirtualClock,
    directory: TempDir,
    /// How often the machine crashed: what it left is opened under a new name.
    crashes: AtomicU32,
}

impl SqliteHarness {
    pub(crate) fn new() -> Self {
        Self {
            clock: VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap()),
            directory: tempfile::tempdir().unwrap(),
            crashes: AtomicU32::new(0),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(format!("runs-{}.db", self.crashes.load(Ordering::Relaxed)))
    }

    fn journal(&self) -> SqliteJournal {
        // Cases that write from many threads wait for their turn, on a slow machine too.
        let options = SqliteOptions::default().with_busy_timeout(Duration::from_mins(1));
        SqliteJournal::open_with(self.path(), self.clock.clone(), options).unwrap()
    }
}

impl fmt::Debug for SqliteHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteHarness({})", self.path().display())
    }
}

#[async_trait::async_trait]
impl JournalHarness for SqliteHarness {
    fn clock(&self) -> VirtualClock {
        self.clock.clone()
    }

    async fn open(&self) -> Arc<dyn Journal> {
        Arc::new(self.journal())
    }

    async fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.journal())
    }

    /// The machine loses power in the middle of a commit: the log ends in half a page.
    async fn tear(&self, run: &RunId) -> Tear {
        let (before, bystander) = (self.path(), Connection::open(self.path()).unwrap());
        // An open reader keeps the log from being folded into the file.
        bystander.query_row("SELECT count(*) FROM runs", [], |_| Ok(())).unwrap();
        let journal = self.journal();
        let lease = journal.head(run).await.unwrap().lease;
        journal.append(&lease, &[Event::RunFinished]).await.unwrap();
        self.crashes.fetch_add(1, Ordering::Relaxed);
        let log = |path: &PathBuf| path.with_extension("db-wal");
        let mut frames = fs::read(log(&before)).unwrap();
        frames.truncate(frames.len() - 100);
        fs::copy(&before, self.path()).unwrap();
        fs::write(log(&self.path()), frames).unwrap();
        drop(bystander);
        Tear::Gone
    }

    async fn spoil(&self, run: &RunId, seq: u64) -> Spoilt {
        let sql = "UPDATE records SET event = '{\"event\": \"node_fin' WHERE seq = ?2
                   AND run = (SELECT id FROM runs WHERE run = ?1)";
        let row = rusqlite::params![run.as_str(), i64::try_from(seq).unwrap()];
        assert_eq!(Connection::open(self.path()).unwrap().execute(sql, row).unwrap(), 1);
        Spoilt::Alone
    }

    async fn spoil_entry(&self, book: Book, number: u64) -> Spoilt {
        let sql = "UPDATE ledger SET entry = '{\"half' WHERE book = ?1 AND id = ?2";
        let row = rusqlite::params![book.as_str(), i64::try_from(number).unwrap()];
        assert_eq!(Connection::open(self.path()).unwrap().execute(sql, row).unwrap(), 1);
        Spoilt::Alone
    }

    async fn break_writes(&self) {
        let sql = "CREATE TRIGGER broken_runs BEFORE UPDATE ON runs BEGIN
                       SELECT raise(ABORT, 'broken'); END;
                   CREATE TRIGGER broken_begin BEFORE INSERT ON runs BEGIN
                       SELECT raise(ABORT, 'broken'); END;
                   CREATE TRIGGER broken_append BEFORE INSERT ON records BEGIN
                       SELECT raise(ABORT, 'broken'); END;
                   CREATE TRIGGER broken_claim BEFORE INSERT ON claims BEGIN
                       SELECT raise(ABORT, 'broken'); END;
                   CREATE TRIGGER broken_entry BEFORE INSERT ON ledger BEGIN
                       SELECT raise(ABORT, 'broken'); END;";
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    async fn mend(&self) {
        let sql = "DROP TRIGGER broken_runs; DROP TRIGGER broken_begin;
                   DROP TRIGGER broken_append; DROP TRIGGER broken_claim;
                   DROP TRIGGER broken_entry;";
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}
