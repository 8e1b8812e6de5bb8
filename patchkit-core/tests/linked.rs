//! One machine under two control planes is one node.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeSet;

use common::{
    azure, error, id,
    linked::{ANEW, Linked, Tagged, UUID, calls, fleet, linked, machine, mi, uuid, vm},
    node, run_id,
};
use futures::{StreamExt, executor::block_on};
use patchkit_core::{
    Clock, ComplianceReport, ComplianceStatus, ErrorKind, Fleet, FleetExt, Link, LinkEvidence,
    MachineIdentity, MachineLink, ManagedNode, NODE_ID_TAG, NodeId, NodeSelector, PatchAction,
    PatchRequest, PowerState, PowerTarget, RESOURCE_ID_TAG, Reachability, RebootPolicy, Retry,
    SubmitToken, VM_ID_TAG, memory::Fault,
};

fn all(world: &Linked) -> Vec<ManagedNode> {
    block_on(world.fleet.collect_nodes(&NodeSelector::all())).unwrap()
}

fn ids(nodes: &[ManagedNode]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.id.clone()).collect()
}

fn found(nodes: &[ManagedNode], id: &NodeId) -> ManagedNode {
    nodes.iter().find(|node| node.id == *id).unwrap().clone()
}

fn unresolved(node: &ManagedNode) -> &str {
    match node.link.as_ref().unwrap() {
        MachineLink::Unresolved { reason } => reason,
        link => panic!("{link:?}"),
    }
}

#[test]
fn a_machine_of_both_is_listed_once_with_the_hosts_power_and_both_ids() {
    for tagged in [Tagged::VmId, Tagged::ResourceId] {
        let world = linked(PowerState::Deallocated, tagged);
        let nodes = all(&world);
        assert_eq!(ids(&nodes), [azure("vm-8"), id("i-1"), mi()]);
        let node = found(&nodes, &mi());
        assert_eq!(node.power, PowerState::Deallocated);
        assert_eq!(node.reachability, Reachability::Inactive);
        let link = node.host().unwrap();
        assert_eq!((&link.host, link.vm_id), (&vm(), uuid(UUID)));
        assert!(nodes.iter().filter(|other| other.id != mi()).all(|other| other.link.is_none()));
    }
}

#[test]
fn tags_are_those_of_both_and_the_patched_sides_count() {
    let world = linked(PowerState::Running, Tagged::VmId);
    world.ssm.update(&mi(), |node| node.with_tag("Owner", "ours")).unwrap();
    let theirs = |node: patchkit_core::memory::MemoryNode| {
        node.with_tag("Owner", "theirs").with_tag("PatchGroup", "web").with_schedule("monthly")
    };
    world.azure.update(&vm(), theirs).unwrap();
    let node = found(&all(&world), &mi());
    assert_eq!((&*node.tags["Owner"], &*node.tags["Place"]), ("ours", "azure"));
    let link = node.host().unwrap();
    assert_eq!(link.conflicts["Owner"], "theirs");
    assert_eq!(link.schedules, BTreeSet::from(["monthly".to_owned()]));
    // Systems Manager reads groups off its own node alone.
    assert_eq!(node.patch_group(), None);
}

#[test]
fn selectors_take_a_machine_by_either_side() {
    let world = linked(PowerState::Stopped, Tagged::VmId);
    let both = |selector: NodeSelector, expected: &[NodeId]| {
        for warm in [false, true] {
            let fleet = fleet(&world.ssm, &world.azure);
            if warm {
                block_on(fleet.collect_nodes(&NodeSelector::all())).unwrap();
            }
            let nodes = block_on(fleet.collect_nodes(&selector)).unwrap();
            assert_eq!(ids(&nodes), expected, "{selector}");
            let known = fleet.summaries(&selector).map(|row| row.unwrap().node);
            let mut known: Vec<NodeId> = block_on(known.collect());
            known.sort();
            assert_eq!(known, expected, "compliance of {selector}");
        }
    };
    let every = NodeSelector::all;
    both(NodeSelector::ids([vm()]), &[mi()]);
    both(NodeSelector::ids([vm(), mi()]), &[mi()]);
    both(NodeSelector::ids([azure("vm-8"), id("i-1")]), &[azure("vm-8"), id("i-1")]);
    both(NodeSelector::ids([]), &[]);
    both(every().with_tag("Place", ["azure"]), &[mi()]);
    both(every().with_tag("PatchStart", ["yes"]), &[mi()]);
    both(every().with_power([PowerState::Stopped]), &[mi()]);
    both(every().with_power([PowerState::Unknown]), &[]);
    let (here, there) = (mi().scope().clone(), vm().scope().clone());
    both(every().with_accounts([there.account().clone()]), &[azure("vm-8"), mi()]);
    both(every().with_regions([here.region().clone()]), &[id("i-1"), mi()]);
    both(
        every().with_regions([here.region().clone()]).with_accounts([there.account().clone()]),
        &[],
    );
    world.azure.set_resource_group("web".parse().unwrap(), [vm()]);
    world.ssm.set_resource_group("web".parse().unwrap(), [id("i-1")]);
    both(every().with_resource_groups(["web".parse().unwrap()]), &[id("i-1"), mi()]);
}

#[test]
fn power_is_the_hosts_and_reachability_the_agents() {
    let world = linked(PowerState::Deallocated, Tagged::VmId);
    block_on(async {
        let fleet = &world.fleet;
        let status = fleet.status(&mi()).await.unwrap();
        assert_eq!(status.power, PowerState::Deallocated);
        fleet.power(&mi(), PowerTarget::Running).await.unwrap();
        assert_eq!(calls(&world.ssm, "set_power"), 0);
        world.clock.sleep(std::time::Duration::from_mins(5)).await;
        let status = fleet.status(&mi()).await.unwrap();
        assert_eq!(
            (status.power, status.reachability),
            (PowerState::Running, Reachability::Online)
        );
        // Both ids are one machine's, and are answered both.
        let answers = fleet.set_power(&[vm(), mi()], PowerTarget::Deallocated).await;
        assert!(answers.iter().all(|(_, answer)| answer.is_ok()), "{answers:?}");
        assert_eq!(ids_of(&answers), [vm(), mi()]);
    });
    assert_eq!(calls(&world.azure, "set_power"), 2);
}

fn ids_of<T>(answers: &[(NodeId, T)]) -> Vec<NodeId> {
    answers.iter().map(|(node, _)| node.clone()).collect()
}

#[test]
fn asking_for_power_again_and_again_lists_nothing() {
    let world = linked(PowerState::Running, Tagged::VmId);
    let asked = [mi(), id("i-1"), azure("vm-8")];
    block_on(world.fleet.statuses(&asked));
    let before = (calls(&world.ssm, "nodes"), calls(&world.azure, "nodes"));
    for _ in 0..10 {
        block_on(world.fleet.statuses(&asked));
    }
    assert_eq!((calls(&world.ssm, "nodes"), calls(&world.azure, "nodes")), before);
    assert_eq!((calls(&world.ssm, "statuses"), calls(&world.azure, "statuses")), (11, 11));
}

#[test]
fn a_host_that_does_not_answer_makes_the_power_unknown_and_says_so() {
    let world = linked(PowerState::Running, Tagged::VmId);
    all(&world);
    world.azure.on_call(|call| match call.operation {
        "statuses" => Fault::Refuse(error(ErrorKind::PermissionDenied)),
        _ => Fault::Pass,
    });
    let status = block_on(world.fleet.status(&mi())).unwrap();
    assert_eq!((status.power, status.reachability), (PowerState::Unknown, Reachability::Online));
    assert!(status.problem.unwrap().contains("as the test wants it"));
    // Who asks too often asks again.
    world.azure.on_call(|_| Fault::Refuse(error(ErrorKind::Throttled).with_retry(Retry::Backoff)));
    let throttled = block_on(world.fleet.status(&mi())).unwrap_err();
    assert_eq!((throttled.kind(), throttled.node()), (ErrorKind::Throttled, Some(&mi())));
}

#[test]
fn a_side_that_cannot_be_listed_is_a_row_and_its_machines_are_in_doubt() {
    let world = linked(PowerState::Running, Tagged::VmId);
    let denied = |call: &patchkit_core::memory::MemoryCall| match call.operation {
        "nodes" => Fault::Refuse(error(ErrorKind::PermissionDenied)),
        _ => Fault::Pass,
    };
    let rows = || {
        let fleet = fleet(&world.ssm, &world.azure);
        let rows: Vec<_> = block_on(fleet.nodes(&NodeSelector::all()).collect());
        let (nodes, errors): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
        let mut nodes: Vec<ManagedNode> = nodes.into_iter().map(Result::unwrap).collect();
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        (nodes, errors.into_iter().map(Result::unwrap_err).collect::<Vec<_>>())
    };
    world.azure.on_call(denied);
    let (nodes, errors) = rows();
    assert_eq!(ids(&nodes), [id("i-1"), mi()]);
    assert_eq!(nodes[1].power, PowerState::Unknown);
    assert!(unresolved(&nodes[1]).contains("could not be listed"));
    assert_eq!(errors[0].scope(), Some(vm().scope()));
    let order = block_on(fleet(&world.ssm, &world.azure).power(&mi(), PowerTarget::Stopped));
    assert_eq!(order.unwrap_err().kind(), ErrorKind::Conflict);

    world.azure.on_call(|_| Fault::Pass);
    world.ssm.on_call(denied);
    let (nodes, errors) = rows();
    assert_eq!(ids(&nodes), [vm(), azure("vm-8")]);
    assert!(nodes.iter().all(|node| unresolved(node).contains("could not be listed")));
    assert_eq!(errors[0].scope(), Some(mi().scope()));
    // Who has listed them before knows better, and goes on by it.
    world.ssm.on_call(|_| Fault::Pass);
    all(&world);
    world.ssm.on_call(denied);
    let rows: Vec<_> = block_on(world.fleet.nodes(&NodeSelector::all()).collect());
    let nodes: Vec<ManagedNode> = rows.into_iter().flatten().collect();
    assert!(unresolved(&found(&nodes, &vm())).contains(mi().resource()));
    assert_eq!(found(&nodes, &azure("vm-8")).link, None);
    assert_eq!(block_on(world.fleet.status(&mi())).unwrap().power, PowerState::Running);
    let order = block_on(world.fleet.power(&mi(), PowerTarget::Stopped)).unwrap_err();
    assert_eq!(order.kind(), ErrorKind::PermissionDenied, "nothing is ordered unseen: {order}");

    world.azure.on_call(denied);
    let rows: Vec<_> = block_on(world.fleet.nodes(&NodeSelector::all()).collect());
    let last = rows.last().unwrap().as_ref().unwrap_err();
    assert_eq!((last.kind(), last.scope()), (ErrorKind::PermissionDenied, None));
}

#[test]
fn what_is_ambiguous_is_never_merged() {
    let world = linked(PowerState::Running, Tagged::VmId);
    let twin = node(id("mi-8")).on_machine(&world.azure, vm()).with_tag(VM_ID_TAG, UUID);
    world.ssm.insert(twin);
    let nodes = all(&world);
    let expected = BTreeSet::from([id("i-1"), id("mi-8"), mi(), vm(), azure("vm-8")]);
    assert_eq!(ids(&nodes).into_iter().collect::<BTreeSet<_>>(), expected);
    for doubtful in [mi(), id("mi-8"), vm()] {
        assert!(unresolved(&found(&nodes, &doubtful)).contains("name one machine"));
    }
    let order = block_on(world.fleet.power(&mi(), PowerTarget::Stopped)).unwrap_err();
    assert_eq!(order.kind(), ErrorKind::Conflict);
    assert_eq!(calls(&world.azure, "set_power"), 0);
    // By ids nothing else comes out than by all.
    let named = block_on(world.fleet.collect_nodes(&NodeSelector::ids([mi(), vm()]))).unwrap();
    assert!(named.iter().all(|node| !unresolved(node).is_empty()));
}

#[test]
fn a_machine_that_is_created_anew_is_a_new_machine() {
    let world = linked(PowerState::Running, Tagged::VmId);
    all(&world);
    world.azure.insert(machine(PowerState::Running, "22222222-2222-4333-8444-555555555555"));
    let order = block_on(world.fleet.power(&mi(), PowerTarget::Stopped)).unwrap_err();
    assert_eq!((order.kind(), order.node()), (ErrorKind::Conflict, Some(&mi())));
    let nodes = all(&world);
    assert_eq!(found(&nodes, &mi()).power, PowerState::Unknown);
    assert!(found(&nodes, &vm()).link.is_none(), "nothing speaks of it");
    assert_eq!(calls(&world.azure, "set_power"), 0);

    // A tag with the ARM id cannot tell; who has known the machine can.
    let world = linked(PowerState::Running, Tagged::ResourceId);
    all(&world);
    world.create_anew(PowerState::Running);
    let order = block_on(world.fleet.power(&mi(), PowerTarget::Stopped)).unwrap_err();
    assert_eq!(order.kind(), ErrorKind::Conflict, "{order}");
    let nodes = all(&world);
    for node in [mi(), vm()] {
        assert!(unresolved(&found(&nodes, &node)).contains("created anew"));
    }
    assert_eq!(calls(&world.azure, "set_power"), 0);
}

#[test]
fn a_confirmed_link_and_inventory_link_too() {
    let world = linked(PowerState::Stopped, Tagged::Nothing);
    assert!(all(&world).iter().all(|node| node.link.is_none()));
    let link = Link::confirmed(mi(), vm(), uuid(UUID));
    let confirmed = world.fleet.clone().with_confirmed([link]);
    let mut identity = MachineIdentity::default();
    identity.vm_id = Some(uuid(UUID));
    let inventory = world.fleet.clone().with_inventory([(mi(), identity)]);
    for (fleet, evidence) in
        [(confirmed, LinkEvidence::Confirmed), (inventory, LinkEvidence::VmIdInventory)]
    {
        let node = block_on(fleet.node(&mi())).unwrap();
        assert_eq!(node.host().unwrap().evidence, [evidence]);
        assert_eq!(node.power, PowerState::Stopped);
    }
}

#[test]
fn a_machine_is_not_patched_by_its_host() {
    let world = linked(PowerState::Running, Tagged::VmId);
    let install = |node: NodeId| {
        let token = SubmitToken::new(format!("t-{}", node.name())).unwrap();
        PatchRequest::new(token, vec![node], PatchAction::Install(RebootPolicy::IfRequired))
    };
    let refused = block_on(world.fleet.submit(install(vm()))).unwrap_err();
    assert_eq!((refused.kind(), refused.node()), (ErrorKind::Conflict, Some(&vm())));
    assert_eq!(calls(&world.azure, "submit"), 0);
    // One that is the host's alone is patched there, one of both by its agent.
    let native = block_on(world.fleet.submit(install(azure("vm-8")))).unwrap();
    assert!(native.as_str().starts_with("azure/"));
    let act = block_on(world.fleet.submit(install(mi()))).unwrap();
    assert!(act.as_str().starts_with("aws/"));
    assert!(block_on(world.fleet.operation(&act)).unwrap().node(&mi()).is_some());
}

#[test]
fn a_link_is_planned_written_on_both_sides_and_taken_back() {
    let world = linked(PowerState::Running, Tagged::Nothing);
    let link = Link::confirmed(mi(), vm(), uuid(UUID));
    let tags =
        |cloud: &patchkit_core::memory::MemoryCloud, id: &NodeId| cloud.peek(id).unwrap().tags;
    let before = (tags(&world.ssm, &mi()), tags(&world.azure, &vm()));
    block_on(async {
        let plan = world.fleet.plan_link(&link).await.unwrap();
        assert_eq!((tags(&world.ssm, &mi()), tags(&world.azure, &vm())), before, "a plan reads");
        insta::assert_snapshot!(plan, @r#"
        link aws/111122223333/eu-west-1/mi-7 = azure/sub/westeurope//subscriptions/sub/resourceGroups/rg/vm/vm-7, linked by a person's word
          azure/sub/westeurope//subscriptions/sub/resourceGroups/rg/vm/vm-7
            patchkit:ssm-node-id = "aws/111122223333/eu-west-1/mi-7"
          aws/111122223333/eu-west-1/mi-7
            patchkit:azure-resource-id = "/subscriptions/sub/resourceGroups/rg/vm/vm-7"
            patchkit:azure-vm-id = "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a"
        "#);
        let report = world.fleet.link(&plan).await;
        assert!(report.is_complete());
        assert_eq!(tags(&world.ssm, &mi())[VM_ID_TAG], UUID);
        assert_eq!(tags(&world.ssm, &mi())[RESOURCE_ID_TAG], vm().resource());
        assert_eq!(tags(&world.azure, &vm())[NODE_ID_TAG], mi().to_string());
        let strong = fleet(&world.ssm, &world.azure).node(&mi()).await.unwrap();
        let evidence = &strong.host().unwrap().evidence;
        assert_eq!(evidence, &[LinkEvidence::VmIdTag, LinkEvidence::ResourceIdTag]);
        // Twice is as good as once.
        let again = world.fleet.plan_link(&link).await.unwrap();
        assert!(again.changes.iter().all(patchkit_core::TagChange::is_empty));
        for _ in 0..2 {
            assert!(world.fleet.unlink(&report).await.is_empty());
        }
        assert_eq!((tags(&world.ssm, &mi()), tags(&world.azure, &vm())), before);

        world.create_anew(PowerState::Running);
        let late = world.fleet.plan_link(&link).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict);
    });
}

#[test]
fn a_side_that_refuses_its_tags_is_named_and_nothing_is_linked() {
    let world = linked(PowerState::Running, Tagged::Nothing);
    let link = Link::confirmed(mi(), vm(), uuid(UUID));
    let plan = block_on(world.fleet.plan_link(&link)).unwrap();
    for (cloud, failed, changed) in [(&world.azure, vm(), 0), (&world.ssm, mi(), 1)] {
        cloud.on_call(|call| match call.operation {
            "merge_tags" => Fault::Refuse(error(ErrorKind::PermissionDenied)),
            _ => Fault::Pass,
        });
        let report = block_on(world.fleet.link(&plan));
        assert_eq!((&report.failed[0].node, report.changed.len()), (&failed, changed));
        cloud.on_call(|_| Fault::Pass);
        assert!(all(&world).iter().all(|node| node.host().is_none()));
        assert!(block_on(world.fleet.unlink(&report)).is_empty());
    }
    assert!(!world.azure.peek(&vm()).unwrap().tags.contains_key(NODE_ID_TAG));
}

#[test]
fn compliance_shows_a_machine_once_with_both_sources_and_their_ages() {
    let world = linked(PowerState::Running, Tagged::VmId);
    block_on(async {
        let known = world.fleet.summary(&mi()).await.unwrap();
        let none = known.sources.iter().all(|source| source.observed_at.is_none());
        assert!(known.status == ComplianceStatus::Unknown && none && known.sources.len() == 2);

        // The host's finding alone is not the owner's.
        world.alone(&world.azure).scan(&run_id("a"), &NodeSelector::all()).await.unwrap();
        let known = world.fleet.summary(&mi()).await.unwrap();
        assert_eq!(known.status, ComplianceStatus::Unknown);
        assert_eq!(known.sources[1].status, ComplianceStatus::NonCompliant);

        // Patched since: what the host found before says nothing of now.
        world.clock.sleep(std::time::Duration::from_hours(1)).await;
        let options = common::options_of(NodeSelector::ids([mi()]));
        let plan = world.runner().plan_patch(&options).await.unwrap();
        world.runner().patch(&run_id("b"), &plan).await.unwrap();
        let known = world.fleet.summary(&mi()).await.unwrap();
        assert_eq!(known.status, ComplianceStatus::Compliant);
        let ages: Vec<_> = known.sources.iter().map(|it| it.age(world.clock.now())).collect();
        assert!(ages[1] > ages[0], "{ages:?}");
        assert_eq!((&known.sources[0].node, &known.sources[1].node), (&mi(), &vm()));

        // Found out by the host since then: worse counts.
        world.alone(&world.azure).scan(&run_id("c"), &NodeSelector::all()).await.unwrap();
        let rows: Vec<_> = world.fleet.summaries(&NodeSelector::all()).collect().await;
        let rows: Vec<_> = rows.into_iter().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3);
        let row = rows.iter().find(|row| row.node == mi()).unwrap();
        assert_eq!(row.status, ComplianceStatus::NonCompliant);
        assert_eq!(row.counts.missing, 0, "the counts are the owner's");
        assert_eq!(row.sources[1].counts.missing, 2);
        assert_eq!(*row, world.fleet.summary(&vm()).await.unwrap());

        // A host that cannot be asked hides nothing.
        world.azure.on_call(|call| match call.operation {
            "summaries" | "summary" => Fault::Refuse(error(ErrorKind::PermissionDenied)),
            _ => Fault::Pass,
        });
        let rows: Vec<_> = world.fleet.summaries(&NodeSelector::all()).collect().await;
        let known = rows.iter().flatten().find(|row| row.node == mi()).unwrap();
        assert_eq!(known.status, ComplianceStatus::Compliant);
        assert!(known.sources[1].problem.as_ref().unwrap().contains("as the test wants it"));
        assert!(rows.iter().any(|row| row.as_ref().is_err_and(|it| it.scope().is_some())));
        assert!(world.fleet.summary(&mi()).await.unwrap().sources[1].problem.is_some());
    });
}

#[test]
fn a_survey_names_candidates_and_what_is_stale() {
    let world = linked(PowerState::Running, Tagged::Nothing);
    let mut seen = MachineIdentity::default();
    seen.computer_name = Some("web-7".to_owned());
    seen.ip_addresses.insert("10.0.0.4".parse().unwrap());
    world.ssm.update(&mi(), |node| node.with_identity(seen.clone())).unwrap();
    seen.vm_id = Some(uuid(UUID));
    world.azure.update(&vm(), |node| node.with_identity(seen)).unwrap();
    world.ssm.insert(
        node(id("mi-9"))
            .on_machine(&world.azure, azure("gone"))
            .with_tag(VM_ID_TAG, ANEW.replace('1', "9")),
    );
    let survey = block_on(world.fleet.links()).unwrap();
    assert!(survey.unlisted.is_empty() && survey.links.linked.is_empty());
    assert_eq!(survey.links.candidates[0].confirm(), Some(Link::confirmed(mi(), vm(), uuid(UUID))));
    assert_eq!(survey.links.stale[0].patched, id("mi-9"));
    // A proposal links nothing, but who patches the machine by its agent does not by its host.
    let nodes = all(&world);
    assert_eq!(found(&nodes, &mi()).link, None);
    assert!(unresolved(&found(&nodes, &vm())).contains("may be one with"));
    let apart = world.fleet.clone().with_separate([(mi(), vm())]);
    let nodes = block_on(apart.collect_nodes(&NodeSelector::all())).unwrap();
    assert!(nodes.len() == 5 && nodes.iter().all(|node| node.link.is_none()));
    assert!(block_on(apart.links()).unwrap().links.candidates.is_empty());
}
