//! Runs that operators pause, cancel or halt while they go on.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join;
use patchkit_core::{
    ErrorKind, NodeId, Order, PowerTarget, Result, RunId, RunState, Runs,
    workflow::{Outcome, RunReport},
};

use super::{World, scene::Scene};
use crate::{
    cases::support::{bad, good},
    fault::{Call, FaultPlan, Faults, turn},
};

/// Longer than the longest poll.
const PAST_A_POLL: Duration = Duration::from_secs(66);

/// More than a run needs from one sleep to the next.
const TURNS: usize = 30;

/// The calls of a run to which nothing happens, from the one on before which there is a run.
async fn steps(world: World) -> std::ops::Range<usize> {
    let scene = Scene::new(world, "a clean run").await;
    let faults = scene.faults("worker", FaultPlan::new());
    good(scene.patch(&faults).await, "a clean run");
    let calls = scene.calls();
    let calls: Vec<&Call> = calls.iter().filter(|call| call.caller == "worker").collect();
    let begun = calls.iter().position(|call| call.operation == "begin");
    begun.map_or(calls.len(), |begun| begun + 2)..calls.len()
}

/// Has a run go on, and `operator` act when the run has made so many calls.
async fn beside<T>(
    scene: &Scene,
    calls: usize,
    operator: impl Future<Output = T>,
) -> (Result<RunReport>, T) {
    let plan = scene.plan().await;
    let faults = scene.faults("worker", FaultPlan::new());
    let runner = scene.runner(&faults);
    let operator = async {
        until(&faults, calls).await;
        operator.await
    };
    join(runner.patch(&scene.run, &plan), operator).await
}

async fn until(faults: &Faults, calls: usize) {
    while faults.count() < calls {
        turn().await;
    }
}

/// Lets time pass. In slices: the virtual clock does not know of a run that is between two calls, and
/// would leave it behind.
async fn pass(scene: &Scene, time: Duration) {
    let slice = Duration::from_secs(30);
    let mut left = time;
    while left > Duration::ZERO {
        for _ in 0..TURNS {
            turn().await;
        }
        scene.h().clock().sleep(left.min(slice)).await;
        left = left.saturating_sub(slice);
    }
}

async fn give(scene: &Scene, order: Order) {
    good(scene.world.journal().order(&order, "kim", "as the case wants it").await, "an order");
}

/// What the worker has begun: acts, and starts of nodes.
fn begun(scene: &Scene) -> usize {
    let begins = |call: &&Call| call.act.is_some() || call.target == Some(PowerTarget::Running);
    scene.calls().iter().filter(|call| call.caller == "worker").filter(begins).count()
}

fn submitted(scene: &Scene) -> usize {
    scene.calls().iter().filter(|call| call.act.is_some() && call.caller == "worker").count()
}

fn runs(scene: &Scene) -> Runs {
    Runs::new(scene.world.journal_handle(), scene.h().clock())
}

/// The run paused at each of its calls: it begins nothing for as long as it is, and then goes on as
/// if nothing had happened.
pub async fn paused_at_each_step(new: &impl AsyncFn() -> World) {
    for at in steps(new().await).await {
        let scene = Scene::new(new().await, format!("paused at call {at}")).await;
        let run = scene.run.clone();
        let operator = async {
            give(&scene, Order::Pause { run: run.clone() }).await;
            pass(&scene, PAST_A_POLL).await;
            let before = begun(&scene);
            pass(&scene, Duration::from_mins(30)).await;
            assert_eq!(begun(&scene), before, "{}: it began something", scene.label);
            let line = good(runs(&scene).line(&run).await, "the run");
            let is_held = matches!(line.state, RunState::Paused | RunState::Finished);
            assert!(is_held, "{}: {line}", scene.label);
            give(&scene, Order::Resume { run: run.clone() }).await;
        };
        let (report, ()) = beside(&scene, at, operator).await;
        scene.hold(Some(&report)).await;
        let report = good(report, &scene.label);
        assert!(report.problems.is_empty(), "{}: {report}", scene.label);
        let power = scene.h().fleet().capabilities().power;
        let patched =
            report.nodes.iter().filter(|node| node.outcome.outcome == Outcome::Patched).count();
        assert_eq!(patched, if power { 4 } else { 2 }, "{}: {report}", scene.label);
    }
}

/// The run told to end at each of its calls: it begins nothing more, undoes, and says who told it.
pub async fn cancelled_at_each_step(new: &impl AsyncFn() -> World) {
    ended_at_each_step(new, |run| Order::Cancel { run }, "cancel run-1, ordered by kim").await;
}

/// The kill switch turned on at each call: nothing is submitted from the next poll on, no run
/// begins, and all is put back.
pub async fn halted_at_each_step(new: &impl AsyncFn() -> World) {
    ended_at_each_step(new, |_| Order::Halt, "halt all runs, ordered by kim").await;
}

async fn ended_at_each_step(
    new: &impl AsyncFn() -> World,
    order: impl Fn(RunId) -> Order,
    told: &str,
) {
    let steps = steps(new().await).await;
    let end = steps.end;
    for at in steps {
        let order = order(good(RunId::new("run-1"), "a run's id"));
        let scene = Scene::new(new().await, format!("{order} at call {at}")).await;
        let halts = order == Order::Halt;
        let operator = async {
            give(&scene, order).await;
            let line = good(runs(&scene).line(&scene.run).await, "the run");
            (submitted(&scene), line.state)
        };
        let (report, (before, state)) = beside(&scene, at, operator).await;
        scene.hold(Some(&report)).await;
        let report = good(report, &scene.label);
        assert!(report.undo_failed.is_empty(), "{}: {report}", scene.label);
        // What was past the last look at the orders may go on: one submission in each scope.
        let nodes = scene.nodes();
        let scopes: BTreeSet<_> = nodes.iter().map(NodeId::scope).collect();
        let late = submitted(&scene) - before;
        if halts {
            assert!(late <= scopes.len(), "{}: {late} submissions afterwards", scene.label);
        }
        if state != RunState::Finished {
            // Read in vain where the run had looked for the last time.
            let heard = report.problems.iter().any(|problem| problem.contains(told));
            let last_words = at + 12 > end;
            assert!(heard || last_words, "{}: {report}", scene.label);
        }
        if halts {
            nothing_begins(&scene).await;
        }
    }
}

/// No run begins while the kill switch is on, of any workflow, and one does when it is off.
async fn nothing_begins(scene: &Scene) {
    let (late, plan) = (scene.healthy("late"), scene.plan().await);
    let other = good(RunId::new("run-2"), "a run's id");
    bad(late.patch(&other, &plan).await, ErrorKind::Cancelled, "a run under the kill switch");
    bad(late.resume(&scene.run).await, ErrorKind::Cancelled, "resuming under the kill switch");
    let scan = late.scan(&other, &patchkit_core::NodeSelector::all()).await;
    bad(scan, ErrorKind::Cancelled, "a scan under the kill switch");
    give(scene, Order::Allow).await;
    let report = good(late.patch(&other, &plan).await, "a run after the kill switch");
    assert!(report.problems.is_empty(), "{}: {report}", scene.label);
}
