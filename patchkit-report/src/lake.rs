//! What the nodes of a lake run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use patchkit_core::{Error, NodeId, Result};
use patchkit_inventory::{
    InventoryKey, InventoryRecord, InventoryType, LakeNode, LakeReading, LakeReport, Listing,
    ObjectReading, ScanOptions, Visitor, scan,
};

use crate::{NodeSoftware, Package, software::given};

/// Whose software is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum NodesAsked {
    /// That of live nodes.
    #[default]
    Live,
    /// That of every node.
    All,
    /// That of these nodes. Objects of others are not opened.
    These(BTreeSet<NodeId>),
}

impl NodesAsked {
    fn takes(&self, node: &LakeNode) -> bool {
        match self {
            Self::Live => node.liveness.is_live(),
            Self::All => true,
            Self::These(ids) => ids.contains(&node.id),
        }
    }
}

/// Shows the software of each node of a lake to `each`, from several threads at once.
///
/// # Behavior
/// - The memory used does not grow with the lake: a node is shown when its list has been read.
/// - A node that is asked for and has no list is shown last, as [`Coverage::Missing`].
/// - A node of which the lake holds several lists, under several prefixes, is shown with each.
///
/// # Errors
/// What makes the listing of the lake end before its time.
///
/// [`Coverage::Missing`]: crate::Coverage::Missing
pub async fn for_each_software(
    report: &LakeReport,
    asked: NodesAsked,
    each: impl Fn(NodeSoftware) + Send + Sync + 'static,
) -> Result<LakeReading> {
    // Keys that are none were found when the report was loaded.
    let mut options = ScanOptions::default()
        .with_types([InventoryType::Application])
        .with_listing(Listing::WantedTypes);
    if let NodesAsked::These(ids) = &asked {
        let ids = ids.clone();
        options = options.with_wanted(move |key| ids.contains(key.node()));
    }
    let search = Arc::new(Search { report: report.clone(), asked, each });
    let make = || Lists { search: Arc::clone(&search), shown: BTreeSet::new() };
    let (visitors, reading) = scan(Arc::clone(report.source()), options, make).await?;
    let shown: BTreeSet<_> = visitors.into_iter().flat_map(|lists| lists.shown).collect();
    for node in report.nodes().filter(|node| search.asked.takes(node)) {
        if !shown.contains(&node.id) {
            (search.each)(describe(node));
        }
    }
    Ok(reading)
}

/// The software of some nodes of a lake, in the order of their ids.
///
/// # Errors
/// `NotFound` for a node that the lake does not hold; what makes the listing end before its time.
pub async fn read_software(
    report: &LakeReport,
    ids: impl IntoIterator<Item = NodeId>,
) -> Result<(Vec<NodeSoftware>, LakeReading)> {
    let ids: BTreeSet<_> = ids.into_iter().collect();
    if let Some(id) = ids.iter().find(|id| report.node(id).is_none()) {
        return Err(Error::not_found("lake", "software", format!("node {id}")));
    }
    let read = Arc::new(Mutex::new(BTreeMap::<NodeId, NodeSoftware>::new()));
    let shared = Arc::clone(&read);
    let take = move |software: NodeSoftware| {
        let mut read = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = match read.remove(&software.node) {
            None => software,
            Some(other) => other.merged(software),
        };
        read.insert(merged.node.clone(), merged);
    };
    let reading = for_each_software(report, NodesAsked::These(ids), take).await?;
    let read = std::mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((read.into_values().collect(), reading))
}

impl NodeSoftware {
    /// Both lists of one node as one.
    fn merged(self, other: Self) -> Self {
        let (captured_at, lost) = (self.captured_at.max(other.captured_at), other.coverage.lost());
        Self { captured_at, ..self.with_packages(other.packages).with_lost(lost) }
    }
}

struct Search<F> {
    report: LakeReport,
    asked: NodesAsked,
    each: F,
}

struct Lists<F> {
    search: Arc<Search<F>>,
    shown: BTreeSet<NodeId>,
}

/// A list that is being read.
struct List {
    node: NodeId,
    packages: Vec<Package>,
    captured_at: Option<Timestamp>,
}

impl<F: Fn(NodeSoftware) + Send + Sync + 'static> Visitor for Lists<F> {
    type Object = Option<List>;

    fn begin(&mut self, key: &InventoryKey) -> Option<List> {
        let node = self.search.report.node(key.node())?;
        let list = || List { node: node.id.clone(), packages: Vec::new(), captured_at: None };
        self.search.asked.takes(node).then(list)
    }

    fn row(&mut self, list: &mut Option<List>, _line: u64, row: &InventoryRecord<'_>) {
        if let Some(list) = list {
            list.captured_at = list.captured_at.max(row.time("captureTime"));
            list.packages.extend(package(row));
        }
    }

    fn end(&mut self, list: Option<List>, reading: &ObjectReading) {
        let Some(list) = list else { return };
        let Some(node) = self.search.report.node(&list.node) else { return };
        // A row without a name lists something, and does not say what.
        let nameless = reading.reading.rows.saturating_sub(list.packages.len() as u64);
        let lost = reading.skipped.total() + nameless;
        let mut software = describe(node).with_packages(list.packages).with_lost(lost);
        software.captured_at = list.captured_at;
        self.shown.insert(list.node);
        (self.search.each)(software);
    }
}

/// A node without its list.
fn describe(node: &LakeNode) -> NodeSoftware {
    let mut software = NodeSoftware::new(node.id.clone());
    software.name = node.name().map(Into::into);
    software.operating_system.clone_from(&node.operating_system);
    software.platform_name.clone_from(&node.info.platform_name);
    software.platform_version.clone_from(&node.info.platform_version);
    software.agent_version.clone_from(&node.info.agent_version);
    software
}

fn package(row: &InventoryRecord<'_>) -> Option<Package> {
    let text = |name| row.text(name).and_then(given);
    Some(Package {
        name: text("Name")?,
        version: text("Version"),
        release: text("Release"),
        epoch: text("Epoch"),
        architecture: text("Architecture"),
        publisher: text("Publisher"),
        package_id: text("PackageId"),
        url: text("URL"),
        summary: text("Summary"),
        installed_at: row.time("InstalledTime").filter(|at| at.as_second() > 0),
    })
}
