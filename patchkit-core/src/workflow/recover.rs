//! Recovery of a run that died: what it left running is waited for, what it started is put back.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{NodeOutcome, Outcome, Runner, UndoFailure, log::RunLog, power::Started};
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
            Event::UndoFailed { .. } => {}
            Event::ChangeRefused { change, .. } | Event::Undone { change } => {
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
            Event::RunFinished => {
                self.finished = true;
                let ended = std::mem::take(&mut self.ended);
                self.forget_acts(|node| ended.contains(node));
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
        for (token, (action, nodes, operation)) in left.acts {
            if nodes.is_empty() {
                continue;
            }
            let operation = match operation {
                Some(operation) => Some(operation),
                None => match self.find(&log, &token, &nodes).await {
                    Ok(found) => Some(found),
                    Err(WaitError::Exceeded { last: None, .. }) => None,
                    Err(WaitError::Poll(error)) if error.kind() == ErrorKind::Unsupported => {
                        recovery.problems.push(error.report());
                        None
                    }
                    // Whether it goes on could not even be asked: its nodes are not touched, and the
                    // next recovery asks again.
                    Err(error) => {
                        let error = error.into_error("core", "recover").report();
                        let word = format!("{action} could not be looked for: {error}");
                        for node in nodes {
                            if left.started.remove(&node).is_some() {
                                let failure = UndoFailure::new(node.clone(), "start", word.clone());
                                recovery.undo_failed.push(failure);
                            }
                            recovery.unknown.push((node, word.clone()));
                        }
                        continue;
                    }
                },
            };
            let Some(operation) = operation else {
                let word = format!("{action} was about to be submitted and was not found");
                recovery.unknown.extend(nodes.into_iter().map(|node| (node, word.clone())));
                continue;
            };
            for (node, acted) in self.follow(&log, &operation, &nodes, self.limits.install).await {
                let word = match acted.problem() {
                    None => format!("{action} succeeded, not verified by a scan"),
                    Some(problem) => format!("{action}: {problem}"),
                };
                recovery.unknown.push((node, word));
            }
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
}
