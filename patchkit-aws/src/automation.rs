//! The patch workflow as a runbook that Systems Manager Automation executes itself.
//!
//! For teams that want the cloud to do the work: the runbook is [rendered](PatchRunbook::render),
//! [registered](crate::Ssm::register_runbook), [started](crate::Ssm::start_runbook) for the instances
//! with a tag, in many accounts and Regions where that is wanted, and
//! [followed](crate::Ssm::automation). Each instance has an execution of its own.

mod progress;
mod runbook;
mod start;

pub use self::{
    progress::{AutomationChild, AutomationRun, AutomationStatus, AutomationStep, StopMode},
    runbook::{PatchRunbook, RunbookDocument, StoppedInstances},
    start::{RunbookPlace, RunbookRun, RunbookTarget},
};
