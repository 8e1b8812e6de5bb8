//! Executions go from step to step, and parents from target to target.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Execution, Parameters, State, Status, StepRun, shown, template::Names};
use crate::cloud::{aws::ssm::commands, world::machine::ScopeIx};

/// Automation takes a moment between steps.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long stopping takes.
const STOPPING: Duration = Duration::from_secs(3);
/// A step's own, where the runbook gives none.
const STEP_TIMEOUT: u64 = 3_600;

/// The place of a step in an execution.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) scope: ScopeIx,
    pub(super) execution: Arc<str>,
    /// Which of the steps that it has come to.
    pub(super) run: usize,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub(super) struct StepEnd {
    pub(super) status: Status,
    pub(super) failure: Option<String>,
    pub(super) outputs: Parameters,
}

impl StepEnd {
    pub(super) fn success(outputs: Parameters) -> Self {
        Self { status: Status::Success, failure: None, outputs }
    }

    pub(super) fn failure(message: impl Into<String>) -> Self {
        let outputs = BTreeMap::new();
        Self { status: Status::Failed, failure: Some(message.into()), outputs }
    }
}

impl State {
    /// Enters an execution and begins its first step.
    pub(super) fn begin_execution(&mut self, scope: ScopeIx, execution: Execution) -> Arc<str> {
        let id = Arc::clone(&execution.id);
        let number = self.next_number();
        self.automation_mut(scope).enter(number, execution);
        self.begin_step(scope, &id, 0);
        id
    }

    /// Enters the parent of many, and begins the first of them.
    pub(super) fn begin_fan(&mut self, scope: ScopeIx, execution: Execution) -> Arc<str> {
        let id = Arc::clone(&execution.id);
        let number = self.next_number();
        self.automation_mut(scope).enter(number, execution);
        self.feed(scope, &id);
        id
    }

    /// Begins as many children of a parent as it may have; ends it after the last one.
    pub(super) fn feed(&mut self, scope: ScopeIx, id: &Arc<str>) {
        loop {
            let Some(parent) = self.automation_mut(scope).get_mut(id) else { return };
            let stopped = parent.stopping || parent.status != Status::InProgress;
            let Some(fan) = &mut parent.fan else { return };
            let full = fan.running >= fan.concurrency;
            let stopped = stopped || fan.failed > fan.allowed_errors;
            if stopped || full || fan.next >= fan.values.len() {
                break;
            }
            let value = fan.values[fan.next].clone();
            fan.next += 1;
            fan.running += 1;
            let mut parameters = parent.parameters.clone();
            parameters.insert(fan.parameter.clone(), vec![value.clone()]);
            let (runbook, caller) = (Arc::clone(&parent.runbook), Arc::clone(&parent.caller));
            let mut child = self.new_execution(runbook, parameters, caller);
            child.parent = Some(Arc::clone(id));
            child.target = Some(value);
            if let Some(fan) = self.automation_mut(scope).get_mut(id).and_then(|it| it.fan.as_mut())
            {
                fan.children.push(Arc::clone(&child.id));
            }
            let child_id = Arc::clone(&child.id);
            let number = self.next_number();
            self.automation_mut(scope).enter(number, child);
            // Not at once: many that fail in their first step would nest as deep.
            self.after(Duration::ZERO, move |state| state.begin_step(scope, &child_id, 0));
        }
        let now = self.now;
        let Some(parent) = self.automation_mut(scope).get_mut(id) else { return };
        let Some(fan) = &parent.fan else { return };
        if fan.running > 0 || parent.status.is_over() {
            return;
        }
        let (failed, allowed, all) = (fan.failed, fan.allowed_errors, fan.next >= fan.values.len());
        parent.ended = Some(now);
        parent.status = match (parent.status, failed) {
            (Status::Cancelling, _) => Status::Cancelled,
            (_, failed) if failed > allowed => Status::Failed,
            _ if !all => Status::Cancelled,
            (_, 0) => Status::Success,
            _ => Status::CompletedWithFailure,
        };
        if failed > allowed {
            parent.failure = Some(format!("{failed} of the targets failed."));
        }
        let (status, above) = (parent.status, parent.parent.clone().zip(parent.parent_scope));
        if let Some((above, there)) = above {
            self.end_abroad_child(there, &above, id, status);
        }
    }

    /// Begins the step at this place of the runbook.
    pub(super) fn begin_step(&mut self, scope: ScopeIx, id: &Arc<str>, place: usize) {
        let now = self.now;
        let step_id: Arc<str> = self.new_uuid().into();
        let region = Arc::clone(&self.scope(scope).region);
        let account = Arc::clone(&self.account_of(scope).id);
        let Some(execution) = self.automation_mut(scope).get_mut(id) else { return };
        if execution.status != Status::InProgress {
            return;
        }
        let step = execution.runbook.steps[place].clone();
        let names = Names { execution, now, account: &account, region: &region };
        let inputs = names.fill(&serde_json::Value::Object(step.inputs.clone()));
        let shown_inputs = match inputs.as_ref().ok().and_then(|it| it.as_object()) {
            Some(members) => members.iter().map(|(name, it)| (name.clone(), shown(it))).collect(),
            None => BTreeMap::new(),
        };
        let run = execution.steps.len();
        execution.steps.push(StepRun {
            place,
            id: step_id,
            started: now,
            ended: None,
            status: Status::InProgress,
            failure: None,
            inputs: shown_inputs,
            outputs: BTreeMap::new(),
            command: None,
        });
        let at = At { scope, execution: Arc::clone(id), run };
        let timeout = Duration::from_secs(step.timeout_seconds.unwrap_or(STEP_TIMEOUT));
        // A sleep may last longer than any other step.
        if step.action != "aws:sleep" || step.timeout_seconds.is_some() {
            let at = at.clone();
            self.after(timeout, move |state| state.time_out_step(&at));
        }
        match inputs {
            Ok(inputs) => self.act(at, &step.action, inputs),
            Err(message) => self.end_automation_step(&at, StepEnd::failure(message)),
        }
    }

    fn time_out_step(&mut self, at: &At) {
        self.cancel_step_command(at);
        let message = "The step timed out.".to_owned();
        let end = StepEnd { status: Status::TimedOut, ..StepEnd::failure(message) };
        self.end_automation_step(at, end);
    }

    fn cancel_step_command(&mut self, at: &At) {
        let Some(run) = self.step_run(at) else { return };
        if run.status == Status::InProgress
            && let Some(command) = run.command.clone()
        {
            commands::cancel(self, at.scope, &command);
        }
    }

    pub(super) fn step_run(&self, at: &At) -> Option<&StepRun> {
        self.automation(at.scope).get(&at.execution)?.steps.get(at.run)
    }

    pub(super) fn step_run_mut(&mut self, at: &At) -> Option<&mut StepRun> {
        self.automation_mut(at.scope).get_mut(&at.execution)?.steps.get_mut(at.run)
    }

    /// Whether a step is still under way.
    pub(super) fn is_at(&self, at: &At) -> bool {
        self.step_run(at).is_some_and(|run| run.status == Status::InProgress)
    }

    /// Notes how a step ended, and goes on to the next one by the runbook's rules.
    pub(super) fn end_automation_step(&mut self, at: &At, end: StepEnd) {
        if !self.is_at(at) {
            return;
        }
        let now = self.now;
        let Some(execution) = self.automation_mut(at.scope).get_mut(&at.execution) else { return };
        let run = &mut execution.steps[at.run];
        run.ended = Some(now);
        run.status = end.status;
        run.failure.clone_from(&end.failure);
        run.outputs = end.outputs;
        let place = run.place;
        let step = &execution.runbook.steps[place];
        let named = |name: &str| execution.runbook.steps.iter().position(|it| it.name == name);
        let following = || match &step.next {
            Some(name) => named(name),
            None => Some(place + 1).filter(|next| *next < execution.runbook.steps.len()),
        };
        let ok = end.status == Status::Success;
        let on_failure = step.on_failure.as_deref().unwrap_or("Abort");
        let next = match (ok, on_failure) {
            _ if step.is_end == Some(true) => None,
            (true, _) | (false, "Continue") => following(),
            (false, other) => other.strip_prefix("step:").and_then(named),
        };
        // User guide, "Properties shared by all actions": where `isCritical` is given it decides, also
        // of a step that goes elsewhere; where it is not, a step that goes on is not critical.
        let forgiving = !step.is_critical.unwrap_or(on_failure != "Continue");
        let forgiven = ok || forgiving && on_failure != "Abort";
        if !forgiven && execution.failure.is_none() {
            let message = end.failure.unwrap_or_default();
            execution.failure = Some(format!("Step fails when it is {} . {message}", step.name));
        }
        let stop = execution.stopping || execution.status != Status::InProgress;
        let id = Arc::clone(&at.execution);
        match next {
            Some(next) if !stop => {
                let scope = at.scope;
                self.after(BETWEEN, move |state| state.begin_step(scope, &id, next));
            }
            _ => {
                let status = match (forgiven, stop, end.status) {
                    (_, true, _) if next.is_some() => Status::Cancelled,
                    (true, ..) => execution.verdict(),
                    (false, _, status) => status,
                };
                self.end_execution(at.scope, &id, status);
            }
        }
    }

    fn end_execution(&mut self, scope: ScopeIx, id: &Arc<str>, status: Status) {
        let now = self.now;
        let Some(execution) = self.automation_mut(scope).get_mut(id) else { return };
        if execution.status.is_over() {
            return;
        }
        execution.status = status;
        execution.ended = Some(now);
        let Some(parent) = execution.parent.clone() else { return };
        if let Some(there) = execution.parent_scope {
            return self.end_abroad_child(there, &parent, id, status);
        }
        if let Some(fan) =
            self.automation_mut(scope).get_mut(&parent).and_then(|it| it.fan.as_mut())
        {
            fan.running = fan.running.saturating_sub(1);
            fan.failed += usize::from(matches!(status, Status::Failed | Status::TimedOut));
        }
        self.feed(scope, &parent);
    }

    /// Stops an execution, with its children and with the command that it waits for.
    pub(super) fn cancel_execution(&mut self, scope: ScopeIx, id: &str) {
        let Some(execution) = self.automation_mut(scope).get_mut(id) else { return };
        if execution.status != Status::InProgress {
            return;
        }
        execution.status = Status::Cancelling;
        let (id, last) = (Arc::clone(&execution.id), execution.steps.len().checked_sub(1));
        if let Some(abroad) = &execution.abroad {
            for (there, child) in abroad.children() {
                self.cancel_execution(there, &child);
            }
            return self.feed_abroad(scope, &id);
        }
        let children = execution.fan.as_ref().map(|fan| fan.children.clone());
        if let Some(children) = children {
            for child in children {
                self.cancel_execution(scope, &child);
            }
            self.feed(scope, &id);
            return;
        }
        if let Some(run) = last {
            self.cancel_step_command(&At { scope, execution: Arc::clone(&id), run });
        }
        self.after(STOPPING, move |state| {
            let now = state.now;
            if let Some(execution) = state.automation_mut(scope).get_mut(&id) {
                for run in execution.steps.iter_mut().filter(|it| !it.status.is_over()) {
                    run.status = Status::Cancelled;
                    run.ended = Some(now);
                }
            }
            state.end_execution(scope, &id, Status::Cancelled);
        });
    }
}

impl Execution {
    /// A failure that was neither critical nor forgiven decides.
    fn verdict(&self) -> Status {
        if self.failure.is_some() { Status::Failed } else { Status::Success }
    }
}
