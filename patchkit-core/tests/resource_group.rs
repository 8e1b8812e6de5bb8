//! Nodes, the ones to start and waves by resource group.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{id, node, off, options_of, world};
use futures::executor::block_on;
use patchkit_core::{
    ErrorKind, Estate, NodeSelector, PowerState, ResourceGroupName, Rollout, Wave, WaveMembers,
    memory::MemoryCloud,
    workflow::{Listing, Outcome, PatchOptions, Runner},
};

fn group(name: &str) -> ResourceGroupName {
    ResourceGroupName::new(name).unwrap()
}

fn of(name: &str) -> NodeSelector {
    NodeSelector::all().with_resource_groups([group(name)])
}

#[test]
fn the_nodes_to_start_and_the_waves_are_looked_up_when_the_plan_is_made() {
    let world = world([
        node(id("i-01")),
        node(id("i-02")),
        off(id("i-03"), PowerState::Stopped),
        off(id("i-04"), PowerState::Stopped),
        node(id("i-05")),
    ]);
    world.cloud.set_resource_group(group("app"), ["i-01", "i-02", "i-03", "i-04"].map(id));
    world.cloud.set_resource_group(group("first"), [id("i-02"), id("i-05")]);
    world.cloud.set_resource_group(group("sleepers"), [id("i-03"), id("i-05")]);
    let first = Wave::new("canaries", WaveMembers::Selector(of("first")));
    let options = PatchOptions::new(of("app"))
        .with_start(of("sleepers"))
        .with_rollout(Rollout::new().with_wave(first));
    let plan = block_on(world.runner.plan_patch(&options)).unwrap();
    let planned: Vec<_> = plan.nodes.iter().map(|it| it.id.clone()).collect();
    assert_eq!(planned, ["i-01", "i-02", "i-03"].map(id));
    assert_eq!(plan.waves[0].nodes, [id("i-02")]);
    assert_eq!(plan.waves[1].nodes, [id("i-01"), id("i-03")]);
    assert!(matches!(&plan.skipped[..], [it] if it.outcome == Outcome::Skipped), "i-04 stays off");
}

#[test]
fn a_group_that_is_not_there_ends_the_plan() {
    let world = world([node(id("i-01"))]);
    let waves = Rollout::new().with_wave(Wave::new("a", WaveMembers::Selector(of("none"))));
    for options in [
        PatchOptions::new(of("none")),
        PatchOptions::new(NodeSelector::all()).with_start(of("none")),
        PatchOptions::new(NodeSelector::all()).with_rollout(waves),
    ] {
        let error = block_on(world.runner.plan_patch(&options)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[test]
fn a_scope_that_cannot_tell_its_group_leaves_the_plan_and_is_named() {
    let world = world([node(id("i-01"))]);
    let other: MemoryCloud = MemoryCloud::builder().clock(world.clock.clone()).build();
    let there = "aws/444455556666/eu-west-1/i-01".parse::<patchkit_core::NodeId>().unwrap();
    other.insert(node(there.clone()));
    world.cloud.set_resource_group(group("sleepers"), [id("i-01")]);
    let estate = Estate::new()
        .with([id("i-01").scope().clone()], std::sync::Arc::new(world.cloud.clone()))
        .with([there.scope().clone()], std::sync::Arc::new(other));
    let runner = Runner::new(estate.clone(), estate, world.journal.clone(), world.clock.clone());
    let options = options_of(NodeSelector::all()).with_start(of("sleepers"));
    let plan = block_on(runner.plan_patch(&options)).unwrap();
    let planned: Vec<_> = plan.nodes.iter().map(|it| it.id.clone()).collect();
    assert_eq!(planned, [id("i-01")]);
    let [unlisted] = &plan.unlisted[..] else { panic!("{:?}", plan.unlisted) };
    assert_eq!((&unlisted.scope, unlisted.listing), (there.scope(), Listing::Nodes));
    assert!(unlisted.error.contains("sleepers"), "{}", unlisted.error);
}
