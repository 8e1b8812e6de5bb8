//! Acts and results that cannot be watched: what may get better is waited for, and no more.

mod common;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use common::{World, error, id, node, off, options, outcome, report, run_id, says, world};
use futures::executor::block_on;
use patchkit_core::{
    Amount, ErrorKind, PatchAction, PowerState, Retry, Rollout,
    memory::{Fault, MemoryCall},
    workflow::{Outcome, PatchOptions},
};

fn all_at_once() -> PatchOptions {
    let rollout =
        Rollout::new().with_disruption(Amount::Percent(100)).with_errors(Amount::Percent(100));
    options().with_rollout(rollout)
}

/// Has every look at an act fail, once an install is under way.
fn blind(world: &World, kind: ErrorKind) {
    let installs = AtomicUsize::new(0);
    world.cloud.on_call(move |call| {
        if matches!(call.action, Some(PatchAction::Install(_))) {
            installs.fetch_add(1, Ordering::Relaxed);
        }
        if call.operation == "operation" && installs.load(Ordering::Relaxed) > 0 {
            Fault::Refuse(error(kind))
        } else {
            Fault::Pass
        }
    });
}

/// The looks at acts after the first install.
fn looks(world: &World) -> Vec<MemoryCall> {
    let calls = world.cloud.calls();
    let install = world.installs()[0].seq;
    calls.into_iter().skip(install).filter(|call| call.operation == "operation").collect()
}

#[test]
fn what_cannot_get_better_is_given_up_after_the_consistency_limit_and_never_called_failed() {
    for kind in [
        ErrorKind::PermissionDenied,
        ErrorKind::Unsupported,
        ErrorKind::InvalidInput,
        ErrorKind::NotFound,
    ] {
        let world = world([node(id("i-01"))]);
        blind(&world, kind);
        let ended = block_on(world.patch(&options()));
        assert_eq!(outcome(&ended, &id("i-01")), Outcome::Unknown, "{kind:?}");
        assert!(says(&ended, &id("i-01"), "as the test wants it"));
        assert!(ended.undo_failed.is_empty(), "it was on before: {ended}");
        let looks = looks(&world);
        let watched = looks[looks.len() - 1].at.duration_since(looks[0].at).as_secs();
        assert!((120..200).contains(&watched), "{kind:?}: {watched} s");
    }
}

#[test]
fn a_look_that_is_denied_once_costs_nothing() {
    let started = id("i-01");
    let world = world([off(started.clone(), PowerState::Stopped)]);
    let asked = AtomicUsize::new(0);
    world.cloud.on_call(move |call| {
        let denied = call.operation == "operation"
            && asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        if denied { Fault::Refuse(error(ErrorKind::PermissionDenied)) } else { Fault::Pass }
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &started), Outcome::Patched);
    assert!(ended.undo_failed.is_empty(), "{ended}");
    assert_eq!(world.cloud.power(&started), Some(PowerState::Stopped));
}

#[test]
fn an_act_that_is_not_found_for_a_moment_is_watched_to_its_end() {
    let world = world([node(id("i-01"))]);
    let seen = AtomicUsize::new(0);
    world.cloud.on_call(move |call| {
        let late = call.operation == "operation" && seen.fetch_add(1, Ordering::Relaxed) % 3 != 2;
        if late { Fault::Refuse(error(ErrorKind::NotFound)) } else { Fault::Pass }
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
}

#[test]
fn a_node_is_left_on_under_an_install_that_may_not_be_watched_until_a_recovery_may() {
    let started = id("i-01");
    let world = world([off(started.clone(), PowerState::Stopped)]);
    blind(&world, ErrorKind::PermissionDenied);
    block_on(async {
        let ended = world.patch(&options()).await;
        assert_eq!(outcome(&ended, &started), Outcome::Unknown);
        assert_eq!(ended.undo_failed.len(), 1, "{ended}");
        assert!(ended.undo_failed[0].error.contains("an install may be going on"), "{ended}");
        assert_eq!(world.cloud.power(&started), Some(PowerState::Running));

        world.clock.advance(Duration::from_mins(1));
        let recovery = world.runner.recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.undo_failed.len(), 1, "still denied: {recovery:?}");
        assert_eq!(world.cloud.power(&started), Some(PowerState::Running));

        world.cloud.on_call(|_| Fault::Pass);
        let recovery = world.runner.recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.restored, std::slice::from_ref(&started));
        assert!(recovery.unknown[0].1.contains("succeeded, not verified"), "{recovery:?}");
        assert_eq!(world.cloud.power(&started), Some(PowerState::Stopped));

        let again = world.runner.recover(&run_id("run")).await.unwrap();
        assert!(again.unknown.is_empty() && again.restored.is_empty(), "{again:?}");
    });
}

#[test]
fn a_node_that_is_gone_does_not_hold_up_the_run_for_hours() {
    let (gone, fine) = (id("i-01"), id("i-02"));
    let world = world([off(gone.clone(), PowerState::Stopped), node(fine.clone())]);
    world.cloud.on_call(move |call| {
        let waits = call.operation == "statuses" && call.nodes.len() == 1;
        if waits && call.nodes[0].name() == "i-01" {
            Fault::Refuse(error(ErrorKind::NotFound))
        } else {
            Fault::Pass
        }
    });
    let begin = world.now();
    let ended = block_on(world.patch(&all_at_once()));
    assert_eq!(outcome(&ended, &fine), Outcome::Patched);
    assert_eq!(outcome(&ended, &gone), Outcome::Unreachable);
    let took = world.now().duration_since(begin).as_mins();
    assert!(took < 30, "{took} min");
}

#[test]
fn a_batch_that_cannot_be_read_is_unknown_with_the_reason_and_the_others_are_judged() {
    let ids: Vec<_> = (0..120).map(|at| id(&format!("i-{at:03}"))).collect();
    let world = world(ids.iter().cloned().map(node));
    let plan = block_on(world.runner.plan_patch(&all_at_once())).unwrap();
    // Three batches, each a page; the second one is denied, the third one throttled at first.
    let asked = AtomicUsize::new(0);
    world.cloud.on_call(move |call| {
        if call.operation != "summaries" || call.page != Some(0) {
            return Fault::Pass;
        }
        match asked.fetch_add(1, Ordering::Relaxed) {
            1 => Fault::Refuse(error(ErrorKind::PermissionDenied)),
            2 => Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff)),
            _ => Fault::Pass,
        }
    });
    let ended = block_on(world.runner.patch(&run_id("run"), &plan)).unwrap();
    for (at, node) in ids.iter().enumerate() {
        if (50..100).contains(&at) {
            assert_eq!(outcome(&ended, node), Outcome::Unknown, "{node}");
            assert!(says(&ended, node, "the scan's result was not there"), "{node}");
            assert!(says(&ended, node, "as the test wants it"), "{node}");
            assert_eq!(report(&ended, node).status_after, report(&ended, node).status_before);
        } else {
            assert_eq!(outcome(&ended, node), Outcome::Patched, "{node}");
        }
    }
}
