//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region.

mod baseline;
mod client;
mod config;
mod convert;
mod error;
mod group;
mod limit;
mod listing;
mod ssm;

pub use config::{PlainHttp, SsmBuilder};
pub use limit::{CallBudget, Rate};
pub use ssm::Ssm;
