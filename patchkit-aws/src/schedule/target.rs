//! The nodes that scheduled work is for.

use aws_sdk_ssm::types::Target;
use patchkit_core::{NodeId, Result, Scope};

use crate::{
    command::target::{self as command, CommandTarget},
    error::{invalid, malformed},
};

/// The nodes that scheduled work is for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ScheduleTarget {
    /// These, fifty at most.
    Nodes(Vec<NodeId>),
    /// Those that fit every one of these when the work begins.
    Matching(Vec<CommandTarget>),
}

/// The key of ids (API reference, Target).
const IDS: &str = "InstanceIds";
const MOST_IDS: usize = 50;

impl ScheduleTarget {
    /// These nodes.
    pub fn nodes(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self::Nodes(nodes.into_iter().collect())
    }

    /// The nodes that fit every one of `targets` when the work begins.
    pub fn matching(targets: impl IntoIterator<Item = CommandTarget>) -> Self {
        Self::Matching(targets.into_iter().collect())
    }

    /// The nodes of a patch group, by the tag `Patch Group`. Where the instance metadata holds the
    /// tags, which forbids the space, it is the tag `PatchGroup`: say so by
    /// [`matching`](Self::matching).
    pub fn patch_group(name: impl Into<String>) -> Self {
        Self::matching([CommandTarget::tag("Patch Group", [name.into()])])
    }

    /// The members of a Resource Group.
    pub fn resource_group(name: impl Into<String>) -> Self {
        Self::matching([CommandTarget::resource_group(name)])
    }

    /// Whether it is a Resource Group.
    pub(crate) fn is_group(&self) -> bool {
        match self {
            Self::Nodes(_) => false,
            Self::Matching(targets) => targets.iter().any(CommandTarget::is_group),
        }
    }

    pub(crate) fn check(&self, operation: &'static str, scope: &Scope) -> Result<()> {
        match self {
            Self::Nodes(nodes) => {
                if nodes.is_empty() || nodes.len() > MOST_IDS {
                    let count = nodes.len();
                    return Err(invalid(operation, format!("1 to {MOST_IDS} nodes, not {count}")));
                }
                let mut seen = std::collections::BTreeSet::new();
                for node in nodes {
                    if node.scope() != scope || !seen.insert(node) {
                        let message = format!("node {node} is given twice, or is not of {scope}");
                        return Err(invalid(operation, message));
                    }
                }
                Ok(())
            }
            Self::Matching(targets) => {
                command::check(targets)?;
                if self.is_group() && targets.iter().any(|it| !it.is_group()) {
                    let message = "a Resource Group goes with no other target but its types";
                    return Err(invalid(operation, message));
                }
                Ok(())
            }
        }
    }

    pub(crate) fn to_sdk(&self) -> Vec<Target> {
        match self {
            Self::Nodes(nodes) => {
                let ids = nodes.iter().map(|node| node.resource().to_owned()).collect();
                vec![Target::builder().key(IDS).set_values(Some(ids)).build()]
            }
            Self::Matching(targets) => targets.iter().map(CommandTarget::to_sdk).collect(),
        }
    }

    pub(crate) fn read(operation: &'static str, scope: &Scope, told: &[Target]) -> Result<Self> {
        let is_ids = |it: &Target| it.key().is_some_and(|key| key.eq_ignore_ascii_case(IDS));
        if let [only] = told
            && is_ids(only)
        {
            let nodes = only.values().iter().map(|id| NodeId::new(scope.clone(), id));
            return nodes.collect::<Result<_>>().map(Self::Nodes);
        }
        if told.is_empty() || told.iter().any(is_ids) {
            return Err(malformed(operation, "targets that are of no kind that PatchKit makes"));
        }
        told.iter().map(CommandTarget::from_sdk).collect::<Result<_>>().map(Self::Matching)
    }
}
