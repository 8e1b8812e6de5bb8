//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region.

mod client;
mod command;
mod config;
mod error;
mod limit;
mod ssm;

pub use command::{
    CommandEvent, CommandNotification, CommandOptions, CommandOutput, CommandTarget, NotifyPer,
    OutputBucket, OutputSource, OutputText, PatchHooks, StepOutput, TargetedRequest,
};
pub use config::{PlainHttp, SsmBuilder};
pub use limit::{CallBudget, Rate};
pub use ssm::Ssm;
