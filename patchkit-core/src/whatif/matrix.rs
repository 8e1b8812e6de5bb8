//! The patches of a fleet, node by node, ready to be held against any baseline.

use std::ops::Range;

use jiff::Timestamp;

use super::{build::MatrixBuilder, plane::Plane};
use crate::{
    ComplianceStatus, NodeId, OperatingSystem, Patch, PatchGroupName, PatchId, baseline::Names,
};

/// What is known of every patch on every node: whether it is there, before any baseline is asked.
///
/// Made once, by [`MatrixBuilder`] or [`read_matrix`](super::read_matrix); each question after that
/// is one decision for each patch and set algebra over the nodes.
///
/// # Behavior
/// - Nodes of one operating system share a catalogue. Its patches are told apart by their id and,
///   where they are packages, their version.
/// - Of each state there is a plane: a bit for every node and patch, or the patches of each node as
///   a list, whichever is smaller. What it takes grows with the rows that were read, never with
///   nodes times patches.
/// - That the last attempt to install a patch failed is kept as that the patch is absent: every
///   baseline judges both alike.
#[derive(Debug)]
pub struct PatchMatrix {
    pub(super) cohorts: Vec<Cohort>,
    /// The nodes' places, in the order of their ids.
    pub(super) by_id: Vec<usize>,
}

/// A node of a [`PatchMatrix`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MatrixNode {
    /// The node.
    pub id: NodeId,
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// The patch group by which its baseline is found.
    pub group: Option<PatchGroupName>,
    /// How much is known of its patches.
    pub evidence: Evidence,
    /// The verdict that its own last scan gave; `Unknown` where it is not known.
    pub reported: ComplianceStatus,
    /// When that scan was.
    pub observed_at: Option<Timestamp>,
}

/// How much is known of a node's patches.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Evidence {
    /// All that its last scan reported.
    #[default]
    Whole,
    /// A part: rows were lost, or hold a state that is not known. What is known can show the node
    /// not compliant, and never compliant.
    Part,
    /// Nothing: it was never scanned, or its report cannot be read.
    Nothing,
    /// Its tags name two patch groups, so that nobody knows which baseline is its own.
    AmbiguousGroup,
}

/// The nodes of one operating system, those of one patch group next to each other.
#[derive(Debug)]
pub(super) struct Cohort {
    pub(super) operating_system: OperatingSystem,
    /// The place of its first node among all.
    pub(super) first: usize,
    pub(super) nodes: Vec<MatrixNode>,
    pub(super) runs: Vec<Run>,
    pub(super) patches: Vec<Column>,
    pub(super) installed: Plane,
    pub(super) pending_reboot: Plane,
    pub(super) absent: Plane,
    pub(super) not_applicable: Plane,
    /// Offered to a node, and hidden from its report by the baseline that it was scanned under.
    pub(super) unseen: Plane,
    /// The nodes whose evidence is not whole.
    pub(super) doubtful: Vec<usize>,
}

/// The nodes of one patch group.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) group: Option<PatchGroupName>,
    pub(super) rows: Range<usize>,
}

/// A patch of a cohort.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) patch: Patch,
    /// Under which lists know it; made when all is known of it.
    pub(super) names: Names<'static>,
    pub(super) origin: Origin,
}

/// Who tells of a patch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// A catalogue, which has its date and products.
    Catalogue,
    /// Nodes' reports alone.
    Report,
}

impl PatchMatrix {
    /// Begins a matrix.
    pub fn builder() -> MatrixBuilder {
        MatrixBuilder::default()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The nodes, by operating system, patch group and id.
    pub fn nodes(&self) -> impl Iterator<Item = &MatrixNode> {
        self.cohorts.iter().flat_map(|cohort| &cohort.nodes)
    }

    /// One node.
    pub fn node(&self, id: &NodeId) -> Option<&MatrixNode> {
        let (cohort, row) = self.locate(self.place(id)?)?;
        Some(&cohort.nodes[row])
    }

    /// The patches, by operating system and id.
    pub fn patches(&self) -> impl Iterator<Item = (&OperatingSystem, &Patch)> {
        self.columns(|_| true)
    }

    /// The patches that nodes report and no catalogue has: where their date and products are not
    /// known, a delay has no say and a filter by product does not pass them.
    pub fn uncatalogued(&self) -> impl Iterator<Item = (&OperatingSystem, &Patch)> {
        self.columns(|column| column.origin == Origin::Report)
    }

    /// The patches of which it is not known when they were released.
    pub fn undated(&self) -> impl Iterator<Item = (&OperatingSystem, &Patch)> {
        self.columns(|column| column.patch.released_at.is_none())
    }

    /// How much memory the planes take.
    pub fn bytes(&self) -> usize {
        self.cohorts.iter().flat_map(Cohort::planes).map(Plane::bytes).sum()
    }

    /// On how many nodes a patch is absent, whatever baselines say.
    pub fn lacking(&self, os: &OperatingSystem, patch: &PatchId) -> usize {
        let cohorts = self.cohorts.iter().filter(|cohort| cohort.operating_system == *os);
        cohorts.map(|cohort| cohort.lacking(|column| column.patch.id == *patch)).sum()
    }

    fn columns(
        &self,
        takes: impl Fn(&Column) -> bool + Copy,
    ) -> impl Iterator<Item = (&OperatingSystem, &Patch)> {
        self.cohorts.iter().flat_map(move |cohort| {
            let columns = cohort.patches.iter().filter(move |column| takes(column));
            columns.map(|column| (&cohort.operating_system, &column.patch))
        })
    }

    /// The place of a node among all.
    pub(super) fn place(&self, id: &NodeId) -> Option<usize> {
        let at = self.by_id.binary_search_by(|place| {
            self.locate(*place)
                .map_or(std::cmp::Ordering::Less, |(cohort, row)| cohort.nodes[row].id.cmp(id))
        });
        at.ok().map(|at| self.by_id[at])
    }

    /// The cohort of a place, and the node's row in it.
    pub(super) fn locate(&self, place: usize) -> Option<(&Cohort, usize)> {
        self.cohort_of(place).map(|(cohort, row)| (&self.cohorts[cohort], row))
    }

    pub(super) fn cohort_of(&self, place: usize) -> Option<(usize, usize)> {
        let after = self.cohorts.partition_point(|cohort| cohort.first <= place);
        let cohort = after.checked_sub(1)?;
        let row = place - self.cohorts[cohort].first;
        (row < self.cohorts[cohort].nodes.len()).then_some((cohort, row))
    }
}

impl Cohort {
    fn planes(&self) -> [&Plane; 5] {
        [&self.installed, &self.pending_reboot, &self.absent, &self.not_applicable, &self.unseen]
    }

    fn lacking(&self, takes: impl Fn(&Column) -> bool) -> usize {
        let takes: Vec<bool> = self.patches.iter().map(takes).collect();
        let lacks = |row: &usize| self.absent.row(*row).any(|patch| takes[patch]);
        (0..self.nodes.len()).filter(lacks).count()
    }
}
