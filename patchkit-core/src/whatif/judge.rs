//! Holds a matrix against baselines.

use super::{
    decide::{Decided, HARMLESS, Weight},
    matrix::{Cohort, Evidence, MatrixNode, PatchMatrix},
    plane::{Plane, Table},
    scenario::Scenario,
};
use crate::{
    Classification, ComplianceLevel, ComplianceStatus, JudgedPatch, NodeId, NodeVerdict, Presence,
    judge_node,
};

/// The verdict of a scenario on every node of a matrix.
///
/// # Behavior
/// - They are exactly those of [`patch_state`](crate::patch_state) and
///   [`judge_node`](crate::judge_node), patch by patch and node by node.
/// - What is not known is `Unknown`, with its [`Doubt`]: a node without a report, without a
///   baseline, or with a gap in its report that its baseline minds.
#[derive(Debug)]
pub struct Verdicts<'a> {
    pub(super) matrix: &'a PatchMatrix,
    pub(super) scenario: &'a Scenario,
    pub(super) parts: Vec<Part>,
}

/// The verdicts on one cohort.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) tables: Vec<Decided>,
    /// The table of each run of nodes.
    pub(super) table_of: Vec<Option<usize>>,
    /// A [`Weight`] for each node, or [`DOUBT`] and a [`Doubt`].
    pub(super) codes: Vec<u8>,
}

/// Why a node is `Unknown`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Doubt {
    /// The scenario has no baseline for its operating system.
    NoBaseline,
    /// Nothing is known of its patches.
    NotScanned,
    /// Its tags name two patch groups: nobody knows which baseline is its own.
    AmbiguousGroup,
    /// A part of its report was lost, and the rest shows nothing wrong.
    ReportInPart,
    /// It may lack a patch that the baseline asks for: the last scan could not show it.
    Unseen,
}

impl Doubt {
    const ALL: [Self; 5] = [
        Self::NoBaseline,
        Self::NotScanned,
        Self::AmbiguousGroup,
        Self::ReportInPart,
        Self::Unseen,
    ];

    /// The word used in reports and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoBaseline => "no_baseline",
            Self::NotScanned => "not_scanned",
            Self::AmbiguousGroup => "ambiguous_group",
            Self::ReportInPart => "report_in_part",
            Self::Unseen => "unseen",
        }
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many nodes have which verdict.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct VerdictCounts {
    /// Compliant.
    pub compliant: usize,
    /// Not compliant.
    pub non_compliant: usize,
    /// Not known.
    pub unknown: usize,
}

impl PatchMatrix {
    /// Holds every node against its baseline of the scenario.
    ///
    /// Each baseline decides once on each patch of its operating system; after that it is one pass
    /// over what is absent, and over the little of the rest that the baseline minds.
    pub fn judge<'a>(&'a self, scenario: &'a Scenario) -> Verdicts<'a> {
        let parts = self.cohorts.iter().map(|cohort| Part::new(cohort, scenario)).collect();
        Verdicts { matrix: self, scenario, parts }
    }
}

impl Verdicts<'_> {
    /// The verdict on one node; `None` for a node that is not in the matrix.
    pub fn status(&self, node: &NodeId) -> Option<ComplianceStatus> {
        Some(status_of(self.code(self.matrix.place(node)?)?))
    }

    /// Why one node is `Unknown`; `None` where it is not, or is not in the matrix.
    pub fn doubt(&self, node: &NodeId) -> Option<Doubt> {
        doubt_of(self.code(self.matrix.place(node)?)?)
    }

    /// The verdict on one node with the counts of its patches, as its report would have them.
    ///
    /// Of a node that is `Unknown` what is known is counted.
    pub fn verdict(&self, node: &NodeId) -> Option<NodeVerdict> {
        let place = self.matrix.place(node)?;
        let (cohort, row) = self.matrix.locate(place)?;
        let code = self.code(place)?;
        let mut verdict = match self.table(place) {
            None => empty_verdict(),
            Some(decided) => {
                let judged = |(number, presence): (usize, Presence)| {
                    let patch = &cohort.patches[number].patch;
                    let judged = decided.judge(number, patch, presence, self.scenario)?;
                    Some((patch.classification.as_ref(), judged))
                };
                let patches: Vec<(Option<&Classification>, JudgedPatch)> =
                    cohort.facts(row).filter_map(judged).collect();
                judge_node(&decided.compiled, patches)
            }
        };
        verdict.status = status_of(code);
        Some(verdict)
    }

    /// The nodes with their verdicts, in the order of [`PatchMatrix::nodes`].
    pub fn iter(&self) -> impl Iterator<Item = (&MatrixNode, ComplianceStatus)> {
        let codes = self.parts.iter().flat_map(|part| &part.codes);
        self.matrix.nodes().zip(codes.map(|code| status_of(*code)))
    }

    /// The nodes that are not compliant, with the highest compliance level among what is wrong.
    pub fn non_compliant(&self) -> impl Iterator<Item = (&MatrixNode, ComplianceLevel)> {
        let codes = self.parts.iter().flat_map(|part| &part.codes);
        self.matrix.nodes().zip(codes).filter_map(|(node, code)| Some((node, level_of(*code)?)))
    }

    /// The nodes of which it is not known, and why.
    pub fn unknown(&self) -> impl Iterator<Item = (&MatrixNode, Doubt)> {
        let codes = self.parts.iter().flat_map(|part| &part.codes);
        self.matrix.nodes().zip(codes).filter_map(|(node, code)| Some((node, doubt_of(*code)?)))
    }

    /// How many nodes have which verdict.
    pub fn counts(&self) -> VerdictCounts {
        let mut counts = VerdictCounts::default();
        for part in &self.parts {
            let compliant = count(&part.codes, |code| code == HARMLESS);
            let unknown = count(&part.codes, |code| code >= DOUBT);
            counts.compliant += compliant;
            counts.unknown += unknown;
            counts.non_compliant += part.codes.len() - compliant - unknown;
        }
        counts
    }

    /// The nodes whose verdict is another than that of their own last scan: where the baselines
    /// are those that the scan went by, these are worth a look.
    pub fn contradictions(&self) -> impl Iterator<Item = (&MatrixNode, ComplianceStatus)> {
        self.iter().filter(|(node, status)| {
            let known = [node.reported, *status].iter().all(|it| *it != ComplianceStatus::Unknown);
            known && node.reported != *status
        })
    }

    pub(super) fn code(&self, place: usize) -> Option<u8> {
        let (cohort, row) = self.matrix.cohort_of(place)?;
        self.parts.get(cohort)?.codes.get(row).copied()
    }

    /// What the node's baseline decided.
    pub(super) fn table(&self, place: usize) -> Option<&Decided> {
        let (cohort, row) = self.matrix.cohort_of(place)?;
        let run = self.matrix.cohorts[cohort].run_of(row);
        self.parts[cohort].table_of(run)
    }
}

impl Part {
    fn new(cohort: &Cohort, scenario: &Scenario) -> Self {
        let mut tables: Vec<Decided> = Vec::new();
        let table_of = cohort.runs.iter().map(|run| {
            let os = &cohort.operating_system;
            let baseline = scenario.baselines.baseline_for(os, run.group.as_ref())?;
            let known = tables.iter().position(|table| table.compiled.baseline() == baseline);
            Some(known.unwrap_or_else(|| {
                tables.push(Decided::new(baseline, scenario, cohort));
                tables.len() - 1
            }))
        });
        let table_of: Vec<Option<usize>> = table_of.collect();
        let mut part = Self { tables, table_of, codes: Vec::new() };
        part.codes = part.weigh(cohort);
        part.add_doubts(cohort);
        part
    }

    pub(super) fn table_of(&self, run: usize) -> Option<&Decided> {
        self.table_of.get(run).copied().flatten().map(|table| &self.tables[table])
    }

    /// How bad what is known is for each node.
    fn weigh(&self, cohort: &Cohort) -> Vec<Weight> {
        let mut weights = vec![HARMLESS; cohort.nodes.len()];
        self.fold(cohort, &cohort.absent, |decided| &decided.absent, &mut weights);
        self.fold(cohort, &cohort.pending_reboot, |decided| &decided.pending_reboot, &mut weights);
        self.fold(cohort, &cohort.installed, |decided| &decided.installed, &mut weights);
        weights
    }

    fn fold(
        &self,
        cohort: &Cohort,
        plane: &Plane,
        values: impl Fn(&Decided) -> &[Weight],
        out: &mut [Weight],
    ) {
        let table = |decided| {
            let values = values(decided);
            let best = values.iter().copied().max().unwrap_or(HARMLESS);
            Table { values, idle: HARMLESS, best, merge: |a: Weight, b: Weight| a | b }
        };
        let is_one = self.tables.len() == 1 && self.table_of.iter().all(Option::is_some);
        if let (true, Some(decided)) = (is_one, self.tables.first()) {
            return plane.fold(0..cohort.nodes.len(), &table(decided), out);
        }
        for (number, run) in cohort.runs.iter().enumerate() {
            if let Some(decided) = self.table_of(number) {
                plane.fold(run.rows.clone(), &table(decided), &mut out[run.rows.clone()]);
            }
        }
    }

    fn add_doubts(&mut self, cohort: &Cohort) {
        if !cohort.unseen.is_empty() {
            let mut unseen = vec![HARMLESS; cohort.nodes.len()];
            self.fold(cohort, &cohort.unseen, |decided| &decided.absent, &mut unseen);
            for (code, unseen) in self.codes.iter_mut().zip(unseen) {
                if *code == HARMLESS && unseen != HARMLESS {
                    *code = code_of(Doubt::Unseen);
                }
            }
        }
        for row in &cohort.doubtful {
            let code = &mut self.codes[*row];
            *code = match cohort.nodes[*row].evidence {
                Evidence::Nothing => code_of(Doubt::NotScanned),
                Evidence::AmbiguousGroup => code_of(Doubt::AmbiguousGroup),
                Evidence::Part if level_of(*code).is_none() => code_of(Doubt::ReportInPart),
                Evidence::Part | Evidence::Whole => *code,
            };
        }
        for (number, run) in cohort.runs.iter().enumerate() {
            if self.table_of[number].is_none() {
                self.codes[run.rows.clone()].fill(code_of(Doubt::NoBaseline));
            }
        }
    }
}

impl Cohort {
    pub(super) fn run_of(&self, row: usize) -> usize {
        self.runs.partition_point(|run| run.rows.end <= row)
    }

    /// The patches that a node reports, as they are on it.
    pub(super) fn facts(&self, row: usize) -> impl Iterator<Item = (usize, Presence)> {
        [
            (&self.installed, Presence::Installed),
            (&self.pending_reboot, Presence::InstalledPendingReboot),
            (&self.absent, Presence::Absent),
            (&self.not_applicable, Presence::NotApplicable),
        ]
        .into_iter()
        .flat_map(move |(plane, presence)| plane.row(row).map(move |number| (number, presence)))
    }
}

/// Counts codes, so many at a time that a byte holds the count: the compiler makes wide operations of
/// that.
fn count(codes: &[u8], takes: impl Fn(u8) -> bool) -> usize {
    let chunks = codes.chunks(usize::from(u8::MAX));
    let counts = chunks.map(|chunk| chunk.iter().fold(0_u8, |sum, it| sum + u8::from(takes(*it))));
    counts.map(usize::from).sum()
}

fn empty_verdict() -> NodeVerdict {
    NodeVerdict {
        status: ComplianceStatus::Unknown,
        level: None,
        counts: crate::PatchCounts::default(),
    }
}

pub(super) fn status_of(code: u8) -> ComplianceStatus {
    match code {
        HARMLESS => ComplianceStatus::Compliant,
        DOUBT.. => ComplianceStatus::Unknown,
        _ => ComplianceStatus::NonCompliant,
    }
}

pub(super) fn level_of(code: u8) -> Option<ComplianceLevel> {
    // The highest level is the highest bit.
    let highest = (code < DOUBT).then(|| code.checked_ilog2())??;
    ComplianceLevel::ALL.get(highest as usize).copied()
}

pub(super) fn doubt_of(code: u8) -> Option<Doubt> {
    Doubt::ALL.get(usize::from(code.checked_sub(DOUBT)?)).copied()
}

fn code_of(doubt: Doubt) -> u8 {
    DOUBT + doubt as u8
}

/// Codes from here on are doubts; below are weights.
const DOUBT: u8 = 1 << 7;
