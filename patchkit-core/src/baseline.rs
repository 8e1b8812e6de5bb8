//! Patch baselines: which patches are approved for which nodes, and why.
//!
//! [`PatchBaseline`] is data, [`Baseline`] the trait of those who keep it.

mod eval;
mod explain;
mod filter;
mod limits;
mod list;
mod model;
mod predefined;
mod provider;
mod state;
#[cfg(test)]
pub(crate) mod testing;

#[cfg(feature = "mock")]
pub use self::provider::MockBaseline;
pub use self::{
    eval::{
        Approval, ApprovalBoundary, CompiledBaseline, DecidedBy, Decision, RuleOutcome, evaluate,
    },
    explain::{EntryVerdict, Explanation, FilterVerdict, RuleVerdict, explain},
    limits::Violation,
    model::{
        ApprovalRule, AutoApproval, AvailableUpdates, PatchBaseline, PatchFilter, PatchFilterKey,
        PatchRepository, RejectedAction, UpdateScope,
    },
    predefined::{predefined, predefined_default},
    provider::{Baseline, BaselineOwner, BaselineSelector},
    state::{
        InstallChoice, JudgedPatch, NodePatch, NodeVerdict, OperationKind, Presence, judge_node,
        patch_state,
    },
};
pub(crate) use self::{
    list::Names,
    state::{PatchKind, state_under},
};
