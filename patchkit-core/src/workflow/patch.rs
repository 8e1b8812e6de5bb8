//! Patch: start what is off, update agents, install in waves, rescan, stop only what was started.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use tracing::Instrument;

use super::{
    NodeOutcome, NodeReport, Outcome, PatchPlan, PlanStep, PlannedNode, RunReport, Runner,
    UndoFailure,
    act::Acted,
    hooked::HookBook,
    listing::problems,
    log::RunLog,
    power::{Patience, Started, is_online},
    slots::{self, Slots},
    unexpected,
    verify::Installed,
};
use crate::{ErrorKind, Event, HostLink, NodeId, PatchAction, PowerState, Result, RunId};

/// What is known of the nodes of a run while it goes on.
pub(super) struct Progressing<'a> {
    pub(super) plan: &'a PatchPlan,
    pub(super) log: &'a RunLog,
    pub(super) reports: BTreeMap<NodeId, NodeReport>,
    /// Nodes whose part is not over.
    pub(super) open: BTreeSet<NodeId>,
    pub(super) undo_failed: Vec<UndoFailure>,
    pub(super) failures: usize,
    /// Nodes that count as out of work though their part is over: those that failed, and those of
    /// which a hook could not say that they are back.
    pub(super) out: BTreeSet<NodeId>,
    /// Why the run begins nothing more, where that was found out for good.
    pub(super) stopped: Option<String>,
    /// The waves that were asked after.
    pub(super) judged: BTreeSet<usize>,
    pub(super) hooks: HookBook,
    pub(super) slots: Slots,
    /// When nodes were started last.
    pub(super) starts: VecDeque<Timestamp>,
    /// Nodes on which an install goes on as far as anyone knows, and why nobody knows more.
    pub(super) unwatched: BTreeMap<NodeId, String>,
    /// Stands before the labels of acts, so that those of a resumed run are told from earlier ones.
    pub(super) prefix: String,
    /// Nodes whose agents were told to update before the run was resumed.
    pub(super) updated: BTreeSet<NodeId>,
    /// Scans after installs that ended before the run was resumed.
    pub(super) scanned: BTreeMap<NodeId, Acted>,
    /// Nodes whose associations were told to be applied again before the run was resumed.
    pub(super) refreshed: BTreeMap<NodeId, Acted>,
}

impl Runner {
    /// Carries a plan out.
    ///
    /// # Guarantees
    /// - What is done is written to the journal before it is done; no act is submitted twice.
    /// - A node is worked on only while this run has claimed it.
    /// - Nodes that this run started are put back to the power they had, whatever went wrong in
    ///   between, also when the run is cancelled; those that could not be are in `undo_failed`. So
    ///   are those that stay on because nobody may tell whether an install is going on there.
    /// - `Patched` is claimed on the evidence of a scan made after the install.
    /// - Failed nodes stay counted in the disruption budgets.
    /// - Nothing is begun after a check of health that is not `Healthy`, in a freeze, outside the
    ///   window, or that would not be over in time.
    /// - [Hooks](super::Hook) that were called before something are called after it.
    ///
    /// # Assumptions
    /// - The plan's nodes are as they were when it was made. A node whose power is another is
    ///   skipped.
    ///
    /// # Errors
    /// `Conflict` (the run exists), and what the journal answers before the first act. From then on
    /// errors are in the report.
    ///
    /// # Cancellation
    /// A dropped future leaves nodes as they are at that moment, claimed and journaled:
    /// [`recover`](Self::recover) puts them back. To stop a run, cancel its
    /// [`CancelToken`](super::CancelToken) instead.
    pub async fn patch(&self, run: &RunId, plan: &PatchPlan) -> Result<RunReport> {
        let json = serde_json::to_value(plan).map_err(|error| {
            unexpected("patch", "the plan is not JSON".to_owned()).with_source(error)
        })?;
        let log = RunLog::begin(self, run, &plan.workflow, plan.hash(), json).await?;
        let mut going = Progressing::new(plan, &log);
        for skipped in &plan.skipped {
            if let Some(report) = going.reports.get(&skipped.node.id) {
                going.log.finished(report);
            }
        }

        let claimed = self.claim(&mut going).await;
        let claimed = self.check_links(&mut going, claimed).await;
        self.before_all(&mut going, None).instrument(log.span()).await;
        // On the heap: what holds a run must not carry all of its parts.
        Box::pin(self.waves(&mut going, &claimed, 0)).instrument(log.span()).await;
        self.close(going).instrument(log.span()).await
    }

    /// Claims the plan's nodes; those that cannot be claimed are skipped.
    async fn claim(&self, going: &mut Progressing<'_>) -> Vec<NodeId> {
        // A node of that name would take a budget's slots.
        let is_node = |node: &&PlannedNode| node.id.scope().provider() != slots::PROVIDER;
        let (nodes, slots): (Vec<_>, Vec<_>) = going.plan.nodes.iter().partition(is_node);
        let no_node = |node: &PlannedNode| (node.id.clone(), skipped("its id is no node's"));
        let mut ended: Vec<_> = slots.into_iter().map(no_node).collect();
        let machines: Vec<_> =
            nodes.into_iter().map(|node| (node.id.clone(), node.also.clone())).collect();
        let mut claimed = Vec::with_capacity(machines.len());
        for (node, claim) in going.log.claim_whole(&machines).await {
            match claim {
                Ok(()) => claimed.push(node),
                Err(error) => ended.push((node, skipped(error.report()))),
            }
        }
        self.finish(going, ended).await;
        claimed
    }

    /// Leaves nodes out whose part in another control plane is not what the plan says: a machine
    /// that was created anew is another one.
    pub(super) async fn check_links(
        &self,
        going: &mut Progressing<'_>,
        claimed: Vec<NodeId>,
    ) -> Vec<NodeId> {
        let planned = |node: &NodeId| going.plan.node(node)?.host();
        let links: BTreeMap<NodeId, HostLink> = claimed
            .iter()
            .filter(|node| going.is_open(node))
            .filter_map(|node| Some((node.clone(), planned(node)?.clone())))
            .collect();
        let broken = self.broken_links(&links).await;
        let ended = broken.iter().map(|(node, why)| (node.clone(), skipped(why))).collect();
        self.finish(going, ended).await;
        claimed.into_iter().filter(|node| !broken.contains_key(node)).collect()
    }

    /// Takes some nodes through all steps, and puts back those it started, with those that `started`
    /// holds already.
    pub(super) async fn round(
        &self,
        going: &mut Progressing<'_>,
        label: &str,
        nodes: &[NodeId],
        mut started: Started,
    ) {
        let open = self.before_nodes(going, nodes).await;
        let open = self.make_reachable(going, &open, &mut started).await;
        let open = self.update_agents(going, label, open, &started).await;
        let (open, mut verdicts) = self.refresh(going, label, open).await;
        self.scan_first(going, label, &open).await;
        let installed = self.install(going, label, open).await;
        verdicts.extend(self.verify(going, label, installed).await);
        self.settle(going, started, verdicts).await;
        self.after_nodes(going, nodes).await;
    }

    /// Puts nodes back and writes down how their part ended.
    pub(super) async fn settle(
        &self,
        going: &mut Progressing<'_>,
        started: Started,
        verdicts: Vec<(NodeId, NodeOutcome)>,
    ) {
        // Half an install is worse than a node that is on.
        let (left_on, started): (Started, Started) =
            started.into_iter().partition(|(node, _)| going.unwatched.contains_key(node));
        let mut failed = self.leave_on(going.log, left_on, &going.unwatched).await;
        for node in started.keys() {
            going.log.step(node, PlanStep::RestorePower);
        }
        failed.extend(self.restore(going.log, &started).await);
        for failure in &failed {
            if let Some(report) = going.reports.get_mut(&failure.node) {
                report.outcome.notes.push(failure.error.clone());
            }
        }
        self.finish(going, verdicts).await;
        // Where one cannot be stopped, the next ones are not started.
        going.failures += failed.iter().filter(|failure| !going.is_failed(&failure.node)).count();
        going.undo_failed.extend(failed);
    }

    /// Starts what is off and waits for the agents.
    async fn make_reachable(
        &self,
        going: &mut Progressing<'_>,
        nodes: &[NodeId],
        started: &mut Started,
    ) -> Vec<NodeId> {
        let (mut open, mut off, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (node, status) in self.statuses_now(going.log, nodes).await {
            let Some(planned) = going.plan.node(&node) else { continue };
            match status {
                Err(error) => ended.push((node, failed(error.report()))),
                // Whether the start was carried out is not known where the run was resumed.
                Ok(status) if status.power.is_off() && started.contains_key(&node) => {
                    off.push((node, status.power));
                }
                Ok(_) if started.contains_key(&node) => open.push(node),
                Ok(status) if status.power != planned.power => {
                    let mut drift = format!(
                        "its power was {} when the plan was made and is {} now",
                        planned.power, status.power
                    );
                    if let Some(problem) = &status.problem {
                        drift = format!("{drift}: {problem}");
                    }
                    ended.push((node, skipped(drift)));
                }
                Ok(status) if status.power.is_off() => off.push((node, status.power)),
                Ok(_) => open.push(node),
            }
        }
        if !off.is_empty()
            && let Some(reason) = self.held(going).await
        {
            ended.extend(off.drain(..).map(|(node, _)| (node, skipped(&reason))));
        }
        self.finish(going, ended).await;
        for (node, _) in &off {
            going.log.step(node, PlanStep::Start);
        }
        if !off.is_empty() {
            let (now_on, ended) = self.start_slowly(going, &off).await;
            open.extend(now_on.keys().cloned());
            started.extend(now_on);
            self.finish(going, ended).await;
        }
        for node in &open {
            going.log.step(node, PlanStep::WaitReachable);
        }
        let limit = self.limits.start + self.limits.reachable;
        let lost =
            self.wait_nodes(going.log, &open, limit, Patience::UntilCancelled, is_online).await;
        let not_reached = self.not_reached(going.log);
        let ended = |(node, word): (&NodeId, &String)| {
            (node.clone(), NodeOutcome::new(not_reached).because(word))
        };
        self.finish(going, lost.iter().map(ended).collect()).await;
        open.retain(|node| !lost.contains_key(node));
        open
    }

    /// Updates the agents of the nodes that were off. An agent that cannot be updated is noted; the
    /// install tells whether it mattered.
    async fn update_agents(
        &self,
        going: &mut Progressing<'_>,
        label: &str,
        open: Vec<NodeId>,
        started: &Started,
    ) -> Vec<NodeId> {
        let old = |node: &&NodeId| {
            started.contains_key(*node)
                && !going.updated.contains(*node)
                && self.fleet.capabilities_for(node.scope()).update_agent
        };
        let old: Vec<NodeId> = open.iter().filter(old).cloned().collect();
        if old.is_empty() {
            return open;
        }
        if self.held(going).await.is_some() {
            return open;
        }
        for node in &old {
            going.log.step(node, PlanStep::UpdateAgent);
        }
        let label = format!("{label}-agent");
        let limit = self.limits.update_agent;
        let patience = Patience::UntilCancelled;
        let acted =
            self.act(going.log, &label, PatchAction::UpdateAgent, &old, limit, patience).await;
        for (node, acted) in acted {
            if let Some(problem) = acted.problem() {
                going.note(&node, format!("agent not updated: {problem}"));
            }
        }
        // An agent that updates itself goes away for a moment.
        let lost = self
            .wait_nodes(going.log, &old, self.limits.reachable, Patience::UntilCancelled, is_online)
            .await;
        let not_reached = self.not_reached(going.log);
        let ended = |(node, word): (&NodeId, &String)| {
            let word = format!("after the agent update: {word}");
            (node.clone(), NodeOutcome::new(not_reached).because(word))
        };
        self.finish(going, lost.iter().map(ended).collect()).await;
        open.into_iter().filter(|node| !lost.contains_key(node)).collect()
    }

    /// How a node ends whose agent was waited for in vain: a cancelled run did not wait long enough
    /// to tell.
    fn not_reached(&self, log: &RunLog) -> Outcome {
        if self.is_cancelled(log) { Outcome::Skipped } else { Outcome::Unreachable }
    }

    /// Installs. Returns the nodes whose evidence a rescan can give, with what the install said.
    async fn install(
        &self,
        going: &mut Progressing<'_>,
        label: &str,
        open: Vec<NodeId>,
    ) -> Vec<Installed> {
        if let Some(reason) = self.held(going).await {
            let ended = open.into_iter().map(|node| (node, skipped(&reason))).collect();
            self.finish(going, ended).await;
            return Vec::new();
        }
        for node in &open {
            going.log.step(node, PlanStep::Install);
        }
        let action = PatchAction::Install(going.plan.options.reboot);
        let label = format!("{label}-install");
        let limit = self.limits.install;
        let patience = Patience::UntilCancelled;
        let acted = self.act(going.log, &label, action, &open, limit, patience).await;
        let (mut verify, mut ended) = (Vec::with_capacity(acted.len()), Vec::new());
        for (node, acted) in acted {
            match acted {
                Acted::NotBegun(reason) if self.is_cancelled(going.log) => {
                    ended.push((node, skipped(reason)));
                }
                Acted::NotBegun(reason) => ended.push((node, failed(reason))),
                // Whatever goes on there, a second act would be on top of it.
                Acted::Unknown(reason) => {
                    ended.push((node, NodeOutcome::new(Outcome::Unknown).because(reason)));
                }
                Acted::Unwatched(reason) => {
                    going.unwatched.insert(node.clone(), reason.clone());
                    ended.push((node, NodeOutcome::new(Outcome::Unknown).because(reason)));
                }
                Acted::Ended(ref end) => {
                    let patches = end.installed.len();
                    verify.push(Installed { node, patches, problem: acted.problem() });
                }
            }
        }
        self.finish(going, ended).await;
        verify
    }

    /// Writes the outcomes of nodes down, with the notes that they have already.
    pub(super) async fn finish(
        &self,
        going: &mut Progressing<'_>,
        ended: Vec<(NodeId, NodeOutcome)>,
    ) {
        let mut events = Vec::with_capacity(ended.len());
        for (node, outcome) in ended {
            let Some(report) = going.reports.get_mut(&node) else { continue };
            let mut notes = outcome.notes;
            notes.append(&mut report.outcome.notes);
            report.outcome = NodeOutcome { outcome: outcome.outcome, notes };
            going.open.remove(&node);
            if matches!(outcome.outcome, Outcome::Failed | Outcome::Unreachable | Outcome::Unknown)
            {
                going.failures += 1;
                going.out.insert(node.clone());
            }
            let outcome = serde_json::to_value(&report.outcome).unwrap_or_default();
            going.log.finished(report);
            events.push(Event::NodeFinished { node, outcome });
        }
        going.log.note(&events).await;
    }

    /// Reads how the nodes ended, and gives run and nodes back.
    pub(super) async fn close(&self, mut going: Progressing<'_>) -> Result<RunReport> {
        self.settle_hooks(&mut going).await;
        let Progressing { plan, log, mut reports, mut undo_failed, slots, out, .. } = going;
        let ids: Vec<NodeId> = reports.keys().cloned().collect();
        for (node, status) in self.statuses(&ids).await {
            let Some(report) = reports.get_mut(&node) else { continue };
            match status {
                Ok(status) => report.power_after = status.power,
                Err(error) => {
                    report.power_after = PowerState::Unknown;
                    if error.kind() != ErrorKind::Unsupported {
                        report
                            .outcome
                            .notes
                            .push(format!("its power is unknown: {}", error.report()));
                    }
                }
            }
        }
        undo_failed.sort_by(|a, b| a.node.cmp(&b.node));
        let mut report = RunReport {
            run: log.run(),
            started_at: log.started_at,
            ended_at: self.clock.now(),
            nodes: reports.into_values().collect(),
            undo_failed,
            problems: problems(&plan.unlisted).chain(log.problems()).collect(),
        };
        // Before the run is over in the journal: a process that dies in between tells it later.
        self.queue(log, &report).await;
        log.note(&[Event::RunFinished]).await;
        // A node that could not be put back stays claimed, until someone recovers the run. Those
        // whose claim had no clear answer go as well; what another run holds is left alone.
        let stuck: BTreeSet<NodeId> =
            report.undo_failed.iter().map(|failure| failure.node.clone()).collect();
        let free = plan.nodes.iter().filter(|node| !stuck.contains(&node.id));
        let mut free: Vec<NodeId> = free.flat_map(PlannedNode::ids).cloned().collect();
        // Of those that are only on, nothing is out of work.
        let out = stuck.intersection(&out).cloned().collect();
        free.extend(Self::slots_to_give(plan, &slots, &out));
        log.close(&free).await;
        self.post(log).await;
        report.problems = problems(&plan.unlisted).chain(log.problems()).collect();
        Ok(report)
    }
}

impl<'a> Progressing<'a> {
    pub(super) fn new(plan: &'a PatchPlan, log: &'a RunLog) -> Self {
        let planned = plan.nodes.iter().map(|node| (node.id.clone(), untouched(node)));
        let skipped = plan.skipped.iter().map(|skipped| {
            let mut report = untouched(&skipped.node);
            report.outcome = NodeOutcome::new(skipped.outcome).because(&skipped.reason);
            (skipped.node.id.clone(), report)
        });
        Self {
            plan,
            log,
            reports: planned.chain(skipped).collect(),
            open: plan.nodes.iter().map(|node| node.id.clone()).collect(),
            undo_failed: Vec::new(),
            failures: 0,
            out: BTreeSet::new(),
            stopped: None,
            judged: BTreeSet::new(),
            hooks: HookBook::default(),
            slots: Slots::default(),
            starts: VecDeque::new(),
            unwatched: BTreeMap::new(),
            prefix: String::new(),
            updated: BTreeSet::new(),
            scanned: BTreeMap::new(),
            refreshed: BTreeMap::new(),
        }
    }

    pub(super) fn is_failed(&self, node: &NodeId) -> bool {
        self.reports.get(node).is_some_and(|report| {
            matches!(
                report.outcome.outcome,
                Outcome::Failed | Outcome::Unreachable | Outcome::Unknown
            )
        })
    }

    pub(super) fn note(&mut self, node: &NodeId, note: String) {
        if let Some(report) = self.reports.get_mut(node) {
            report.outcome.notes.push(note);
        }
    }
}

fn untouched(node: &PlannedNode) -> NodeReport {
    NodeReport {
        node: node.id.clone(),
        group: node.group.clone(),
        power_before: node.power,
        power_after: node.power,
        status_before: node.status,
        status_after: node.status,
        outcome: NodeOutcome::new(Outcome::Skipped),
    }
}

pub(super) fn skipped(reason: impl Into<String>) -> NodeOutcome {
    NodeOutcome::new(Outcome::Skipped).because(reason)
}

pub(super) fn failed(reason: impl Into<String>) -> NodeOutcome {
    NodeOutcome::new(Outcome::Failed).because(reason)
}
