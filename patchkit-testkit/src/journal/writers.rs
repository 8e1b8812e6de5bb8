//! Several writers at once, each with the journal opened for itself, on threads of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, atomic::AtomicBool, atomic::Ordering},
};

use patchkit_core::{ErrorKind, Event, NodeId, RunId};

use super::{
    JournalHarness,
    support::{PAST_THE_TERM, TERM, at_once, begun, event, names, node, run},
};
use crate::cases::support::good;

const WRITERS: usize = 4;
const BATCHES: usize = 12;

/// Two writers under one lease: each batch is whole, each writer's batches are in order, and nothing
/// is lost.
pub async fn batches_of_two_writers_do_not_mix(h: &dyn JournalHarness) {
    let lease = begun(&*h.open().await, "r").await;
    at_once(WRITERS, async |writer| {
        let journal = h.open().await;
        for batch in 0..BATCHES {
            let events: Vec<Event> =
                (0..5).map(|at| event(format!("{writer} {batch} {at}"))).collect();
            good(journal.append(&lease, &events).await, "an append");
        }
    });
    let seen = names(&*h.open().await, &lease.run).await;
    assert_eq!(seen.len(), WRITERS * BATCHES * 5);
    let mut next = [0; WRITERS];
    for batch in seen.chunks(5) {
        let writer: usize = batch[0].split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(9);
        let whole: Vec<String> =
            (0..5).map(|at| format!("{writer} {} {at}", next[writer])).collect();
        assert_eq!(batch, whole);
        next[writer] += 1;
    }
}

/// Writers of runs of their own do not hinder each other.
pub async fn writers_of_many_runs_do_not_meet(h: &dyn JournalHarness) {
    at_once(WRITERS, async |writer| {
        let journal = h.open().await;
        for at in 0..5 {
            let lease = begun(&*journal, &format!("r{writer}-{at}")).await;
            for batch in 0..3 {
                good(journal.append(&lease, &[event(format!("{batch}"))]).await, "an append");
            }
        }
    });
    let journal = h.open().await;
    for writer in 0..WRITERS {
        for at in 0..5 {
            let run = run(&format!("r{writer}-{at}"));
            assert_eq!(names(&*journal, &run).await, ["0", "1", "2"]);
        }
    }
}

/// An old holder that writes and writes while another takes over: nothing of it comes after the
/// new holder's first word, and it is told.
pub async fn nothing_of_an_old_holder_comes_after_the_new_one(h: &dyn JournalHarness) {
    for round in 0..5 {
        let old = begun(&*h.open().await, &format!("r{round}")).await;
        h.clock().advance(PAST_THE_TERM);
        let (written, go) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        at_once(2, async |writer| {
            let journal = h.open().await;
            if writer == 0 {
                // Some stores take a million in the time in which the other thread gets its turn.
                for at in 0..1_000_000 {
                    if at > 2 * round {
                        go.store(true, Ordering::Release);
                        std::thread::yield_now();
                    }
                    let name = format!("old {at}");
                    match journal.append(&old, &[event(&name)]).await {
                        Ok(()) => written.lock().expect("no panic").push(name),
                        Err(error) => {
                            go.store(true, Ordering::Release);
                            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                            return;
                        }
                    }
                }
                panic!("the old holder was never told");
            }
            while !go.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            let new = good(journal.take_over(&old.run, "worker-2", TERM).await, "taking over");
            good(journal.append(&new, &[event("new")]).await, "the new holder's append");
        });
        let seen = names(&*h.open().await, &old.run).await;
        let mut expected = written.into_inner().expect("no panic");
        expected.push("new".to_owned());
        assert_eq!(seen, expected);
    }
}

/// Of many who begin one run at once one does.
pub async fn one_of_many_beginners_wins(h: &dyn JournalHarness) {
    for round in 0..5 {
        let run = run(&format!("r{round}"));
        let answers = at_once(WRITERS, async |writer| {
            let journal = h.open().await;
            journal.begin(&run, &format!("worker-{writer}"), TERM).await
        });
        let mut won = answers.iter().filter_map(|answer| answer.as_ref().ok());
        let winner = won.next().expect("one of them begins the run");
        assert!(won.next().is_none(), "two began one run");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        good(h.open().await.append(winner, &[event("a")]).await, "the winner's append");
    }
}

/// Of many who take one run over at once one does.
pub async fn one_of_many_takers_wins(h: &dyn JournalHarness) {
    for round in 0..5 {
        let lease = begun(&*h.open().await, &format!("r{round}")).await;
        h.clock().advance(PAST_THE_TERM);
        let answers = at_once(WRITERS, async |writer| {
            let journal = h.open().await;
            journal.take_over(&lease.run, &format!("worker-{writer}"), TERM).await
        });
        let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        good(h.open().await.append(won[0], &[event("a")]).await, "the winner's append");
    }
}

/// Many runs claim the same nodes at once, in different orders: each node goes to one of them.
pub async fn one_of_many_runs_gets_each_node(h: &dyn JournalHarness) {
    drop(h.open().await);
    let nodes: Vec<NodeId> = (0..30).map(|at| node(&format!("i-{at}"))).collect();
    let got = at_once(WRITERS, async |writer| {
        let journal = h.open().await;
        let lease = begun(&*journal, &format!("r{writer}")).await;
        let mut order = nodes.clone();
        order.rotate_left(writer * 7);
        let mut got = Vec::new();
        for some in order.chunks(4) {
            for (node, claim) in journal.claim(&lease, some).await {
                match claim {
                    Ok(_) => got.push(node),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
        }
        (lease.run, got)
    });
    let mut owners: BTreeMap<NodeId, RunId> = BTreeMap::new();
    for (run, got) in got {
        for node in got {
            let before = owners.insert(node.clone(), run.clone());
            assert!(before.is_none(), "{node} is {before:?}'s and {run}'s");
        }
    }
    let claimed: BTreeSet<&NodeId> = owners.keys().collect();
    assert_eq!(claimed, nodes.iter().collect(), "each node goes to someone");
}
