//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region, and [`Accounts`] makes one estate of many. The
//! README shows them at work.

#[cfg(feature = "ec2")]
mod access;
mod association;
mod automation;
mod baseline;
mod client;
mod command;
mod compliance;
mod config;
mod convert;
mod error;
mod estate;
mod event;
mod fleet;
mod group;
mod hybrid;
mod ids;
mod limit;
mod listing;
#[cfg(feature = "sns")]
mod notify;
mod policy;
#[cfg(feature = "ec2")]
mod power;
#[cfg(feature = "resource-groups")]
mod resource_group;
#[cfg(feature = "config")]
mod rules;
mod schedule;
mod session;
#[cfg(all(feature = "ec2", feature = "s3"))]
mod setup;
mod ssm;
mod sync;
mod tags;
mod window;

pub use association::{AssociationSummary, FirstRun, PatchAssociation};
pub use automation::{
    AutomationChild, AutomationRun, AutomationStatus, AutomationStep, PatchRunbook,
    RunbookDocument, RunbookPlace, RunbookRun, RunbookTarget, StopMode, StoppedInstances,
};
pub use command::{
    CommandEvent, CommandNotification, CommandOptions, CommandOutput, CommandTarget, NotifyPer,
    OutputBucket, OutputSource, OutputText, PatchHooks, StepOutput, TargetedRequest,
};
pub use compliance::{
    ComplianceEntry, ComplianceKind, ComplianceUpload, LevelCounts, ResourceCompliance, Upload,
};
pub use config::{PlainHttp, SsmBuilder};
pub use estate::{Accounts, OpenedEstate, UnopenedScope};
pub use event::{CloudEvent, CloudEventKind};
pub use hybrid::{ActivationRequest, HybridActivation, ListedActivation, StaleNode};
pub use ids::{AssociationId, AutomationId, WindowId};
pub use limit::{CallBudget, Rate};
#[cfg(feature = "sns")]
pub use notify::Topic;
pub use policy::{Feature, policy};
#[cfg(feature = "config")]
pub use rules::{ConfigRule, RuleResult, RuleVerdict};
pub use schedule::{PatchTask, ScheduleTarget};
#[cfg(all(feature = "config", feature = "ec2", feature = "s3"))]
pub use setup::ManagedRule;
#[cfg(all(feature = "ec2", feature = "s3"))]
pub use setup::{
    LakeAccess, LakeOwner, SetupFinding, SetupItem, SetupOptions, SetupOutcome, SetupReport,
    SetupState, SetupStep, StepResult, TagGroup, Tagged,
};
pub use ssm::Ssm;
pub use sync::{
    LakeDestination, LakeExpectation, LakeFinding, LakeSharing, LakeState, LakeSync,
    LakeSyncCreation, SyncDirection, SyncStatus,
};
pub use window::{AtCutoff, PatchWindow, ScheduledWindow, WindowSummary};

/// The README's examples are held against the code as every other one.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
