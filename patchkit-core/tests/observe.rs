//! What runs tell while they go on: events, metrics.

mod common;

use std::time::Duration;

use common::{id, node, off, options, run_id, world};
use futures::{FutureExt, StreamExt, executor::block_on};
use jiff::SignedDuration;
use patchkit_core::{
    Amount, Freeze, FreezeCalendar, NodeSelector, PowerState, Ramp, Rollout, Runs, Wave,
    WaveMembers,
    observe::{EventStream, RunEvent, RunEventKind, Streamed, WaitCause},
    workflow::{Freezes, Outcome, PatchOptions, PlanStep, WhileFrozen},
};

/// All that the runs of `work` told.
fn told(world: &mut common::World, work: impl FnOnce(&common::World)) -> Vec<RunEvent> {
    let (feed, events) = EventStream::bounded(10_000);
    let plain = world.runner.clone();
    world.runner = plain.clone().with_observer(feed);
    work(world);
    world.runner = plain;
    let event = |item| match item {
        Streamed::Event(event) => event,
        other => panic!("{other:?}"),
    };
    block_on(events.map(event).collect())
}

fn two_waves() -> PatchOptions {
    let canary = Wave::new("canary", WaveMembers::Selector(NodeSelector::ids([id("i-01")])));
    let rollout = Rollout::new().with_wave(canary).with_disruption(Amount::Percent(100));
    options().with_rollout(rollout)
}

#[test]
fn a_run_tells_its_course_in_order_and_numbers_it_without_gaps() {
    let mut world = world([node(id("i-01")), off(id("i-02"), PowerState::Stopped)]);
    let events = told(&mut world, |world| {
        assert!(block_on(world.patch(&two_waves())).is_clean());
    });
    for (seq, event) in (0..).zip(&events) {
        assert_eq!((event.seq, event.version, &event.run), (seq, 1, &run_id("run")));
    }
    assert!(events.is_sorted_by_key(|event| event.at));
    let words: Vec<String> = events
        .iter()
        .filter(|event| !matches!(event.kind, RunEventKind::OperationEnded { .. }))
        .map(|event| match &event.kind {
            RunEventKind::NodeStep { node, step } => format!("{} {step}", node.name()),
            RunEventKind::WaveStarted { wave, nodes } => format!("wave {wave} {nodes}"),
            RunEventKind::NodeFinished { report } => {
                format!("{} {}", report.node.name(), report.outcome.outcome)
            }
            RunEventKind::OperationStarted { action, nodes, .. } => {
                format!("{action} {}", nodes.len())
            }
            other => other.as_str().to_owned(),
        })
        .collect();
    assert_eq!(
        words,
        [
            "run_started",
            "wave canary 1",
            "i-01 wait reachable",
            "i-01 install",
            "install (reboot if required) 1",
            "i-01 rescan",
            "scan 1",
            "i-01 patched",
            "wave rest 1",
            "i-02 start",
            "i-02 wait reachable",
            "i-02 update agent",
            "update agent 1",
            "i-02 install",
            "install (reboot if required) 1",
            "i-02 rescan",
            "scan 1",
            "i-02 restore power",
            "i-02 patched",
            "run_finished",
        ]
    );
    let acts = events.iter().filter_map(|event| match &event.kind {
        RunEventKind::OperationEnded { succeeded, failed, unknown, .. } => {
            Some((*succeeded, *failed, *unknown))
        }
        _ => None,
    });
    assert!(acts.eq([(1, 0, 0); 5]));
}

#[test]
fn the_events_of_a_run_read_back_from_their_json() {
    let mut world = world([node(id("i-01"))]);
    let events = told(&mut world, |world| {
        block_on(world.patch(&options()));
    });
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<RunEvent>(&json).unwrap(), event, "{json}");
    }
}

#[test]
fn a_pause_is_told_once_and_so_is_its_end() {
    let mut world = world([node(id("i-01"))]);
    let runs = Runs::new(world.journal.clone(), world.clock.clone());
    let events = told(&mut world, |world| {
        let plan = block_on(world.runner.plan_patch(&options())).unwrap();
        let run = run_id("run");
        let mut patching = Box::pin(world.runner.patch(&run, &plan));
        // The run begins; before it comes to anything it is told to wait.
        let mut polls = 0;
        while block_on(runs.pause(&run, "kim", "lunch")).is_err() {
            assert!((&mut patching).now_or_never().is_none());
            polls += 1;
            assert!(polls < 100);
        }
        let mut resumed = false;
        block_on(async {
            while futures::poll!(&mut patching).is_pending() {
                let late = "2026-11-24T02:05:00Z".parse().unwrap();
                if world.now() > late && !std::mem::replace(&mut resumed, true) {
                    runs.resume(&run, "kim", "done").await.unwrap();
                }
            }
        });
    });
    let at = |word: &str| events.iter().position(|event| event.kind.as_str() == word);
    let (paused, unpaused) = (at("run_paused").unwrap(), at("run_unpaused").unwrap());
    let installed = events.iter().position(|event| {
        matches!(event.kind, RunEventKind::NodeStep { step: PlanStep::Install, .. })
    });
    assert!(paused < unpaused && unpaused < installed.unwrap(), "{events:#?}");
    assert_eq!(events.iter().filter(|it| it.kind == RunEventKind::RunPaused).count(), 1);
}

#[test]
fn a_run_that_goes_on_elsewhere_is_told_as_resumed() {
    let mut world = world([node(id("i-01"))]);
    let plan = block_on(world.runner.plan_patch(&options())).unwrap();
    let run = run_id("run");
    {
        let mut patching = Box::pin(world.runner.patch(&run, &plan));
        while world.installs().is_empty() {
            assert!((&mut patching).now_or_never().is_none());
        }
    }
    world.clock.advance(std::time::Duration::from_hours(1));
    let events = told(&mut world, |world| {
        let ended = block_on(world.runner.resume(&run)).unwrap();
        assert_eq!(ended.nodes[0].outcome.outcome, Outcome::Patched);
    });
    assert_eq!(events[0].kind.as_str(), "run_resumed");
    assert!(matches!(
        &events.last().unwrap().kind,
        RunEventKind::RunFinished { workflow, .. } if workflow == "patch"
    ));
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_have_the_documented_names_and_count_what_happened() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    use patchkit_core::{ErrorKind, PatchAction, memory::Fault};

    let world = world([node(id("i-01")), node(id("i-02"))]);
    world.cloud.on_call(|call| match call.action {
        Some(PatchAction::Install(_)) if call.nodes.contains(&id("i-02")) => {
            Fault::Refuse(common::error(ErrorKind::PermissionDenied))
        }
        _ => Fault::Pass,
    });
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || block_on(world.patch(&two_waves())));
    let mut counted: Vec<String> = snapshots
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<String> =
                key.key().labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Histogram(values) => format!("of {}", values.len()),
                DebugValue::Gauge(value) => value.to_string(),
            };
            format!("{}{{{}}} {value}", key.key().name(), labels.join(","))
        })
        .collect();
    counted.sort();
    insta::assert_snapshot!(counted.join("\n"), @r"
    patchkit_node_steps_total{step=install} 2
    patchkit_node_steps_total{step=rescan} 1
    patchkit_node_steps_total{step=wait_reachable} 2
    patchkit_nodes_finished_total{outcome=failed} 1
    patchkit_nodes_finished_total{outcome=patched} 1
    patchkit_operation_nodes_total{action=install,end=failed} 0
    patchkit_operation_nodes_total{action=install,end=succeeded} 1
    patchkit_operation_nodes_total{action=install,end=unknown} 0
    patchkit_operation_nodes_total{action=scan,end=failed} 0
    patchkit_operation_nodes_total{action=scan,end=succeeded} 1
    patchkit_operation_nodes_total{action=scan,end=unknown} 0
    patchkit_operation_seconds{action=install} of 1
    patchkit_operation_seconds{action=scan} of 1
    patchkit_operations_started_total{action=install} 1
    patchkit_operations_started_total{action=scan} 1
    patchkit_run_seconds{workflow=patch} of 1
    patchkit_runs_finished_total{workflow=patch} 1
    patchkit_runs_started_total{workflow=patch} 1
    patchkit_waves_started_total{} 2
    ");
    let documented = include_str!("../src/observe.rs");
    for line in &counted {
        let name = line.split('{').next().unwrap();
        assert!(documented.contains(&format!("`{name}`")), "{name} is not documented");
    }
}

#[test]
fn what_a_run_waits_for_is_told_once_and_until_when() {
    let minutes = |count| Duration::from_mins(count);
    let waits = |options: PatchOptions, nodes: Vec<_>| -> Vec<(WaitCause, SignedDuration)> {
        let mut world = world(nodes);
        let events = told(&mut world, |world| {
            assert!(block_on(world.patch(&options)).is_clean());
        });
        let waits = events.iter().filter_map(|event| match &event.kind {
            RunEventKind::Waiting { cause, until } => {
                Some((cause.clone(), until.duration_since(event.at)))
            }
            _ => None,
        });
        waits.collect()
    };
    let two = |state: Option<PowerState>| {
        let ids = ["i-01", "i-02"].map(id);
        ids.map(|id| state.map_or_else(|| node(id.clone()), |it| off(id.clone(), it))).to_vec()
    };
    let hours = SignedDuration::from_hours;

    let canary = Wave::new("canary", WaveMembers::Selector(NodeSelector::ids([id("i-01")])));
    let rollout = Rollout::new().with_disruption(Amount::Percent(100));
    let baked = rollout.clone().with_wave(canary.with_bake(minutes(60)));
    assert_eq!(waits(options().with_rollout(baked), two(None)), [(WaitCause::Bake, hours(1))]);

    let ramped = rollout.with_ramp(Ramp::new(1, minutes(120)));
    let told = waits(options().with_rollout(ramped), two(Some(PowerState::Stopped)));
    let [(WaitCause::Ramp, left)] = &told[..] else { panic!("{told:?}") };
    assert!(*left <= hours(2) && *left > SignedDuration::from_mins(110), "{told:?}");

    let [from, until] =
        ["02", "03"].map(|hour| format!("2026-11-24T{hour}:00:00Z").parse().unwrap());
    let calendar = FreezeCalendar::new([Freeze::new("sale", from, until)]);
    let frozen = Freezes::new(calendar).with_during(WhileFrozen::Wait);
    let told = waits(options().with_freezes(frozen), two(None));
    assert_eq!(told, [(WaitCause::Freeze, hours(1))]);
}
