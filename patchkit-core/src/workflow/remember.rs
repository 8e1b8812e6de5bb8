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
    pub(super) async fn remember<'a>(
        &self,
        log: &RunLog,
        found: impl IntoIterator<Item = &'a NodeCompliance>,
    ) {
        let Some(history) = &self.history else { return };
        let (now, run) = (self.clock.now(), log.run());
        let seen = found.into_iter().map(|known| Observation::of(known, now).with_run(run.clone()));
        let mut seen: Vec<Observation> = seen.collect();
        if seen.is_empty() {
            return;
        }
        if history.detail() == Detail::Severities {
            self.weigh(log, &mut seen).await;
        }
        if let Err(error) = history.record(&seen).await {
            log.problem(format!("the history has a gap: {}", error.report()));
        }
    }

    /// Finds out how severe it is what nodes lack.
    async fn weigh(&self, log: &RunLog, seen: &mut [Observation]) {
        let wrong = seen.iter_mut().filter(|it| it.status == ComplianceStatus::NonCompliant);
        let weighed = stream::iter(wrong)
            .map(async |it| {
                let lacking = self.gate.pass(self.severities(&it.node)).await;
                (it, lacking)
            })
            .buffer_unordered(self.parallel);
        let mut weighed = std::pin::pin!(weighed);
        while let Some((it, lacking)) = weighed.next().await {
            match lacking {
                Ok(lacking) => it.lacking = Some(lacking),
                Err(error) => {
                    let report = error.report();
                    log.problem(format!(
                        "the history lacks the severities of {}: {report}",
                        it.node
                    ));
                }
            }
        }
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
