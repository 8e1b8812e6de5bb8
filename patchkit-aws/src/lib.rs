//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region.

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
mod event;
mod fleet;
mod group;
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
mod ssm;
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
pub use event::{CloudEvent, CloudEventKind};
pub use ids::{AssociationId, AutomationId, WindowId};
pub use limit::{CallBudget, Rate};
#[cfg(feature = "sns")]
pub use notify::Topic;
pub use policy::{Feature, policy};
#[cfg(feature = "config")]
pub use rules::{ConfigRule, RuleResult, RuleVerdict};
pub use schedule::{PatchTask, ScheduleTarget};
pub use ssm::Ssm;
pub use window::{AtCutoff, PatchWindow, ScheduledWindow, WindowSummary};
