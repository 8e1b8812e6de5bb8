//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region, and [`Accounts`] makes one estate of many. The
//! README shows them at work.

#[cfg(feature = "ec2")]
mod access;
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
mod limit;
mod listing;
#[cfg(feature = "sns")]
mod notify;
#[cfg(feature = "ec2")]
mod power;
mod session;
mod ssm;
mod tags;

pub use command::{
    CommandEvent, CommandNotification, CommandOptions, CommandOutput, CommandTarget, NotifyPer,
    OutputBucket, OutputSource, OutputText, PatchHooks, StepOutput, TargetedRequest,
};
pub use config::{PlainHttp, SsmBuilder};
pub use estate::{Accounts, OpenedEstate, UnopenedScope};
pub use event::{CloudEvent, CloudEventKind};
pub use limit::{CallBudget, Rate};
#[cfg(feature = "sns")]
pub use notify::Topic;
pub use ssm::Ssm;

/// The README's examples are held against the code as every other one.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
