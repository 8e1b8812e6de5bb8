//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region.

#[cfg(feature = "ec2")]
mod access;
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
mod hybrid;
mod limit;
mod listing;
#[cfg(feature = "sns")]
mod notify;
#[cfg(feature = "ec2")]
mod power;
#[cfg(all(feature = "ec2", feature = "s3"))]
mod setup;
mod ssm;
mod sync;
mod tags;

pub use command::{
    CommandEvent, CommandNotification, CommandOptions, CommandOutput, CommandTarget, NotifyPer,
    OutputBucket, OutputSource, OutputText, PatchHooks, StepOutput, TargetedRequest,
};
pub use config::{PlainHttp, SsmBuilder};
pub use event::{CloudEvent, CloudEventKind};
pub use hybrid::{ActivationRequest, HybridActivation, ListedActivation, StaleNode};
pub use limit::{CallBudget, Rate};
#[cfg(feature = "sns")]
pub use notify::Topic;
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
