//! Writes what scans found into the history, where there is one.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::{Runner, log::RunLog};
use crate::{
    ComplianceStatus, NodeCompliance, NodeId, Result, Severity,
    history::{Detail, History, Observation},
};

impl Runner {
    /// Writes down what was found of nodes. The run goes on without it: a history with a gap is no
    /// reason to leave nodes unpatched, and the gap is named.
    pub(super) async fn remember(&self, log: &RunLog, found: Vec<NodeCompliance>) {
        let Some(history) = self.history.as_ref().filter(|_| !found.is_empty()) else { return };
        let mut severities = match history.detail() {
            Detail::Verdicts => BTreeMap::new(),
            Detail::Severities => self.weigh(log, &found).await,
        };
        let (now, run) = (self.clock.now(), log.run());
        let mut seen = Vec::with_capacity(found.len());
        for known in found {
            let observation = Observation::of(&known, now).with_run(run.clone());
            seen.push(match severities.remove(&known.node) {
                Some(lacking) => observation.with_lacking(lacking),
                None => observation,
            });
        }
        if let Err(error) = history.record(&seen).await {
            log.problem(format!("the history has a gap: {}", error.report()));
        }
    }

    /// Finds out how severe it is what nodes lack.
    async fn weigh(
        &self,
        log: &RunLog,
        found: &[NodeCompliance],
    ) -> BTreeMap<NodeId, BTreeMap<Severity, u32>> {
        let wrong = found.iter().filter(|it| it.status == ComplianceStatus::NonCompliant);
        let wrong: Vec<NodeId> = wrong.map(|it| it.node.clone()).collect();
        let weighed: Vec<(NodeId, Result<BTreeMap<Severity, u32>>)> = stream::iter(wrong)
            .map(|node| async move {
                let lacking = self.gate.pass(self.severities(&node)).await;
                (node, lacking)
            })
            .buffer_unordered(self.parallel)
            .collect()
            .await;
        let mut severities = BTreeMap::new();
        for (node, lacking) in weighed {
            match lacking {
                Ok(lacking) => {
                    severities.insert(node, lacking);
                }
                Err(error) => {
                    let report = error.report();
                    log.problem(format!("the history lacks the severities of {node}: {report}"));
                }
            }
        }
        severities
    }

    async fn severities(&self, node: &NodeId) -> Result<BTreeMap<Severity, u32>> {
        let mut lacking = BTreeMap::new();
        let mut patches = self.compliance.patches(node);
        while let Some(patch) = patches.try_next().await? {
            if patch.status == ComplianceStatus::NonCompliant {
                let severity = patch.severity.unwrap_or(Severity::Unspecified);
                *lacking.entry(severity).or_default() += 1;
            }
        }
        Ok(lacking)
    }
}

impl Runner {
    /// Writes what scans and rescans find into `history`.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }
}
