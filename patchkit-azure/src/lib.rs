//! PatchKit on Azure: Update Manager patching over subscriptions and locations.

mod bridge;
mod client;
mod config;
mod convert;
mod credential;
mod error;
mod fleet;
mod graph;
mod ids;
mod limit;
mod listing;
#[expect(dead_code, reason = "for acts on nodes, which are built on it")]
mod lro;
mod machine;
mod manager;
mod power;
mod session;
mod tags;

pub use config::{Cloud, PlainHttp, UpdateManagerBuilder};
pub use ids::MachineKind;
pub use limit::{CallBudget, Quota};
pub use machine::{AssessmentMode, Machine, PatchMode, PatchSettings, Schedules};
pub use manager::UpdateManager;
