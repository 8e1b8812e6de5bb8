//! What must not happen to a production fleet, whatever provider and journal answer.

mod common;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{
    World, azure, error, id, node, off, options, outcome, report, run_id, says, world,
    wrap::{Faulty, Forgetful},
};
use futures::{FutureExt, TryStreamExt, executor::block_on};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    AccessChange, Amount, Change, Clock, ComplianceStatus, ErrorKind, Event, Journal,
    MaintenanceWindow, NodeSelector, PatchAction, PowerState, PowerTarget, Record, Retry, Rollout,
    SubmitToken, TagChange, Tags, VirtualClock, Wave, WaveMembers,
    memory::{Behavior, Fault, MemoryCall, MemoryJournal, MemoryNode},
    observe::{RunEvent, RunEventKind},
    workflow::{
        CancelToken, Outcome, PatchOptions, PatchPlan, PlanStep, RequiredTags, Runner, ScanOutcome,
        TagMode, TagOutcome,
    },
};

/// A clock that is five minutes ahead of the provider's.
#[derive(Clone, Debug)]
struct Ahead(VirtualClock);

#[async_trait::async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now() + SignedDuration::from_mins(5)
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

/// Lets the holder of `run` sleep through its term, and has another take the run over.
fn take_over(clock: &VirtualClock, journal: &MemoryJournal) {
    clock.advance(Duration::from_mins(10));
    let run = run_id("run");
    let mut taking = journal.take_over(&run, "another", Duration::from_mins(5));
    while (&mut taking).now_or_never().is_none() {}
}

fn all_at_once() -> PatchOptions {
    let rollout =
        Rollout::new().with_disruption(Amount::Percent(100)).with_errors(Amount::Percent(100));
    options().with_rollout(rollout)
}

#[test]
fn a_node_that_an_answer_leaves_out_is_reported_and_its_power_is_not_guessed() {
    let (fine, left_out) = (id("i-01"), id("i-02"));
    let world = world([node(fine.clone()), node(left_out.clone())]);
    let fleet = Forgetful {
        cloud: world.cloud.clone(),
        forgets: |operation, node| operation == "statuses" && node.name() == "i-02",
    };
    let (cloud, clock) = (world.cloud.clone(), world.clock.clone());
    let runner = Runner::new(fleet, cloud, world.journal.clone(), clock);
    let ended = block_on(async {
        let plan = runner.plan_patch(&all_at_once()).await.unwrap();
        runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    assert_eq!(outcome(&ended, &fine), Outcome::Patched);
    assert_eq!(outcome(&ended, &left_out), Outcome::Failed);
    assert!(says(&ended, &left_out, "leaves out the node"));
    assert_eq!(report(&ended, &left_out).power_after, PowerState::Unknown);
}

#[test]
fn a_node_whose_claim_is_left_out_is_skipped_and_reported() {
    let world = world([node(id("i-01")), node(id("i-02"))]);
    let mut journal = Faulty::new(world.journal.clone(), |_, _| Fault::Pass);
    journal.forgets = |node| node.name() == "i-02";
    let (cloud, clock) = (world.cloud.clone(), world.clock.clone());
    let runner = Runner::new(cloud.clone(), cloud, journal, clock);
    block_on(async {
        let scanned = runner.scan(&run_id("scan"), &NodeSelector::all()).await.unwrap();
        let outcomes: Vec<_> = scanned.nodes.iter().map(|node| node.outcome).collect();
        assert_eq!(outcomes, [ScanOutcome::Scanned, ScanOutcome::Busy]);

        let plan = runner.plan_patch(&all_at_once()).await.unwrap();
        let ended = runner.patch(&run_id("run"), &plan).await.unwrap();
        assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
        assert_eq!(outcome(&ended, &id("i-02")), Outcome::Skipped);
        assert!(says(&ended, &id("i-02"), "leaves out the node"));
    });
}

#[test]
fn a_node_that_is_still_starting_is_stopped_as_soon_as_it_lets_itself() {
    let slow = id("i-01");
    let behavior = Behavior::LateStart(Duration::from_mins(8));
    let mut world = world([off(slow.clone(), PowerState::Stopped).with_behavior(behavior)]);
    cancelled_at(&mut world, PlanStep::WaitReachable);
    let ended = block_on(world.patch(&options()));
    assert!(ended.undo_failed.is_empty(), "{ended}");
    assert_eq!(world.cloud.power(&slow), Some(PowerState::Stopped));
}

#[test]
fn a_stop_whose_answers_are_lost_is_judged_by_the_node() {
    let stopped = id("i-01");
    let world = world([off(stopped.clone(), PowerState::Stopped)]);
    world.cloud.on_call(|call| match call.target {
        Some(PowerTarget::Stopped) => Fault::LoseAnswer(error(ErrorKind::Timeout)),
        _ => Fault::Pass,
    });
    let ended = block_on(world.patch(&options()));
    assert!(ended.undo_failed.is_empty(), "{ended}");
    assert_eq!(report(&ended, &stopped).power_after, PowerState::Stopped);
}

#[test]
fn a_holder_that_slept_through_its_lease_stops_nothing() {
    let started = id("i-01");
    let mut world = world([off(started.clone(), PowerState::Stopped)]);
    let (clock, journal) = (world.clock.clone(), world.journal.clone());
    world.runner = world.runner.clone().with_observer(move |event: &RunEvent| {
        if matches!(event.kind, RunEventKind::NodeStep { step: PlanStep::RestorePower, .. }) {
            take_over(&clock, &journal);
        }
    });
    let ended = block_on(world.patch(&options()));
    let stops = |call: &MemoryCall| call.target == Some(PowerTarget::Stopped);
    assert!(!world.cloud.calls().iter().any(stops));
    assert_eq!(ended.undo_failed.len(), 1);
    assert!(ended.undo_failed[0].error.contains("another holder"));
}

fn is_install(call: &MemoryCall) -> bool {
    matches!(call.action, Some(PatchAction::Install(_)))
}

#[test]
fn a_throttled_submission_is_not_made_again_by_a_holder_that_lost_its_lease() {
    let world = world([node(id("i-01"))]);
    let (clock, journal) = (world.clock.clone(), world.journal.clone());
    let throttled = AtomicBool::new(false);
    world.cloud.on_call(move |call| {
        if is_install(call) && !throttled.swap(true, Ordering::Relaxed) {
            take_over(&clock, &journal);
            Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff))
        } else {
            Fault::Pass
        }
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(world.installs().len(), 1);
    assert_ne!(outcome(&ended, &id("i-01")), Outcome::Patched);
}

#[test]
fn a_service_that_asks_for_a_long_pause_does_not_cost_the_lease() {
    let world = world([node(id("i-01"))]);
    let throttled = AtomicBool::new(false);
    world.cloud.on_call(move |call| {
        if is_install(call) && !throttled.swap(true, Ordering::Relaxed) {
            let never = Retry::After(Duration::MAX);
            Fault::Refuse(error(ErrorKind::Throttled).with_retry(never))
        } else {
            Fault::Pass
        }
    });
    let began = world.now();
    let plan = block_on(world.runner.plan_patch(&options())).unwrap();
    let run = run_id("run");
    let mut running = Box::pin(world.runner.patch(&run, &plan));
    block_on(async {
        while futures::poll!(&mut running).is_pending() {
            let taking = world.journal.take_over(&run, "another", Duration::from_mins(5));
            assert!(taking.await.is_err(), "the lease was over at {}", world.now());
        }
    });
    assert!(world.now().duration_since(began).as_hours() < 1);
}

#[test]
fn a_node_is_not_stopped_under_an_install_that_cannot_be_watched_for_a_while() {
    for kind in [ErrorKind::Throttled, ErrorKind::Unauthenticated] {
        let started = id("i-01");
        let world = world([off(started.clone(), PowerState::Stopped)]);
        let installed_at = Mutex::new(None);
        world.cloud.on_call(move |call| {
            let mut at = installed_at.lock().unwrap();
            if is_install(call) {
                *at = Some(call.at);
            }
            let blind = |at: Timestamp| call.at.duration_since(at).as_mins() < 10;
            if call.operation == "operation" && at.is_some_and(blind) {
                Fault::Refuse(error(kind))
            } else {
                Fault::Pass
            }
        });
        let ended = block_on(world.patch(&options()));
        assert_eq!(outcome(&ended, &started), Outcome::Patched, "{kind:?}");
        assert_eq!(world.cloud.power(&started), Some(PowerState::Stopped));
    }
}

/// Goes on with `run` until `there`, and drops it: the process died.
async fn die(run: impl Future, there: impl Fn() -> bool) {
    let mut run = Box::pin(run);
    while !there() {
        assert!(futures::poll!(&mut run).is_pending());
    }
}

#[test]
fn an_install_whose_submission_was_lost_is_named_by_a_recovery() {
    let lost = id("i-01");
    let world = world([off(lost.clone(), PowerState::Stopped)]);
    // It is accepted, and nobody is told of it.
    world.cloud.on_call(|call| match call.operation {
        "submit" if is_install(call) => Fault::LoseAnswer(error(ErrorKind::Timeout)),
        "find_operation" => Fault::Refuse(error(ErrorKind::PermissionDenied)),
        _ => Fault::Pass,
    });
    let recovery = block_on(async {
        let plan = world.runner.plan_patch(&options()).await.unwrap();
        let run = run_id("run");
        let stopping = || {
            let calls = world.cloud.calls();
            calls.iter().any(|call| call.target == Some(PowerTarget::Stopped))
        };
        die(world.runner.patch(&run, &plan), stopping).await;
        world.clock.advance(Duration::from_mins(10));
        world.runner.recover(&run).await.unwrap()
    });
    assert!(recovery.unknown.iter().any(|(node, what)| *node == lost && what.contains("install")));
}

#[test]
fn a_recovery_asks_again_for_an_act_of_which_services_tell_late() {
    let late = id("i-01");
    let world = world([node(late.clone())]);
    let asked = AtomicUsize::new(0);
    world.cloud.on_call(move |call| {
        let refused =
            call.operation == "find_operation" && asked.fetch_add(1, Ordering::Relaxed) < 3;
        if is_install(call) {
            Fault::LoseAnswer(error(ErrorKind::Timeout))
        } else if refused {
            Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff))
        } else {
            Fault::Pass
        }
    });
    let recovery = block_on(async {
        let plan = world.runner.plan_patch(&options()).await.unwrap();
        let run = run_id("run");
        die(world.runner.patch(&run, &plan), || !world.installs().is_empty()).await;
        world.clock.advance(Duration::from_mins(10));
        world.runner.recover(&run).await.unwrap()
    });
    let (_, word) = recovery.unknown.iter().find(|(node, _)| *node == late).unwrap();
    assert!(word.contains("succeeded, not verified"), "{word}");
}

/// The world, with a runner that is cancelled at the first `step`.
fn cancelled_at(world: &mut World, step: PlanStep) {
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let runner = world.runner.clone().with_cancel(cancel);
    world.runner = runner.with_observer(move |event: &RunEvent| {
        if matches!(event.kind, RunEventKind::NodeStep { step: at, .. } if at == step) {
            token.cancel();
        }
    });
}

#[test]
fn a_cancelled_run_still_looks_at_what_it_installed() {
    let mut world = world([node(id("i-01"))]);
    cancelled_at(&mut world, PlanStep::Rescan);
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
}

#[test]
fn a_node_that_a_cancelled_run_did_not_wait_for_is_not_called_unreachable() {
    let mut world = world([off(id("i-01"), PowerState::Stopped)]);
    cancelled_at(&mut world, PlanStep::WaitReachable);
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
    assert!(says(&ended, &id("i-01"), "cancelled"));
}

#[test]
fn a_throttled_submission_is_not_made_again_by_a_cancelled_run() {
    let mut world = world([node(id("i-01"))]);
    let cancel = CancelToken::new();
    world.runner = world.runner.clone().with_cancel(cancel.clone());
    let (clock, plan) = (world.clock.clone(), block_on(world.runner.plan_patch(&options())));
    world.cloud.on_call(|call| {
        if is_install(call) {
            Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff))
        } else {
            Fault::Pass
        }
    });
    let (run, plan) = (run_id("run"), plan.unwrap());
    block_on(async {
        let stop = async {
            while world.installs().is_empty() {
                clock.sleep(Duration::from_secs(1)).await;
            }
            cancel.cancel();
        };
        let (ended, ()) = futures::join!(world.runner.patch(&run, &plan), stop);
        assert_eq!(outcome(&ended.unwrap(), &id("i-01")), Outcome::Skipped);
    });
    assert_eq!(world.installs().len(), 1);
}

#[test]
fn a_rescan_is_told_from_the_install_by_the_providers_own_clock() {
    let world = world([node(id("i-01"))]);
    let ahead = Ahead(world.clock.clone());
    let cloud = world.cloud.clone();
    let runner = Runner::new(cloud.clone(), cloud, MemoryJournal::new(ahead.clone()), ahead);
    let ended = block_on(async {
        let plan = runner.plan_patch(&options()).await.unwrap();
        runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
}

#[test]
fn a_scan_whose_results_come_late_does_not_cost_the_lease() {
    let ids: Vec<_> = (0..8).map(|at| id(&format!("i-{at:02}"))).collect();
    let world = world(ids.iter().cloned().map(node));
    let plan = block_on(world.runner.plan_patch(&all_at_once())).unwrap();
    // No result is ever there.
    world.cloud.on_call(|call| match call.operation {
        "summaries" => Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff)),
        _ => Fault::Pass,
    });
    let run = run_id("run");
    let mut running = Box::pin(world.runner.patch(&run, &plan));
    block_on(async {
        while futures::poll!(&mut running).is_pending() {
            let taking = world.journal.take_over(&run, "another", Duration::from_mins(5));
            assert!(taking.await.is_err(), "the lease was over at {}", world.now());
        }
    });
}

#[test]
fn a_node_that_cannot_be_put_back_is_a_failure_and_stops_the_run() {
    let ids: Vec<_> = (0..4).map(|at| id(&format!("i-{at:02}"))).collect();
    let world = world(ids.iter().cloned().map(|id| off(id, PowerState::Stopped)));
    // Starting is allowed, and stopping is not.
    world.cloud.on_call(|call| match call.target {
        Some(PowerTarget::Stopped) => Fault::Refuse(error(ErrorKind::PermissionDenied)),
        _ => Fault::Pass,
    });
    let rollout = Rollout::new().with_disruption(Amount::Fixed(1));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    let on = ids.iter().filter(|id| world.cloud.power(id) != Some(PowerState::Stopped));
    assert_eq!(on.count(), 1);
    assert_eq!(ended.undo_failed.len(), 1);
    assert!(says(&ended, &ids[3], "error budget"));
}

#[test]
fn a_disruption_budget_of_nothing_disrupts_nothing() {
    for budget in [Amount::Fixed(0), Amount::Percent(0)] {
        let world = world([node(id("i-01"))]);
        let rollout = Rollout::new().with_disruption(budget);
        let ended = block_on(world.patch(&options().with_rollout(rollout)));
        assert!(world.installs().is_empty());
        assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
        assert!(says(&ended, &id("i-01"), "disruption budget"));
    }
}

#[test]
fn a_node_that_was_compliant_long_ago_and_had_patches_installed_is_patched() {
    let old = id("i-01");
    // The patches came out in October.
    let at = "2026-09-01T00:00:00Z".parse().unwrap();
    let world = world([node(old.clone()).with_scan(at)]);
    let ended = block_on(world.patch(&options()));
    assert_eq!(report(&ended, &old).status_before, ComplianceStatus::Compliant);
    assert_eq!(outcome(&ended, &old), Outcome::Patched);
}

#[test]
fn a_scan_from_the_future_is_not_fresh() {
    let at = "2027-06-01T00:00:00Z".parse().unwrap();
    let compliant = || MemoryNode::new(id("i-01"), common::OS);
    let future = world([compliant().with_scan(at)]);
    let plan = block_on(future.runner.plan_patch(&options())).unwrap();
    assert_eq!(plan.nodes.len(), 1);

    let world = world([compliant().with_scan("2026-11-24T02:00:05Z".parse().unwrap())]);
    let plan = block_on(world.runner.plan_patch(&options())).unwrap();
    assert!(plan.nodes.is_empty(), "clocks differ by seconds");
    let every = options().with_fresh(Duration::ZERO);
    assert_eq!(block_on(world.runner.plan_patch(&every)).unwrap().nodes.len(), 1);
}

#[test]
fn what_is_known_of_a_node_does_not_depend_on_its_power_now() {
    let world = world([node(id("i-01"))]);
    let cloud = world.cloud.clone();
    let runner = world.runner.clone().with_observer(move |event: &RunEvent| {
        if matches!(event.kind, RunEventKind::Checked { .. }) {
            cloud.update(&id("i-01"), |node| node.with_power(PowerState::Stopped)).unwrap();
        }
    });
    let running = NodeSelector::all().with_power([PowerState::Running]);
    let scanned = block_on(runner.scan(&run_id("scan"), &running)).unwrap();
    assert_eq!(scanned.nodes[0].outcome, ScanOutcome::Scanned);
    assert_eq!(scanned.nodes[0].compliance.status, ComplianceStatus::NonCompliant);
}

#[test]
fn a_recovery_does_not_touch_a_node_that_another_run_holds() {
    let shared = id("i-01");
    let world = world([off(shared.clone(), PowerState::Stopped)]);
    // The first run ends well, but cannot write down that it stopped the node again.
    let journal = Faulty::new(world.journal.clone(), |_, events| {
        let undone = events.iter().any(|event| matches!(event, Event::Undone { .. }));
        if undone { Fault::Refuse(error(ErrorKind::Unexpected)) } else { Fault::Pass }
    });
    let (cloud, clock) = (world.cloud.clone(), world.clock.clone());
    let first = Runner::new(cloud.clone(), cloud, journal, clock);
    block_on(async {
        let plan = first.plan_patch(&options()).await.unwrap();
        first.patch(&run_id("first"), &plan).await.unwrap();
        assert_eq!(world.cloud.power(&shared), Some(PowerState::Stopped));

        let plan = world.runner.plan_patch(&options().with_fresh(Duration::ZERO)).await.unwrap();
        let second = run_id("second");
        let mut running = Box::pin(world.runner.patch(&second, &plan));
        while world.installs().len() < 2 {
            assert!(futures::poll!(&mut running).is_pending());
        }
        let recovery = first.recover(&run_id("first")).await.unwrap();
        assert!(recovery.restored.is_empty());
        assert!(recovery.undo_failed[0].error.contains("run second holds it"));
        let ended = running.await.unwrap();
        assert!(outcome(&ended, &shared).is_good(), "{ended}");
    });
}

#[test]
fn a_plan_that_names_a_node_twice_or_in_no_wave_is_carried_out_once_and_told() {
    let (twice, nowhere) = (id("i-01"), id("i-02"));
    let world = world([node(twice.clone()), node(nowhere.clone())]);
    let ended = block_on(async {
        let plan = world.runner.plan_patch(&all_at_once()).await.unwrap();
        let mut json = serde_json::to_value(&plan).unwrap();
        let wave = &mut json["waves"][0];
        wave["nodes"] = serde_json::json!([twice.to_string(), twice.to_string()]);
        let wave = wave.clone();
        json["waves"].as_array_mut().unwrap().push(wave);
        let plan: PatchPlan = serde_json::from_value(json).unwrap();
        world.runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    assert_eq!(world.installs().len(), 1);
    assert_eq!(outcome(&ended, &twice), Outcome::Patched);
    assert_eq!(outcome(&ended, &nowhere), Outcome::Skipped);
    assert!(says(&ended, &nowhere, "in no wave"));
}

#[test]
fn a_start_that_was_broken_off_counts_as_started() {
    let started = id("i-01");
    let world = world([off(started.clone(), PowerState::Stopped)]);
    world.cloud.on_call(|call| match call.target {
        Some(PowerTarget::Running) => Fault::LoseAnswer(error(ErrorKind::Cancelled)),
        _ => Fault::Pass,
    });
    let ended = block_on(world.patch(&options()));
    assert!(ended.undo_failed.is_empty(), "{ended}");
    assert_eq!(world.cloud.power(&started), Some(PowerState::Stopped));
}

#[test]
fn a_required_tag_that_is_empty_stays_missing_after_a_merge_of_others() {
    let world = world([node(id("i-01")).with_tag("Owner", "")]);
    let required = RequiredTags::new().with_default("Environment", "unassigned").with_name("Owner");
    let all = NodeSelector::all();
    let merged =
        block_on(world.runner.check_tags(&run_id("merge"), &all, &required, TagMode::Merge))
            .unwrap();
    assert_eq!(merged.nodes[0].missing, ["Owner"]);
    assert_eq!(merged.nodes[0].outcome, TagOutcome::Missing);
}

#[test]
fn every_event_and_report_reads_back_as_it_was_written() {
    fn same<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
        t: &T,
    ) {
        let json = serde_json::to_string(t).unwrap();
        assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), t, "{json}");
        let value = serde_json::to_value(t).unwrap();
        assert_eq!(&serde_json::from_value::<T>(value).unwrap(), t);
    }
    let vm = azure("VM-1");
    let world =
        world([off(id("i-01"), PowerState::Stopped), off(vm.clone(), PowerState::Deallocated)]);
    block_on(async {
        let window = MaintenanceWindow::new(world.now(), Duration::from_hours(9));
        let wave = Wave::new("canary", WaveMembers::Amount(Amount::Percent(10)));
        let rollout = Rollout::new().with_wave(wave.with_bake(Duration::from_millis(1500)));
        let plan = world
            .runner
            .plan_patch(&options().with_window(window).with_rollout(rollout))
            .await
            .unwrap();
        same(&plan);
        let again: PatchPlan =
            serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(again.hash(), plan.hash());
        let ended = world.runner.patch(&run_id("run"), &plan).await.unwrap();
        same(&ended);
        let records: Vec<Record> =
            world.journal.events(&run_id("run")).try_collect().await.unwrap();
        assert!(records.len() > 8);
        records.iter().for_each(same);
    });
    let mut access = AccessChange::none(vm.clone());
    access.attached_policy = Some("Core".to_owned());
    let wanted = [("Owner".to_owned(), "data".to_owned())].into();
    let tags = TagChange::between(vm.clone(), &Tags::new(), &wanted);
    let token = SubmitToken::new("t").unwrap();
    let (change, error) = (Change::Tags(tags), "why".to_owned());
    for event in [
        Event::ChangeIntent { change: Change::Access(access) },
        Event::ChangeDone { change: change.clone() },
        Event::ChangeRefused { change: change.clone(), error: error.clone() },
        Event::UndoFailed { change, error: error.clone() },
        Event::SubmitIntent { token: token.clone(), action: PatchAction::Scan, nodes: vec![vm] },
        Event::SubmitFailed { token, error },
        Event::RunFinished,
    ] {
        same(&event);
    }
}
