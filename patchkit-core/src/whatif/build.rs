//! Makes a matrix of what nodes report and catalogues offer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use jiff::Timestamp;

use super::{
    matrix::{Cohort, Column, Evidence, MatrixNode, Origin, PatchMatrix, Run},
    patch_key::{PatchKey, merge},
    plane::Plane,
    scenario::Scenario,
    unseen::{CompareVersions, Offers},
};
use crate::{
    ComplianceStatus, Error, NodeId, OperatingSystem, Patch, PatchGroupName, Presence, Result,
    baseline::Names,
};

/// Takes nodes one after the other and makes a [`PatchMatrix`] of them.
///
/// # Example
/// ```
/// use patchkit_core::{
///     ApprovalRule, AutoApproval, ComplianceStatus, OperatingSystem, Patch, PatchBaseline, PatchId,
///     Presence,
///     whatif::{NodeFacts, PatchMatrix, Scenario, what_if},
/// };
///
/// let os = OperatingSystem::Windows;
/// let mut builder = PatchMatrix::builder();
/// let patch = Patch::new(PatchId::new("KB5034441")?)
///     .with_released_at("2025-11-09T18:00:00Z".parse().unwrap());
/// let patch = builder.offer(&os, patch);
/// let node = "aws/111122223333/eu-west-1/i-0a".parse()?;
/// builder.node(NodeFacts::new(node, os.clone()).with_patch(patch, Presence::Absent))?;
/// let matrix = builder.build();
///
/// let delayed = |days| {
///     PatchBaseline::new("web", OperatingSystem::Windows)
///         .with_rule(ApprovalRule::new(AutoApproval::AfterDays(days)))
/// };
/// let when = "2025-11-13T00:00:00Z".parse().unwrap();
/// let (before, after) = (Scenario::new(delayed(7), when), Scenario::new(delayed(3), when));
/// let answer = what_if(&matrix, &before, &after);
/// let change = answer.changes().next().unwrap();
/// assert_eq!(change.after, ComplianceStatus::NonCompliant);
/// assert_eq!(change.since, Some("2025-11-12T18:00:00Z".parse().unwrap()));
/// assert_eq!(change.causes[0].patch.as_str(), "KB5034441");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MatrixBuilder {
    drafts: BTreeMap<OperatingSystem, Draft>,
    ids: HashSet<NodeId>,
    scanned_under: Option<(Scenario, CompareVersions)>,
}

/// A patch that a [`MatrixBuilder`] knows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PatchRef {
    draft: usize,
    patch: u32,
}

/// A node, and what is known of its patches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeFacts {
    /// The node.
    pub id: NodeId,
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// The patch group by which its baseline is found.
    pub group: Option<PatchGroupName>,
    /// How much is known of its patches.
    pub evidence: Evidence,
    /// The verdict that its own last scan gave.
    pub reported: ComplianceStatus,
    /// When that scan was.
    pub observed_at: Option<Timestamp>,
    /// The products it is, as catalogues name them: `WindowsServer2022`.
    pub products: Vec<String>,
    /// The patches that it reports.
    pub patches: Vec<(PatchRef, Presence)>,
}

impl NodeFacts {
    /// A node that was scanned and reports no patch.
    pub fn new(id: NodeId, operating_system: OperatingSystem) -> Self {
        Self {
            id,
            operating_system,
            group: None,
            evidence: Evidence::Whole,
            reported: ComplianceStatus::Unknown,
            observed_at: None,
            products: Vec::new(),
            patches: Vec::new(),
        }
    }

    /// Sets its patch group.
    #[must_use]
    pub fn with_group(mut self, group: PatchGroupName) -> Self {
        self.group = Some(group);
        self
    }

    /// Says how much is known of its patches.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = evidence;
        self
    }

    /// Sets what its last scan found, and when.
    #[must_use]
    pub fn with_report(mut self, status: ComplianceStatus, at: Option<Timestamp>) -> Self {
        (self.reported, self.observed_at) = (status, at);
        self
    }

    /// Adds a product that it is.
    #[must_use]
    pub fn with_product(mut self, product: impl Into<String>) -> Self {
        self.products.push(product.into());
        self
    }

    /// Adds a patch.
    #[must_use]
    pub fn with_patch(mut self, patch: PatchRef, presence: Presence) -> Self {
        self.patches.push((patch, presence));
        self
    }
}

/// The nodes of one operating system while they come.
#[derive(Debug, Default)]
struct Draft {
    number: usize,
    columns: Vec<(PatchKey, Column)>,
    by_key: HashMap<PatchKey, u32>,
    nodes: Vec<MatrixNode>,
    products: Vec<Vec<String>>,
    /// Where the facts of each node end.
    ends: Vec<usize>,
    /// A patch and a [`Fact`] in one number.
    facts: Vec<u32>,
    counts: [usize; FACTS],
}

/// What is kept of a [`Presence`], the better for the node the smaller: of a patch that comes twice
/// the worse counts.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Fact {
    NotApplicable,
    Installed,
    PendingReboot,
    Absent,
}

impl MatrixBuilder {
    /// Lets what reports cannot show be told apart from what is not there.
    ///
    /// A scan reports what its baseline approves, and on Linux no other patch that is absent. Where
    /// a catalogue [offers](Self::offer) such a patch to a node, the node may lack it: a baseline
    /// that approves it makes the node `Unknown`, not compliant. To find these, it must be known
    /// which baselines the nodes were scanned under, and how versions are ordered; an order that is
    /// not known counts as newer. Without this call only what nodes report is looked at.
    #[must_use]
    pub fn with_scanned_under(mut self, scenario: Scenario, compare: CompareVersions) -> Self {
        self.scanned_under = Some((scenario, compare));
        self
    }

    /// Takes note of a patch that a catalogue offers to an operating system.
    ///
    /// What a catalogue says of a patch stands over what reports say.
    pub fn offer(&mut self, os: &OperatingSystem, patch: Patch) -> PatchRef {
        self.take(os, patch, Origin::Catalogue)
    }

    /// Takes note of a patch that a node reports; the same patch is the same reference.
    pub fn patch(&mut self, os: &OperatingSystem, patch: Patch) -> PatchRef {
        self.take(os, patch, Origin::Report)
    }

    /// Adds a node.
    ///
    /// # Errors
    /// `Conflict` for a node that is there already; `InvalidInput` for a patch of another operating
    /// system, or where the nodes of one have more than 2³² patches in all.
    pub fn node(&mut self, facts: NodeFacts) -> Result<()> {
        let NodeFacts { id, operating_system: os, patches, .. } = facts;
        let draft = self.draft(&os);
        let refused = |why: &str| Error::invalid("core", "whatif", format!("node {id} {why}"));
        if patches.iter().any(|(patch, _)| patch.draft != draft.number) {
            return Err(refused("has a patch of another operating system"));
        }
        if draft.facts.len() + patches.len() > u32::MAX as usize {
            return Err(refused("is one too many: its operating system has 2^32 patches on nodes"));
        }
        if !self.ids.insert(id.clone()) {
            let message = format!("node {id} comes twice");
            return Err(Error::new(crate::ErrorKind::Conflict, "core", "whatif", message));
        }
        let draft = self.draft(&os);
        for (patch, presence) in patches {
            let fact = match presence {
                Presence::Installed => Fact::Installed,
                Presence::InstalledPendingReboot => Fact::PendingReboot,
                Presence::Absent | Presence::InstallFailed => Fact::Absent,
                Presence::NotApplicable => Fact::NotApplicable,
            };
            draft.facts.push(patch.patch << FACT_BITS | fact as u32);
            draft.counts[fact as usize] += 1;
        }
        draft.ends.push(draft.facts.len());
        draft.products.push(facts.products);
        draft.nodes.push(MatrixNode {
            id,
            operating_system: os,
            group: facts.group,
            evidence: facts.evidence,
            reported: facts.reported,
            observed_at: facts.observed_at,
        });
        Ok(())
    }

    /// Makes the matrix.
    pub fn build(self) -> PatchMatrix {
        let mut cohorts = Vec::with_capacity(self.drafts.len());
        let mut first = 0;
        for (os, draft) in self.drafts {
            let cohort = draft.finish(os, first, self.scanned_under.as_ref());
            first += cohort.nodes.len();
            cohorts.push(cohort);
        }
        let mut matrix = PatchMatrix { cohorts, by_id: Vec::new() };
        let mut by_id: Vec<(NodeId, usize)> =
            matrix.nodes().map(|node| node.id.clone()).zip(0..).collect();
        by_id.sort_unstable();
        matrix.by_id = by_id.into_iter().map(|(_, place)| place).collect();
        matrix
    }

    fn draft(&mut self, os: &OperatingSystem) -> &mut Draft {
        let number = self.drafts.len();
        self.drafts.entry(os.clone()).or_insert_with(|| Draft { number, ..Draft::default() })
    }

    fn take(&mut self, os: &OperatingSystem, patch: Patch, origin: Origin) -> PatchRef {
        let draft = self.draft(os);
        let key = PatchKey::of(os, &patch);
        // A fact has room for 2^30 patches; more names than that do not fit in memory.
        let next = u32::try_from(draft.columns.len()).unwrap_or(u32::MAX);
        let number = *draft.by_key.entry(key.clone()).or_insert(next);
        match draft.columns.get_mut(number as usize) {
            Some((_, column)) => column.describe(patch, origin),
            None => draft.columns.push((key, Column { patch, names: Names::default(), origin })),
        }
        PatchRef { draft: draft.number, patch: number }
    }
}

impl Column {
    /// Adds what another source says of the patch.
    fn describe(&mut self, patch: Patch, origin: Origin) {
        match (self.origin, origin) {
            (Origin::Report, Origin::Catalogue) => {
                let reported = std::mem::replace(&mut self.patch, patch);
                self.origin = origin;
                // A report may know the title under which people know the patch.
                self.patch.title = self.patch.title.take().or(reported.title);
            }
            (Origin::Catalogue, Origin::Report) => {}
            _ => merge(&mut self.patch, patch),
        }
    }
}

impl Draft {
    fn finish(
        mut self,
        os: OperatingSystem,
        first: usize,
        scanned_under: Option<&(Scenario, CompareVersions)>,
    ) -> Cohort {
        let (columns, place_of) = self.sorted_columns();
        let order = self.order();
        let named = |(_, column): (PatchKey, Column)| Column {
            names: Names::of(&column.patch, os.family()).into_owned(),
            ..column
        };
        let patches: Vec<Column> = columns.into_iter().map(named).collect();
        let (rows, width) = (order.len(), patches.len());
        let plane = |fact: Fact| Plane::new(rows, width, self.counts[fact as usize]);
        let mut installed = plane(Fact::Installed);
        let mut pending_reboot = plane(Fact::PendingReboot);
        let mut absent = plane(Fact::Absent);
        let mut not_applicable = plane(Fact::NotApplicable);
        let mut facts: Vec<u32> = Vec::new();
        for row in &order {
            facts.clear();
            facts.extend(self.facts[self.bounds(*row)].iter().map(|fact| {
                place_of[(fact >> FACT_BITS) as usize] << FACT_BITS | (fact & FACT_MASK)
            }));
            // The worst of each patch comes last.
            facts.sort_unstable();
            facts.reverse();
            facts.dedup_by_key(|fact| *fact >> FACT_BITS);
            facts.reverse();
            let with = |fact: Fact| {
                let of = facts.iter().filter(move |it| **it & FACT_MASK == fact as u32);
                of.map(|it| it >> FACT_BITS)
            };
            installed.push(with(Fact::Installed));
            pending_reboot.push(with(Fact::PendingReboot));
            absent.push(with(Fact::Absent));
            not_applicable.push(with(Fact::NotApplicable));
        }
        absent.turn();
        pending_reboot.turn();
        let take = |row: usize| self.nodes[row].clone();
        let nodes: Vec<MatrixNode> = order.iter().map(|row| take(*row)).collect();
        let products: Vec<Vec<String>> =
            order.iter().map(|row| std::mem::take(&mut self.products[*row])).collect();
        let doubtful =
            |(row, node): (usize, &MatrixNode)| (node.evidence != Evidence::Whole).then_some(row);
        let mut cohort = Cohort {
            operating_system: os,
            first,
            doubtful: nodes.iter().enumerate().filter_map(doubtful).collect(),
            runs: runs(&nodes),
            unseen: Plane::empty(rows, width),
            nodes,
            patches,
            installed,
            pending_reboot,
            absent,
            not_applicable,
        };
        cohort.unseen = Offers::new(&cohort, scanned_under).unseen(&products);
        cohort
    }

    /// The columns in the order of their keys, and the place of each old number among them.
    fn sorted_columns(&mut self) -> (Vec<(PatchKey, Column)>, Vec<u32>) {
        let mut numbered: Vec<_> =
            std::mem::take(&mut self.columns).into_iter().zip(0_u32..).collect();
        numbered.sort_by(|((a, _), _), ((b, _), _)| a.cmp(b));
        let mut place_of = vec![0; numbered.len()];
        for (place, (_, number)) in (0_u32..).zip(&numbered) {
            place_of[*number as usize] = place;
        }
        (numbered.into_iter().map(|(column, _)| column).collect(), place_of)
    }

    /// The nodes by group and id.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        let key = |row: &usize| (&self.nodes[*row].group, &self.nodes[*row].id);
        order.sort_by(|a, b| key(a).cmp(&key(b)));
        order
    }

    fn bounds(&self, row: usize) -> Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[row]
    }
}

fn runs(nodes: &[MatrixNode]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (row, node) in nodes.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.group == node.group => run.rows.end = row + 1,
            _ => runs.push(Run { group: node.group.clone(), rows: row..row + 1 }),
        }
    }
    runs
}

const FACTS: usize = 4;
const FACT_BITS: u32 = 2;
const FACT_MASK: u32 = (1 << FACT_BITS) - 1;
