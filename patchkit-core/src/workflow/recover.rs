//! Recovery of a run that died: what it left running is waited for, what it started is put back.

use std::collections::{BTreeMap, BTreeSet};

use futures::{TryStreamExt, future::join_all};
use serde::{Deserialize, Serialize};

use super::{NodeOutcome, Outcome, Runner, UndoFailure, act::Acted, log::RunLog, power::Started};
use crate::{
    Change, ErrorKind, Event, NodeId, OperationId, PatchAction, Record, Result, RunId, SubmitToken,
    WaitError,
};

/// What a recovery found and did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// The run.
    pub run: RunId,
    /// Nodes that were put back to the power they had before the run.
    pub restored: Vec<NodeId>,
    /// Nodes whose power is not what it was before. Look here first.
    pub undo_failed: Vec<UndoFailure>,
    /// Nodes that may have been changed without the journal knowing the end, and what it was.
    pub unknown: Vec<(NodeId, String)>,
    /// What went wrong without belonging to one node.
    pub problems: Vec<String>,
}

/// What the journal says of a run that is not over.
#[derive(Default)]
struct Left {
    /// Nodes whose part is over.
    ended: BTreeSet<NodeId>,
    started: Started,
    /// Changes that are no power changes, begun and not known to be done.
    open: BTreeMap<NodeId, String>,
    acts: BTreeMap<SubmitToken, (PatchAction, Vec<NodeId>, Option<OperationId>)>,
    nodes: BTreeSet<NodeId>,
    /// Nodes that could not be put back, or that were not because an act may go on there.
    stuck: BTreeSet<NodeId>,
    problems: Vec<String>,
    finished: bool,
}

impl Left {
    fn read(records: &[Record]) -> Self {
        let mut left = Self::default();
        for record in records {
            left.take(&record.event);
        }
        left
    }

    fn forget_acts(&mut self, on: impl Fn(&NodeId) -> bool) {
        for (_, nodes, _) in self.acts.values_mut() {
            nodes.retain(|node| !on(node));
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted { plan, .. } => {
                if let Ok(plan) = serde_json::from_value::<super::PatchPlan>(plan.clone()) {
                    self.nodes.extend(plan.nodes.into_iter().map(|node| node.id));
                } else if let Some(nodes) = plan.get("nodes") {
                    match serde_json::from_value::<Vec<NodeId>>(nodes.clone()) {
                        Ok(nodes) => self.nodes.extend(nodes),
                        Err(error) => self.problems.push(format!("the run's nodes: {error}")),
                    }
                }
            }
            Event::ChangeIntent { change } => {
                self.nodes.insert(change.node().clone());
                match change {
                    Change::Start { node, before } => {
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
                self.acts.insert(token.clone(), (*action, nodes.clone(), None));
            }
            Event::Submitted { token, operation } => {
                if let Some(act) = self.acts.get_mut(token) {
                    act.2 = Some(operation.clone());
                }
            }
            Event::SubmitFailed { token, .. } => {
                self.acts.remove(token);
            }
            Event::NodeFinished { node, outcome } => {
                self.ended.insert(node.clone());
                let outcome: Option<NodeOutcome> = serde_json::from_value(outcome.clone()).ok();
                // A run that dies before its report has told nobody of those.
                if outcome.is_none_or(|end| end.outcome != Outcome::Unknown) {
                    self.forget_acts(|at| at == node);
                }
            }
            Event::RunResumed { .. } => {}
            // Nothing of it is looked after any more.
            Event::RunAbandoned { .. } => {
                *self = Self { finished: true, ..Self::default() };
            }
            Event::Torn { detail } => self.problems.push(format!("a torn write: {detail}")),
            Event::Other(_) => {}
            Event::RunFinished => {
                self.finished = true;
                let ended = std::mem::take(&mut self.ended);
                let stuck = self.stuck.clone();
                self.forget_acts(|node| ended.contains(node) && !stuck.contains(node));
            }
        }
    }
}

impl Runner {
    /// Ends a run whose process died or whose future was dropped.
    ///
    /// # Guarantees
    /// - Submits nothing. An act that is still under way is waited for, then nodes that the run
    ///   started are put back to the power they had.
    /// - Twice is as good as once; a run that ended by itself is left alone.
    /// - Nodes whose end is not known are named. Where even that could not be asked, they are left as
    ///   they are, in `undo_failed`, until the next recovery.
    ///
    /// # Assumptions
    /// - Nobody has stopped or started the run's nodes on purpose since it died.
    ///
    /// # Errors
    /// `NotFound` (no such run), `Conflict` (its holder's term is not over), or the journal cannot be
    /// read.
    pub async fn recover(&self, run: &RunId) -> Result<Recovery> {
        let log = RunLog::take_over(self, run).await?;
        let records: Vec<Record> = self.journal.events(run).try_collect().await?;
        let mut left = Left::read(&records);
        let mut recovery = Recovery {
            run: run.clone(),
            restored: Vec::new(),
            undo_failed: Vec::new(),
            unknown: left.open.into_iter().collect(),
            problems: left.problems,
        };
        let acts = left.acts.into_iter().filter(|(_, (_, nodes, _))| !nodes.is_empty());
        let acts = acts.map(|(token, (action, nodes, operation))| {
            let log = &log;
            async move { self.await_act(log, &token, action, &nodes, operation).await }
        });
        for end in join_all(acts).await {
            recovery.problems.extend(end.problem);
            for (node, word) in end.untouched {
                if left.started.remove(&node).is_some() {
                    let failure = UndoFailure::new(node.clone(), "start", word.clone());
                    recovery.undo_failed.push(failure);
                }
                recovery.unknown.push((node, word));
            }
            recovery.unknown.extend(end.unknown);
        }
        let started: Vec<NodeId> = left.started.keys().cloned().collect();
        for (node, claim) in log.claim(&started).await {
            // What this run could not write down it may have undone, and given the node back.
            if let Err(error) = claim
                && error.kind() == ErrorKind::Conflict
            {
                left.started.remove(&node);
                recovery.undo_failed.push(UndoFailure::new(node, "start", error.report()));
            }
        }
        recovery.undo_failed.extend(self.restore(&log, &left.started).await);
        let stuck: BTreeSet<NodeId> =
            recovery.undo_failed.iter().map(|failure| failure.node.clone()).collect();
        recovery.restored = left.started.into_keys().filter(|node| !stuck.contains(node)).collect();
        if !left.finished {
            log.note(&[Event::RunFinished]).await;
        }
        let free: Vec<NodeId> =
            left.nodes.into_iter().filter(|node| !stuck.contains(node)).collect();
        log.close(&free).await;
        recovery.problems.extend(log.problems());
        Ok(recovery)
    }

    /// Waits for the end of an act that a dead run may have submitted.
    async fn await_act(
        &self,
        log: &RunLog,
        token: &SubmitToken,
        action: PatchAction,
        nodes: &[NodeId],
        operation: Option<OperationId>,
    ) -> ActEnd {
        let mut end = ActEnd::default();
        let each = |word: String| nodes.iter().cloned().map(move |node| (node, word.clone()));
        let operation = match operation {
            Some(operation) => Some(operation),
            None => match self.find(log, token, nodes).await {
                Ok(found) => Some(found),
                Err(WaitError::Exceeded { last: None, .. }) => None,
                Err(WaitError::Poll(error)) if error.kind() == ErrorKind::Unsupported => {
                    end.problem = Some(error.report());
                    None
                }
                Err(error) => {
                    let error = error.into_error("core", "recover").report();
                    end.untouched
                        .extend(each(format!("{action} could not be looked for: {error}")));
                    return end;
                }
            },
        };
        let Some(operation) = operation else {
            let word = format!("{action} was about to be submitted and was not found");
            end.unknown.extend(each(word));
            return end;
        };
        for (node, acted) in self.follow(log, &operation, nodes, self.limits.install).await {
            let word = match acted.problem() {
                None => format!("{action} succeeded, not verified by a scan"),
                Some(problem) => format!("{action}: {problem}"),
            };
            match (action, acted) {
                (PatchAction::Install(_), Acted::Unwatched(_)) => &mut end.untouched,
                _ => &mut end.unknown,
            }
            .push((node, word));
        }
        end
    }
}

/// How an act of a dead run ended.
#[derive(Default)]
struct ActEnd {
    /// Its nodes, and what is known of it there.
    unknown: Vec<(NodeId, String)>,
    /// Nodes on which it may be going on, for it could not even be asked after: they are left as they
    /// are, and the next recovery asks again.
    untouched: Vec<(NodeId, String)>,
    problem: Option<String>,
}
