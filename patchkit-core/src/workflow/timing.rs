//! How long nodes take: what a caller assumes, and what earlier runs tell.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NodeOutcome, Outcome, PatchOptions, PatchPlan, PlannedNode, Runner};
use crate::{
    Change, ErrorKind, Event, NodeId, OperatingSystem, PatchAction, PatchGroupName, Record, Result,
};

/// From so many nodes on, what they took says something of others.
const ENOUGH: usize = 5;

/// How long a node's part in a run takes, from its start to the scan after its reboot: nothing begins
/// in a maintenance window, or before a freeze, that would not be over by its end.
///
/// # Behavior
/// - Of what earlier runs tell, the time counts in which nine of ten nodes were done. The nodes of the
///   same patch group and operating system count, where there are enough of them; otherwise those of
///   the operating system.
/// - Where nothing is known, the caller's assumption counts.
///
/// ```
/// use std::time::Duration;
/// use patchkit_core::{NodeSelector, workflow::{NodeTimes, PatchOptions}};
///
/// let options = PatchOptions::new(NodeSelector::all())
///     .with_times(NodeTimes::new(Duration::from_mins(45)));
/// # assert!(options.times.is_some());
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeTimes {
    /// What a node takes of whose kind nothing is known.
    pub otherwise: Duration,
    /// What earlier runs tell, by kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownTime>,
}

/// What nodes of one kind took in earlier runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KnownTime {
    /// Their patch group; nodes of all groups where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<PatchGroupName>,
    /// Their operating system.
    pub operating_system: OperatingSystem,
    /// How many there were.
    pub nodes: usize,
    /// In which time half of them were done.
    pub median: Duration,
    /// In which time nine of ten were.
    pub p90: Duration,
}

impl NodeTimes {
    /// Assumes that every node takes `otherwise`.
    pub fn new(otherwise: Duration) -> Self {
        Self { otherwise, known: Vec::new() }
    }

    /// Goes by what earlier runs tell, where they tell enough.
    #[must_use]
    pub fn with_history(mut self, taken: &TakenTimes) -> Self {
        self.known = taken.known();
        self
    }

    /// What a node of this kind takes.
    pub fn of(&self, group: Option<&PatchGroupName>, system: &OperatingSystem) -> Duration {
        let kind = |group: Option<&PatchGroupName>| {
            let is = |it: &&KnownTime| it.group.as_ref() == group && it.operating_system == *system;
            self.known.iter().find(is)
        };
        group
            .and_then(|group| kind(Some(group)))
            .or_else(|| kind(None))
            .map_or(self.otherwise, |it| it.p90)
    }

    pub(super) fn of_node(&self, node: &PlannedNode) -> Duration {
        self.of(node.group.as_ref(), &node.operating_system)
    }
}

impl fmt::Display for KnownTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = |time: Duration| time.as_secs().div_ceil(60);
        write!(f, "{} min", minutes(self.p90))?;
        match &self.group {
            Some(group) => write!(f, " for {} in {group}", self.operating_system)?,
            None => write!(f, " for {}", self.operating_system)?,
        }
        write!(f, ", half of {} nodes in {} min", self.nodes, minutes(self.median))
    }
}

impl PatchOptions {
    /// Begins nothing in the window, or before a freeze, that would not be over by its end.
    #[must_use]
    pub fn with_times(mut self, times: NodeTimes) -> Self {
        self.times = Some(times);
        self
    }

    /// Begins nothing in these times.
    #[must_use]
    pub fn with_freezes(mut self, freezes: super::Freezes) -> Self {
        self.freezes = Some(freezes);
        self
    }
}

/// What nodes took in earlier runs, read from their records.
///
/// # Behavior
/// - A node counts whose install was submitted and whose outcome is known. From its start, or its first
///   act, to the end of its part.
/// - A node during whose part its run died does not count.
#[derive(Clone, Debug, Default)]
pub struct TakenTimes {
    taken: BTreeMap<(Option<PatchGroupName>, OperatingSystem), Vec<Duration>>,
}

impl TakenTimes {
    /// Of no run yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the records of one run, from its beginning; pure.
    pub fn add(&mut self, records: &[Record]) {
        let mut plan = None;
        let mut began: BTreeMap<&NodeId, Timestamp> = BTreeMap::new();
        let mut installs: BTreeMap<_, &[NodeId]> = BTreeMap::new();
        let mut installed = std::collections::BTreeSet::new();
        for Record { at, event, .. } in records {
            match event {
                Event::RunStarted { plan: json, .. } => plan = PatchPlan::deserialize(json).ok(),
                Event::ChangeIntent { change: Change::Start { node, .. } } => {
                    began.entry(node).or_insert(*at);
                }
                Event::SubmitIntent { token, action, nodes } => {
                    for node in nodes {
                        began.entry(node).or_insert(*at);
                    }
                    if matches!(action, PatchAction::Install(_)) {
                        installs.insert(token, nodes);
                    }
                }
                Event::Submitted { token, .. } => {
                    installed.extend(installs.remove(token).into_iter().flatten());
                }
                Event::RunResumed { .. } => began.clear(),
                Event::NodeFinished { node, outcome } => {
                    let node = plan.as_ref().and_then(|plan: &PatchPlan| plan.node(node));
                    let began = node.and_then(|node| began.remove(&node.id));
                    let (Some(node), Some(began)) = (node, began) else { continue };
                    let told = |end: NodeOutcome| {
                        matches!(end.outcome, Outcome::Patched | Outcome::Failed)
                    };
                    let is_told = NodeOutcome::deserialize(outcome).is_ok_and(told);
                    let took = Duration::try_from(at.duration_since(began));
                    if let Ok(took) = took
                        && is_told
                        && installed.contains(&node.id)
                    {
                        self.took(node, took);
                    }
                }
                _ => {}
            }
        }
    }

    fn took(&mut self, node: &PlannedNode, took: Duration) {
        let system = node.operating_system.clone();
        if let Some(group) = &node.group {
            let kind = (Some(group.clone()), system.clone());
            self.taken.entry(kind).or_default().push(took);
        }
        self.taken.entry((None, system)).or_default().push(took);
    }

    /// What it comes to, for the kinds of which there are enough nodes.
    pub fn known(&self) -> Vec<KnownTime> {
        let enough = self.taken.iter().filter(|(_, taken)| taken.len() >= ENOUGH);
        let known = enough.map(|((group, system), taken)| {
            let mut taken = taken.clone();
            taken.sort_unstable();
            // The nearest rank: a time that some node took.
            let rank = |share: usize| {
                let at = (taken.len() * share).div_ceil(100).saturating_sub(1);
                taken.get(at).copied().unwrap_or_default()
            };
            KnownTime {
                group: group.clone(),
                operating_system: system.clone(),
                nodes: taken.len(),
                median: rank(50),
                p90: rank(90),
            }
        });
        known.collect()
    }
}

impl Runner {
    /// Reads what nodes took in the newest `runs` runs of the journal.
    ///
    /// # Behavior
    /// - A record that cannot be read is left out, and with it what it tells.
    ///
    /// # Errors
    /// `Unexpected`: the journal cannot be read.
    pub async fn taken_times(&self, runs: usize) -> Result<TakenTimes> {
        let mut newest = VecDeque::new();
        let mut listed = self.journal.runs();
        while let Some(run) = listed.try_next().await? {
            newest.push_back(run);
            if newest.len() > runs {
                newest.pop_front();
            }
        }
        let mut taken = TakenTimes::new();
        for run in newest {
            let (mut records, mut events) = (Vec::new(), self.journal.events(&run));
            while let Some(item) = events.next().await {
                match item {
                    Ok(record) => records.push(record),
                    Err(error) if error.kind() == ErrorKind::Malformed => {}
                    Err(error) => return Err(error),
                }
            }
            taken.add(&records);
        }
        Ok(taken)
    }
}
