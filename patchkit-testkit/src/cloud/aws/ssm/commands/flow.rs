//! How a command goes out to its nodes, and when it stops: concurrency, errors, timeouts.

use std::{sync::Arc, time::Duration};

use super::{At, Plugin, Stage, State, notices, send::execution_timeout, text};
use crate::cloud::world::{
    clock::later,
    machine::{Behavior, Power, ScopeIx},
};

/// How long a message takes to an agent that listens.
const SENDING: Duration = Duration::from_secs(1);
/// The ramp doubles this often, so that a command that breaks nodes breaks few.
const RAMP: Duration = Duration::from_secs(2);
/// An agent that has not answered for so long is `Delayed`.
const DELAYED_AFTER: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

impl State {
    /// Sends a command to as many further nodes as its limits allow.
    pub(super) fn pump(&mut self, scope: ScopeIx, id: &str) {
        let now = self.now;
        let mut sent = Vec::new();
        let mut began = false;
        let Some(command) = self.commands_mut(scope).get_mut(id) else { return };
        if command.stage.is_over() || command.cancelled {
            return;
        }
        let most = command.concurrency.min(command.ramp);
        while command.running < most && command.next < command.invocations.len() {
            let n = command.next;
            command.next += 1;
            let invocation = &mut command.invocations[n];
            if invocation.stage.is_over() {
                continue;
            }
            invocation.sent = Some(now);
            command.running += 1;
            sent.push(At { scope, command: Arc::clone(&command.id), n });
            began |= command.stage == Stage::Pending;
            command.stage = Stage::InProgress;
        }
        if began {
            notices::of_command(self, scope, id);
        }
        for at in sent {
            self.after(SENDING, move |state| state.deliver(at, SENDING * 14));
        }
    }

    /// Lets twice as many go, until the concurrency is reached or all are sent.
    pub(super) fn grow_ramp(&mut self, scope: ScopeIx, id: Arc<str>) {
        self.after(RAMP, move |state| {
            let Some(command) = state.commands_mut(scope).get_mut(&id) else { return };
            command.ramp = command.ramp.saturating_mul(2);
            let more = command.ramp < command.concurrency
                && command.next < command.invocations.len()
                && !command.stage.is_over();
            state.pump(scope, &id);
            if more {
                state.grow_ramp(scope, id);
            }
        });
    }

    /// Tries to hand a command to a node's agent, and again after a while.
    fn deliver(&mut self, at: At, wait: Duration) {
        let now = self.now;
        let Some(command) = self.command_at(&at) else { return };
        let (document, expires, request) =
            (Arc::clone(&command.document), command.expires, Arc::clone(&command.request));
        let invocation = &command.invocations[at.n];
        if !matches!(invocation.stage, Stage::Pending | Stage::Delayed) {
            return;
        }
        let (machine, sent) = (invocation.machine, invocation.sent.unwrap_or(now));
        let delivery = Duration::from_secs(request.timeout_seconds.unwrap_or(3_600).into());
        let deadline = later(sent, delivery).min(expires);
        let there = self.is_node(&at);
        if there && self.answers(machine) {
            if !document.runs_on(self.platform(machine)) {
                self.finish(&at, Stage::InvalidPlatform);
                return;
            }
            self.set_stage(&at, Stage::InProgress);
            let until =
                later(now, Duration::from_secs(execution_timeout(&document, &request).into()));
            if let Some(invocation) = self.invocation_mut(&at) {
                invocation.started = Some(now);
            }
            let late = at.clone();
            self.at(until, move |state| state.time_out(&late));
            self.run_next_step(at);
        } else if now >= deadline {
            let off = !there || self.known_power(machine).is_some_and(|it| it != Power::Running);
            let stage = if off { Stage::Undeliverable } else { Stage::DeliveryTimedOut };
            self.finish(&at, stage);
        } else {
            if later(sent, DELAYED_AFTER) <= now {
                self.set_stage(&at, Stage::Delayed);
            }
            let next = later(now, wait).min(deadline);
            self.at(next, move |state| state.deliver(at, (wait * 2).min(LONGEST_WAIT)));
        }
    }

    /// Whether the machine of an invocation is still the node that it was sent to.
    fn is_node(&self, at: &At) -> bool {
        let Some(invocation) = self.invocation(at) else { return false };
        let aws = self.machine(invocation.machine).aws.as_ref();
        aws.is_some_and(|aws| {
            aws.scope == at.scope && aws.id == invocation.node && aws.registered.is_some()
        })
    }

    pub(super) fn set_stage(&mut self, at: &At, stage: Stage) {
        let Some(invocation) = self.invocation_mut(at) else { return };
        if invocation.stage != stage && !invocation.stage.is_over() {
            invocation.stage = stage;
            notices::of_invocation(self, at);
        }
    }

    fn time_out(&mut self, at: &At) {
        let Some(invocation) = self.invocation(at) else { return };
        if !invocation.stage.is_over() {
            self.stop_work(at);
            self.finish(at, Stage::ExecutionTimedOut);
        }
    }

    /// Ends what runs on a node, where the agent is there to end it; of what does nothing but boot there
    /// is nothing to go on.
    pub(super) fn stop_work(&mut self, at: &At) {
        let Some(invocation) = self.invocation_mut(at) else { return };
        let (machine, job) = (invocation.machine, invocation.job.take());
        if let Some(job) = job
            && (self.answers(machine) || self.machine(machine).behavior == Behavior::RebootsForever)
        {
            self.cancel_job(machine, job);
        }
    }

    /// The total timeout: what has not ended by then was not delivered in time, so the user guide
    /// ("Understanding command timeout values").
    pub(super) fn expire(&mut self, scope: ScopeIx, id: &Arc<str>) {
        let Some(command) = self.commands(scope).get(id) else { return };
        for n in 0..command.invocations.len() {
            let at = At { scope, command: Arc::clone(id), n };
            self.stop_work_if_open(&at);
            self.finish(&at, Stage::DeliveryTimedOut);
        }
    }

    fn stop_work_if_open(&mut self, at: &At) {
        if self.invocation(at).is_some_and(|it| !it.stage.is_over()) {
            self.stop_work(at);
        }
    }

    /// Ends an invocation. The next ones are sent, or terminated where there were too many errors.
    pub(super) fn finish(&mut self, at: &At, stage: Stage) {
        let now = self.now;
        let Some(command) = self.command_at_mut(at) else { return };
        let Some(invocation) = command.invocations.get_mut(at.n) else { return };
        if invocation.stage.is_over() {
            return;
        }
        invocation.stage = stage;
        invocation.ended = Some(now);
        for plugin in &mut invocation.plugins {
            plugin.close(stage, now);
        }
        if invocation.sent.is_some() {
            command.running = command.running.saturating_sub(1);
        }
        command.completed += 1;
        command.errors += usize::from(stage.is_error());
        command.delivery_timed_out += usize::from(stage == Stage::DeliveryTimedOut);
        let mut ended = vec![at.n];
        if command.errors > command.allowed_errors {
            // Those that run go on (user guide, "Using error controls").
            for n in command.next..command.invocations.len() {
                let invocation = &mut command.invocations[n];
                if !invocation.stage.is_over() {
                    invocation.stage = Stage::Terminated;
                    invocation.ended = Some(now);
                    command.completed += 1;
                    ended.push(n);
                }
            }
            command.next = command.invocations.len();
        }
        let all = command.completed == command.invocations.len();
        for n in ended {
            let at = At { n, ..at.clone() };
            text::store(self, &at);
            notices::of_invocation(self, &at);
        }
        if all {
            self.end_command(at.scope, &at.command);
        } else {
            self.pump(at.scope, &at.command);
        }
    }

    fn end_command(&mut self, scope: ScopeIx, id: &str) {
        let Some(command) = self.commands_mut(scope).get_mut(id) else { return };
        command.stage = command.verdict();
        let observers = std::mem::take(&mut command.observers);
        notices::of_command(self, scope, id);
        for observer in observers {
            observer(self);
        }
    }
}

impl super::Command {
    /// What all invocations together say (API reference, Command.StatusDetails).
    fn verdict(&self) -> Stage {
        let count = |stage| self.invocations.iter().filter(|it| it.stage == stage).count();
        let success = count(Stage::Success);
        let failed = count(Stage::Failed);
        let undeliverable = count(Stage::Undeliverable);
        if self.cancelled && count(Stage::Cancelled) > 0 {
            Stage::Cancelled
        } else if self.errors > self.allowed_errors {
            if failed > 0 { Stage::Failed } else { Stage::ExecutionTimedOut }
        } else if self.delivery_timed_out > self.allowed_errors {
            Stage::DeliveryTimedOut
        } else if success > 0 && success + undeliverable == self.invocations.len() {
            // What could not be delivered does not count, unless there is nothing else.
            Stage::Success
        } else {
            Stage::Incomplete
        }
    }
}

impl Plugin {
    /// Ends a step that the end of its invocation found open.
    fn close(&mut self, stage: Stage, now: jiff::Timestamp) {
        if self.stage == Stage::InProgress
            || self.stage == Stage::Pending && stage != Stage::Success
        {
            self.stage = stage;
            self.ended = self.started.map(|_| now);
        }
    }
}
