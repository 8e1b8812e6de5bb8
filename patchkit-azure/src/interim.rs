//! The traits that are served by branches of their own.

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use patchkit_core::{
    Baseline, BaselineId, BaselineSelector, ComplianceReport, Error, GroupRegistration,
    NodeCompliance, NodeId, NodeSelector, OperatingSystem, Patch, PatchBaseline, PatchCompliance,
    PatchGroup, PatchGroupName, Provider, Result,
};

use crate::{UpdateManager, error::PROVIDER};

fn not_here<T: Send + 'static>(operation: &'static str) -> BoxStream<'static, Result<T>> {
    stream::iter([Err(Error::unsupported(PROVIDER, operation))]).boxed()
}

#[async_trait]
impl Baseline for UpdateManager {
    fn baselines(&self, _: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        not_here("baselines")
    }
    async fn baseline(&self, _: &BaselineId) -> Result<PatchBaseline> {
        Err(Error::unsupported(PROVIDER, "baseline"))
    }
    async fn default_baseline(&self, _: &OperatingSystem) -> Result<PatchBaseline> {
        Err(Error::unsupported(PROVIDER, "default_baseline"))
    }
    fn approved_patches(&self, _: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        not_here("approved_patches")
    }
    async fn create_baseline(&self, _: &PatchBaseline) -> Result<BaselineId> {
        Err(Error::unsupported(PROVIDER, "create_baseline"))
    }
    async fn update_baseline(&self, _: &PatchBaseline) -> Result<PatchBaseline> {
        Err(Error::unsupported(PROVIDER, "update_baseline"))
    }
    async fn delete_baseline(&self, _: &BaselineId) -> Result<PatchBaseline> {
        Err(Error::unsupported(PROVIDER, "delete_baseline"))
    }
    async fn set_default_baseline(&self, _: &BaselineId) -> Result<Option<BaselineId>> {
        Err(Error::unsupported(PROVIDER, "set_default_baseline"))
    }
}

#[async_trait]
impl PatchGroup for UpdateManager {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        not_here("groups")
    }
    fn members(&self, _: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        not_here("members")
    }
    fn registrations(&self, _: &PatchGroupName) -> BoxStream<'static, Result<GroupRegistration>> {
        not_here("registrations")
    }
    async fn baseline_for(&self, _: &PatchGroupName, _: &OperatingSystem) -> Result<BaselineId> {
        Err(Error::unsupported(PROVIDER, "baseline_for"))
    }
    async fn register(&self, _: &PatchGroupName, _: &BaselineId) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "register"))
    }
    async fn deregister(&self, _: &PatchGroupName, _: &BaselineId) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "deregister"))
    }
}

#[async_trait]
impl ComplianceReport for UpdateManager {
    fn summaries(&self, _: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        not_here("summaries")
    }
    async fn summary(&self, _: &NodeId) -> Result<NodeCompliance> {
        Err(Error::unsupported(PROVIDER, "summary"))
    }
    fn patches(&self, _: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        not_here("patches")
    }
}

impl Provider for UpdateManager {}
