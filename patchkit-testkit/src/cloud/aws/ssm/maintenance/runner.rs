//! What maintenance windows need of what runs their tasks: Run Command and Automation.

use serde_json::Value;

use super::super::{automation, commands};
use crate::cloud::{
    aws::AwsError,
    world::{State, machine::ScopeIx},
};

/// How tasks of one type are run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    /// Starts by an input of SendCommand or StartAutomationExecution; gives the id of what runs.
    pub(super) start: fn(&mut State, ScopeIx, Value) -> Result<String, AwsError>,
    /// The status of what runs; none where it is not known.
    pub(super) status: fn(&State, ScopeIx, &str) -> Option<String>,
    pub(super) cancel: fn(&mut State, ScopeIx, &str),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Runner {
    pub(super) commands: Runs,
    automations: Runs,
}

impl Runner {
    /// How a task is run; none where its type is not simulated.
    pub(super) fn of(self, task: &Value) -> Option<Runs> {
        match task["TaskType"].as_str() {
            Some("RUN_COMMAND") => Some(self.commands),
            Some("AUTOMATION") => Some(self.automations),
            _ => None,
        }
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            commands: Runs {
                start: commands::send_input,
                status: commands::status,
                cancel: commands::cancel,
            },
            automations: Runs {
                start: automation::start_input,
                status: automation::status,
                cancel: automation::cancel,
            },
        }
    }
}
