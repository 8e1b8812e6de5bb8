//! The tags that make a link: planned, written on both sides, taken back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Link, LinkedFleet, NODE_ID_TAG, RESOURCE_ID_TAG, VM_ID_TAG};
use crate::{
    Error, ErrorKind, Fleet, FleetExt, ManagedNode, NodeFailure, NodeId, Result, TagChange, Tags,
};

/// The longest value that both AWS and Azure take for a tag.
const LONGEST_VALUE: usize = 256;

/// What [`LinkedFleet::link`] is going to write.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LinkPlan {
    /// The link.
    pub link: Link,
    /// The changes, in the order in which they are made; those of a node that has its tags already
    /// are empty.
    pub changes: Vec<TagChange>,
    /// What is left out, and why.
    pub notes: Vec<String>,
}

/// How [`LinkedFleet::link`] went.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LinkReport {
    /// The link.
    pub link: Link,
    /// What was changed, as [`LinkedFleet::unlink`] takes it back.
    pub changed: Vec<TagChange>,
    /// The nodes on which it failed; a change whose answer was lost may have been made.
    pub failed: Vec<NodeFailure>,
}

impl LinkReport {
    /// Whether both sides carry their tags.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for LinkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "link {}", self.link)?;
        for change in &self.changes {
            writeln!(f, "  {}", change.node)?;
            if change.is_empty() {
                writeln!(f, "    nothing to write")?;
            }
            for edit in &change.set {
                write!(f, "    {} = {:?}", edit.key, edit.after)?;
                match &edit.before {
                    Some(before) => writeln!(f, " (was {before:?})")?,
                    None => writeln!(f)?,
                }
            }
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

impl LinkedFleet {
    /// Plans the tags that make `link` one that every fleet finds by itself.
    ///
    /// # Behavior
    /// - Reads only.
    /// - The patched node gets [`VM_ID_TAG`] and, where it fits a tag, [`RESOURCE_ID_TAG`]; the host's
    ///   gets [`NODE_ID_TAG`].
    ///
    /// # Errors
    /// `NotFound` (one of the nodes), `Conflict` (the machine has another unique id by now, or the
    /// node is no hybrid one), and what a listing may answer.
    pub async fn plan_link(&self, link: &Link) -> Result<LinkPlan> {
        let patched = self.patchers.node(&link.patched).await?;
        let host = self.hosts.node(&link.host).await?;
        let conflict = |message: &str, node: &NodeId| {
            Error::new(ErrorKind::Conflict, self.provider(), "plan_link", message.to_owned())
                .with_node(node.clone())
        };
        if !host.identity.uuids().any(|uuid| uuid.is_same(link.vm_id)) {
            return Err(conflict("the machine has another unique id", &link.host));
        }
        if patched.origin != crate::NodeOrigin::Hybrid {
            return Err(conflict("it is a cloud's own node", &link.patched));
        }
        let mut own = Tags::from([(VM_ID_TAG.to_owned(), link.vm_id.to_string())]);
        let mut notes = Vec::new();
        if let Some(id) = arm_id(&host) {
            if fits(id) {
                own.insert(RESOURCE_ID_TAG.to_owned(), id.to_owned());
            } else {
                notes.push(format!("{RESOURCE_ID_TAG} is left out: no tag takes {id:?}"));
            }
        }
        let theirs = Tags::from([(NODE_ID_TAG.to_owned(), link.patched.to_string())]);
        // The host's first: its tag alone links nothing.
        let changes = vec![
            TagChange::between(link.host.clone(), &host.tags, &theirs),
            TagChange::between(link.patched.clone(), &patched.tags, &own),
        ];
        Ok(LinkPlan { link: link.clone(), changes, notes })
    }

    /// Writes the tags of a plan.
    ///
    /// # Behavior
    /// - No other tag is touched.
    /// - A side that fails ends it: a link is made by the last change alone.
    /// - [`unlink`](Self::unlink) takes back what was changed.
    ///
    /// # Cancellation
    /// When the future is dropped some tags may have been written; to write them again does no harm.
    pub async fn link(&self, plan: &LinkPlan) -> LinkReport {
        let mut report =
            LinkReport { link: plan.link.clone(), changed: Vec::new(), failed: Vec::new() };
        for change in &plan.changes {
            if change.is_empty() {
                continue;
            }
            let tags: Tags =
                change.set.iter().map(|edit| (edit.key.clone(), edit.after.clone())).collect();
            match self.merge_tags(&change.node, &tags).await {
                Ok(done) => report.changed.push(done),
                Err(error) => {
                    report.failed.push(NodeFailure::new(change.node.clone(), &error));
                    break;
                }
            }
        }
        report
    }

    /// Takes back what [`link`](Self::link) changed, in reverse; returns the nodes on which that
    /// failed. Twice is as good as once.
    pub async fn unlink(&self, report: &LinkReport) -> Vec<NodeFailure> {
        let mut failures = Vec::new();
        for change in report.changed.iter().rev().filter(|change| !change.is_empty()) {
            if let Err(error) = self.revert_tags(change).await {
                failures.push(NodeFailure::new(change.node.clone(), &error));
            }
        }
        failures
    }
}

fn arm_id(host: &ManagedNode) -> Option<&str> {
    let own = host.id.resource();
    host.identity.resource_id.as_deref().or_else(|| own.starts_with('/').then_some(own))
}

/// AWS takes letters, digits, spaces and `_ . : / = + - @` in a tag, no more than 256 of them
/// (Tagging your AWS resources, tag naming limits); resource groups of Azure may have parentheses in
/// their names.
fn fits(value: &str) -> bool {
    value.chars().count() <= LONGEST_VALUE
        && value.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
}
