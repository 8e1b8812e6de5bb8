//! Patch management across clouds: the domain, the four provider traits, and the workflows.
//!
//! A provider is one value that implements [`Fleet`], [`Baseline`], [`PatchGroup`] and
//! [`ComplianceReport`]: ids go in, plain data that serialises comes out. The
//! [workflows](workflow) are written against the traits alone; [`memory`] is a complete provider to
//! try them on.
//!
//! ```
//! use patchkit_core::{
//!     NodeSelector, RunId, VirtualClock,
//!     memory::{MemoryCloud, MemoryJournal},
//!     workflow::{PatchOptions, Runner},
//! };
//!
//! # futures::executor::block_on(async {
//! let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
//! let fleet = MemoryCloud::builder().seed(7).nodes(20).clock(clock.clone()).build();
//! let runner = Runner::new(fleet.clone(), fleet, MemoryJournal::new(clock.clone()), clock);
//!
//! let scan = runner.scan(&RunId::new("weekly-scan")?, &NodeSelector::all()).await?;
//! println!("{} nodes are not compliant", scan.non_compliant().count());
//!
//! let plan = runner.plan_remediation(&PatchOptions::new(NodeSelector::all())).await?;
//! println!("{plan}");
//! # Ok::<(), patchkit_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What it promises
//! - What is not known is `Unknown`, with its age; success is judged by a scan, not by an exit
//!   status.
//! - A write is journaled before it is sent and never sent twice.
//! - A run stops again only what it started; what it could not put back is named.
//!
//! # Features
//! - `csv`: [tag checks](workflow::TagReport) as CSV.
//! - `ical`: a [`FreezeCalendar`] out of an iCalendar file.
//! - `tokio`: `SystemClock`, the machine's clock on tokio's timer.
//! - `metrics`: runs are counted through the facade of that name, as [`observe`] tells.
//! - `mock`: mockall mocks of the four traits, in `mock`.
//! - `tzdb`: the database of time zones compiled in, for machines without one.

mod access;
mod baseline;
mod clock;
mod compliance;
mod error;
mod estate;
mod fleet;
mod forward;
mod freeze;
mod group;
pub mod history;
mod id;
mod journal;
mod ledger;
mod link;
pub mod listing;
mod machine;
pub mod memory;
#[cfg(feature = "mock")]
pub mod mock;
mod node;
pub mod notify;
pub mod observe;
mod operation;
mod operator;
mod page;
mod patch;
mod platform;
mod poll;
mod provider;
mod rollout;
mod schedule;
mod secret;
mod unmanaged;
pub mod whatif;
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
pub use compliance::{
    ComplianceReport, ComplianceSource, NodeCompliance, PatchCompliance, PatchCounts,
};
pub use error::{Error, ErrorKind, Result, Retry};
pub use estate::Estate;
pub use fleet::{Capabilities, Fleet, FleetExt};
pub use freeze::{Freeze, FreezeCalendar};
pub use group::{GroupRegistration, PatchGroup};
pub use id::{
    AccountId, BaselineId, NodeId, OperationId, PatchGroupName, PatchId, Region, ResourceGroupName,
    RunId, Scope, SubmitToken,
};
pub use journal::{
    Change, Event, HookMark, HookPoint, Journal, NodeLease, Order, OrderRecord, Record, RunHead,
    RunLease, RunState, Standing,
};
pub use ledger::{Book, Entry, Ledger};
pub use link::{
    AmbiguousLink, CandidateLink, HostLink, Link, LinkEvidence, LinkPlan, LinkReport, LinkSurvey,
    LinkedFleet, Links, MachineLink, NODE_ID_TAG, RESOURCE_ID_TAG, StaleLink, VM_ID_TAG,
    propose_links,
};
pub use machine::{MachineIdentity, MachineUuid};
pub use node::{
    GroupTag, ManagedNode, NodeOrigin, NodeSelector, NodeStatus, PATCH_GROUP_TAGS, PowerState,
    PowerTarget, Reachability, Tags, group_tag,
};
pub use operation::{
    NodeFailure, NodeOperation, OperationStatus, PatchAction, PatchOperation, PatchRequest,
    PerNode, RebootPolicy,
};
pub use operator::{RunLine, RunStory, Runs};
pub use page::{Page, paginate};
pub use patch::{
    Classification, ComplianceLevel, ComplianceStatus, Package, Patch, PatchSource, PatchState,
    Severity,
};
pub use platform::{OperatingSystem, PackageFamily, PlatformKind};
pub use poll::{PollPolicy, Polled, WaitError, wait_until};
pub use provider::{Provider, with_compliance};
pub use rollout::{
    Amount, AssignedWave, Budget, DisruptionBudget, ErrorBudget, NodeKey, Ramp, Rollout,
    SharedBudget, Wave, WaveMembers,
};
pub use schedule::{
    ClockChange, MaintenanceWindow, MonthDay, Nth, Occurrences, Pace, RateUnit, Recurrence, Recurs,
    Schedule, ScheduleFinding, ScheduleLint, ScheduledFleet, Timetable, ZoneName,
};
pub use secret::Secret;
pub use unmanaged::UnmanagedReason;
pub use workflow::Health;
