//! The compliance of a fleet, read off a lake.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    Classification, ComplianceLevel, ComplianceReport, Error, ErrorKind, NodeCompliance, NodeId,
    NodeSelector, PatchCompliance, PatchId, PatchState, PowerState, Result,
};

use crate::{
    InventoryKey, InventoryRecord, InventoryType, LakeNode, LakeReading, ObjectReading,
    ObjectSource, RowSink, ScanOptions, Visitor,
    finding::shown,
    read_object, scan,
    scan::on_thread,
    tally::{NodeTally, PatchFacts, item_status},
};

/// How a [`LakeReport`] is loaded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Whether the patches of every node are read too.
    pub patches: PatchDetails,
    /// What is read besides, only for its findings.
    pub checked: Checked,
    /// How many threads parse; as many as the machine has cores where none is given.
    pub workers: Option<NonZeroUsize>,
    /// How many objects are open at once; as many as suit the source where none is given.
    pub in_flight: Option<NonZeroUsize>,
}

/// Whether the patches of every node are read at loading.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PatchDetails {
    /// They are read node by node when [`ComplianceReport::patches`] asks.
    #[default]
    OnDemand,
    /// They are read once; needed for the patches that most nodes lack.
    Loaded,
}

/// Which types are read besides those that a report needs, so that what is wrong with them is listed
/// too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Checked {
    /// None.
    #[default]
    Needed,
    /// These.
    Types(Vec<InventoryType>),
    /// Every type in the lake.
    All,
}

impl LoadOptions {
    /// Says whether patches are read at loading.
    #[must_use]
    pub fn with_patches(mut self, patches: PatchDetails) -> Self {
        self.patches = patches;
        self
    }

    /// Says what is read besides, only for its findings.
    #[must_use]
    pub fn with_checked(mut self, checked: Checked) -> Self {
        self.checked = checked;
        self
    }

    /// Parses on so many threads.
    #[must_use]
    pub fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Keeps so many objects open at once.
    #[must_use]
    pub fn with_in_flight(mut self, objects: NonZeroUsize) -> Self {
        self.in_flight = Some(objects);
        self
    }

    pub(crate) fn scan_options(&self) -> ScanOptions {
        let mut options = ScanOptions::default();
        (options.workers, options.in_flight) = (self.workers, self.in_flight);
        options
    }

    /// The types that a report reads; `None` for all.
    fn types(&self) -> Option<BTreeSet<InventoryType>> {
        let mut types = BTreeSet::from([
            InventoryType::InstanceInformation,
            InventoryType::ComplianceSummary,
            InventoryType::PatchSummary,
            InventoryType::Tag,
        ]);
        if self.patches == PatchDetails::Loaded {
            types.insert(InventoryType::ComplianceItem);
        }
        match &self.checked {
            Checked::Needed => {}
            Checked::Types(others) => types.extend(others.iter().cloned()),
            Checked::All => return None,
        }
        Some(types)
    }
}

/// The nodes of a lake with what is known of their compliance.
///
/// # Behavior
/// - Every node of which the lake holds any object is in it once. One node in two Regions is two.
/// - Live nodes are those whose `AWS:InstanceInformation` says `Active` or `ConnectionLost`. Stopped
///   and terminated ones are counted apart and are never compliant or not; a node without readable
///   `AWS:InstanceInformation` is `Unknown`, whatever its other data says.
/// - The verdict is that of `AWS:ComplianceSummary` or of `AWS:PatchSummary`, whichever is newer; see
///   [`LakeNode::disagreement`]. Without both it is that of the items, where they are loaded.
///   Association and custom compliance are in [`NodeCompliance::others`].
/// - As [`ComplianceReport`] it lists live nodes and those of which it is not known, and of the
///   others those that the selector names by id or by power; these are `Unknown`.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use patchkit_inventory::{Dimension, LakeReport, LoadOptions, LocalSource};
///
/// # let lake = tempfile::tempdir()?;
/// # for (ty, row) in [
/// #     ("AWS:InstanceInformation", r#"{"InstanceStatus":"Active"}"#),
/// #     ("AWS:ComplianceSummary", r#"{"ComplianceType":"Patch","Status":"COMPLIANT"}"#),
/// # ] {
/// #     let folder = lake.path().join(ty).join("accountid=111122223333/region=eu-west-1");
/// #     std::fs::create_dir_all(&folder)?;
/// #     std::fs::write(folder.join("i-0a.json"), row)?;
/// # }
/// # let path = lake.path();
/// let source = Arc::new(LocalSource::open(path)?);
/// let load = LakeReport::load(source, LoadOptions::default());
/// let report = futures::executor::block_on(load)?;
/// assert_eq!(report.totals().compliant, 1);
/// assert_eq!(report.groups(&[Dimension::Account])[0].values[0].as_deref(), Some("111122223333"));
/// assert!(report.reading().skipped.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LakeReport(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    source: Arc<dyn ObjectSource>,
    options: LoadOptions,
    nodes: BTreeMap<NodeId, LakeNode>,
    reading: LakeReading,
}

impl LakeReport {
    /// Reads the lake of `source`.
    ///
    /// # Errors
    /// What makes the listing of the lake end before its time. An object that cannot be read is no
    /// error: it is listed in [`reading`](Self::reading).
    ///
    /// # Cancellation
    /// Dropping the future stops the reading.
    pub async fn load(source: Arc<dyn ObjectSource>, options: LoadOptions) -> Result<Self> {
        let mut scan_options = options.scan_options();
        scan_options.types = options.types();
        let patches = options.patches;
        let make = || Fold { patches, ..Fold::default() };
        let (folds, reading) = scan(Arc::clone(&source), scan_options, make).await?;
        let mut tallies: BTreeMap<NodeId, NodeTally> = BTreeMap::new();
        for fold in folds {
            for (id, tally) in fold.nodes {
                tallies.entry(id).or_default().merge(tally);
            }
        }
        let nodes = tallies.into_iter().map(|(id, tally)| (id.clone(), tally.finish(id))).collect();
        Ok(Self(Arc::new(Loaded { source, options, nodes, reading })))
    }

    /// Every node of the lake, live or not, by account, Region and id.
    pub fn nodes(&self) -> impl Iterator<Item = &LakeNode> {
        self.0.nodes.values()
    }

    /// One node.
    pub fn node(&self, id: &NodeId) -> Option<&LakeNode> {
        self.0.nodes.get(id)
    }

    /// The nodes whose two summaries contradict each other.
    pub fn disagreements(&self) -> impl Iterator<Item = &LakeNode> {
        self.nodes().filter(|node| node.disagreement.is_some())
    }

    /// What was read, what was lost of it, and what was read in spite of dirt.
    pub fn reading(&self) -> &LakeReading {
        &self.0.reading
    }

    /// Whether the patches of every node were read at loading.
    pub fn has_patch_details(&self) -> bool {
        self.0.options.patches == PatchDetails::Loaded
    }

    /// Where the lake is.
    pub fn source(&self) -> &Arc<dyn ObjectSource> {
        &self.0.source
    }

    pub(crate) fn options(&self) -> &LoadOptions {
        &self.0.options
    }

    fn find(&self, operation: &'static str, id: &NodeId) -> Result<&LakeNode> {
        self.node(id).ok_or_else(|| Error::not_found("lake", operation, format!("node {id}")))
    }
}

/// Whether a listing takes a node: what is gone or off is listed only when it is asked for.
fn takes(selector: &NodeSelector, node: &LakeNode) -> bool {
    use crate::Liveness::{Stopped, Terminated};
    let asked = |power| {
        selector.ids.as_ref().is_some_and(|ids| ids.contains(&node.id))
            || selector.power.as_ref().is_some_and(|states| states.contains(&power))
    };
    let is_listed = match node.liveness {
        Stopped => asked(PowerState::Stopped),
        Terminated => asked(PowerState::Terminated),
        _ => true,
    };
    is_listed && (selector.is_all() || selector.matches(&node.to_managed_node()))
}

#[async_trait]
impl ComplianceReport for LakeReport {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        // The sync writes no membership of resource groups with the nodes.
        if selector.resource_groups.is_some() {
            return stream::once(async { Err(Error::unsupported("lake", "summaries")) }).boxed();
        }
        let ids: Vec<_> =
            self.nodes().filter(|node| takes(selector, node)).map(|node| node.id.clone()).collect();
        let report = self.clone();
        stream::iter(ids)
            .map(move |id| report.find("summaries", &id).map(LakeNode::compliance))
            .boxed()
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        self.find("summary", node).map(LakeNode::compliance)
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        let (report, id) = (self.clone(), node.clone());
        stream::once(async move {
            match report.read_patches(id).await {
                Ok(patches) => patches,
                Err(error) => vec![Err(error)],
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }
}

impl LakeReport {
    /// The patches of one node, and an error for each line that was lost of them.
    async fn read_patches(&self, id: NodeId) -> Result<Vec<Result<PatchCompliance>>> {
        let paths = self.find("patches", &id)?.item_paths.clone();
        let source = Arc::clone(self.source());
        on_thread("lake-patches", async move {
            let mut sink = PatchSink { id, patches: Vec::new() };
            for path in paths {
                let key: InventoryKey = path.parse().map_err(|_| {
                    Error::not_found("lake", "patches", format!("an inventory key {path:?}"))
                })?;
                let reading = read_object(&*source, &path, &key, &mut sink).await?;
                for lost in reading.skipped.entries() {
                    let line = lost.line.map_or(String::new(), |line| format!(" line {line}"));
                    sink.fail(format!("{path}{line}: {}", lost.reason));
                }
            }
            Ok(sink.patches)
        })
        .await?
    }
}

struct PatchSink {
    id: NodeId,
    patches: Vec<Result<PatchCompliance>>,
}

impl PatchSink {
    fn fail(&mut self, message: String) {
        let error = Error::new(ErrorKind::Malformed, "lake", "patches", message);
        self.patches.push(Err(error.with_node(self.id.clone())));
    }
}

pub(crate) fn is_patch(row: &InventoryRecord<'_>) -> bool {
    row.text("ComplianceType").is_some_and(|kind| kind.eq_ignore_ascii_case("Patch"))
}

pub(crate) fn patch_state(row: &InventoryRecord<'_>) -> PatchState {
    let Ok(state) = row.text("PatchState").unwrap_or_default().parse();
    state
}

/// The id of a row's patch; one that core would refuse is taken as it may be shown.
pub(crate) fn patch_id(row: &InventoryRecord<'_>) -> Option<PatchId> {
    let text = row.text("Id").or_else(|| row.text("Title"))?;
    PatchId::new(text).or_else(|_| PatchId::new(shown(text))).ok()
}

pub(crate) fn parsed<T: std::str::FromStr>(row: &InventoryRecord<'_>, name: &str) -> Option<T> {
    row.text(name).and_then(|text| text.parse().ok())
}

impl RowSink for PatchSink {
    fn row(&mut self, line: u64, row: &InventoryRecord<'_>) {
        if !is_patch(row) {
            return;
        }
        let Some(id) = patch_id(row) else {
            return self.fail(format!("line {line} names no patch"));
        };
        let state = patch_state(row);
        let status = item_status(row, &state);
        let mut patch = PatchCompliance::new(id, state, status);
        patch.title = row.text("Title").map(str::to_owned);
        patch.level = row.text("Severity").and_then(ComplianceLevel::from_wire).unwrap_or_default();
        patch.classification = parsed::<Classification>(row, "Classification");
        patch.severity = parsed(row, "PatchSeverity");
        // AWS user guide: a missing patch carries 1970-01-01.
        patch.installed_at = row.time("InstalledTime").filter(|at| at.as_second() > 0);
        let cves = row.text("CVEIds").unwrap_or_default();
        patch.cves = cves
            .split(',')
            .map(str::trim)
            .filter(|cve| !cve.is_empty())
            .map(str::to_owned)
            .collect();
        self.patches.push(Ok(patch));
    }
}

/// Adds up the rows that one worker reads.
#[derive(Default)]
struct Fold {
    patches: PatchDetails,
    nodes: HashMap<NodeId, NodeTally>,
    /// Patches that nodes lack, shared between the nodes.
    facts: HashMap<(PatchId, Box<str>), Arc<PatchFacts>>,
}

impl Visitor for Fold {
    type Object = (InventoryType, NodeId, NodeTally);

    fn listed(&mut self, path: &Arc<str>, key: &InventoryKey) {
        let tally = self.nodes.entry(key.node().clone()).or_default();
        if *key.inventory_type() == InventoryType::ComplianceItem {
            tally.take_item_path(path);
        }
    }

    fn begin(&mut self, key: &InventoryKey) -> Self::Object {
        (key.inventory_type().clone(), key.node().clone(), NodeTally::default())
    }

    fn row(&mut self, object: &mut Self::Object, _line: u64, row: &InventoryRecord<'_>) {
        let (ty, _, tally) = object;
        match ty {
            InventoryType::InstanceInformation => tally.take_info(row),
            InventoryType::ComplianceSummary => tally.take_compliance_summary(row),
            InventoryType::PatchSummary => tally.take_patch_summary(row),
            InventoryType::Tag => tally.take_tag(row),
            InventoryType::ComplianceItem
                if self.patches == PatchDetails::Loaded && is_patch(row) =>
            {
                let state = patch_state(row);
                tally.items().take(row, &state);
                if matches!(state, PatchState::Missing | PatchState::Failed)
                    && let Some(id) = patch_id(row)
                {
                    let facts = self.facts(id, row);
                    tally.items().gaps.push((facts, state));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, (ty, id, mut tally): Self::Object, reading: &ObjectReading) {
        if ty == InventoryType::ComplianceItem && !reading.skipped.is_empty() {
            tally.items().partial = true;
        }
        self.nodes.entry(id).or_default().merge(tally);
    }
}

impl Fold {
    fn facts(&mut self, id: PatchId, row: &InventoryRecord<'_>) -> Arc<PatchFacts> {
        let title = row.text("Title").unwrap_or_default();
        let facts = self.facts.entry((id, title.into())).or_insert_with_key(|(id, title)| {
            Arc::new(PatchFacts {
                id: id.clone(),
                title: Some(title.clone()).filter(|title| !title.is_empty()),
                level: row
                    .text("Severity")
                    .and_then(ComplianceLevel::from_wire)
                    .unwrap_or_default(),
                classification: parsed(row, "Classification"),
            })
        });
        Arc::clone(facts)
    }
}

#[cfg(test)]
mod tests;
