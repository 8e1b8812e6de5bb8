//! Scan: ask every node that can answer to compare itself with its baseline.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{
    Runner,
    act::Acted,
    evidence::Evidence,
    listing::problems,
    log::{Lost, RunLog},
    power::Patience,
};
use crate::{
    ComplianceStatus, Event, NodeCompliance, NodeId, NodeSelector, PatchAction, PowerState,
    Reachability, Result, RunId, UnmanagedReason, link::other_ids, observe::RunEventKind,
};

/// How a node's scan ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScanOutcome {
    /// It was scanned.
    Scanned,
    /// It is off: what is known of it is old.
    Off,
    /// Its agent did not answer.
    Unreachable,
    /// Its provider patches it in no state, and so knows nothing of its patches.
    Unpatchable,
    /// Another run holds it.
    Busy,
    /// The scan failed, or its end is not known.
    Failed,
}

impl fmt::Display for ScanOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scanned => "scanned",
            Self::Off => "off",
            Self::Unreachable => "unreachable",
            Self::Unpatchable => "unpatchable",
            Self::Busy => "busy",
            Self::Failed => "failed",
        })
    }
}

/// One node of a scan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScannedNode {
    /// The node.
    pub node: NodeId,
    /// How its scan ended.
    pub outcome: ScanOutcome,
    /// Why it was not scanned. Holds providers' words: escape before showing.
    pub reason: Option<String>,
    /// What is known of it now, with the time of that knowledge.
    pub compliance: NodeCompliance,
}

/// How a scan ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScanReport {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// Every node, by id.
    pub nodes: Vec<ScannedNode>,
    /// What went wrong without belonging to one node: a scope that could not be listed, the journal.
    pub problems: Vec<String>,
}

impl ScanReport {
    /// The nodes that are not compliant, as far as known.
    pub fn non_compliant(&self) -> impl Iterator<Item = &ScannedNode> {
        self.nodes.iter().filter(|node| node.compliance.status == ComplianceStatus::NonCompliant)
    }
}

impl Runner {
    /// Scans the running nodes of `selector`, and reports what is known of all of them.
    ///
    /// # Guarantees
    /// - Changes nothing on a node but what is known of it.
    /// - A node that was not scanned is reported with the reason, and with the age of what is known.
    /// - A scope that could not be listed is in the report's problems, and the others are scanned.
    ///
    /// # Assumptions
    /// - The provider shows what a scan found within [`Limits::consistency`](super::Limits). A node
    ///   for which it does not is reported with that reason, and with what was known before.
    ///
    /// # Errors
    /// `Conflict` (the run exists); the first error of a listing that is not about one scope alone.
    pub async fn scan(&self, run: &RunId, selector: &NodeSelector) -> Result<ScanReport> {
        let (nodes, mut unlisted) = self.list(selector).await?;
        let mut outcomes: BTreeMap<NodeId, (ScanOutcome, Option<String>)> = BTreeMap::new();
        let mut able = Vec::new();
        for node in &nodes {
            if let Some(reason) = &node.unpatchable {
                let outcome = (ScanOutcome::Unpatchable, Some(reason.clone()));
                outcomes.insert(node.id.clone(), outcome);
                continue;
            }
            let reason = match (node.power, node.reachability) {
                (PowerState::Running | PowerState::Unknown, Reachability::Online) => {
                    able.push((node.id.clone(), other_ids(node)));
                    continue;
                }
                (PowerState::Running | PowerState::Unknown, other) => {
                    let says_more = |it: &UnmanagedReason| {
                        use UnmanagedReason::{Silent, Unknown};
                        !matches!(it, Unknown | Silent { since: None })
                    };
                    let why = node.unmanaged.filter(says_more);
                    let why = why.map(|it| format!(": {it}")).unwrap_or_default();
                    (ScanOutcome::Unreachable, Some(format!("its agent is {other}{why}")))
                }
                (power, _) => (ScanOutcome::Off, Some(format!("its power is {power}"))),
            };
            outcomes.insert(node.id.clone(), reason);
        }
        // With the nodes that it is about to claim: a recovery gives them back.
        let ids = |(node, also): &(NodeId, BTreeSet<NodeId>)| {
            std::iter::once(node.clone()).chain(also.clone()).collect::<Vec<_>>()
        };
        let all: Vec<NodeId> = able.iter().flat_map(ids).collect();
        let plan = serde_json::json!({ "selector": selector, "nodes": all });
        let log = RunLog::begin(self, run, "scan", String::new(), plan).await?;
        let (claimed, busy): (Vec<_>, Vec<_>) =
            log.claim_whole(&able).await.into_iter().partition(|(_, claim)| claim.is_ok());
        for (node, claim) in busy {
            let reason = claim.err().map(|error| error.report());
            outcomes.insert(node, (ScanOutcome::Busy, reason));
        }
        let claimed: Vec<NodeId> = claimed.into_iter().map(|(node, _)| node).collect();
        let limit = self.limits.scan;
        let patience = Patience::UntilCancelled;
        let acted = self
            .act(&log, "scan", PatchAction::Scan, &claimed, limit, patience)
            .instrument(log.span())
            .await;
        let mut since: BTreeMap<NodeId, Timestamp> = BTreeMap::new();
        for (node, acted) in acted {
            log.tell(RunEventKind::Checked { nodes: 1 });
            if let Acted::Ended(end) = &acted
                && acted.succeeded()
                && let Some(started) = end.started_at
            {
                since.insert(node.clone(), started);
            }
            let outcome = match &acted {
                acted if acted.succeeded() => ScanOutcome::Scanned,
                Acted::Ended(end) if end.status == crate::OperationStatus::Undeliverable => {
                    ScanOutcome::Unreachable
                }
                _ => ScanOutcome::Failed,
            };
            outcomes.insert(node, (outcome, acted.problem()));
        }
        let Evidence { mut known, late } = self.evidence(&log, since).instrument(log.span()).await;
        for (node, reason) in late {
            if let Some((_, why)) = outcomes.get_mut(&node) {
                *why = Some(reason);
            }
        }
        self.remember(&log, known.values().cloned().collect()).instrument(log.span()).await;
        if log.lost() == Lost::No {
            log.note(&[Event::RunFinished]).await;
        }
        // Also those whose claim had no clear answer; what another run holds is left alone.
        log.close(&all).await;

        let rest: Vec<NodeId> =
            outcomes.keys().filter(|node| !known.contains_key(node)).cloned().collect();
        if !rest.is_empty() {
            let (others, unread) = self.known(rest).await?;
            known.extend(others);
            unlisted.extend(unread);
        }
        let nodes = outcomes
            .into_iter()
            .map(|(node, (outcome, reason))| {
                let compliance =
                    known.remove(&node).unwrap_or_else(|| NodeCompliance::unknown(node.clone()));
                ScannedNode { node, outcome, reason, compliance }
            })
            .collect();
        Ok(ScanReport {
            run: run.clone(),
            started_at: log.started_at,
            nodes,
            problems: problems(&unlisted).chain(log.problems()).collect(),
        })
    }
}
