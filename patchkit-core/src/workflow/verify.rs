//! Judges installs by evidence: the scan after the install, not the install's exit status.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    NodeOutcome, Outcome, PlanStep, PlannedNode, Runner,
    act::Acted,
    patch::Progressing,
    power::{Patience, is_online},
};
use crate::{ComplianceStatus, NodeCompliance, NodeId, PatchAction};

/// A node on which an install has ended.
pub(super) struct Installed {
    pub(super) node: NodeId,
    /// How many patches the provider says it installed.
    pub(super) patches: usize,
    /// What it says went wrong.
    pub(super) problem: Option<String>,
}

impl Runner {
    /// Waits for the nodes to come back, scans them again, and judges by what the scan found.
    pub(super) async fn verify(
        &self,
        going: &mut Progressing<'_>,
        label: &str,
        installed: Vec<Installed>,
    ) -> Vec<(NodeId, NodeOutcome)> {
        // Those that were scanned before the run was resumed may be off again.
        let ids = installed.iter().map(|at| &at.node).filter(|at| !going.scanned.contains_key(at));
        let ids: Vec<NodeId> = ids.cloned().collect();
        let reachable = self.limits.reachable;
        let lost = self.wait_nodes(going.log, &ids, reachable, Patience::ToTheEnd, is_online).await;
        let back: Vec<NodeId> = ids.into_iter().filter(|node| !lost.contains_key(node)).collect();
        for node in &back {
            going.log.step(node, PlanStep::Rescan);
        }
        let since = self.clock.now();
        // A scan changes nothing on the node, so a cancelled run still looks at what it did.
        let label = format!("{label}-rescan");
        let limit = self.limits.scan;
        let patience = Patience::ToTheEnd;
        let mut scanned =
            self.act(going.log, &label, PatchAction::Scan, &back, limit, patience).await;
        scanned.append(&mut going.scanned);
        // By the provider's clock where it tells: ours may differ by more than lies between install
        // and scan.
        let began = |(node, acted): (&NodeId, &Acted)| match acted {
            Acted::Ended(end) if acted.succeeded() => {
                Some((node.clone(), end.started_at.unwrap_or(since)))
            }
            _ => None,
        };
        let since: BTreeMap<NodeId, Timestamp> = scanned.iter().filter_map(began).collect();
        let mut evidence = self.evidence(going.log, since).await;
        self.remember(going.log, evidence.known.values().cloned().collect()).await;
        let mut verdicts = Vec::with_capacity(installed.len());
        for Installed { node, patches, problem } in installed {
            let unknown = NodeOutcome::new(Outcome::Unknown);
            let mut outcome = if let Some(word) = lost.get(&node) {
                NodeOutcome::new(Outcome::Unreachable).because(format!("after the install: {word}"))
            } else if let Some(known) = evidence.known.remove(&node) {
                if let Some(report) = going.reports.get_mut(&node) {
                    report.status_after = known.status;
                }
                verdict(going.plan.node(&node), patches, &known)
            } else if let Some(reason) = evidence.late.remove(&node) {
                unknown.because(reason)
            } else {
                match scanned.get(&node).and_then(Acted::problem) {
                    Some(problem) => unknown.because(format!("not scanned again: {problem}")),
                    None => unknown.because("not scanned again"),
                }
            };
            outcome.notes.extend(problem.map(|problem| format!("install: {problem}")));
            verdicts.push((node, outcome));
        }
        verdicts
    }
}

fn verdict(planned: Option<&PlannedNode>, patches: usize, scan: &NodeCompliance) -> NodeOutcome {
    let counts = &scan.counts;
    if counts.installed_pending_reboot > 0 {
        return NodeOutcome::new(Outcome::Failed)
            .because(format!("{} patches wait for a reboot", counts.installed_pending_reboot));
    }
    match scan.status {
        ComplianceStatus::Compliant => {
            let before = patches == 0
                && planned.is_some_and(|node| {
                    node.status == ComplianceStatus::Compliant && node.missing == 0
                });
            NodeOutcome::new(if before { Outcome::AlreadyCompliant } else { Outcome::Patched })
        }
        ComplianceStatus::NonCompliant => NodeOutcome::new(Outcome::Failed).because(format!(
            "the rescan found {} missing, {} failed, {} rejected",
            counts.missing, counts.failed, counts.installed_rejected
        )),
        _ => NodeOutcome::new(Outcome::Unknown).because("the rescan gave no verdict"),
    }
}
