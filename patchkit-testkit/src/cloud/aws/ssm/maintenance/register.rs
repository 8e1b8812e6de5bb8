//! What a maintenance window is for: targets, and the tasks that run on them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{filter::Filters, idempotent::once},
    Window, named,
    run::pairs,
    store_mut, unknown,
};
use crate::cloud::aws::{AwsError, Call, Operations, page::Page};

pub(in super::super) const OPERATIONS: Operations = &[
    ("DeregisterTargetFromMaintenanceWindow", deregister_target),
    ("DeregisterTaskFromMaintenanceWindow", deregister_task),
    ("DescribeMaintenanceWindowTargets", describe_targets),
    ("DescribeMaintenanceWindowTasks", describe_tasks),
    ("GetMaintenanceWindowTask", get_task),
    ("RegisterTargetWithMaintenanceWindow", register_target),
    ("RegisterTaskWithMaintenanceWindow", register_task),
    ("UpdateMaintenanceWindowTarget", update_target),
    ("UpdateMaintenanceWindowTask", update_task),
];

// General Reference, Systems Manager quotas.
const MOST_TARGETS: usize = 100;
const MOST_TASKS: usize = 20;
const MOST_TARGETS_OF_A_TASK: usize = 10;

fn register_target(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    once(call, input, |call, input| {
        let (window, found) = named(call, &input)?;
        if found.targets.len() >= MOST_TARGETS {
            return Err(limit(&window, MOST_TARGETS, "targets"));
        }
        check_target(&input)?;
        let id = call.state.new_uuid();
        let kept = kept(input, "WindowTargetId", &id);
        if let Some(window) = store_mut(call.state, call.scope).windows.get_mut(&window) {
            window.targets.insert(id.clone(), kept);
        }
        Ok(json!({"WindowTargetId": id}))
    })
}

fn register_task(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    once(call, input, |call, input| {
        let (window, found) = named(call, &input)?;
        if found.tasks.len() >= MOST_TASKS {
            return Err(limit(&window, MOST_TASKS, "tasks"));
        }
        check_task(found, &input)?;
        let id = call.state.new_uuid();
        let kept = kept(input, "WindowTaskId", &id);
        if let Some(window) = store_mut(call.state, call.scope).windows.get_mut(&window) {
            window.tasks.insert(id.clone(), kept);
        }
        Ok(json!({"WindowTaskId": id}))
    })
}

fn update_target(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (window, found) = named(call, &input)?;
    let id = member(&input, "WindowTargetId").to_owned();
    let old = found.targets.get(&id).ok_or_else(|| unknown("Maintenance window target", &id))?;
    let new = changed(old, input, "ResourceType", &["Targets"])?;
    check_target(&new)?;
    let mut answer = new.clone();
    if let Some(window) = store_mut(call.state, call.scope).windows.get_mut(&window) {
        window.targets.insert(id, new);
    }
    answer["ResourceType"].take();
    Ok(answer)
}

fn update_task(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (window, found) = named(call, &input)?;
    let id = member(&input, "WindowTaskId").to_owned();
    let old = found.tasks.get(&id).ok_or_else(|| unknown("Maintenance window task", &id))?;
    let new = changed(old, input, "TaskType", &["TaskArn"])?;
    check_task(found, &new)?;
    let mut answer = with_defaults(&new);
    if let Some(window) = store_mut(call.state, call.scope).windows.get_mut(&window) {
        window.tasks.insert(id, new);
    }
    answer["TaskType"].take();
    Ok(answer)
}

/// What was registered, with the members that a request gives it. One that replaces keeps nothing
/// but the type, which is never changed, and gives what a registration requires (API reference,
/// UpdateMaintenanceWindowTask).
fn changed(
    old: &Value,
    mut input: Value,
    lasting: &str,
    required: &[&str],
) -> Result<Value, AwsError> {
    let replaces = input["Replace"].take() == true;
    if replaces && let Some(lacking) = required.iter().find(|it| input[**it].is_null()) {
        let message = format!("{lacking} is required where Replace is true");
        return Err(AwsError::validation(message));
    }
    let mut new = if replaces { json!({lasting: old[lasting]}) } else { old.clone() };
    if let Value::Object(members) = input {
        for (name, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
            new[name] = value;
        }
    }
    Ok(new)
}

/// The keys of a target are those of its type.
fn check_target(target: &Value) -> Result<(), AwsError> {
    let grouped = target["ResourceType"] == "RESOURCE_GROUP";
    let fits = |key: &str| key.starts_with("resource-groups:") == grouped;
    if pairs(&target["Targets"]).all(|(key, values)| fits(key) && !values.is_empty()) {
        return Ok(());
    }
    Err(AwsError::validation("The targets are not of the resource type, or have no values"))
}

fn check_task(window: &Window, input: &Value) -> Result<(), AwsError> {
    let refused = |message: &str| Err(AwsError::validation(message));
    let mut targets = 0;
    for (key, values) in pairs(&input["Targets"]) {
        targets += values.len();
        match key {
            "WindowTargetIds" => {
                if let Some(other) = values.iter().find(|id| !window.targets.contains_key(**id)) {
                    return Err(unknown("Maintenance window target", other));
                }
            }
            "InstanceIds" if window.settings["AllowUnassociatedTargets"] == true => {}
            "InstanceIds" => {
                return refused(
                    "The window does not allow targets that are not registered with it",
                );
            }
            _ => return refused("Targets of a task are WindowTargetIds or InstanceIds"),
        }
    }
    if targets > MOST_TARGETS_OF_A_TASK {
        let most = MOST_TARGETS_OF_A_TASK;
        return Err(AwsError::new(
            "ResourceLimitExceededException",
            format!("A task has {most} targets at most."),
        ));
    }
    // "One or more targets must be specified for Run Command-type tasks", and "a value can be
    // omitted only for a targetless task" (API reference, RegisterTaskWithMaintenanceWindow).
    if targets == 0 {
        if input["TaskType"] == "RUN_COMMAND" {
            return refused("A RUN_COMMAND task needs at least one target");
        }
        return Ok(());
    }
    if input["MaxConcurrency"].is_null() || input["MaxErrors"].is_null() {
        return refused("A task with targets needs MaxConcurrency and MaxErrors");
    }
    Ok(())
}

fn deregister_target(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (window, found) = named(call, &input)?;
    let id = member(&input, "WindowTargetId").to_owned();
    let named_by = |task: &Value| pairs(&task["Targets"]).any(|(_, ids)| ids.contains(&&*id));
    if input["Safe"] == true && found.tasks.values().any(named_by) {
        let message = format!("Target {id} is referenced by a task of the maintenance window.");
        return Err(AwsError::new("TargetInUseException", message));
    }
    let window_mut = store_mut(call.state, call.scope).windows.get_mut(&window);
    let gone = window_mut.and_then(|it| it.targets.remove(&id));
    gone.ok_or_else(|| unknown("Maintenance window target", &id))?;
    Ok(json!({"WindowId": window, "WindowTargetId": id}))
}

fn deregister_task(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (window, _) = named(call, &input)?;
    let id = member(&input, "WindowTaskId");
    let window_mut = store_mut(call.state, call.scope).windows.get_mut(&window);
    let gone = window_mut.and_then(|it| it.tasks.remove(id));
    gone.ok_or_else(|| unknown("Maintenance window task", id))?;
    Ok(json!({"WindowId": window, "WindowTaskId": id}))
}

fn describe_targets(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["Type", "WindowTargetId", "OwnerInformation"])?;
    let page = Page::of(call, &input, 50)?;
    let (_, window) = named(call, &input)?;
    let (targets, next) = page.cut(passing(&window.targets, &filters, |key| match key {
        "Type" => "ResourceType",
        other => other,
    }));
    Ok(json!({"Targets": targets, "NextToken": next}))
}

fn describe_tasks(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["WindowTaskId", "TaskArn", "Priority", "TaskType"])?;
    let page = Page::of(call, &input, 50)?;
    let (_, window) = named(call, &input)?;
    let (tasks, next) = page.cut(passing(&window.tasks, &filters, |key| key));
    // In a listing the type has another name, and how it is called is left out.
    let tasks = tasks.into_iter().map(|task| {
        let mut task = with_defaults(task);
        task["Type"] = task["TaskType"].take();
        task["TaskInvocationParameters"].take();
        task
    });
    Ok(json!({"Tasks": tasks.collect::<Vec<_>>(), "NextToken": next}))
}

fn get_task(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (_, window) = named(call, &input)?;
    let id = member(&input, "WindowTaskId");
    let task = window.tasks.get(id).ok_or_else(|| unknown("Maintenance window task", id))?;
    Ok(with_defaults(task))
}

fn with_defaults(task: &Value) -> Value {
    let mut task = task.clone();
    if task["Priority"].is_null() {
        task["Priority"] = json!(0);
    }
    if task["CutoffBehavior"].is_null() {
        task["CutoffBehavior"] = json!("CONTINUE_TASK");
    }
    task
}

fn passing<'s>(
    all: &'s BTreeMap<String, Value>,
    filters: &'s Filters<'_>,
    member: fn(&str) -> &str,
) -> impl Iterator<Item = &'s Value> {
    all.values().filter(move |it| {
        filters.pass(|key, value| match &it[member(key)] {
            Value::String(text) => text == value,
            Value::Number(number) => number.to_string() == value,
            _ => false,
        })
    })
}

/// What was asked for, as it is kept and given back.
fn kept(mut input: Value, member: &str, id: &str) -> Value {
    input["ClientToken"].take();
    input[member] = json!(id);
    input
}

fn member<'a>(input: &'a Value, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_default()
}

fn limit(window: &str, most: usize, what: &str) -> AwsError {
    AwsError::new(
        "ResourceLimitExceededException",
        format!("Maintenance window {window} has {most} {what}, its limit."),
    )
}
