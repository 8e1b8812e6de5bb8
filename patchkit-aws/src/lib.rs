//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region: it implements
//! [`Fleet`](patchkit_core::Fleet), [`Baseline`](patchkit_core::Baseline),
//! [`PatchGroup`](patchkit_core::PatchGroup) and
//! [`ComplianceReport`](patchkit_core::ComplianceReport). [`Accounts`] makes one
//! [`Estate`](patchkit_core::Estate) of many. The workflows of `patchkit_core` run over either.
//!
//! ```no_run
//! use futures::TryStreamExt;
//! use patchkit_aws::Ssm;
//! use patchkit_core::{ComplianceReport, ComplianceStatus, NodeSelector};
//!
//! # async fn example() -> patchkit_core::Result<()> {
//! let ssm = Ssm::from_env().await?;
//! let mut summaries = ssm.summaries(&NodeSelector::all());
//! while let Some(known) = summaries.try_next().await? {
//!     if known.status == ComplianceStatus::NonCompliant {
//!         println!("{} lacks {} patches", known.node, known.counts.missing);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - The fewest calls that the service allows: fifty nodes in a command, fifty in a page of
//!   compliance, a thousand in a page of instances; and no more in a second than a [`CallBudget`]
//!   lets go, so that a fleet-wide read leaves production's tools their share.
//! - A write that must not happen twice is sent once. Where its answer is lost, the error is
//!   `Timeout`, and what became of it is found by reading.
//! - Credentials go over plain HTTP to this machine only, unless [`PlainHttp`] says otherwise; no
//!   secret is printed.
//! - Proxies, FIPS and dual-stack endpoints, custom endpoints and credential chains are those of the
//!   SDK's configuration. [`policy`] renders the least that IAM must allow.
//!
//! # Features
//! All are on by default; each brings an SDK crate.
//! - `ec2`: EC2 and IAM: stopped nodes, power, access, setup. Without it the fleet is what Systems
//!   Manager lists. `aws-sdk-ec2` takes minutes and 7 GB to compile.
//! - `athena`: SQL over a lake in S3; the tables and views are `patchkit_inventory::AthenaLake`'s.
//! - `config`, `organizations`, `resource-groups`, `s3` (command output, setup), `sns`
//!   (notifications).

#[cfg(feature = "ec2")]
mod access;
mod association;
#[cfg(feature = "athena")]
mod athena;
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
#[cfg(feature = "config")]
mod history;
mod hybrid;
mod ids;
mod limit;
mod listing;
#[cfg(feature = "sns")]
mod notify;
mod policy;
#[cfg(feature = "ec2")]
mod power;
mod provider;
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
#[cfg(feature = "athena")]
pub use athena::{Athena, AthenaAnswer, AthenaOptions, AthenaQuery, AthenaQueryId, AthenaState};
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
#[cfg(feature = "config")]
pub use history::{RecordedCompliance, RecordedEvent};
pub use hybrid::{ActivationRequest, HybridActivation, ListedActivation, StaleNode};
pub use ids::{AssociationId, AutomationId, WindowId};
pub use limit::{CallBudget, Rate};
#[cfg(feature = "sns")]
pub use notify::Topic;
pub use policy::{Feature, policy};
#[cfg(feature = "config")]
pub use rules::{ConfigRule, RuleResult, RuleVerdict};
pub use schedule::{PatchTask, ScheduleTarget};
#[cfg(all(feature = "ec2", feature = "s3"))]
pub use setup::{
    LakeAccess, LakeOwner, SetupFinding, SetupItem, SetupOptions, SetupOutcome, SetupReport,
    SetupState, SetupStep, StepResult, TagGroup, Tagged,
};
#[cfg(all(feature = "config", feature = "ec2", feature = "s3"))]
pub use setup::{ManagedRule, RuleRemediation};
pub use ssm::Ssm;
pub use sync::{
    LakeDestination, LakeExpectation, LakeFinding, LakeSharing, LakeState, LakeSync,
    LakeSyncCreation, SyncDirection, SyncStatus,
};
pub use window::{AtCutoff, PatchWindow, ScheduledWindow, WindowSummary};
