//! Processes that are killed while they write, and processes that write at once.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use futures::{TryStreamExt, executor::block_on};
use object_store::local::LocalFileSystem;
use patchkit_core::{Event, Journal, Record, RunId, RunLease, SystemClock};
use patchkit_journal::{ObjectJournal, SqliteJournal};

/// What the child is to do: the kind of journal, where it is, and its name.
const KIND: &str = "PATCHKIT_JOURNAL_KIND";
const PLACE: &str = "PATCHKIT_JOURNAL_PLACE";
const NAME: &str = "PATCHKIT_JOURNAL_NAME";

const TERM: Duration = Duration::from_millis(1);
const KINDS: [&str; 2] = ["sqlite", "objects"];
/// Fifty for each kind.
const KILLS: u64 = 50;

fn open(kind: &str, place: &Path) -> patchkit_core::Result<Arc<dyn Journal>> {
    if kind == "sqlite" {
        return Ok(Arc::new(SqliteJournal::open(place.join("runs.db"), SystemClock)?));
    }
    let store = LocalFileSystem::new_with_prefix(place).unwrap();
    Ok(Arc::new(ObjectJournal::new(Arc::new(store), "journal", SystemClock)?))
}

fn run() -> RunId {
    RunId::new("run").unwrap()
}

fn event(text: String) -> Event {
    Event::NodeFinished {
        node: "aws/1/eu-west-1/i-1".parse().unwrap(),
        outcome: serde_json::Value::String(text),
    }
}

fn name_of(record: &Record) -> Option<String> {
    match &record.event {
        Event::NodeFinished { outcome: serde_json::Value::String(name), .. } => Some(name.clone()),
        _ => None,
    }
}

fn names(journal: &dyn Journal) -> Vec<String> {
    let records: Vec<Record> = block_on(journal.events(&run()).try_collect()).unwrap();
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record.seq, at as u64, "the numbers have a gap");
    }
    records.iter().filter_map(name_of).collect()
}

/// Takes the run over, or begins it.
fn hold(journal: &dyn Journal, holder: &str) -> RunLease {
    loop {
        let held = match block_on(journal.begin(&run(), holder, TERM)) {
            Ok(lease) => return lease,
            Err(_) => block_on(journal.take_over(&run(), holder, TERM)),
        };
        match held {
            Ok(lease) => return lease,
            Err(_) => thread::sleep(TERM),
        }
    }
}

/// Not a test of its own: the process that the others start and kill. It appends for as long as it
/// lives, and says on its output what was acknowledged.
#[test]
#[ignore = "the process that the other tests start"]
fn child() {
    let [kind, place, name] = [KIND, PLACE, NAME].map(|name| std::env::var(name).unwrap());
    let journal = match open(&kind, Path::new(&place)) {
        Ok(journal) => journal,
        Err(error) => {
            println!("refused {}", error.report());
            return;
        }
    };
    let lease = hold(&*journal, &name);
    let mut output = std::io::stdout().lock();
    for at in 0_u64.. {
        // Of several sizes, so that some writes take more than a page.
        let padding = "x".repeat(usize::try_from(at % 7).unwrap() * 3_000);
        let batch = [event(format!("{name}-{at}")), event(padding), event(format!("{name}-{at}b"))];
        match block_on(journal.append(&lease, &batch)) {
            Ok(()) => writeln!(output, "done {name}-{at}").unwrap(),
            Err(error) => {
                writeln!(output, "failed {name}-{at}: {}", error.report()).unwrap();
                return;
            }
        }
        output.flush().unwrap();
    }
}

fn start(kind: &str, place: &Path, name: &str, shell: Option<&str>) -> Child {
    let this = std::env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(this),
        Some(setup) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{setup}; exec \"$0\" \"$@\"")).arg(this);
            command
        }
    };
    command
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(KIND, kind)
        .env(PLACE, place)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a child said with this word.
fn said(lines: &[String], word: &str) -> Vec<String> {
    // The first line follows on the test runner's own words.
    let after = |line: &String| Some(line.split_once(&format!("{word} "))?.1.to_owned());
    lines.iter().filter_map(after).collect()
}

fn lines_of(child: &mut Child) -> Vec<String> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect()
}

#[test]
fn what_was_acknowledged_outlives_fifty_kills() {
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let mut acknowledged: Vec<String> = Vec::new();
        for kill in 0..KILLS {
            let mut child = start(kind, directory.path(), &format!("k{kill}"), None);
            // It lives for a while that is another each time, some not long enough to begin.
            let wait = Duration::from_millis(5 + kill * 37 % 120);
            let reader = {
                let output = child.stdout.take().unwrap();
                thread::spawn(move || {
                    BufReader::new(output).lines().map_while(Result::ok).collect::<Vec<String>>()
                })
            };
            thread::sleep(wait);
            child.kill().unwrap();
            child.wait().unwrap();
            let lines = reader.join().unwrap();
            assert!(said(&lines, "failed").is_empty(), "{lines:?}");
            acknowledged.extend(said(&lines, "done"));

            if acknowledged.is_empty() {
                continue;
            }
            let seen = names(&*open(kind, directory.path()).unwrap());
            let mut whole = seen.iter().filter(|name| name.starts_with('k'));
            let mut kept = acknowledged.iter();
            let mut next = kept.next();
            while let Some(name) = whole.next() {
                assert_eq!(whole.next(), Some(&format!("{name}b")), "a batch is cut in two");
                if Some(name) == next {
                    next = kept.next();
                }
            }
            assert_eq!(next, None, "{kind}: it was acknowledged and is gone, or out of order");
        }
        assert!(acknowledged.len() > 100, "{kind}: only {} writes", acknowledged.len());
    }
}

#[test]
fn processes_that_write_at_once_lose_nothing() {
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(kind, directory.path()).unwrap();
        let shared = hold(&*journal, "parent");
        // They take the run from each other: each is told, and stops.
        let mut children: Vec<Child> =
            (0..3).map(|at| start(kind, directory.path(), &format!("p{at}"), None)).collect();
        thread::sleep(Duration::from_secs(1));
        for child in &mut children {
            child.kill().unwrap();
        }
        let mut acknowledged = 0;
        let seen = names(&*open(kind, directory.path()).unwrap());
        for child in &mut children {
            let lines = lines_of(child);
            child.wait().unwrap();
            let done = said(&lines, "done");
            for name in &done {
                let copies = seen.iter().filter(|it| *it == name).count();
                assert_eq!(copies, 1, "{kind}: {name}");
            }
            for failed in said(&lines, "failed") {
                assert!(failed.contains("was taken over"), "{kind}: {failed}");
            }
            acknowledged += done.len();
        }
        assert!(acknowledged > 10, "{kind}: only {acknowledged} writes");
        let late = block_on(journal.append(&shared, &[event("late".to_owned())]));
        assert!(late.is_err(), "{kind}: the first holder was taken over");
    }
}

/// A disk that is full, as the kernel plays it: files may not grow beyond a size.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_costs_nothing_that_was_acknowledged() {
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        // In blocks of 512 bytes; the signal that would kill the process is ignored.
        let limit = if kind == "sqlite" { 400 } else { 16 };
        let setup = format!("trap '' XFSZ; ulimit -f {limit}");
        let mut child = start(kind, directory.path(), "full", Some(&setup));
        let lines = lines_of(&mut child);
        child.wait().unwrap();
        let (done, failed) = (said(&lines, "done"), said(&lines, "failed"));
        assert_eq!(failed.len(), 1, "{kind}: {lines:?}");
        assert!(!failed[0].contains("taken over"), "{kind}: {failed:?}");
        let journal = open(kind, directory.path()).unwrap();
        let seen = names(&*journal);
        for name in &done {
            assert!(seen.contains(name) && seen.contains(&format!("{name}b")), "{kind}: {name}");
        }
        // With room again the run goes on.
        let lease = hold(&*journal, "later");
        block_on(journal.append(&lease, &[event("later".to_owned())])).unwrap();
        assert_eq!(names(&*journal).last().map(String::as_str), Some("later"));
    }
}
