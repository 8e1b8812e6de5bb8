//! What a durable journal costs: appends a second, bytes for each node of a run, and how long it
//! takes to read a run of a hundred thousand nodes that is half done.
//!
//! `cargo bench -p patchkit-journal --features object-store --bench journal`

use std::{
    error::Error,
    fs,
    future::poll_fn,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use futures::{TryStreamExt, executor::block_on, future::join_all};
use object_store::local::LocalFileSystem;
use patchkit_core::{
    Amount, Clock, Event, Journal, NodeSelector, Record, Rollout, RunId, RunLease, SystemClock,
    VirtualClock,
    memory::{Fault, MemoryCloud, MemoryJournal},
    workflow::{PatchOptions, Runner},
};
use patchkit_journal::{ObjectJournal, SqliteJournal};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Acts that are followed at once, each of which writes.
const AT_ONCE: usize = 40;
const TERM: Duration = Duration::from_hours(1);

fn main() -> Outcome<()> {
    // Where the disk is: what is kept in memory waits for nothing.
    let place = std::env::temp_dir();
    for kind in ["sqlite", "objects in a directory"] {
        let directory = tempfile::tempdir_in(&place)?;
        let journal = open(kind, directory.path())?;
        println!("{kind}");
        appends(&*journal)?;
    }
    let records = block_on(recorded(10_000))?;
    for kind in ["sqlite", "objects in a directory"] {
        let directory = tempfile::tempdir_in(&place)?;
        println!("{kind}, a run over 10,000 nodes of {} records", records.len());
        write(kind, directory.path(), &records)?;
        let bytes = size(directory.path())?;
        println!("  {:.0} bytes for each node", bytes / 10_000.0);
        read(kind, directory.path())?;
    }
    let half = half_of_ten(&records)?;
    for kind in ["sqlite", "objects in a directory"] {
        let directory = tempfile::tempdir_in(&place)?;
        println!("{kind}, half of a run over 100,000 nodes, {} records", half.len());
        write(kind, directory.path(), &half)?;
        read(kind, directory.path())?;
        let seconds = block_on(first_call(kind, directory.path()))?;
        println!("  resumed up to its first call to a provider in {seconds:.2} s");
    }
    Ok(())
}

fn open(kind: &str, place: &Path) -> Outcome<Arc<dyn Journal>> {
    open_on(kind, place, SystemClock)
}

fn open_on(kind: &str, place: &Path, clock: impl Clock) -> Outcome<Arc<dyn Journal>> {
    if kind == "sqlite" {
        return Ok(Arc::new(SqliteJournal::open(place.join("runs.db"), clock)?));
    }
    let store = Arc::new(LocalFileSystem::new_with_prefix(place)?);
    Ok(Arc::new(ObjectJournal::new(store, "journal", clock)?))
}

fn appends(journal: &dyn Journal) -> Outcome<()> {
    let lease = block_on(journal.begin(&RunId::new("appends")?, "bench", TERM))?;
    let event = [Event::NodeFinished {
        node: "aws/111122223333/eu-west-1/i-0123456789abcdef0".parse()?,
        outcome: serde_json::json!({ "outcome": "patched", "notes": [] }),
    }];
    let begun = Instant::now();
    let one_by_one = 500;
    for _ in 0..one_by_one {
        block_on(journal.append(&lease, &event))?;
    }
    println!("  {:.0} appends/s one by one", f64::from(one_by_one) / begun.elapsed().as_secs_f64());
    let (begun, mut appended) = (Instant::now(), 0.0);
    while begun.elapsed() < Duration::from_secs(2) {
        let appends = (0..AT_ONCE).map(|_| journal.append(&lease, &event));
        block_on(join_all(appends)).into_iter().collect::<Result<(), _>>()?;
        appended += 40.0;
    }
    println!("  {:.0} appends/s, {AT_ONCE} at once", appended / begun.elapsed().as_secs_f64());
    Ok(())
}

/// What a whole run over so many nodes writes down, a third of which it starts.
async fn recorded(nodes: usize) -> Outcome<Vec<Record>> {
    let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse()?);
    let cloud = MemoryCloud::builder().seed(7).nodes(nodes).clock(clock.clone()).build();
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(cloud.clone(), cloud, journal.clone(), clock);
    let rollout =
        Rollout::new().with_disruption(Amount::Percent(10)).with_errors(Amount::Percent(100));
    let options = PatchOptions::new(NodeSelector::all())
        .with_start(NodeSelector::all())
        .with_fresh(Duration::ZERO)
        .with_rollout(rollout);
    let (run, plan) = (RunId::new("run")?, runner.plan_patch(&options).await?);
    runner.patch(&run, &plan).await?;
    Ok(journal.events(&run).try_collect().await?)
}

/// Half of a run over ten times the nodes: one plan for all, and five of ten parts carried out.
fn half_of_ten(records: &[Record]) -> Outcome<Vec<Record>> {
    let mut plan = None;
    let mut half = Vec::new();
    for part in 0..10 {
        for record in records {
            let text = serde_json::to_string(record)?.replace("/i-", &format!("/i-{part}-"));
            let own: Record = serde_json::from_str(&text)?;
            match own.event {
                Event::RunStarted { plan: own, .. } => {
                    add(plan.get_or_insert_with(|| own.clone()), own);
                }
                Event::RunFinished => {}
                _ if part < 5 => half.push(own),
                _ => {}
            }
        }
    }
    let mut first = records[0].clone();
    if let (Event::RunStarted { plan: whole, .. }, Some(plan)) = (&mut first.event, plan) {
        *whole = plan;
    }
    half.insert(0, first);
    Ok(half)
}

/// Adds the nodes of a part to those of the whole plan.
fn add(whole: &mut serde_json::Value, mut part: serde_json::Value) {
    let mut move_over = |path: &str| {
        let (Some(whole), Some(part)) = (whole.pointer_mut(path), part.pointer_mut(path)) else {
            return;
        };
        if let (Some(whole), Some(part)) = (whole.as_array_mut(), part.as_array_mut())
            && whole.first() != part.first()
        {
            whole.append(part);
        }
    };
    ["/nodes", "/skipped", "/waves/0/nodes"].into_iter().for_each(&mut move_over);
}

/// Writes records as a run does: those of one moment at once.
fn write(kind: &str, place: &Path, records: &[Record]) -> Outcome<()> {
    let journal = open(kind, place)?;
    let lease: RunLease = block_on(journal.begin(&RunId::new("run")?, "bench", TERM))?;
    let (begun, mut writes) = (Instant::now(), 0);
    for batch in records.chunk_by(|a, b| a.at == b.at) {
        let events: Vec<Event> = batch.iter().map(|record| record.event.clone()).collect();
        block_on(journal.append(&lease, &events))?;
        writes += 1;
    }
    println!("  written in {:.2} s by {writes} appends", begun.elapsed().as_secs_f64());
    Ok(())
}

fn read(kind: &str, place: &Path) -> Outcome<()> {
    let journal = open(kind, place)?;
    let begun = Instant::now();
    let records: Vec<Record> = block_on(journal.events(&RunId::new("run")?).try_collect())?;
    println!("  {} records read in {:.2} s", records.len(), begun.elapsed().as_secs_f64());
    Ok(())
}

/// How long a resumption reads, claims and writes before it asks a provider for anything.
async fn first_call(kind: &str, place: &Path) -> Outcome<f64> {
    // When the lease is over.
    let clock = VirtualClock::automatic("2035-01-01T00:00:00Z".parse()?);
    let journal = open_on(kind, place, clock.clone())?;
    let cloud = MemoryCloud::builder().seed(7).nodes(0).clock(clock.clone()).build();
    let called = Arc::new(Mutex::new(None));
    let calls = Arc::clone(&called);
    cloud.on_call(move |_| {
        calls.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        Fault::Pass
    });
    let runner = Runner::new(cloud.clone(), cloud, journal, clock);
    let (run, begun) = (RunId::new("run")?, Instant::now());
    let mut resuming = Box::pin(runner.resume(&run));
    let first = poll_fn(|cx| {
        let resumed = resuming.as_mut().poll(cx);
        match (*called.lock().unwrap_or_else(PoisonError::into_inner), resumed) {
            (Some(at), _) => Poll::Ready(Ok(at)),
            (None, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (None, Poll::Ready(Ok(_))) => Poll::Ready(Ok(Instant::now())),
            (None, Poll::Pending) => Poll::Pending,
        }
    });
    Ok(first.await?.duration_since(begun).as_secs_f64())
}

fn size(place: &Path) -> Outcome<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        #[expect(clippy::cast_precision_loss, reason = "sizes of files, for people")]
        let own = metadata.len() as f64;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { own };
    }
    Ok(bytes)
}
