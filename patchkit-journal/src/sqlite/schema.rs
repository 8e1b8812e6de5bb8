//! The file: made, opened, and refused where it is not ours.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use patchkit_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{SQLITE, classify};

/// "PkJr": tells a journal from other SQLite files.
const APPLICATION: i32 = 0x506b_4a72;

/// Grows when the tables change.
const VERSION: i32 = 2;

/// Leases, events and orders are JSON, so that `sqlite3` shows them and newer versions may add to
/// them. A claim's number is its fencing token: AUTOINCREMENT never gives one twice.
const TABLES: &str = "
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL UNIQUE,
        begun_at TEXT NOT NULL,
        fence INTEGER NOT NULL,
        lease TEXT NOT NULL
    );
    CREATE TABLE records (
        run INTEGER NOT NULL REFERENCES runs,
        seq INTEGER NOT NULL,
        at TEXT NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE claims (
        fence INTEGER PRIMARY KEY AUTOINCREMENT,
        node TEXT NOT NULL UNIQUE,
        run INTEGER NOT NULL REFERENCES runs
    );
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY,
        run TEXT,
        record TEXT NOT NULL
    );
    CREATE INDEX orders_of_run ON orders (run);
";

/// What came with version 2: the books of the ledger.
const LEDGER: &str = "
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        book TEXT NOT NULL,
        at TEXT NOT NULL,
        entry TEXT NOT NULL
    );
    CREATE INDEX ledger_of_book ON ledger (book);
";

pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    make(path).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unexpected,
        };
        let message = format!("{} cannot be made", path.display());
        Error::new(kind, SQLITE, "open", message).with_source(error)
    })?;
    let begun = Instant::now();
    loop {
        let error = match connect(path, busy_timeout) {
            Ok(connection) => return Ok(connection),
            Err(Refusal::Sqlite(error)) => classify("open", &Arc::new(error)),
            Err(Refusal::Ours(error)) => error,
        };
        // Going over to a write-ahead log does not wait for others, whatever the timeout says:
        // https://sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode
        if !error.is_retryable() || begun.elapsed() >= busy_timeout {
            return Err(error);
        }
        thread::sleep(AGAIN);
    }
}

/// The pause before a file is opened again that others are making.
const AGAIN: Duration = Duration::from_millis(5);

/// Makes the file for its owner alone. SQLite gives its log the same permissions.
fn make(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Also where it is a directory or may not be read: opening it tells.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::metadata(path).map(drop),
        Err(error) => Err(error),
    }
}

enum Refusal {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, Refusal> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    // Before anything is written: what is not ours is left as it is. In a transaction, for another
    // process may be making the tables.
    check(&*connection.transaction()?)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let message = format!("{} lies where SQLite can keep no write-ahead log", path.display());
        return Err(Refusal::Ours(Error::new(ErrorKind::Unsupported, SQLITE, "open", message)));
    }
    // In a write-ahead log NORMAL, the usual choice, does not wait for the disk at each commit.
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made the tables meanwhile, and be newer.
    let version = check(&transaction)?;
    if version < 1 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
    }
    if version < VERSION {
        transaction.execute_batch(LEDGER)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The version of the file's tables; 0 for a file without any.
fn check(connection: &Connection) -> Result<i32, Refusal> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION, version @ 1..=VERSION) => Ok(version),
        (APPLICATION, newer) => {
            let message = format!(
                "a newer version of PatchKit wrote the file: its schema is {newer}, and this one \
                 knows {VERSION}"
            );
            Err(Refusal::Ours(Error::new(ErrorKind::Unsupported, SQLITE, "open", message)))
        }
        _ => Err(Refusal::Ours(Error::invalid(SQLITE, "open", "the file is no journal"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(prepare: impl FnOnce(&Path)) -> Error {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.db");
        prepare(&path);
        let before = fs::read(&path).ok();
        let error = open(&path, Duration::ZERO).unwrap_err();
        assert_eq!(fs::read(&path).ok(), before, "what is refused is left as it is");
        error
    }

    #[test]
    fn a_file_of_a_newer_schema_is_refused() {
        let error = refused(|path| {
            let connection = open(path, Duration::ZERO).unwrap();
            connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
        });
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("newer version"), "{error}");
        assert!(error.message().contains(&(VERSION + 1).to_string()), "{error}");
    }

    #[test]
    fn a_file_of_the_first_schema_is_brought_up_to_date_and_keeps_its_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(TABLES).unwrap();
        old.execute("INSERT INTO runs VALUES (1, 'r', '', 1, '')", []).unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        for _ in 0..2 {
            let connection = open(&path, Duration::ZERO).unwrap();
            let count = |table: &str| -> i64 {
                let sql = format!("SELECT count(*) FROM {table}");
                connection.query_row(&sql, [], |row| row.get(0)).unwrap()
            };
            assert_eq!((count("runs"), count("ledger")), (1, 0));
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused() {
        let error = refused(|path| {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("CREATE TABLE t (x)").unwrap();
        });
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::InvalidInput, "the file is no journal")
        );
        let error = refused(|path| {
            fs::write(path, "not a database at all, and long enough".repeat(40)).unwrap();
        });
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::InvalidInput, "the file is no journal")
        );
        let error = refused(|path| fs::create_dir(path).unwrap());
        assert_eq!(error.kind(), ErrorKind::Unexpected);
    }

    #[test]
    fn a_directory_that_is_missing_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let error = open(&directory.path().join("a/b.db"), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("b.db"), "{error}");
    }

    #[test]
    fn a_file_that_many_make_at_once_is_made_once() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("runs.db");
            let gate = std::sync::Barrier::new(6);
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        gate.wait();
                        open(&path, Duration::from_mins(1)).unwrap();
                    });
                }
            });
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_and_its_log_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let _connection = open(&directory.path().join("runs.db"), Duration::ZERO).unwrap();
        let mut files = 0;
        for entry in fs::read_dir(directory.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            files += 1;
        }
        assert!(files >= 2, "the file and its log");
    }

    #[test]
    fn every_commit_waits_for_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("runs.db"), Duration::ZERO).unwrap();
        let full: i32 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(full, 2);
    }
}
