//! Runs over machines of two control planes: patched by the one, powered by the other.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{
    azure, error, id,
    linked::{Linked, Tagged, calls, linked, mi, vm},
    node, off, options, options_of, outcome, report, run_id, says, world,
};
use futures::executor::block_on;
use patchkit_core::{
    Clock, ErrorKind, Fleet, Journal, NODE_ID_TAG, NodeSelector, PatchAction, PowerState,
    PowerTarget,
    memory::{Fault, MemoryCloud},
    workflow::{OtherPatchers, Outcome, PatchPlan, ScanOutcome},
};

const BOTH_OFF: [PowerState; 2] = [PowerState::Stopped, PowerState::Deallocated];

fn plan(world: &Linked) -> PatchPlan {
    block_on(world.runner().plan_patch(&options_of(NodeSelector::ids([mi()])))).unwrap()
}

fn actions(cloud: &MemoryCloud) -> Vec<PatchAction> {
    cloud.calls().into_iter().filter_map(|call| call.action).collect()
}

fn targets(cloud: &MemoryCloud) -> Vec<PowerTarget> {
    cloud.calls().into_iter().filter_map(|call| call.target).collect()
}

#[test]
fn a_machine_that_is_off_is_started_by_its_host_patched_by_its_agent_and_put_back() {
    for before in BOTH_OFF {
        let world = linked(before, Tagged::VmId);
        let plan = plan(&world);
        assert_eq!(plan.nodes[0].power, before);
        let ended = block_on(world.runner().patch(&run_id("run"), &plan)).unwrap();
        assert_eq!(outcome(&ended, &mi()), Outcome::Patched, "{ended}");
        assert!(ended.is_clean());
        assert_eq!(report(&ended, &mi()).power_after, before);
        assert_eq!(world.azure.power(&vm()), Some(before));
        assert_eq!(targets(&world.azure), [PowerTarget::Running, before.as_target().unwrap()]);
        assert_eq!(calls(&world.ssm, "set_power") + calls(&world.azure, "submit"), 0);
        let acts = actions(&world.ssm);
        assert!(
            matches!(
                acts[..],
                [PatchAction::UpdateAgent, PatchAction::Install(_), PatchAction::Scan]
            ),
            "{acts:?}"
        );
    }
}

#[test]
fn a_plan_prints_its_links() {
    let world = linked(PowerState::Deallocated, Tagged::VmId);
    world.azure.update(&vm(), |node| node.with_schedule("monthly")).unwrap();
    let options = options_of(NodeSelector::ids([mi()])).with_other_patchers(OtherPatchers::Allow);
    let plan = block_on(world.runner().plan_patch(&options)).unwrap();
    let printed = plan.to_string();
    let line = printed.lines().find(|line| line.trim_start().starts_with('=')).unwrap();
    insta::assert_snapshot!(
        line.trim(),
        @r#"= vm-7 in azure/sub/westeurope, linked by tag patchkit:azure-vm-id; patched there too, by "monthly""#
    );
    assert_eq!(plan.nodes[0].also, BTreeSet::from([vm()]));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<PatchPlan>(&json).unwrap().hash(), plan.hash());
}

/// The hashes of plans that were saved before there were links stay as they are.
#[test]
fn a_plan_without_links_is_written_as_it_was_before_there_were_any() {
    let world = world([node(id("i-1")), off(azure("vm-1"), PowerState::Stopped)]);
    let plan = block_on(world.runner.plan_patch(&options())).unwrap();
    let written = serde_json::to_string(&plan).unwrap();
    for name in ["link", "also", "other_patchers"] {
        assert!(!written.contains(&format!("\"{name}\"")), "{written}");
    }
    // As the release before links wrote it.
    let hash = "e80ab0c27d4673da5333a6e7c7c940ba288c3d751e98ba9446e5b5053125e1b9";
    assert_eq!(plan.hash(), hash);
}

#[test]
fn a_machine_that_its_host_patches_by_a_schedule_is_refused_unless_told_otherwise() {
    let world = linked(PowerState::Running, Tagged::VmId);
    world.azure.update(&vm(), |node| node.with_schedule("monthly")).unwrap();
    let refused = plan(&world);
    assert!(refused.nodes.is_empty());
    assert!(refused.skipped[0].reason.contains("patches it too, by \"monthly\""));
    assert!(refused.to_string().contains("monthly"));
    let options = options_of(NodeSelector::ids([mi()])).with_other_patchers(OtherPatchers::Allow);
    let allowed = block_on(world.runner().plan_patch(&options)).unwrap();
    assert_ne!(allowed.hash(), refused.hash());
    let ended = block_on(world.runner().patch(&run_id("run"), &allowed)).unwrap();
    assert_eq!(outcome(&ended, &mi()), Outcome::Patched);
}

#[test]
fn nodes_that_may_be_one_machine_are_left_alone() {
    let world = linked(PowerState::Running, Tagged::VmId);
    world.azure.update(&vm(), |node| node.with_tag(NODE_ID_TAG, "mi-other")).unwrap();
    let plan = block_on(world.runner().plan_patch(&options())).unwrap();
    let planned: Vec<_> = plan.nodes.iter().map(|node| node.id.clone()).collect();
    assert_eq!(planned, [azure("vm-8"), id("i-1")]);
    assert_eq!(plan.skipped.len(), 2);
    for skipped in &plan.skipped {
        assert!(skipped.reason.contains("may be patched as another node too"), "{skipped:?}");
    }
}

/// Claims as the run of another process, and lets it go on.
async fn hold(world: &Linked, run: &str, node: patchkit_core::NodeId) {
    let term = Duration::from_hours(9);
    let lease = world.journal.begin(&run_id(run), "elsewhere", term).await.unwrap();
    let claims = world.journal.claim(&lease, &[node]).await;
    assert!(claims[0].1.is_ok());
}

#[test]
fn a_machine_has_one_owner_whichever_side_claims_it_first() {
    for (held, cloud) in [(vm(), "azure"), (mi(), "ssm")] {
        let world = linked(PowerState::Deallocated, Tagged::VmId);
        block_on(async {
            hold(&world, "other", held.clone()).await;
            let plan = plan_of(&world).await;
            let ended = world.runner().patch(&run_id("run"), &plan).await.unwrap();
            assert_eq!(outcome(&ended, &mi()), Outcome::Skipped, "{cloud}: {ended}");
            assert!(says(&ended, &mi(), "run other holds it"));
            assert_eq!(calls(&world.azure, "set_power") + calls(&world.ssm, "submit"), 0);
            let scan = world.runner().scan(&run_id("scan"), &NodeSelector::ids([mi()])).await;
            assert!(scan.is_ok());
        });
    }
}

async fn plan_of(world: &Linked) -> PatchPlan {
    world.runner().plan_patch(&options_of(NodeSelector::ids([mi()]))).await.unwrap()
}

/// A run over links keeps both ids from runs that know one cloud alone, while it goes on.
#[test]
fn a_run_of_one_cloud_alone_is_kept_from_a_machine_that_a_linked_run_holds() {
    let world = linked(PowerState::Deallocated, Tagged::VmId);
    block_on(async {
        let plan = plan_of(&world).await;
        let begun = {
            let (runner, run) = (world.runner(), run_id("run"));
            // Dropped while the machine starts: as a process that dies.
            let ssm = world.ssm.clone();
            let work = runner.patch(&run, &plan);
            common::linked::until(work, move || calls(&ssm, "submit") > 0).await
        };
        assert!(begun.is_none(), "dropped half-way");
        let native = world.alone(&world.azure);
        let all = native.plan_patch(&options().with_start(NodeSelector::all())).await.unwrap();
        let ended = native.patch(&run_id("native"), &all).await.unwrap();
        assert_eq!(outcome(&ended, &vm()), Outcome::Skipped, "{ended}");
        assert!(says(&ended, &vm(), "run run holds it"));
        assert_eq!(outcome(&ended, &azure("vm-8")), Outcome::Patched);

        world.clock.sleep(Duration::from_mins(6)).await;
        let recovery = world.runner().recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.restored, [mi()]);
        assert_eq!(world.azure.power(&vm()), Some(PowerState::Deallocated));
        let all = native.plan_patch(&options().with_start(NodeSelector::all())).await.unwrap();
        let ended = native.patch(&run_id("native-2"), &all).await.unwrap();
        assert_eq!(outcome(&ended, &vm()), Outcome::Patched, "both ids are free again: {ended:?}");
    });
}

/// The tags that `link` writes keep two runs apart of which neither knows the other cloud.
#[test]
fn runs_of_both_clouds_alone_find_each_other_by_the_tags() {
    let world = linked(PowerState::Running, Tagged::ResourceId);
    world.azure.update(&vm(), |node| node.with_tag(NODE_ID_TAG, mi().to_string())).unwrap();
    block_on(async {
        hold(&world, "ssm", mi()).await;
        let native = world.alone(&world.azure);
        let plan = native.plan_patch(&options_of(NodeSelector::ids([vm()]))).await.unwrap();
        assert_eq!(plan.nodes[0].also, BTreeSet::from([mi()]));
        let ended = native.patch(&run_id("native"), &plan).await.unwrap();
        assert!(says(&ended, &vm(), "run ssm holds it"));
    });
    let world = linked(PowerState::Running, Tagged::ResourceId);
    block_on(async {
        hold(&world, "azure", vm()).await;
        let native = world.alone(&world.ssm);
        let plan = native.plan_patch(&options_of(NodeSelector::ids([mi()]))).await.unwrap();
        let ended = native.patch(&run_id("native"), &plan).await.unwrap();
        assert!(says(&ended, &mi(), "run azure holds it"));
    });
}

#[test]
fn a_scan_claims_both_ids_and_gives_both_back() {
    let world = linked(PowerState::Running, Tagged::VmId);
    block_on(async {
        hold(&world, "other", vm()).await;
        let scan = world.runner().scan(&run_id("s1"), &NodeSelector::ids([mi()])).await.unwrap();
        assert_eq!(scan.nodes[0].outcome, ScanOutcome::Busy);
    });
    let world = linked(PowerState::Running, Tagged::VmId);
    block_on(async {
        let scan = world.runner().scan(&run_id("s1"), &NodeSelector::ids([mi()])).await.unwrap();
        assert_eq!(scan.nodes[0].outcome, ScanOutcome::Scanned);
        hold(&world, "other", vm()).await;
    });
}

#[test]
fn a_machine_that_is_created_anew_between_plan_and_run_is_left_alone() {
    for tagged in [Tagged::VmId, Tagged::ResourceId] {
        let world = linked(PowerState::Deallocated, tagged);
        let plan = plan(&world);
        world.create_anew(PowerState::Deallocated);
        let ended = block_on(world.runner().patch(&run_id("run"), &plan)).unwrap();
        assert_eq!(outcome(&ended, &mi()), Outcome::Skipped);
        assert!(says(&ended, &mi(), "it was one with"), "{ended:?}");
        assert_eq!(calls(&world.azure, "set_power") + calls(&world.ssm, "submit"), 0);
    }
}

#[test]
fn a_recovery_powers_no_machine_that_was_created_anew() {
    for tagged in [Tagged::VmId, Tagged::ResourceId] {
        let world = linked(PowerState::Deallocated, tagged);
        block_on(async {
            let plan = plan_of(&world).await;
            let (runner, run) = (world.runner(), run_id("run"));
            let cloud = world.azure.clone();
            let work = runner.patch(&run, &plan);
            let started = move || calls(&cloud, "set_power") > 0;
            assert!(common::linked::until(work, started).await.is_none());
            world.clock.sleep(Duration::from_mins(6)).await;
            world.create_anew(PowerState::Running);
            let orders = calls(&world.azure, "set_power");
            let recovery = world.runner().recover(&run).await.unwrap();
            assert_eq!(recovery.undo_failed[0].node, mi(), "{recovery:?}");
            assert_eq!(calls(&world.azure, "set_power"), orders);
            assert_eq!(world.azure.power(&vm()), Some(PowerState::Running));
        });
    }
}

/// Each call to the host fails once, in turn: what was started is put back, or named.
#[test]
fn whatever_the_host_answers_the_machine_is_put_back_or_named() {
    let kinds = [ErrorKind::PermissionDenied, ErrorKind::Timeout, ErrorKind::NotFound];
    let clean = {
        let world = linked(PowerState::Deallocated, Tagged::VmId);
        let plan = plan(&world);
        let before = world.azure.calls().len();
        block_on(world.runner().patch(&run_id("run"), &plan)).unwrap();
        before..world.azure.calls().len()
    };
    assert!(clean.len() > 5);
    for (at, kind) in clean.flat_map(|at| kinds.map(|kind| (at, kind))) {
        for lost in [false, true] {
            let world = linked(PowerState::Deallocated, Tagged::VmId);
            let plan = plan(&world);
            world.azure.on_call(move |call| match (call.seq == at, lost) {
                (false, _) => Fault::Pass,
                (true, false) => Fault::Refuse(error(kind)),
                (true, true) => Fault::LoseAnswer(error(ErrorKind::Timeout)),
            });
            let ended = block_on(world.runner().patch(&run_id("run"), &plan)).unwrap();
            let back = world.azure.peek(&vm()).unwrap().power == PowerState::Deallocated;
            let named = ended.undo_failed.iter().any(|failure| failure.node == mi());
            assert!(back || named, "{kind:?} in call {at}: {ended}");
            block_on(world.clock.sleep(Duration::from_mins(6)));
            block_on(world.runner().recover(&run_id("run"))).unwrap();
            let power = world.azure.peek(&vm()).unwrap().power;
            assert_eq!(power, PowerState::Deallocated, "{kind:?} in call {at}");
        }
    }
}

/// The host goes silent for good once the machine runs.
#[test]
fn a_host_that_goes_silent_leaves_its_machine_claimed_and_named() {
    let world = linked(PowerState::Deallocated, Tagged::VmId);
    let plan = plan(&world);
    let ssm = world.ssm.clone();
    world.azure.on_call(move |_| match calls(&ssm, "submit") {
        0 => Fault::Pass,
        _ => Fault::Refuse(error(ErrorKind::PermissionDenied)),
    });
    let ended = block_on(world.runner().patch(&run_id("run"), &plan)).unwrap();
    assert_eq!(outcome(&ended, &mi()), Outcome::Patched, "its agent has said so: {ended}");
    assert_eq!(ended.undo_failed[0].node, mi());
    block_on(async {
        let lease = world.journal.begin(&run_id("next"), "next", Duration::from_hours(1)).await;
        let claims = world.journal.claim(&lease.unwrap(), &[mi(), vm()]).await;
        assert!(claims.iter().all(|(_, claim)| claim.is_err()), "{claims:?}");
        world.azure.on_call(|_| Fault::Pass);
        world.clock.sleep(Duration::from_mins(6)).await;
        let recovery = world.runner().recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.restored, [mi()]);
        assert_eq!(world.azure.power(&vm()), Some(PowerState::Deallocated));
    });
}

#[test]
fn what_could_be_powered_stands_in_the_capabilities() {
    let world = linked(PowerState::Running, Tagged::VmId);
    let mut agents = world.ssm.capabilities();
    (agents.power, agents.deallocate) = (false, false);
    let fleet = common::linked::fleet(&world.ssm.clone().with_capabilities(agents), &world.azure);
    assert!(fleet.capabilities_for(mi().scope()).power);
    assert!(fleet.capabilities_for(mi().scope()).deallocate);
    let hybrid = node(id("mi-alone")).with_origin(patchkit_core::NodeOrigin::Hybrid);
    world.ssm.insert(hybrid);
    let answers = block_on(fleet.set_power(&[id("mi-alone"), mi()], PowerTarget::Stopped));
    assert_eq!(answers[0].1.as_ref().unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(answers[1].1.is_ok());
}
