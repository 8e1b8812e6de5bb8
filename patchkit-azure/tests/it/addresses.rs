//! The addresses of machines, which propose links and never make one.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use futures::StreamExt;
use patchkit_azure::{Addresses, UpdateManager};
use patchkit_core::{
    Estate, Fleet, FleetExt, LinkEvidence, LinkedFleet, MachineIdentity, ManagedNode, NodeId,
    NodeOrigin, NodeSelector, OperatingSystem, Provider, Result,
    memory::{MemoryCloud, MemoryNode},
};
use patchkit_testkit::cloud::{Fault, FaultKind, NodeTruth, World};

use crate::cloud::{Cloud, SUBSCRIPTION, arc, builder, node, provider, vm};

const AWS: &str = "aws/111122223333/eu-west-1";

fn telling(world: &World) -> UpdateManager {
    let azure = provider(world).with_page_size(1_000).build().unwrap();
    azure.with_addresses(Addresses::OfInterfaces)
}

/// What the machine itself says.
fn truth(cloud: &Cloud, node: &NodeId) -> IpAddr {
    cloud.world.node(node.resource()).unwrap().address.parse().unwrap()
}

/// A VM that is a node of Systems Manager, too.
fn shared(world: &World) -> NodeTruth {
    let is_shared = |it: &NodeTruth| {
        let vm = it.azure_id.as_ref().is_some_and(|id| id.contains("/virtualMachines/"));
        vm && it.answers && it.aws_id.as_ref().is_some_and(|id| id.starts_with("mi-"))
    };
    let all = world.node_ids().into_iter().filter_map(|id| world.node(&id));
    all.into_iter().find(is_shared).expect("the world has one")
}

#[tokio::test]
async fn a_vm_and_its_node_without_tags_are_proposed_and_never_linked() {
    let world = builder().aws_account("111122223333").aws_region("eu-west-1").nodes(200);
    let cloud = Cloud::of(world).await;
    let truth = shared(&cloud.world);
    let patched: NodeId = format!("{AWS}/{}", truth.aws_id.unwrap()).parse().unwrap();
    let Ok(system) = truth.operating_system.parse::<OperatingSystem>();
    let mut seen = MachineIdentity::default();
    seen.computer_name = Some(truth.name);
    seen.ip_addresses.insert(truth.address.parse().unwrap());
    let ssm = MemoryCloud::builder().clock(cloud.world.clock()).build();
    ssm.insert(
        MemoryNode::new(patched.clone(), system)
            .with_origin(NodeOrigin::Hybrid)
            .with_identity(seen),
    );
    let host = node(&truth.azure_id.unwrap());
    let telling = telling(&cloud.world);
    let name = BTreeSet::from([LinkEvidence::ComputerName]);
    let both = BTreeSet::from([LinkEvidence::ComputerName, LinkEvidence::IpAddress]);
    for (azure, weak) in [(cloud.azure.clone(), name), (telling, both)] {
        let hosts = Estate::new().with(azure.scopes().await.unwrap(), Arc::new(azure));
        let patchers = Estate::new().with([patched.scope().clone()], Arc::new(ssm.clone()));
        let fleet = LinkedFleet::new(patchers, hosts);
        let links = fleet.links().await.unwrap().links;
        let [candidate] = &links.candidates[..] else { panic!("{:?}", links.candidates) };
        assert_eq!(candidate.patched, patched);
        assert!(candidate.host.resource().eq_ignore_ascii_case(host.resource()));
        assert_eq!(candidate.evidence.iter().copied().collect::<BTreeSet<_>>(), weak);
        let nodes = fleet.collect_nodes(&NodeSelector::all()).await.unwrap();
        assert!(nodes.iter().all(|it| it.host().is_none()), "nothing is linked");
    }
}

#[tokio::test]
async fn machines_of_each_kind_have_their_addresses_for_one_query_more() {
    let cloud = Cloud::empty().await;
    let own = [cloud.vm(), cloud.add(&arc()), cloud.add(&vm())];
    let telling = telling(&cloud.world);
    let plain = telling.with_addresses(Addresses::Omitted);
    let queries = async |azure: &UpdateManager, selector: &NodeSelector| {
        let before = cloud.count("Resources");
        let nodes = azure.collect_nodes(selector).await.unwrap();
        (nodes, cloud.count("Resources") - before)
    };
    for selector in [NodeSelector::all(), NodeSelector::ids(own.clone())] {
        let (nodes, few) = queries(&plain, &selector).await;
        assert!(nodes.iter().all(|it| it.identity.ip_addresses.is_empty()));
        let (nodes, more) = queries(&telling, &selector).await;
        assert_eq!((nodes.len(), more - few), (own.len(), 1));
        for node in &nodes {
            let address = BTreeSet::from([truth(&cloud, &node.id)]);
            assert_eq!(node.identity.ip_addresses, address, "{}", node.id);
        }
    }
    let rows: Vec<_> = telling.nodes_with_compliance(&NodeSelector::all()).collect().await;
    let told =
        |it: &Result<(ManagedNode, _)>| !it.as_ref().unwrap().0.identity.ip_addresses.is_empty();
    assert!(rows.len() == own.len() && rows.iter().all(told));
}

#[tokio::test]
async fn addresses_that_cannot_be_read_leave_the_nodes_and_are_told() {
    let cloud = Cloud::empty().await;
    let own = cloud.vm();
    let fault = Fault::new(FaultKind::Fail { status: 500 }).on("Resources").skip(1).times(1);
    cloud.world.add_fault(fault).unwrap();
    let rows: Vec<_> = telling(&cloud.world).nodes(&NodeSelector::all()).collect().await;
    let [Ok(node), Err(error)] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(node.id == own && node.identity.ip_addresses.is_empty());
    assert_eq!(error.scope().unwrap().to_string(), format!("azure/{SUBSCRIPTION}/global"));
}
