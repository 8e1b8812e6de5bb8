//! Which nodes change status from one scenario to another, and for which patches.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    judge::{Doubt, Verdicts, doubt_of, status_of},
    matrix::{Cohort, MatrixNode, PatchMatrix},
    onset::Onsets,
    scenario::Scenario,
};
use crate::{
    ComplianceLevel, ComplianceStatus, NodeId, OperatingSystem, PatchGroupName, PatchId,
    PatchState, Presence,
};

/// Tells which nodes change status when `after` takes the place of `before`.
///
/// # Example
/// See [`MatrixBuilder`](super::MatrixBuilder).
pub fn what_if<'a>(
    matrix: &'a PatchMatrix,
    before: &'a Scenario,
    after: &'a Scenario,
) -> WhatIf<'a> {
    WhatIf::between(matrix.judge(before), matrix.judge(after))
}

/// Tells for each of several scenarios what [`what_if`] does; `before` is judged once.
pub fn what_if_each<'a>(
    matrix: &'a PatchMatrix,
    before: &'a Scenario,
    after: &'a [Scenario],
) -> Vec<WhatIf<'a>> {
    let before = Arc::new(matrix.judge(before));
    let answer = |after| WhatIf::new(Arc::clone(&before), matrix.judge(after));
    after.iter().map(answer).collect()
}

/// Two scenarios on one matrix, and the nodes on which they differ.
#[derive(Debug)]
pub struct WhatIf<'a> {
    before: Arc<Verdicts<'a>>,
    after: Verdicts<'a>,
    /// The places of the nodes whose status changes.
    changed: Vec<usize>,
}

/// A node whose status changes, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeChange {
    /// The node.
    pub node: NodeId,
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// Its patch group.
    pub group: Option<PatchGroupName>,
    /// Its status before.
    pub before: ComplianceStatus,
    /// Its status after.
    pub after: ComplianceStatus,
    /// Why it was not known before.
    pub doubt_before: Option<Doubt>,
    /// Why it is not known after.
    pub doubt_after: Option<Doubt>,
    /// From when on the later scenario has it so; `None` where its delays have no say in it.
    pub since: Option<Timestamp>,
    /// The patches that are wrong in one of the scenarios and not in the other, the weightiest
    /// first. Empty where no patch is the cause but what is known at all.
    pub causes: Vec<Cause>,
}

/// A patch that changes the status of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Cause {
    /// The patch.
    pub patch: PatchId,
    /// Its title.
    pub title: Option<String>,
    /// Its state on the node before; `None` where it is not reported.
    pub before: Option<PatchState>,
    /// Its state on the node after; `None` where it is not reported.
    pub after: Option<PatchState>,
    /// How much the baseline's owner minds, where it is wrong.
    pub level: ComplianceLevel,
    /// From when rules of the later scenario approve it; `None` where time has no say.
    pub approved_from: Option<Timestamp>,
    /// Whether the node's report shows it.
    pub certainty: Certainty,
}

/// Whether a node's report shows a patch.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Certainty {
    /// It does.
    Reported,
    /// It could not: the node may lack the patch. See [`Doubt::Unseen`].
    Possible,
}

/// A node that is not compliant for other patches, or from another time on, though its status at
/// the scenarios' own time is the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OnsetShift {
    /// The node.
    pub node: NodeId,
    /// From when on it is not compliant before; `None` for never, as far as patches are known.
    pub before: Option<Timestamp>,
    /// From when on it is not compliant after; `None` for never.
    pub after: Option<Timestamp>,
}

/// What nodes are grouped by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum GroupBy {
    /// The account or subscription.
    Account,
    /// The Region or location.
    Region,
    /// The operating system.
    Platform,
    /// The patch group.
    PatchGroup,
}

impl GroupBy {
    /// Everything that nodes can be grouped by.
    pub const ALL: [Self; 4] = [Self::Account, Self::Region, Self::Platform, Self::PatchGroup];

    /// The word used on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Region => "region",
            Self::Platform => "platform",
            Self::PatchGroup => "patch_group",
        }
    }

    fn value(self, node: &MatrixNode) -> Option<String> {
        match self {
            Self::Account => Some(node.id.scope().account().to_string()),
            Self::Region => Some(node.id.scope().region().to_string()),
            Self::Platform => Some(node.operating_system.to_string()),
            Self::PatchGroup => node.group.as_ref().map(ToString::to_string),
        }
    }
}

/// The nodes that share their values, and what becomes of them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ChangeGroup {
    /// The values, in the order asked for; `None` where there is none.
    pub values: Vec<Option<String>>,
    /// What becomes of the nodes.
    pub counts: ChangeCounts,
}

/// How many nodes change in which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangeCounts {
    /// All nodes.
    pub nodes: usize,
    /// Those that are not compliant before.
    pub non_compliant_before: usize,
    /// Those that are not compliant after.
    pub non_compliant_after: usize,
    /// Those that become not compliant.
    pub fall_out: usize,
    /// Those that become compliant.
    pub come_in: usize,
    /// Those of which it is not known any more.
    pub become_unknown: usize,
    /// Those that are not known after, whether they were before or not.
    pub unknown_after: usize,
}

impl<'a> WhatIf<'a> {
    fn between(before: Verdicts<'a>, after: Verdicts<'a>) -> Self {
        Self::new(Arc::new(before), after)
    }

    fn new(before: Arc<Verdicts<'a>>, after: Verdicts<'a>) -> Self {
        let mut changed = Vec::new();
        let mut first = 0;
        for (a, b) in before.parts.iter().zip(&after.parts) {
            let differs = |(row, (a, b)): (usize, (&u8, &u8))| {
                (status_of(*a) != status_of(*b)).then_some(first + row)
            };
            changed.extend(a.codes.iter().zip(&b.codes).enumerate().filter_map(differs));
            first += a.codes.len();
        }
        Self { before, after, changed }
    }

    /// The verdicts before.
    pub fn before(&self) -> &Verdicts<'a> {
        &self.before
    }

    /// The verdicts after.
    pub fn after(&self) -> &Verdicts<'a> {
        &self.after
    }

    /// How many nodes change status.
    pub fn len(&self) -> usize {
        self.changed.len()
    }

    /// Whether no node changes status.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// The nodes whose status changes, in the order of [`PatchMatrix::nodes`].
    pub fn changes(&self) -> impl Iterator<Item = NodeChange> {
        self.changed.iter().filter_map(|place| self.change(*place))
    }

    /// All nodes in groups, ordered by the groups' values; the changes of all of them without any
    /// dimension.
    pub fn groups(&self, by: &[GroupBy]) -> Vec<ChangeGroup> {
        let mut groups: BTreeMap<Vec<Option<String>>, ChangeCounts> = BTreeMap::new();
        let after = self.after.iter().map(|(_, status)| status);
        for ((node, before), after) in self.before.iter().zip(after) {
            let values = by.iter().map(|by| by.value(node)).collect();
            groups.entry(values).or_default().count(before, after);
        }
        groups.into_iter().map(|(values, counts)| ChangeGroup { values, counts }).collect()
    }

    /// What becomes of all nodes.
    pub fn counts(&self) -> ChangeCounts {
        let mut counts = ChangeCounts::default();
        for (before, after) in self.before.parts.iter().zip(&self.after.parts) {
            for (before, after) in before.codes.iter().zip(&after.codes) {
                counts.count(status_of(*before), status_of(*after));
            }
        }
        counts
    }

    /// The nodes that keep their status at the scenarios' time and become not compliant earlier or
    /// later, where either is by `until`.
    pub fn shifts(&self, until: Timestamp) -> Vec<OnsetShift> {
        let (before, after) = (Onsets::new(&self.before), Onsets::new(&self.after));
        let by = |onset: Option<Timestamp>| onset.filter(|at| *at <= until);
        let matrix = self.after.matrix;
        let shift = |(place, node): (usize, &MatrixNode)| {
            if self.changed.binary_search(&place).is_ok() {
                return None;
            }
            let wrong = ComplianceStatus::NonCompliant;
            if self.after.code(place).map(status_of) == Some(wrong) {
                return None;
            }
            let (before, after) = (by(before.of(place)), by(after.of(place)));
            (before != after).then(|| OnsetShift { node: node.id.clone(), before, after })
        };
        (0..).zip(matrix.nodes()).filter_map(shift).collect()
    }

    fn change(&self, place: usize) -> Option<NodeChange> {
        let (cohort, row) = self.after.matrix.locate(place)?;
        let node = &cohort.nodes[row];
        let [before, after] = [self.before.code(place)?, self.after.code(place)?];
        let causes = self.causes(cohort, row, place);
        let wrong = status_of(after) == ComplianceStatus::NonCompliant;
        let doubtful = doubt_of(after) == Some(Doubt::Unseen);
        let first = causes.iter().map(|cause| cause.approved_from).min().flatten();
        Some(NodeChange {
            node: node.id.clone(),
            operating_system: node.operating_system.clone(),
            group: node.group.clone(),
            before: status_of(before),
            after: status_of(after),
            doubt_before: doubt_of(before),
            doubt_after: doubt_of(after),
            since: first.filter(|_| wrong || doubtful),
            causes,
        })
    }

    fn causes(&self, cohort: &Cohort, row: usize, place: usize) -> Vec<Cause> {
        let [before, after] = [&*self.before, &self.after];
        let sides = [(before, before.table(place)), (after, after.table(place))];
        let cause = |(number, presence, certainty): (usize, Presence, Certainty)| {
            let patch = &cohort.patches[number].patch;
            let [before, after] = sides.map(|(verdicts, decided)| {
                decided.and_then(|it| it.judge(number, patch, presence, verdicts.scenario))
            });
            let wrong = |judged: &Option<crate::JudgedPatch>| {
                judged.as_ref().is_some_and(|it| it.status == ComplianceStatus::NonCompliant)
            };
            if wrong(&before) == wrong(&after) {
                return None;
            }
            let level = if wrong(&after) { &after } else { &before };
            Some(Cause {
                patch: patch.id.clone(),
                title: patch.title.clone(),
                level: level.as_ref().map(|it| it.level).unwrap_or_default(),
                before: before.map(|it| it.state),
                after: after.map(|it| it.state),
                approved_from: sides[1].1.and_then(|it| it.decisions[number].approved_from),
                certainty,
            })
        };
        let reported =
            cohort.facts(row).map(|(number, presence)| (number, presence, Certainty::Reported));
        let possible =
            cohort.unseen.row(row).map(|number| (number, Presence::Absent, Certainty::Possible));
        let mut causes: Vec<Cause> = reported.chain(possible).filter_map(cause).collect();
        causes.sort_by(|a, b| {
            (a.certainty, b.level, &a.patch).cmp(&(b.certainty, a.level, &b.patch))
        });
        causes
    }
}

impl ChangeCounts {
    fn count(&mut self, before: ComplianceStatus, after: ComplianceStatus) {
        use ComplianceStatus::{Compliant, NonCompliant, Unknown};
        self.nodes += 1;
        self.non_compliant_before += usize::from(before == NonCompliant);
        self.non_compliant_after += usize::from(after == NonCompliant);
        self.unknown_after += usize::from(after == Unknown);
        if before != after {
            match after {
                NonCompliant => self.fall_out += 1,
                Compliant => self.come_in += 1,
                Unknown => self.become_unknown += 1,
            }
        }
    }
}
