//! Acts: how a scan, an install or an agent update comes about on a node.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    life::{AGENT_RESTART, System},
    node::{Behavior, MemoryNode, NEWEST_AGENT, Scan},
};
use crate::{
    CompiledBaseline, ComplianceStatus, InstallChoice, NodeId, NodeOperation, NodePatch,
    OperationId, OperationKind, OperationStatus, PatchAction, PatchCompliance, PatchId,
    PatchOperation, Presence, RebootPolicy, clock::later, judge_node, patch_state,
};

/// How long an act waits for an agent before it is undeliverable.
const DELIVERY: Duration = Duration::from_mins(10);
/// How long an act may take where the request does not say.
const TIMEOUT: Duration = Duration::from_hours(2);
/// The end of an install in which the node is away.
const REBOOT: Duration = Duration::from_secs(90);

/// A submitted act.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) id: OperationId,
    pub(super) action: PatchAction,
    pub(super) submitted_at: Timestamp,
    pub(super) timeout: Duration,
    pub(super) nodes: BTreeMap<NodeId, NodeAct>,
}

/// An act on one node.
#[derive(Clone, Debug)]
pub(super) struct NodeAct {
    pub(super) status: OperationStatus,
    pub(super) detail: Option<String>,
    pub(super) installed: Vec<PatchId>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

impl NodeAct {
    pub(super) fn pending() -> Self {
        Self {
            status: OperationStatus::Pending,
            detail: None,
            installed: Vec::new(),
            started_at: None,
            ended_at: None,
        }
    }

    pub(super) fn end(&mut self, at: Timestamp, status: OperationStatus, detail: Option<String>) {
        self.status = status;
        self.detail = detail;
        self.ended_at = Some(at);
    }
}

/// What happens next to the act in front of a node's queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Start,
    End,
    TimeOut,
    Undeliverable,
}

impl Act {
    pub(super) fn new(
        id: OperationId,
        action: PatchAction,
        submitted_at: Timestamp,
        nodes: &[NodeId],
    ) -> Self {
        let nodes = nodes.iter().map(|node| (node.clone(), NodeAct::pending())).collect();
        Self { id, action, submitted_at, timeout: TIMEOUT, nodes }
    }

    fn duration(&self) -> Duration {
        match self.action {
            PatchAction::Install(_) => Duration::from_mins(5),
            PatchAction::Scan | PatchAction::UpdateAgent | PatchAction::RefreshAssociations => {
                Duration::from_mins(1)
            }
        }
    }

    /// The next step on `node`, and when it comes.
    pub(super) fn next(&self, node: &MemoryNode) -> Option<(Timestamp, Step)> {
        let act = self.nodes.get(node.id())?;
        let Some(started) = act.started_at else {
            let last = later(self.submitted_at, DELIVERY);
            return Some(match node.answers_from() {
                Some(from) if from < last => {
                    (from.max(self.submitted_at).max(node.life.free_from), Step::Start)
                }
                _ => (last, Step::Undeliverable),
            });
        };
        let hangs = node.behavior == Behavior::InstallHangs
            && matches!(self.action, PatchAction::Install(_));
        Some(if hangs || self.timeout < self.duration() {
            (later(started, self.timeout), Step::TimeOut)
        } else {
            (later(started, self.duration()), Step::End)
        })
    }

    /// Whether the act has the node's system away at `now`.
    pub(super) fn system(&self, node: &NodeId, now: Timestamp) -> System {
        let reboots = matches!(
            self.action,
            PatchAction::Install(RebootPolicy::IfRequired | RebootPolicy::Always)
        );
        let started = self
            .nodes
            .get(node)
            .filter(|act| act.ended_at.is_none())
            .and_then(|act| act.started_at);
        let away = self.duration().saturating_sub(REBOOT);
        match started {
            Some(at) if reboots && later(at, away) <= now => System::Rebooting,
            _ => System::Up,
        }
    }

    pub(super) fn seen(&self) -> PatchOperation {
        let nodes: Vec<NodeOperation> = self
            .nodes
            .iter()
            .map(|(node, act)| {
                let mut seen = NodeOperation::new(node.clone(), act.status);
                seen.detail.clone_from(&act.detail);
                seen.installed.clone_from(&act.installed);
                seen.started_at = act.started_at;
                seen.ended_at = act.ended_at;
                seen
            })
            .collect();
        let all = |status| nodes.iter().all(|node| node.status == status);
        let status = if all(OperationStatus::Succeeded) {
            OperationStatus::Succeeded
        } else if all(OperationStatus::Cancelled) {
            OperationStatus::Cancelled
        } else if nodes.iter().all(|node| node.status.is_final()) {
            OperationStatus::Failed
        } else if all(OperationStatus::Pending) {
            OperationStatus::Pending
        } else {
            OperationStatus::InProgress
        };
        PatchOperation::new(self.id.clone(), status, nodes)
    }
}

impl MemoryNode {
    /// Gives an act that ends at `at` its effect.
    pub(super) fn finish(
        &mut self,
        action: PatchAction,
        at: Timestamp,
        baseline: Option<&CompiledBaseline>,
        act: &mut NodeAct,
    ) {
        let done = OperationStatus::Succeeded;
        match action {
            PatchAction::UpdateAgent => {
                self.node.agent_version = Some(NEWEST_AGENT.to_owned());
                self.life.agent_from = later(at, AGENT_RESTART);
                act.end(at, done, None);
            }
            PatchAction::RefreshAssociations => {
                self.associations = Some(ComplianceStatus::Compliant);
                act.end(at, done, None);
            }
            PatchAction::Scan | PatchAction::Install(_) => {
                let Some(baseline) = baseline else {
                    let os = &self.node.operating_system;
                    let detail = format!("no baseline for {os}");
                    act.end(at, OperationStatus::Failed, Some(detail));
                    return;
                };
                if let PatchAction::Install(reboot) = action {
                    let failed = self.install(baseline, at, reboot, act);
                    self.look(baseline, OperationKind::Install, at);
                    match failed {
                        Some(patch) => {
                            let detail = format!("patch {patch} could not be installed");
                            act.end(at, OperationStatus::Failed, Some(detail));
                        }
                        None => act.end(at, done, None),
                    }
                } else {
                    self.look(baseline, OperationKind::Scan, at);
                    act.end(at, done, None);
                }
            }
        }
    }

    /// Installs what is missing; returns the patch that failed.
    fn install(
        &mut self,
        baseline: &CompiledBaseline,
        at: Timestamp,
        reboot: RebootPolicy,
        act: &mut NodeAct,
    ) -> Option<PatchId> {
        let mut failed = None;
        let mut wanted = Vec::new();
        for (index, patch) in self.patches.iter().enumerate() {
            match baseline.install_choice(patch, at) {
                InstallChoice::Install => wanted.push(index),
                InstallChoice::NeedsBlocked => failed = Some(patch.patch.id.clone()),
                _ => {}
            }
        }
        let take = match self.behavior {
            Behavior::TwoRounds => wanted.len().div_ceil(2),
            _ => wanted.len(),
        };
        let fails = (self.behavior == Behavior::PatchFails).then_some(0);
        for (nth, index) in wanted.into_iter().take(take).enumerate() {
            let patch = &mut self.patches[index];
            if fails == Some(nth) {
                patch.presence = Presence::InstallFailed;
                failed = Some(patch.patch.id.clone());
            } else {
                patch.presence = Presence::InstalledPendingReboot;
                act.installed.push(patch.patch.id.clone());
            }
        }
        let waiting = |patch: &&mut NodePatch| patch.presence == Presence::InstalledPendingReboot;
        let needed = self.patches.iter_mut().any(|patch| waiting(&patch));
        let reboots = match reboot {
            RebootPolicy::Never => false,
            RebootPolicy::IfRequired => needed,
            RebootPolicy::Always => true,
        };
        if reboots {
            for patch in self.patches.iter_mut().filter(waiting) {
                patch.presence = Presence::Installed;
            }
            self.life.booted_at = Some(at);
            self.life.agent_from = later(at, AGENT_RESTART);
        }
        failed
    }

    /// Compares the node with its baseline.
    pub(super) fn look(&mut self, baseline: &CompiledBaseline, kind: OperationKind, at: Timestamp) {
        let judged: Vec<_> = self
            .patches
            .iter()
            .filter_map(|patch| Some((&patch.patch, patch_state(baseline, patch, kind, at)?)))
            .collect();
        let patches = judged
            .iter()
            .map(|(patch, judged)| {
                let mut seen =
                    PatchCompliance::new(patch.id.clone(), judged.state.clone(), judged.status);
                seen.title.clone_from(&patch.title);
                seen.level = judged.level;
                seen.classification.clone_from(&patch.classification);
                seen.severity.clone_from(&patch.severity);
                seen.cves.clone_from(&patch.cves);
                seen
            })
            .chain(self.reported.iter().cloned())
            .collect();
        let states =
            judged.into_iter().map(|(patch, judged)| (patch.classification.as_ref(), judged));
        let mut verdict = judge_node(baseline, states);
        for patch in &self.reported {
            verdict.counts.count(&patch.state);
        }
        let baseline = baseline.baseline().id.clone();
        self.scan = Some(Scan { at, baseline, verdict, patches });
    }
}
