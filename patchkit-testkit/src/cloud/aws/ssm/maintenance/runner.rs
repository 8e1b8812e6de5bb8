//! What maintenance windows need of Run Command.

use serde_json::Value;

use super::super::commands;
use crate::cloud::{
    aws::AwsError,
    world::{State, machine::ScopeIx},
};

/// How tasks of maintenance windows run commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runner {
    /// Sends a command by an input of SendCommand; gives its id.
    pub(super) send: fn(&mut State, ScopeIx, Value) -> Result<String, AwsError>,
    /// The status of a command, as ListCommands has it; none where it is not known.
    pub(super) status: fn(&State, ScopeIx, &str) -> Option<String>,
    /// Cancels a command, as CancelCommand does.
    pub(super) cancel: fn(&mut State, ScopeIx, &str),
}

impl Default for Runner {
    fn default() -> Self {
        Self { send: commands::send_input, status: commands::status, cancel: commands::cancel }
    }
}
