//! Which nodes of two control planes are one machine: pure, and careful.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{
    Link, LinkEvidence, NODE_ID_TAG,
    claim::{Claim, names, resource_of, tag},
};
use crate::{MachineUuid, ManagedNode, NodeId, NodeOrigin, PlatformKind};

/// What the nodes of two control planes say of each other.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Links {
    /// Nodes that are one machine, on strong evidence, by patched id.
    pub linked: Vec<Link>,
    /// Nodes that may be one machine, for a person to confirm.
    pub candidates: Vec<CandidateLink>,
    /// Nodes of which some may be one machine, and which cannot be told: never merged.
    pub ambiguous: Vec<AmbiguousLink>,
    /// Nodes that name a machine which is not there, or not any more.
    pub stale: Vec<StaleLink>,
}

/// Two nodes that may be one machine, on weak evidence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CandidateLink {
    /// The node as which it would be patched.
    pub patched: NodeId,
    /// The node as which it would be powered.
    pub host: NodeId,
    /// The host's unique id of it, where one is known.
    pub vm_id: Option<MachineUuid>,
    /// What speaks for it.
    pub evidence: Vec<LinkEvidence>,
}

impl CandidateLink {
    /// The link that a person makes of it; none where the host tells no unique id, by which alone a
    /// machine that is created anew can be told from this one.
    pub fn confirm(&self) -> Option<Link> {
        let link = |vm_id| Link::confirmed(self.patched.clone(), self.host.clone(), vm_id);
        self.vm_id.map(link)
    }
}

/// Nodes of which some may be one machine.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct AmbiguousLink {
    /// Those of the patching side.
    pub patched: BTreeSet<NodeId>,
    /// Those of the hosting side.
    pub hosts: BTreeSet<NodeId>,
    /// Why it cannot be told.
    pub reason: String,
}

/// How many of them a reason names.
const NAMED: usize = 3;

impl fmt::Display for AmbiguousLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.reason)?;
        let all = self.patched.len() + self.hosts.len();
        for id in self.patched.iter().take(NAMED).chain(self.hosts.iter().take(NAMED)) {
            write!(f, " {id}")?;
        }
        if self.patched.len().max(self.hosts.len()) > NAMED {
            write!(f, " and others, {all} in all")?;
        }
        Ok(())
    }
}

/// A node that names a machine which is not there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StaleLink {
    /// The node.
    pub patched: NodeId,
    /// The machine that has the name now, where one has.
    pub host: Option<NodeId>,
    /// What is wrong.
    pub reason: String,
}

/// Finds the machines that are nodes of both sides.
///
/// # Behavior
/// - Strong evidence links: a tag or inventory of the patched node that names the machine by its
///   unique id (in either order of bytes) or its ARM id. The unique id decides: an ARM id stays with
///   a name, also when its machine is created anew, and changes when its machine is moved.
/// - A machine of the same name with another unique id is another one: the old link is stale.
/// - A computer name *and* an address, if both are those of one machine on each side, propose a
///   link; so does the host's tag alone. A name alone says nothing where both tell their addresses;
///   where one does not, it proposes too.
/// - Where two could be meant, none is: nodes of which that is so are ambiguous.
/// - The order of the nodes does not matter.
///
/// # Example
/// ```
/// use jiff::Timestamp;
/// use patchkit_core::{ManagedNode, NodeOrigin, OperatingSystem, propose_links};
///
/// let node = |id: &str| {
///     let id = id.parse().unwrap();
///     ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH)
/// };
/// let mut patched = node("aws/111122223333/eu-west-1/mi-0abc");
/// patched.origin = NodeOrigin::Hybrid;
/// // As the firmware shows it: the first three groups the other way round.
/// let shown = "601f3e5c-2b9a-474d-8f10-2b6f0c9d1e7a";
/// patched.tags.insert("patchkit:azure-vm-id".into(), shown.into());
/// let mut host = node("azure/sub/westeurope//subscriptions/sub/resourceGroups/rg/vm-7");
/// host.identity.vm_id = Some("5C3E1F60-9A2B-4D47-8F10-2B6F0C9D1E7A".parse()?);
///
/// let links = propose_links(&[patched], &[host]);
/// assert_eq!(links.linked.len(), 1);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn propose_links(patched: &[ManagedNode], hosts: &[ManagedNode]) -> Links {
    resolve(patched, hosts, |node| Claim::of(node, None, None), |_, _| false)
}

/// As [`propose_links`], with what is claimed of each patched node from wherever it is known, and of which
/// pairs someone knows that they are two machines.
pub(super) fn resolve<'a>(
    patched: impl IntoIterator<Item = &'a ManagedNode>,
    hosts: impl IntoIterator<Item = &'a ManagedNode>,
    claim: impl Fn(&ManagedNode) -> Option<Claim>,
    are_apart: impl Fn(&NodeId, &NodeId) -> bool,
) -> Links {
    let patched: BTreeMap<&NodeId, &ManagedNode> =
        patched.into_iter().map(|node| (&node.id, node)).collect();
    let hosts = Hosts::new(hosts);
    let mut found: BTreeMap<&NodeId, Found> = BTreeMap::new();
    let mut silent = Vec::new();
    for (id, node) in &patched {
        match claim(node) {
            Some(claim) => {
                found.insert(id, hosts.find(id, &claim));
            }
            None if node.origin == NodeOrigin::Hybrid => silent.push(*node),
            None => {}
        }
    }
    let links = contest(found, &hosts);
    weigh(links, &silent, &hosts, are_apart)
}

/// A name and address that more machines share say nothing of any of them: they are an image's.
const MOST_AT_ONE_PLACE: usize = 16;

/// What a claim comes to.
enum Found {
    One { at: usize, vm_id: MachineUuid, evidence: Vec<LinkEvidence> },
    Unclear { among: BTreeSet<usize>, reason: String },
    Stale { at: Option<usize>, reason: String },
}

/// The nodes of the hosting side, by what may be claimed of them.
struct Hosts<'a> {
    nodes: Vec<&'a ManagedNode>,
    uuids: BTreeMap<[u8; 16], BTreeSet<usize>>,
    resources: BTreeMap<String, BTreeSet<usize>>,
    places: BTreeMap<Place, BTreeSet<usize>>,
}

impl<'a> Hosts<'a> {
    fn new(nodes: impl IntoIterator<Item = &'a ManagedNode>) -> Self {
        let nodes: BTreeMap<&NodeId, &ManagedNode> =
            nodes.into_iter().map(|node| (&node.id, node)).collect();
        let mut hosts = Self {
            nodes: nodes.into_values().collect(),
            uuids: BTreeMap::new(),
            resources: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        for (at, node) in hosts.nodes.iter().enumerate() {
            for uuid in node.identity.uuids() {
                hosts.uuids.entry(uuid.key()).or_default().insert(at);
            }
            if let Some(resource) = resource_of(node) {
                hosts.resources.entry(resource).or_default().insert(at);
            }
            for place in places(node) {
                hosts.places.entry(place).or_default().insert(at);
            }
        }
        hosts
    }

    fn id(&self, at: usize) -> NodeId {
        self.nodes[at].id.clone()
    }

    fn find(&self, patched: &NodeId, claim: &Claim) -> Found {
        let by_uuid: BTreeSet<usize> = claim
            .uuids
            .iter()
            .filter_map(|(uuid, _)| self.uuids.get(&uuid.key()))
            .flatten()
            .copied()
            .collect();
        let named = claim
            .host
            .as_ref()
            .and_then(|id| self.nodes.binary_search_by(|node| node.id.cmp(id)).ok());
        let by_name: BTreeSet<usize> = claim
            .resources
            .iter()
            .filter_map(|(id, _)| self.resources.get(id))
            .flatten()
            .copied()
            .chain(named)
            .collect();
        let all = || by_uuid.union(&by_name).copied().collect();
        let unclear = |reason: &str| Found::Unclear { among: all(), reason: reason.to_owned() };
        if let Some(problem) = claim.unreadable.first() {
            return unclear(problem);
        }
        let at = if claim.uuids.is_empty() {
            match (by_name.first(), by_name.len()) {
                (None, _) => return stale(None, "no machine has the ARM id that it names"),
                (Some(at), 1) => *at,
                _ => return unclear("several machines have the ARM id that it names"),
            }
        } else {
            match (by_uuid.first(), by_uuid.len()) {
                (None, _) => {
                    return match by_name.first() {
                        None => stale(None, "no machine has the unique id that it names"),
                        Some(at) => stale(
                            Some(*at),
                            "the machine of that name has another unique id: it was created anew",
                        ),
                    };
                }
                (Some(at), 1) => *at,
                _ => return unclear("several machines have a unique id that it names"),
            }
        };
        let host = self.nodes[at];
        let is_it = |uuid: &MachineUuid| host.identity.uuids().any(|known| known.is_same(*uuid));
        if !claim.uuids.iter().all(|(uuid, _)| is_it(uuid)) {
            return unclear("it names two unique ids");
        }
        if by_name.iter().any(|other| *other != at) {
            return unclear("its unique id and its ARM id are those of two machines");
        }
        let Some(vm_id) = host.identity.uuids().next() else {
            // Whether the machine of that name is still the same one nobody could tell.
            return unclear("the machine that it names has no unique id that its host tells");
        };
        let evidence = claim.evidence_for(host);
        let by_person = evidence.contains(&LinkEvidence::Confirmed);
        if names(host, patched) == Some(false) && !by_person {
            return unclear("the machine's own tag names another node");
        }
        Found::One { at, vm_id, evidence }
    }
}

fn stale(at: Option<usize>, reason: &str) -> Found {
    Found::Stale { at, reason: reason.to_owned() }
}

/// Takes apart what several nodes claim.
fn contest(found: BTreeMap<&NodeId, Found>, hosts: &Hosts<'_>) -> Links {
    let mut claimants: BTreeMap<usize, BTreeSet<&NodeId>> = BTreeMap::new();
    for (patched, found) in &found {
        let touched = match found {
            Found::One { at, .. } => BTreeSet::from([*at]),
            Found::Unclear { among, .. } => among.clone(),
            // It says itself that it is another machine than the one that is there.
            Found::Stale { .. } => BTreeSet::new(),
        };
        for at in touched {
            claimants.entry(at).or_default().insert(patched);
        }
    }
    let mut links = Links::default();
    let rivals = claimants.iter().filter(|(_, nodes)| nodes.len() > 1);
    let mut ambiguous: BTreeSet<AmbiguousLink> = rivals
        .map(|(at, nodes)| AmbiguousLink {
            patched: nodes.iter().map(|id| (*id).clone()).collect(),
            hosts: BTreeSet::from([hosts.id(*at)]),
            reason: format!("{} nodes name one machine", nodes.len()),
        })
        .collect();
    for (patched, found) in found {
        match found {
            Found::One { at, vm_id, evidence } => {
                if claimants[&at].len() == 1 {
                    let (patched, host) = (patched.clone(), hosts.id(at));
                    links.linked.push(Link { patched, host, vm_id, evidence });
                }
            }
            Found::Unclear { among, reason } => {
                ambiguous.insert(AmbiguousLink {
                    patched: BTreeSet::from([patched.clone()]),
                    hosts: among.into_iter().map(|at| hosts.id(at)).collect(),
                    reason,
                });
            }
            Found::Stale { at, reason } => links.stale.push(StaleLink {
                patched: patched.clone(),
                host: at.map(|at| hosts.id(at)),
                reason,
            }),
        }
    }
    links.ambiguous = ambiguous.into_iter().collect();
    links
}

/// Proposes links between what is left, on weak evidence.
fn weigh(
    mut links: Links,
    silent: &[&ManagedNode],
    hosts: &Hosts<'_>,
    are_apart: impl Fn(&NodeId, &NodeId) -> bool,
) -> Links {
    let taken: BTreeSet<&NodeId> = links
        .linked
        .iter()
        .map(|link| &link.host)
        .chain(links.ambiguous.iter().flat_map(|row| &row.hosts))
        .collect();
    let free: BTreeSet<usize> =
        (0..hosts.nodes.len()).filter(|at| !taken.contains(&hosts.nodes[*at].id)).collect();
    let mut pairs: BTreeMap<(&NodeId, usize), Vec<LinkEvidence>> = BTreeMap::new();
    let by_name = named(silent);
    for at in &free {
        let text = tag(hosts.nodes[*at], NODE_ID_TAG);
        for id in text.into_iter().filter_map(|text| by_name.get(text)).flatten() {
            pairs.entry((id, *at)).or_default().push(LinkEvidence::NodeIdTag);
        }
    }
    let mut silent_at: BTreeMap<Place, Vec<&ManagedNode>> = BTreeMap::new();
    for node in silent {
        for place in places(node) {
            silent_at.entry(place).or_default().push(node);
        }
    }
    for (place, nodes) in silent_at {
        let Some(there) = hosts.places.get(&place) else { continue };
        if nodes.len().max(there.len()) > MOST_AT_ONE_PLACE {
            continue;
        }
        for node in nodes {
            for at in there.iter().filter(|at| free.contains(at)) {
                let evidence = pairs.entry((&node.id, *at)).or_default();
                if is_one_platform(node, hosts.nodes[*at])
                    && !evidence.contains(&LinkEvidence::IpAddress)
                {
                    evidence.extend([LinkEvidence::ComputerName, LinkEvidence::IpAddress]);
                }
            }
        }
    }
    for pair in unplaced(silent, hosts, &free) {
        let evidence = pairs.entry(pair).or_default();
        if !evidence.contains(&LinkEvidence::ComputerName) {
            evidence.push(LinkEvidence::ComputerName);
        }
    }
    pairs.retain(|(node, at), evidence| {
        !evidence.is_empty() && !are_apart(node, &hosts.nodes[*at].id)
    });
    let mut of_node: BTreeMap<&NodeId, BTreeSet<usize>> = BTreeMap::new();
    let mut of_host: BTreeMap<usize, BTreeSet<&NodeId>> = BTreeMap::new();
    for (node, at) in pairs.keys() {
        of_node.entry(node).or_default().insert(*at);
        of_host.entry(*at).or_default().insert(node);
    }
    let reason = || "weak evidence speaks for more than one pair".to_owned();
    let mut ambiguous = BTreeSet::new();
    for (node, places) in of_node.iter().filter(|(_, places)| places.len() > 1) {
        ambiguous.insert(AmbiguousLink {
            patched: BTreeSet::from([(*node).clone()]),
            hosts: places.iter().map(|at| hosts.id(*at)).collect(),
            reason: reason(),
        });
    }
    for (at, nodes) in of_host.iter().filter(|(_, nodes)| nodes.len() > 1) {
        ambiguous.insert(AmbiguousLink {
            patched: nodes.iter().map(|id| (*id).clone()).collect(),
            hosts: BTreeSet::from([hosts.id(*at)]),
            reason: reason(),
        });
    }
    for ((node, at), evidence) in pairs {
        if of_node[node].len() == 1 && of_host[&at].len() == 1 {
            links.candidates.push(CandidateLink {
                patched: node.clone(),
                host: hosts.id(at),
                vm_id: hosts.nodes[at].identity.uuids().next(),
                evidence,
            });
        }
    }
    links.ambiguous.extend(ambiguous);
    links
}

/// Nodes and machines of one computer name of which one side tells no address: whether they are one
/// cannot be told, and two clouds would patch them.
fn unplaced<'a>(
    silent: &[&'a ManagedNode],
    hosts: &Hosts<'_>,
    free: &BTreeSet<usize>,
) -> Vec<(&'a NodeId, usize)> {
    let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, host) in hosts.nodes.iter().enumerate() {
        if let Some(name) = computer_name(host) {
            named.entry(name).or_default().push(at);
        }
    }
    let mut nodes: BTreeMap<String, Vec<&ManagedNode>> = BTreeMap::new();
    for node in silent {
        if let Some(name) = computer_name(node) {
            nodes.entry(name).or_default().push(node);
        }
    }
    let mut unplaced = Vec::new();
    for (name, nodes) in nodes {
        let Some(there) = named.get(&name) else { continue };
        if nodes.len().max(there.len()) > MOST_AT_ONE_PLACE {
            continue;
        }
        for node in nodes {
            let is_placed = !places(node).is_empty();
            let may_be = |at: &usize| {
                let host = hosts.nodes[*at];
                free.contains(at)
                    && (!is_placed || places(host).is_empty())
                    && is_one_platform(node, host)
            };
            unplaced.extend(there.iter().copied().filter(may_be).map(|at| (&node.id, at)));
        }
    }
    unplaced
}

/// The nodes by what a host's tag may call them: their whole id, or their own part of it.
fn named<'a>(nodes: &[&'a ManagedNode]) -> BTreeMap<String, BTreeSet<&'a NodeId>> {
    let mut named: BTreeMap<String, BTreeSet<&NodeId>> = BTreeMap::new();
    for node in nodes {
        for name in [node.id.to_string(), node.id.resource().to_owned()] {
            named.entry(name).or_default().insert(&node.id);
        }
    }
    named
}

/// A computer name and an address: what a machine must share with another to be proposed as it.
pub(super) type Place = (String, IpAddr);

pub(super) fn places(node: &ManagedNode) -> Vec<Place> {
    let Some(name) = computer_name(node) else { return Vec::new() };
    let addresses = node.identity.ip_addresses.iter().filter(|address| !is_everyones(address));
    addresses.map(|address| (name.clone(), *address)).collect()
}

/// One side tells the name with its domain, the other without it.
fn computer_name(node: &ManagedNode) -> Option<String> {
    let name = node.identity.computer_name.as_deref()?.split('.').next()?.trim();
    (!name.is_empty() && !name.eq_ignore_ascii_case("localhost")).then(|| name.to_lowercase())
}

fn is_one_platform(a: &ManagedNode, b: &ManagedNode) -> bool {
    let (a, b) = (a.operating_system.platform(), b.operating_system.platform());
    a == b || a == PlatformKind::Other || b == PlatformKind::Other
}

fn is_everyones(address: &IpAddr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || match address {
            IpAddr::V4(at) => at.is_link_local(),
            IpAddr::V6(at) => at.is_unicast_link_local(),
        }
}

#[cfg(test)]
mod tests;
