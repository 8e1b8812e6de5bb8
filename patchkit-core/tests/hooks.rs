//! Hooks around runs, waves and nodes, and the check of health.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use common::{World, error, id, node, off, options, outcome, run_id, says, world};
use futures::{TryStreamExt, executor::block_on, future::poll_fn};
use patchkit_core::{
    Amount, Clock, ErrorKind, Event, Health, HookPoint, Journal, NodeId, PowerState, Record,
    Result, Rollout, RunState, Runs, VirtualClock, Wave, WaveMembers,
    memory::MemoryNode,
    observe::{RunEvent, RunEventKind},
    workflow::{CancelToken, HealthCheck, Hook, HookCall, Outcome, RunReport, Runner, WaveSoFar},
};

const TERM: Duration = Duration::from_mins(5);

type Answer = fn(&HookCall<'_>) -> Result<()>;

/// A hook that notes its calls, each as `point subject`, and how they ended.
#[derive(Clone)]
struct Recorder {
    name: &'static str,
    clock: VirtualClock,
    calls: Arc<Mutex<Vec<String>>>,
    ids: Arc<Mutex<Vec<String>>>,
    answer: Answer,
    takes: Duration,
    wants: fn(HookPoint) -> bool,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Recorder {
    fn new(world: &World, name: &'static str) -> Self {
        Self {
            name,
            clock: world.clock.clone(),
            calls: Arc::default(),
            ids: Arc::default(),
            answer: |_| Ok(()),
            takes: Duration::from_secs(2),
            wants: |_| true,
        }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn on(&self, runner: &Runner) -> Runner {
        runner.clone().with_hook(self.clone())
    }
}

#[async_trait::async_trait]
impl Hook for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    fn wants(&self, point: HookPoint) -> bool {
        (self.wants)(point)
    }

    async fn call(&self, call: &HookCall<'_>) -> Result<()> {
        self.clock.sleep(self.takes).await;
        let subject = match (&call.node, &call.wave) {
            (Some(node), _) => format!(" {}", node.id.name()),
            (None, Some(wave)) => format!(" {}", wave.name),
            (None, None) => String::new(),
        };
        self.calls.lock().unwrap().push(format!("{}{subject}", call.point));
        self.ids.lock().unwrap().push(call.id.clone());
        (self.answer)(call)
    }
}

fn is_at(call: &HookCall<'_>, point: HookPoint, name: &str) -> bool {
    let node = call.node.map(|node| node.id.name());
    let wave = call.wave.map(|wave| wave.name);
    call.point == point && node.or(wave).unwrap_or_default() == name
}

fn two_waves() -> Rollout {
    Rollout::new()
        .with_wave(Wave::ids("first", [id("i-00")]))
        .with_disruption(Amount::Fixed(1))
        .with_errors(Amount::Percent(100))
}

fn three(world_of: fn(NodeId) -> MemoryNode) -> World {
    world((0..3).map(|at| world_of(id(&format!("i-{at:02}")))))
}

async fn patch(world: &World, runner: &Runner) -> RunReport {
    let plan = world.runner.plan_patch(&options().with_rollout(two_waves())).await.unwrap();
    runner.patch(&run_id("run"), &plan).await.unwrap()
}

#[test]
fn hooks_stand_around_the_run_its_waves_and_its_nodes() {
    let world = three(node);
    let hook = Recorder::new(&world, "recorder");
    let ended = block_on(patch(&world, &hook.on(&world.runner)));
    assert!(ended.is_clean(), "{ended}");
    let calls = [
        "before_run",
        "before_wave first",
        "before_node i-00",
        "after_node i-00",
        "after_wave first",
        "before_wave rest",
        "before_node i-01",
        "after_node i-01",
        "before_node i-02",
        "after_node i-02",
        "after_wave rest",
        "after_run",
    ];
    assert_eq!(hook.calls(), calls);
}

#[test]
fn of_several_hooks_the_first_before_is_the_last_after() {
    let world = world([node(id("i-00"))]);
    let (outer, mut inner) = (Recorder::new(&world, "outer"), Recorder::new(&world, "inner"));
    inner.calls = Arc::clone(&outer.calls);
    inner.ids = Arc::clone(&outer.ids);
    let runner = inner.on(&outer.on(&world.runner));
    block_on(patch(&world, &runner));
    let ids = outer.ids.lock().unwrap().clone();
    let nodes: Vec<_> = ids.iter().filter(|id| id.contains("_node")).collect();
    let order = ["outer before", "inner before", "inner after", "outer after"];
    assert_eq!(nodes.len(), order.len());
    assert!(nodes.iter().zip(order).all(|(id, word)| id.contains(word)), "{nodes:?}");
}

#[test]
fn a_before_that_fails_skips_its_node_and_its_after_is_called() {
    let world = three(node);
    let mut hook = Recorder::new(&world, "drain");
    hook.answer = |call| fail_at(call, HookPoint::BeforeNode, "i-01");
    let ended = block_on(patch(&world, &hook.on(&world.runner)));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
    assert!(says(&ended, &id("i-01"), "hook \"drain\" before_node: "), "{ended:?}");
    assert_eq!(outcome(&ended, &id("i-02")), Outcome::Patched);
    assert!(hook.calls().contains(&"after_node i-01".to_owned()));
    assert!(world.installs().iter().all(|call| !call.nodes.contains(&id("i-01"))));
}

#[test]
fn a_before_of_a_wave_or_of_the_run_that_fails_stops_the_run() {
    let failing: [(Answer, usize); 2] = [
        (|call| fail_at(call, HookPoint::BeforeWave, "rest"), 1),
        (|call| fail_at(call, HookPoint::BeforeRun, ""), 0),
    ];
    for (answer, patched) in failing {
        let world = three(node);
        let mut hook = Recorder::new(&world, "gate");
        hook.answer = answer;
        let ended = block_on(patch(&world, &hook.on(&world.runner)));
        assert_eq!(ended.tally().get(&Outcome::Patched).copied().unwrap_or_default(), patched);
        assert!(says(&ended, &id("i-02"), "hook \"gate\" before_"), "{ended:?}");
        assert!(ended.problems.iter().any(|it| it.contains("hook \"gate\"")), "{ended}");
        assert_eq!(world.installs().len(), patched);
        let calls = hook.calls();
        assert_eq!(calls.last().map(String::as_str), Some("after_run"));
        assert!(!calls.contains(&"before_node i-01".to_owned()));
    }
}

/// Fails at `point`, for the node or wave of that name.
fn fail_at(call: &HookCall<'_>, point: HookPoint, name: &str) -> Result<()> {
    if is_at(call, point, name) { Err(error(ErrorKind::Unexpected)) } else { Ok(()) }
}

#[test]
fn an_after_that_fails_is_a_note_and_its_node_stays_counted_as_out_of_work() {
    let world = three(node);
    let mut hook = Recorder::new(&world, "undrain");
    hook.answer = |call| fail_at(call, HookPoint::AfterNode, "i-01");
    let ended = block_on(patch(&world, &hook.on(&world.runner)));
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Patched);
    assert!(says(&ended, &id("i-01"), "hook \"undrain\" after_node"), "{ended:?}");
    assert_eq!(outcome(&ended, &id("i-02")), Outcome::Skipped);
    assert!(says(&ended, &id("i-02"), "fill the disruption budget of 1"), "{ended:?}");
}

#[test]
fn a_hook_that_does_not_answer_is_a_failure_and_does_not_cost_the_lease() {
    let world = world([node(id("i-00"))]);
    let mut hook = Recorder::new(&world, "slow");
    hook.takes = Duration::from_hours(2);
    hook.wants = |point| point == HookPoint::BeforeNode;
    let ended = block_on(patch(&world, &hook.on(&world.runner)));
    assert_eq!(outcome(&ended, &id("i-00")), Outcome::Skipped);
    assert!(says(&ended, &id("i-00"), "no answer in 300 s"), "{ended:?}");
    assert!(hook.calls().is_empty() && ended.problems.is_empty(), "{ended}");
}

#[test]
fn the_afters_of_a_cancelled_run_are_called() {
    let world = three(|id| off(id, PowerState::Stopped));
    let hook = Recorder::new(&world, "recorder");
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let runner = hook.on(&world.runner).with_cancel(cancel);
    let runner = runner.with_observer(move |event: &RunEvent| {
        if matches!(event.kind, RunEventKind::NodeStep { .. }) {
            token.cancel();
        }
    });
    block_on(patch(&world, &runner));
    let calls = hook.calls();
    let of = |word: &str| calls.iter().filter(|call| call.starts_with(word)).count();
    assert_eq!(of("before_node"), 1);
    assert_eq!(of("before"), of("after"), "{calls:?}");
}

/// Drives a run for so many polls, and drops it. Says whether it was over.
async fn polled(polls: usize, work: impl Future) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(cx).map(|_| true)
    })
    .await
}

async fn events(world: &World) -> Vec<Event> {
    let records: Vec<_> = world.journal.events(&run_id("run")).try_collect().await.unwrap();
    records.into_iter().map(|record: Record| record.event).collect()
}

#[test]
fn a_run_that_dies_at_any_moment_loses_no_call_and_repeats_none_that_is_known_to_have_ended() {
    for polls in 1.. {
        let world = three(|id| off(id, PowerState::Stopped));
        let hook = Recorder::new(&world, "recorder");
        let over = block_on(async {
            let runner = hook.on(&world.runner);
            let over = polled(polls, patch(&world, &runner)).await;
            world.clock.advance(2 * TERM);
            match runner.resume(&run_id("run")).await {
                Ok(ended) => {
                    assert!(ended.undo_failed.is_empty(), "{polls}: {ended}");
                    assert!(ended.problems.is_empty(), "{polls}: {ended}");
                }
                Err(error) => {
                    let known = [ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::Unsupported];
                    assert!(known.contains(&error.kind()), "{polls}: {error}");
                }
            }
            over
        });
        let calls = hook.calls();
        // Each before is followed by its after, and a before made twice was not known to have ended.
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for call in &calls {
            *seen.entry(call.as_str()).or_default() += 1;
        }
        for (call, times) in &seen {
            assert!(*times <= 2, "{polls}: {call} {times} times");
            if let Some(subject) = call.strip_prefix("before") {
                let last = calls.iter().rposition(|it| it == call);
                let after = calls.iter().rposition(|it| *it == format!("after{subject}"));
                assert!(last < after, "{polls}: {calls:?}");
            }
        }
        let repeated = seen.values().filter(|times| **times > 1).count();
        assert!(repeated <= 1, "{polls}: {calls:?}");
        for call in world.installs() {
            let name = format!("before_node {}", call.nodes[0].name());
            assert!(calls.contains(&name), "{polls}: {name}");
        }
        if over {
            break;
        }
    }
}

#[test]
fn a_recovery_calls_what_is_owed_and_one_without_the_hook_leaves_it_to_the_next() {
    let world = three(node);
    let hook = Recorder::new(&world, "drain");
    block_on(async {
        let runner = hook.on(&world.runner);
        let plan = world.runner.plan_patch(&options().with_rollout(two_waves())).await.unwrap();
        let run = run_id("run");
        let mut patching = pin!(runner.patch(&run, &plan));
        poll_fn(|cx| {
            assert!(patching.as_mut().poll(cx).is_pending());
            if world.installs().is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        world.clock.advance(2 * TERM);

        let recovery = world.runner.recover(&run).await.unwrap();
        let owed = |it: &&String| it.contains("is owed, and there is no hook of that name");
        assert_eq!(recovery.problems.iter().filter(owed).count(), 3, "{recovery:?}");
        assert!(hook.calls().iter().all(|call| call.starts_with("before")));

        let recovery = runner.recover(&run).await.unwrap();
        assert!(recovery.problems.is_empty(), "{recovery:?}");
        let afters = ["after_node i-00", "after_wave first", "after_run"];
        assert!(hook.calls().ends_with(&afters.map(str::to_owned)), "{:?}", hook.calls());
        let line = Runs::new(world.journal.clone(), world.clock.clone()).line(&run).await.unwrap();
        assert_eq!(line.state, RunState::Finished);

        let before = hook.calls().len();
        runner.recover(&run).await.unwrap();
        assert_eq!(hook.calls().len(), before);
    });
}

/// Answers by what it is asked about, and how often it was asked before.
#[derive(Debug)]
struct Check {
    asked: Arc<Mutex<usize>>,
    answer: fn(usize, &WaveSoFar<'_>) -> Result<Health>,
}

impl Check {
    fn on(world: &World, answer: fn(usize, &WaveSoFar<'_>) -> Result<Health>) -> Runner {
        world.runner.clone().with_health_check(Self { asked: Arc::default(), answer })
    }
}

#[async_trait::async_trait]
impl HealthCheck for Check {
    async fn check(&self, wave: &WaveSoFar<'_>) -> Result<Health> {
        let asked = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            *asked - 1
        };
        (self.answer)(asked, wave)
    }
}

fn watched() -> Rollout {
    let canary = Wave::new("canary", WaveMembers::Amount(Amount::Fixed(1)));
    Rollout::new().with_wave(canary.with_bake(Duration::from_hours(1)))
}

async fn watch(world: &World, runner: &Runner) -> RunReport {
    let plan = world.runner.plan_patch(&options().with_rollout(watched())).await.unwrap();
    runner.patch(&run_id("run"), &plan).await.unwrap()
}

fn judged(events: &[Event]) -> Vec<(u32, Health)> {
    let judged = events.iter().filter_map(|event| match event {
        Event::WaveJudged { wave, health } => Some((*wave, health.clone())),
        _ => None,
    });
    judged.collect()
}

#[test]
fn a_wave_that_is_unhealthy_stops_the_run_with_the_checks_words() {
    let world = three(node);
    let runner = Check::on(&world, |_, wave| {
        assert_eq!((wave.name, wave.nodes.len()), ("canary", 1));
        Ok(Health::Unhealthy("502 on /login".to_owned()))
    });
    let ended = block_on(watch(&world, &runner));
    assert_eq!(ended.tally(), BTreeMap::from([(Outcome::Patched, 1), (Outcome::Skipped, 2)]));
    let word = "wave \"canary\" is UNHEALTHY: 502 on /login";
    assert!(says(&ended, &id("i-01"), word), "{ended:?}");
    assert_eq!(ended.problems, [word]);
    let unhealthy = Health::Unhealthy("502 on /login".to_owned());
    assert_eq!(judged(&block_on(events(&world))), [(0, unhealthy)]);
}

#[test]
fn a_wave_that_becomes_unhealthy_while_it_is_watched_stops_the_run_at_once() {
    let world = three(node);
    let runner = Check::on(&world, |asked, _| {
        Ok(if asked < 10 { Health::Healthy } else { Health::Unhealthy("slow".to_owned()) })
    });
    let ended = block_on(watch(&world, &runner));
    assert_eq!(ended.tally()[&Outcome::Skipped], 2);
    let unhealthy = Health::Unhealthy("slow".to_owned());
    assert_eq!(judged(&block_on(events(&world))), [(0, Health::Healthy), (0, unhealthy)]);
    let took = ended.ended_at.duration_since(ended.started_at).as_mins();
    assert!(took < 40, "{took} min, of which an hour of watching");
}

#[test]
fn a_check_that_cannot_be_asked_is_asked_again_and_then_nobody_knows() {
    let world = three(node);
    let runner = Check::on(&world, |asked, _| match asked {
        0 | 1 => Err(error(ErrorKind::Timeout)),
        _ => Ok(Health::Healthy),
    });
    assert!(block_on(watch(&world, &runner)).is_clean());

    let world = three(node);
    let runner = Check::on(&world, |_, _| Err(error(ErrorKind::Timeout)));
    let ended = block_on(watch(&world, &runner));
    assert_eq!(ended.tally()[&Outcome::Skipped], 2);
    assert!(ended.problems[0].contains("of unknown health"), "{ended}");
}

#[test]
fn a_healthy_run_is_asked_about_after_each_wave_and_each_minute_of_watching() {
    let world = three(node);
    let check = Check { asked: Arc::default(), answer: |_, _| Ok(Health::Healthy) };
    let asked = Arc::clone(&check.asked);
    let ended = block_on(watch(&world, &world.runner.clone().with_health_check(check)));
    assert!(ended.is_clean(), "{ended}");
    assert_eq!(*asked.lock().unwrap(), 1 + 60 + 1);
}

#[test]
fn a_run_that_was_stopped_as_unhealthy_and_died_is_not_gone_on_with() {
    let world = three(node);
    let runner = Check::on(&world, |_, _| Ok(Health::Unhealthy("502".to_owned())));
    block_on(async {
        let stopped = async || !judged(&events(&world).await).is_empty();
        let plan = world.runner.plan_patch(&options().with_rollout(watched())).await.unwrap();
        let run = run_id("run");
        {
            let mut patching = pin!(runner.patch(&run, &plan));
            loop {
                assert!(!polled(1, &mut patching).await);
                if world.installs().len() == 1 && stopped().await {
                    break;
                }
            }
        }
        world.clock.advance(2 * TERM);
        // Whoever resumes it asks nobody.
        let ended = world.runner.resume(&run).await.unwrap();
        assert_eq!(ended.tally()[&Outcome::Skipped], 2, "{ended}");
        assert!(says(&ended, &id("i-02"), "UNHEALTHY: 502"), "{ended:?}");
    });
    assert_eq!(world.installs().len(), 1);
}

#[test]
fn a_wave_that_was_over_when_its_run_died_is_asked_after_by_the_resumed_run() {
    let world = three(node);
    block_on(async {
        let runner = Check::on(&world, |_, _| Ok(Health::Healthy));
        let plan = world.runner.plan_patch(&options().with_rollout(watched())).await.unwrap();
        let run = run_id("run");
        let ended = async || {
            let is_end = |event: &Event| matches!(event, Event::NodeFinished { .. });
            events(&world).await.iter().any(is_end)
        };
        {
            let mut patching = pin!(runner.patch(&run, &plan));
            loop {
                assert!(!polled(1, &mut patching).await);
                if !world.installs().is_empty() && ended().await {
                    break;
                }
            }
        }
        assert!(judged(&events(&world).await).is_empty());
        world.clock.advance(2 * TERM);
        let heir = Check::on(&world, |_, _| Ok(Health::Unhealthy("502".to_owned())));
        let ended = heir.resume(&run).await.unwrap();
        assert_eq!(ended.tally()[&Outcome::Skipped], 2, "{ended}");
    });
    assert_eq!(world.installs().len(), 1);
}

#[test]
fn events_of_hooks_and_of_health_read_back_as_they_were_written() {
    let hook: patchkit_core::HookMark = serde_json::from_value(serde_json::json!({
        "name": "drain", "point": "before_node", "node": "aws/1/eu-west-1/i-01", "wave": 2,
    }))
    .unwrap();
    let events = [
        Event::HookIntent { hook: hook.clone() },
        Event::HookOwed { hook: hook.clone().after() },
        Event::HookDone { hook: hook.clone() },
        Event::HookFailed { hook, error: "no\nanswer".to_owned() },
        Event::WaveJudged { wave: 1, health: Health::Healthy },
        Event::WaveJudged { wave: 1, health: Health::Unknown("x".to_owned()) },
    ];
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        assert!(!event.to_string().contains('\n'), "{event}");
    }
    let unknown = r#"{"event":"hook_done","hook":{"name":"x","point":"before_lunch"}}"#;
    assert!(matches!(serde_json::from_str(unknown).unwrap(), Event::Other(_)));
}
