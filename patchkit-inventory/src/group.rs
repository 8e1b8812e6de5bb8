//! Nodes counted by status, whole and in groups.

use std::{collections::BTreeMap, fmt};

use patchkit_core::{Classification, ComplianceLevel, ComplianceStatus, PatchId, PatchState};

use crate::{LakeNode, LakeReport, Liveness};

/// What nodes are grouped by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Dimension {
    /// The AWS account.
    Account,
    /// The Region.
    Region,
    /// The operating system, as patch baselines name it; a name that they do not know as it is.
    Platform,
    /// The patch group that the node was held against, or else that its tags name.
    PatchGroup,
    /// The baseline it was held against.
    Baseline,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 5] =
        [Self::Account, Self::Region, Self::Platform, Self::PatchGroup, Self::Baseline];

    /// The word used on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Region => "region",
            Self::Platform => "platform",
            Self::PatchGroup => "patch_group",
            Self::Baseline => "baseline",
        }
    }

    /// The node's value; `None` where it has none that is known.
    pub fn value(self, node: &LakeNode) -> Option<String> {
        match self {
            Self::Account => Some(node.id.scope().account().to_string()),
            Self::Region => Some(node.id.scope().region().to_string()),
            Self::Platform => node.operating_system.as_ref().map(ToString::to_string),
            Self::PatchGroup => node.patch_group().map(|group| group.to_string()),
            Self::Baseline => node.last.baseline.as_ref().map(ToString::to_string),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many nodes have which status.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StatusCounts {
    /// Live and compliant.
    pub compliant: u64,
    /// Live and not compliant.
    pub non_compliant: u64,
    /// Live and without data, or not known to be live.
    pub unknown: u64,
    /// Not live; in none of the others.
    pub not_live: NotLive,
}

/// How many nodes are not live, and why.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotLive {
    /// Stopped.
    pub stopped: u64,
    /// Terminated.
    pub terminated: u64,
}

impl NotLive {
    /// All of them.
    pub fn total(self) -> u64 {
        self.stopped + self.terminated
    }
}

impl StatusCounts {
    /// The nodes that are not known to be gone or off: compliant, not compliant and unknown.
    pub fn nodes(self) -> u64 {
        self.compliant + self.non_compliant + self.unknown
    }

    fn count(&mut self, node: &LakeNode) {
        *match (node.liveness, node.status()) {
            (Liveness::Stopped, _) => &mut self.not_live.stopped,
            (Liveness::Terminated, _) => &mut self.not_live.terminated,
            (_, ComplianceStatus::Compliant) => &mut self.compliant,
            (_, ComplianceStatus::NonCompliant) => &mut self.non_compliant,
            _ => &mut self.unknown,
        } += 1;
    }
}

/// The nodes that share their values in some dimensions.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The values, in the order the dimensions were given in; `None` where none is known.
    pub values: Vec<Option<String>>,
    /// How many nodes have which status.
    pub counts: StatusCounts,
}

/// A patch that live nodes lack.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PatchGap {
    /// The patch.
    pub patch: PatchId,
    /// Its title, where the nodes agree on one.
    pub title: Option<String>,
    /// The highest level that a baseline gives it.
    pub level: ComplianceLevel,
    /// What kind of patch it is.
    pub classification: Option<Classification>,
    /// Live nodes on which it is missing.
    pub missing: u64,
    /// Live nodes on which it failed.
    pub failed: u64,
}

impl LakeReport {
    /// Every node counted by its status.
    pub fn totals(&self) -> StatusCounts {
        let mut totals = StatusCounts::default();
        self.nodes().for_each(|node| totals.count(node));
        totals
    }

    /// The nodes counted by status in groups, ordered by the groups' values.
    ///
    /// # Behavior
    /// - Every node is in exactly one group, so that the groups add up to [`totals`](Self::totals).
    /// - Without a dimension there is one group of all.
    pub fn groups(&self, by: &[Dimension]) -> Vec<Group> {
        let mut groups: BTreeMap<Vec<Option<String>>, StatusCounts> = BTreeMap::new();
        for node in self.nodes() {
            let values = by.iter().map(|dimension| dimension.value(node)).collect();
            groups.entry(values).or_default().count(node);
        }
        groups.into_iter().map(|(values, counts)| Group { values, counts }).collect()
    }

    /// The live nodes that are not compliant, worst first: by level, then by what is wrong of that
    /// weight, then by all that is wrong.
    pub fn worst(&self, most: usize) -> Vec<&LakeNode> {
        let mut nodes: Vec<_> =
            self.nodes().filter(|node| node.status() == ComplianceStatus::NonCompliant).collect();
        let badness = |node: &LakeNode| {
            let counts = &node.last.counts;
            let wrong = counts.non_compliant();
            (node.last.level, counts.critical_non_compliant, counts.security_non_compliant, wrong)
        };
        nodes.sort_by(|a, b| badness(b).cmp(&badness(a)).then_with(|| a.id.cmp(&b.id)));
        nodes.truncate(most);
        nodes
    }

    /// The patches that most live nodes lack, most first; `None` where the report was loaded without
    /// patch details.
    pub fn most_missing(&self, most: usize) -> Option<Vec<PatchGap>> {
        if !self.has_patch_details() {
            return None;
        }
        let mut gaps: BTreeMap<&PatchId, PatchGap> = BTreeMap::new();
        for node in self.nodes().filter(|node| node.liveness.is_live()) {
            for (facts, state) in &node.gaps {
                let title = facts.title.as_deref();
                let gap = gaps.entry(&facts.id).or_insert_with(|| PatchGap {
                    patch: facts.id.clone(),
                    title: title.map(str::to_owned),
                    level: facts.level,
                    classification: facts.classification.clone(),
                    missing: 0,
                    failed: 0,
                });
                if gap.title.as_deref() != title {
                    gap.title = None;
                }
                gap.level = gap.level.max(facts.level);
                match state {
                    PatchState::Failed => gap.failed += 1,
                    _ => gap.missing += 1,
                }
            }
        }
        let mut gaps: Vec<_> = gaps.into_values().collect();
        let weight = |gap: &PatchGap| (gap.missing + gap.failed, gap.level);
        gaps.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.patch.cmp(&b.patch)));
        gaps.truncate(most);
        Some(gaps)
    }
}
