//! Recovery of a run that died: what it left running is waited for, what it started is put back.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{
    Runner, UndoFailure,
    act::Acted,
    left::{Left, LeftAct, other_ids_of},
    log::RunLog,
    patch::Progressing,
};
use crate::{Error, ErrorKind, Event, NodeId, PatchAction, Result, RunId, SubmitToken, WaitError};

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

/// What becomes of a run that is ended by another than its holder.
enum Ending<'a> {
    /// What cannot be put back stays claimed, for the next recovery.
    Recover,
    /// Nothing stays claimed.
    Abandon { by: &'a str, reason: &'a str },
}

impl Runner {
    /// Ends a run whose process died or whose future was dropped.
    ///
    /// # Guarantees
    /// - Submits nothing. An act that is still under way is waited for, then nodes that the run
    ///   started are put back to the power they had.
    /// - [Hooks](super::Hook) are called that the run owes.
    /// - Twice is as good as once; a run that ended by itself is left alone.
    /// - Nodes whose end is not known are named. Where even that could not be asked, they are left as
    ///   they are, in `undo_failed`, until the next recovery.
    /// - A record that cannot be read, or is of a newer version, is named. Nobody knows what it did,
    ///   so the run's nodes stay claimed.
    ///
    /// # Assumptions
    /// - Nobody has stopped or started the run's nodes on purpose since it died.
    ///
    /// # Errors
    /// `NotFound` (no such run), `Conflict` (its holder's term is not over), or the journal cannot be
    /// read.
    pub async fn recover(&self, run: &RunId) -> Result<Recovery> {
        self.end(run, Ending::Recover).await
    }

    /// Gives a run up that nobody is to look after any more, as an operator decides.
    ///
    /// It does what [`recover`](Self::recover) does, once. Then the run gives all its nodes back,
    /// those too that could not be put back: they are named, and from then on someone else's.
    ///
    /// # Guarantees
    /// - As for `recover`, but for what is claimed afterwards.
    /// - A run that is over, with nothing left to look at, is left alone.
    ///
    /// # Assumptions
    /// - As for `recover`.
    /// - Someone looks after the nodes that are named.
    ///
    /// # Errors
    /// `NotFound` (no such run), `Conflict` (its holder's term is not over: cancel it instead), or
    /// the journal cannot be read or written.
    pub async fn abandon(&self, run: &RunId, by: &str, reason: &str) -> Result<Recovery> {
        self.end(run, Ending::Abandon { by, reason }).await
    }

    async fn end(&self, run: &RunId, ending: Ending<'_>) -> Result<Recovery> {
        let log = RunLog::take_over(self, run).await?;
        let mut left = self.left(run).await?;
        let is_over = left.finished && left.started.is_empty();
        let is_abandoned = matches!(ending, Ending::Abandon { .. });
        if let Some(plan) = &left.plan {
            log.teller().name(&plan.workflow);
        }
        let mut recovery = Recovery {
            run: run.clone(),
            restored: Vec::new(),
            undo_failed: Vec::new(),
            unknown: std::mem::take(&mut left.open).into_iter().collect(),
            problems: std::mem::take(&mut left.problems),
        };
        self.await_acts(&log, &mut left, &mut recovery).instrument(log.span()).await;
        let links = left.links();
        for (node, word) in self.broken_links(&links).await {
            left.started.remove(&node);
            recovery.undo_failed.push(UndoFailure::new(node, "start", word));
        }
        let started: Vec<_> =
            left.started.keys().map(|node| (node.clone(), left.also(node))).collect();
        for (node, claim) in log.claim_whole(&started).await {
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
        recovery.restored =
            left.started.keys().filter(|node| !stuck.contains(*node)).cloned().collect();
        let called = self.settle_left(&log, &mut left, &mut recovery).await;
        let (plan, mut free) = (left.plan, left.nodes.into_iter().collect::<Vec<NodeId>>());
        let mut slots = Vec::new();
        match ending {
            Ending::Abandon { by, reason } if !is_over => {
                let (by, reason) = (by.to_owned(), reason.to_owned());
                if let Err(error) = log.append(&[Event::RunAbandoned { by, reason }]).await {
                    log.close(&[]).await;
                    return Err(error);
                }
            }
            // Nobody knows what those did, or to which nodes.
            Ending::Recover | Ending::Abandon { .. } if left.unread > 0 => free.clear(),
            Ending::Recover | Ending::Abandon { .. } => {
                free.retain(|node| !stuck.contains(node));
                // A run that was over already is over again, with what was done since.
                if !left.finished || !recovery.restored.is_empty() || !stuck.is_empty() || called {
                    log.note(&[Event::RunFinished]).await;
                }
            }
        }
        if let Some(plan) = plan.as_ref().filter(|_| left.unread == 0 || is_abandoned) {
            // An install may be going on on nodes that stay claimed, and of which it is not known.
            let unknown = recovery.unknown.iter().map(|(node, _)| node.clone());
            let kept = unknown.filter(|node| !is_abandoned && stuck.contains(node)).collect();
            let held = self.find_slots(&log, plan, &kept).await;
            slots = Self::slots_to_give(plan, &held, &kept);
        }
        let also = |node| {
            let also = other_ids_of(plan.as_ref(), &node);
            std::iter::once(node).chain(also)
        };
        let free: Vec<NodeId> = free.into_iter().flat_map(also).chain(slots).collect();
        log.close(&free).await;
        recovery.problems.extend(log.problems());
        Ok(recovery)
    }

    /// Calls the hooks that the run owes. Says whether there were any.
    async fn settle_left(&self, log: &RunLog, left: &mut Left, recovery: &mut Recovery) -> bool {
        let Some(plan) = left.plan.take() else { return false };
        let mut going = Progressing::new(&plan, log);
        going.take_up(left);
        let (owes, known) = (going.hooks.is_owing(), going.hooks.failed().len());
        self.settle_hooks(&mut going).await;
        let failed = going.hooks.failed().iter().skip(known);
        recovery.problems.extend(failed.map(|(node, error)| format!("{node}: {error}")));
        drop(going);
        left.plan = Some(plan);
        owes
    }

    /// Waits for what is under way, and names where that is not known.
    async fn await_acts(&self, log: &RunLog, left: &mut Left, recovery: &mut Recovery) {
        let acts = std::mem::take(&mut left.acts).into_iter();
        let acts = acts.filter(|(_, act)| !act.nodes.is_empty());
        let ends = acts.map(|(token, act)| async move {
            let end = self.await_act(log, &token, &act).await;
            (act, end)
        });
        for (LeftAct { action, nodes, .. }, end) in join_all(ends).await {
            let each = |word: String| nodes.iter().cloned().map(move |node| (node, word.clone()));
            let (mut unknown, mut untouched) = (Vec::new(), Vec::new());
            match end {
                ActEnd::NotFound(problem) => {
                    recovery.problems.extend(problem);
                    unknown.extend(each(not_found(action)));
                }
                ActEnd::Blind(error) => {
                    untouched.extend(each(format!("{action} could not be looked for: {error}")));
                }
                ActEnd::Followed(answers) => {
                    for (node, acted) in answers {
                        let word = match acted.problem() {
                            None => format!("{action} succeeded, not verified by a scan"),
                            Some(problem) => format!("{action}: {problem}"),
                        };
                        match (action, acted) {
                            (PatchAction::Install(_), Acted::Unwatched(_)) => &mut untouched,
                            _ => &mut unknown,
                        }
                        .push((node, word));
                    }
                }
            }
            for (node, word) in untouched {
                if left.started.remove(&node).is_some() {
                    let failure = UndoFailure::new(node.clone(), "start", word.clone());
                    recovery.undo_failed.push(failure);
                }
                unknown.push((node, word));
            }
            recovery.unknown.extend(unknown);
        }
    }

    /// Waits for the end of an act that a dead run may have submitted.
    pub(super) async fn await_act(
        &self,
        log: &RunLog,
        token: &SubmitToken,
        act: &LeftAct,
    ) -> ActEnd {
        let operation = match &act.operation {
            Some(operation) => operation.clone(),
            None => match self.find(log, token, &act.nodes).await {
                Ok(found) => found,
                Err(WaitError::Exceeded { last: None, .. }) => return ActEnd::NotFound(None),
                Err(WaitError::Poll(error)) if error.kind() == ErrorKind::Unsupported => {
                    return ActEnd::NotFound(Some(error.report()));
                }
                Err(error) => {
                    let error: Error = error.into_error("core", "recover");
                    return ActEnd::Blind(error.report());
                }
            },
        };
        let began = self.clock.now();
        let ends = self.follow(log, &operation, &act.nodes, self.limits.install).await;
        log.ended(operation, act.action, began, &ends);
        ActEnd::Followed(ends)
    }
}

/// How an act of a dead run ended.
pub(super) enum ActEnd {
    /// As its provider told, for each node.
    Followed(Vec<(NodeId, Acted)>),
    /// It was about to be submitted, and the provider knows of none, or cannot tell, for this reason.
    NotFound(Option<String>),
    /// It may be going on, for it could not even be asked after: its nodes are left as they are, and
    /// the next recovery asks again.
    Blind(String),
}

pub(super) fn not_found(action: PatchAction) -> String {
    format!("{action} was about to be submitted and was not found")
}
