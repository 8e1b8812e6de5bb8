//! Windows that work must fit into, freezes, the ramp, and what earlier runs took.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::time::Duration;

use common::{World, id, node, off, options, outcome, run_id, says, world};
use futures::executor::block_on;
use jiff::Timestamp;
use patchkit_core::{
    Amount, Freeze, FreezeCalendar, MaintenanceWindow, PowerState, PowerTarget, Ramp, Rollout,
    workflow::{Freezes, NodeTimes, Outcome, PatchOptions, TakenTimes, WhileFrozen},
};

fn at(text: &str) -> Timestamp {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

/// One after the other.
fn serial() -> PatchOptions {
    options().with_rollout(Rollout::new().with_disruption(Amount::Fixed(1)))
}

fn six() -> World {
    world((0..6).map(|at| node(id(&format!("i-{at:02}")))))
}

fn times(minutes: u64) -> NodeTimes {
    NodeTimes::new(Duration::from_mins(minutes))
}

#[test]
fn nothing_begins_that_would_not_be_over_before_the_window_closes() {
    let hours = Duration::from_hours;
    let window = MaintenanceWindow::new(at("24T02:00"), hours(2)).with_cutoff(hours(1));
    let begun = |options: PatchOptions| {
        let world = six();
        let ended = block_on(world.patch(&options.with_window(window.clone())));
        let begun: Vec<_> = world.installs().iter().map(|call| call.at).collect();
        (ended, begun)
    };
    let (_, any) = begun(serial());
    let (ended, fits) = begun(serial().with_times(times(45)));
    assert!(any.len() > fits.len() && !fits.is_empty(), "{} {}", any.len(), fits.len());
    assert!(fits.iter().all(|begun| *begun + Duration::from_mins(45) <= at("24T03:00")));
    assert_eq!(outcome(&ended, &id("i-05")), Outcome::Skipped);
    let word = "it takes 45 min as estimated, and would not be over by 2026-11-24T03:00:00Z";
    assert!(says(&ended, &id("i-05"), word), "{ended:?}");
}

#[test]
fn what_nodes_took_in_earlier_runs_is_what_they_are_taken_to_take() {
    let world = world((0..9).map(|at| {
        let node = node(id(&format!("i-{at:02}")));
        if at < 6 { node.with_tag("Patch Group", "web") } else { node }
    }));
    block_on(async {
        assert!(world.runner.taken_times(5).await.unwrap().known().is_empty());
        let plan = world.runner.plan_patch(&serial()).await.unwrap();
        let ended = world.runner.patch(&run_id("first"), &plan).await.unwrap();
        let took = ended.ended_at.duration_since(ended.started_at).unsigned_abs() / 9;

        let known = world.runner.taken_times(5).await.unwrap().known();
        let nodes: Vec<_> = known.iter().map(|it| (it.group.is_some(), it.nodes)).collect();
        assert_eq!(nodes, [(false, 9), (true, 6)]);
        assert!(known.iter().all(|it| it.median <= it.p90 && it.p90 <= 2 * took), "{known:?}");
        assert!(known.iter().all(|it| 2 * it.median >= took), "{known:?}");
        assert!(world.runner.taken_times(0).await.unwrap().known().is_empty());

        let taken = world.runner.taken_times(5).await.unwrap();
        let options = serial().with_times(times(600).with_history(&taken));
        let plan = world.runner.plan_patch(&options.with_fresh(Duration::ZERO)).await.unwrap();
        let printed = plan.to_string();
        assert!(printed.contains("600 min for a node of which nothing is known"), "{printed}");
        let web = "7 min for AMAZON_LINUX_2023 in web, half of 6 nodes in 7 min";
        assert!(printed.contains(web), "{printed}");
        let window = MaintenanceWindow::new(world.now(), Duration::from_hours(10));
        let options = options_with(&taken, window);
        let plan = world.runner.plan_patch(&options).await.unwrap();
        let ended = world.runner.patch(&run_id("second"), &plan).await.unwrap();
        assert_eq!(ended.tally().get(&Outcome::Skipped), None, "{ended}");
    });
}

fn options_with(taken: &TakenTimes, window: MaintenanceWindow) -> PatchOptions {
    let times = times(601).with_history(taken);
    serial().with_fresh(Duration::ZERO).with_times(times).with_window(window)
}

fn frozen(from: &str, until: &str) -> Freezes {
    Freezes::new(FreezeCalendar::new([Freeze::new("sale\u{1b}[2J", at(from), at(until))]))
}

#[test]
fn a_freeze_ends_a_run_and_the_plan_says_that_it_will() {
    let world = six();
    let window = MaintenanceWindow::new(at("24T02:00"), Duration::from_hours(4));
    let options = serial().with_window(window).with_freezes(frozen("24T02:20", "24T12:00"));
    let plan = block_on(world.runner.plan_patch(&options)).unwrap().to_string();
    assert!(plan.contains("  CLASH     freeze 2026-11-24T02:20:00Z to"), "{plan}");
    assert!(!plan.contains('\u{1b}'), "{plan:?}");
    let ended = block_on(world.patch(&options));
    let tally = ended.tally();
    assert!(tally[&Outcome::Patched] > 0 && tally[&Outcome::Skipped] > 0, "{ended}");
    assert!(says(&ended, &id("i-05"), "freeze 2026-11-24T02:20:00Z"), "{ended:?}");
    assert!(world.installs().iter().all(|call| call.at < at("24T02:20")));
}

#[test]
fn a_run_that_waits_for_the_thaw_begins_nothing_in_the_freeze_and_keeps_its_lease() {
    let world = six();
    let freezes = frozen("24T02:20", "25T12:00").with_during(WhileFrozen::Wait);
    let ended = block_on(world.patch(&serial().with_times(times(20)).with_freezes(freezes)));
    assert!(ended.is_clean(), "{ended}");
    let frozen = at("24T02:20")..at("25T12:00");
    assert!(world.installs().iter().all(|call| !frozen.contains(&call.at)));
    // Those of which it is not sure that they would be over before the freeze wait too.
    let early = world.installs().iter().filter(|call| call.at < frozen.start).count();
    assert!((1..6).contains(&early), "{early}");
    assert!(ended.ended_at > frozen.end);
}

#[test]
fn a_freeze_that_outlasts_the_window_is_not_waited_out() {
    let world = six();
    let window = MaintenanceWindow::new(at("24T02:00"), Duration::from_hours(4));
    let freezes = frozen("24T02:20", "25T12:00").with_during(WhileFrozen::Wait);
    let ended = block_on(world.patch(&serial().with_window(window).with_freezes(freezes)));
    assert!(ended.tally()[&Outcome::Skipped] > 0, "{ended}");
    assert!(ended.ended_at < at("24T06:00"));
}

#[test]
fn a_node_that_was_started_when_a_freeze_began_is_put_back_and_not_installed_on() {
    let stopped = id("i-00");
    let world = world([off(stopped.clone(), PowerState::Stopped)]);
    let freezes = frozen("24T02:01", "24T12:00").with_during(WhileFrozen::Wait);
    let ended = block_on(world.patch(&serial().with_freezes(freezes)));
    assert_eq!(outcome(&ended, &stopped), Outcome::Skipped);
    assert!(world.installs().is_empty() && ended.undo_failed.is_empty(), "{ended}");
    assert_eq!(world.cloud.power(&stopped), Some(PowerState::Stopped));
}

#[test]
fn no_more_nodes_are_started_in_an_interval_than_the_ramp_allows() {
    let world = world((0..10).map(|at| off(id(&format!("i-{at:02}")), PowerState::Stopped)));
    let every = Duration::from_mins(10);
    let rollout = Rollout::new().with_disruption(Amount::Fixed(5)).with_ramp(Ramp::new(3, every));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert!(ended.is_clean(), "{ended}");
    let starts: Vec<Timestamp> = world
        .cloud
        .calls()
        .iter()
        .filter(|call| call.target == Some(PowerTarget::Running))
        .flat_map(|call| call.nodes.iter().map(|_| call.at))
        .collect();
    assert_eq!(starts.len(), 10);
    for from in &starts {
        let until = *from + every;
        assert!(starts.iter().filter(|at| from <= *at && **at < until).count() <= 3, "{starts:?}");
    }
}

#[test]
fn a_run_that_is_cancelled_on_the_ramp_puts_back_what_it_started() {
    let mut world = world((0..4).map(|at| off(id(&format!("i-{at:02}")), PowerState::Stopped)));
    let cancel = patchkit_core::workflow::CancelToken::new();
    let token = cancel.clone();
    let cloud = world.cloud.clone();
    world.runner = world.runner.clone().with_cancel(cancel);
    world.cloud.on_call(move |call| {
        if call.operation == "set_power" {
            token.cancel();
        }
        patchkit_core::memory::Fault::Pass
    });
    let ramp = Ramp::new(1, Duration::from_hours(5));
    let rollout = Rollout::new().with_disruption(Amount::Percent(100)).with_ramp(ramp);
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(ended.tally()[&Outcome::Skipped], 4, "{ended}");
    let is_off = |at: usize| cloud.power(&id(&format!("i-{at:02}"))) == Some(PowerState::Stopped);
    assert!((0..4).all(is_off) && ended.undo_failed.is_empty());
}
