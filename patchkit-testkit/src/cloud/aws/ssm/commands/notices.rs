//! What is told to a topic when a command changes.

use serde_json::{Value, json};

use super::{At, Command, Stage, State, stamp};
use crate::cloud::{aws::sns::Post, world::machine::ScopeIx};

/// Tells of a command's status, where someone wants to know.
pub(super) fn of_command(state: &mut State, scope: ScopeIx, id: &str) {
    let Some(command) = state.commands(scope).get(id) else { return };
    let message = json!({
        "commandId": &*command.id,
        "documentName": &*command.document.name,
        "instanceIds": command.request.instance_ids,
        "requestedDateTime": stamp(command.requested),
        "expiresAfter": stamp(command.expires),
        "outputS3BucketName": command.request.bucket.as_deref().unwrap_or_default(),
        "outputS3KeyPrefix": command.request.prefix.as_deref().unwrap_or_default(),
        "status": command.stage.status(),
        "eventTime": stamp(state.now),
    });
    let Some(topic) = topic(state, scope, command, (command.stage, "Command")) else { return };
    let subject = format!("EC2 Run Command Notification {}", state.scope(scope).region);
    publish(state, scope, &topic, &subject, &message);
}

/// Tells of an invocation's status, where someone wants to know.
pub(super) fn of_invocation(state: &mut State, at: &At) {
    let Some(command) = state.command_at(at) else { return };
    let invocation = &command.invocations[at.n];
    let of = (invocation.stage, "Invocation");
    let Some(topic) = topic(state, at.scope, command, of) else { return };
    let message = json!({
        "commandId": &*command.id,
        "documentName": &*command.document.name,
        "instanceId": &*invocation.node,
        "requestedDateTime": stamp(command.requested),
        "status": invocation.stage.status(),
        "eventTime": stamp(state.now),
    });
    let subject = format!("EC2 Run Command Notification {}", state.scope(at.scope).region);
    publish(state, at.scope, &topic, &subject, &message);
}

/// The topic that wants to know of this stage, if one does and its role may publish.
fn topic(
    state: &State,
    scope: ScopeIx,
    command: &Command,
    (stage, of): (Stage, &str),
) -> Option<String> {
    let config = command.request.notification_config.as_ref()?;
    // Without a type, it is the command's own changes that are told.
    let wanted = config.of.as_deref().unwrap_or("Command") == of;
    let status = stage.status();
    let events = &config.events;
    let told = events.is_empty() || events.iter().any(|it| it == "All" || it == status);
    if !wanted || !told {
        return None;
    }
    let role = role_of(state, scope, command.request.service_role_arn.as_deref()?)?;
    let publishes = state.account_of(scope).identity.allows(role, "sns:Publish");
    publishes.then(|| config.topic.clone())
}

/// The name of a role by its ARN, where the service can assume it.
pub(super) fn role_of<'r>(state: &State, scope: ScopeIx, arn: &'r str) -> Option<&'r str> {
    let account = state.account_of(scope);
    account.identity.role_for("ssm.amazonaws.com", &account.id, arn)
}

fn publish(state: &mut State, scope: ScopeIx, topic: &str, subject: &str, message: &Value) {
    // A topic that is gone gets nothing, and its command does not care.
    let message = message.to_string();
    let post = Post { subject: Some(subject), message: &message, attributes: &Value::Null };
    let _ = state.publish(scope, topic, post);
}
