//! Budgets: per group, over the whole run, and shared by the runs of one journal.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use common::{World, id, node, off, options, options_of, outcome, run_id, says, world};
use futures::{executor::block_on, future::join, future::poll_fn};
use patchkit_core::{
    Amount, Budget, ErrorKind, Journal, NodeId, NodeKey, NodeSelector, PowerState, Rollout, Wave,
    WaveMembers,
    memory::{Behavior, MemoryNode},
    observe::{RunEvent, RunEventKind},
    workflow::{Outcome, PatchOptions, PlanStep, Runner},
};

const TERM: Duration = Duration::from_mins(5);

/// Everything at once, as far as the waves' own budget goes, whatever fails.
fn unbound() -> Rollout {
    Rollout::new().with_disruption(Amount::Percent(100)).with_errors(Amount::Percent(100))
}

/// So many nodes in zone a and in zone b.
fn zoned(a: usize, b: usize) -> Vec<MemoryNode> {
    let zone = |at: usize| if at < a { "a" } else { "b" };
    (0..a + b).map(|at| node(id(&format!("i-{at:02}"))).with_zone(zone(at))).collect()
}

fn sizes(world: &World) -> Vec<usize> {
    world.installs().iter().map(|call| call.nodes.len()).collect()
}

#[test]
fn a_budget_for_each_zone_is_kept_in_each_of_them() {
    let world = world(zoned(8, 4));
    let rollout = unbound().with_budget(Budget::per(NodeKey::Zone, Amount::Fixed(2)));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert!(ended.is_clean(), "{ended}");
    assert_eq!(sizes(&world), [4, 4, 2, 2]);
    for call in world.installs() {
        let in_a = call.nodes.iter().filter(|node| **node < id("i-08")).count();
        assert!(in_a <= 2, "{call:?}");
    }
}

#[test]
fn failed_nodes_fill_the_budget_of_their_zone_and_the_other_zones_go_on() {
    let nodes = zoned(5, 3).into_iter().enumerate();
    let fails = |(at, node): (usize, MemoryNode)| {
        if at < 2 { node.with_behavior(Behavior::PatchFails) } else { node }
    };
    let world = world(nodes.map(fails));
    let rollout = unbound().with_budget(Budget::per(NodeKey::Zone, Amount::Fixed(2)));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    let tally =
        BTreeMap::from([(Outcome::Failed, 2), (Outcome::Skipped, 3), (Outcome::Patched, 3)]);
    assert_eq!(ended.tally(), tally);
    assert!(says(&ended, &id("i-02"), "disruption budget of 2 of zone \"a\""), "{ended:?}");
}

#[test]
fn nodes_without_a_zone_share_one_budget() {
    let world = world((0..3).map(|at| node(id(&format!("i-{at:02}")))));
    let rollout = unbound().with_budget(Budget::per(NodeKey::Zone, Amount::Fixed(1)));
    block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(sizes(&world), [1, 1, 1]);
}

#[test]
fn a_budget_of_the_run_is_a_share_of_all_its_nodes_whatever_the_wave() {
    let world = world((0..10).map(|at| node(id(&format!("i-{at:02}")))));
    let canary = Wave::new("canary", WaveMembers::Amount(Amount::Fixed(3)));
    let rollout = unbound().with_wave(canary).with_budget(Budget::whole(Amount::Percent(20)));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert!(ended.is_clean(), "{ended}");
    assert_eq!(sizes(&world), [2, 1, 2, 2, 2, 1]);
}

#[test]
fn failed_nodes_that_fill_the_budget_of_the_run_end_it() {
    let world = world((0..4).map(|at| {
        let node = node(id(&format!("i-{at:02}")));
        if at == 0 { node.with_behavior(Behavior::PatchFails) } else { node }
    }));
    let rollout = unbound().with_budget(Budget::whole(Amount::Fixed(1)));
    let ended = block_on(world.patch(&options().with_rollout(rollout)));
    assert_eq!(sizes(&world), [1]);
    assert!(says(&ended, &id("i-03"), "disruption budget of 1 of the run"), "{ended:?}");
}

#[test]
fn a_plan_says_its_budgets_and_refuses_what_cannot_be_kept_to() {
    let world = world(zoned(1, 1));
    let shared = |at_once| unbound().with_budget(Budget::whole(at_once).with_shared("night"));
    block_on(async {
        let share = options().with_rollout(shared(Amount::Percent(10)));
        let error = world.runner.plan_patch(&share).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let number = options().with_rollout(
            shared(Amount::Fixed(3)).with_budget(Budget::per(NodeKey::Zone, Amount::Fixed(2))),
        );
        let plan = world.runner.plan_patch(&number).await.unwrap().to_string();
        let lines = [
            "  budget    3 of the run out of work at once, shared as \"night\"\n",
            "  budget    2 in each zone out of work at once\n",
        ];
        assert!(lines.iter().all(|line| plan.contains(line)), "{plan}");
    });
}

/// Counts the nodes of several runners that are out of work, and the most there were.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<(std::collections::BTreeSet<NodeId>, usize)>>);

impl Count {
    fn watch(&self, runner: Runner) -> Runner {
        let count = Arc::clone(&self.0);
        runner.with_observer(move |event: &RunEvent| {
            let mut count = count.lock().unwrap();
            match &event.kind {
                RunEventKind::NodeStep { node, step: PlanStep::Start | PlanStep::Install } => {
                    count.0.insert(node.clone());
                    count.1 = count.1.max(count.0.len());
                }
                // One that failed is out of work still.
                RunEventKind::NodeFinished { report }
                    if report.outcome.outcome != Outcome::Failed =>
                {
                    count.0.remove(&report.node);
                }
                _ => {}
            }
        })
    }

    fn most(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

fn of(ids: std::ops::Range<usize>) -> NodeSelector {
    NodeSelector::ids(ids.map(|at| id(&format!("i-{at:02}"))))
}

fn shared(selector: NodeSelector, slots: u32) -> PatchOptions {
    let budget = Budget::whole(Amount::Fixed(slots)).with_shared("night");
    options_of(selector).with_rollout(unbound().with_budget(budget))
}

#[test]
fn two_runs_of_one_journal_keep_one_budget() {
    let world = world((0..12).map(|at| off(id(&format!("i-{at:02}")), PowerState::Stopped)));
    let count = Count::default();
    let (one, two) = (count.watch(world.runner.clone()), count.watch(world.runner.clone()));
    let (one, two) = (one.with_holder("one"), two.with_holder("two"));
    block_on(async {
        let first = one.plan_patch(&shared(of(0..6), 4)).await.unwrap();
        let second = two.plan_patch(&shared(of(6..12), 4)).await.unwrap();
        let (run, other) = (run_id("one"), run_id("two"));
        let (a, b) = join(one.patch(&run, &first), two.patch(&other, &second)).await;
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(a.is_clean() && b.is_clean(), "{a}{b}");
        // They overlapped, so that each had to wait for the other.
        assert!(a.started_at < b.ended_at && b.started_at < a.ended_at);
    });
    assert_eq!(count.most(), 4);
}

#[test]
fn failed_nodes_keep_their_slots_until_their_run_is_over() {
    let world = world((0..4).map(|at| {
        let node = node(id(&format!("i-{at:02}")));
        if at == 0 { node.with_behavior(Behavior::PatchFails) } else { node }
    }));
    let ended = block_on(world.patch(&shared(of(0..2), 1)));
    assert_eq!(outcome(&ended, &id("i-00")), Outcome::Failed);
    assert_eq!(outcome(&ended, &id("i-01")), Outcome::Skipped);
    block_on(async {
        let plan = world.runner.plan_patch(&shared(of(2..4), 1)).await.unwrap();
        let ended = world.runner.patch(&run_id("next"), &plan).await.unwrap();
        assert!(ended.is_clean(), "{ended}");
    });
}

/// Drives a run until it has submitted an install, and drops it.
async fn die_in_an_install(world: &World, run: &str, options: &PatchOptions) {
    let plan = world.runner.plan_patch(options).await.unwrap();
    let run = run_id(run);
    let mut patching = pin!(world.runner.patch(&run, &plan));
    poll_fn(|cx| {
        assert!(patching.as_mut().poll(cx).is_pending(), "it was over before it could die");
        if world.installs().is_empty() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

#[test]
fn the_slots_of_a_dead_run_stay_taken_until_it_is_recovered() {
    let world = world((0..4).map(|at| node(id(&format!("i-{at:02}")))));
    block_on(async {
        die_in_an_install(&world, "dead", &shared(of(0..2), 2)).await;
        world.clock.advance(2 * TERM);
        let began = world.now();
        let plan = world.runner.plan_patch(&shared(of(2..4), 2)).await.unwrap();
        let ended = world.runner.patch(&run_id("late"), &plan).await.unwrap();
        assert_eq!(outcome(&ended, &id("i-02")), Outcome::Skipped);
        let word = "shared budget \"night\" had no room for the run in 60 min";
        assert!(says(&ended, &id("i-02"), word), "{ended:?}");
        assert!(world.now() >= began + Duration::from_hours(1));

        world.runner.recover(&run_id("dead")).await.unwrap();
        let ended = world.runner.patch(&run_id("later"), &plan).await.unwrap();
        assert!(ended.is_clean(), "{ended}");
    });
}

#[test]
fn a_resumed_run_has_the_slots_that_it_had_and_no_more() {
    let world = world((0..6).map(|at| node(id(&format!("i-{at:02}")))));
    let count = Count::default();
    block_on(async {
        die_in_an_install(&world, "dead", &shared(of(0..3), 3)).await;
        world.clock.advance(2 * TERM);
        let (heir, other) = (count.watch(world.runner.clone()), count.watch(world.runner.clone()));
        let plan = other.plan_patch(&shared(of(3..6), 3)).await.unwrap();
        let (dead, late) = (run_id("dead"), run_id("late"));
        let (a, b) = join(heir.resume(&dead), other.patch(&late, &plan)).await;
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(a.is_clean() && b.is_clean(), "{a}{b}");
    });
    let installs = world.installs();
    let last = installs.iter().filter(|call| call.nodes.contains(&id("i-03")));
    assert_eq!(last.count(), 1);
    assert!(count.most() <= 3);
}

/// Which slots are free is told by a run that takes them all.
async fn free_slots(world: &World, slots: u32) -> usize {
    let plan = world.runner.plan_patch(&shared(of(0..6), slots)).await.unwrap();
    let before = world.installs().len();
    world.runner.patch(&run_id("last"), &plan).await.unwrap();
    world.installs().get(before).map_or(0, |call| call.nodes.len())
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

#[test]
fn a_run_that_dies_at_any_moment_and_is_resumed_leaves_no_slot_taken() {
    for polls in 1.. {
        let world = world((0..6).map(|at| node(id(&format!("i-{at:02}")))));
        let over = block_on(async {
            let plan = world.runner.plan_patch(&shared(of(0..2), 4)).await.unwrap();
            let run = run_id("run");
            let over = polled(polls, world.runner.patch(&run, &plan)).await;
            world.clock.advance(2 * TERM);
            // Where it died before it was a run, there is nothing to resume.
            let resumed = world.runner.resume(&run).await;
            if let Err(error) = resumed
                && error.kind() == ErrorKind::Unsupported
            {
                world.runner.recover(&run).await.unwrap();
            }
            over
        });
        // Those two may be compliant now; the others are not, and take all the slots there are.
        assert_eq!(block_on(free_slots(&world, 4)), 4, "{polls} polls");
        if over {
            break;
        }
    }
}

#[test]
fn a_node_that_is_named_as_a_slot_is_not_worked_on() {
    let slot: NodeId = "patchkit:budget/journal/slots/x".parse().unwrap();
    let world = world([node(slot.clone()), node(id("i-00"))]);
    let ended = block_on(world.patch(&options()));
    assert_eq!(outcome(&ended, &slot), Outcome::Skipped);
    assert_eq!(outcome(&ended, &id("i-00")), Outcome::Patched);
    block_on(async {
        let lease = world.journal.begin(&run_id("other"), "other", TERM).await.unwrap();
        for (_, claim) in world.journal.claim(&lease, &[slot]).await {
            claim.unwrap();
        }
    });
}
