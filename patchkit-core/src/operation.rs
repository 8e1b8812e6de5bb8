//! What is asked of nodes, and how far it has come on each.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Amount, Error, NodeId, OperationId, PatchId, Result, RunId, SubmitToken, node::snake_display,
};

/// A result for each node of a batch: one that fails leaves the others' answers standing.
pub type PerNode<T> = Vec<(NodeId, Result<T>)>;

/// An act to carry out on some nodes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchRequest {
    /// The caller's mark, by which the act is found again when the answer is lost.
    pub token: SubmitToken,
    /// The nodes, at most `Capabilities::max_nodes_per_operation` of one scope.
    pub nodes: Vec<NodeId>,
    /// What to do.
    pub action: PatchAction,
    /// The run that the act belongs to, where it does to one: what a provider keeps for a whole
    /// run, such as the snapshot of a baseline, is the same in all acts of one run.
    pub run: Option<RunId>,
    /// How many nodes the provider works on at once; its own default where `None`.
    pub concurrency: Option<Amount>,
    /// How many failures stop the provider from starting further nodes; its default where `None`.
    pub max_errors: Option<Amount>,
    /// How long a node may take; the provider's default where `None`.
    pub timeout: Option<Duration>,
}

impl PatchRequest {
    /// An act with the provider's own limits.
    pub fn new(token: SubmitToken, nodes: Vec<NodeId>, action: PatchAction) -> Self {
        Self { token, nodes, action, run: None, concurrency: None, max_errors: None, timeout: None }
    }

    /// Names the run that the act belongs to.
    #[must_use]
    pub fn with_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Limits how many nodes are worked on at once.
    #[must_use]
    pub fn with_concurrency(mut self, amount: Amount) -> Self {
        self.concurrency = Some(amount);
        self
    }

    /// Limits how many failures are borne.
    #[must_use]
    pub fn with_max_errors(mut self, amount: Amount) -> Self {
        self.max_errors = Some(amount);
        self
    }

    /// Limits the time of one node.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What to do on a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatchAction {
    /// Compare with the baseline and report.
    Scan,
    /// Install what is approved and missing, then reboot as told.
    Install(RebootPolicy),
    /// Bring the management agent to its newest version.
    UpdateAgent,
    /// Apply the node's associations again.
    RefreshAssociations,
}

impl fmt::Display for PatchAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scan => f.write_str("scan"),
            Self::Install(reboot) => write!(f, "install (reboot {reboot})"),
            Self::UpdateAgent => f.write_str("update agent"),
            Self::RefreshAssociations => f.write_str("refresh associations"),
        }
    }
}

/// Whether a node reboots after an install.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RebootPolicy {
    /// When patches were installed or wait for one (SSM `RebootIfNeeded`, Azure `IfRequired`).
    #[default]
    IfRequired,
    /// Never; the node may then stay at `InstalledPendingReboot`.
    Never,
    /// In any case (Azure only).
    Always,
}

/// Where an operation stands, as a whole or on one node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationStatus {
    /// Accepted, not begun.
    Pending,
    /// Under way.
    InProgress,
    /// Being cancelled.
    Cancelling,
    /// Ended well.
    Succeeded,
    /// Ended, and something was wrong.
    Failed,
    /// Ended because it took too long.
    TimedOut,
    /// Ended because someone asked for it.
    Cancelled,
    /// Never reached the node: its agent does not answer.
    Undeliverable,
    /// The provider said something that PatchKit does not know, or nothing.
    Unknown,
}

impl OperationStatus {
    /// Whether it will not change any more. `Unknown` is not final: ask again.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Undeliverable
        )
    }
}

snake_display! {
    RebootPolicy { IfRequired => "if required", Never => "never", Always => "always" }
    OperationStatus {
        Pending => "pending",
        InProgress => "in progress",
        Cancelling => "cancelling",
        Succeeded => "succeeded",
        Failed => "failed",
        TimedOut => "timed out",
        Cancelled => "cancelled",
        Undeliverable => "undeliverable",
        Unknown => "unknown",
    }
}

/// A submitted act, as far as it has come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchOperation {
    /// Its id.
    pub id: OperationId,
    /// Where it stands as a whole.
    pub status: OperationStatus,
    /// Where it stands on each node. A node may be absent for a while after the submission:
    /// services tell late.
    pub nodes: Vec<NodeOperation>,
}

impl PatchOperation {
    /// An operation with what is known of its nodes.
    pub fn new(id: OperationId, status: OperationStatus, nodes: Vec<NodeOperation>) -> Self {
        Self { id, status, nodes }
    }

    /// Where it stands on `node`.
    pub fn node(&self, node: &NodeId) -> Option<&NodeOperation> {
        self.nodes.iter().find(|entry| entry.node == *node)
    }
}

/// An act on one node, as far as it has come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeOperation {
    /// The node.
    pub node: NodeId,
    /// Where the act stands on it.
    pub status: OperationStatus,
    /// The provider's own words, untrusted: escape before showing.
    pub detail: Option<String>,
    /// Patches the act installed, where the provider lists them.
    pub installed: Vec<PatchId>,
    /// When the node began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl NodeOperation {
    /// An act on a node of which only the status is known.
    pub fn new(node: NodeId, status: OperationStatus) -> Self {
        Self { node, status, detail: None, installed: Vec::new(), started_at: None, ended_at: None }
    }

    /// Adds the provider's own words.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// The error of one node of a batch, as it is kept in journals and reports.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeFailure {
    /// The node.
    pub node: NodeId,
    /// The chain of causes on one line.
    pub error: String,
}

impl NodeFailure {
    /// Keeps what `error` says of `node`.
    pub fn new(node: NodeId, error: &Error) -> Self {
        Self { node, error: error.report() }
    }
}
