//! The log of calls, and the faults that can be put on them.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use crate::{Error, NodeId, PatchAction, PowerTarget, RunId, SubmitToken};

/// One call that a [`MemoryCloud`](super::MemoryCloud) received.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemoryCall {
    /// Its number, from 0.
    pub seq: usize,
    /// The trait's method: `nodes`, `submit`, …
    pub operation: &'static str,
    /// The nodes it names.
    pub nodes: Vec<NodeId>,
    /// The page it asks for, from 0, where it lists.
    pub page: Option<usize>,
    /// What `submit` is to do.
    pub action: Option<PatchAction>,
    /// The run that a `submit` belongs to.
    pub run: Option<RunId>,
    /// The caller's mark on a `submit` or `find_operation`.
    pub token: Option<SubmitToken>,
    /// What `set_power` is to do.
    pub target: Option<PowerTarget>,
    /// When it came.
    pub at: Timestamp,
}

impl MemoryCall {
    pub(super) fn new(operation: &'static str) -> Self {
        Self {
            seq: 0,
            operation,
            nodes: Vec::new(),
            page: None,
            action: None,
            run: None,
            token: None,
            target: None,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    pub(super) fn on(operation: &'static str, nodes: &[NodeId]) -> Self {
        Self { nodes: nodes.to_vec(), ..Self::new(operation) }
    }
}

/// What happens to a call.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: it goes through.
    #[default]
    Pass,
    /// It has no effect, and answers with this error.
    Refuse(Error),
    /// It has its effect, and answers with this error.
    LoseAnswer(Error),
}

impl Fault {
    pub(super) fn answer<T>(self, value: T) -> Result<T, Error> {
        match self {
            Self::LoseAnswer(error) => Err(error),
            Self::Pass | Self::Refuse(_) => Ok(value),
        }
    }
}

/// Decides about each call.
#[derive(Clone)]
pub(super) struct Hook(pub(super) Arc<dyn Fn(&MemoryCall) -> Fault + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}
