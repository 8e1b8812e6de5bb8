//! Automation: runbooks whose steps call services, for one thing or for many.

mod abroad;
mod actions;
mod flow;
mod read;
mod runbooks;
mod start;
mod template;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{AwsError, Operations},
    commands::Target,
};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeAutomationExecutions", read::describe_automation_executions),
    ("DescribeAutomationStepExecutions", read::describe_automation_step_executions),
    ("GetAutomationExecution", read::get_automation_execution),
    ("StartAutomationExecution", start::start_automation_execution),
    ("StopAutomationExecution", start::stop_automation_execution),
];

/// The executions of one account's Region.
#[derive(Debug, Default)]
pub(crate) struct Automation {
    by_number: BTreeMap<u64, Execution>,
    numbers: HashMap<Arc<str>, u64>,
}

type Parameters = BTreeMap<String, Vec<String>>;

/// One execution of a runbook; of a runbook over many targets, the parent or one of its children.
#[derive(Debug)]
struct Execution {
    id: Arc<str>,
    runbook: Arc<runbooks::Runbook>,
    parameters: Parameters,
    caller: Arc<str>,
    started: Timestamp,
    ended: Option<Timestamp>,
    status: Status,
    failure: Option<String>,
    steps: Vec<StepRun>,
    /// Someone asked it to stop after the step that it is at.
    stopping: bool,
    parent: Option<Arc<str>>,
    /// Of a child in another account or Region: where its parent is.
    parent_scope: Option<ScopeIx>,
    /// Of a child: what it is for.
    target: Option<String>,
    /// Of a parent.
    fan: Option<Fan>,
    /// Of one that runs in many accounts and Regions.
    abroad: Option<abroad::Abroad>,
}

/// How a parent goes over its targets.
#[derive(Debug)]
struct Fan {
    parameter: String,
    targets: Vec<Target>,
    values: Vec<String>,
    next: usize,
    running: usize,
    failed: usize,
    children: Vec<Arc<str>>,
    max_concurrency: String,
    max_errors: String,
    concurrency: usize,
    allowed_errors: usize,
}

/// One step of an execution.
#[derive(Debug)]
struct StepRun {
    /// The place of the step in its runbook.
    place: usize,
    id: Arc<str>,
    started: Timestamp,
    ended: Option<Timestamp>,
    status: Status,
    failure: Option<String>,
    inputs: BTreeMap<String, String>,
    outputs: Parameters,
    /// The command that it waits for.
    command: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    InProgress,
    Success,
    Failed,
    TimedOut,
    Cancelling,
    Cancelled,
    CompletedWithFailure,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::CompletedWithFailure => "CompletedWithFailure",
        }
    }

    fn is_over(self) -> bool {
        !matches!(self, Self::InProgress | Self::Cancelling)
    }
}

impl Automation {
    fn get(&self, id: &str) -> Option<&Execution> {
        self.numbers.get(id).and_then(|number| self.by_number.get(number))
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Execution> {
        self.numbers.get(id).and_then(|number| self.by_number.get_mut(number))
    }

    fn enter(&mut self, number: u64, execution: Execution) {
        self.numbers.insert(Arc::clone(&execution.id), number);
        self.by_number.insert(number, execution);
    }
}

impl State {
    fn automation(&self, scope: ScopeIx) -> &Automation {
        &self.scope(scope).ssm.automation
    }

    fn automation_mut(&mut self, scope: ScopeIx) -> &mut Automation {
        &mut self.scope_mut(scope).ssm.automation
    }
}

/// Starts an execution by an input of StartAutomationExecution, for what runs runbooks itself; gives
/// its id.
pub(crate) fn start_input(
    state: &mut State,
    scope: ScopeIx,
    value: Value,
) -> Result<String, AwsError> {
    // A window runs its tasks by a role of the account (API reference,
    // RegisterTaskWithMaintenanceWindow).
    let caller = format!("arn:aws:iam::{}:root", state.account_of(scope).id);
    start::start(state, scope, &caller, value).map(|started| started.id.to_string())
}

/// An execution's status; none where it is not known.
pub(super) fn status(state: &State, scope: ScopeIx, id: &str) -> Option<String> {
    state.automation(scope).get(id).map(|execution| execution.status.as_str().to_owned())
}

/// How an execution goes.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: String,
    pub(crate) ended: Option<Timestamp>,
    /// As DescribeAutomationStepExecutions has them.
    pub(crate) steps: Vec<Value>,
}

/// How an execution goes; none where it is not known.
pub(crate) fn told(state: &State, scope: ScopeIx, id: &str) -> Option<Told> {
    let execution = state.automation(scope).get(id)?;
    let status = execution.status.as_str().to_owned();
    Some(Told { status, ended: execution.ended, steps: read::step_values(execution) })
}

/// Cancels an execution, unless it is over.
pub(super) fn cancel(state: &mut State, scope: ScopeIx, id: &str) {
    state.cancel_execution(scope, id);
}

fn unknown(id: &str) -> AwsError {
    let message = format!("Automation execution {id} does not exist.");
    AwsError::new("AutomationExecutionNotFoundException", message)
}

/// A value as the API shows inputs: text as it is, all else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
