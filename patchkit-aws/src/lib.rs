//! PatchKit on AWS: Systems Manager patching over accounts and Regions.
//!
//! [`Ssm`] is the provider of one account and Region.

mod client;
mod config;
mod error;
mod limit;
mod ssm;

pub use config::{PlainHttp, SsmBuilder};
pub use limit::{CallBudget, Rate};
pub use ssm::Ssm;
