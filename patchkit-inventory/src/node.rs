//! A node as the lake knows it.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use patchkit_core::{
    ComplianceStatus, GroupTag, ManagedNode, NodeCompliance, NodeId, NodeOrigin, OperatingSystem,
    PatchGroupName, PatchState, PowerState, Reachability, Tags, UnmanagedReason, group_tag,
};

use crate::tally::PatchFacts;

/// Whether a node still exists, by the `InstanceStatus` of its `AWS:InstanceInformation`.
///
/// Resource Data Sync never deletes objects, and only this one changes when a node goes: all other
/// data of a terminated node stays as it was.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Liveness {
    /// Its agent answers.
    Active,
    /// Its agent answered once, and does no more (hybrid nodes). It counts as live.
    ConnectionLost,
    /// It is stopped.
    Stopped,
    /// It is gone for ever.
    Terminated,
    /// Nothing readable says.
    #[default]
    Unknown,
}

impl Liveness {
    /// Whether the node counts as live.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::ConnectionLost)
    }

    /// The word used in reports and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ConnectionLost => "connection_lost",
            Self::Stopped => "stopped",
            Self::Terminated => "terminated",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the service's spelling, without regard to case.
    pub fn from_wire(text: &str) -> Self {
        let known = [
            ("Active", Self::Active),
            ("ConnectionLost", Self::ConnectionLost),
            ("Stopped", Self::Stopped),
            ("Terminated", Self::Terminated),
        ];
        let found = known.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        found.map_or(Self::Unknown, |(_, liveness)| liveness)
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What `AWS:InstanceInformation` says of a node.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The computer's own name.
    pub computer_name: Option<Box<str>>,
    /// The operating system as the agent names it: `Amazon Linux`.
    pub platform_name: Option<Box<str>>,
    /// Its version: `2023`, `9.4`.
    pub platform_version: Option<Box<str>>,
    /// The kind of node, from the body: `EC2Instance` or `ManagedInstance`.
    pub node_kind: Option<Box<str>>,
    /// The version of the agent.
    pub agent_version: Option<Box<str>>,
    /// Its private address.
    pub ip_address: Option<Box<str>>,
    /// When the service wrote this.
    pub captured_at: Option<Timestamp>,
}

/// The two summaries of a node's patches, where they contradict each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Disagreement {
    /// The verdict of `AWS:ComplianceSummary`, and when it was found.
    pub compliance_summary: (ComplianceStatus, Option<Timestamp>),
    /// The verdict that `AWS:PatchSummary` amounts to, and when it was found.
    pub patch_summary: (ComplianceStatus, Option<Timestamp>),
}

/// A node as the lake knows it: what it is, whether it is live, and its last known compliance.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LakeNode {
    /// Its account, Region and id.
    pub id: NodeId,
    /// Whether it still exists.
    pub liveness: Liveness,
    /// Its operating system, where the lake says.
    pub operating_system: Option<OperatingSystem>,
    /// What else is known of it.
    pub info: NodeInfo,
    /// Its tags.
    pub tags: Tags,
    /// The last verdict on it, whether it is live or not. See [`status`](Self::status) for the one
    /// to count.
    pub last: NodeCompliance,
    /// Set where the lake's two summaries contradict each other; the newer one was taken, or, where
    /// they are of one run or without times, the worse one.
    pub disagreement: Option<Disagreement>,
    pub(crate) gaps: Vec<(Arc<PatchFacts>, PatchState)>,
    pub(crate) item_paths: Vec<Arc<str>>,
}

impl LakeNode {
    /// The verdict that counts: only a node that is known to be live is compliant or not.
    pub fn status(&self) -> ComplianceStatus {
        if self.liveness.is_live() { self.last.status } else { ComplianceStatus::Unknown }
    }

    /// Its compliance with the verdict that counts.
    pub fn compliance(&self) -> NodeCompliance {
        let mut compliance = self.last.clone();
        compliance.status = self.status();
        compliance
    }

    /// A name for people: the tag `Name`, or the computer's name.
    pub fn name(&self) -> Option<&str> {
        let tag = self.tags.get("Name").map(String::as_str).filter(|name| !name.is_empty());
        tag.or(self.info.computer_name.as_deref())
    }

    /// The patch group it was held against, or else the one that its tags name.
    pub fn patch_group(&self) -> Option<PatchGroupName> {
        self.last.group.clone().or_else(|| match group_tag(&self.tags) {
            GroupTag::One(group) => Some(group),
            GroupTag::None | GroupTag::Ambiguous(_) => None,
        })
    }

    /// Where it comes from, by its kind or else by its id.
    pub fn origin(&self) -> NodeOrigin {
        let is_hybrid = match self.info.node_kind.as_deref() {
            Some(kind) => kind.eq_ignore_ascii_case("ManagedInstance"),
            None => self.id.resource().starts_with("mi-"),
        };
        if is_hybrid { NodeOrigin::Hybrid } else { NodeOrigin::Cloud }
    }

    /// The node in the core's terms, as of the time its information was written.
    pub fn to_managed_node(&self) -> ManagedNode {
        let os = self.operating_system.clone();
        let os = os.unwrap_or_else(|| OperatingSystem::Other("unknown".into()));
        let at = self.info.captured_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut node = ManagedNode::new(self.id.clone(), os, at);
        node.name = self.name().map(str::to_owned);
        node.origin = self.origin();
        node.platform_version = self.info.platform_version.as_deref().map(str::to_owned);
        node.agent_version = self.info.agent_version.as_deref().map(str::to_owned);
        node.tags = self.tags.clone();
        (node.power, node.reachability) = match self.liveness {
            Liveness::Active => (PowerState::Running, Reachability::Online),
            Liveness::ConnectionLost => (PowerState::Unknown, Reachability::Lost),
            Liveness::Stopped => (PowerState::Stopped, Reachability::Inactive),
            Liveness::Terminated => (PowerState::Terminated, Reachability::Inactive),
            Liveness::Unknown => (PowerState::Unknown, Reachability::Unknown),
        };
        node.unmanaged = UnmanagedReason::of(node.power, node.reachability);
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_not_known_is_not_live() {
        assert!(Liveness::from_wire("connectionlost").is_live());
        assert_eq!(Liveness::from_wire("Hibernated"), Liveness::Unknown);
        assert!(!Liveness::Unknown.is_live());
    }
}
