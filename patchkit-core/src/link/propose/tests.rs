use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{OperatingSystem, RESOURCE_ID_TAG, VM_ID_TAG};

const UUID: &str = "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a";
/// The same as firmware shows it.
const SWAPPED: &str = "601F3E5C-2B9A-474D-8F10-2B6F0C9D1E7A";
const OTHER: &str = "11111111-2222-4333-8444-555555555555";

fn node(id: &str) -> ManagedNode {
    ManagedNode::new(id.parse().unwrap(), OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH)
}

fn patched(name: &str) -> ManagedNode {
    let mut node = node(&format!("aws/111122223333/eu-west-1/{name}"));
    node.origin = NodeOrigin::Hybrid;
    node
}

fn arm(name: &str) -> String {
    format!(
        "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/{name}"
    )
}

fn host(name: &str, vm_id: &str) -> ManagedNode {
    let mut node = node(&format!("azure/sub/westeurope/{}", arm(name)));
    node.identity.vm_id = Some(vm_id.parse().unwrap());
    node
}

fn tagged(mut node: ManagedNode, name: &str, value: &str) -> ManagedNode {
    node.tags.insert(name.to_owned(), value.to_owned());
    node
}

fn called(mut node: ManagedNode, name: &str, address: &str) -> ManagedNode {
    node.identity.computer_name = Some(name.to_owned());
    node.identity.ip_addresses.insert(address.parse().unwrap());
    node
}

fn evidence(links: &Links) -> Vec<LinkEvidence> {
    links.linked.iter().flat_map(|link| link.evidence.clone()).collect()
}

#[test]
fn a_vm_id_links_in_both_orders_of_bytes_and_in_any_case() {
    for text in [UUID, SWAPPED, &UUID.to_uppercase(), &SWAPPED.to_lowercase()] {
        let links =
            propose_links(&[tagged(patched("mi-1"), VM_ID_TAG, text)], &[host("vm-1", UUID)]);
        assert_eq!(evidence(&links), [LinkEvidence::VmIdTag], "{text}");
        assert_eq!(links.linked[0].vm_id, UUID.parse().unwrap(), "as the host spells it");
    }
}

#[test]
fn a_resource_id_links_in_any_case() {
    let tag = arm("VM-1").to_uppercase();
    let links =
        propose_links(&[tagged(patched("mi-1"), RESOURCE_ID_TAG, &tag)], &[host("vm-1", UUID)]);
    assert_eq!(evidence(&links), [LinkEvidence::ResourceIdTag]);
}

#[test]
fn inventory_links_as_tags_do() {
    let mut by_uuid = patched("mi-1");
    by_uuid.identity.smbios_uuid = Some(SWAPPED.parse().unwrap());
    let links = propose_links(&[by_uuid], &[host("vm-1", UUID)]);
    assert_eq!(evidence(&links), [LinkEvidence::VmIdInventory]);
    let mut by_id = patched("mi-1");
    by_id.identity.resource_id = Some(arm("vm-1"));
    let links = propose_links(&[by_id], &[host("vm-1", UUID)]);
    assert_eq!(evidence(&links), [LinkEvidence::ResourceIdInventory]);
}

/// Of an Arc machine `vmId` is its hybrid id, and `vmUuid` what its firmware shows.
#[test]
fn an_arc_machine_is_known_by_its_smbios_uuid() {
    let mut arc = host("arc-1", OTHER);
    arc.identity.smbios_uuid = Some(UUID.parse().unwrap());
    let links = propose_links(&[tagged(patched("mi-1"), VM_ID_TAG, SWAPPED)], &[arc]);
    assert_eq!(links.linked.len(), 1);
}

#[test]
fn a_name_alone_says_nothing() {
    let own = called(patched("mi-1"), "web-1", "10.0.0.4");
    for theirs in [
        called(host("web-1", UUID), "web-1", "10.0.0.5"),
        called(host("web-1", UUID), "web-2", "10.0.0.4"),
        host("web-1", UUID),
    ] {
        assert_eq!(propose_links(std::slice::from_ref(&own), &[theirs]), Links::default());
    }
}

#[test]
fn a_name_alone_is_proposed_where_one_side_tells_no_address() {
    let own = called(patched("mi-1"), "web-1.corp.example", "10.0.0.4");
    let mut theirs = called(host("vm-1", UUID), "WEB-1", "10.0.0.4");
    theirs.identity.ip_addresses.clear();
    let links = propose_links(std::slice::from_ref(&own), std::slice::from_ref(&theirs));
    assert!(links.linked.is_empty() && links.ambiguous.is_empty());
    let [candidate] = &links.candidates[..] else { panic!("{links:?}") };
    assert_eq!((&candidate.patched, &candidate.host), (&own.id, &theirs.id));
    assert_eq!(candidate.evidence, [LinkEvidence::ComputerName]);
    let twice = propose_links(
        &[own.clone(), called(patched("mi-2"), "web-1", "10.0.0.5")],
        &[theirs.clone()],
    );
    assert_eq!((twice.candidates.len(), twice.ambiguous.len()), (0, 1));
    // A node that says which machine it is leaves no doubt of others of that name.
    let other = tagged(own, VM_ID_TAG, OTHER);
    let linked = propose_links(&[other], &[theirs, host("vm-2", OTHER)]);
    assert_eq!((linked.linked.len(), linked.ambiguous.len()), (1, 0));
}

#[test]
fn an_address_that_every_machine_has_is_as_none() {
    for address in ["127.0.0.1", "169.254.1.1", "::1", "fe80::1"] {
        let own = called(patched("mi-1"), "web-1", address);
        let links = propose_links(&[own], &[called(host("web-1", UUID), "web-1", address)]);
        assert!(links.linked.is_empty() && links.ambiguous.is_empty(), "{address}");
        assert_eq!(links.candidates[0].evidence, [LinkEvidence::ComputerName], "{address}");
    }
}

#[test]
fn name_and_address_are_proposed_to_a_person() {
    let own = called(patched("mi-1"), "WEB-1.corp.example", "10.0.0.4");
    let theirs = called(host("vm-1", UUID), "web-1", "10.0.0.4");
    let links = propose_links(std::slice::from_ref(&own), std::slice::from_ref(&theirs));
    assert!(links.linked.is_empty() && links.ambiguous.is_empty());
    let candidate = &links.candidates[0];
    assert_eq!(candidate.evidence, [LinkEvidence::ComputerName, LinkEvidence::IpAddress]);
    assert!(candidate.evidence.iter().all(|evidence| !evidence.is_strong()));
    let link = candidate.confirm().unwrap();
    let claim = |node: &ManagedNode| Claim::of(node, None, Some(&link));
    let links = resolve([&own], [&theirs], claim, |_, _| false);
    assert_eq!(evidence(&links), [LinkEvidence::Confirmed]);
    // A confirmed link is about the machine, not about the name.
    let links = resolve([&own], [&host("vm-1", OTHER)], claim, |_, _| false);
    assert!(links.linked.is_empty());
    assert_eq!(links.stale[0].host, Some(theirs.id));
}

#[test]
fn other_platforms_are_not_proposed() {
    let mut own = called(patched("mi-1"), "web-1", "10.0.0.4");
    own.operating_system = OperatingSystem::Windows;
    let links = propose_links(&[own], &[called(host("vm-1", UUID), "web-1", "10.0.0.4")]);
    assert_eq!(links, Links::default());
}

#[test]
fn a_name_and_address_of_two_machines_are_ambiguous() {
    let own = called(patched("mi-1"), "web-1", "10.0.0.4");
    let twins = ["vm-1", "vm-2"].map(|name| called(host(name, UUID), "web-1", "10.0.0.4"));
    let links = propose_links(&[own], &twins);
    assert!(links.candidates.is_empty() && links.linked.is_empty());
    assert_eq!(links.ambiguous[0].hosts.len(), 2);
}

#[test]
fn the_tag_of_the_host_alone_is_proposed() {
    let own = patched("mi-1");
    for text in ["mi-1".to_owned(), own.id.to_string()] {
        let theirs = tagged(host("vm-1", UUID), NODE_ID_TAG, &text);
        let links = propose_links(&[own.clone(), patched("mi-2")], &[theirs]);
        assert!(links.linked.is_empty());
        assert_eq!(links.candidates[0].patched, own.id);
        assert_eq!(links.candidates[0].evidence, [LinkEvidence::NodeIdTag]);
    }
}

#[test]
fn a_machine_that_was_created_anew_is_another_one() {
    let own = tagged(patched("mi-1"), VM_ID_TAG, OTHER);
    let own = tagged(own, RESOURCE_ID_TAG, &arm("vm-1"));
    let successor = tagged(patched("mi-2"), VM_ID_TAG, UUID);
    let links = propose_links(std::slice::from_ref(&own), &[host("vm-1", UUID)]);
    assert!(links.linked.is_empty());
    assert_eq!(links.stale[0].host, Some(host("vm-1", UUID).id));
    // Its successor's agent is not kept off by what the old one says.
    let links = propose_links(&[own.clone(), successor.clone()], &[host("vm-1", UUID)]);
    assert_eq!(links.linked[0].patched, successor.id);
    assert_eq!(links.stale[0].patched, own.id);
}

#[test]
fn a_machine_that_was_moved_keeps_its_link() {
    let own = tagged(patched("mi-1"), VM_ID_TAG, UUID);
    let own = tagged(own, RESOURCE_ID_TAG, &arm("where-it-was"));
    let links = propose_links(&[own], &[host("where-it-is", UUID)]);
    assert_eq!(evidence(&links), [LinkEvidence::VmIdTag]);
}

#[test]
fn what_is_contradictory_is_not_merged() {
    let hosts = [host("vm-1", UUID), host("vm-2", OTHER)];
    let both = tagged(patched("mi-1"), VM_ID_TAG, UUID);
    let both = tagged(both, RESOURCE_ID_TAG, &arm("vm-2"));
    let mut two_ids = tagged(patched("mi-1"), VM_ID_TAG, UUID);
    two_ids.identity.vm_id = Some(OTHER.parse().unwrap());
    let unreadable = tagged(patched("mi-1"), VM_ID_TAG, "vm-1");
    for own in [both, two_ids, unreadable] {
        let links = propose_links(&[own], &hosts);
        assert!(links.linked.is_empty() && links.candidates.is_empty(), "{links:?}");
        assert_eq!(links.ambiguous.len(), 1);
    }
    // The machine says that it is another node.
    let own = tagged(patched("mi-1"), VM_ID_TAG, UUID);
    let theirs = tagged(host("vm-1", UUID), NODE_ID_TAG, "mi-2");
    assert!(propose_links(&[own], &[theirs]).linked.is_empty());
    // Nobody could tell whether it is the same machine tomorrow.
    let mut unknown = host("vm-1", UUID);
    unknown.identity.vm_id = None;
    let own = tagged(patched("mi-1"), RESOURCE_ID_TAG, &arm("vm-1"));
    assert!(propose_links(&[own], &[unknown]).linked.is_empty());
}

#[test]
fn a_clouds_own_node_is_nobody_elses_machine() {
    let mut own = tagged(patched("i-1"), VM_ID_TAG, UUID);
    own.origin = NodeOrigin::Cloud;
    assert_eq!(propose_links(&[own], &[host("vm-1", UUID)]), Links::default());
}

/// What of a few machines a node may say or show.
#[derive(Clone, Debug)]
struct Said {
    vm_id: Option<usize>,
    swapped: bool,
    resource: Option<usize>,
    node_tag: Option<usize>,
    name: usize,
    address: u8,
}

fn said() -> impl Strategy<Value = Said> {
    let some = || proptest::option::of(0..3_usize);
    (some(), any::<bool>(), some(), some(), 0..2_usize, 0..3_u8).prop_map(
        |(vm_id, swapped, resource, node_tag, name, address)| Said {
            vm_id,
            swapped,
            resource,
            node_tag,
            name,
            address,
        },
    )
}

const UUIDS: [[&str; 2]; 3] = [
    [UUID, SWAPPED],
    [OTHER, "11111111-2222-3343-8444-555555555555"],
    ["a0b1c2d3-0000-4000-8000-000000000001", "d3c2b1a0-0000-0040-8000-000000000001"],
];

fn sides(own: &[Said], theirs: &[Said]) -> (Vec<ManagedNode>, Vec<ManagedNode>) {
    let named = |node, said: &Said| {
        called(node, &format!("web-{}", said.name), &format!("10.0.0.{}", said.address))
    };
    let own = own.iter().enumerate().map(|(at, said)| {
        let mut node = named(patched(&format!("mi-{at}")), said);
        if let Some(uuid) = said.vm_id {
            node = tagged(node, VM_ID_TAG, UUIDS[uuid][usize::from(said.swapped)]);
        }
        if let Some(vm) = said.resource {
            node = tagged(node, RESOURCE_ID_TAG, &arm(&format!("vm-{vm}")));
        }
        node
    });
    let theirs = theirs.iter().enumerate().map(|(at, said)| {
        let uuid = UUIDS[said.vm_id.unwrap_or(at % 3)][0];
        let node = named(host(&format!("vm-{at}"), uuid), said);
        match said.node_tag {
            Some(other) => tagged(node, NODE_ID_TAG, &format!("mi-{other}")),
            None => node,
        }
    });
    (own.collect(), theirs.collect())
}

proptest! {
    #[test]
    fn whatever_nodes_say(
        own in proptest::collection::vec(said(), 0..4),
        theirs in proptest::collection::vec(said(), 0..4),
        turns in (0..4_usize, 0..4_usize),
    ) {
        let (mut patched, mut hosts) = sides(&own, &theirs);
        let links = propose_links(&patched, &hosts);

        // One machine is one node on each side, and nothing that is linked is anything else.
        let mut nodes = BTreeSet::new();
        for link in &links.linked {
            prop_assert!(nodes.insert(link.patched.clone()) && nodes.insert(link.host.clone()));
            prop_assert!(link.evidence.iter().any(|evidence| evidence.is_strong()));
        }
        for row in &links.ambiguous {
            let all: BTreeSet<_> = row.patched.union(&row.hosts).cloned().collect();
            prop_assert!(all.is_disjoint(&nodes), "{links:?}");
        }
        for candidate in &links.candidates {
            prop_assert!(nodes.insert(candidate.patched.clone()));
            prop_assert!(nodes.insert(candidate.host.clone()));
            prop_assert!(!candidate.evidence.iter().any(|evidence| evidence.is_strong()));
        }

        // The order of the nodes does not matter.
        let (a, b) = (patched.len().max(1), hosts.len().max(1));
        patched.rotate_left(turns.0 % a);
        hosts.rotate_left(turns.1 % b);
        patched.reverse();
        prop_assert_eq!(&propose_links(&patched, &hosts), &links);

        // Nor does the order of the bytes.
        let turned: Vec<Said> =
            own.iter().map(|said| Said { swapped: !said.swapped, ..said.clone() }).collect();
        let (patched, hosts) = sides(&turned, &theirs);
        prop_assert_eq!(&propose_links(&patched, &hosts), &links);

        // Without strong words nothing is linked.
        let silent: Vec<Said> =
            own.iter().map(|said| Said { vm_id: None, resource: None, ..said.clone() }).collect();
        let (patched, hosts) = sides(&silent, &theirs);
        prop_assert!(propose_links(&patched, &hosts).linked.is_empty());
    }
}
