//! Remediation: each node by the remedy that fits what is wrong with it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::time::Duration;

use common::{error, id, node, options, outcome, run_id, says, world};
use futures::{FutureExt, executor::block_on};
use patchkit_core::{
    Amount, Capabilities, ComplianceStatus, ErrorKind, NodeSelector, PatchAction, PowerState,
    Rollout,
    memory::{Fault, MemoryCall, MemoryNode},
    workflow::{Outcome, PatchOptions, PatchPlan, PlanStep, Runner},
};

/// A node whose associations fail.
fn failing(node: MemoryNode) -> MemoryNode {
    node.with_associations(ComplianceStatus::NonCompliant)
}

/// A node that lacks nothing.
fn whole(name: &str) -> MemoryNode {
    MemoryNode::new(id(name), common::OS)
}

fn all_at_once() -> PatchOptions {
    options().with_rollout(Rollout::new().with_disruption(Amount::Percent(100)))
}

/// A world that was scanned, and the plan to remediate it.
fn scanned(nodes: impl IntoIterator<Item = MemoryNode>) -> (common::World, PatchPlan) {
    let world = world(nodes);
    let plan = block_on(async {
        world.runner.scan(&run_id("scan"), &NodeSelector::all()).await.unwrap();
        world.runner.plan_remediation(&all_at_once()).await.unwrap()
    });
    (world, plan)
}

fn nodes(calls: &[MemoryCall]) -> Vec<String> {
    calls.iter().flat_map(|call| &call.nodes).map(|node| node.name().to_owned()).collect()
}

fn steps(plan: &PatchPlan, name: &str) -> Vec<PlanStep> {
    plan.nodes.iter().find(|node| node.id == id(name)).unwrap().steps.clone()
}

#[test]
fn each_node_is_given_what_it_needs_and_no_more() {
    use PlanStep::{Install, RefreshAssociations, Rescan, WaitReachable};

    let (world, plan) = scanned([
        whole("good"),
        node(id("patches")),
        failing(whole("associations")),
        failing(node(id("both"))),
    ]);
    let without = |steps: Vec<PlanStep>| -> Vec<PlanStep> {
        steps.into_iter().filter(|step| *step != WaitReachable).collect()
    };
    assert_eq!(without(steps(&plan, "patches")), [Install, Rescan]);
    assert_eq!(without(steps(&plan, "associations")), [RefreshAssociations]);
    assert_eq!(without(steps(&plan, "both")), [RefreshAssociations, Install, Rescan]);
    assert_eq!(plan.skipped.len(), 1);
    assert_eq!(plan.skipped[0].outcome, Outcome::AlreadyCompliant);

    let ended = block_on(world.runner.patch(&run_id("run"), &plan)).unwrap();
    assert!(ended.is_clean(), "{ended}");
    assert_eq!(outcome(&ended, &id("patches")), Outcome::Patched);
    assert_eq!(outcome(&ended, &id("associations")), Outcome::Remediated);
    assert_eq!(outcome(&ended, &id("both")), Outcome::Patched);
    assert_eq!(nodes(&world.installs()), ["both", "patches"]);
    let refreshed = world.submits(|action| *action == PatchAction::RefreshAssociations);
    assert_eq!(nodes(&refreshed), ["associations", "both"]);
}

#[test]
fn budgets_hold_for_associations_too() {
    let (world, _) = scanned(["a", "b", "c"].map(|name| failing(whole(name))));
    let rollout = Rollout::new().with_disruption(Amount::Fixed(1));
    let one_by_one = options().with_rollout(rollout);
    world.cloud.on_call(|call| match call.action {
        Some(PatchAction::RefreshAssociations) if call.nodes.contains(&id("b")) => {
            Fault::Refuse(error(ErrorKind::PermissionDenied))
        }
        _ => Fault::Pass,
    });
    let ended = block_on(async {
        let plan = world.runner.plan_remediation(&one_by_one).await.unwrap();
        world.runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    let outcomes = ["a", "b", "c"].map(|name| outcome(&ended, &id(name)));
    assert_eq!(outcomes, [Outcome::Remediated, Outcome::Failed, Outcome::Skipped]);
    assert!(says(&ended, &id("c"), "error budget"));
}

#[test]
fn a_node_that_is_off_is_started_for_its_associations_and_stopped_again() {
    let (world, plan) = scanned([failing(
        whole("a").with_power(PowerState::Stopped).with_tag("PatchStart", "yes"),
    )]);
    assert!(steps(&plan, "a").ends_with(&[PlanStep::RefreshAssociations, PlanStep::RestorePower]));
    let ended = block_on(world.runner.patch(&run_id("run"), &plan)).unwrap();
    assert_eq!(outcome(&ended, &id("a")), Outcome::Remediated);
    assert_eq!(world.cloud.power(&id("a")), Some(PowerState::Stopped));
    assert!(world.installs().is_empty());
}

#[test]
fn associations_that_nobody_can_apply_again_are_named() {
    let (world, _) = scanned([failing(whole("a"))]);
    let mut can = Capabilities::full();
    can.refresh_associations = false;
    let weak = world.cloud.clone().with_capabilities(can);
    let runner = Runner::new(weak.clone(), weak, world.journal.clone(), world.clock.clone());
    let plan = block_on(runner.plan_remediation(&all_at_once())).unwrap();
    assert!(plan.nodes.is_empty(), "{plan}");
    assert!(plan.skipped[0].reason.contains("cannot apply them again"), "{plan}");
}

#[test]
fn a_refresh_that_was_asked_for_before_a_crash_is_not_asked_for_again() {
    let (world, plan) = scanned([failing(whole("a"))]);
    let refreshes = || world.submits(|action| *action == PatchAction::RefreshAssociations).len();
    {
        let run = run_id("run");
        let mut patching = Box::pin(world.runner.patch(&run, &plan));
        while refreshes() == 0 {
            assert!((&mut patching).now_or_never().is_none());
        }
    }
    world.clock.advance(Duration::from_hours(1));
    let ended = block_on(world.runner.resume(&run_id("run"))).unwrap();
    assert_eq!(outcome(&ended, &id("a")), Outcome::Remediated);
    assert_eq!(refreshes(), 1);
}
