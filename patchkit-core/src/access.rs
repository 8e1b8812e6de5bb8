//! Whether a node may talk to its management service, and the changes that let it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{NodeId, Tags};

/// What is known of a node's access to its management service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeAccess {
    /// The node.
    pub node: NodeId,
    /// The verdict.
    pub status: AccessStatus,
    /// Why, for a person: what grants it, or what is missing.
    pub findings: Vec<String>,
}

impl NodeAccess {
    /// A verdict without findings.
    pub fn new(node: NodeId, status: AccessStatus) -> Self {
        Self { node, status, findings: Vec::new() }
    }

    /// Adds a reason.
    #[must_use]
    pub fn with_finding(mut self, finding: impl Into<String>) -> Self {
        self.findings.push(finding.into());
        self
    }
}

/// The verdict of an access check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessStatus {
    /// All that is needed is granted.
    Granted,
    /// No identity is attached: no instance profile, no managed identity.
    NoIdentity,
    /// An identity is attached, and its permissions do not suffice.
    MissingPermissions,
    /// It could not be found out.
    Unknown,
}

impl fmt::Display for AccessStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Granted => "granted",
            Self::NoIdentity => "no identity",
            Self::MissingPermissions => "missing permissions",
            Self::Unknown => "unknown",
        })
    }
}

/// What an access fix may attach.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AccessGrant {
    /// The identity for a node without one: an instance profile's name, a managed identity's id.
    pub identity: String,
    /// The policy for an identity whose permissions do not suffice; `None` leaves such nodes alone.
    pub policy: Option<String>,
}

impl AccessGrant {
    /// Attaches `identity` to nodes without one, and nothing else.
    pub fn new(identity: impl Into<String>) -> Self {
        Self { identity: identity.into(), policy: None }
    }

    /// Also attaches `policy` where permissions are missing.
    #[must_use]
    pub fn with_policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }
}

/// What an access fix did, as its undo needs it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AccessChange {
    /// The node.
    pub node: NodeId,
    /// The identity that was attached.
    pub attached_identity: Option<String>,
    /// The policy that was attached to the node's identity.
    pub attached_policy: Option<String>,
    /// What that policy was attached to, where the provider tells: a role's name. The node may have
    /// another identity by the time the change is taken back.
    #[serde(default)]
    pub policy_holder: Option<String>,
}

impl AccessChange {
    /// A change that did nothing.
    pub fn none(node: NodeId) -> Self {
        Self { node, attached_identity: None, attached_policy: None, policy_holder: None }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.attached_identity.is_none() && self.attached_policy.is_none()
    }
}

/// What a tag merge did, as its undo needs it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TagChange {
    /// The node.
    pub node: NodeId,
    /// The tags that were set, with the values they had before.
    pub set: Vec<TagEdit>,
}

/// One tag that was set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagEdit {
    /// Its name.
    pub key: String,
    /// Its value from before; `None` when there was no such tag.
    pub before: Option<String>,
    /// Its value now.
    pub after: String,
}

impl TagChange {
    /// The edits that bring `current` to hold all of `wanted`.
    pub fn between(node: NodeId, current: &Tags, wanted: &Tags) -> Self {
        let set = wanted
            .iter()
            .filter(|(key, value)| current.get(*key) != Some(*value))
            .map(|(key, value)| TagEdit {
                key: key.clone(),
                before: current.get(key).cloned(),
                after: value.clone(),
            })
            .collect();
        Self { node, set }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}
