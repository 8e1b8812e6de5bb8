//! CancelCommand: a request, not a guarantee.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::super::{Call, input},
    At, AwsError, Stage, State, unknown_command,
};
use crate::cloud::world::machine::ScopeIx;

/// How long an agent takes to stop what it does.
const STOPPING: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CancelCommand {
    command_id: String,
    #[serde(default)]
    instance_ids: Vec<String>,
}

pub(super) fn cancel_command(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let CancelCommand { command_id, instance_ids } = input(value)?;
    let scope = call.scope;
    let command = call.state.commands(scope).shown(&command_id).ok_or_else(unknown_command)?;
    if instance_ids.is_empty() {
        call.reached = super::reached(call.state, scope, &command_id);
        cancel_all(call.state, scope, &command_id);
        return Ok(json!({}));
    }
    let mut seen = HashSet::new();
    let mut places = Vec::new();
    for id in &instance_ids {
        if !seen.insert(id) {
            return Err(AwsError::new("DuplicateInstanceId", format!("{id} is given twice.")));
        }
        let place = command.invocations.iter().position(|it| *it.node == **id);
        let Some(n) = place else {
            let message = format!("The command was not sent to {id}.");
            return Err(AwsError::new("InvalidInstanceId", message));
        };
        places.push(At { scope, command: Arc::clone(&command.id), n });
    }
    for at in places {
        call.state.cancel_invocation(&at);
    }
    Ok(json!({}))
}

/// Cancels all of a command that has not ended.
pub(super) fn cancel_all(state: &mut State, scope: ScopeIx, id: &str) {
    let Some(command) = state.commands_mut(scope).get_mut(id) else { return };
    if command.stage.is_over() {
        return;
    }
    command.cancelled = true;
    command.stage = Stage::Cancelling;
    let (id, count) = (Arc::clone(&command.id), command.invocations.len());
    for n in 0..count {
        state.cancel_invocation(&At { scope, command: Arc::clone(&id), n });
    }
}

impl State {
    /// What has not reached its node is cancelled at once; what runs stops where it stands, and
    /// keeps running where its agent does not hear of it.
    fn cancel_invocation(&mut self, at: &At) {
        let Some(invocation) = self.invocation(at) else { return };
        match invocation.stage {
            Stage::Pending | Stage::Delayed => self.finish(at, Stage::Cancelled),
            Stage::InProgress => {
                self.set_stage(at, Stage::Cancelling);
                let at = at.clone();
                self.after(STOPPING, move |state| {
                    if state.invocation(&at).is_some_and(|it| it.stage == Stage::Cancelling) {
                        state.stop_work(&at);
                        state.finish(&at, Stage::Cancelled);
                    }
                });
            }
            _ => {}
        }
    }
}
