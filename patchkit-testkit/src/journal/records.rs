//! Records: what is written is read.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use patchkit_core::{Clock, ErrorKind, Event, Order, Record, RunId};

use super::{
    JournalHarness,
    support::{TERM, begun, event, names, records, run},
};
use crate::cases::support::{bad, good};

/// What was acknowledged is read back in order, by whoever opens the journal, however it was cut
/// into batches.
pub async fn what_was_acknowledged_is_read_back_in_order(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    let mut written = Vec::new();
    for batch in 1..=20 {
        let events: Vec<String> = (0..=batch * 7 % 30).map(|at| format!("{batch}-{at}")).collect();
        let batch: Vec<Event> = events.iter().map(event).collect();
        good(journal.append(&lease, &batch).await, "an append");
        written.extend(events);
        h.clock().advance(Duration::from_secs(1));
    }
    assert_eq!(names(&*journal, &lease.run).await, written);
    assert_eq!(names(&*h.open().await, &lease.run).await, written);
    let records = records(&*journal, &lease.run).await;
    let took = records[records.len() - 1].at.duration_since(records[0].at);
    assert_eq!(took.as_secs(), 19, "records bear the journal's time");
}

/// No events are no record, and no error.
pub async fn nothing_appended_is_nothing_written(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    good(journal.append(&lease, &[]).await, "an append of nothing");
    assert!(records(&*journal, &lease.run).await.is_empty());
    good(journal.append(&lease, &[event("a")]).await, "an append");
    assert_eq!(names(&*journal, &lease.run).await, ["a"]);
}

/// A record of several megabytes, as the plan of a large fleet is, and a thousand records at once.
pub async fn a_big_record_is_kept(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    let plan: Vec<String> =
        (0..60_000).map(|at| format!("node-{at} \u{2713} \0 \"{at}\"")).collect();
    let started = Event::RunStarted {
        workflow: "patch".to_owned(),
        plan_hash: "0".repeat(64),
        plan: serde_json::json!({ "nodes": plan }),
    };
    good(journal.append(&lease, std::slice::from_ref(&started)).await, "a big append");
    let many: Vec<Event> = (0..1_000).map(|at| event(at.to_string())).collect();
    good(journal.append(&lease, &many).await, "an append of many");
    let read = records(&*h.open().await, &lease.run).await;
    assert!(read[0].event == started, "the plan is not what it was");
    assert!(
        read[1..].iter().map(|record| &record.event).eq(&many),
        "the many are not as they were"
    );
}

/// An event of a version to come is read back as it was written, and those around it with it.
pub async fn an_unknown_event_is_kept(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    let unknown = serde_json::json!({
        "event": "change_intent",
        "change": { "change": "quarantine", "node": "memory/1/eu-west-1/i-1", "since": [1, null] },
    });
    let unknown: Event = good(
        serde_json::from_value(unknown.clone())
            .map_err(|error| patchkit_core::Error::invalid("testkit", "parse", error.to_string())),
        "an unknown event",
    );
    assert!(matches!(unknown, Event::Other(_)), "{unknown:?}");
    let events = [event("a"), unknown, event("b")];
    good(journal.append(&lease, &events).await, "an append");
    let read = records(&*h.open().await, &lease.run).await;
    assert!(read.iter().map(|record| &record.event).eq(&events), "{read:?}");
}

/// Runs come oldest first, finished ones too, whatever their names.
pub async fn runs_are_listed_oldest_first(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let mut begun_runs = Vec::new();
    for at in 0..60_u64 {
        let lease = begun(&*journal, &format!("run-{}", at * 37 % 60)).await;
        if at % 3 == 0 {
            good(journal.append(&lease, &[Event::RunFinished]).await, "an append");
            good(journal.release(&lease).await, "a release");
        }
        begun_runs.push(lease.run);
        h.clock().advance(Duration::from_secs(1));
    }
    for journal in [journal, h.open().await] {
        let listed: Vec<RunId> = good(journal.runs().try_collect().await, "the runs");
        assert_eq!(listed, begun_runs);
    }
}

/// Names that are paths, patterns or of the longest kind are runs of their own.
pub async fn a_run_of_any_name_is_a_run_of_its_own(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let names_of_runs = [
        "a".to_owned(),
        "A".to_owned(),
        "a/b".to_owned(),
        "a%2Fb".to_owned(),
        "..".to_owned(),
        "../a".to_owned(),
        "a ".to_owned(),
        "*?'\"; --".to_owned(),
        "\u{e9}".to_owned(),
        "e\u{301}".to_owned(),
        "x".repeat(2_048),
        format!("{}y", "x".repeat(2_047)),
    ];
    for name in &names_of_runs {
        let lease = begun(&*journal, name).await;
        good(journal.append(&lease, &[event(name)]).await, "an append");
        h.clock().advance(Duration::from_secs(1));
    }
    let other = h.open().await;
    for name in &names_of_runs {
        assert_eq!(names(&*other, &run(name)).await, std::slice::from_ref(name));
    }
    let listed: Vec<RunId> = good(other.runs().try_collect().await, "the runs");
    let expected: Vec<RunId> = names_of_runs.iter().map(|name| run(name)).collect();
    assert_eq!(listed, expected);
}

/// Whatever is asked of a run that does not exist is `NotFound`.
pub async fn a_run_that_does_not_exist_is_not_found(h: &dyn JournalHarness) {
    let journal = h.open().await;
    begun(&*journal, "other").await;
    let missing = run("missing");
    let read: Result<Vec<Record>, _> = journal.events(&missing).try_collect().await;
    bad(read, ErrorKind::NotFound, "reading");
    bad(journal.head(&missing).await, ErrorKind::NotFound, "the head");
    bad(journal.take_over(&missing, "worker-2", TERM).await, ErrorKind::NotFound, "taking over");
    let pause = Order::Pause { run: missing };
    bad(journal.order(&pause, "kim", "why").await, ErrorKind::NotFound, "an order");
    let listed: Vec<_> = journal.runs().collect().await;
    assert_eq!(listed.len(), 1, "asking made no run");
}

/// The head tells the lease and the newest record, and how many there are.
pub async fn the_head_tells_the_newest_record(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let begun_at = h.clock().now();
    let lease = begun(&*journal, "r").await;
    let head = good(h.open().await.head(&lease.run).await, "the head of a new run");
    assert_eq!((head.begun_at, head.lease, head.records), (begun_at, lease.clone(), 0));
    assert!(head.last.is_none());
    h.clock().advance(Duration::from_mins(1));
    good(journal.append(&lease, &[event("a"), event("b"), event("c")]).await, "an append");
    let renewed = good(journal.renew(&lease).await, "a renewal");
    for journal in [journal, h.open().await] {
        let head = good(journal.head(&lease.run).await, "the head");
        assert_eq!((head.begun_at, &head.lease, head.records), (begun_at, &renewed, 3));
        assert_eq!(head.last.as_ref(), records(&*journal, &lease.run).await.last());
    }
}
