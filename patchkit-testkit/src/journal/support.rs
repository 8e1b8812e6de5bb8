//! What the cases share.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use patchkit_core::{Error, Event, Journal, NodeId, Record, RunId, RunLease};

use crate::cases::support::good;

pub(super) const TERM: Duration = Duration::from_mins(5);
/// A little less than the term.
pub(super) const WITHIN_THE_TERM: Duration = Duration::from_secs(299);
/// Longer than the term.
pub(super) const PAST_THE_TERM: Duration = Duration::from_secs(301);

pub(super) fn run(name: &str) -> RunId {
    good(RunId::new(name), "a run's id")
}

pub(super) fn node(name: &str) -> NodeId {
    good(format!("memory/111122223333/eu-west-1/{name}").parse(), "a node's id")
}

pub(super) async fn begun(journal: &dyn Journal, name: &str) -> RunLease {
    good(journal.begin(&run(name), "worker-1", TERM).await, "beginning a run")
}

/// An event that names itself.
pub(super) fn event(name: impl Into<String>) -> Event {
    Event::NodeFinished { node: node("i-1"), outcome: serde_json::Value::String(name.into()) }
}

pub(super) fn name_of(record: &Record) -> String {
    match &record.event {
        Event::NodeFinished { outcome: serde_json::Value::String(name), .. } => name.clone(),
        other => format!("{other:?}"),
    }
}

/// All records of a run; their numbers must be without gaps, and their times in order.
pub(super) async fn records(journal: &dyn Journal, run: &RunId) -> Vec<Record> {
    let records: Vec<Record> = good(journal.events(run).try_collect().await, "a run's events");
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record.seq, at as u64, "the numbers of {run} have a gap");
    }
    assert!(records.is_sorted_by_key(|record| record.at), "the times of {run} run backwards");
    records
}

pub(super) async fn names(journal: &dyn Journal, run: &RunId) -> Vec<String> {
    records(journal, run).await.iter().map(name_of).collect()
}

/// All items of a run's events, with the errors among them.
pub(super) async fn items(journal: &dyn Journal, run: &RunId) -> (Vec<Record>, Vec<Error>) {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    let mut events = journal.events(run);
    while let Some(item) = events.next().await {
        match item {
            Ok(record) => records.push(record),
            Err(error) => errors.push(error),
        }
    }
    (records, errors)
}

/// Does `work` on so many threads at once, each with a number and a runtime of its own, as several
/// processes would.
pub(super) fn at_once<T: Send>(threads: usize, work: impl AsyncFn(usize) -> T + Sync) -> Vec<T> {
    let gate = std::sync::Barrier::new(threads);
    let one = |number| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        gate.wait();
        runtime.block_on(work(number))
    };
    std::thread::scope(|scope| {
        let (one, numbers) = (&one, 0..threads);
        let threads: Vec<_> = numbers.map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of the case")).collect()
    })
}
