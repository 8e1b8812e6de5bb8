//! A lake's patches, node by node, for what-if questions.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use patchkit_core::{
    ComplianceStatus, Error, ErrorKind, GroupTag, NodeId, OperatingSystem, Patch, PatchSource,
    Presence, Result, group_tag,
    whatif::{Evidence, MatrixBuilder, NodeFacts, PatchMatrix, presence_of},
};

use crate::{
    InventoryKey, InventoryRecord, InventoryType, LakeNode, LakeReading, LakeReport, Liveness,
    NotLive, ObjectReading, VersionScheme, Visitor,
    report::{is_patch, parsed, patch_id, patch_state},
};

/// The matrix of a lake, and what is not in it.
#[derive(Debug)]
#[non_exhaustive]
pub struct LakeMatrix {
    /// The live nodes and those of which it is not known.
    pub matrix: PatchMatrix,
    /// How many nodes are left out because they are stopped or terminated.
    pub not_live: NotLive,
    /// Rows that say nothing of use, an error for each node that has some. The node is in the matrix
    /// with the rest of its rows, and is never compliant.
    pub problems: Vec<Error>,
    /// What was read of the patches, and what was lost.
    pub reading: LakeReading,
}

impl LakeReport {
    /// Reads the patches of every node, for [what-if questions](patchkit_core::whatif).
    ///
    /// `builder` may have been told of a catalogue before: without one a patch has no release date, and
    /// delays have no say in it.
    ///
    /// # Behavior
    /// - Stopped and terminated nodes are counted and left out. A node that is not known to be live is
    ///   in the matrix without evidence.
    /// - Where lines of a node's items were lost, or hold a state that is not known, or are fewer than
    ///   its summary counts, the rest is known in part.
    /// - A node's patch group is the one that it was scanned in.
    ///
    /// # Errors
    /// What makes the listing of the lake end before its time.
    ///
    /// # Cancellation
    /// Dropping the future stops the reading.
    pub async fn matrix(&self, mut builder: MatrixBuilder) -> Result<LakeMatrix> {
        let options = self.options().scan_options().with_types([InventoryType::ComplianceItem]);
        let report = self.clone();
        let make = || Items::new(&report);
        let (workers, reading) = self.origin().scan(options, make).await?;
        let mut items: BTreeMap<NodeId, Vec<(usize, NodeItems)>> = BTreeMap::new();
        let mut patches = Vec::with_capacity(workers.len());
        for (number, worker) in workers.into_iter().enumerate() {
            let refs: Vec<_> =
                worker.patches.into_iter().map(|(os, patch)| builder.patch(&os, patch)).collect();
            patches.push(refs);
            for (id, of_node) in worker.nodes {
                items.entry(id).or_default().push((number, of_node));
            }
        }
        let (mut not_live, mut problems) = (NotLive::default(), Vec::new());
        for node in self.nodes() {
            match node.liveness {
                Liveness::Stopped => not_live.stopped += 1,
                Liveness::Terminated => not_live.terminated += 1,
                _ => {
                    let items = items.remove(&node.id).unwrap_or_default();
                    problems.extend(problem(node, &items));
                    let mut facts = facts(node, &items);
                    for (worker, items) in &items {
                        let known = items.patches.iter();
                        let known = known.map(|(at, it)| (patches[*worker][*at as usize], *it));
                        facts.patches.extend(known);
                    }
                    builder.node(facts)?;
                }
            }
        }
        Ok(LakeMatrix { matrix: builder.build(), not_live, problems, reading })
    }
}

/// Orders two versions of a package by the rules of its operating system; `None` where one of them has
/// no number in it.
pub fn compare_versions(os: &OperatingSystem, a: &str, b: &str) -> Option<Ordering> {
    let numbered = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let scheme = VersionScheme::for_os(os);
    (numbered(a) && numbered(b)).then(|| scheme.compare(&scheme.parse(a), &scheme.parse(b)))
}

/// The patch rows of one worker.
struct Items {
    report: LakeReport,
    nodes: BTreeMap<NodeId, NodeItems>,
    patches: Vec<(OperatingSystem, Patch)>,
    /// The places of the patches, by system, id and title.
    places: HashMap<Box<str>, u32>,
    name: String,
}

/// The patch rows of one node.
#[derive(Default)]
struct NodeItems {
    patches: Vec<(u32, Presence)>,
    /// Rows that name no patch or a state that is not known, and the first of them.
    odd: u64,
    first_odd: Option<String>,
    lines: Lines,
    wrong: u32,
}

/// Whether all of a node's lines could be read.
#[derive(Clone, Copy, Default, PartialEq)]
enum Lines {
    #[default]
    All,
    Some,
}

impl Items {
    fn new(report: &LakeReport) -> Self {
        Self {
            report: report.clone(),
            nodes: BTreeMap::new(),
            patches: Vec::new(),
            places: HashMap::new(),
            name: String::new(),
        }
    }

    fn place(&mut self, os: &OperatingSystem, row: &InventoryRecord<'_>) -> Option<u32> {
        let (id, title) = (row.text("Id"), row.text("Title"));
        self.name.clear();
        for part in [os.as_str(), id.unwrap_or_default(), title.unwrap_or_default()] {
            self.name.push_str(part);
            self.name.push('\0');
        }
        if let Some(place) = self.places.get(self.name.as_str()) {
            let patch = &mut self.patches.get_mut(*place as usize)?.1;
            // A row of `InstalledOther` leaves these out (user guide, size limit of inventory).
            if patch.classification.is_none() {
                describe(patch, row);
            }
            return Some(*place);
        }
        let mut patch = Patch::new(patch_id(row)?);
        patch.title = title.map(str::to_owned);
        describe(&mut patch, row);
        let place = u32::try_from(self.patches.len()).ok()?;
        self.places.insert(self.name.as_str().into(), place);
        self.patches.push((os.clone(), patch));
        Some(place)
    }
}

fn describe(patch: &mut Patch, row: &InventoryRecord<'_>) {
    patch.classification = parsed(row, "Classification");
    patch.severity = parsed(row, "PatchSeverity");
    let cves = row.text("CVEIds").unwrap_or_default();
    let cves = cves.split(',').map(str::trim).filter(|cve| !cve.is_empty());
    patch.cves = cves.map(str::to_owned).collect();
    // Nothing else says what source it comes from.
    if patch.classification.as_ref().is_some_and(|kind| !kind.is_security()) {
        patch.source = PatchSource::Other;
    }
}

impl Visitor for Items {
    /// The node and its operating system, where its rows are wanted.
    type Object = (NodeId, OperatingSystem, NodeItems);

    fn begin(&mut self, key: &InventoryKey) -> Self::Object {
        let node = self.report.node(key.node());
        (key.node().clone(), node.map_or_else(unknown_system, system), NodeItems::default())
    }

    fn row(&mut self, (_, os, items): &mut Self::Object, line: u64, row: &InventoryRecord<'_>) {
        if !is_patch(row) {
            return;
        }
        let state = patch_state(row);
        let Some(presence) = presence_of(&state) else {
            let state = state.as_str();
            return items.take_odd(|| format!("line {line} has a patch in state {state:?}"));
        };
        let Some(place) = self.place(os, row) else {
            return items.take_odd(|| format!("line {line} names no patch"));
        };
        let wrong = state.compliance(ComplianceStatus::Compliant) == ComplianceStatus::NonCompliant;
        items.wrong += u32::from(wrong);
        items.patches.push((place, presence));
    }

    fn end(&mut self, (id, _, mut items): Self::Object, reading: &ObjectReading) {
        if !reading.skipped.is_empty() {
            items.lines = Lines::Some;
        }
        let known = self.nodes.entry(id).or_default();
        known.patches.append(&mut items.patches);
        known.odd += items.odd;
        known.first_odd = known.first_odd.take().or(items.first_odd);
        known.wrong += items.wrong;
        if items.lines == Lines::Some {
            known.lines = Lines::Some;
        }
    }
}

impl NodeItems {
    fn take_odd(&mut self, why: impl FnOnce() -> String) {
        self.odd += 1;
        self.first_odd.get_or_insert_with(why);
    }
}

fn system(node: &LakeNode) -> OperatingSystem {
    node.operating_system.clone().unwrap_or_else(unknown_system)
}

fn unknown_system() -> OperatingSystem {
    OperatingSystem::Other("unknown".into())
}

fn problem(node: &LakeNode, items: &[(usize, NodeItems)]) -> Option<Error> {
    let odd: u64 = items.iter().map(|(_, items)| items.odd).sum();
    let first = items.iter().find_map(|(_, items)| items.first_odd.as_ref())?;
    let message = format!("{odd} rows say nothing of use; the first: {first}");
    let error = Error::new(ErrorKind::Malformed, "lake", "matrix", message);
    Some(error.with_node(node.id.clone()))
}

/// All of a node but its patches.
fn facts(node: &LakeNode, items: &[(usize, NodeItems)]) -> NodeFacts {
    let mut facts = NodeFacts::new(node.id.clone(), system(node));
    facts = facts.with_report(node.status(), node.last.observed_at);
    facts.group = node.patch_group();
    facts.products.extend(node.info.platform_name.as_deref().and_then(windows_product));
    let counts = node.last.counts;
    let rows: usize = items.iter().map(|(_, items)| items.patches.len()).sum();
    let wrong: u32 = items.iter().map(|(_, items)| items.wrong).sum();
    let ambiguous = matches!(group_tag(&node.tags), GroupTag::Ambiguous(_));
    let odd = |(_, items): &(usize, NodeItems)| items.odd > 0 || items.lines == Lines::Some;
    let counted = counts.installed + counts.installed_other + counts.non_compliant();
    facts.evidence = if !node.liveness.is_live() || node.last.observed_at.is_none() {
        Evidence::Nothing
    } else if node.last.group.is_none() && ambiguous {
        Evidence::AmbiguousGroup
    } else if items.is_empty() && counted > 0 {
        // Its summary tells of patches that are nowhere.
        Evidence::Nothing
    } else if items.iter().any(odd) || wrong < counts.non_compliant() {
        Evidence::Part
    } else if rows == 0 && node.last.status == ComplianceStatus::Unknown {
        Evidence::Nothing
    } else {
        Evidence::Whole
    };
    facts
}

/// The product of a Windows server as catalogues name it: `WindowsServer2022` for
/// `Microsoft Windows Server 2022 Datacenter`.
fn windows_product(platform: &str) -> Option<String> {
    let (_, behind) = platform.split_once("Windows Server ")?;
    let mut words = behind.split_whitespace();
    let year = words.next().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
    let second = if words.next() == Some("R2") { "R2" } else { "" };
    Some(format!("WindowsServer{year}{second}"))
}

#[cfg(test)]
mod tests;
