//! Baselines and patch groups: those of the side that patches.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::LinkedFleet;
use crate::{
    Baseline, BaselineId, BaselineSelector, Error, GroupRegistration, NodeId, OperatingSystem,
    Patch, PatchBaseline, PatchGroup, PatchGroupName, Provider, Result,
};

impl LinkedFleet {
    /// The provider whose baselines apply. Where several patch, each has its own, and an id names
    /// one of a scope.
    fn patcher(&self, operation: &'static str) -> Result<&Arc<dyn Provider>> {
        let several = || Error::unsupported(self.all.name(), operation);
        self.patchers.sole().ok_or_else(several)
    }

    fn listed<T: Send + 'static>(
        &self,
        operation: &'static str,
        list: impl FnOnce(&Arc<dyn Provider>) -> BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        match self.patcher(operation) {
            Ok(patcher) => list(patcher),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// Those of the patching side; `Unsupported` where several providers patch, for each has its own.
#[async_trait]
impl Baseline for LinkedFleet {
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        self.listed("baselines", |patcher| patcher.baselines(selector))
    }

    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        self.patcher("baseline")?.baseline(id).await
    }

    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
        self.patcher("default_baseline")?.default_baseline(os).await
    }

    fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        self.listed("approved_patches", |patcher| patcher.approved_patches(id))
    }

    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
        self.patcher("create_baseline")?.create_baseline(draft).await
    }

    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
        self.patcher("update_baseline")?.update_baseline(baseline).await
    }

    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        self.patcher("delete_baseline")?.delete_baseline(id).await
    }

    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        self.patcher("set_default_baseline")?.set_default_baseline(id).await
    }
}

/// Those of the patching side; `Unsupported` where several providers patch, for each has its own.
#[async_trait]
impl PatchGroup for LinkedFleet {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        self.listed("groups", |patcher| patcher.groups())
    }

    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        self.listed("members", |patcher| PatchGroup::members(patcher, group))
    }

    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>> {
        self.listed("registrations", |patcher| patcher.registrations(group))
    }

    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId> {
        self.patcher("baseline_for")?.baseline_for(group, os).await
    }

    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        self.patcher("register")?.register(group, baseline).await
    }

    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        self.patcher("deregister")?.deregister(group, baseline).await
    }
}
