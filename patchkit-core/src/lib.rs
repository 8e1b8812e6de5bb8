//! Patch management across clouds: the domain, the four provider traits, and the workflows.

mod access;
mod baseline;
mod clock;
mod compliance;
mod error;
mod fleet;
mod forward;
mod group;
mod id;
mod journal;
pub mod memory;
#[cfg(feature = "mock")]
pub mod mock;
mod node;
mod operation;
mod page;
mod patch;
mod platform;
mod poll;
mod rollout;
mod schedule;
pub mod workflow;

pub use access::{AccessChange, AccessGrant, AccessStatus, NodeAccess, TagChange, TagEdit};
pub use baseline::{
    Approval, ApprovalBoundary, ApprovalRule, AutoApproval, AvailableUpdates, Baseline,
    BaselineOwner, BaselineSelector, CompiledBaseline, DecidedBy, Decision, EntryVerdict,
    Explanation, FilterVerdict, InstallChoice, JudgedPatch, NodePatch, NodeVerdict, OperationKind,
    PatchBaseline, PatchFilter, PatchFilterKey, PatchRepository, Presence, RejectedAction,
    RuleOutcome, RuleVerdict, UpdateScope, Violation, evaluate, explain, judge_node, patch_state,
    predefined, predefined_default,
};
#[cfg(feature = "tokio")]
pub use clock::SystemClock;
pub use clock::{Clock, VirtualClock};
pub use compliance::{ComplianceReport, NodeCompliance, PatchCompliance, PatchCounts};
pub use error::{Error, ErrorKind, Result, Retry};
pub use fleet::{Capabilities, Fleet, FleetExt};
pub use group::{GroupRegistration, PatchGroup};
pub use id::{
    AccountId, BaselineId, NodeId, OperationId, PatchGroupName, PatchId, Region, RunId, Scope,
    SubmitToken,
};
pub use journal::{Change, Event, Journal, NodeLease, Record, RunLease};
pub use node::{
    GroupTag, ManagedNode, NodeOrigin, NodeSelector, NodeStatus, PATCH_GROUP_TAGS, PowerState,
    PowerTarget, Reachability, Tags, group_tag,
};
pub use operation::{
    NodeFailure, NodeOperation, OperationStatus, PatchAction, PatchOperation, PatchRequest,
    PerNode, RebootPolicy,
};
pub use page::{Page, paginate};
pub use patch::{
    Classification, ComplianceLevel, ComplianceStatus, Package, Patch, PatchSource, PatchState,
    Severity,
};
pub use platform::{OperatingSystem, PackageFamily, PlatformKind};
pub use poll::{PollPolicy, Polled, WaitError, wait_until};
pub use rollout::{
    Amount, AssignedWave, DisruptionBudget, ErrorBudget, Rollout, Wave, WaveMembers,
};
pub use schedule::{MaintenanceWindow, RateUnit, Schedule};
