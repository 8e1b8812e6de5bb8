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
mod lro;
mod machine;
mod manager;
mod operation;
mod power;
mod session;
mod tags;

pub use config::{Cloud, PlainHttp, UpdateManagerBuilder};
pub use ids::MachineKind;
pub use limit::{CallBudget, Quota};
pub use machine::{AssessmentMode, Machine, PatchMode, PatchSettings, Schedules};
pub use manager::UpdateManager;
pub use operation::{
    InstallCounts, InstallOptions, InstallResult, InstallStatus, LinuxPatches, PatchResult,
    RebootStatus, RebootingPatches, WindowUse, WindowsPatches,
};
