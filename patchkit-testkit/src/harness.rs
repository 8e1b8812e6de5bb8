//! What the conformance suite asks of a provider's test set-up.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use patchkit_core::{
    AccessStatus, Baseline, BaselineId, Classification, Clock, ComplianceReport, Fleet, NodeId,
    NodeOrigin, OperatingSystem, OperationId, PatchBaseline, PatchGroup, PatchGroupName, PatchId,
    PatchState, PowerState, Reachability, ResourceGroupName, Tags,
};
use serde::{Deserialize, Serialize};

/// A provider together with the means to put its fleet into a known state.
///
/// Seeding goes behind the traits' backs: a fake, a replay server or a simulated control plane
/// takes it directly. Every case gets a harness of its own, so nothing has to be cleaned up.
///
/// # Behavior
/// - A new harness has no nodes, no patch groups, and no baselines but the provider's own.
/// - What was seeded is there as soon as the call returns.
/// - Listings have at most [`page_size`](Self::page_size) items on a page.
/// - Seeding never counts as a request, and is never hit by trouble.
/// - A seed that the provider has no notion of is a defect of the harness: it panics.
#[async_trait]
pub trait Harness: fmt::Debug + Send + Sync + 'static {
    /// The provider's fleet.
    fn fleet(&self) -> Arc<dyn Fleet>;

    /// The provider's baselines.
    fn baseline(&self) -> Arc<dyn Baseline>;

    /// The provider's patch groups.
    fn group(&self) -> Arc<dyn PatchGroup>;

    /// The provider's compliance.
    fn compliance(&self) -> Arc<dyn ComplianceReport>;

    /// The clock that the provider lives by; best a virtual one, for acts take their time.
    fn clock(&self) -> Arc<dyn Clock>;

    /// How many items a page of a listing has at most. Small: the cases list three pages and more.
    fn page_size(&self) -> usize;

    /// How many requests have reached the provider so far, each page of a listing being one.
    fn requests(&self) -> usize;

    /// Two operating systems that the provider knows, and has default baselines for.
    fn systems(&self) -> [OperatingSystem; 2] {
        [OperatingSystem::AmazonLinux2023, OperatingSystem::Ubuntu]
    }

    /// A well-formed id of a node that does not exist.
    fn unknown_node(&self) -> NodeId;

    /// A well-formed id of a node in another scope than all of the harness's own, there or not.
    fn node_elsewhere(&self) -> NodeId;

    /// A well-formed id of an act that does not exist.
    fn unknown_operation(&self) -> OperationId;

    /// A well-formed id of a baseline that does not exist.
    fn unknown_baseline(&self) -> BaselineId;

    /// Adds a node and returns the id that the provider gave it.
    async fn add_node(&self, seed: NodeSeed) -> NodeId;

    /// Makes a node's agent fall silent; its power stays as it is.
    async fn lose_agent(&self, node: &NodeId);

    /// Replaces what is on a node, and has it reported as a scan would. A state of
    /// [`PatchState::Other`] stands for one that the provider learned after PatchKit was written.
    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>);

    /// Adds a custom baseline and returns its id.
    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId;

    /// Registers a baseline for a group.
    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId);

    /// In how many resource groups a node of the provider can be.
    fn membership(&self) -> Membership {
        Membership::Many
    }

    /// Makes a resource group of these nodes. Never called where the fleet's capabilities lack
    /// resource groups, or where a node is [in one](Membership::One), which its seed names.
    async fn add_resource_group(&self, group: &ResourceGroupName, nodes: &[NodeId]);

    /// Lets the provider's coming requests go wrong.
    async fn make_trouble(&self, trouble: Trouble);
}

/// A node to be added by a [`Harness`].
///
/// Without further words it is a running cloud node whose agent answers and whose access is
/// granted; it lacks no patch and was never scanned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeSeed {
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// Where it comes from.
    pub origin: NodeOrigin,
    /// Its power; `Unknown` for a hybrid node, whose power is not the provider's.
    pub power: PowerState,
    /// Whether its agent answers when the node is on.
    pub agent: Reachability,
    /// Its access to the management service.
    pub access: AccessStatus,
    /// The resource group that it is in from its beginning; only where it is
    /// [in one](Membership::One).
    pub resource_group: Option<ResourceGroupName>,
    /// Its tags; a patch group is one of [`PATCH_GROUP_TAGS`](patchkit_core::PATCH_GROUP_TAGS).
    pub tags: Tags,
    /// What is on it and what it lacks.
    pub patches: Vec<PatchSeed>,
    /// Whether that was ever reported.
    pub scanned: Scanned,
}

impl NodeSeed {
    /// A running cloud node in good order, never scanned.
    pub fn new(operating_system: OperatingSystem) -> Self {
        Self {
            operating_system,
            origin: NodeOrigin::Cloud,
            power: PowerState::Running,
            agent: Reachability::Online,
            access: AccessStatus::Granted,
            resource_group: None,
            tags: Tags::new(),
            patches: Vec::new(),
            scanned: Scanned::Never,
        }
    }

    /// Sets its power.
    #[must_use]
    pub fn with_power(mut self, power: PowerState) -> Self {
        self.power = power;
        self
    }

    /// Makes it a hybrid node, of unknown power.
    #[must_use]
    pub fn hybrid(mut self) -> Self {
        self.origin = NodeOrigin::Hybrid;
        self.power = PowerState::Unknown;
        self
    }

    /// Sets whether its agent answers when the node is on.
    #[must_use]
    pub fn with_agent(mut self, agent: Reachability) -> Self {
        self.agent = agent;
        self
    }

    /// Sets its access to the management service.
    #[must_use]
    pub fn with_access(mut self, access: AccessStatus) -> Self {
        self.access = access;
        self
    }

    /// Puts it in a resource group from its beginning.
    #[must_use]
    pub fn in_resource_group(mut self, group: ResourceGroupName) -> Self {
        self.resource_group = Some(group);
        self
    }

    /// Sets a tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Puts it in a patch group.
    #[must_use]
    pub fn with_group(self, group: &PatchGroupName) -> Self {
        self.with_tag("PatchGroup", group.as_str())
    }

    /// Sets what is on it and what it lacks; never scanned, so that nobody knows of it yet.
    #[must_use]
    pub fn with_patches(mut self, patches: impl IntoIterator<Item = PatchSeed>) -> Self {
        self.patches = patches.into_iter().collect();
        self
    }

    /// Has it scanned just now.
    #[must_use]
    pub fn scanned(mut self) -> Self {
        self.scanned = Scanned::Now;
        self
    }
}

/// In how many resource groups a node can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Membership {
    /// In any number of groups, which are made of nodes that are there.
    Many,
    /// In one, from its beginning, as on Azure.
    One,
}

/// Whether a node was ever scanned.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scanned {
    /// Nothing is known of its patches.
    #[default]
    Never,
    /// Its patches were reported at this moment.
    Now,
}

/// A patch on a node, or one that it lacks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PatchSeed {
    /// The patch.
    pub patch: PatchId,
    /// Its state; an install brings `Missing` and `Failed` to `Installed`.
    pub state: PatchState,
    /// What kind of patch it is.
    pub classification: Classification,
}

impl PatchSeed {
    /// A security patch.
    pub fn new(patch: PatchId, state: PatchState) -> Self {
        Self { patch, state, classification: Classification::Security }
    }

    /// Sets what kind of patch it is.
    #[must_use]
    pub fn with_classification(mut self, classification: Classification) -> Self {
        self.classification = classification;
        self
    }
}

/// Coming requests that go wrong at the provider itself, not in a wrapper.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Trouble {
    /// What goes wrong.
    pub kind: TroubleKind,
    /// Hits only requests for this page of a listing, counted from 1; any request where `None`.
    pub page: Option<usize>,
    /// How many requests it hits.
    pub times: usize,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TroubleKind {
    /// The caller may not do this; the answer carries a request id.
    Denied,
    /// Too many requests; the answer says that the call may be made again.
    Throttled,
    /// The act is accepted, and the caller never hears of it. Hits submissions only.
    AnswerLost,
}

impl Trouble {
    /// The next request is denied.
    pub fn denied() -> Self {
        Self::of(TroubleKind::Denied)
    }

    /// The next request is throttled. Retries of the provider's own client must not hide it.
    pub fn throttled() -> Self {
        Self::of(TroubleKind::Throttled)
    }

    /// The answer to the next submission is lost.
    pub fn answer_lost() -> Self {
        Self::of(TroubleKind::AnswerLost)
    }

    /// Hits only requests for page `page` of a listing, counted from 1.
    #[must_use]
    pub fn on_page(mut self, page: usize) -> Self {
        self.page = Some(page);
        self
    }

    /// Hits so many requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn of(kind: TroubleKind) -> Self {
        Self { kind, page: None, times: 1 }
    }
}
