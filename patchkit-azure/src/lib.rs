//! PatchKit on Azure: Update Manager patching over subscriptions and locations.

mod bridge;
mod client;
mod config;
mod credential;
mod error;
mod graph;
mod ids;
mod limit;
mod listing;
mod lro;
mod manager;
mod session;

pub use config::{Cloud, PlainHttp, UpdateManagerBuilder};
pub use ids::MachineKind;
pub use limit::{CallBudget, Quota};
pub use manager::UpdateManager;
