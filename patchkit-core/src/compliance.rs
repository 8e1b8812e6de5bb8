//! Whether nodes have the patches their baseline asks for, as far as anyone knows.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    BaselineId, Classification, ComplianceLevel, ComplianceStatus, NodeId, NodeSelector,
    PatchGroupName, PatchId, PatchState, Result, Severity,
};

/// What a provider, or a lake, knows of its nodes' compliance.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ComplianceReport: fmt::Debug + Send + Sync + 'static {
    /// Lists the compliance of the nodes that `selector` takes.
    ///
    /// # Behavior
    /// - Every node comes once; one of which nothing is known comes as `Unknown`.
    /// - No data is never `Compliant`.
    /// - The counts equal the listing of [`patches`](Self::patches), where that lists all.
    /// - An error that names a [scope](crate::Error::scope) is about that scope alone, and the
    ///   summaries go on; any other is the last.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`; `NotFound` and `Unsupported` for a resource
    /// group, as from [`Fleet::nodes`](crate::Fleet::nodes).
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>>;

    /// The compliance of one node.
    ///
    /// # Behavior
    /// - A node that exists and was never scanned is `Unknown`, not an error.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`.
    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance>;

    /// Lists what is known of each patch on one node.
    ///
    /// # Behavior
    /// - A node that was never scanned is an empty stream.
    /// - A state that PatchKit does not know is kept as `Other`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`, `Malformed`.
    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>>;
}

/// The patch compliance of one node, and when it was found out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeCompliance {
    /// The node.
    pub node: NodeId,
    /// The verdict on its patches; `Unknown` without data.
    pub status: ComplianceStatus,
    /// The highest compliance level among what is wrong.
    pub level: Option<ComplianceLevel>,
    /// How many patches are in which state.
    pub counts: PatchCounts,
    /// The baseline it was held against.
    pub baseline: Option<BaselineId>,
    /// Its patch group.
    pub group: Option<PatchGroupName>,
    /// When this was found out; `None` when nothing is known.
    pub observed_at: Option<Timestamp>,
    /// Verdicts of other kinds, kept apart: `Association`, `Custom:…`.
    pub others: BTreeMap<String, ComplianceStatus>,
    /// What each control plane knows of a machine of several, the one that patches it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ComplianceSource>,
}

impl NodeCompliance {
    /// A node of which nothing is known.
    pub fn unknown(node: NodeId) -> Self {
        Self {
            node,
            status: ComplianceStatus::Unknown,
            level: None,
            counts: PatchCounts::default(),
            baseline: None,
            group: None,
            observed_at: None,
            others: BTreeMap::new(),
            sources: Vec::new(),
        }
    }

    /// How old the finding is at `now`.
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.observed_at.map(|at| now.duration_since(at))
    }
}

/// What one control plane knows of a machine of several.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComplianceSource {
    /// The machine's node there.
    pub node: NodeId,
    /// The verdict there.
    pub status: ComplianceStatus,
    /// How many patches are in which state there.
    pub counts: PatchCounts,
    /// When this was found out; `None` when nothing is known.
    pub observed_at: Option<Timestamp>,
    /// Why nothing is known, where it could not be asked. Holds providers' words: escape before
    /// showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl ComplianceSource {
    /// What `known` says.
    pub fn of(known: &NodeCompliance) -> Self {
        Self {
            node: known.node.clone(),
            status: known.status,
            counts: known.counts,
            observed_at: known.observed_at,
            problem: None,
        }
    }

    /// How old the finding is at `now`.
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.observed_at.map(|at| now.duration_since(at))
    }
}

/// How many patches of a node are in which state.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct PatchCounts {
    /// Installed and approved.
    pub installed: u32,
    /// Installed without the baseline asking for it.
    pub installed_other: u32,
    /// Installed, and waiting for a reboot.
    pub installed_pending_reboot: u32,
    /// Installed though rejected.
    pub installed_rejected: u32,
    /// Approved and not installed.
    pub missing: u32,
    /// Tried and not installed.
    pub failed: u32,
    /// Of no concern to the node.
    pub not_applicable: u32,
    /// Security updates that are there and not approved (Windows).
    pub available_security_update: u32,
    /// In a state that has no count of its own.
    pub other: u32,
    /// Not compliant and of level critical; may overlap with `security_non_compliant`.
    pub critical_non_compliant: u32,
    /// Not compliant and classified as security; may overlap with `critical_non_compliant`.
    pub security_non_compliant: u32,
    /// Not compliant and neither of these.
    pub other_non_compliant: u32,
}

impl PatchCounts {
    /// Counts one patch in `state`.
    pub fn count(&mut self, state: &PatchState) {
        *match state {
            PatchState::Installed => &mut self.installed,
            PatchState::InstalledOther => &mut self.installed_other,
            PatchState::InstalledPendingReboot => &mut self.installed_pending_reboot,
            PatchState::InstalledRejected => &mut self.installed_rejected,
            PatchState::Missing => &mut self.missing,
            PatchState::Failed => &mut self.failed,
            PatchState::NotApplicable => &mut self.not_applicable,
            PatchState::AvailableSecurityUpdate => &mut self.available_security_update,
            _ => &mut self.other,
        } += 1;
    }

    /// How many patches are not as the baseline wants them, whatever the option for available
    /// security updates says.
    pub fn non_compliant(&self) -> u32 {
        [self.installed_rejected, self.missing, self.failed]
            .into_iter()
            .fold(self.installed_pending_reboot, u32::saturating_add)
    }
}

/// One patch on one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchCompliance {
    /// The patch.
    pub patch: PatchId,
    /// Its title or full version, where known.
    pub title: Option<String>,
    /// Its state on the node.
    pub state: PatchState,
    /// The verdict; `Unknown` for a state that is neither (`NotApplicable`, unknown ones).
    pub status: ComplianceStatus,
    /// How much the baseline's owner minds.
    pub level: ComplianceLevel,
    /// What kind of patch it is.
    pub classification: Option<Classification>,
    /// How severe its vendor finds it.
    pub severity: Option<Severity>,
    /// When it was installed.
    pub installed_at: Option<Timestamp>,
    /// The vulnerabilities it closes.
    pub cves: Vec<String>,
}

impl PatchCompliance {
    /// A patch of which only the state is known.
    pub fn new(patch: PatchId, state: PatchState, status: ComplianceStatus) -> Self {
        Self {
            patch,
            title: None,
            state,
            status,
            level: ComplianceLevel::Unspecified,
            classification: None,
            severity: None,
            installed_at: None,
            cves: Vec::new(),
        }
    }
}
