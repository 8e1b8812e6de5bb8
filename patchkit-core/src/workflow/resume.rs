//! Goes on with a patch run whose process died, from its journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use tracing::Instrument;

use super::{
    NodeOutcome, Outcome, PatchPlan, RunReport, Runner, UndoFailure,
    act::Acted,
    left::{Left, LeftAct, other_ids_of},
    log::{RunLog, allowed},
    patch::{Progressing, is_failure, skipped},
    power::Started,
    recover::{ActEnd, not_found},
    verify::Installed,
};
use crate::{ComplianceStatus, Error, ErrorKind, Event, NodeId, PatchAction, Result, RunId};

impl Runner {
    /// Goes on with a patch run whose process died or whose future was dropped, to its end.
    ///
    /// Where [`recover`](Self::recover) only ends a run, this carries the rest of its plan out.
    ///
    /// # Guarantees
    /// - As for [`patch`](Self::patch).
    /// - What was submitted, or may have been, is not submitted again: it is looked for and followed
    ///   to its end. An install that was about to be submitted and is not found ends its node as
    ///   `unknown`.
    /// - Nodes whose part was over stay as they ended.
    /// - A call of a hook that ended well is not made again; one that was about to be made is, and one
    ///   that is owed. A check of health that stopped the run stops it still.
    ///
    /// # Assumptions
    /// - Nobody has stopped or started the run's nodes on purpose since it died.
    ///
    /// # Errors
    /// `NotFound` (no such run), `Conflict` (its holder's term is not over, or it is over),
    /// `Unsupported` (it is no patch run, or holds records that this version cannot read: recover
    /// it), `Cancelled` (the kill switch is on), or the journal cannot be read or written.
    pub async fn resume(&self, run: &RunId) -> Result<RunReport> {
        allowed(self, run).await?;
        let mut log = RunLog::take_over(self, run).await?;
        let (mut left, plan) = match Box::pin(self.resumable(&log, run)).await {
            Ok(left) => left,
            Err(error) => {
                log.close(&[]).await;
                return Err(error);
            }
        };
        log.teller().name(&plan.workflow);
        log.started_at = left.began_at.unwrap_or(log.started_at);
        let mut going = Progressing::new(&plan, &log);
        going.prefix = format!("x{}", left.resumed + 1);
        let used = left.out_of_work();
        going.take_up(&mut left);
        let used = used.union(&going.out).cloned().collect();
        going.slots = Box::pin(self.find_slots(&log, &plan, &used)).await;
        let newest_at = left.newest_at.unwrap_or(log.started_at);
        // On the heap: what holds a run must not carry all of its parts.
        let claimed = Box::pin(self.interrupted(&mut going, left)).instrument(log.span()).await;
        let claimed = Box::pin(self.check_links(&mut going, claimed)).await;
        Box::pin(self.after_ended_nodes(&mut going)).await;
        Box::pin(self.free_slots(&mut going)).await;
        Box::pin(self.before_all(&mut going, None)).await;
        let from = going.first_open_wave();
        Box::pin(self.between(&mut going, from, newest_at)).instrument(log.span()).await;
        Box::pin(self.waves(&mut going, &claimed, from)).instrument(log.span()).await;
        Box::pin(self.close(going)).instrument(log.span()).await
    }

    /// Ends what the dead holder left undone of the waves before the one at `from`.
    async fn between(&self, going: &mut Progressing<'_>, from: usize, newest_at: Timestamp) {
        for wave in 0..from {
            self.after_all(going, Some(wave)).await;
        }
        let Some(before) = from.checked_sub(1) else { return };
        if !going.is_begun(from) && !going.judged.contains(&before) && going.stopped.is_none() {
            self.judge(going, before).await;
        }
        let bake = going.bake_left(from, newest_at, self.clock.now());
        self.bake(going, before, bake).await;
    }

    /// What is left of the run, where it can be gone on with. Writes down that it is.
    async fn resumable(&self, log: &RunLog, run: &RunId) -> Result<(Left, PatchPlan)> {
        let mut left = self.left(run).await?;
        let refused = |kind, message: String| Err(Error::new(kind, "core", "resume", message));
        if left.finished {
            return refused(ErrorKind::Conflict, format!("run {run} is over"));
        }
        if left.unread > 0 {
            let problems = left.problems.join("; ");
            let message = format!("records of run {run} cannot be read: {problems}");
            return refused(ErrorKind::Unsupported, message);
        }
        let Some(plan) = left.plan.take() else {
            return refused(ErrorKind::Unsupported, format!("run {run} is no patch run"));
        };
        log.append(&[Event::RunResumed { holder: self.holder.clone() }]).await?;
        Ok((left, plan))
    }

    /// Ends what was under way. Returns the nodes that this run may work on.
    async fn interrupted(&self, going: &mut Progressing<'_>, left: Left) -> Vec<NodeId> {
        let Left { mut started, acts, problems, .. } = left;
        for problem in problems {
            going.log.problem(problem);
        }
        let given: BTreeSet<&NodeId> =
            acts.values().filter(|act| act.is_install()).flat_map(|act| &act.nodes).collect();
        let claimed = self.claim_again(going, &mut started, &given).await;
        let installed = self.take_up_acts(going, acts).await;
        let touched: BTreeSet<NodeId> = installed.iter().map(|at| at.node.clone()).collect();
        let label = going.prefix.clone();
        let verdicts = self.verify(going, &label, installed).await;
        // Started for nothing yet: those are worked on.
        let (idle, done): (Started, Started) = started
            .into_iter()
            .partition(|(node, _)| going.is_open(node) && !touched.contains(node));
        self.settle(going, done, verdicts).await;
        if !idle.is_empty() {
            let nodes: Vec<NodeId> = idle.keys().cloned().collect();
            match self.held(going).await {
                None => self.round(going, &format!("{label}-r"), &nodes, idle).await,
                Some(reason) => {
                    let ended = nodes.into_iter().map(|node| (node, skipped(&reason))).collect();
                    self.settle(going, idle, ended).await;
                }
            }
        }
        claimed
    }

    /// Claims what is not over, which the dead holder had claimed already or was about to.
    ///
    /// `given` are the nodes that may have been given an install: whoever holds them, it is followed.
    async fn claim_again(
        &self,
        going: &mut Progressing<'_>,
        started: &mut Started,
        given: &BTreeSet<&NodeId>,
    ) -> Vec<NodeId> {
        let mut ids = going.open_nodes();
        ids.extend(started.keys().cloned());
        let machines: Vec<_> = ids
            .into_iter()
            .map(|node| {
                let also = other_ids_of(Some(going.plan), &node);
                (node, also)
            })
            .collect();
        let (mut claimed, mut ended) = (Vec::with_capacity(machines.len()), Vec::new());
        for (node, claim) in going.log.claim_whole(&machines).await {
            let Err(error) = claim else {
                claimed.push(node);
                continue;
            };
            // It was given back, and is another run's now: that one's power is not ours to change.
            if error.kind() == ErrorKind::Conflict && started.remove(&node).is_some() {
                going.undo_failed.push(UndoFailure::new(node.clone(), "start", error.report()));
            }
            if going.is_open(&node) && !given.contains(&node) {
                ended.push((node, skipped(error.report())));
            }
        }
        self.finish(going, ended).await;
        claimed
    }

    /// Follows what was submitted to its end. Returns the installs that a scan can judge.
    async fn take_up_acts(
        &self,
        going: &mut Progressing<'_>,
        acts: BTreeMap<crate::SubmitToken, LeftAct>,
    ) -> Vec<Installed> {
        let log = going.log;
        let acts = acts.into_iter().filter(|(_, act)| !act.nodes.is_empty());
        let ends = join_all(acts.map(|(token, act)| async move {
            let end = self.await_act(log, &token, &act).await;
            (act, end)
        }));
        let (mut installed, mut ended) = (Vec::new(), Vec::new());
        for (LeftAct { action, nodes, .. }, end) in ends.await {
            let each =
                |acted: Acted| nodes.iter().cloned().map(|node| (node, acted.clone())).collect();
            let answers: Vec<(NodeId, Acted)> = match end {
                ActEnd::Followed(answers) => answers,
                ActEnd::NotFound(_) => each(Acted::Unknown(not_found(action))),
                ActEnd::Blind(error) => {
                    each(Acted::Unwatched(format!("{action} could not be looked for: {error}")))
                }
            };
            for (node, acted) in answers {
                match action {
                    PatchAction::Install(_) => match acted {
                        Acted::Ended(ref end) if going.is_open(&node) => {
                            let patches = end.installed.len();
                            installed.push(Installed { node, patches, problem: acted.problem() });
                        }
                        Acted::Unwatched(reason) => {
                            going.unwatched.insert(node.clone(), reason.clone());
                            ended.push((node, NodeOutcome::new(Outcome::Unknown).because(reason)));
                        }
                        acted => {
                            let reason = acted.problem().unwrap_or_default();
                            ended.push((node, NodeOutcome::new(Outcome::Unknown).because(reason)));
                        }
                    },
                    PatchAction::UpdateAgent => {
                        if let Some(problem) = acted.problem() {
                            going.note(&node, format!("agent not updated: {problem}"));
                        }
                        going.updated.insert(node);
                    }
                    PatchAction::RefreshAssociations => {
                        going.refreshed.insert(node, acted);
                    }
                    // One that was never submitted is made now: it changes nothing.
                    PatchAction::Scan if matches!(acted, Acted::Ended(_)) => {
                        going.scanned.insert(node, acted);
                    }
                    _ => {}
                }
            }
        }
        // Those that are over keep the outcome that was written down.
        ended.retain(|(node, _)| going.is_open(node));
        self.finish(going, ended).await;
        installed
    }
}

impl Progressing<'_> {
    /// Takes over how nodes ended before, and what is owed to them.
    pub(super) fn take_up(&mut self, left: &mut Left) {
        for (node, outcome) in &left.outcomes {
            self.open.remove(node);
            let Some(report) = self.reports.get_mut(node) else { continue };
            report.outcome = outcome.clone();
            if is_failure(outcome.outcome) {
                self.failed.insert(node.clone());
            }
            // It was called so on the evidence of a scan.
            if outcome.outcome.is_good() {
                report.status_after = ComplianceStatus::Compliant;
            }
        }
        let failed = self.plan.nodes.iter().filter(|node| self.is_failed(&node.id));
        self.out = failed.map(|node| node.id.clone()).collect();
        self.failures = self.out.len() + left.stuck.iter().filter(|at| !self.is_failed(at)).count();
        self.hooks = std::mem::take(&mut left.hooks);
        for (node, error) in self.hooks.failed().to_vec() {
            self.note(&node, error);
            self.out.insert(node);
        }
        for (wave, health) in &left.judged {
            self.judge(*wave, health);
        }
        self.starts = std::mem::take(&mut left.starts);
    }

    pub(super) fn is_open(&self, node: &NodeId) -> bool {
        self.open.contains(node)
    }

    fn open_nodes(&self) -> BTreeSet<NodeId> {
        self.open.clone()
    }

    /// What is left of the pause before the wave at `from`, where that was not begun. The run wrote
    /// last when the wave before was over.
    fn bake_left(&self, from: usize, newest_at: Timestamp, now: Timestamp) -> Duration {
        let before = from.checked_sub(1).and_then(|before| self.plan.waves.get(before));
        let (Some(before), Some(_)) = (before, self.plan.waves.get(from)) else {
            return Duration::ZERO;
        };
        let passed = Duration::try_from(now.duration_since(newest_at)).unwrap_or_default();
        if self.is_begun(from) { Duration::ZERO } else { before.bake.saturating_sub(passed) }
    }

    /// Whether anything was done for the wave at `at`.
    pub(super) fn is_begun(&self, at: usize) -> bool {
        // Nodes that could not be claimed ended before any wave.
        let is_touched = |node: &NodeId| {
            let report = self.reports.get(node).filter(|_| !self.is_open(node));
            report.is_some_and(|report| report.outcome.outcome != Outcome::Skipped)
        };
        self.plan.waves.get(at).is_some_and(|wave| wave.nodes.iter().any(is_touched))
    }

    /// The first wave that has nodes whose part is not over.
    fn first_open_wave(&self) -> usize {
        let waves = &self.plan.waves;
        let has_open = |wave: &crate::AssignedWave| wave.nodes.iter().any(|at| self.is_open(at));
        waves.iter().position(has_open).unwrap_or(waves.len())
    }
}
