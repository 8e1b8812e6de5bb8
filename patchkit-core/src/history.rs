//! History: what was seen of the fleet's compliance, kept beside the journal, and what follows from it.
//!
//! Runs write down what their scans found ([`Runner::with_history`](crate::workflow::Runner::with_history)),
//! embedders what they see otherwise. A [`Timeline`] is all of it, read once; its questions are pure.

mod answer;
mod sla;

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    answer::{Drift, Remediation},
    sla::{Overdue, Sla, SlaReport, SlaState},
};
use crate::{
    BaselineId, Book, ComplianceLevel, ComplianceStatus, Entry, Error, ErrorKind, Ledger,
    NodeCompliance, NodeId, PatchCounts, PatchGroupName, Result, RunId, Severity,
    workflow::PatchPlan,
};

/// The history of a fleet, in a ledger; clones share it.
///
/// # Example
/// ```
/// use patchkit_core::{
///     NodeSelector, RunId, VirtualClock,
///     history::History,
///     memory::{MemoryCloud, MemoryJournal},
///     workflow::Runner,
/// };
///
/// # futures::executor::block_on(async {
/// let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
/// let fleet = MemoryCloud::builder().seed(7).nodes(20).clock(clock.clone()).build();
/// let journal = MemoryJournal::new(clock.clone());
/// let history = History::new(journal.clone());
/// let runner = Runner::new(fleet.clone(), fleet, journal, clock).with_history(history.clone());
/// runner.scan(&RunId::new("weekly")?, &NodeSelector::all()).await?;
///
/// let timeline = history.timeline().await?;
/// let then = timeline.compliance_at("2026-11-24T12:00:00Z".parse().unwrap());
/// println!("{} nodes were known", then.len());
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct History {
    ledger: Arc<dyn Ledger>,
    detail: Detail,
}

/// How much of a node's compliance runs write down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Detail {
    /// The verdict and the counts, which a scan has anyway.
    #[default]
    Verdicts,
    /// Also how severe what is lacking is: one more listing for each node that is not compliant.
    Severities,
}

impl History {
    /// The history that `ledger` keeps.
    pub fn new(ledger: impl Ledger) -> Self {
        Self { ledger: Arc::new(ledger), detail: Detail::default() }
    }

    /// Sets how much runs write down.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    pub(crate) fn detail(&self) -> Detail {
        self.detail
    }

    /// Writes observations down.
    ///
    /// # Errors
    /// Those of the ledger: all may have been written, or none. What is written twice counts once.
    pub async fn record(&self, observations: &[Observation]) -> Result<()> {
        let lines = observations.iter().map(|it| Line::Observed(it.clone()));
        for chunk in lines.collect::<Vec<_>>().chunks(CHUNK) {
            self.enter(chunk).await?;
        }
        Ok(())
    }

    /// Writes down that someone approved a plan.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn approve(&self, plan: &PatchPlan, by: &str, reason: &str) -> Result<()> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.enter(&[Line::Approved { plan: plan.hash(), by, reason }]).await
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// Those of the ledger, but for entries that cannot be read: those are named in the timeline.
    pub async fn timeline(&self) -> Result<Timeline> {
        let mut timeline = Timeline::default();
        let mut entries: BoxStream<'static, _> = self.ledger.entries(Book::History, None);
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => timeline.take(entry),
                Err(error) if error.kind() == ErrorKind::Malformed => {
                    timeline.unread.push(error.report());
                }
                Err(error) => return Err(error),
            }
        }
        timeline.sort();
        Ok(timeline)
    }

    async fn enter(&self, lines: &[Line]) -> Result<()> {
        let values: Result<Vec<serde_json::Value>, _> =
            lines.iter().map(serde_json::to_value).collect();
        let values = values.map_err(|error| {
            Error::invalid("core", "record", "the observation is not JSON").with_source(error)
        })?;
        self.ledger.enter(Book::History, &values).await
    }
}

/// How many observations are written at once: stores keep what is written at once in one piece.
const CHUNK: usize = 5_000;

/// What is written down.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "history", rename_all = "snake_case")]
enum Line {
    Observed(Observation),
    Approved {
        plan: String,
        by: String,
        reason: String,
    },
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// What was seen of a node's compliance at one moment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Observation {
    /// The node.
    pub node: NodeId,
    /// When it was found out; where nothing is known, when it was asked.
    pub at: Timestamp,
    /// The verdict on its patches.
    pub status: ComplianceStatus,
    /// The highest compliance level among what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<ComplianceLevel>,
    /// How many patches were in which state.
    #[serde(default)]
    pub counts: PatchCounts,
    /// How many patches were not as the baseline wants them, by their vendor's severity; `None` where
    /// the patches were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking: Option<BTreeMap<Severity, u32>>,
    /// The baseline it was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineId>,
    /// Its patch group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<PatchGroupName>,
    /// Verdicts of other kinds: `Association`, `Custom:…`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, ComplianceStatus>,
    /// The run that saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Observation {
    /// What `known` says, asked at `now`.
    pub fn of(known: &NodeCompliance, now: Timestamp) -> Self {
        Self {
            node: known.node.clone(),
            at: known.observed_at.unwrap_or(now),
            status: known.status,
            level: known.level,
            counts: known.counts,
            lacking: None,
            baseline: known.baseline.clone(),
            group: known.group.clone(),
            others: known.others.clone(),
            run: None,
        }
    }

    /// Names the run that saw it.
    #[must_use]
    pub fn with_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Sets how many patches were not as wanted, by severity.
    #[must_use]
    pub fn with_lacking(mut self, lacking: BTreeMap<Severity, u32>) -> Self {
        self.lacking = Some(lacking);
        self
    }
}

/// Who approved a plan.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Approval {
    /// The plan's hash.
    pub plan: String,
    /// When.
    pub at: Timestamp,
    /// Who. Untrusted: escape before showing.
    pub by: String,
    /// Why. Untrusted: escape before showing.
    pub reason: String,
}

/// All that was seen, in order of time for each node.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Timeline {
    /// Each node's observations, oldest first.
    pub nodes: BTreeMap<NodeId, Vec<Observation>>,
    /// The approvals, oldest first.
    pub approvals: Vec<Approval>,
    /// What of the history cannot be read: answers may be wrong by it.
    pub unread: Vec<String>,
}

impl Timeline {
    /// A timeline of observations from anywhere, in any order.
    pub fn new(observations: impl IntoIterator<Item = Observation>) -> Self {
        let mut timeline = Self::default();
        for observation in observations {
            timeline.add(observation);
        }
        timeline.sort();
        timeline
    }

    /// Who approved the plan of this hash, as its run's journal holds it.
    pub fn approvals_of(&self, plan: &str) -> impl Iterator<Item = &Approval> {
        self.approvals.iter().filter(move |approval| approval.plan == plan)
    }

    fn take(&mut self, entry: Entry) {
        let Entry { number, at, value } = entry;
        match serde_json::from_value(value) {
            Ok(Line::Observed(observation)) => self.add(observation),
            Ok(Line::Approved { plan, by, reason }) => {
                self.approvals.push(Approval { plan, at, by, reason });
            }
            Ok(Line::Other(_)) | Err(_) => {
                let what = format!("entry {number} of the history is of a kind that is not known");
                self.unread.push(what);
            }
        }
    }

    fn add(&mut self, observation: Observation) {
        self.nodes.entry(observation.node.clone()).or_default().push(observation);
    }

    fn sort(&mut self) {
        for seen in self.nodes.values_mut() {
            // Stable: of two findings of one moment the one that was written last counts.
            seen.sort_by_key(|it| it.at);
            seen.dedup();
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::operator::Plain;
        let Self { plan, at, by, reason } = self;
        write!(f, "plan {} approved by {} at {at}: {}", Plain(plan), Plain(by), Plain(reason))
    }
}
