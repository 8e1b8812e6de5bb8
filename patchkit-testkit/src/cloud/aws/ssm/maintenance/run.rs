//! What a maintenance window does when it opens: its tasks, by priority, until its cutoff.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Window, automation, store, store_mut};
use crate::cloud::world::{State, machine::ScopeIx};

/// How often a window asks how its commands stand.
const LOOK: Duration = Duration::from_secs(30);

/// How long what a window did can be asked for.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The most instances that one command names (service model, SendCommand).
const BATCH: usize = 50;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Pending,
    InProgress,
    Success,
    Failed,
    TimedOut,
    Cancelled,
    SkippedOverlapping,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Cancelled => "CANCELLED",
            Self::SkippedOverlapping => "SKIPPED_OVERLAPPING",
        }
    }

    fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }

    /// What several come to together, the worst of them; success where there are none.
    fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<Self> = all.into_iter().collect();
        let order =
            [Self::InProgress, Self::Pending, Self::Failed, Self::TimedOut, Self::Cancelled];
        order.into_iter().find(|it| all.contains(it)).unwrap_or(Self::Success)
    }
}

/// How something stands, and since when.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) status: Status,
    pub(super) details: Option<String>,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
}

impl Progress {
    fn pending() -> Self {
        Self { status: Status::Pending, details: None, started: None, ended: None }
    }

    fn begin(&mut self, now: Timestamp) {
        (self.status, self.started) = (Status::InProgress, Some(now));
    }

    fn end(&mut self, status: Status, now: Timestamp) {
        (self.status, self.ended) = (status, Some(now));
        self.started = self.started.or(Some(now));
    }
}

/// One time that a window opened.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) window: String,
    pub(super) progress: Progress,
    /// From when no task may start.
    cutoff: Timestamp,
    pub(super) tasks: Vec<TaskExecution>,
}

#[derive(Debug)]
pub(super) struct TaskExecution {
    pub(super) id: String,
    /// The task as it was registered when the window opened.
    pub(super) task: Value,
    pub(super) progress: Progress,
    pub(super) invocations: Vec<Invocation>,
}

#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) id: String,
    /// The command or the execution that it is.
    pub(super) runs: Option<String>,
    pub(super) parameters: String,
    pub(super) target: Option<String>,
    pub(super) owner: Value,
    pub(super) progress: Progress,
}

/// What a task reaches by one command.
pub(super) struct Batch {
    /// The registered target that it is.
    pub(super) target: Option<String>,
    pub(super) owner: Value,
    /// `InstanceIds` or `Targets` of a command; of an automation, one resource or none.
    pub(super) reach: (&'static str, Value),
}

/// Enters the next time that a window opens; what was entered before is void.
pub(super) fn plan(state: &mut State, scope: ScopeIx, id: &str) {
    let now = state.now;
    let Some(window) = store_mut(state, scope).windows.get_mut(id) else { return };
    window.plan += 1;
    let plan = window.plan;
    if let Some(next) = window.next(now) {
        let id = id.to_owned();
        state.at(next, move |state| open(state, scope, &id, plan));
    }
}

fn open(state: &mut State, scope: ScopeIx, id: &str, planned: u64) {
    let now = state.now;
    let Some(window) = store(state, scope).windows.get(id).filter(|it| it.plan == planned) else {
        return;
    };
    let open_for = SignedDuration::from_hours(window.hours("Duration") - window.hours("Cutoff"));
    let mut tasks: Vec<Value> = window.tasks.values().cloned().collect();
    tasks.sort_by_key(priority);
    plan(state, scope, id);
    let tasks = tasks.into_iter().map(|task| TaskExecution {
        id: state.new_uuid(),
        task,
        progress: Progress::pending(),
        invocations: Vec::new(),
    });
    let tasks: Vec<TaskExecution> = tasks.collect();
    let execution = state.new_uuid();
    let mut made = Execution {
        id: execution.clone(),
        window: id.to_owned(),
        progress: Progress::pending(),
        cutoff: now.checked_add(open_for).unwrap_or(Timestamp::MAX),
        tasks,
    };
    made.progress.begin(now);
    let cutoff = made.cutoff;
    let store = store_mut(state, scope);
    store
        .executions
        .retain(|it| it.progress.ended.is_none_or(|ended| now.duration_since(ended) < KEPT));
    let runs = |it: &Execution| it.window == id && it.progress.ended.is_none();
    if store.executions.iter().any(runs) {
        made.progress.end(Status::SkippedOverlapping, now);
        made.progress.details = Some("The execution before it has not ended.".to_owned());
        made.tasks.clear();
    } else if made.tasks.is_empty() {
        made.progress.end(Status::Success, now);
        made.progress.details = Some("No tasks to execute.".to_owned());
    }
    let goes_on = made.progress.ended.is_none();
    store.executions.push(made);
    if goes_on {
        state.at(cutoff, {
            let execution = execution.clone();
            move |state| cut_off(state, scope, &execution)
        });
        go_on(state, scope, &execution);
    }
}

fn priority(task: &Value) -> u64 {
    // What it is where none is given is documented nowhere; here it is the first.
    task["Priority"].as_u64().unwrap_or(0)
}

fn find<'s>(state: &'s mut State, scope: ScopeIx, id: &str) -> Option<&'s mut Execution> {
    store_mut(state, scope).executions.iter_mut().find(|it| it.id == id)
}

/// Starts the tasks that are next, or ends the execution where none is left.
fn go_on(state: &mut State, scope: ScopeIx, id: &str) {
    let now = state.now;
    let Some(execution) = find(state, scope, id) else { return };
    let status = Status::of_all(execution.tasks.iter().map(|it| it.progress.status));
    if status.is_over() {
        if execution.progress.ended.is_none() {
            execution.progress.end(status, now);
        }
        return;
    }
    // Tasks of one priority run in parallel, those of the next after them.
    let pending = |it: &&TaskExecution| it.progress.status == Status::Pending;
    let next = execution.tasks.iter().find(pending).map(|it| priority(&it.task));
    if status != Status::Pending || now >= execution.cutoff {
        return;
    }
    let places: Vec<usize> = (0..execution.tasks.len())
        .filter(|at| {
            let it = &execution.tasks[*at];
            it.progress.status == Status::Pending && Some(priority(&it.task)) == next
        })
        .collect();
    for place in places {
        start(state, scope, id, place);
    }
    look(state, scope, id);
}

fn start(state: &mut State, scope: ScopeIx, id: &str, place: usize) {
    let now = state.now;
    let Some(execution) = find(state, scope, id) else { return };
    let (window, task) = (execution.window.clone(), execution.tasks[place].task.clone());
    let mut batches = match store(state, scope).windows.get(&window) {
        Some(window) => batches(window, &task),
        None => Vec::new(),
    };
    let is_automation = task["TaskType"] == "AUTOMATION";
    if is_automation {
        batches = automation::resources(state, scope, &task, batches);
    }
    let runner = store(state, scope).runner.of(&task);
    let mut invocations = Vec::new();
    for Batch { target, owner, reach } in batches {
        let input = if is_automation {
            automation::input(&task, &window, target.as_deref(), &reach.1)
        } else {
            command(&task, reach)
        };
        let mut invocation = Invocation {
            id: state.new_uuid(),
            runs: None,
            parameters: parameters(&input).to_string(),
            target,
            owner,
            progress: Progress::pending(),
        };
        invocation.progress.begin(now);
        match runner.map(|it| (it.start)(state, scope, input)) {
            Some(Ok(started)) => invocation.runs = Some(started),
            Some(Err(error)) => {
                invocation.progress.end(Status::Failed, now);
                invocation.progress.details = Some(shortened(&error.message));
            }
            None => {
                invocation.progress.end(Status::Failed, now);
                let details = format!("{} is not simulated.", task["TaskType"]);
                invocation.progress.details = Some(details);
            }
        }
        invocations.push(invocation);
    }
    let Some(execution) = find(state, scope, id) else { return };
    let execution = &mut execution.tasks[place];
    execution.progress.begin(now);
    if invocations.is_empty() {
        execution.progress.end(Status::Failed, now);
        execution.progress.details = Some("The task has no targets.".to_owned());
    }
    execution.invocations = invocations;
}

/// `StatusDetails` holds 250 characters (service model).
fn shortened(message: &str) -> String {
    message.chars().take(250).collect()
}

/// Asks how what an execution runs stands, and again later while one of them runs.
fn look(state: &mut State, scope: ScopeIx, id: &str) {
    let now = state.now;
    let runner = store(state, scope).runner;
    let Some(execution) = store(state, scope).executions.iter().find(|it| it.id == id) else {
        return;
    };
    let mut ended = Vec::new();
    for (place, task) in execution.tasks.iter().enumerate() {
        let Some(runs) = runner.of(&task.task) else { continue };
        for (at, it) in task.invocations.iter().enumerate() {
            if let (Status::InProgress, Some(id)) = (it.progress.status, &it.runs) {
                let status = of_run((runs.status)(state, scope, id).as_deref());
                if status.is_over() {
                    ended.push((place, at, status));
                }
            }
        }
    }
    let Some(execution) = find(state, scope, id) else { return };
    for (place, at, status) in ended {
        execution.tasks[place].invocations[at].progress.end(status, now);
    }
    for task in &mut execution.tasks {
        let status = Status::of_all(task.invocations.iter().map(|it| it.progress.status));
        if task.progress.status == Status::InProgress && status.is_over() {
            task.progress.end(status, now);
        }
    }
    let runs = |it: &TaskExecution| it.progress.status == Status::InProgress;
    if execution.tasks.iter().any(runs) {
        let id = id.to_owned();
        state.after(LOOK, move |state| look(state, scope, &id));
    } else {
        go_on(state, scope, id);
    }
}

fn of_run(status: Option<&str>) -> Status {
    match status {
        Some("Pending" | "InProgress" | "Delayed" | "Cancelling") => Status::InProgress,
        Some("Success") => Status::Success,
        Some("TimedOut") => Status::TimedOut,
        Some("Cancelled") => Status::Cancelled,
        _ => Status::Failed,
    }
}

/// Nothing starts from here on, and what tasks that say so run is cancelled: "the status
/// for tasks that are not completed is TIMED_OUT" (API reference, RegisterTaskWithMaintenanceWindow).
fn cut_off(state: &mut State, scope: ScopeIx, id: &str) {
    let now = state.now;
    let runner = store(state, scope).runner;
    let Some(execution) = find(state, scope, id) else { return };
    let mut running = Vec::new();
    for task in &mut execution.tasks {
        let cancels = task.task["CutoffBehavior"] == "CANCEL_TASK";
        let ends = match task.progress.status {
            Status::Pending => true,
            Status::InProgress => cancels,
            _ => false,
        };
        if !ends {
            continue;
        }
        task.progress.end(Status::TimedOut, now);
        let Some(runs) = runner.of(&task.task) else { continue };
        for it in task.invocations.iter_mut().filter(|it| !it.progress.status.is_over()) {
            it.progress.end(Status::TimedOut, now);
            running.extend(it.runs.clone().map(|id| (runs.cancel, id)));
        }
    }
    for (cancel, id) in running {
        cancel(state, scope, &id);
    }
    go_on(state, scope, id);
}

/// What a task reaches, by the targets that are registered now.
fn batches(window: &Window, task: &Value) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (key, values) in pairs(&task["Targets"]) {
        if key == "WindowTargetIds" {
            for id in values {
                let Some(target) = window.targets.get(id) else { continue };
                let owner = &target["OwnerInformation"];
                batches.extend(reaches(&target["Targets"]).into_iter().map(|reach| Batch {
                    target: Some(id.to_owned()),
                    owner: owner.clone(),
                    reach,
                }));
            }
        } else {
            let reaches = reaches(&json!([{"Key": key, "Values": values}]));
            batches.extend(reaches.into_iter().map(|reach| Batch {
                target: None,
                owner: Value::Null,
                reach,
            }));
        }
    }
    batches
}

fn reaches(targets: &Value) -> Vec<(&'static str, Value)> {
    let pairs: Vec<(&str, Vec<&str>)> = pairs(targets).collect();
    if pairs.iter().all(|(key, _)| *key == "InstanceIds") {
        let ids: Vec<&str> = pairs.into_iter().flat_map(|(_, values)| values).collect();
        return ids.chunks(BATCH).map(|ids| ("InstanceIds", json!(ids))).collect();
    }
    vec![("Targets", targets.clone())]
}

/// The keys of targets with their values.
pub(super) fn pairs(targets: &Value) -> impl Iterator<Item = (&str, Vec<&str>)> {
    targets.as_array().into_iter().flatten().map(|target| {
        let values = target["Values"].as_array().into_iter().flatten();
        (target["Key"].as_str().unwrap_or_default(), values.filter_map(Value::as_str).collect())
    })
}

/// The input of SendCommand that a task makes for what it reaches.
fn command(task: &Value, (member, reach): (&str, Value)) -> Value {
    let how = &task["TaskInvocationParameters"]["RunCommand"];
    let mut input = Map::new();
    for member in [
        "CloudWatchOutputConfig",
        "Comment",
        "DocumentHash",
        "DocumentHashType",
        "DocumentVersion",
        "NotificationConfig",
        "OutputS3BucketName",
        "OutputS3KeyPrefix",
        "Parameters",
        "ServiceRoleArn",
        "TimeoutSeconds",
    ] {
        input.insert(member.to_owned(), how[member].clone());
    }
    // The older way to say the same (API reference, RegisterTaskWithMaintenanceWindow).
    if let (Value::Null, Some(older)) = (&how["Parameters"], task["TaskParameters"].as_object()) {
        let older = older.iter().map(|(name, it)| (name.clone(), it["Values"].clone()));
        input.insert("Parameters".to_owned(), Value::Object(older.collect()));
    }
    let logging = &task["LoggingInfo"];
    for (member, older) in
        [("OutputS3BucketName", "S3BucketName"), ("OutputS3KeyPrefix", "S3KeyPrefix")]
    {
        if how[member].is_null() {
            input.insert(member.to_owned(), logging[older].clone());
        }
    }
    input.insert("DocumentName".to_owned(), task["TaskArn"].clone());
    input.insert("MaxConcurrency".to_owned(), task["MaxConcurrency"].clone());
    input.insert("MaxErrors".to_owned(), task["MaxErrors"].clone());
    input.insert(member.to_owned(), reach);
    input.retain(|_, value| !value.is_null());
    Value::Object(input)
}

/// A command as an invocation tells it: the same members, with small first letters.
fn parameters(command: &Value) -> Value {
    let told =
        ["DocumentName", "InstanceIds", "MaxConcurrency", "MaxErrors", "Parameters", "Targets"];
    let given = told.into_iter().filter(|name| !command[*name].is_null());
    let small = |name: &str| {
        let mut letters = name.chars();
        let first = letters.next().map(|it| it.to_ascii_lowercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    given.map(|name| (small(name), command[name].clone())).collect()
}
