//! What is told of executions and of their steps.

#![expect(clippy::needless_pass_by_value, reason = "all operations have one signature")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Execution, Status, StepRun, unknown};
use crate::cloud::aws::{AwsError, Call, input, page::Page, seconds, ssm::tags::TagStore};

const PAGE: usize = 50;
/// GetAutomationExecution shows so many steps.
const STEPS_SHOWN: usize = 100;
/// `ResolvedTargets` names so many.
const TARGETS_SHOWN: usize = 100;

pub(super) fn get_automation_execution(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let id = value["AutomationExecutionId"].as_str().unwrap_or_default();
    let execution = call.state.automation(call.scope).get(id).ok_or_else(|| unknown(id))?;
    let mut shown = summary(execution);
    let steps = steps(execution);
    shown["StepExecutionsTruncated"] = json!(steps.len() > STEPS_SHOWN);
    let steps: Vec<Value> = steps.into_iter().take(STEPS_SHOWN).map(|it| it.value).collect();
    shown["StepExecutions"] = json!(steps);
    shown["TargetLocations"] = json!(execution.abroad.as_ref().map(|it| &it.locations));
    // The model has no empty value: what is given by no one and is nothing is not told.
    let told = |(_, values): &(&String, &Vec<String>)| values.iter().all(|it| !it.is_empty());
    let parameters: BTreeMap<&String, &Vec<String>> =
        execution.parameters.iter().filter(told).collect();
    shown["Parameters"] = json!(parameters);
    let children = execution.fan.iter().flat_map(|fan| &fan.children);
    let children: Vec<&Execution> =
        children.filter_map(|id| call.state.automation(call.scope).get(id)).collect();
    shown["ProgressCounters"] = match (&execution.abroad, &execution.fan) {
        (Some(abroad), _) => counters(abroad.places.len(), abroad.statuses()),
        (None, Some(fan)) => counters(fan.values.len(), children.iter().map(|it| it.status)),
        (None, None) => {
            counters(execution.runbook.steps.len(), execution.steps.iter().map(|it| it.status))
        }
    };
    Ok(json!({"AutomationExecution": shown}))
}

fn counters(total: usize, statuses: impl Iterator<Item = Status>) -> Value {
    let statuses: Vec<Status> = statuses.collect();
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    json!({
        "TotalSteps": total,
        "SuccessSteps": count(Status::Success),
        "FailedSteps": count(Status::Failed),
        "CancelledSteps": count(Status::Cancelled),
        "TimedOutSteps": count(Status::TimedOut),
    })
}

/// What a list of executions and one execution have in common.
fn summary(execution: &Execution) -> Value {
    let current = execution.steps.last().filter(|it| !it.status.is_over());
    let current = current.map(|it| &execution.runbook.steps[it.place]);
    let fan = execution.fan.as_ref();
    json!({
        "AutomationExecutionId": &*execution.id,
        "DocumentName": &*execution.runbook.name,
        "DocumentVersion": "1",
        "ExecutionStartTime": seconds(execution.started),
        "ExecutionEndTime": execution.ended.map(seconds),
        "AutomationExecutionStatus": execution.status.as_str(),
        "ExecutedBy": &*execution.caller,
        "Mode": "Auto",
        "Outputs": {},
        "FailureMessage": execution.failure,
        "CurrentStepName": current.map(|it| it.name.as_str()),
        "CurrentAction": current.map(|it| it.action.as_str()),
        "ParentAutomationExecutionId": execution.parent,
        "Target": execution.target,
        "TargetParameterName": fan.map(|it| it.parameter.as_str()),
        "Targets": fan.map_or(&[][..], |it| &it.targets),
        "MaxConcurrency": fan.map(|it| it.max_concurrency.as_str()),
        "MaxErrors": fan.map(|it| it.max_errors.as_str()),
        "ResolvedTargets": {
            "ParameterValues": fan.map_or(&[][..], |it| {
                &it.values[..it.values.len().min(TARGETS_SHOWN)]
            }),
            "Truncated": fan.is_some_and(|it| it.values.len() > TARGETS_SHOWN),
        },
    })
}

fn step(execution: &Execution, run: &StepRun) -> Value {
    let step = &execution.runbook.steps[run.place];
    json!({
        "StepExecutionId": &*run.id,
        "StepName": step.name,
        "Action": step.action,
        "ExecutionStartTime": seconds(run.started),
        "ExecutionEndTime": run.ended.map(seconds),
        "StepStatus": run.status.as_str(),
        "ResponseCode": run.outputs.get("ResponseCode").and_then(|it| it.first()),
        "Inputs": run.inputs,
        "Outputs": run.outputs,
        "FailureMessage": run.failure,
        "FailureDetails": run.failure.as_ref().map(|_| json!({
            "FailureStage": "Execution",
            "FailureType": "Action",
            "Details": {},
        })),
        "OnFailure": step.on_failure.as_deref().unwrap_or("Abort"),
        "IsEnd": step.is_end.unwrap_or(false),
        "IsCritical": step.is_critical.unwrap_or(true),
        "NextStep": step.next,
        "TimeoutSeconds": step.timeout_seconds,
        "MaxAttempts": 1,
        "OverriddenParameters": {},
        "ValidNextSteps": [],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
}

fn filters(value: &Value) -> Result<Vec<Filter>, AwsError> {
    match &value["Filters"] {
        Value::Null => Ok(Vec::new()),
        list => input(list.clone()),
    }
}

pub(super) fn describe_automation_executions(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let filters = filters(&value)?;
    // Children are listed where someone asks for them.
    let with_children =
        filters.iter().any(|it| it.key == "ParentExecutionId" || it.key == "ExecutionId");
    let tags = &call.here().ssm.tags;
    let mut found = Vec::new();
    for execution in call.state.automation(call.scope).by_number.values().rev() {
        if (with_children || execution.parent.is_none()) && passes(execution, tags, &filters)? {
            found.push(execution);
        }
    }
    let (found, next) = page.cut(found);
    let list: Vec<Value> = found
        .into_iter()
        .map(|it| {
            let mut shown = summary(it);
            shown["AutomationType"] = json!(kind(it));
            shown["LogFile"] = json!("");
            shown
        })
        .collect();
    Ok(json!({"AutomationExecutionMetadataList": list, "NextToken": next}))
}

/// Whether it runs where it was started, or in many accounts and Regions.
fn kind(execution: &Execution) -> &'static str {
    if execution.abroad.is_some() { "CrossAccount" } else { "Local" }
}

fn passes(execution: &Execution, tags: &TagStore, filters: &[Filter]) -> Result<bool, AwsError> {
    for Filter { key, values } in filters {
        let any = |text: &str| values.iter().any(|it| it == text);
        let passes = match key.as_str() {
            "DocumentNamePrefix" => {
                values.iter().any(|it| execution.runbook.name.starts_with(it.as_str()))
            }
            "ExecutionStatus" => any(execution.status.as_str()),
            "ExecutionId" => any(&execution.id),
            "ParentExecutionId" => execution.parent.as_deref().is_some_and(any),
            "CurrentAction" => {
                let current = execution.steps.last().filter(|it| !it.status.is_over());
                current.is_some_and(|it| any(&execution.runbook.steps[it.place].action))
            }
            "StartTimeBefore" => execution.started < time(values)?,
            "StartTimeAfter" => execution.started > time(values)?,
            "AutomationType" => any(kind(execution)),
            "TagKey" => tags.of("Automation", &execution.id).iter().any(|(key, _)| any(key)),
            _ => return Err(filter_key(key)),
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn filter_key(key: &str) -> AwsError {
    AwsError::new("InvalidFilterKey", format!("The filter key {key} is not supported."))
}

fn time(values: &[String]) -> Result<Timestamp, AwsError> {
    let text = values.first().map(String::as_str).unwrap_or_default();
    text.parse()
        .map_err(|_| AwsError::new("InvalidFilterValue", format!("{text:?} is not a time.")))
}

pub(super) fn describe_automation_step_executions(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let id = value["AutomationExecutionId"].as_str().unwrap_or_default();
    let execution = call.state.automation(call.scope).get(id).ok_or_else(|| unknown(id))?;
    let filters = filters(&value)?;
    let mut found = Vec::new();
    for step in steps(execution) {
        if step_passes(&step, &filters)? {
            found.push(step);
        }
    }
    if value["ReverseOrder"].as_bool() == Some(true) {
        found.reverse();
    }
    let (found, next) = page.cut(found);
    let steps: Vec<Value> = found.into_iter().map(|it| it.value).collect();
    Ok(json!({"StepExecutions": steps, "NextToken": next}))
}

/// One step as it is told, and when it began.
struct Told {
    value: Value,
    started: Timestamp,
}

/// The steps of an execution; of one in many accounts and Regions, one for each place.
fn steps(execution: &Execution) -> Vec<Told> {
    if let Some(abroad) = &execution.abroad {
        let places = abroad.places.iter().filter_map(|it| {
            let started = it.started?;
            Some(Told { value: it.step(&abroad.locations[it.location]), started })
        });
        return places.collect();
    }
    let own = |run: &StepRun| Told { value: step(execution, run), started: run.started };
    execution.steps.iter().map(own).collect()
}

pub(super) fn step_values(execution: &Execution) -> Vec<Value> {
    steps(execution).into_iter().map(|it| it.value).collect()
}

fn step_passes(step: &Told, filters: &[Filter]) -> Result<bool, AwsError> {
    for Filter { key, values } in filters {
        let any = |member: &str| values.iter().any(|it| step.value[member] == **it);
        let passes = match key.as_str() {
            "StepExecutionStatus" => any("StepStatus"),
            "StepExecutionId" | "StepName" | "Action" => any(key),
            "StartTimeBefore" => step.started < time(values)?,
            "StartTimeAfter" => step.started > time(values)?,
            _ => return Err(filter_key(key)),
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}
