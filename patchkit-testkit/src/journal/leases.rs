//! Leases: one holder at a time, and none for ever.

use std::time::Duration;

use patchkit_core::{Clock, ErrorKind, Event, NodeId, RunLease};

use super::{
    JournalHarness,
    support::{PAST_THE_TERM, TERM, WITHIN_THE_TERM, begun, event, names, node},
};
use crate::cases::support::{answer_of, bad, good};

/// A run begins once, whoever asks, also when it is over.
pub async fn a_run_begins_once(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let lease = begun(&*one, "r").await;
    assert_eq!((lease.holder.as_str(), lease.term), ("worker-1", TERM));
    for journal in [&one, &other] {
        for holder in ["worker-1", "worker-2"] {
            let again = journal.begin(&lease.run, holder, TERM).await;
            bad(again, ErrorKind::Conflict, "beginning once more");
        }
    }
    good(one.append(&lease, &[event("a")]).await, "the first holder's append");
    good(one.release(&lease).await, "a release");
    h.clock().advance(PAST_THE_TERM);
    bad(other.begin(&lease.run, "worker-2", TERM).await, ErrorKind::Conflict, "beginning again");
    assert_eq!(names(&*other, &lease.run).await, ["a"]);
}

/// A dead worker's lease is taken over after its term by the clock, and not a moment before.
pub async fn a_lease_is_taken_over_after_its_term_and_not_before(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let lease = begun(&*one, "r").await;
    assert_eq!(lease.expires_at.duration_since(h.clock().now()).unsigned_abs(), TERM);
    h.clock().advance(WITHIN_THE_TERM);
    let early = other.take_over(&lease.run, "worker-2", TERM).await;
    let error = bad(early, ErrorKind::Conflict, "taking over within the term");
    assert!(error.message().contains("worker-1"), "it names the holder: {error}");
    h.clock().advance(Duration::from_secs(1));
    let taken = good(other.take_over(&lease.run, "worker-2", TERM).await, "taking over");
    assert_eq!(taken.holder, "worker-2");
    assert!(taken.fence > lease.fence, "the token grows");
    let third = one.take_over(&lease.run, "worker-3", TERM).await;
    bad(third, ErrorKind::Conflict, "taking over from a living holder");
}

/// A renewal counts from the moment it is made.
pub async fn a_renewed_lease_lasts_from_then_on(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let mut lease = begun(&*one, "r").await;
    for _ in 0..5 {
        h.clock().advance(WITHIN_THE_TERM);
        let renewed = good(one.renew(&lease).await, "a renewal");
        assert_eq!(renewed.fence, lease.fence, "the holder is the same");
        assert_eq!(renewed.expires_at.duration_since(h.clock().now()).unsigned_abs(), TERM);
        lease = renewed;
        let early = other.take_over(&lease.run, "worker-2", TERM).await;
        bad(early, ErrorKind::Conflict, "taking over a renewed lease");
    }
    h.clock().advance(PAST_THE_TERM);
    good(other.take_over(&lease.run, "worker-2", TERM).await, "taking over");
}

/// A holder that slept through its term, unnoticed, goes on.
pub async fn a_lease_that_ran_out_is_good_again_until_it_is_taken_over(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    h.clock().advance(10 * TERM);
    good(journal.append(&lease, &[event("a")]).await, "an append with a lease that ran out");
    let lease = good(journal.renew(&lease).await, "renewing a lease that ran out");
    let other = h.open().await;
    let early = other.take_over(&lease.run, "worker-2", TERM).await;
    bad(early, ErrorKind::Conflict, "taking over a renewed lease");
    h.clock().advance(PAST_THE_TERM);
    good(other.take_over(&lease.run, "worker-2", TERM).await, "taking over");
    bad(journal.renew(&lease).await, ErrorKind::Conflict, "renewing what was taken over");
}

/// A run that was let go is free at once; letting go twice is as good as once.
pub async fn a_released_run_is_taken_over_at_once(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let lease = begun(&*one, "r").await;
    good(one.release(&lease).await, "a release");
    good(one.release(&lease).await, "a second release");
    let taken = good(other.take_over(&lease.run, "worker-2", TERM).await, "taking over");
    bad(one.release(&lease).await, ErrorKind::Conflict, "letting another's run go");
    good(other.append(&taken, &[event("b")]).await, "the new holder's append");
}

/// Whatever an old holder asks for is refused, however it wakes up, and changes nothing.
pub async fn an_old_holder_is_refused(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let old = begun(&*one, "r").await;
    good(one.append(&old, &[event("a")]).await, "an append");
    let held = node("i-held");
    let claims = one.claim(&old, std::slice::from_ref(&held)).await;
    good(answer_of(claims, &held), "a claim");
    h.clock().advance(PAST_THE_TERM);
    let new = good(other.take_over(&old.run, "worker-2", TERM).await, "taking over");
    good(other.append(&new, &[event("b")]).await, "the new holder's append");

    // The journal that knew the old holder, the one that knows the new one, and one that knows none.
    for journal in [&one, &other, &h.open().await] {
        refused(&**journal, &old, &held).await;
    }
    // The same name does not make the same holder.
    let mut namesake = old.clone();
    namesake.holder = new.holder.clone();
    refused(&*one, &namesake, &held).await;
    good(other.append(&new, &[event("c")]).await, "the new holder's append");
    assert_eq!(names(&*one, &old.run).await, ["a", "b", "c"]);
    let third = good(h.open().await.begin(&super::support::run("r2"), "w", TERM).await, "a run");
    let claims = one.claim(&third, std::slice::from_ref(&held)).await;
    bad(answer_of(claims, &held), ErrorKind::Conflict, "claiming what the first run holds");
}

async fn refused(journal: &dyn patchkit_core::Journal, old: &RunLease, held: &NodeId) {
    bad(journal.append(old, &[Event::RunFinished]).await, ErrorKind::Conflict, "an old append");
    bad(journal.renew(old).await, ErrorKind::Conflict, "an old renewal");
    bad(journal.release(old).await, ErrorKind::Conflict, "an old release");
    let free = node("i-free");
    let claims = journal.claim(old, std::slice::from_ref(&free)).await;
    bad(answer_of(claims, &free), ErrorKind::Conflict, "an old holder's claim");
    let given = journal.unclaim(old, std::slice::from_ref(held)).await;
    bad(given, ErrorKind::Conflict, "giving back by an old holder");
}

/// A term without end does not overflow.
pub async fn the_longest_term_is_a_term(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let run = super::support::run("r");
    let lease = good(journal.begin(&run, "worker-1", Duration::MAX).await, "a run without end");
    let lease = good(journal.renew(&lease).await, "a renewal");
    h.clock().advance(Duration::from_hours(24 * 365 * 50));
    let early = h.open().await.take_over(&lease.run, "worker-2", TERM).await;
    bad(early, ErrorKind::Conflict, "taking over within the term");
    let head = good(h.open().await.head(&run).await, "the head");
    assert_eq!((head.lease.term, head.lease.expires_at), (lease.term, lease.expires_at));
}
