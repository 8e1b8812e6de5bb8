//! From when on nodes are not compliant.

use jiff::Timestamp;

use super::{
    judge::{Part, Verdicts, doubt_of, status_of},
    matrix::{Cohort, PatchMatrix},
    plane::{Plane, Table},
    scenario::Scenario,
};
use crate::ComplianceStatus;

/// From when on each node is not compliant.
///
/// One pass for all times: each patch has one moment from which on a node that lacks it is not
/// compliant, and a node's moment is the first of those of its patches.
#[derive(Debug)]
pub(super) struct Onsets<'a> {
    matrix: &'a PatchMatrix,
    parts: Vec<CohortOnsets>,
}

/// The moments of one cohort, as ranks in the order of time.
#[derive(Debug)]
pub(super) struct CohortOnsets {
    /// The distinct moments, the first of them "always".
    pub(super) moments: Vec<Timestamp>,
    /// For each table, the rank of each of its patches.
    pub(super) of_patch: Vec<Vec<u32>>,
    /// The rank of each node.
    pub(super) of_node: Vec<u32>,
    /// The rank of what each node may lack.
    pub(super) possible: Vec<u32>,
}

/// Wrong at all times.
pub(super) const ALWAYS: u32 = 0;
/// Not wrong at any time, as far as patches are known.
pub(super) const NEVER: u32 = u32::MAX;

impl<'a> Onsets<'a> {
    pub(super) fn new(verdicts: &Verdicts<'a>) -> Self {
        let cohorts = verdicts.matrix.cohorts.iter().zip(&verdicts.parts);
        let scenario = verdicts.scenario;
        let parts =
            cohorts.map(|(cohort, part)| CohortOnsets::new(cohort, part, scenario)).collect();
        Self { matrix: verdicts.matrix, parts }
    }

    /// From when on a node is not compliant; `None` for never.
    pub(super) fn of(&self, place: usize) -> Option<Timestamp> {
        let (cohort, row) = self.matrix.cohort_of(place)?;
        let part = &self.parts[cohort];
        part.moments.get(part.of_node[row] as usize).copied()
    }

    pub(super) fn parts(&self) -> &[CohortOnsets] {
        &self.parts
    }
}

impl CohortOnsets {
    fn new(cohort: &Cohort, part: &Part, scenario: &Scenario) -> Self {
        let onsets: Vec<Vec<Option<Timestamp>>> = part
            .tables
            .iter()
            .map(|decided| {
                let columns = cohort.patches.iter().enumerate();
                columns.map(|(at, it)| decided.onset(at, it, scenario)).collect()
            })
            .collect();
        let mut moments: Vec<Timestamp> = onsets.iter().flatten().copied().flatten().collect();
        moments.push(Timestamp::MIN);
        moments.sort_unstable();
        moments.dedup();
        let rank = |moment: &Option<Timestamp>| {
            let at = moment.and_then(|moment| moments.binary_search(&moment).ok());
            at.and_then(|at| u32::try_from(at).ok()).unwrap_or(NEVER)
        };
        let of_patch: Vec<Vec<u32>> =
            onsets.iter().map(|table| table.iter().map(rank).collect()).collect();
        let first = |plane: &Plane, out: &mut [u32]| {
            let table = |values| Table { values, idle: NEVER, best: ALWAYS, merge: u32::min };
            let is_one = part.tables.len() == 1 && part.table_of.iter().all(Option::is_some);
            if let (true, Some(values)) = (is_one, of_patch.first()) {
                return plane.fold(0..cohort.nodes.len(), &table(values), out);
            }
            for (run, number) in cohort.runs.iter().zip(&part.table_of) {
                if let Some(number) = number {
                    let out = &mut out[run.rows.clone()];
                    plane.fold(run.rows.clone(), &table(&of_patch[*number]), out);
                }
            }
        };
        let mut of_node = vec![NEVER; cohort.nodes.len()];
        first(&cohort.absent, &mut of_node);
        let mut possible = vec![NEVER; cohort.nodes.len()];
        first(&cohort.unseen, &mut possible);
        for (row, code) in part.codes.iter().enumerate() {
            let wrong_now = status_of(*code) == ComplianceStatus::NonCompliant;
            let lacks_something =
                moments.get(of_node[row] as usize).is_some_and(|moment| *moment <= scenario.when);
            // A reboot that is due, or a rejected patch: no delay has a say in that.
            if wrong_now && !lacks_something {
                of_node[row] = ALWAYS;
            }
            // What is not known of a node now, for another reason than a patch, is not known later.
            if doubt_of(*code).is_some_and(|doubt| doubt < super::Doubt::ReportInPart) {
                (of_node[row], possible[row]) = (NEVER, NEVER);
            }
        }
        Self { moments, of_patch, of_node, possible }
    }

    pub(super) fn moment(&self, rank: u32) -> Option<Timestamp> {
        self.moments.get(rank as usize).copied()
    }
}
