//! What must hold whatever died, against what is really so and what the clouds have recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{TryStreamExt, executor::block_on};
use patchkit_core::{
    Change, Event, Journal, NodeId, Record, RunId,
    workflow::{NodeOutcome, Outcome},
};
use patchkit_journal::SqliteJournal;
use patchkit_testkit::cloud::{Behavior, NodeTruth, Power, RecordedCall};

use crate::{
    child::{self, Answer, Task},
    stage::{Play, truths},
};

/// What those who worked in a world have told of it.
#[derive(Default)]
pub(crate) struct Told {
    /// How nodes ended, by the reports and where there is none by the journal.
    pub(crate) outcomes: BTreeMap<NodeId, NodeOutcome>,
    /// Nodes whose power is not what it was.
    pub(crate) named: BTreeSet<NodeId>,
    /// Nodes of which a recovery says that it does not know what became of them.
    pub(crate) unknown: BTreeSet<NodeId>,
    /// Whether the run was carried out to its end, so that each node has an outcome.
    pub(crate) is_whole: bool,
    /// The last words of each who had any.
    pub(crate) words: Vec<String>,
}

/// Operations that change nothing on a machine.
const READS: [&str; 6] = ["AssumeRole", "Describe", "Get", "InstanceView", "List", "Resources"];

impl Told {
    /// Takes over what the children said, and what the journal says.
    pub(crate) fn of(play: &Play<'_>, answers: &[Option<Answer>]) -> Self {
        let mut told = Self::default();
        for run in [child::run(), child::again()] {
            told.read(play, &run);
        }
        for answer in answers.iter().flatten() {
            told.words.extend(answer.words.iter().cloned());
            told.is_whole |= !answer.is_recovered;
            for report in &answer.reports {
                let ends = report.nodes.iter().map(|it| (it.node.clone(), it.outcome.clone()));
                told.outcomes.extend(ends);
                told.named.extend(report.undo_failed.iter().map(|it| it.node.clone()));
            }
            for recovery in &answer.recoveries {
                told.named.extend(recovery.undo_failed.iter().map(|it| it.node.clone()));
                told.unknown.extend(recovery.unknown.iter().map(|(node, _)| node.clone()));
            }
        }
        told
    }

    fn read(&mut self, play: &Play<'_>, run: &RunId) {
        let journal = journal(play);
        let records: Vec<Record> = block_on(journal.events(run).try_collect()).unwrap_or_default();
        for record in records {
            match record.event {
                Event::NodeFinished { node, outcome } => {
                    self.outcomes.insert(node, serde_json::from_value(outcome).unwrap());
                }
                Event::UndoFailed { change: Change::Start { node, .. }, .. } => {
                    self.named.insert(node);
                }
                Event::Undone { change: Change::Start { node, .. } } => {
                    self.named.remove(&node);
                }
                _ => {}
            }
        }
    }
}

fn journal(play: &Play<'_>) -> SqliteJournal {
    let path = Task::journal(&play.task("inspector", child::Work::GoOn, None).place);
    SqliteJournal::open(path, play.world.clock()).unwrap()
}

/// Where the promise is broken: each a sentence.
pub(crate) fn broken(play: &Play<'_>, told: &Told) -> Vec<String> {
    let now = truths(&play.world);
    let mut broken = Vec::new();
    broken.extend(twice(play));
    broken.extend(beyond(play));
    broken.extend(left_on(play, told, &now));
    broken.extend(unproved(play, told, &now));
    broken.extend(kept(play, told));
    broken
}

fn machine(play: &Play<'_>, id: &str) -> Option<String> {
    play.world.node(id).map(|truth| truth.name)
}

/// The machines that a call reached, by their names.
fn reached(play: &Play<'_>, call: &RecordedCall) -> BTreeSet<String> {
    call.ids.iter().map(|id| machine(play, id).unwrap_or_else(|| id.clone())).collect()
}

fn is_install(call: &RecordedCall) -> bool {
    call.operation == "VirtualMachines_InstallPatches"
        || call.command.as_deref() == Some("AWS-RunPatchBaseline Install")
}

/// A run gives a node one install, so two of them can never be at once.
fn twice(play: &Play<'_>) -> Vec<String> {
    let many = installed(play).into_iter().filter(|(_, installs)| installs.len() > 1);
    many.map(|(name, installs)| format!("{name} was given an install by {installs:?}")).collect()
}

/// The installs that machines were given, by their names.
fn installed(play: &Play<'_>) -> BTreeMap<String, Vec<String>> {
    let mut installs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in play.world.calls().acted().iter().filter(|call| is_install(call)) {
        for name in reached(play, call) {
            let said = format!("{} of {:?} at {}", call.operation, call.ids, call.at);
            installs.entry(name).or_default().push(said);
        }
    }
    installs
}

fn is_write(call: &RecordedCall) -> bool {
    let operation = call.operation.rsplit('_').next().unwrap_or_default();
    call.acted && !READS.iter().any(|read| operation.starts_with(read))
}

/// The writes that the clouds have carried out.
pub(crate) fn writes(play: &Play<'_>) -> Vec<String> {
    let calls = play.world.calls();
    let writes = calls.iter().filter(|call| is_write(call)).map(|call| {
        let what = call.command.as_ref().unwrap_or(&call.operation);
        format!("{what} on {:?} at {}", reached(play, call), call.at)
    });
    writes.collect()
}

/// Nothing is written to machines that the plan is not about.
fn beyond(play: &Play<'_>) -> Vec<String> {
    let planned = play.planned();
    let mut beyond = Vec::new();
    for call in play.world.calls().iter().filter(|call| is_write(call)) {
        for name in reached(play, call).difference(&planned) {
            beyond.push(format!("{} reached {name}, which is not in the plan", call.operation));
        }
    }
    beyond
}

/// Each machine has the power that it had, or is named. One that dies of an install does so by itself.
fn left_on(play: &Play<'_>, told: &Told, now: &BTreeMap<String, NodeTruth>) -> Vec<String> {
    let named: BTreeSet<String> =
        told.named.iter().filter_map(|node| machine(play, node.resource())).collect();
    let mut broken = Vec::new();
    for (name, before) in &play.before {
        let is = now[name].power;
        let died = before.behavior == Behavior::DiesInTheMiddle && before.power == Power::Running;
        if is != before.power && !named.contains(name) && !died {
            broken.push(format!(
                "{name} was {:?}, is {is:?} and is not named: {:?}",
                before.power, before.behavior
            ));
        }
    }
    broken
}

/// Each node of the plan is told of, or of a run that was ended each that was given an install; and
/// what is called good is so.
fn unproved(play: &Play<'_>, told: &Told, now: &BTreeMap<String, NodeTruth>) -> Vec<String> {
    let mut broken = Vec::new();
    let given = installed(play);
    for node in &play.stage.plan.nodes {
        let Some(outcome) = told.outcomes.get(&node.id) else {
            let name = machine(play, node.id.resource()).unwrap_or_default();
            let is_told = told.unknown.contains(&node.id) || !given.contains_key(&name);
            if told.is_whole || !is_told {
                broken.push(format!("nobody tells how {} ended", node.id));
            }
            continue;
        };
        if !matches!(outcome.outcome, Outcome::Patched | Outcome::AlreadyCompliant) {
            continue;
        }
        let truth = &now[&machine(play, node.id.resource()).unwrap_or_default()];
        if !truth.pending_reboot.is_empty() {
            broken.push(format!("{} is {} and waits for a reboot", node.id, outcome.outcome));
        }
        let least = play.stage.least.get(&truth.name);
        let lacks: Vec<&String> = least
            .map(|least| truth.absent.iter().filter(|patch| !least.contains(*patch)).collect())
            .unwrap_or_default();
        if !lacks.is_empty() {
            broken.push(format!("{} is {} and lacks {lacks:?}", node.id, outcome.outcome));
        }
    }
    broken
}

/// Nothing stays claimed but what is named: no later run would patch it.
fn kept(play: &Play<'_>, told: &Told) -> Vec<String> {
    let journal = journal(play);
    let runs: Vec<RunId> = block_on(journal.runs().try_collect()).unwrap();
    let inspector = RunId::new(format!("inspector-{}", runs.len())).unwrap();
    let lease = block_on(journal.begin(&inspector, "inspector", Duration::from_mins(1))).unwrap();
    let nodes: Vec<NodeId> = play.stage.plan.nodes.iter().map(|it| it.id.clone()).collect();
    let claims = block_on(journal.claim(&lease, &nodes));
    block_on(journal.unclaim(&lease, &nodes)).unwrap();
    let held = claims.into_iter().filter(|(_, claim)| claim.is_err());
    let unsaid = held.filter(|(node, _)| !told.named.contains(node));
    unsaid.map(|(node, _)| format!("{node} is still claimed, and nobody says why")).collect()
}
