//! Which patches become approved on which day, and whom that turns not compliant.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    decide::Decided,
    judge::{Part, status_of},
    matrix::{Cohort, PatchMatrix},
    onset::{ALWAYS, CohortOnsets, NEVER, Onsets},
    scenario::Scenario,
};
use crate::{
    Approval, ComplianceLevel, ComplianceStatus, NodeId, OperatingSystem, PatchGroupName, PatchId,
};

/// Tells what the delays of a scenario's baselines bring from its time until another.
///
/// # Behavior
/// - It says what a new [`what_if`](super::what_if) at each later time would, in one pass.
/// - Patches that are not released yet are not in it, and nodes are taken to stay as they are.
pub fn forecast(matrix: &PatchMatrix, scenario: &Scenario, until: Timestamp) -> Forecast {
    let verdicts = matrix.judge(scenario);
    let onsets = Onsets::new(&verdicts);
    let mut days = Days { from: scenario.when, until, by_date: BTreeMap::new() };
    let parts = matrix.cohorts.iter().zip(&verdicts.parts).zip(onsets.parts());
    for ((cohort, part), onsets) in parts {
        days.add_approvals(cohort, part);
        days.add_nodes(cohort, part, onsets);
    }
    let sorted = |mut day: ForecastDay| {
        day.approvals.sort_by(|a, b| (a.at, &a.patch, &a.title).cmp(&(b.at, &b.patch, &b.title)));
        day.non_compliant.sort_by(|a, b| (a.at, &a.node).cmp(&(b.at, &b.node)));
        day.unknown.sort_by(|a, b| (a.at, &a.node).cmp(&(b.at, &b.node)));
        day
    };
    let days = days.by_date.into_values().map(sorted).collect();
    Forecast { from: scenario.when, until, days }
}

/// What the delays of baselines bring, day by day.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// From when.
    pub from: Timestamp,
    /// Until when, that moment included.
    pub until: Timestamp,
    /// The days of UTC on which something happens, in order.
    pub days: Vec<ForecastDay>,
}

/// What happens on one day of UTC.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ForecastDay {
    /// The day.
    pub date: Date,
    /// The patches that become approved.
    pub approvals: Vec<PatchApproval>,
    /// The nodes that become not compliant.
    pub non_compliant: Vec<NodeOnset>,
    /// The nodes of which it is not known any more: they may lack what becomes approved.
    pub unknown: Vec<NodeOnset>,
}

/// A patch that becomes approved.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchApproval {
    /// When.
    pub at: Timestamp,
    /// The patch.
    pub patch: PatchId,
    /// Its title.
    pub title: Option<String>,
    /// The operating system that it is for.
    pub operating_system: OperatingSystem,
    /// The name of the baseline that approves it.
    pub baseline: String,
    /// How much the baseline's owner minds that it is missing.
    pub level: ComplianceLevel,
    /// On how many nodes of the baseline it is absent, compliant ones or not.
    pub lacking: usize,
}

/// A node whose status changes as time goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeOnset {
    /// When.
    pub at: Timestamp,
    /// The node.
    pub node: NodeId,
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// Its patch group.
    pub group: Option<PatchGroupName>,
    /// The patches that become approved at that moment and that it lacks, or may lack.
    pub patches: Vec<PatchId>,
}

struct Days {
    from: Timestamp,
    until: Timestamp,
    by_date: BTreeMap<Date, ForecastDay>,
}

impl Days {
    fn is_ahead(&self, at: Timestamp) -> bool {
        self.from < at && at <= self.until
    }

    fn day(&mut self, at: Timestamp) -> &mut ForecastDay {
        let date = TimeZone::UTC.to_datetime(at).date();
        self.by_date.entry(date).or_insert_with(|| ForecastDay {
            date,
            approvals: Vec::new(),
            non_compliant: Vec::new(),
            unknown: Vec::new(),
        })
    }

    fn add_approvals(&mut self, cohort: &Cohort, part: &Part) {
        let lacking = lacking(cohort, part);
        for (decided, lacking) in part.tables.iter().zip(lacking) {
            for (number, decision) in decided.decisions.iter().enumerate() {
                let Some(at) = decision.approved_from.filter(|at| self.is_ahead(*at)) else {
                    continue;
                };
                if decision.approval != Approval::PendingApproval {
                    continue;
                }
                let patch = &cohort.patches[number].patch;
                let approval = PatchApproval {
                    at,
                    patch: patch.id.clone(),
                    title: patch.title.clone(),
                    operating_system: cohort.operating_system.clone(),
                    baseline: decided.compiled.baseline().name.clone(),
                    level: decision.level,
                    lacking: lacking[number],
                };
                self.day(at).approvals.push(approval);
            }
        }
    }

    fn add_nodes(&mut self, cohort: &Cohort, part: &Part, onsets: &CohortOnsets) {
        let settled = |rank: u32| rank == ALWAYS || rank == NEVER;
        for (row, code) in part.codes.iter().enumerate() {
            // Most nodes are wrong already, or never will be.
            if settled(onsets.of_node[row]) && onsets.possible[row] == NEVER {
                continue;
            }
            let onset = onsets.moment(onsets.of_node[row]);
            let possible = onsets.moment(onsets.possible[row]);
            if let Some(at) = onset.filter(|at| self.is_ahead(*at)) {
                let rank = onsets.of_node[row];
                let node = node_onset(cohort, part, onsets, (row, rank, at), &cohort.absent);
                self.day(at).non_compliant.push(node);
            }
            let is_compliant = status_of(*code) == ComplianceStatus::Compliant;
            let first = possible.filter(|at| onset.is_none_or(|onset| *at < onset));
            if let Some(at) = first.filter(|at| is_compliant && self.is_ahead(*at)) {
                let rank = onsets.possible[row];
                let node = node_onset(cohort, part, onsets, (row, rank, at), &cohort.unseen);
                self.day(at).unknown.push(node);
            }
        }
    }
}

fn node_onset(
    cohort: &Cohort,
    part: &Part,
    onsets: &CohortOnsets,
    (row, rank, at): (usize, u32, Timestamp),
    plane: &super::plane::Plane,
) -> NodeOnset {
    let node = &cohort.nodes[row];
    let table = part.table_of[cohort.run_of(row)].map(|table| &onsets.of_patch[table]);
    let becomes = |number: &usize| table.is_some_and(|of_patch| of_patch[*number] == rank);
    let patches = plane.row(row).filter(becomes);
    NodeOnset {
        at,
        node: node.id.clone(),
        operating_system: node.operating_system.clone(),
        group: node.group.clone(),
        patches: patches.map(|number| cohort.patches[number].patch.id.clone()).collect(),
    }
}

/// For each baseline, on how many of its nodes each patch is absent that waits for approval.
fn lacking(cohort: &Cohort, part: &Part) -> Vec<Vec<usize>> {
    let mut lacking: Vec<Vec<usize>> =
        part.tables.iter().map(|_| vec![0; cohort.patches.len()]).collect();
    let waits = |decided: &Decided| {
        decided.decisions.iter().any(|it| it.approval == Approval::PendingApproval)
    };
    for (run, table) in cohort.runs.iter().zip(&part.table_of) {
        let Some(table) = table.filter(|table| waits(&part.tables[*table])) else { continue };
        cohort.absent.count(&run.rows, &mut lacking[table]);
    }
    lacking
}
