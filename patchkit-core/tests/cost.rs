//! What the workflows cost: calls to the provider, and time.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{OS, count::Counting, error, node, off, run_id, wrap::Faulty};
use futures::executor::block_on;
use patchkit_core::{
    Amount, ApprovalRule, AutoApproval, Baseline, Clock, ErrorKind, Estate, Fleet, NodeId,
    NodeSelector, PatchAction, PatchBaseline, PowerState, Retry, Rollout, Scope, VirtualClock,
    Wave, WaveMembers,
    memory::{Behavior, Fault, MemoryCall, MemoryCloud, MemoryJournal, MemoryNode},
    workflow::{Outcome, PatchOptions, PatchPlan, Runner, ScanOutcome},
};

/// What a provider takes in one call, and gives in one page.
const BATCH: usize = 50;

fn clock() -> VirtualClock {
    VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap())
}

fn scope(at: usize) -> Scope {
    format!("aws/{at:012}/eu-west-1").parse().unwrap()
}

fn id(at: usize, nth: usize) -> NodeId {
    NodeId::new(scope(at), &format!("i-{nth:04}")).unwrap()
}

/// Clouds of so many nodes each, every fifth of which is off and to be started.
fn clouds(clock: &VirtualClock, scopes: usize, nodes: usize) -> Vec<MemoryCloud> {
    let made = (0..scopes).map(|at| {
        let cloud = MemoryCloud::builder().clock(clock.clone()).page_size(BATCH).build();
        let draft = PatchBaseline::new("everything", OS)
            .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
        let baseline = block_on(cloud.create_baseline(&draft)).unwrap();
        block_on(cloud.set_default_baseline(&baseline)).unwrap();
        for nth in 0..nodes {
            let made: MemoryNode = if nth % 5 == 4 {
                off(id(at, nth), PowerState::Stopped)
            } else {
                node(id(at, nth))
            };
            cloud.insert(made);
        }
        cloud
    });
    made.collect()
}

fn estate(clouds: &[MemoryCloud]) -> Estate {
    clouds.iter().enumerate().fold(Estate::new(), |estate, (at, cloud)| {
        estate.with([scope(at)], Arc::new(cloud.clone()))
    })
}

fn options(rollout: Rollout) -> PatchOptions {
    let rollout = rollout.with_disruption(Amount::Percent(100)).with_errors(Amount::Percent(100));
    common::options().with_rollout(rollout)
}

/// A run over so many scopes, of which every call takes a second.
struct Run {
    seconds: i64,
    fleet: Counting,
    renewals: usize,
}

fn run_over(scopes: usize, parallel: usize) -> Run {
    let clock = clock();
    let fleet = Counting::new(estate(&clouds(&clock, scopes, 5)), clock.clone());
    let renewals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&renewals);
    let journal = Faulty::new(MemoryJournal::new(clock.clone()), move |operation, _| {
        count.fetch_add(usize::from(operation == "renew"), Ordering::Relaxed);
        Fault::Pass
    });
    let runner =
        Runner::new(fleet.clone(), fleet.clone(), journal, clock.clone()).with_parallel(parallel);
    let begin = clock.now();
    let report = block_on(async {
        let plan = runner.plan_patch(&options(Rollout::new())).await.unwrap();
        runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.nodes.len(), scopes * 5);
    let seconds = clock.now().duration_since(begin).as_secs();
    Run { seconds, fleet, renewals: renewals.load(Ordering::Relaxed) }
}

#[test]
fn forty_scopes_take_the_time_of_one_and_the_calls_under_way_stay_bounded() {
    let one = run_over(1, 8);
    assert_eq!(one.fleet.most(), 1);
    let wide = run_over(40, 40);
    assert_eq!((wide.seconds, wide.fleet.most()), (one.seconds, 40));
    let bounded = run_over(40, 8);
    assert_eq!(bounded.fleet.most(), 8);
    // Forty calls of a second by eight places take five seconds; the acts take the time they take.
    assert!(bounded.seconds < one.seconds + 2 * 60, "{} s", bounded.seconds);
    assert_eq!(bounded.fleet.calls("submit"), 40 * one.fleet.calls("submit"));
    assert!(bounded.fleet.calls("operation") <= 40 * one.fleet.calls("operation"));
}

#[test]
fn the_lease_is_renewed_by_the_time_and_not_by_the_acts() {
    let run = run_over(40, 8);
    let due = usize::try_from(run.seconds).unwrap() / 150 + 1;
    assert!((1..=due).contains(&run.renewals), "{} renewals", run.renewals);
}

/// How many looks there are until something is over that takes so long.
fn looks(seconds: f64) -> usize {
    let (mut at, mut wait, mut looks) = (0.0, 5.0_f64, 1);
    while at < seconds {
        at += wait;
        wait = (wait * 1.5).min(60.0);
        looks += 1;
    }
    looks
}

/// The batches in which the nodes of a plan's waves are worked on, those that `of` takes.
fn batches(plan: &PatchPlan, of: impl Fn(&NodeId) -> bool) -> usize {
    let of_wave = |nodes: &[NodeId]| {
        let mut by_scope: BTreeMap<Scope, usize> = BTreeMap::new();
        for node in nodes.iter().filter(|node| of(node)) {
            *by_scope.entry(node.scope().clone()).or_default() += 1;
        }
        by_scope.into_values().map(|nodes| nodes.div_ceil(BATCH)).sum::<usize>()
    };
    plan.waves.iter().map(|wave| of_wave(&wave.nodes)).sum()
}

#[test]
fn a_thousand_nodes_cost_calls_by_the_batch_and_looks_by_the_time() {
    let clock = clock();
    let clouds = clouds(&clock, 4, 250);
    let journal = MemoryJournal::new(clock.clone());
    let estate = estate(&clouds);
    let runner = Runner::new(estate.clone(), estate, journal, clock.clone());
    let canary = Wave::new("canary", WaveMembers::Amount(Amount::Percent(10)));
    let plan = block_on(async {
        let plan = runner.plan_patch(&options(Rollout::new().with_wave(canary))).await.unwrap();
        let report = runner.patch(&run_id("run"), &plan).await.unwrap();
        assert_eq!(report.tally(), BTreeMap::from([(Outcome::Patched, 1_000)]));
        plan
    });
    let calls: Vec<MemoryCall> = clouds.iter().flat_map(MemoryCloud::calls).collect();
    let count = |is: &dyn Fn(&MemoryCall) -> bool| calls.iter().filter(|call| is(call)).count();
    let of = |operation: &str| count(&|call| call.operation == operation);
    let acts = |is: fn(&PatchAction) -> bool| count(&|call| call.action.as_ref().is_some_and(is));

    let all = batches(&plan, |_| true);
    let off =
        batches(&plan, |node| plan.nodes.iter().any(|at| at.id == *node && at.power.is_off()));
    assert_eq!((all, off), (24, 4), "4 of a canary wave, 20 of the rest");
    let pages = 4 * 250_usize.div_ceil(BATCH);
    let installs = acts(|action| matches!(action, PatchAction::Install(_)));
    let scans = acts(|action| *action == PatchAction::Scan);
    let agents = acts(|action| *action == PatchAction::UpdateAgent);
    assert!(installs <= all && scans <= all && agents <= off, "{installs} {scans} {agents}");
    // An install takes five minutes here, a scan and an agent update one.
    let most = installs * looks(300.0) + (scans + agents) * looks(60.0);
    assert!(of("operation") <= most, "{} of {most} looks at acts", of("operation"));
    assert_eq!(of("nodes"), pages, "one listing, for the plan");
    assert!(of("summaries") <= pages + all, "for the plan, and a verdict for each rescan");
    assert_eq!(of("summary"), 0);
    // All nodes before the work, for their agents before and after the install, and at the end; those
    // that were off also while they start, come back from the agent update, and stop.
    let waits = looks(180.0) + looks(60.0) + 1 + looks(120.0);
    let most = 3 * all + off * waits + pages;
    assert!(of("statuses") <= most, "{} of {most} looks at nodes", of("statuses"));
    assert_eq!(of("set_power"), 2 * off);
}

#[test]
fn a_scan_of_a_thousand_nodes_reads_each_result_once() {
    let clock = clock();
    let clouds = clouds(&clock, 4, 250);
    let estate = estate(&clouds);
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(estate.clone(), estate, journal, clock.clone());
    let report = block_on(runner.scan(&run_id("scan"), &NodeSelector::all())).unwrap();
    let scanned = report.nodes.iter().filter(|node| node.outcome == ScanOutcome::Scanned).count();
    assert_eq!((scanned, report.nodes.len()), (800, 1_000));
    let calls: Vec<MemoryCall> = clouds.iter().flat_map(MemoryCloud::calls).collect();
    let of = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
    let running = 4 * 200_usize.div_ceil(BATCH);
    assert_eq!(of("submit"), running);
    assert!(of("operation") <= running * looks(60.0));
    assert_eq!(of("summaries"), running + 4, "and once for the off nodes of each scope");
}

#[test]
fn where_an_act_takes_one_node_a_call_still_takes_many() {
    let clock = clock();
    let clouds = clouds(&clock, 2, 100);
    let one_by_one = clouds.iter().map(|cloud| {
        let mut can = cloud.capabilities();
        can.max_nodes_per_operation = NonZeroUsize::MIN;
        cloud.clone().with_capabilities(can)
    });
    let estate = estate(&one_by_one.collect::<Vec<_>>());
    assert_eq!(estate.capabilities().max_nodes_per_operation.get(), 1);
    assert_eq!(estate.capabilities().max_nodes_per_call.get(), BATCH);
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(estate.clone(), estate, journal, clock);
    block_on(async {
        let plan = runner.plan_patch(&options(Rollout::new())).await.unwrap();
        let report = runner.patch(&run_id("run"), &plan).await.unwrap();
        assert_eq!(report.tally(), BTreeMap::from([(Outcome::Patched, 200)]));
    });
    let calls: Vec<MemoryCall> = clouds.iter().flat_map(MemoryCloud::calls).collect();
    let of = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
    assert_eq!(of("submit"), 2 * 200 + 40, "an install and a scan each, and agents of the started");
    // Twenty of a hundred nodes are started, which is one call for each cloud.
    assert_eq!(of("set_power"), 2 * 2, "up, and back");
    assert!(of("statuses") < 100, "{} reads of statuses", of("statuses"));
}

#[test]
fn an_act_that_ended_is_not_asked_for_again() {
    let looks_at = |hangs: bool| {
        let clock = clock();
        let clouds = clouds(&clock, 2, 1);
        if hangs {
            let hanging = |node: MemoryNode| node.with_behavior(Behavior::InstallHangs);
            clouds[1].update(&id(1, 0), hanging).unwrap();
        }
        let estate = estate(&clouds);
        let journal = MemoryJournal::new(clock.clone());
        let runner = Runner::new(estate.clone(), estate, journal, clock.clone());
        block_on(async {
            let plan = runner.plan_patch(&options(Rollout::new())).await.unwrap();
            runner.patch(&run_id("run"), &plan).await.unwrap()
        });
        let looks = |call: &MemoryCall| call.operation == "operation";
        [0, 1].map(|at| clouds[at].calls().into_iter().filter(looks).count())
    };
    let ([first, second], [beside, hanging]) = (looks_at(false), looks_at(true));
    assert_eq!((first, first), (second, beside));
    assert!(hanging > 100, "two hours, a look a minute: {hanging}");
}

#[test]
fn a_recovery_looks_for_all_lost_acts_at_once() {
    let clock = clock();
    let clouds = clouds(&clock, 10, 1);
    for cloud in &clouds {
        cloud.on_call(|call| match (call.operation, call.action) {
            ("submit", Some(PatchAction::Install(_))) => {
                Fault::LoseAnswer(error(ErrorKind::Timeout))
            }
            ("find_operation", _) => {
                Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff))
            }
            _ => Fault::Pass,
        });
    }
    let estate = estate(&clouds);
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(estate.clone(), estate, journal, clock.clone());
    let asked =
        |cloud: &MemoryCloud| cloud.calls().iter().any(|call| call.operation == "find_operation");
    block_on(async {
        let plan = runner.plan_patch(&options(Rollout::new())).await.unwrap();
        let run = run_id("run");
        {
            let mut running = Box::pin(runner.patch(&run, &plan));
            while !clouds.iter().all(asked) {
                assert!(futures::poll!(&mut running).is_pending());
            }
        }
        clock.sleep(Duration::from_mins(10)).await;
        let begin = clock.now();
        let recovery = runner.recover(&run).await.unwrap();
        assert_eq!(recovery.unknown.len(), 10, "{recovery:?}");
        let took = clock.now().duration_since(begin).as_secs();
        assert!(
            took < 3 * 60,
            "the consistency limit of two minutes once, not ten times: {took} s"
        );
    });
}
