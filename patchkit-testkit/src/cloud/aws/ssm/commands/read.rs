//! ListCommands, ListCommandInvocations and GetCommandInvocation.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::super::{Call, input, page::Page},
    AwsError, Command, Invocation, Stage,
    output::{self, Details},
    unknown_command,
};
use crate::cloud::world::clock::earlier;

const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    command_id: Option<String>,
    instance_id: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    details: bool,
}

#[derive(Deserialize)]
struct Filter {
    key: String,
    value: String,
}

/// What is asked for, as far as commands go.
struct Wanted {
    command: Option<String>,
    node: Option<String>,
    after: Timestamp,
    before: Timestamp,
    status: Option<String>,
    document: Option<String>,
    executing: Option<bool>,
}

impl Wanted {
    fn of(call: &Call<'_>, list: List) -> Result<Self, AwsError> {
        let commands = call.state.commands(call.scope);
        if list.command_id.as_ref().is_some_and(|id| commands.shown(id).is_none()) {
            return Err(unknown_command());
        }
        if let Some(id) = &list.instance_id
            && call.state.find(call.scope, id).is_none()
        {
            return Err(unknown_node(id));
        }
        let mut wanted = Self {
            command: list.command_id,
            node: list.instance_id,
            // Older ones may still be stored; the service shows thirty days.
            after: earlier(call.state.now, super::KEPT),
            before: Timestamp::MAX,
            status: None,
            document: None,
            executing: None,
        };
        for Filter { key, value } in list.filters {
            match key.as_str() {
                "InvokedAfter" => wanted.after = wanted.after.max(time(&value)?),
                "InvokedBefore" => wanted.before = time(&value)?,
                "Status" => wanted.status = Some(value),
                "DocumentName" => wanted.document = Some(value),
                "ExecutionStage" if call.operation == "ListCommands" => {
                    wanted.executing = Some(match value.as_str() {
                        "Executing" => true,
                        "Complete" => false,
                        _ => return Err(filter(&key, &value)),
                    });
                }
                _ => {
                    let message = format!("The filter key {key} is not valid here.");
                    return Err(AwsError::new("InvalidFilterKey", message));
                }
            }
        }
        Ok(wanted)
    }

    /// Whether a command passes all but the status.
    fn takes(&self, command: &Command) -> bool {
        self.command.as_ref().is_none_or(|id| **id == *command.id)
            && command.requested >= self.after
            && command.requested < self.before
            && self.document.as_ref().is_none_or(|name| **name == *command.document.name)
            && self.executing.is_none_or(|it| it != command.stage.is_over())
    }

    fn has_status(&self, stage: Stage) -> bool {
        self.status.as_ref().is_none_or(|status| stage.is_called(status))
    }
}

fn time(value: &str) -> Result<Timestamp, AwsError> {
    value.parse().map_err(|_| filter("time", value))
}

fn filter(key: &str, value: &str) -> AwsError {
    AwsError::validation(format!("The value {value:?} is not valid for the filter {key}."))
}

fn unknown_node(id: &str) -> AwsError {
    AwsError::new("InvalidInstanceId", format!("Instance {id} is not valid for this account."))
}

pub(super) fn list_commands(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let wanted = Wanted::of(call, input(value)?)?;
    let now = call.state.now;
    let is_on = |command: &Command| {
        wanted.node.as_ref().is_none_or(|id| {
            command.invocations.iter().any(|it| *it.node == **id && it.visible_from <= now)
        })
    };
    let commands = call.state.commands(call.scope).newest().filter(|command| {
        wanted.takes(command) && wanted.has_status(command.stage) && is_on(command)
    });
    let (commands, next) = page.cut(commands);
    let region = call.region();
    let commands: Vec<Value> =
        commands.into_iter().map(|command| output::command(command, region)).collect();
    Ok(json!({"Commands": commands, "NextToken": next}))
}

pub(super) fn list_command_invocations(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let list: List = input(value)?;
    let details = if list.details { Details::Shown } else { Details::Hidden };
    let wanted = Wanted::of(call, list)?;
    let now = call.state.now;
    let commands = call.state.commands(call.scope);
    // One command of many needs no search.
    let one = wanted.command.as_ref().and_then(|id| commands.shown(id));
    let many = wanted.command.is_none().then(|| commands.newest());
    let commands = one.into_iter().chain(many.into_iter().flatten());
    let invocations = commands.filter(|command| wanted.takes(command)).flat_map(|command| {
        let shown = |it: &&Invocation| {
            it.visible_from <= now
                && wanted.has_status(it.stage)
                && wanted.node.as_ref().is_none_or(|id| *it.node == **id)
        };
        command.invocations.iter().filter(shown).map(move |it| (command, it))
    });
    let (invocations, next) = page.cut(invocations);
    let region = call.region();
    let invocations: Vec<Value> = invocations
        .into_iter()
        .map(|(command, it)| output::invocation(command, it, region, details))
        .collect();
    Ok(json!({"CommandInvocations": invocations, "NextToken": next}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    command_id: String,
    instance_id: String,
    plugin_name: Option<String>,
}

pub(super) fn get_command_invocation(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let Get { command_id, instance_id, plugin_name } = input(value)?;
    let now = call.state.now;
    let known = call.state.commands(call.scope).shown(&command_id).and_then(|command| {
        let it = command.invocations.iter().find(|it| *it.node == *instance_id);
        it.filter(|it| it.visible_from <= now).map(|it| (command, it))
    });
    // An unknown command has no invocations either: the service answers the same.
    let (command, invocation) = known.ok_or_else(|| {
        let message = "The command ID and managed node ID you specified didn't match any \
                       invocations.";
        AwsError::new("InvocationDoesNotExist", message)
    })?;
    let plugin = match (plugin_name.as_deref(), invocation.plugins.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), plugins) => {
            let plugin = plugins.iter().find(|it| it.name == name);
            Some(plugin.ok_or_else(|| {
                AwsError::new("InvalidPluginName", "The plugin name isn't valid.")
            })?)
        }
    };
    Ok(output::detail(command, invocation, plugin, call.region()))
}
