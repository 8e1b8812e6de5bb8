//! What must not happen to a production fleet, whatever provider and journal answer.

mod common;

use common::{
    id, node, options, outcome, report, run_id, says, world,
    wrap::{Faulty, Forgetful},
};
use futures::executor::block_on;
use patchkit_core::{
    Amount, NodeSelector, PowerState, Rollout,
    workflow::{Outcome, PatchOptions, Runner, ScanOutcome},
};

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
    let mut journal = Faulty::new(world.journal.clone(), |_, _| Default::default());
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
