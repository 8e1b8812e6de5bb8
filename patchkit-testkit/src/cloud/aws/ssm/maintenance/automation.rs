//! Tasks of maintenance windows that are runbooks: an execution for each resource, or one for none.

use serde_json::{Value, json};

use super::{super::commands, run::Batch};
use crate::cloud::{
    aws::input as read,
    world::{State, machine::ScopeIx},
};

/// The resources that a task reaches, each by itself; one batch of none where it has no targets.
pub(super) fn resources(
    state: &State,
    scope: ScopeIx,
    task: &Value,
    batches: Vec<Batch>,
) -> Vec<Batch> {
    if task["Targets"].as_array().is_none_or(Vec::is_empty) {
        return vec![Batch { target: None, owner: Value::Null, reach: ("", Value::Null) }];
    }
    let single = batches.into_iter().flat_map(|Batch { target, owner, reach }| {
        let ids = ids(state, scope, reach);
        let one = move |id| Batch {
            target: target.clone(),
            owner: owner.clone(),
            reach: ("", Value::String(id)),
        };
        ids.into_iter().map(one)
    });
    single.collect()
}

fn ids(state: &State, scope: ScopeIx, (member, reach): (&str, Value)) -> Vec<String> {
    let reach = match member {
        "InstanceIds" => json!([{"Key": "InstanceIds", "Values": reach}]),
        _ => reach,
    };
    // Targets that cannot be read reach nothing; their form was checked when they were registered.
    let targets: Vec<commands::Target> = read(reach).unwrap_or_default();
    let found = commands::resolve(state, scope, &targets).unwrap_or_default();
    let id = |at| state.machine(at).aws.as_ref().map(|aws| aws.id.to_string());
    found.into_iter().filter_map(id).collect()
}

/// The input of StartAutomationExecution that a task makes for a resource, with the names that stand
/// for it replaced (user guide, "Use pseudo parameters when registering maintenance window tasks").
pub(super) fn input(task: &Value, window: &str, target: Option<&str>, resource: &Value) -> Value {
    let how = &task["TaskInvocationParameters"]["Automation"];
    let names = [
        ("RESOURCE_ID", resource.as_str().unwrap_or_default()),
        ("TARGET_ID", resource.as_str().unwrap_or_default()),
        ("WINDOW_ID", window),
        ("WINDOW_TARGET_ID", target.unwrap_or_default()),
        ("WINDOW_TASK_ID", task["WindowTaskId"].as_str().unwrap_or_default()),
    ];
    let filled = |text: &Value| {
        let mut text = text.as_str().unwrap_or_default().to_owned();
        for (name, value) in names {
            for form in [format!("{{{{{name}}}}}"), format!("{{{{ {name} }}}}")] {
                text = text.replace(&form, value);
            }
        }
        text
    };
    let parameters = how["Parameters"].as_object().into_iter().flatten();
    let parameters: serde_json::Map<String, Value> = parameters
        .map(|(name, values)| {
            let values = values.as_array().into_iter().flatten().map(filled);
            (name.clone(), json!(values.collect::<Vec<_>>()))
        })
        .collect();
    let mut input = json!({"DocumentName": task["TaskArn"], "Parameters": parameters});
    if let Some(version) = how["DocumentVersion"].as_str() {
        input["DocumentVersion"] = json!(version);
    }
    input
}
