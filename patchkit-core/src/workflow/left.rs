//! What the journal says of a run that is not over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::StreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::{NodeOutcome, Outcome, PatchPlan, Runner, hooked::HookBook, power::Started};
use crate::{
    Change, ErrorKind, Event, Health, HostLink, NodeId, OperationId, PatchAction, Record, Result,
    RunId, SubmitToken,
};

/// An act that was submitted, or was about to be.
pub(super) struct LeftAct {
    pub(super) action: PatchAction,
    /// The nodes whose part is not over.
    pub(super) nodes: Vec<NodeId>,
    /// Its id, where its submission was answered.
    pub(super) operation: Option<OperationId>,
}

impl LeftAct {
    pub(super) fn is_install(&self) -> bool {
        matches!(self.action, PatchAction::Install(_))
    }
}

/// What the journal says of a run that is not over.
#[derive(Default)]
pub(super) struct Left {
    /// The plan, where the run has one.
    pub(super) plan: Option<PatchPlan>,
    /// How the nodes ended whose part is over.
    pub(super) outcomes: BTreeMap<NodeId, NodeOutcome>,
    /// Nodes whose part is over, since the run began or was ended last.
    ended: BTreeSet<NodeId>,
    pub(super) started: Started,
    /// Changes that are no power changes, begun and not known to be done.
    pub(super) open: BTreeMap<NodeId, String>,
    pub(super) acts: BTreeMap<SubmitToken, LeftAct>,
    pub(super) nodes: BTreeSet<NodeId>,
    /// Nodes that could not be put back, or that were not because an act may go on there.
    pub(super) stuck: BTreeSet<NodeId>,
    /// Calls of hooks that were made, and that are owed.
    pub(super) hooks: HookBook,
    /// What the check of health said of the waves that it was asked about.
    pub(super) judged: BTreeMap<usize, Health>,
    /// When nodes were started.
    pub(super) starts: VecDeque<Timestamp>,
    pub(super) problems: Vec<String>,
    /// How many records cannot be read: nobody knows what they did.
    pub(super) unread: usize,
    /// How often it was resumed.
    pub(super) resumed: usize,
    pub(super) began_at: Option<Timestamp>,
    pub(super) newest_at: Option<Timestamp>,
    pub(super) finished: bool,
}

impl Runner {
    /// Reads what is left of a run.
    pub(super) async fn left(&self, run: &RunId) -> Result<Left> {
        let mut left = Left::default();
        let mut events = self.journal.events(run);
        while let Some(item) = events.next().await {
            match item {
                Ok(record) => left.take(&record),
                Err(error) if error.kind() == ErrorKind::Malformed => {
                    left.unread += 1;
                    left.problems.push(error.report());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }
}

/// The ids that a machine of a plan has in other control planes: they are claimed with it.
pub(super) fn other_ids_of(plan: Option<&PatchPlan>, node: &NodeId) -> BTreeSet<NodeId> {
    plan.and_then(|plan| plan.node(node)).map(|node| node.also.clone()).unwrap_or_default()
}

impl Left {
    /// What the started machines are in another control plane, by the plan.
    pub(super) fn links(&self) -> BTreeMap<NodeId, HostLink> {
        let host = |node: &NodeId| self.plan.as_ref()?.node(node)?.host().cloned();
        self.started.keys().filter_map(|node| Some((node.clone(), host(node)?))).collect()
    }

    pub(super) fn also(&self, node: &NodeId) -> BTreeSet<NodeId> {
        other_ids_of(self.plan.as_ref(), node)
    }

    /// Nodes that may be out of work: those that it started or was at work on, and those for which it
    /// owes a call.
    pub(super) fn out_of_work(&self) -> BTreeSet<NodeId> {
        let acts = self.acts.values().flat_map(|act| &act.nodes);
        self.started.keys().chain(acts).chain(self.hooks.nodes()).cloned().collect()
    }

    fn forget_acts(&mut self, on: impl Fn(&NodeId) -> bool) {
        for act in self.acts.values_mut() {
            act.nodes.retain(|node| !on(node));
        }
    }

    fn take(&mut self, record: &Record) {
        self.began_at.get_or_insert(record.at);
        self.newest_at = Some(record.at);
        match &record.event {
            Event::RunStarted { plan, .. } => self.begin(plan),
            Event::ChangeIntent { change } => {
                self.nodes.insert(change.node().clone());
                match change {
                    Change::Start { node, before } => {
                        self.starts.push_back(record.at);
                        self.started.insert(node.clone(), *before);
                    }
                    Change::Access(_) | Change::Tags(_) => {
                        let step = format!("{} may have happened", change.step());
                        self.open.insert(change.node().clone(), step);
                    }
                }
            }
            // A node that could not be put back is tried again.
            Event::UndoFailed { change, .. } => {
                self.stuck.insert(change.node().clone());
            }
            Event::ChangeRefused { change, .. } | Event::Undone { change } => {
                self.stuck.remove(change.node());
                if self.finished {
                    self.forget_acts(|node| node == change.node());
                }
                if let Change::Start { node, .. } = change {
                    self.started.remove(node);
                }
                self.open.remove(change.node());
            }
            Event::ChangeDone { change } => {
                self.open.remove(change.node());
            }
            Event::SubmitIntent { token, action, nodes } => {
                self.nodes.extend(nodes.iter().cloned());
                let act = LeftAct { action: *action, nodes: nodes.clone(), operation: None };
                self.acts.insert(token.clone(), act);
            }
            Event::Submitted { token, operation } => {
                if let Some(act) = self.acts.get_mut(token) {
                    act.operation = Some(operation.clone());
                }
            }
            Event::SubmitFailed { token, .. } => {
                self.acts.remove(token);
            }
            Event::NodeFinished { node, outcome } => self.end(node, outcome),
            event @ (Event::HookIntent { .. }
            | Event::HookOwed { .. }
            | Event::HookDone { .. }
            | Event::HookFailed { .. }) => self.hooks.take(event),
            // The last word counts: a wave may be asked after again and again.
            Event::WaveJudged { wave, health } => {
                let wave = usize::try_from(*wave).unwrap_or(usize::MAX);
                self.judged.insert(wave, health.clone());
            }
            Event::RunResumed { .. } => self.resumed += 1,
            // Nothing of it is looked after any more.
            Event::RunAbandoned { .. } => {
                *self = Self { finished: true, ..Self::default() };
            }
            Event::RunFinished => {
                self.finished = true;
                let ended = std::mem::take(&mut self.ended);
                let stuck = self.stuck.clone();
                self.forget_acts(|node| ended.contains(node) && !stuck.contains(node));
            }
            Event::Torn { detail } => self.problems.push(format!("a torn write: {detail}")),
            Event::Other(event) => {
                self.unread += 1;
                let kind = event.get("event").and_then(serde_json::Value::as_str);
                let (seq, kind) = (record.seq, kind.unwrap_or("none"));
                self.problems.push(format!(
                    "record {seq} is of a kind that this version does not know: {kind:?}"
                ));
            }
        }
    }

    fn begin(&mut self, plan: &serde_json::Value) {
        if let Ok(plan) = PatchPlan::deserialize(plan) {
            self.nodes.extend(plan.nodes.iter().map(|node| node.id.clone()));
            self.plan = Some(plan);
        } else if let Some(nodes) = plan.get("nodes") {
            match Vec::<NodeId>::deserialize(nodes) {
                Ok(nodes) => self.nodes.extend(nodes),
                Err(error) => self.problems.push(format!("the run's nodes: {error}")),
            }
        }
    }

    fn end(&mut self, node: &NodeId, outcome: &serde_json::Value) {
        self.ended.insert(node.clone());
        let outcome = NodeOutcome::deserialize(outcome).ok();
        // A run that dies before its report has told nobody of those.
        if outcome.as_ref().is_none_or(|end| end.outcome != Outcome::Unknown) {
            self.forget_acts(|at| at == node);
        }
        let unclear = || NodeOutcome::new(Outcome::Unknown).because("its outcome cannot be read");
        self.outcomes.insert(node.clone(), outcome.unwrap_or_else(unclear));
    }
}
