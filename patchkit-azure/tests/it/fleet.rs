//! Listings and statuses.

use std::collections::BTreeSet;

use futures::StreamExt;
use patchkit_azure::{MachineKind, PatchMode, UpdateManager};
use patchkit_core::{
    ErrorKind, Fleet, NodeOrigin, NodeSelector, OperatingSystem, PowerState, Reachability,
    UnmanagedReason,
};
use patchkit_testkit::cloud::{Agent, Fault, FaultKind, NodeChange, NodeSpec, Power};

use crate::cloud::{Cloud, SUBSCRIPTION, all, arc, builder, provider, vm};

#[tokio::test]
async fn a_drawn_subscription_is_listed_whole_and_as_it_is() {
    let cloud = Cloud::of(builder().nodes(120)).await;
    let known: BTreeSet<String> = cloud
        .world
        .node_ids()
        .into_iter()
        .filter_map(|id| cloud.world.node(&id).and_then(|it| it.azure_id))
        .map(|id| id.to_lowercase())
        .collect();
    let machines = all(cloud.azure.machines(&NodeSelector::all())).await.unwrap();
    let listed: BTreeSet<String> =
        machines.iter().map(|it| it.node.id.resource().to_lowercase()).collect();
    assert_eq!(listed.len(), machines.len(), "each once");
    assert_eq!(listed, known);
    for kind in [MachineKind::Vm, MachineKind::Arc, MachineKind::ScaleSetInstance] {
        assert!(machines.iter().any(|it| it.kind == kind), "{kind:?}");
    }
    for machine in &machines {
        let node = &machine.node;
        let truth = cloud.world.node(node.id.resource()).unwrap();
        assert_eq!(node.operating_system.as_str(), truth.operating_system, "{}", node.id);
        assert!(machine.hardware_id.is_some(), "{}", node.id);
        let hybrid = machine.kind == MachineKind::Arc;
        assert_eq!(node.origin == NodeOrigin::Hybrid, hybrid);
        assert_eq!(node.power == PowerState::Running, truth.power == Power::Running && !hybrid);
        assert!(!(truth.power != Power::Running && node.reachability == Reachability::Online));
    }
}

#[tokio::test]
async fn a_listing_is_a_query_for_each_page_and_one_before() {
    let cloud = Cloud::empty().await;
    for _ in 0..11 {
        cloud.vm();
    }
    let nodes = all(cloud.azure.nodes(&NodeSelector::all())).await.unwrap();
    assert_eq!((nodes.len(), cloud.count("Resources")), (11, 4));
    // All of them answer: no machine is asked itself.
    assert_eq!(cloud.count("VirtualMachines_InstanceView"), 0);
}

#[tokio::test]
async fn a_selector_is_sent_along_as_far_as_it_is_exact() {
    let cloud = Cloud::empty().await;
    for number in 0..12 {
        cloud.add(&vm().with_tag("Role", if number == 7 { "it's \\web" } else { "db" }));
    }
    let windows = cloud.add(&NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, "web"));
    let hybrid = cloud.add(&arc());
    for (selector, nodes) in [
        (NodeSelector::all().with_tag("Role", ["it's \\web"]), 1),
        (NodeSelector::all().with_operating_systems([OperatingSystem::Windows]), 1),
        (NodeSelector::all().with_power([PowerState::Unknown]), 1),
        (NodeSelector::all().with_power([PowerState::Stopped]), 0),
        (NodeSelector::ids([windows, hybrid]), 2),
    ] {
        cloud.world.forget_calls();
        let listed = all(cloud.azure.nodes(&selector)).await.unwrap();
        assert_eq!(listed.len(), nodes, "{selector}");
        // Twelve rows would take three pages.
        assert!(cloud.count("Resources") <= 2, "{selector}: {:?}", cloud.world.calls());
    }
}

#[tokio::test]
async fn a_machine_tells_how_it_is_patched() {
    let cloud = Cloud::empty().await;
    cloud.add(&NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, "web"));
    let machines = all(cloud.azure.machines(&NodeSelector::all())).await.unwrap();
    assert_eq!(machines[0].patching.mode, Some(PatchMode::AutomaticByOs));
    assert!(!machines[0].patching.has_own_schedules());
    assert_eq!(machines[0].resource_group, "web");
}

#[tokio::test]
async fn a_subscription_that_shows_nothing_is_told_of_and_the_others_are_listed() {
    let cloud = Cloud::empty().await;
    cloud.vm();
    let azure =
        provider(&cloud.world).with_subscriptions(["hidden".parse().unwrap()]).build().unwrap();
    let rows: Vec<_> = azure.nodes(&NodeSelector::all()).collect().await;
    assert_eq!(rows.len(), 2);
    let error = rows[0].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.scope().unwrap().to_string(), "azure/hidden/global");
    assert!(rows[1].is_ok());
    let here = NodeSelector::all().with_regions(["westeurope".parse().unwrap()]);
    let rows: Vec<_> = azure.nodes(&here).collect().await;
    let error = rows[0].as_ref().unwrap_err();
    assert_eq!(error.scope().unwrap().to_string(), "azure/hidden/westeurope");
}

#[tokio::test]
async fn subscriptions_are_one_in_every_case() {
    let cloud = Cloud::empty().await;
    let id = cloud.vm();
    let azure: UpdateManager = provider(&cloud.world)
        .with_subscriptions([SUBSCRIPTION.to_uppercase().parse().unwrap()])
        .build()
        .unwrap();
    assert_eq!(azure.subscriptions().len(), 1);
    let nodes = all(azure.nodes(&NodeSelector::all())).await.unwrap();
    assert_eq!(nodes[0].id, id);
}

#[tokio::test]
async fn the_status_of_a_few_is_of_the_moment_and_of_many_one_query() {
    let cloud = Cloud::empty().await;
    let few: Vec<_> = (0..3).map(|_| cloud.vm()).collect();
    let statuses = cloud.azure.statuses(&few).await;
    assert!(statuses.iter().all(|(_, it)| it.as_ref().unwrap().power == PowerState::Running));
    assert_eq!((cloud.count("VirtualMachines_InstanceView"), cloud.count("Resources")), (3, 0));
    let agent = statuses[0].1.as_ref().unwrap().agent_version.clone();
    assert!(agent.is_some_and(|it| it.starts_with("2.")));
    let many: Vec<_> = (0..60).map(|_| cloud.vm()).collect();
    cloud.world.forget_calls();
    let azure = provider(&cloud.world).with_page_size(1_000).build().unwrap();
    let statuses = azure.statuses(&many).await;
    assert_eq!(statuses.len(), 60);
    assert!(statuses.iter().all(|(_, it)| it.is_ok()));
    assert_eq!((cloud.count("VirtualMachines_InstanceView"), cloud.count("Resources")), (0, 1));
}

#[tokio::test]
async fn an_arc_machine_that_is_not_heard_says_since_when() {
    let cloud = Cloud::empty().await;
    let id = cloud.add(&arc());
    let lost = NodeChange::new().with_agent(Agent::ConnectionLost);
    assert!(cloud.world.change_node(id.resource(), &lost));
    let nodes = all(cloud.azure.nodes(&NodeSelector::all())).await.unwrap();
    let why = nodes[0].unmanaged;
    assert!(matches!(why, Some(UnmanagedReason::Silent { since: Some(_) })), "{why:?}");
    let status = cloud.azure.statuses(&[id]).await.remove(0).1.unwrap();
    assert_eq!((status.power, status.reachability), (PowerState::Unknown, Reachability::Lost));
}

#[tokio::test]
async fn a_value_that_nobody_knows_spoils_nothing() {
    let cloud = Cloud::empty().await;
    cloud.vm();
    cloud.world.add_fault(Fault::new(FaultKind::UnknownEnum).on("Resources")).unwrap();
    let nodes = all(cloud.azure.nodes(&NodeSelector::all())).await.unwrap();
    assert_eq!(nodes.len(), 1);
}

#[tokio::test]
async fn pages_that_repeat_leave_out_or_break_lose_nothing_in_silence() {
    for (kind, whole) in [
        (FaultKind::DuplicateItem, true),
        (FaultKind::EmptyPage, true),
        (FaultKind::RepeatToken, false),
        (FaultKind::NullArray, false),
        (FaultKind::Truncate, false),
    ] {
        let cloud = Cloud::empty().await;
        for _ in 0..12 {
            cloud.vm();
        }
        let fault = Fault::new(kind).on("Resources").on_page(2).times(1);
        cloud.world.add_fault(fault).unwrap();
        let listed = all(cloud.azure.nodes(&NodeSelector::all())).await;
        match listed {
            Ok(nodes) => {
                assert!(whole, "{kind:?}");
                assert_eq!(nodes.len(), 12, "{kind:?}");
            }
            Err(error) => assert!(!whole, "{kind:?}: {}", error.report()),
        }
    }
}

#[tokio::test]
async fn the_scopes_are_those_with_machines_and_one_of_each_subscription() {
    let cloud = Cloud::empty().await;
    let names = async || {
        let scopes = cloud.azure.scopes().await.unwrap();
        scopes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let everywhere = format!("azure/{SUBSCRIPTION}/global");
    assert_eq!(names().await, std::slice::from_ref(&everywhere));
    cloud.vm();
    assert_eq!(names().await, [everywhere, format!("azure/{SUBSCRIPTION}/westeurope")]);
}
