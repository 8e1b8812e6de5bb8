//! What a patch run is going to do, as data that can be printed, saved and held against the fleet.

mod content;
mod diff;
mod estimate;
mod file;
mod make;
mod print;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fmt::Write as _,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(super) use self::make::age;
pub use self::{
    content::{BaselineVersion, ExpectedPatches, PatchListing},
    diff::{NodeChange, NodeDiff, NodePart, PlanChange, PlanDiff},
    estimate::{PlanEstimate, StepTimes},
};
use super::{Freezes, NodeTimes, Outcome, ScopeFailure};
use crate::{
    AssignedWave, BaselineId, ComplianceStatus, HostLink, MachineLink, MaintenanceWindow, NodeId,
    NodeKey, NodeSelector, OperatingSystem, PatchGroupName, PowerState, Reachability, RebootPolicy,
    Rollout,
};

/// What to patch, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchOptions {
    /// The nodes.
    pub selector: NodeSelector,
    /// Which of them are started when they are off, and stopped again afterwards; none by default.
    pub start: Option<NodeSelector>,
    /// The order, and the budgets.
    pub rollout: Rollout,
    /// Whether nodes reboot.
    pub reboot: RebootPolicy,
    /// When work may begin; at any time by default.
    pub window: Option<MaintenanceWindow>,
    /// A node that a scan no older than this found compliant is left alone. Where a provider installs
    /// what the last scan found, an older one is made anew before the install.
    pub fresh: Duration,
    /// What becomes of machines that another control plane may patch as well.
    // Left out where it is not set: plans have the hashes that they had.
    #[serde(default, skip_serializing_if = "OtherPatchers::is_refuse")]
    pub other_patchers: OtherPatchers,
    /// How long nodes take: nothing begins that would not be over in time. Not minded by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NodeTimes>,
    /// When nothing is begun, whatever the window says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freezes: Option<Freezes>,
    /// Whether the plan names the patches that each node is expected to get.
    #[serde(default, skip_serializing_if = "PatchListing::is_count")]
    pub patch_listing: PatchListing,
    /// How long steps take, for the plan to tell how long the run will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_times: Option<StepTimes>,
}

/// What a run does with a machine that another control plane may patch as well: one that its host's
/// service patches by a schedule, or of which it cannot be told whether it is one with another node.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtherPatchers {
    /// Skips it, and says so.
    #[default]
    Refuse,
    /// Patches it all the same; the plan says so.
    Allow,
}

impl OtherPatchers {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it by reference")]
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

impl PatchOptions {
    /// Patches the running nodes of `selector` in one wave.
    pub fn new(selector: NodeSelector) -> Self {
        Self {
            selector,
            start: None,
            rollout: Rollout::default(),
            reboot: RebootPolicy::default(),
            window: None,
            fresh: Duration::from_hours(24),
            other_patchers: OtherPatchers::default(),
            times: None,
            freezes: None,
            patch_listing: PatchListing::default(),
            step_times: None,
        }
    }

    /// Also starts the stopped nodes that `selector` takes, and stops them again afterwards.
    #[must_use]
    pub fn with_start(mut self, selector: NodeSelector) -> Self {
        self.start = Some(selector);
        self
    }

    /// Sets the order and the budgets.
    #[must_use]
    pub fn with_rollout(mut self, rollout: Rollout) -> Self {
        self.rollout = rollout;
        self
    }

    /// Sets whether nodes reboot.
    #[must_use]
    pub fn with_reboot(mut self, reboot: RebootPolicy) -> Self {
        self.reboot = reboot;
        self
    }

    /// Begins work in this window only.
    #[must_use]
    pub fn with_window(mut self, window: MaintenanceWindow) -> Self {
        self.window = Some(window);
        self
    }

    /// Sets what becomes of machines that another control plane may patch as well.
    #[must_use]
    pub fn with_other_patchers(mut self, choice: OtherPatchers) -> Self {
        self.other_patchers = choice;
        self
    }

    /// Has the plan name the patches that each node is expected to get: a listing for each node.
    #[must_use]
    pub fn with_patch_listing(mut self, listing: PatchListing) -> Self {
        self.patch_listing = listing;
        self
    }

    /// Has the plan tell how long the run will take, and how many calls, from how long steps do.
    #[must_use]
    pub fn with_step_times(mut self, times: StepTimes) -> Self {
        self.step_times = Some(times);
        self
    }

    /// Sets how old a scan may be that lets a compliant node alone; zero patches every node.
    #[must_use]
    pub fn with_fresh(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }
}

/// A step of a node's part in a run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanStep {
    /// It is started.
    Start,
    /// Its agent is waited for.
    WaitReachable,
    /// Its agent is updated.
    UpdateAgent,
    /// Its associations are applied again.
    RefreshAssociations,
    /// It is scanned, because its provider installs what the last scan found and that one is too old.
    Scan,
    /// Patches are installed, and it reboots.
    Install,
    /// It is scanned again.
    Rescan,
    /// It is put back to the power it had.
    RestorePower,
}

impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::WaitReachable => "wait reachable",
            Self::UpdateAgent => "update agent",
            Self::RefreshAssociations => "refresh associations",
            Self::Scan => "scan",
            Self::Install => "install",
            Self::Rescan => "rescan",
            Self::RestorePower => "restore power",
        })
    }
}

/// A node that a run will patch, with the evidence for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedNode {
    /// The node.
    pub id: NodeId,
    /// A name for people; untrusted: escape before showing.
    pub name: Option<String>,
    /// Its patch group.
    pub group: Option<PatchGroupName>,
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// Its power when the plan was made.
    pub power: PowerState,
    /// Whether its agent answered.
    pub reachability: Reachability,
    /// Its compliance as far as known.
    pub status: ComplianceStatus,
    /// How many patches it lacked or failed.
    pub missing: u32,
    /// The baseline it was held against.
    pub baseline: Option<BaselineId>,
    /// When its compliance was found out.
    pub scanned_at: Option<Timestamp>,
    /// What will be done, in order.
    pub steps: Vec<PlanStep>,
    /// Its part in another control plane.
    // Left out where there is none: plans have the hashes that they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<MachineLink>,
    /// The ids that its machine has in other control planes: claimed with it, so that no other run
    /// works on the machine.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<NodeId>,
    /// What the plan's budgets count it under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<NodeKey, String>,
}

impl PlannedNode {
    /// The machine of another control plane that it is.
    pub(super) fn host(&self) -> Option<&HostLink> {
        match &self.link {
            Some(MachineLink::Host(link)) => Some(link),
            _ => None,
        }
    }

    /// Every id of its machine, its own first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &NodeId> {
        std::iter::once(&self.id).chain(&self.also)
    }
}

/// A node that a run will leave alone, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SkippedNode {
    /// The node as it is.
    #[serde(flatten)]
    pub node: PlannedNode,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// What a patch run is going to do.
///
/// # Guarantees
/// - Plain data: the same fleet, compliance and options make the same plan, but for `created_at`.
/// - The hash covers all of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchPlan {
    /// The workflow: `patch` or `remediate`.
    pub workflow: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What was asked for.
    pub options: PatchOptions,
    /// The nodes to patch, by id.
    pub nodes: Vec<PlannedNode>,
    /// Their order.
    pub waves: Vec<AssignedWave>,
    /// The nodes to leave alone, by id.
    pub skipped: Vec<SkippedNode>,
    /// The scopes that could not be listed: the plan says nothing of their nodes.
    // Left out where empty: plans have the hashes that they had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<ScopeFailure>,
    /// The baselines that the nodes are held against, as they were; only of a runner that
    /// [has them](super::Runner::with_baselines).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<BaselineVersion>,
    /// The patches that nodes are expected to get, where [that was asked
    /// for](PatchOptions::patch_listing) and their compliance is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expected: BTreeMap<NodeId, ExpectedPatches>,
    /// How long the run will take, and how many calls, where [that was asked
    /// for](PatchOptions::step_times).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<PlanEstimate>,
}

impl PatchPlan {
    /// The SHA-256 of the plan's JSON, in hex: names this plan and no other.
    pub fn hash(&self) -> String {
        // Every field is plain data with string keys, which JSON always takes.
        let json = serde_json::to_vec(self).unwrap_or_default();
        hex(&Sha256::digest(json))
    }

    /// How many nodes may be out of work at once in a wave of `nodes`.
    pub fn disruption(&self, nodes: usize) -> usize {
        self.options.rollout.disruption.0.of(nodes)
    }

    pub(super) fn node(&self, id: &NodeId) -> Option<&PlannedNode> {
        match self.nodes.binary_search_by(|node| node.id.cmp(id)) {
            Ok(at) => self.nodes.get(at),
            // A plan that someone has edited need not be in order.
            Err(_) => self.nodes.iter().find(|node| node.id == *id),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn schedules(link: &HostLink) -> String {
    link.schedules.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
