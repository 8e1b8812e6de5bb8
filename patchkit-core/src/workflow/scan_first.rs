//! The scan before an install, where the provider installs what the last scan found.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{PlanStep, Runner, act::Acted, patch::Progressing, power::Patience};
use crate::{NodeId, PatchAction};

impl Runner {
    /// Scans those nodes of which the plan says so, and waits until what the scans found can be read.
    ///
    /// What goes wrong is noted: the install tells whether it mattered.
    pub(super) async fn scan_first(
        &self,
        going: &mut Progressing<'_>,
        label: &str,
        open: &[NodeId],
    ) {
        let scans = |node: &&NodeId| {
            going.plan.node(node).is_some_and(|it| it.steps.contains(&PlanStep::Scan))
        };
        let old: Vec<NodeId> = open.iter().filter(scans).cloned().collect();
        if old.is_empty() || self.must_stop(going).is_some() {
            return;
        }
        for node in &old {
            going.log.step(node, PlanStep::Scan);
        }
        let since = self.clock.now();
        let (label, limit) = (format!("{label}-scan"), self.limits.scan);
        let patience = Patience::UntilCancelled;
        let acted = self.act(going.log, &label, PatchAction::Scan, &old, limit, patience).await;
        let mut scanned: BTreeMap<NodeId, Timestamp> = BTreeMap::new();
        for (node, acted) in acted {
            match (acted.problem(), acted) {
                (None, Acted::Ended(end)) => {
                    scanned.insert(node, end.started_at.unwrap_or(since));
                }
                (problem, _) => {
                    let problem = problem.unwrap_or_default();
                    going.note(&node, format!("not scanned before the install: {problem}"));
                }
            }
        }
        let found = self.evidence(going.log, scanned).await;
        self.remember(going.log, found.known.into_values().collect()).await;
        for (node, reason) in found.late {
            going.note(&node, format!("before the install: {reason}"));
        }
    }
}
