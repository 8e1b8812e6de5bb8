//! What makes two nodes one machine, and what a node says of it.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{NODE_ID_TAG, RESOURCE_ID_TAG, VM_ID_TAG};
use crate::{MachineUuid, NodeId, Tags};

/// Why two nodes are one machine, or may be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkEvidence {
    /// A person said so.
    Confirmed,
    /// The patched node's tag holds the machine's unique id.
    VmIdTag,
    /// Custom inventory of the patched node holds it.
    VmIdInventory,
    /// The patched node's tag holds the machine's ARM id.
    ResourceIdTag,
    /// Custom inventory of the patched node holds it.
    ResourceIdInventory,
    /// The machine's tag at its host names the patched node: weak, for a machine that is created
    /// anew from a template carries its predecessor's tags.
    NodeIdTag,
    /// Both have one computer name: weak, the machine says it of itself.
    ComputerName,
    /// Both have one address: weak, private networks share their addresses.
    IpAddress,
}

impl LinkEvidence {
    /// Whether it makes two nodes one without a person.
    pub fn is_strong(self) -> bool {
        !matches!(self, Self::NodeIdTag | Self::ComputerName | Self::IpAddress)
    }

    /// Whether it tells a machine from one of the same name.
    pub(super) fn names_uuid(self) -> bool {
        matches!(self, Self::Confirmed | Self::VmIdTag | Self::VmIdInventory)
    }
}

impl fmt::Display for LinkEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("a person's word"),
            Self::VmIdTag => write!(f, "tag {VM_ID_TAG}"),
            Self::VmIdInventory => f.write_str("unique id in inventory"),
            Self::ResourceIdTag => write!(f, "tag {RESOURCE_ID_TAG}"),
            Self::ResourceIdInventory => f.write_str("ARM id in inventory"),
            Self::NodeIdTag => write!(f, "the host's tag {NODE_ID_TAG}"),
            Self::ComputerName => f.write_str("computer name"),
            Self::IpAddress => f.write_str("address"),
        }
    }
}

/// The evidence in a row, for people.
pub(crate) fn listed(evidence: &[LinkEvidence]) -> String {
    evidence.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Two nodes that are one machine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Link {
    /// The node as which it is patched.
    pub patched: NodeId,
    /// The node as which it is hosted: started and stopped.
    pub host: NodeId,
    /// The machine's unique id at its host. A machine of the same name with another one is another
    /// machine.
    pub vm_id: MachineUuid,
    /// Why they are one.
    pub evidence: Vec<LinkEvidence>,
}

impl Link {
    /// A link that a person has confirmed.
    pub fn confirmed(patched: NodeId, host: NodeId, vm_id: MachineUuid) -> Self {
        Self { patched, host, vm_id, evidence: vec![LinkEvidence::Confirmed] }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}, linked by {}", self.patched, self.host, listed(&self.evidence))
    }
}

/// What is known of a node's part in another control plane.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "link", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MachineLink {
    /// It is a machine of another control plane too, which starts and stops it.
    Host(HostLink),
    /// It may be one machine with a node of another control plane, and which cannot be told.
    Unresolved {
        /// Why not.
        reason: String,
    },
}

/// The machine of another control plane that a node is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HostLink {
    /// Its node there.
    pub host: NodeId,
    /// Its unique id there.
    pub vm_id: MachineUuid,
    /// Why they are one.
    pub evidence: Vec<LinkEvidence>,
    /// The host's values of tags for which the patched side has other ones, which count.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub conflicts: Tags,
    /// By what the host's control plane patches it of itself, untrusted: it would be patched twice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub schedules: BTreeSet<String>,
}
