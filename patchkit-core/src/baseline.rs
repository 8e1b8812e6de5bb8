//! Patch baselines: which patches are approved for which nodes, and why.
//!
//! [`PatchBaseline`] is data, [`Baseline`] the trait of those who keep it.

mod eval;
mod filter;
mod limits;
mod list;
mod model;
mod provider;
#[cfg(test)]
mod testing;

#[cfg(feature = "mock")]
pub use self::provider::MockBaseline;
pub use self::{
    eval::{
        Approval, ApprovalBoundary, CompiledBaseline, DecidedBy, Decision, RuleOutcome, evaluate,
    },
    limits::Violation,
    model::{
        ApprovalRule, AutoApproval, AvailableUpdates, PatchBaseline, PatchFilter, PatchFilterKey,
        PatchRepository, RejectedAction, UpdateScope,
    },
    provider::{Baseline, BaselineOwner, BaselineSelector},
};
