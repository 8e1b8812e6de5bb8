//! Crashes and bad disks: what was acknowledged stays, and what is lost is told.

use patchkit_core::{ErrorKind, Event, Record, RunLease};

use super::{
    JournalHarness, Spoilt, Tear,
    support::{PAST_THE_TERM, TERM, begun, event, items, name_of, names, node, records},
};
use crate::cases::support::{answer_of, good};

/// A journal that is opened anew, with nobody having closed the old one, shows what was acknowledged.
pub async fn a_journal_opened_anew_shows_what_was_acknowledged(h: &dyn JournalHarness) {
    let mut lease = None;
    let mut written = Vec::new();
    for at in 0..10 {
        let journal = h.open().await;
        let lease: &RunLease = match &mut lease {
            Some(lease) => lease,
            none => none.insert(begun(&*journal, "r").await),
        };
        assert_eq!(names(&*journal, &lease.run).await, written);
        let name = format!("e{at}");
        good(journal.append(lease, &[event(&name)]).await, "an append");
        written.push(name);
        let held = node(&format!("i-{at}"));
        let claims = journal.claim(lease, std::slice::from_ref(&held)).await;
        good(answer_of(claims, &held), "a claim");
        // Nobody says goodbye.
        std::mem::forget(journal);
    }
}

/// A write that broke off is gone or shown as torn; what was acknowledged before it stays, and the
/// run goes on.
pub async fn a_torn_write_costs_at_most_itself(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    for at in 0..5 {
        good(journal.append(&lease, &[event(format!("e{at}")), event("+")]).await, "an append");
    }
    drop(journal);
    let before = names(&*h.open().await, &lease.run).await;
    assert_eq!(before.len(), 10);
    let tear = h.tear(&lease.run).await;
    let journal = h.open().await;
    shown(&records(&*journal, &lease.run).await, &before, tear, 1);
    // Its own holder goes on, or the one who takes over.
    good(journal.append(&lease, &[event("after")]).await, "an append after a torn write");
    let read = records(&*h.open().await, &lease.run).await;
    assert_eq!(read.last().map(name_of).as_deref(), Some("after"));
    shown(&read[..read.len() - 1], &before, tear, 1);
    let head = good(h.open().await.head(&lease.run).await, "the head");
    assert_eq!((head.records, head.last.as_ref()), (read.len() as u64, read.last()));
}

/// Two workers died in the middle of a write; the third goes on.
pub async fn two_torn_writes_and_a_new_holder(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    good(journal.append(&lease, &[event("a")]).await, "an append");
    drop(journal);
    let tears = [h.tear(&lease.run).await, h.tear(&lease.run).await];
    h.clock().advance(PAST_THE_TERM);
    let journal = h.open().await;
    let new = good(journal.take_over(&lease.run, "worker-2", TERM).await, "taking over");
    good(journal.append(&new, &[event("b")]).await, "an append");
    let read = records(&*h.open().await, &lease.run).await;
    let seen: Vec<String> = read.iter().filter(|record| !is_torn(record)).map(name_of).collect();
    assert_eq!(seen, ["a", "b"]);
    let shown = tears.iter().filter(|tear| **tear == Tear::Shown).count();
    assert_eq!(read.iter().filter(|record| is_torn(record)).count(), shown);
}

fn is_torn(record: &Record) -> bool {
    matches!(record.event, Event::Torn { .. })
}

/// The records are those from before, and so many torn ones after them, where they are shown.
#[track_caller]
fn shown(records: &[Record], before: &[String], tear: Tear, tears: usize) {
    let (kept, rest) = records.split_at(before.len().min(records.len()));
    let kept: Vec<String> = kept.iter().map(name_of).collect();
    assert_eq!(kept, before, "what was acknowledged");
    let tears = if tear == Tear::Shown { tears } else { 0 };
    assert_eq!(rest.len(), tears, "{rest:?}");
    assert!(rest.iter().all(is_torn), "{rest:?}");
}

/// A spoilt record is an error that names the run and its place; the others are read.
pub async fn a_spoilt_record_costs_only_itself(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "run-with-a-name").await;
    for at in 0..4 {
        let batch = [event(format!("{at}a")), event(format!("{at}b")), event(format!("{at}c"))];
        good(journal.append(&lease, &batch).await, "an append");
    }
    drop(journal);
    let spoilt = h.spoil(&lease.run, 4).await;
    let (read, errors) = items(&*h.open().await, &lease.run).await;
    let lost: &[u64] = match spoilt {
        Spoilt::Alone => &[4],
        Spoilt::WithItsBatch => &[3, 4, 5],
        Spoilt::Never => &[],
    };
    let kept: Vec<u64> = (0..12).filter(|seq| !lost.contains(seq)).collect();
    let seen: Vec<u64> = read.iter().map(|record| record.seq).collect();
    assert_eq!(seen, kept);
    assert_eq!(errors.len(), usize::from(spoilt != Spoilt::Never), "{errors:?}");
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
        let text = error.report();
        assert!(text.contains("run-with-a-name") && text.contains(&lost[0].to_string()), "{text}");
    }
}

/// Where the store fails nothing is acknowledged, and nobody is told that the run is another's; what
/// was acknowledged stays, and the run goes on when the store is mended.
pub async fn a_store_that_fails_acknowledges_nothing(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    good(journal.append(&lease, &[event("a")]).await, "an append");
    h.break_writes().await;
    let fails = |answer: Result<(), patchkit_core::Error>, what: &str| match answer {
        Ok(()) => panic!("{what} was acknowledged by a broken store"),
        Err(error) => assert!(
            !matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound),
            "{what}: {error}"
        ),
    };
    for at in 0..3 {
        fails(journal.append(&lease, &[event(format!("lost-{at}"))]).await, "an append");
    }
    fails(journal.renew(&lease).await.map(drop), "a renewal");
    fails(journal.begin(&super::support::run("r2"), "w", TERM).await.map(drop), "a beginning");
    let free = node("i-1");
    let claims = journal.claim(&lease, std::slice::from_ref(&free)).await;
    fails(answer_of(claims, &free).map(drop), "a claim");
    h.mend().await;
    good(journal.append(&lease, &[event("b")]).await, "an append to a mended store");
    for journal in [journal, h.open().await] {
        let seen = names(&*journal, &lease.run).await;
        assert_eq!(seen, ["a", "b"], "what was not acknowledged by the store is not there");
    }
}
