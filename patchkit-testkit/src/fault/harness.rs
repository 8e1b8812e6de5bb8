//! A harness whose provider is behind faults.

use std::sync::Arc;

use async_trait::async_trait;
use patchkit_core::{
    Baseline, BaselineId, Clock, ComplianceReport, Fleet, NodeId, OperatingSystem, OperationId,
    PatchBaseline, PatchGroup, PatchGroupName, ResourceGroupName,
};

use super::{FaultPlan, Faults, Faulty};
use crate::{Harness, Membership, NodeSeed, PatchSeed, Trouble};

/// A harness whose provider is reached through [`Faulty`] wrappers; seeding goes past them.
///
/// What the suite proves with [`FaultPlan::bearable`]: that a caller who makes retryable calls
/// again sees the same provider, that a write which the contract calls idempotent is so when it
/// really comes twice, that a listing can be dropped and begun again at any page, and that a late
/// call does no harm.
#[derive(Debug)]
pub struct FaultyHarness<H> {
    inner: H,
    faults: Faults,
}

impl<H: Harness> FaultyHarness<H> {
    /// Faults that a patient caller bears.
    pub fn bearable(inner: H) -> Self {
        let plan = FaultPlan::bearable(inner.page_size());
        Self::new(inner, plan)
    }

    /// Faults by `plan`.
    pub fn new(inner: H, plan: FaultPlan) -> Self {
        let faults = Faults::new(inner.clock(), plan);
        Self { inner, faults }
    }

    /// The count and the log of the calls.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<H: Harness> Harness for FaultyHarness<H> {
    fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(Faulty::new(self.inner.fleet(), self.faults.clone()))
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        Arc::new(Faulty::new(self.inner.baseline(), self.faults.clone()))
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        Arc::new(Faulty::new(self.inner.group(), self.faults.clone()))
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        Arc::new(Faulty::new(self.inner.compliance(), self.faults.clone()))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock()
    }

    fn page_size(&self) -> usize {
        self.inner.page_size()
    }

    fn requests(&self) -> usize {
        self.inner.requests()
    }

    fn systems(&self) -> [OperatingSystem; 2] {
        self.inner.systems()
    }

    fn unknown_node(&self) -> NodeId {
        self.inner.unknown_node()
    }

    fn node_elsewhere(&self) -> NodeId {
        self.inner.node_elsewhere()
    }

    fn unknown_operation(&self) -> OperationId {
        self.inner.unknown_operation()
    }

    fn unknown_baseline(&self) -> BaselineId {
        self.inner.unknown_baseline()
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        self.inner.add_node(seed).await
    }

    async fn lose_agent(&self, node: &NodeId) {
        self.inner.lose_agent(node).await;
    }

    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>) {
        self.inner.set_patches(node, patches).await;
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.inner.add_baseline(baseline).await
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.inner.add_registration(group, baseline).await;
    }

    fn membership(&self) -> Membership {
        self.inner.membership()
    }

    async fn add_resource_group(&self, group: &ResourceGroupName, nodes: &[NodeId]) {
        self.inner.add_resource_group(group, nodes).await;
    }

    async fn make_trouble(&self, trouble: Trouble) {
        self.inner.make_trouble(trouble).await;
    }
}
