//! What a patched node says of the machine that it is.

use std::collections::BTreeSet;

use super::{Link, LinkEvidence, NODE_ID_TAG, RESOURCE_ID_TAG, VM_ID_TAG};
use crate::{MachineIdentity, MachineUuid, ManagedNode, NodeId, NodeOrigin};

/// What tags, inventory and people say of the machine behind a patched node.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    pub(super) uuids: Vec<(MachineUuid, LinkEvidence)>,
    /// ARM ids in lower case.
    pub(super) resources: Vec<(String, LinkEvidence)>,
    /// The host's node that a person named.
    pub(super) host: Option<NodeId>,
    /// What cannot be understood of it.
    pub(super) unreadable: Vec<String>,
}

impl Claim {
    /// What `node` claims; `inventory` and `confirmed` say what is known of it from elsewhere.
    pub(super) fn of(
        node: &ManagedNode,
        inventory: Option<&MachineIdentity>,
        confirmed: Option<&Link>,
    ) -> Option<Self> {
        // Only a node that comes from elsewhere can be another cloud's machine: a tag that was copied
        // to a cloud's own node must not power somebody else's.
        if node.origin != NodeOrigin::Hybrid {
            return None;
        }
        let mut claim = Self::default();
        if let Some(link) = confirmed {
            claim.uuids.push((link.vm_id, LinkEvidence::Confirmed));
            claim.host = Some(link.host.clone());
        }
        if let Some(text) = tag(node, VM_ID_TAG) {
            match text.parse() {
                Ok(uuid) => claim.uuids.push((uuid, LinkEvidence::VmIdTag)),
                Err(_) => claim.unreadable.push(format!("tag {VM_ID_TAG} is no machine's id")),
            }
        }
        if let Some(text) = tag(node, RESOURCE_ID_TAG) {
            claim.resources.push((text.to_ascii_lowercase(), LinkEvidence::ResourceIdTag));
        }
        for identity in [Some(&node.identity), inventory].into_iter().flatten() {
            claim.uuids.extend(identity.uuids().map(|uuid| (uuid, LinkEvidence::VmIdInventory)));
            claim.resources.extend(
                identity
                    .resource_id
                    .iter()
                    .map(|id| (id.to_ascii_lowercase(), LinkEvidence::ResourceIdInventory)),
            );
        }
        let says_something =
            !claim.uuids.is_empty() || !claim.resources.is_empty() || !claim.unreadable.is_empty();
        says_something.then_some(claim)
    }

    /// What of it speaks for `host`.
    pub(super) fn evidence_for(&self, host: &ManagedNode) -> Vec<LinkEvidence> {
        let resource = resource_of(host);
        let uuids = self
            .uuids
            .iter()
            .filter(|(uuid, _)| host.identity.uuids().any(|known| known.is_same(*uuid)))
            .map(|(_, evidence)| *evidence);
        let resources = self
            .resources
            .iter()
            .filter(|(id, _)| resource.as_ref() == Some(id))
            .map(|(_, evidence)| *evidence);
        let mut evidence: Vec<LinkEvidence> = uuids.chain(resources).collect();
        evidence.sort_unstable();
        evidence.dedup();
        evidence
    }
}

/// The ARM id of a host's node, in lower case.
pub(super) fn resource_of(host: &ManagedNode) -> Option<String> {
    let own = host.id.resource();
    let told = host.identity.resource_id.as_deref();
    told.or_else(|| own.starts_with('/').then_some(own)).map(str::to_ascii_lowercase)
}

/// The ids of a node's machine in other control planes, as far as its link or the tags of one tell.
///
/// A run on one side alone knows no links; the tags that `LinkedFleet::link` writes are on both
/// sides, so that two such runs find each other all the same. A tag that says the wrong thing keeps a
/// run from a machine, and never brings it to one.
pub(crate) fn other_ids(node: &ManagedNode) -> BTreeSet<NodeId> {
    if let Some(link) = node.host() {
        return BTreeSet::from([link.host.clone()]);
    }
    let mut ids = BTreeSet::new();
    let provider = node.id.scope().provider();
    if let Some(id) = tag(node, NODE_ID_TAG).and_then(|text| text.parse::<NodeId>().ok())
        && id.scope().provider() != provider
    {
        ids.insert(id);
    }
    // An ARM id is compared by itself, so that the scope that nobody told does not matter.
    if let Some(id) = tag(node, RESOURCE_ID_TAG).filter(|id| id.starts_with('/'))
        && node.origin == NodeOrigin::Hybrid
    {
        ids.extend(format!("azure/{}/unknown/{id}", subscription(id)).parse::<NodeId>());
    }
    ids
}

fn subscription(arm_id: &str) -> &str {
    arm_id.split('/').nth(2).filter(|id| !id.is_empty()).unwrap_or("unknown")
}

/// The value of a tag that says something.
pub(super) fn tag<'a>(node: &'a ManagedNode, name: &str) -> Option<&'a str> {
    node.tags.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Whether the host's own tag names `patched`, or somebody else; `None` where it names nobody.
pub(super) fn names(host: &ManagedNode, patched: &NodeId) -> Option<bool> {
    let text = tag(host, NODE_ID_TAG)?;
    let whole = || text.parse::<NodeId>().is_ok_and(|named| named == *patched);
    Some(text == patched.resource() || whole())
}
