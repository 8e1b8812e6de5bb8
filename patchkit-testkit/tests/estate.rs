//! An estate of hundreds of scopes: bounded, and in the order in which they answer.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use patchkit_core::{
    Clock, ErrorKind, Estate, Fleet, NodeId, NodeSelector, OperatingSystem, Scope, VirtualClock,
    memory::{MemoryCloud, MemoryNode},
};
use patchkit_testkit::{
    fault::{Failure, Fault, FaultPlan, Faults, Faulty},
    memory::MemoryHarness,
};

fn scope(at: usize) -> Scope {
    format!("aws/{at:012}/eu-west-1").parse().unwrap()
}

/// Scopes with a node each, whose calls go by `faults`.
fn estate(clock: &VirtualClock, scopes: usize, faults: impl Fn(usize) -> Faults) -> Estate {
    (0..scopes).fold(Estate::new(), |estate, at| {
        let cloud = MemoryCloud::builder().clock(clock.clone()).build();
        let node = NodeId::new(scope(at), "i-01").unwrap();
        cloud.insert(MemoryNode::new(node, OperatingSystem::Ubuntu));
        estate.with([scope(at)], Arc::new(Faulty::new(cloud, faults(at))))
    })
}

/// Every call takes so long.
fn late(clock: &VirtualClock, seconds: u64) -> Faults {
    let plan = FaultPlan::new().every(1, Fault::Delay(Duration::from_secs(seconds)));
    Faults::new(Arc::new(clock.clone()), plan)
}

/// Each listing takes ten seconds, so the time that all of them take tells how many go on at once.
#[tokio::test]
async fn hundreds_of_scopes_are_listed_in_bounded_parallel() {
    for (parallel, rounds) in [(25, 12), (100, 3), (1_000, 1)] {
        let clock = MemoryHarness::virtual_clock();
        let estate = estate(&clock, 300, |_| late(&clock, 10)).with_parallel(parallel);
        let begin = clock.now();
        let nodes: Vec<_> = estate.nodes(&NodeSelector::all()).try_collect().await.unwrap();
        assert_eq!(nodes.len(), 300);
        let took = clock.now().duration_since(begin).as_secs();
        assert_eq!(took, 10 * rounds, "{parallel} at once");

        let ids: Vec<NodeId> = nodes.into_iter().map(|node| node.id).collect();
        let begin = clock.now();
        let answers = estate.statuses(&ids).await;
        let asked: Vec<NodeId> = answers.iter().map(|(node, _)| node.clone()).collect();
        assert_eq!(asked, ids, "in the order asked");
        assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
        let took = clock.now().duration_since(begin).as_secs();
        assert_eq!(took, 10 * rounds, "{parallel} at once");
    }
}

#[tokio::test]
async fn a_scope_that_hangs_does_not_hold_back_the_rows_of_the_others() {
    let clock = MemoryHarness::virtual_clock();
    // A clock that nobody moves.
    let stuck = VirtualClock::manual(clock.now());
    let hanging = |at| if at == 3 { late(&stuck, 1) } else { late(&clock, 1) };
    let estate = estate(&clock, 40, hanging).with_parallel(4);
    let begin = clock.now();
    let mut rows = estate.nodes(&NodeSelector::all());
    for _ in 0..39 {
        let node = rows.next().await.unwrap().unwrap();
        assert_ne!(*node.id.scope(), scope(3));
    }
    let took = clock.now().duration_since(begin).as_secs();
    assert_eq!(took, 13, "39 scopes by the three places that are left");
    stuck.advance(Duration::from_secs(1));
    assert_eq!(*rows.next().await.unwrap().unwrap().id.scope(), scope(3));
    assert!(rows.next().await.is_none());
}

#[tokio::test]
async fn a_scope_that_fails_is_named_and_the_rest_comes() {
    let clock = MemoryHarness::virtual_clock();
    let denied = Fault::Refuse(Failure::denied());
    let some = |at: usize| {
        let plan = FaultPlan::new();
        let plan = if at.is_multiple_of(50) { plan.every(1, denied) } else { plan };
        Faults::new(Arc::new(clock.clone()), plan)
    };
    let estate = estate(&clock, 300, some);
    let rows: Vec<_> = estate.nodes(&NodeSelector::all()).collect().await;
    let mut failed: Vec<Scope> = Vec::new();
    for error in rows.iter().filter_map(|row| row.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        failed.extend(error.scope().cloned());
    }
    failed.sort();
    assert_eq!(failed, [0, 50, 100, 150, 200, 250].map(scope));
    assert_eq!(rows.len(), 300);
}
