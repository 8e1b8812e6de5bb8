//! The rows of a report, as JSON and CSV name their fields.

use jiff::Timestamp;
use patchkit_core::{BaselineId, ComplianceLevel, ComplianceStatus};
use patchkit_inventory::{Dimension, LakeNode, LakeReport};
use serde::Serialize;

use super::apps::Package;

/// One node and its compliance.
#[derive(Debug, Serialize)]
pub(crate) struct NodeRow<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) platform: Option<String>,
    pub(crate) patch_group: Option<String>,
    pub(crate) baseline: Option<&'a str>,
    pub(crate) liveness: &'static str,
    pub(crate) status: ComplianceStatus,
    pub(crate) level: Option<ComplianceLevel>,
    pub(crate) critical_non_compliant: u32,
    pub(crate) security_non_compliant: u32,
    pub(crate) other_non_compliant: u32,
    pub(crate) missing: u32,
    pub(crate) failed: u32,
    pub(crate) installed_pending_reboot: u32,
    pub(crate) installed_rejected: u32,
    pub(crate) observed_at: Option<Timestamp>,
}

impl<'a> NodeRow<'a> {
    /// The header of the CSV.
    pub(crate) const FIELDS: [&'static str; 18] = [
        "id",
        "name",
        "account",
        "region",
        "platform",
        "patch_group",
        "baseline",
        "liveness",
        "status",
        "level",
        "critical_non_compliant",
        "security_non_compliant",
        "other_non_compliant",
        "missing",
        "failed",
        "installed_pending_reboot",
        "installed_rejected",
        "observed_at",
    ];

    pub(crate) fn new(node: &'a LakeNode) -> Self {
        let counts = &node.last.counts;
        Self {
            id: node.id.resource(),
            name: node.name(),
            account: node.id.scope().account().as_str(),
            region: node.id.scope().region().as_str(),
            platform: Dimension::Platform.value(node),
            patch_group: Dimension::PatchGroup.value(node),
            baseline: node.last.baseline.as_ref().map(BaselineId::as_str),
            liveness: node.liveness.as_str(),
            status: node.status(),
            level: node.last.level,
            critical_non_compliant: counts.critical_non_compliant,
            security_non_compliant: counts.security_non_compliant,
            other_non_compliant: counts.other_non_compliant,
            missing: counts.missing,
            failed: counts.failed,
            installed_pending_reboot: counts.installed_pending_reboot,
            installed_rejected: counts.installed_rejected,
            observed_at: node.last.observed_at,
        }
    }
}

/// One package on one node.
#[derive(Debug, Serialize)]
pub(crate) struct PackageRow<'a> {
    pub(crate) id: &'a str,
    pub(crate) node_name: Option<&'a str>,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) platform: Option<String>,
    pub(crate) liveness: &'static str,
    pub(crate) package: &'a str,
    pub(crate) version: Option<&'a str>,
    pub(crate) release: Option<&'a str>,
    pub(crate) epoch: Option<&'a str>,
    pub(crate) architecture: Option<&'a str>,
    pub(crate) publisher: Option<&'a str>,
    pub(crate) compared_by: &'static str,
}

impl<'a> PackageRow<'a> {
    /// The header of the CSV; `below` comes behind.
    pub(crate) const FIELDS: [&'static str; 13] = [
        "id",
        "node_name",
        "account",
        "region",
        "platform",
        "liveness",
        "package",
        "version",
        "release",
        "epoch",
        "architecture",
        "publisher",
        "compared_by",
    ];

    pub(crate) fn new(report: &'a LakeReport, package: &'a Package) -> Self {
        let scope = package.node.scope();
        let node = report.node(&package.node);
        Self {
            id: package.node.resource(),
            node_name: node.and_then(LakeNode::name),
            account: scope.account().as_str(),
            region: scope.region().as_str(),
            platform: node.and_then(|node| Dimension::Platform.value(node)),
            liveness: node.map(|node| node.liveness).unwrap_or_default().as_str(),
            package: &package.name,
            version: package.version.as_deref(),
            release: package.release.as_deref(),
            epoch: package.epoch.as_deref(),
            architecture: package.architecture.as_deref(),
            publisher: package.publisher.as_deref(),
            compared_by: package.scheme.as_str(),
        }
    }
}
