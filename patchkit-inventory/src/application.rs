//! The applications of a fleet, filtered while they are read.

use std::sync::Arc;

use patchkit_core::{OperatingSystem, PackageFamily, Result};

use crate::{
    InventoryKey, InventoryRecord, InventoryType, LakeNode, LakeReading, LakeReport, NamePrefix,
    Visitor, scan,
};

/// Which applications to show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ApplicationQuery {
    /// What the names begin with, without regard to ASCII case; empty for all.
    pub name_prefix: String,
    /// Of which nodes.
    pub nodes: NodesWanted,
}

/// Which nodes' applications are shown.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NodesWanted {
    /// Those of live nodes.
    #[default]
    Live,
    /// Those of every node, stopped, terminated or not known.
    All,
}

impl ApplicationQuery {
    /// Applications whose names begin with this, without regard to ASCII case.
    #[must_use]
    pub fn with_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = prefix.into();
        self
    }

    /// Applications of these nodes.
    #[must_use]
    pub fn with_nodes(mut self, nodes: NodesWanted) -> Self {
        self.nodes = nodes;
        self
    }
}

/// One application on one node, borrowed from the row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ApplicationRow<'a> {
    /// The node, joined with all that the report knows of it.
    pub node: &'a LakeNode,
    /// The name of the package or program.
    pub name: &'a str,
    /// Its version; of a Debian package whole, with epoch and revision.
    pub version: Option<&'a str>,
    /// RPM's release.
    pub release: Option<&'a str>,
    /// RPM's epoch.
    pub epoch: Option<&'a str>,
    /// Its architecture.
    pub architecture: Option<&'a str>,
    /// What the agent calls the kind of application.
    pub application_type: Option<&'a str>,
    /// Who made it.
    pub publisher: Option<&'a str>,
}

impl ApplicationRow<'_> {
    /// By whose rules its version is compared, as far as the node's operating system tells.
    pub fn family(&self) -> PackageFamily {
        self.node.operating_system.as_ref().map_or(PackageFamily::Other, OperatingSystem::family)
    }
}

impl LakeReport {
    /// Shows every application that the query takes to `each`, from several threads at once.
    ///
    /// # Behavior
    /// - Rows are joined with the node's liveness before they are shown.
    /// - A row whose bytes cannot hold such a name is not parsed: it is counted as passed over, and
    ///   is still listed as lost when it does not begin and end as a row.
    ///
    /// # Errors
    /// What makes the listing of the lake end before its time.
    pub async fn for_each_application(
        &self,
        query: &ApplicationQuery,
        each: impl Fn(&ApplicationRow<'_>) + Send + Sync + 'static,
    ) -> Result<LakeReading> {
        let options = self.options().scan_options().with_types([InventoryType::Application]);
        let search = Arc::new(Search {
            report: self.clone(),
            nodes: query.nodes,
            filter: NamePrefix::new(&query.name_prefix),
            each,
        });
        let make = || Applications(Arc::clone(&search));
        let (_, reading) = scan(Arc::clone(self.source()), options, make).await?;
        Ok(reading)
    }
}

struct Search<F> {
    report: LakeReport,
    nodes: NodesWanted,
    filter: NamePrefix,
    each: F,
}

struct Applications<F>(Arc<Search<F>>);

impl<F: Fn(&ApplicationRow<'_>) + Send + Sync + 'static> Visitor for Applications<F> {
    /// The key, and whether the node's rows are wanted.
    type Object = (InventoryKey, NodeRows);

    fn begin(&mut self, key: &InventoryKey) -> Self::Object {
        let node = self.0.report.node(key.node());
        let is_wanted =
            node.is_some_and(|node| self.0.nodes == NodesWanted::All || node.liveness.is_live());
        (key.clone(), if is_wanted { NodeRows::Wanted } else { NodeRows::NotWanted })
    }

    fn next_candidate(&self, (_, rows): &Self::Object, lines: &[u8]) -> Option<usize> {
        match rows {
            NodeRows::Wanted => self.0.filter.next_candidate(lines),
            NodeRows::NotWanted => None,
        }
    }

    fn row(&mut self, (key, rows): &mut Self::Object, _line: u64, row: &InventoryRecord<'_>) {
        // A line that is not wanted is parsed all the same where it looks damaged.
        let (Some(node), Some(name)) = (self.0.report.node(key.node()), row.text("Name")) else {
            return;
        };
        if matches!(rows, NodeRows::NotWanted) || !self.0.filter.matches(name) {
            return;
        }
        (self.0.each)(&ApplicationRow {
            node,
            name,
            version: row.text("Version"),
            release: row.text("Release"),
            epoch: row.text("Epoch"),
            architecture: row.text("Architecture"),
            application_type: row.text("ApplicationType"),
            publisher: row.text("Publisher"),
        });
    }
}

#[derive(Clone, Copy)]
enum NodeRows {
    Wanted,
    NotWanted,
}
