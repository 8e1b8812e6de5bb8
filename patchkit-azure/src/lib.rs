//! PatchKit on Azure: Update Manager patching over subscriptions and locations.
//!
//! [`UpdateManager`] is the provider of some subscriptions of one tenant, in all their locations: virtual
//! machines, instances of scale sets, and machines elsewhere that Azure Arc connects. It implements
//! [`Fleet`](patchkit_core::Fleet), [`Baseline`](patchkit_core::Baseline),
//! [`PatchGroup`](patchkit_core::PatchGroup) and
//! [`ComplianceReport`](patchkit_core::ComplianceReport). The workflows of `patchkit_core` run over it,
//! alone, in an [`Estate`](patchkit_core::Estate) with others, or as the host of machines that Systems
//! Manager patches ([`LinkedFleet`](patchkit_core::LinkedFleet)).
//!
//! ```no_run
//! use futures::TryStreamExt;
//! use patchkit_azure::UpdateManager;
//! use patchkit_core::{Fleet, NodeSelector, PowerState};
//!
//! # async fn example() -> patchkit_core::Result<()> {
//! let azure = UpdateManager::from_env()?;
//! let off = NodeSelector::all().with_power([PowerState::Stopped, PowerState::Deallocated]);
//! let mut nodes = azure.nodes(&off);
//! while let Some(node) = nodes.try_next().await? {
//!     println!("{} is {}", node.id, node.power);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - The fewest calls that Azure allows: a query of Resource Graph for a thousand machines of all
//!   subscriptions; and no more in a minute than its share of the documented rates ([`CallBudget`]),
//!   lowered by what the answers tell that others use.
//! - A write that must not happen twice is sent once. Where its answer is lost, the error is `Timeout`,
//!   and what became of it is found by reading.
//! - Azure patches nothing by itself because of what PatchKit writes: baselines are maintenance
//!   configurations whose window opens in the year 9999. [`UpdateManager::schedule_baseline`] and
//!   [`UpdateManager::register_scheduled`] alone change that.
//! - An install brings what is chosen by name or class, and is never sent without a choice, which Azure
//!   takes for everything. [`Baselines`] that decide are evaluated here, and Azure is sent names.
//! - Tokens go to the endpoint's host alone, whatever address an answer gives, and over plain HTTP to this
//!   machine only, unless [`PlainHttp`] says otherwise. Neither tokens nor signed addresses are printed.
//! - Credentials, proxies, retries and tracing are those of `azure_core` and `azure_identity`.
//!
//! `azure_mgmt_compute`, by which requests to Microsoft.Compute are written, is of an older generation that
//! Microsoft no longer maintains. No type of it is public, and it makes no call itself.

#[cfg(test)]
mod arbitrary;
mod baseline;
mod bridge;
mod client;
mod compliance;
mod config;
mod convert;
mod credential;
mod error;
mod estate;
mod fleet;
mod graph;
mod group;
mod ids;
mod limit;
mod listing;
mod lro;
mod machine;
mod maintenance;
mod manager;
mod operation;
mod power;
mod preflight;
mod provider;
mod role;
mod schedule;
mod session;
mod settings;
mod tags;
#[cfg(test)]
mod testing;

pub use baseline::{
    Baselines, InstallParameters, Lack, Selection, install_parameters, what_azure_lacks,
};
pub use compliance::Refresh;
pub use config::{Cloud, PlainHttp, UpdateManagerBuilder};
pub use estate::{OpenedEstate, Subscriptions, UnopenedScope};
pub use fleet::Addresses;
pub use ids::MachineKind;
pub use limit::{CallBudget, Quota};
pub use machine::{AssessmentMode, Machine, PatchMode, PatchSettings, Schedules};
pub use maintenance::{Assignment, Assignments, BaselineHome, MaintenanceConfiguration, Reach};
pub use manager::UpdateManager;
pub use operation::{
    InstallCounts, InstallOptions, InstallResult, InstallStatus, LinuxPatches, PatchResult,
    RebootStatus, RebootingPatches, WindowUse, WindowsPatches,
};
pub use preflight::{NodePreflight, PatchIntent, PreflightFinding, PreflightVerdict};
pub use role::{Feature, role};
pub use schedule::{PatchWindow, TimeZoneName, Timing};
pub use settings::PatchSettingsChange;
