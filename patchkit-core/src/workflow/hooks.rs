//! Calls of the embedder's own code around runs, waves and nodes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;

use super::{NodeOutcome, Outcome, PlannedNode, Runner};
use crate::{HookPoint, Result, RunId};

/// Code of the embedder's that is called around runs, waves and nodes: to take a node out of a load
/// balancer, to silence its alerts, to ask someone.
///
/// # Behavior
/// - A call is written to the journal before it is made, and its end after it. It is made **at least
///   once**: where a run dies in between, the run that resumes or recovers it makes the call again,
///   with the same [`HookCall::id`]. One that is known to have ended is not made again.
/// - Whoever was called before is called after, in the opposite order: also one that failed, for it
///   may have done half of its work, and also by a recovery. A recovery without a hook of that name
///   says so; one that has it makes up for it.
/// - A `before` that fails keeps from being begun what it stands before: a node is skipped, with the
///   reason, and the run goes on; of a wave or a run nothing more is begun.
/// - An `after` that fails is a note on its node, or a problem of the run. Its node stays counted in
///   the disruption budgets: it may be out of work still.
/// - No answer within [`Limits::hook`](super::Limits::hook) is a failure; the call is dropped.
///
/// # Example
/// ```
/// use patchkit_core::{
///     HookPoint, Result,
///     workflow::{Hook, HookCall},
/// };
///
/// #[derive(Debug)]
/// struct Announce;
///
/// #[async_trait::async_trait]
/// impl Hook for Announce {
///     fn name(&self) -> &str {
///         "announce"
///     }
///
///     fn wants(&self, point: HookPoint) -> bool {
///         matches!(point, HookPoint::BeforeRun | HookPoint::AfterRun)
///     }
///
///     async fn call(&self, call: &HookCall<'_>) -> Result<()> {
///         println!("{} of {}: {:?}", call.point, call.run, call.tally);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Hook: fmt::Debug + Send + Sync + 'static {
    /// Its name in journals and reports, by which a resumed run knows it: one for each hook.
    fn name(&self) -> &str;

    /// Whether it is called at `point`.
    fn wants(&self, point: HookPoint) -> bool;

    /// Is called.
    ///
    /// # Behavior
    /// - Twice with one id is as good as once.
    /// - An `after` stands for a `before` that may have failed, or done nothing.
    ///
    /// # Errors
    /// What it says is shown in reports: no secret belongs there.
    async fn call(&self, call: &HookCall<'_>) -> Result<()>;
}

/// What a hook is called for.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HookCall<'a> {
    /// The same for a call that is made again, and for no other.
    pub id: String,
    /// The run.
    pub run: &'a RunId,
    /// The moment.
    pub point: HookPoint,
    /// The wave, where it is called for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<HookWave<'a>>,
    /// The node as it was planned, where it is called for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a PlannedNode>,
    /// How the node ended, after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a NodeOutcome>,
    /// How many of the wave's or the run's nodes have ended in which way, after it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tally: BTreeMap<Outcome, usize>,
}

/// A wave that a hook is called for.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct HookWave<'a> {
    /// Its place in the plan, from 0.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
    /// How many nodes it has.
    pub nodes: usize,
}

impl Runner {
    /// Calls `hook` around runs, waves and nodes; after those that were added before it, and the other
    /// way round where something is over.
    #[must_use]
    pub fn with_hook(mut self, hook: impl Hook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }
}
