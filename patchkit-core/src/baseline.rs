//! Patch baselines: which patches are approved for which nodes, and why.
//!
//! [`PatchBaseline`] is data, [`Baseline`] the trait of those who keep it.

mod model;
mod provider;

#[cfg(feature = "mock")]
pub use self::provider::MockBaseline;
pub use self::{
    model::{
        ApprovalRule, AutoApproval, AvailableUpdates, PatchBaseline, PatchFilter, PatchFilterKey,
        PatchRepository, RejectedAction, UpdateScope,
    },
    provider::{Baseline, BaselineOwner, BaselineSelector},
};
