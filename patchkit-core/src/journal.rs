//! The journal: what a run is about to do is written down before it is done.

mod hook;
mod order;
mod story;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    hook::{HookMark, HookPoint},
    order::{Order, OrderRecord, RunHead, RunState, Standing},
};
use crate::{
    AccessChange, Health, NodeId, OperationId, PatchAction, PerNode, PowerState, Result, RunId,
    SubmitToken, TagChange,
};

/// An append-only, write-ahead record of runs, with leases.
///
/// A run is owned by the holder of its lease; a node is claimed by at most one run. Every lease
/// has a fencing token that grows with each new holder: a writer whose lease was taken over is
/// refused, however late it wakes up.
///
/// # Behavior
/// - What `append` has returned `Ok` for is read back by every later `events`, in order.
/// - A batch of events is written whole or not at all.
/// - Two holders never own one run at the same time.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// Creates a run and takes its lease.
    ///
    /// # Behavior
    /// - A run has one beginning: the same id twice is `Conflict`, whoever asks.
    ///
    /// # Errors
    /// `Conflict` (the run exists), `Unexpected` (the store failed; nothing was begun).
    async fn begin(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease>;

    /// Takes the lease of a run whose holder let it go or died.
    ///
    /// # Behavior
    /// - The fencing token grows; what the earlier holder writes from then on is refused.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (another holder's term is not over).
    async fn take_over(&self, run: &RunId, holder: &str, term: Duration) -> Result<RunLease>;

    /// Prolongs a lease by its term from now.
    ///
    /// # Behavior
    /// - A lease that ran out and that nobody took over is good again.
    ///
    /// # Errors
    /// `Conflict` (it was taken over).
    async fn renew(&self, lease: &RunLease) -> Result<RunLease>;

    /// Lets a run go; the claims it still has on nodes stay. Twice is as good as once.
    ///
    /// # Behavior
    /// - Another holder can take it over at once.
    ///
    /// # Errors
    /// `Conflict` (it was taken over), `Unexpected` (the store failed).
    async fn release(&self, lease: &RunLease) -> Result<()>;

    /// Writes events down.
    ///
    /// # Behavior
    /// - All of them in one step, in order, or none.
    ///
    /// # Errors
    /// `Conflict` (the lease was taken over), `Unexpected` (the store failed: do not act).
    async fn append(&self, lease: &RunLease, events: &[Event]) -> Result<()>;

    /// Reads a run's events from the beginning.
    ///
    /// # Behavior
    /// - Every event that was ever written comes once, in order.
    /// - An event that this version does not know comes as it was written.
    /// - A write that broke off before it was acknowledged comes as `Torn`, or not at all.
    /// - A record that cannot be read is a `Malformed` item that names the run and its place, and
    ///   the others come after it; any other error is the last item.
    ///
    /// # Errors
    /// `NotFound`, `Malformed`, `Unexpected`.
    fn events(&self, run: &RunId) -> BoxStream<'static, Result<Record>>;

    /// Lists the runs, oldest first.
    ///
    /// # Behavior
    /// - Runs that are over are in it too.
    ///
    /// # Errors
    /// `Unexpected`.
    fn runs(&self) -> BoxStream<'static, Result<RunId>>;

    /// Tells where a run stands: its lease, and its newest record.
    ///
    /// # Behavior
    /// - It is as new as what was acknowledged last, and costs the same however long the run is.
    ///
    /// # Errors
    /// `NotFound`, `Malformed`, `Unexpected`.
    async fn head(&self, run: &RunId) -> Result<RunHead>;

    /// Leaves an order for those who hold runs. Whoever gives it needs no lease.
    ///
    /// # Behavior
    /// - What was ordered stays in the list of orders.
    ///
    /// # Errors
    /// `NotFound` (its run), `Unexpected` (the store failed; it may have been left).
    async fn order(&self, order: &Order, by: &str, reason: &str) -> Result<()>;

    /// Reads the orders that concern a run, oldest first: its own, and those for all runs.
    ///
    /// # Behavior
    /// - A run that does not exist has those for all.
    /// - An order that this version does not know comes as it was written.
    ///
    /// # Errors
    /// `Malformed`, `Unexpected`.
    async fn orders(&self, run: &RunId) -> Result<Vec<OrderRecord>>;

    /// Claims nodes for a run: a node is never worked on by two runs.
    ///
    /// # Behavior
    /// - A node that this run holds already is no error.
    /// - Nodes are compared as their ids are: one of ARM without regard to case and scope.
    /// - A node that another run holds is `Conflict`, also when that run's lease is over: what it
    ///   did to the node is not known until someone recovers it.
    ///
    /// # Errors
    /// Per node: `Conflict`, with the other run's id in the message.
    async fn claim(&self, lease: &RunLease, nodes: &[NodeId]) -> PerNode<NodeLease>;

    /// Gives claimed nodes back. Nodes that are not claimed by this run are left alone.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    ///
    /// # Errors
    /// `Conflict` (the run's lease was taken over), `Unexpected`.
    async fn unclaim(&self, lease: &RunLease, nodes: &[NodeId]) -> Result<()>;
}

/// The ownership of a run, for a time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunLease {
    /// The run.
    pub run: RunId,
    /// Who owns it.
    pub holder: String,
    /// The fencing token: greater than every earlier holder's.
    pub fence: u64,
    /// How long a renewal lasts.
    pub term: Duration,
    /// When the ownership ends, unless renewed.
    pub expires_at: Timestamp,
}

impl RunLease {
    /// A lease, as a journal hands it out.
    pub fn new(
        run: RunId,
        holder: impl Into<String>,
        fence: u64,
        term: Duration,
        expires_at: Timestamp,
    ) -> Self {
        Self { run, holder: holder.into(), fence, term, expires_at }
    }
}

/// A run's claim on a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeLease {
    /// The node.
    pub node: NodeId,
    /// The run that holds it.
    pub run: RunId,
    /// The fencing token: greater than every earlier claim's on the node.
    pub fence: u64,
}

impl NodeLease {
    /// A claim, as a journal hands it out.
    pub fn new(node: NodeId, run: RunId, fence: u64) -> Self {
        Self { node, run, fence }
    }
}

/// One event, with its place in the run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Its number in the run, from 0, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
}

impl Record {
    /// A record, as a journal reads it back.
    pub fn new(seq: u64, at: Timestamp, event: Event) -> Self {
        Self { seq, at, event }
    }
}

/// What a run writes down.
///
/// An `Intent` stands before the act, its answer after it. An intent without an answer is an act
/// that may or may not have happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run began, with its plan.
    RunStarted {
        /// The workflow's name.
        workflow: String,
        /// The plan's hash.
        plan_hash: String,
        /// The plan.
        plan: serde_json::Value,
    },
    /// A node's state is about to be changed.
    ChangeIntent {
        /// The change.
        change: Change,
    },
    /// A change was accepted.
    ChangeDone {
        /// The change, with what its undo needs.
        change: Change,
    },
    /// A change was refused; nothing happened.
    ChangeRefused {
        /// The change.
        change: Change,
        /// Why.
        error: String,
    },
    /// A change was taken back.
    Undone {
        /// The change.
        change: Change,
    },
    /// A change could not be taken back: a person has to look.
    UndoFailed {
        /// The change.
        change: Change,
        /// Why.
        error: String,
    },
    /// An act is about to be submitted.
    SubmitIntent {
        /// The mark by which it is found again.
        token: SubmitToken,
        /// The act.
        action: PatchAction,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// An act was accepted.
    Submitted {
        /// Its mark.
        token: SubmitToken,
        /// Its id.
        operation: OperationId,
    },
    /// An act was refused; nothing was begun.
    SubmitFailed {
        /// Its mark.
        token: SubmitToken,
        /// Why.
        error: String,
    },
    /// A node's part in the run is over.
    NodeFinished {
        /// The node.
        node: NodeId,
        /// How it ended, as the workflow's own outcome.
        outcome: serde_json::Value,
    },
    /// A hook is about to be called.
    HookIntent {
        /// Which, and for what.
        hook: HookMark,
    },
    /// A hook is to be called later, which none before it stands for.
    HookOwed {
        /// Which, and for what.
        hook: HookMark,
    },
    /// A hook was called, and said that all is well.
    HookDone {
        /// Which, and for what.
        hook: HookMark,
    },
    /// A hook was called, and failed.
    HookFailed {
        /// Which, and for what.
        hook: HookMark,
        /// Why.
        error: String,
    },
    /// A wave was judged by the health check.
    WaveJudged {
        /// Its place in the plan, from 0.
        wave: u32,
        /// What the check said.
        health: Health,
    },
    /// Another holder goes on with the run.
    RunResumed {
        /// Who.
        holder: String,
    },
    /// An operator gave the run up: nothing of it is looked after any more.
    RunAbandoned {
        /// Who gave it up.
        by: String,
        /// Why.
        reason: String,
    },
    /// The run is over.
    RunFinished,
    /// A write of the journal that broke off before it was acknowledged: whoever made it was not
    /// told that it was done, and did not act on it.
    Torn {
        /// Where, and how it looks.
        detail: String,
    },
    /// An event that this version cannot read, kept as it is: a newer one wrote it.
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// A change to a node that can be taken back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// It is started; it was off as `before` says.
    Start {
        /// The node.
        node: NodeId,
        /// Its power from before.
        before: PowerState,
    },
    /// It is given access to its management service.
    Access(AccessChange),
    /// Its tags are set.
    Tags(TagChange),
}

impl Change {
    /// The node that is changed.
    pub fn node(&self) -> &NodeId {
        match self {
            Self::Start { node, .. } => node,
            Self::Access(change) => &change.node,
            Self::Tags(change) => &change.node,
        }
    }

    /// The step's name, as reports give it.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Access(_) => "grant_access",
            Self::Tags(_) => "merge_tags",
        }
    }
}
