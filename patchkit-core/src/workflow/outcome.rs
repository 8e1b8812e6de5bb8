//! How a run ended, for each of its nodes.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ComplianceStatus, NodeId, PatchGroupName, PowerState, RunId};

/// How a node's part in a patch run ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The rescan after install and reboot found it compliant.
    Patched,
    /// Its associations were applied again, and are compliant.
    Remediated,
    /// It was compliant before, and nothing was installed.
    AlreadyCompliant,
    /// Something went wrong, or the rescan found it not compliant.
    Failed,
    /// The run did not touch it.
    Skipped,
    /// Its agent did not answer.
    Unreachable,
    /// What happened to it could not be found out.
    Unknown,
}

impl Outcome {
    /// Whether the node ended as the run wanted it.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Patched | Self::Remediated | Self::AlreadyCompliant)
    }

    /// The word used in reports and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::Remediated => "remediated",
            Self::AlreadyCompliant => "already_compliant",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An outcome with its reasons.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeOutcome {
    /// The outcome.
    pub outcome: Outcome,
    /// Why, and what else is worth knowing, in order. Holds providers' words: escape before showing.
    pub notes: Vec<String>,
}

impl NodeOutcome {
    /// An outcome without a reason.
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, notes: Vec::new() }
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// One node of a finished run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeReport {
    /// The node.
    pub node: NodeId,
    /// Its patch group.
    pub group: Option<PatchGroupName>,
    /// Its power when the run was planned.
    pub power_before: PowerState,
    /// Its power when the run was over.
    pub power_after: PowerState,
    /// Its compliance when the run was planned.
    pub status_before: ComplianceStatus,
    /// Its compliance when the run was over; as before where the run did not scan it.
    pub status_after: ComplianceStatus,
    /// How its part ended.
    #[serde(flatten)]
    pub outcome: NodeOutcome,
}

/// A change that could not be taken back: a person has to look.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UndoFailure {
    /// The node.
    pub node: NodeId,
    /// The step whose undo failed.
    pub step: String,
    /// Why.
    pub error: String,
}

impl UndoFailure {
    /// Says that the undo of `step` failed on `node`.
    pub fn new(node: NodeId, step: impl Into<String>, error: impl Into<String>) -> Self {
        Self { node, step: step.into(), error: error.into() }
    }
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Timestamp,
    /// Every node of the plan, by id.
    pub nodes: Vec<NodeReport>,
    /// Nodes whose power is not what it was before. Look here first.
    pub undo_failed: Vec<UndoFailure>,
    /// What went wrong without belonging to one node: scopes that are not in the plan, the journal,
    /// the lease.
    pub problems: Vec<String>,
}

impl RunReport {
    /// How many nodes ended in which way.
    pub fn tally(&self) -> BTreeMap<Outcome, usize> {
        let mut tally = BTreeMap::new();
        for node in &self.nodes {
            *tally.entry(node.outcome.outcome).or_default() += 1;
        }
        tally
    }

    /// Whether every node ended as the run wanted it, and nothing is left to look at.
    pub fn is_clean(&self) -> bool {
        self.undo_failed.is_empty()
            && self.problems.is_empty()
            && self.nodes.iter().all(|node| node.outcome.outcome.is_good())
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally: Vec<String> =
            self.tally().into_iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
        writeln!(f, "run {}: {} nodes: {}", self.run, self.nodes.len(), tally.join(", "))?;
        for failure in &self.undo_failed {
            writeln!(f, "  UNDO FAILED {} on {}: {}", failure.step, failure.node, failure.error)?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem: {problem}")?;
        }
        Ok(())
    }
}
