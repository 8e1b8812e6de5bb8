//! The patch workflow on a fleet in memory.

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{azure, error, id, node, off, options, outcome, report, run_id, says, world};
use futures::executor::block_on;
use patchkit_core::{
    Amount, Capabilities, ComplianceStatus, ErrorKind, Journal, MaintenanceWindow, NodeOrigin,
    NodeSelector, PatchAction, PowerState, Reachability, RebootPolicy, Retry, Rollout, Wave,
    WaveMembers,
    memory::{Behavior, Fault},
    observe::{RunEvent, RunEventKind},
    workflow::{CancelToken, Outcome, PlanStep, PlannedNode, Runner},
};

#[test]
fn only_what_the_run_started_is_stopped_again() {
    let (running, stopped) = (id("i-01"), id("i-02"));
    let (found_stopped, deallocated) = (azure("vm-1"), azure("vm-2"));
    let world = world([
        node(running.clone()),
        off(stopped.clone(), PowerState::Stopped),
        off(found_stopped.clone(), PowerState::Stopped),
        off(deallocated.clone(), PowerState::Deallocated),
    ]);
    let ended = block_on(world.patch(&options()));
    assert!(ended.is_clean(), "{ended}");
    assert_eq!(world.cloud.power(&running), Some(PowerState::Running));
    assert_eq!(world.cloud.power(&stopped), Some(PowerState::Stopped));
    assert_eq!(world.cloud.power(&found_stopped), Some(PowerState::Stopped));
    assert_eq!(world.cloud.power(&deallocated), Some(PowerState::Deallocated));
    let touched: Vec<_> = world
        .cloud
        .calls()
        .into_iter()
        .filter(|call| call.operation == "set_power")
        .flat_map(|call| call.nodes)
        .collect();
    assert!(!touched.contains(&running));
}

#[test]
fn agents_are_updated_on_the_started_nodes_alone() {
    let (running, stopped) = (id("i-01"), id("i-02"));
    let world = world([node(running), off(stopped.clone(), PowerState::Stopped)]);
    block_on(world.patch(&options()));
    let updates = world.submits(|action| *action == PatchAction::UpdateAgent);
    let nodes: Vec<_> = updates.into_iter().flat_map(|call| call.nodes).collect();
    assert_eq!(nodes, [stopped]);
}

#[test]
fn what_the_last_scan_found_is_made_anew_before_an_install_that_goes_by_it() {
    let (fresh, stopped) = (id("i-01"), id("i-02"));
    let mut world = world([node(fresh.clone()), off(stopped.clone(), PowerState::Stopped)]);
    let scan = NodeSelector::ids([fresh.clone()]);
    block_on(world.runner.scan(&run_id("scan"), &scan)).unwrap();
    for (needs, scanned) in [(false, vec![]), (true, vec![stopped.clone()])] {
        let mut can = Capabilities::full();
        can.scan_before_install = needs;
        let cloud = world.cloud.clone().with_capabilities(can);
        let (journal, clock) = (world.journal.clone(), world.clock.clone());
        world.runner = Runner::new(cloud.clone(), cloud, journal, clock);
        let plan = block_on(world.runner.plan_patch(&options())).unwrap();
        let scans = |it: &&PlannedNode| it.steps.contains(&PlanStep::Scan);
        let planned: Vec<_> = plan.nodes.iter().filter(scans).map(|it| it.id.clone()).collect();
        assert_eq!(planned, scanned);
        assert_eq!(plan.to_string().contains("→ scan → install"), needs, "{plan}");
        if !needs {
            continue;
        }
        let before = world.submits(|_| true).len();
        let ended = block_on(world.runner.patch(&run_id("run"), &plan)).unwrap();
        assert!(ended.is_clean(), "{ended}");
        let acts = world.submits(|_| true).split_off(before);
        let on_stopped = acts.iter().filter(|call| call.nodes.contains(&stopped));
        let actions: Vec<_> = on_stopped.filter_map(|call| call.action).collect();
        let install = PatchAction::Install(RebootPolicy::IfRequired);
        let scan = PatchAction::Scan;
        assert_eq!(actions, [PatchAction::UpdateAgent, scan, install, scan]);
    }
}

#[test]
fn an_off_node_that_is_not_to_be_started_is_left_alone() {
    let stopped = id("i-01");
    let world = world([node(stopped.clone()).with_power(PowerState::Stopped)]);
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &stopped), Outcome::Skipped);
    assert!(says(&ended, &stopped, "not among the nodes to start"));
    assert!(world.installs().is_empty());
}

#[test]
fn a_hybrid_node_is_patched_and_its_power_is_not_touched() {
    let hybrid = id("mi-01");
    let world = world([node(hybrid.clone()).with_origin(NodeOrigin::Hybrid)]);
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &hybrid), Outcome::Patched);
    assert!(world.cloud.calls().iter().all(|call| call.operation != "set_power"));
}

#[test]
fn the_waves_come_one_after_the_other_and_never_exceed_the_budget() {
    let world = world((0..20).map(|at| node(id(&format!("i-{at:02}")))));
    let rollout = Rollout::new()
        .with_wave(Wave::new("canary", WaveMembers::Amount(Amount::Fixed(2))))
        .with_disruption(Amount::Fixed(4));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert!(ended.is_clean(), "{ended}");
    let sizes: Vec<usize> = world.installs().iter().map(|call| call.nodes.len()).collect();
    assert_eq!(sizes, [2, 4, 4, 4, 4, 2]);
    let installs = world.installs();
    assert!(installs.windows(2).all(|pair| pair[0].at < pair[1].at));
}

#[test]
fn the_first_failure_stops_the_run_by_default() {
    let world = world((0..6).map(|at| {
        let node = node(id(&format!("i-{at:02}")));
        if at == 0 { node.with_behavior(Behavior::PatchFails) } else { node }
    }));
    let rollout = Rollout::new()
        .with_wave(Wave::new("canary", WaveMembers::Selector(NodeSelector::ids([id("i-00")]))));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(outcome(&ended, &id("i-00")), Outcome::Failed);
    assert_eq!(ended.tally(), BTreeMap::from([(Outcome::Failed, 1), (Outcome::Skipped, 5)]));
    assert!(says(&ended, &id("i-03"), "error budget"));
    assert_eq!(world.installs().len(), 1);
}

#[test]
fn failed_nodes_stay_counted_in_the_disruption_budget() {
    let world = world((0..4).map(|at| {
        let node = node(id(&format!("i-{at:02}")));
        if at < 2 { node.with_behavior(Behavior::PatchFails) } else { node }
    }));
    let rollout =
        Rollout::new().with_disruption(Amount::Fixed(2)).with_errors(Amount::Percent(100));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(ended.tally(), BTreeMap::from([(Outcome::Failed, 2), (Outcome::Skipped, 2)]));
    assert!(says(&ended, &id("i-03"), "disruption budget"));
}

#[test]
fn nothing_begins_outside_the_maintenance_window() {
    let world = world([node(id("i-01"))]);
    let opens = "2026-11-24T05:00:00Z".parse().unwrap();
    let window = MaintenanceWindow::new(opens, Duration::from_hours(2));
    let ended = block_on(world.patch(&options().with_window(window)));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
    assert!(world.installs().is_empty());
}

#[test]
fn a_run_that_is_cancelled_starts_nothing_new_and_puts_back_what_it_started() {
    let ids: Vec<_> = (0..6).map(|at| id(&format!("i-{at:02}"))).collect();
    let mut world = world(ids.iter().map(|id| off(id.clone(), PowerState::Stopped)));
    let cancel = CancelToken::new();
    let token = cancel.clone();
    world.runner =
        world.runner.clone().with_cancel(cancel).with_observer(move |event: &RunEvent| {
            if matches!(event.kind, RunEventKind::NodeStep { step: PlanStep::Install, .. }) {
                token.cancel();
            }
        });
    let rollout = Rollout::new().with_disruption(Amount::Fixed(2));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert!(ended.undo_failed.is_empty());
    assert!(ids.iter().all(|id| world.cloud.power(id) == Some(PowerState::Stopped)));
    assert!(ended.tally()[&Outcome::Skipped] >= 4);
    assert!(world.installs().len() <= 1);
}

#[test]
fn a_lost_answer_is_found_by_its_token_and_never_sent_again() {
    let world = world([node(id("i-01"))]);
    world.cloud.on_call(|call| match (call.operation, &call.action) {
        ("submit", Some(PatchAction::Install(_))) => Fault::LoseAnswer(error(ErrorKind::Timeout)),
        _ => Fault::Pass,
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
    assert_eq!(world.installs().len(), 1);
}

#[test]
fn a_submission_that_is_never_found_is_unknown_and_not_repeated() {
    let world = world([node(id("i-01"))]);
    world.cloud.on_call(|call| match (call.operation, &call.action) {
        ("submit", Some(PatchAction::Install(_))) => Fault::Refuse(error(ErrorKind::Timeout)),
        _ => Fault::Pass,
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Unknown);
    assert_eq!(world.installs().len(), 1);
}

#[test]
fn a_throttled_submission_is_made_again_under_the_same_token() {
    let world = world([node(id("i-01"))]);
    let left = Arc::new(AtomicUsize::new(2));
    world.cloud.on_call(move |call| {
        let install = matches!(call.action, Some(PatchAction::Install(_)));
        let more = left.load(Ordering::Relaxed);
        if install && more > 0 {
            left.store(more - 1, Ordering::Relaxed);
            Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff))
        } else {
            Fault::Pass
        }
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
    let installs = world.installs();
    assert_eq!(installs.len(), 3);
    assert!(installs.iter().all(|call| call.token == installs[0].token));
}

#[test]
fn a_throttled_status_or_start_is_asked_for_again() {
    let stopped = id("i-01");
    let world = world([off(stopped.clone(), PowerState::Stopped)]);
    let left = Arc::new(AtomicUsize::new(4));
    world.cloud.on_call(move |call| {
        let held = matches!(call.operation, "statuses" | "set_power");
        if held && left.load(Ordering::Relaxed) > 0 {
            left.fetch_sub(1, Ordering::Relaxed);
            Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff))
        } else {
            Fault::Pass
        }
    });
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &stopped), Outcome::Patched, "{ended}");
    assert_eq!(world.cloud.power(&stopped), Some(PowerState::Stopped));
}

#[test]
fn a_node_that_cannot_be_stopped_again_is_named_and_stays_claimed() {
    let stuck = id("i-01");
    let world = world([
        off(stuck.clone(), PowerState::Stopped).with_behavior(Behavior::RefusesStop),
        off(id("i-02"), PowerState::Stopped),
    ]);
    let rollout = Rollout::new().with_disruption(Amount::Percent(100));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(ended.undo_failed.len(), 1);
    assert_eq!(ended.undo_failed[0].node, stuck);
    assert_eq!(report(&ended, &stuck).power_after, PowerState::Running);
    assert_eq!(world.cloud.power(&id("i-02")), Some(PowerState::Stopped));
    block_on(async {
        let term = Duration::from_mins(1);
        let lease = world.journal.begin(&run_id("other"), "someone", term).await.unwrap();
        let claims = world.journal.claim(&lease, &[stuck, id("i-02")]).await;
        assert_eq!(claims[0].1.as_ref().unwrap_err().kind(), ErrorKind::Conflict);
        assert!(claims[1].1.is_ok());
    });
}

#[test]
fn a_node_whose_power_has_changed_since_the_plan_is_skipped() {
    let world = world([node(id("i-01"))]);
    let ended = block_on(async {
        let plan = world.runner.plan_patch(&options()).await.unwrap();
        world.cloud.update(&id("i-01"), |node| node.with_power(PowerState::Stopped)).unwrap();
        world.runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
    assert_eq!(world.cloud.power(&id("i-01")), Some(PowerState::Stopped));
}

#[test]
fn a_node_that_waits_for_a_reboot_is_not_patched() {
    let world = world([node(id("i-01"))]);
    let ended = block_on(world.patch(&options().with_reboot(RebootPolicy::Never)));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Failed);
    assert!(says(&ended, &id("i-01"), "wait for a reboot"));
}

#[test]
fn a_node_whose_agent_never_comes_up_is_unreachable_and_stopped_again() {
    let dead = id("i-01");
    let world = world([off(dead.clone(), PowerState::Stopped).with_behavior(Behavior::DeadAgent)]);
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &dead), Outcome::Unreachable);
    assert_eq!(world.cloud.power(&dead), Some(PowerState::Stopped));
    assert!(world.installs().is_empty());
}

#[test]
fn an_install_that_never_ends_is_cancelled_and_not_called_patched() {
    let hangs = id("i-01");
    let world = world([node(hangs.clone()).with_behavior(Behavior::InstallHangs)]);
    let ended = block_on(world.patch(&options()));
    assert!(matches!(outcome(&ended, &hangs), Outcome::Unknown | Outcome::Failed));
    assert_eq!(report(&ended, &hangs).status_after, ComplianceStatus::NonCompliant);
}

#[test]
fn two_runs_never_work_on_one_node() {
    let world = world([node(id("i-01"))]);
    let ended = block_on(async {
        let term = Duration::from_hours(1);
        let lease = world.journal.begin(&run_id("other"), "someone", term).await.unwrap();
        world.journal.claim(&lease, &[id("i-01")]).await;
        world.patch(&options()).await
    });
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
    assert!(says(&ended, &id("i-01"), "run other holds it"));
    assert!(world.installs().is_empty());
}

#[test]
fn a_run_that_died_is_recovered_and_its_nodes_are_put_back() {
    let stopped = id("i-01");
    let world = world([off(stopped.clone(), PowerState::Stopped)]);
    block_on(async {
        let plan = world.runner.plan_patch(&options()).await.unwrap();
        {
            let run = run_id("run");
            let mut running = Box::pin(world.runner.patch(&run, &plan));
            while world.installs().is_empty() {
                assert!(futures::poll!(&mut running).is_pending());
            }
        }
        assert_eq!(world.cloud.power(&stopped), Some(PowerState::Running));
        let early = world.runner.recover(&run_id("run")).await.unwrap_err();
        assert_eq!(early.kind(), ErrorKind::Conflict, "its holder's term is not over");

        world.clock.advance(Duration::from_mins(10));
        let recovery = world.runner.recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.restored, std::slice::from_ref(&stopped));
        assert!(recovery.unknown.iter().any(|(node, _)| *node == stopped));
        assert_eq!(world.cloud.power(&stopped), Some(PowerState::Stopped));

        let again = world.runner.recover(&run_id("run")).await.unwrap();
        assert!(again.restored.is_empty());
    });
    assert_eq!(world.installs().len(), 1, "a recovery submits nothing");
}

#[test]
fn remediation_takes_only_what_is_known_to_be_not_compliant() {
    let (bad, good, never) = (id("i-01"), id("i-02"), id("i-03"));
    let at = "2026-11-20T02:00:00Z".parse().unwrap();
    let world = world([
        node(bad.clone()).with_scan(at),
        patchkit_core::memory::MemoryNode::new(good.clone(), common::OS).with_scan(at),
        node(never.clone()),
    ]);
    block_on(async {
        let plan = world.runner.plan_remediation(&options()).await.unwrap();
        let nodes: Vec<_> = plan.nodes.iter().map(|node| node.id.clone()).collect();
        assert_eq!(nodes, std::slice::from_ref(&bad));
        let ended = world.runner.patch(&run_id("run"), &plan).await.unwrap();
        assert_eq!(outcome(&ended, &bad), Outcome::Patched);
        assert_eq!(outcome(&ended, &good), Outcome::AlreadyCompliant);
        assert!(says(&ended, &never, "scan it first"));
    });
}

#[test]
fn an_unreachable_running_node_is_reported_and_the_others_go_on() {
    let (lost, fine) = (id("i-01"), id("i-02"));
    let world =
        world([node(lost.clone()).with_reachability(Reachability::Lost), node(fine.clone())]);
    let rollout =
        Rollout::new().with_disruption(Amount::Percent(100)).with_errors(Amount::Fixed(1));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(outcome(&ended, &lost), Outcome::Unreachable);
    assert_eq!(outcome(&ended, &fine), Outcome::Patched);
}

#[test]
fn failed_nodes_of_an_earlier_wave_stay_counted_in_the_disruption_budget() {
    let world = world((0..4).map(|at| {
        let node = node(id(&format!("i-{at:02}")));
        if at < 2 { node.with_behavior(Behavior::PatchFails) } else { node }
    }));
    let first = NodeSelector::ids([id("i-00"), id("i-01")]);
    let rollout = Rollout::new()
        .with_wave(Wave::new("canary", WaveMembers::Selector(first)))
        .with_disruption(Amount::Fixed(2))
        .with_errors(Amount::Percent(100));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(ended.tally(), BTreeMap::from([(Outcome::Failed, 2), (Outcome::Skipped, 2)]));
}

#[test]
fn a_recovery_that_cannot_look_for_an_install_does_not_stop_the_node_under_it() {
    let stopped = id("i-01");
    let world = world([off(stopped.clone(), PowerState::Stopped)]);
    block_on(async {
        let plan = world.runner.plan_patch(&options()).await.unwrap();
        {
            let run = run_id("run");
            let mut running = Box::pin(world.runner.patch(&run, &plan));
            while world.installs().is_empty() {
                assert!(futures::poll!(&mut running).is_pending());
            }
        }
        world.clock.advance(Duration::from_mins(10));
        world.cloud.on_call(|call| match call.operation {
            "find_operation" => Fault::Refuse(error(ErrorKind::Unauthenticated)),
            _ => Fault::Pass,
        });
        let recovery = world.runner.recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.undo_failed.len(), 1, "{recovery:?}");
        assert_eq!(world.cloud.power(&stopped), Some(PowerState::Running));

        world.cloud.on_call(|_| Fault::Pass);
        let recovery = world.runner.recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.restored, std::slice::from_ref(&stopped));
        assert_eq!(world.cloud.power(&stopped), Some(PowerState::Stopped));
    });
}
