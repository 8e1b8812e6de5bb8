//! Run Command: what is sent, to which nodes, and what became of it.

mod cancel;
pub(crate) mod documents;
mod flow;
mod hooks;
mod notices;
mod output;
mod overrides;
mod own;
mod patch;
mod read;
mod run;
pub(crate) mod send;
mod stage;
mod targets;
#[cfg(test)]
mod tests;
mod text;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use self::hooks::Hook;
pub(crate) use self::{
    send::{Origin, SendRequest, Target, check_parameters, send},
    stage::Stage,
    targets::{reaches, resolve},
};
use super::super::{AwsError, Operations, input};
use crate::cloud::world::{
    State,
    catalogue::SystemIx,
    clock::earlier,
    judge::Judgement,
    machine::{MachineIx, ScopeIx},
};

pub(super) const OPERATIONS: Operations = &[
    ("CancelCommand", cancel::cancel_command),
    ("GetCommandInvocation", read::get_command_invocation),
    ("ListCommandInvocations", read::list_command_invocations),
    ("ListCommands", read::list_commands),
    ("SendCommand", send::send_command),
];

/// How long the service keeps a command (user guide, "AWS Systems Manager Run Command").
const KEPT: Duration = Duration::from_hours(30 * 24);
/// How long a snapshot of approved patches is good for in this world.
const SNAPSHOT_KEPT: Duration = Duration::from_hours(3 * 24);

/// A snapshot's id, the baseline's and the system.
type SnapshotKey = (Arc<str>, Arc<str>, SystemIx);

/// The commands of one account's Region.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    by_number: BTreeMap<u64, Command>,
    numbers: HashMap<Arc<str>, u64>,
    snapshots: HashMap<SnapshotKey, (Timestamp, Arc<Judgement>)>,
}

impl Commands {
    pub(crate) fn get(&self, id: &str) -> Option<&Command> {
        self.numbers.get(id).and_then(|number| self.by_number.get(number))
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Command> {
        self.numbers.get(id).and_then(|number| self.by_number.get_mut(number))
    }

    /// Those that are shown, newest first: the order in which they are listed.
    fn newest(&self) -> impl Iterator<Item = &Command> {
        self.by_number.values().rev().filter(|it| it.request.origin == Origin::Request)
    }

    /// A command that is shown: those of associations are not.
    fn shown(&self, id: &str) -> Option<&Command> {
        self.get(id).filter(|it| it.request.origin == Origin::Request)
    }

    fn enter(&mut self, number: u64, command: Command) {
        let kept_from = earlier(command.requested, KEPT);
        while let Some(first) = self.by_number.first_entry() {
            if first.get().requested >= kept_from || !first.get().stage.is_over() {
                break;
            }
            self.numbers.remove(&first.remove().id);
        }
        self.numbers.insert(Arc::clone(&command.id), number);
        self.by_number.insert(number, command);
    }

    /// Keeps a judgement as that of a snapshot.
    fn take(&mut self, key: SnapshotKey, now: Timestamp, judgement: &Arc<Judgement>) {
        let from = earlier(now, SNAPSHOT_KEPT);
        self.snapshots.retain(|_, (taken, _)| *taken >= from);
        self.snapshots.insert(key, (now, Arc::clone(judgement)));
    }

    /// The snapshot that was taken under this key, if it is still good.
    fn taken(&self, key: &SnapshotKey, now: Timestamp) -> Option<Arc<Judgement>> {
        let (taken, judgement) = self.snapshots.get(key)?;
        (*taken >= earlier(now, SNAPSHOT_KEPT)).then(|| Arc::clone(judgement))
    }
}

type Observer = Box<dyn FnOnce(&mut State) + Send + Sync>;

/// One command, as it was sent.
pub(crate) struct Command {
    pub(crate) id: Arc<str>,
    pub(crate) request: Arc<SendRequest>,
    pub(crate) document: Arc<documents::Document>,
    pub(crate) requested: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) stage: Stage,
    pub(crate) invocations: Vec<Invocation>,
    /// How many may run at once, and how many were let go so far by the ramp.
    concurrency: usize,
    ramp: usize,
    /// The place of the next invocation to send.
    next: usize,
    running: usize,
    pub(crate) completed: usize,
    pub(crate) errors: usize,
    pub(crate) delivery_timed_out: usize,
    /// More errors than these stop it.
    allowed_errors: usize,
    /// Someone cancelled it.
    cancelled: bool,
    observers: Vec<Observer>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("id", &self.id)
            .field("document", &self.document.name)
            .field("stage", &self.stage)
            .field("invocations", &self.invocations.len())
            .finish_non_exhaustive()
    }
}

/// A command on one node.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) machine: MachineIx,
    pub(crate) node: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) stage: Stage,
    /// When reads begin to know of it.
    visible_from: Timestamp,
    /// When it was its turn.
    sent: Option<Timestamp>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) plugins: Vec<Plugin>,
    /// The patch operation that is under way.
    job: Option<u64>,
    /// Where in its document it is.
    step: usize,
    /// What the step runs, where it is a hook.
    hook: Option<Hook>,
    /// The power changes of its machine when the step began: work does not survive others.
    power_changes: u32,
}

impl Invocation {
    /// The code of the first step that failed; -1 where nothing has run.
    pub(crate) fn code(&self) -> i32 {
        let codes = || self.plugins.iter().map(|plugin| plugin.code);
        codes().find(|code| *code > 0).or_else(|| codes().max()).unwrap_or(-1)
    }
}

/// One step of a document on one node.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    pub(crate) name: Cow<'static, str>,
    /// The folder of its output, below the node's.
    pub(crate) folder: Cow<'static, str>,
    pub(crate) stage: Stage,
    pub(crate) code: i32,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The place of an invocation.
#[derive(Clone, Debug)]
struct At {
    scope: ScopeIx,
    command: Arc<str>,
    n: usize,
}

impl State {
    pub(crate) fn commands(&self, scope: ScopeIx) -> &Commands {
        &self.scope(scope).ssm.commands
    }

    fn commands_mut(&mut self, scope: ScopeIx) -> &mut Commands {
        &mut self.scope_mut(scope).ssm.commands
    }

    fn command_at(&self, at: &At) -> Option<&Command> {
        self.commands(at.scope).get(&at.command)
    }

    fn command_at_mut(&mut self, at: &At) -> Option<&mut Command> {
        self.commands_mut(at.scope).get_mut(&at.command)
    }

    fn invocation(&self, at: &At) -> Option<&Invocation> {
        self.command_at(at)?.invocations.get(at.n)
    }

    fn invocation_mut(&mut self, at: &At) -> Option<&mut Invocation> {
        self.command_at_mut(at)?.invocations.get_mut(at.n)
    }
}

/// Calls `act` when a command is over; at once where it is, or is not known any more.
pub(crate) fn on_end(
    state: &mut State,
    scope: ScopeIx,
    id: &str,
    act: impl FnOnce(&mut State) + Send + Sync + 'static,
) {
    match state.commands_mut(scope).get_mut(id) {
        Some(command) if !command.stage.is_over() => command.observers.push(Box::new(act)),
        _ => act(state),
    }
}

/// Sends a command by an input of SendCommand, for what runs commands itself; gives its id.
pub(crate) fn send_input(
    state: &mut State,
    scope: ScopeIx,
    value: Value,
) -> Result<String, AwsError> {
    let answer = send(state, scope, input(value)?)?;
    Ok(answer["Command"]["CommandId"].as_str().unwrap_or_default().to_owned())
}

/// A command's `Status`; none where it is not known.
pub(crate) fn status(state: &State, scope: ScopeIx, id: &str) -> Option<String> {
    state.commands(scope).get(id).map(|command| command.stage.status().to_owned())
}

/// Cancels all of a command that has not ended.
pub(crate) fn cancel(state: &mut State, scope: ScopeIx, id: &str) {
    cancel::cancel_all(state, scope, id);
}

/// The nodes that a command was sent to, by id.
pub(crate) fn reached(state: &State, scope: ScopeIx, id: &str) -> Vec<String> {
    let command = state.commands(scope).get(id);
    let invocations = command.map(|it| it.invocations.iter()).into_iter().flatten();
    invocations.map(|it| it.node.to_string()).collect()
}

/// A time as text, to the millisecond.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn unknown_command() -> AwsError {
    AwsError::new(
        "InvalidCommandId",
        "The specified command ID isn't valid. Verify the ID and try again.",
    )
}
