//! What is true of a sample lake, known from its making and not from reading it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patchkit_core::{ComplianceStatus, PatchCounts};
use serde::{Deserialize, Serialize};

use super::Dirt;

/// The truth about a sample lake before dirt, and the dirt.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnswerKey {
    /// The seed it was made from.
    pub seed: u64,
    /// The time at which the lake is as it is.
    pub taken_at: Timestamp,
    /// Every node, in the order of making.
    pub nodes: Vec<NodeTruth>,
    /// The nodes counted per account and Region, in that order.
    pub groups: Vec<GroupAnswer>,
    /// The question for old OpenSSL.
    pub openssl: PackageAnswer,
    /// Objects and rows per inventory type, before dirt.
    pub types: BTreeMap<String, TypeAnswer>,
    /// Keys that hold no data and are no dirt: the sync's write test, and empty objects.
    pub not_data: Vec<String>,
    /// What was spoiled, in the order of writing.
    pub dirt: Vec<DirtAnswer>,
}

/// One node as it is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeTruth {
    /// Its id: `i-…`, or `mi-…` for a hybrid node.
    pub id: String,
    /// Its account.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// Its operating system, as the agent names it.
    pub platform_name: String,
    /// The operating system's version.
    pub platform_version: String,
    /// Whether it runs.
    pub instance_status: InstanceStatus,
    /// The verdict on its patches, live or not; `Unknown` where the lake has none.
    pub status: ComplianceStatus,
    /// Its patches by state.
    pub counts: PatchCounts,
    /// Its patch group.
    pub patch_group: Option<String>,
    /// The baseline it was held against, where it was.
    pub baseline: Option<String>,
    /// When its data was taken.
    pub captured_at: Timestamp,
    /// Its packages named `openssl*` below 3.0.7.
    pub old_openssl: u64,
}

/// `InstanceStatus` of `AWS:InstanceInformation`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstanceStatus {
    /// Running, with an agent that answers.
    Active,
    /// The agent does not answer; the node is live all the same.
    ConnectionLost,
    /// Stopped in EC2.
    Stopped,
    /// Gone; the sync leaves its objects.
    Terminated,
}

/// The nodes of one account and Region.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupAnswer {
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// Live nodes that are compliant.
    pub compliant: u64,
    /// Live nodes that are not.
    pub non_compliant: u64,
    /// Live nodes without a verdict on their patches.
    pub unknown: u64,
    /// The others.
    pub not_live: NotLive,
}

/// Nodes that are counted apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NotLive {
    /// Stopped ones.
    pub stopped: u64,
    /// Terminated ones.
    pub terminated: u64,
}

/// Which nodes have a package below a version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PackageAnswer {
    /// The packages' names, whatever their case.
    pub pattern: String,
    /// The version, compared without epoch and release.
    pub below: String,
    /// The ids of the live nodes, sorted.
    pub nodes: Vec<String>,
    /// The packages on them.
    pub rows: u64,
}

/// How much there is of one inventory type.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TypeAnswer {
    /// Objects with data.
    pub objects: u64,
    /// Rows in them.
    pub rows: u64,
}

/// One spoiled object.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DirtAnswer {
    /// The object's key, as it was written.
    pub key: String,
    /// The line, from 1; `None` where the object as a whole is meant.
    pub line: Option<u64>,
    /// What was done.
    pub kind: Dirt,
    /// Whether rows cannot be read any more.
    pub data_lost: bool,
    /// The node it is about.
    pub node: String,
    /// The inventory type it is about: `AWS:Application`.
    pub data_type: String,
}

impl InstanceStatus {
    /// Every status.
    pub const ALL: [Self; 4] =
        [Self::Active, Self::ConnectionLost, Self::Stopped, Self::Terminated];

    /// Whether the node counts as compliant or not.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::ConnectionLost)
    }

    /// The service's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::ConnectionLost => "ConnectionLost",
            Self::Stopped => "Stopped",
            Self::Terminated => "Terminated",
        }
    }
}

impl AnswerKey {
    pub(super) fn new(seed: u64, taken_at: Timestamp) -> Self {
        Self {
            seed,
            taken_at,
            nodes: Vec::new(),
            groups: Vec::new(),
            openssl: PackageAnswer {
                pattern: "openssl*".into(),
                below: "3.0.7".into(),
                nodes: Vec::new(),
                rows: 0,
            },
            types: BTreeMap::new(),
            not_data: Vec::new(),
            dirt: Vec::new(),
        }
    }

    /// Draws the sums once all nodes are known.
    pub(super) fn finish(&mut self) {
        self.groups = self.counts_of(|_| true);
        let old = |node: &&NodeTruth| node.instance_status.is_live() && node.old_openssl > 0;
        self.openssl.nodes = self.nodes.iter().filter(old).map(|node| node.id.clone()).collect();
        self.openssl.nodes.sort();
        self.openssl.rows = self.nodes.iter().filter(old).map(|node| node.old_openssl).sum();
    }

    /// Counts the nodes that `takes` holds for, per account and Region.
    pub fn counts_of(&self, takes: impl Fn(&NodeTruth) -> bool) -> Vec<GroupAnswer> {
        let mut groups: BTreeMap<_, GroupAnswer> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| takes(node)) {
            let group =
                groups.entry((&node.account, &node.region)).or_insert_with(|| GroupAnswer {
                    account: node.account.clone(),
                    region: node.region.clone(),
                    ..GroupAnswer::default()
                });
            match (node.instance_status, node.status) {
                (InstanceStatus::Stopped, _) => group.not_live.stopped += 1,
                (InstanceStatus::Terminated, _) => group.not_live.terminated += 1,
                (_, ComplianceStatus::Compliant) => group.compliant += 1,
                (_, ComplianceStatus::NonCompliant) => group.non_compliant += 1,
                _ => group.unknown += 1,
            }
        }
        groups.into_values().collect()
    }

    /// The ids of nodes that lost rows of one of these types to dirt.
    pub fn nodes_with_loss(&self, data_types: &[&str]) -> BTreeSet<&str> {
        self.dirt
            .iter()
            .filter(|dirt| dirt.data_lost && data_types.contains(&dirt.data_type.as_str()))
            .map(|dirt| dirt.node.as_str())
            .collect()
    }
}
