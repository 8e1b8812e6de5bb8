//! The workflows' futures go where the embedder's runtime takes them: `tokio::spawn` wants `Send`.

use patchkit_core::{
    AccessGrant, NodeSelector, RunId, VirtualClock,
    memory::{MemoryCloud, MemoryJournal},
    workflow::{AccessMode, ApplyOptions, PatchOptions, RequiredTags, Runner, TagMode},
};

fn send<T: Send>(_: &T) {}

#[test]
fn every_workflow_can_be_spawned() {
    let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    let cloud = MemoryCloud::builder().seed(7).nodes(3).clock(clock.clone()).build();
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(cloud.clone(), cloud, journal, clock);
    let run = RunId::new("run").unwrap();
    let (all, options) = (NodeSelector::all(), PatchOptions::new(NodeSelector::all()));
    let mode = AccessMode::Fix(AccessGrant::new("profile"));
    send(&runner.scan(&run, &all));
    send(&runner.plan_patch(&options));
    send(&runner.check_access(&run, &all, &mode));
    send(&runner.recover(&run));
    send(&runner.plan_remediation(&options));
    send(&runner.check_tags(
        &run,
        &all,
        &RequiredTags::new().with_default("Owner", "team"),
        TagMode::Check,
    ));
    let plan = futures::executor::block_on(runner.plan_patch(&options)).unwrap();
    send(&runner.patch(&run, &plan));
    send(&runner.drift(&plan));
    send(&runner.apply(&run, &plan, &ApplyOptions::new(plan.hash())));
}
