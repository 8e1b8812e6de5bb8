//! What maintenance windows did: executions, their tasks, and the invocations of these.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::filter::Filters,
    run::{Execution, Progress, TaskExecution},
    store, unknown,
};
use crate::cloud::aws::{AwsError, Call, Operations, page::Page, seconds};

pub(in super::super) const OPERATIONS: Operations = &[
    ("DescribeMaintenanceWindowExecutionTaskInvocations", describe_invocations),
    ("DescribeMaintenanceWindowExecutionTasks", describe_tasks),
    ("DescribeMaintenanceWindowExecutions", describe),
    ("GetMaintenanceWindowExecution", get),
];

fn describe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["ExecutedBefore", "ExecutedAfter"])?;
    let before = bound(&filters, "ExecutedBefore")?;
    let after = bound(&filters, "ExecutedAfter")?;
    let page = Page::of(call, &input, 50)?;
    let window = input["WindowId"].as_str().unwrap_or_default();
    // The latest first.
    let executions = store(call.state, call.scope).executions.iter().rev();
    let wanted = executions.filter(|it| {
        let started = it.progress.started;
        it.window == window
            && before.is_none_or(|before| started.is_some_and(|it| it < before))
            && after.is_none_or(|after| started.is_some_and(|it| it > after))
    });
    let (found, next) = page.cut(wanted);
    let executions = found.into_iter().map(|it| {
        let mut value = progress(&it.progress);
        value["WindowId"] = json!(it.window);
        value["WindowExecutionId"] = json!(it.id);
        value
    });
    Ok(json!({"WindowExecutions": executions.collect::<Vec<_>>(), "NextToken": next}))
}

fn get(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let execution = named(call, &input)?;
    let mut value = progress(&execution.progress);
    value["WindowExecutionId"] = json!(execution.id);
    value["TaskIds"] = execution.tasks.iter().map(|it| it.id.as_str()).collect();
    Ok(value)
}

fn describe_tasks(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["STATUS"])?;
    let page = Page::of(call, &input, 50)?;
    let execution = named(call, &input)?;
    let wanted = execution
        .tasks
        .iter()
        .filter(|it| filters.pass(|_, value| it.progress.status.as_str() == value));
    let (found, next) = page.cut(wanted);
    let tasks = found.into_iter().map(|TaskExecution { id, task, progress: of, .. }| {
        let mut value = progress(of);
        value["WindowExecutionId"] = json!(execution.id);
        value["TaskExecutionId"] = json!(id);
        value["TaskArn"] = task["TaskArn"].clone();
        value["TaskType"] = task["TaskType"].clone();
        value
    });
    let tasks: Vec<Value> = tasks.collect();
    Ok(json!({"WindowExecutionTaskIdentities": tasks, "NextToken": next}))
}

fn describe_invocations(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["STATUS"])?;
    let page = Page::of(call, &input, 50)?;
    let execution = named(call, &input)?;
    let id = input["TaskId"].as_str().unwrap_or_default();
    let task = execution.tasks.iter().find(|it| it.id == id);
    let task = task.ok_or_else(|| unknown("Maintenance window task execution", id))?;
    let wanted = task
        .invocations
        .iter()
        .filter(|it| filters.pass(|_, value| it.progress.status.as_str() == value));
    let (found, next) = page.cut(wanted);
    let invocations = found.into_iter().map(|it| {
        let mut value = progress(&it.progress);
        value["WindowExecutionId"] = json!(execution.id);
        value["TaskExecutionId"] = json!(task.id);
        value["InvocationId"] = json!(it.id);
        value["ExecutionId"] = json!(it.runs);
        value["TaskType"] = task.task["TaskType"].clone();
        value["Parameters"] = json!(it.parameters);
        value["OwnerInformation"] = it.owner.clone();
        value["WindowTargetId"] = json!(it.target);
        value
    });
    let invocations: Vec<Value> = invocations.collect();
    Ok(json!({"WindowExecutionTaskInvocationIdentities": invocations, "NextToken": next}))
}

fn named<'s>(call: &'s Call<'_>, input: &Value) -> Result<&'s Execution, AwsError> {
    let id = input["WindowExecutionId"].as_str().unwrap_or_default();
    let execution = store(call.state, call.scope).executions.iter().find(|it| it.id == id);
    execution.ok_or_else(|| unknown("Maintenance window execution", id))
}

fn progress(progress: &Progress) -> Value {
    json!({
        "Status": progress.status.as_str(),
        "StatusDetails": progress.details,
        "StartTime": progress.started.map(seconds),
        "EndTime": progress.ended.map(seconds),
    })
}

/// The time that a filter gives.
pub(super) fn bound(filters: &Filters<'_>, key: &str) -> Result<Option<Timestamp>, AwsError> {
    let Some([text, ..]) = filters.get(key) else { return Ok(None) };
    let refused = |_| AwsError::validation(format!("{text} is no date and time in ISO 8601"));
    text.parse().map(Some).map_err(refused)
}
