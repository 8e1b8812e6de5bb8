//! Access check: may every node talk to its management service? Fixed only when asked.

use std::{fmt, sync::Arc};

use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{Runner, UndoFailure, listing::problems, log::RunLog, power::is_refusal};
use crate::{
    AccessChange, AccessGrant, AccessStatus, Change, Event, NodeId, NodeSelector, Result, RunId,
    observe::RunEventKind,
};

/// Whether a check may change something.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// Only looks.
    Check,
    /// Gives nodes what they lack.
    Fix(AccessGrant),
}

/// How a node's access check ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessOutcome {
    /// It has access.
    Granted,
    /// It had none, and was given it.
    Fixed,
    /// It has none.
    Missing,
    /// The check or the fix failed.
    Failed,
    /// It could not be found out.
    Unknown,
}

impl fmt::Display for AccessOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Granted => "granted",
            Self::Fixed => "fixed",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// One node of an access check.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AccessFinding {
    /// The node.
    pub node: NodeId,
    /// How its check ended.
    pub outcome: AccessOutcome,
    /// Why. Holds providers' words: escape before showing.
    pub findings: Vec<String>,
    /// What was changed, as [`Runner::revert_access`] takes it back.
    pub change: Option<AccessChange>,
}

/// How an access check ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AccessReport {
    /// The run; `None` for a check without a fix, which is not journaled.
    pub run: Option<RunId>,
    /// Every node, by id.
    pub nodes: Vec<AccessFinding>,
    /// What went wrong without belonging to one node: a scope that could not be listed, the journal.
    pub problems: Vec<String>,
}

impl Runner {
    /// Checks the access of the nodes of `selector`, and grants it where `mode` says so.
    ///
    /// # Guarantees
    /// - With [`AccessMode::Check`], reads only.
    /// - What a fix changed is in the report and in the journal, and can be taken back.
    /// - One node's error does not stop the others, nor does a scope that could not be listed: it is
    ///   in the report's problems.
    ///
    /// # Assumptions
    /// - To grant access does no harm to a node that another run is patching: nodes are not claimed.
    ///
    /// # Errors
    /// `Conflict` (the run exists); the first error of the listing that is not about one
    /// scope alone.
    pub async fn check_access(
        &self,
        run: &RunId,
        selector: &NodeSelector,
        mode: &AccessMode,
    ) -> Result<AccessReport> {
        let (nodes, unlisted) = self.list(selector).await?;
        let log = match mode {
            AccessMode::Check => None,
            AccessMode::Fix(_) => {
                let plan = serde_json::json!({ "selector": selector, "mode": mode });
                Some(RunLog::begin(self, run, "access", String::new(), plan).await?)
            }
        };
        let teller = log.as_ref().map_or_else(|| self.teller(run), |log| Arc::clone(log.teller()));
        let mut findings: Vec<AccessFinding> = stream::iter(nodes)
            .map(|node| {
                let (log, teller) = (log.as_ref(), &teller);
                async move {
                    let finding = self.check_one(log, &node.id, mode).await;
                    teller.tell(RunEventKind::Checked { nodes: 1 });
                    finding
                }
            })
            .buffer_unordered(self.parallel)
            .collect()
            .instrument(teller.span())
            .await;
        findings.sort_by(|a, b| a.node.cmp(&b.node));
        let mut problems: Vec<String> = problems(&unlisted).collect();
        if let Some(log) = &log {
            log.note(&[Event::RunFinished]).await;
            log.close(&[]).await;
            problems.extend(log.problems());
        }
        Ok(AccessReport { run: log.map(|_| run.clone()), nodes: findings, problems })
    }

    async fn check_one(
        &self,
        log: Option<&RunLog>,
        node: &NodeId,
        mode: &AccessMode,
    ) -> AccessFinding {
        let finding = |outcome, findings| AccessFinding {
            node: node.clone(),
            outcome,
            findings,
            change: None,
        };
        let access = match self.gate.pass(self.fleet.access(node)).await {
            Ok(access) => access,
            Err(error) => return finding(AccessOutcome::Failed, vec![error.report()]),
        };
        let (AccessMode::Fix(grant), Some(log)) = (mode, log) else {
            return finding(outcome_of(access.status), access.findings);
        };
        if !matches!(access.status, AccessStatus::NoIdentity | AccessStatus::MissingPermissions) {
            return finding(outcome_of(access.status), access.findings);
        }
        let mut findings = access.findings;
        // A lease that is lost refuses the intent.
        self.hold(log).await;
        if self.is_cancelled(log) {
            findings.push(format!("not fixed: {}", Self::why_cancelled(log)));
            return finding(AccessOutcome::Missing, findings);
        }
        let intent = Change::Access(AccessChange::none(node.clone()));
        if let Err(error) = log.intend(&[Event::ChangeIntent { change: intent.clone() }]).await {
            findings.push(error.report());
            return finding(AccessOutcome::Failed, findings);
        }
        match self.gate.pass(self.fleet.grant_access(node, grant)).await {
            Ok(change) => {
                log.note(&[Event::ChangeDone { change: Change::Access(change.clone()) }]).await;
                // Granted is what a second look finds, not what the call answered.
                let outcome = match self.gate.pass(self.fleet.access(node)).await {
                    Ok(access) if access.status == AccessStatus::Granted => AccessOutcome::Fixed,
                    Ok(access) => {
                        findings.extend(access.findings);
                        outcome_of(access.status)
                    }
                    Err(error) => {
                        findings.push(error.report());
                        AccessOutcome::Unknown
                    }
                };
                AccessFinding { change: Some(change), ..finding(outcome, findings) }
            }
            Err(error) if is_refusal(error.kind()) => {
                let report = error.report();
                log.note(&[Event::ChangeRefused { change: intent, error: report.clone() }]).await;
                findings.push(report);
                finding(AccessOutcome::Failed, findings)
            }
            // No clear answer: it may have been granted. The intent stands, for a recovery to name.
            Err(error) => {
                findings.push(format!("access may have been granted: {}", error.report()));
                finding(AccessOutcome::Unknown, findings)
            }
        }
    }

    /// Takes back what a fix changed; returns the nodes on which that failed.
    pub async fn revert_access(&self, report: &AccessReport) -> Vec<UndoFailure> {
        let mut failures = Vec::new();
        for change in report.nodes.iter().filter_map(|finding| finding.change.as_ref()) {
            if !change.is_empty()
                && let Err(error) = self.gate.pass(self.fleet.revert_access(change)).await
            {
                let failure = UndoFailure::new(change.node.clone(), "grant_access", error.report());
                failures.push(failure);
            }
        }
        failures
    }
}

fn outcome_of(status: AccessStatus) -> AccessOutcome {
    match status {
        AccessStatus::Granted => AccessOutcome::Granted,
        AccessStatus::NoIdentity | AccessStatus::MissingPermissions => AccessOutcome::Missing,
        AccessStatus::Unknown => AccessOutcome::Unknown,
    }
}
