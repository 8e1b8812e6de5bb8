//! Tag check: required tags are there, missing ones are merged in when asked, all are exported.

mod export;

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

pub use self::export::{TagRecord, TagState};
use super::{Runner, UndoFailure, listing::problems, log::RunLog, power::is_refusal};
use crate::{
    Change, Event, ManagedNode, NodeId, NodeSelector, Result, RunId, TagChange, Tags,
    observe::RunEventKind,
};

/// The tags that every node must carry.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RequiredTags {
    /// Each name, with the value that a node without it is given; `None` leaves it missing.
    pub tags: BTreeMap<String, Option<String>>,
}

impl RequiredTags {
    /// No tag at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires `name`, and leaves a node without it as it is.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.tags.insert(name.into(), None);
        self
    }

    /// Requires `name`, and gives a node without it `value`.
    #[must_use]
    pub fn with_default(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), Some(value.into()));
        self
    }

    /// The required tags that are not there, or empty.
    pub fn missing<'a>(&'a self, tags: &Tags) -> Vec<&'a str> {
        self.tags
            .keys()
            .filter(|name| tags.get(*name).is_none_or(String::is_empty))
            .map(String::as_str)
            .collect()
    }
}

/// Whether a check may change something.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TagMode {
    /// Only looks.
    #[default]
    Check,
    /// Merges the missing tags in; no other tag is touched.
    Merge,
}

/// How a node's tag check ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TagOutcome {
    /// All required tags are there.
    Complete,
    /// Some were missing, and were merged in.
    Merged,
    /// Some are missing.
    Missing,
    /// The merge failed.
    Failed,
    /// Whether some were merged in could not be found out.
    Unknown,
}

impl fmt::Display for TagOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Complete => "complete",
            Self::Merged => "merged",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// One node of a tag check.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TagFinding {
    /// The node.
    pub node: NodeId,
    /// How its check ended.
    pub outcome: TagOutcome,
    /// The required tags that are missing now.
    pub missing: Vec<String>,
    /// All its tags now; as before where the outcome is unknown. Untrusted: escape before showing.
    pub tags: Tags,
    /// What was changed, as [`Runner::revert_tags`] takes it back.
    pub change: Option<TagChange>,
    /// Why a merge failed.
    pub error: Option<String>,
}

/// How a tag check ended: the export of all tags of all nodes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TagReport {
    /// The run; `None` for a check without a merge, which is not journaled.
    pub run: Option<RunId>,
    /// Every node, by id.
    pub nodes: Vec<TagFinding>,
    /// What went wrong without belonging to one node: a scope that could not be listed, the journal.
    pub problems: Vec<String>,
}

impl TagReport {
    /// Every tag of every node as (node, name, value): the rows of a CSV or JSON-lines export.
    pub fn rows(&self) -> impl Iterator<Item = (&NodeId, &str, &str)> {
        self.nodes.iter().flat_map(|finding| {
            finding.tags.iter().map(|(key, value)| (&finding.node, key.as_str(), value.as_str()))
        })
    }
}

impl Runner {
    /// Checks that the nodes of `selector` carry the required tags, and merges them in where `mode`
    /// says so.
    ///
    /// # Guarantees
    /// - With [`TagMode::Check`], reads only.
    /// - A merge touches no tag but the missing ones.
    /// - One node's error does not stop the others, nor does a scope that could not be listed: it is
    ///   in the report's problems.
    ///
    /// # Assumptions
    /// - Nobody sets a missing tag between the listing and the merge.
    /// - To set tags does no harm to a node that another run is patching: nodes are not claimed.
    ///
    /// # Errors
    /// `Conflict` (the run exists); the first error of the listing that is not about one
    /// scope alone.
    pub async fn check_tags(
        &self,
        run: &RunId,
        selector: &NodeSelector,
        required: &RequiredTags,
        mode: TagMode,
    ) -> Result<TagReport> {
        let (nodes, unlisted) = self.list(selector).await?;
        let log = match mode {
            TagMode::Check => None,
            TagMode::Merge => {
                let plan = serde_json::json!({ "selector": selector, "required": required });
                Some(RunLog::begin(self, run, "tags", String::new(), plan).await?)
            }
        };
        let teller = log.as_ref().map_or_else(|| self.teller(run), |log| Arc::clone(log.teller()));
        let mut findings: Vec<TagFinding> = stream::iter(nodes)
            .map(|node| {
                let (log, teller) = (log.as_ref(), &teller);
                async move {
                    let finding = self.tag_one(log, node, required).await;
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
        Ok(TagReport { run: log.map(|_| run.clone()), nodes: findings, problems })
    }

    async fn tag_one(
        &self,
        log: Option<&RunLog>,
        node: ManagedNode,
        required: &RequiredTags,
    ) -> TagFinding {
        let missing: Vec<String> =
            required.missing(&node.tags).into_iter().map(str::to_owned).collect();
        let wanted: Tags = missing
            .iter()
            .filter_map(|name| Some((name.clone(), required.tags.get(name)?.clone()?)))
            .collect();
        let outcome = if missing.is_empty() { TagOutcome::Complete } else { TagOutcome::Missing };
        let mut finding = TagFinding {
            node: node.id,
            outcome,
            missing,
            tags: node.tags,
            change: None,
            error: None,
        };
        let Some(log) = log.filter(|_| !wanted.is_empty()) else {
            return finding;
        };
        // A lease that is lost refuses the intent.
        self.hold(log).await;
        if self.is_cancelled(log) {
            return finding;
        }
        let planned = TagChange::between(finding.node.clone(), &finding.tags, &wanted);
        let intent = Change::Tags(planned);
        if let Err(error) = log.intend(&[Event::ChangeIntent { change: intent.clone() }]).await {
            finding.outcome = TagOutcome::Failed;
            finding.error = Some(error.report());
            return finding;
        }
        match self.gate.pass(self.fleet.merge_tags(&finding.node, &wanted)).await {
            Ok(change) => {
                log.note(&[Event::ChangeDone { change: Change::Tags(change.clone()) }]).await;
                finding.tags.extend(wanted);
                let missing = required.missing(&finding.tags).into_iter();
                finding.missing = missing.map(str::to_owned).collect();
                finding.outcome = if finding.missing.is_empty() {
                    TagOutcome::Merged
                } else {
                    TagOutcome::Missing
                };
                finding.change = Some(change);
            }
            Err(error) if is_refusal(error.kind()) => {
                let report = error.report();
                log.note(&[Event::ChangeRefused { change: intent, error: report.clone() }]).await;
                finding.outcome = TagOutcome::Failed;
                finding.error = Some(report);
            }
            // No clear answer: it may have been merged. The intent stands, for a recovery to name.
            Err(error) => {
                finding.outcome = TagOutcome::Unknown;
                finding.error = Some(error.report());
            }
        }
        finding
    }

    /// Takes back what a merge changed; returns the nodes on which that failed.
    pub async fn revert_tags(&self, report: &TagReport) -> Vec<UndoFailure> {
        let mut failures = Vec::new();
        for change in report.nodes.iter().filter_map(|finding| finding.change.as_ref()) {
            if !change.is_empty()
                && let Err(error) = self.gate.pass(self.fleet.revert_tags(change)).await
            {
                let failure = UndoFailure::new(change.node.clone(), "merge_tags", error.report());
                failures.push(failure);
            }
        }
        failures
    }
}
