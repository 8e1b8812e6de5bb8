//! PatchKit on Azure: Update Manager patching over subscriptions and locations.

mod baseline;
mod bridge;
mod client;
mod config;
mod convert;
mod credential;
mod error;
mod fleet;
mod graph;
mod group;
mod ids;
mod limit;
mod listing;
#[expect(dead_code, reason = "for acts on nodes, which are built on it")]
mod lro;
mod machine;
mod maintenance;
mod manager;
mod power;
mod schedule;
mod session;
mod tags;
#[cfg(test)]
mod testing;

pub use baseline::{InstallParameters, Lack, Selection, install_parameters, what_azure_lacks};
pub use config::{Cloud, PlainHttp, UpdateManagerBuilder};
pub use ids::MachineKind;
pub use limit::{CallBudget, Quota};
pub use machine::{AssessmentMode, Machine, PatchMode, PatchSettings, Schedules};
pub use maintenance::{Assignment, Assignments, BaselineHome, MaintenanceConfiguration, Reach};
pub use manager::UpdateManager;
pub use schedule::{MonthDay, Nth, PatchWindow, Recurrence, TimeZoneName, Timing};
