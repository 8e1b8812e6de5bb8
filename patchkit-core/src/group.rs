//! Patch groups: which nodes share a baseline.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{BaselineId, NodeId, OperatingSystem, PatchGroupName, Result};

/// The patch groups of one provider, and the baselines registered for them.
///
/// A node is in one group; a group has one baseline for each operating system; a baseline serves
/// many groups. A node's baseline is its group's for its operating system, else the default of that
/// operating system.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PatchGroup: fmt::Debug + Send + Sync + 'static {
    /// Lists the groups that hold a registration.
    ///
    /// # Behavior
    /// - Every group comes once, over however many pages.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`.
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>>;

    /// Lists the nodes whose tags name the group.
    ///
    /// # Behavior
    /// - A group without nodes is an empty stream.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`.
    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>>;

    /// Lists the baselines registered for the group, one for each operating system.
    ///
    /// # Behavior
    /// - A group without registration is an empty stream.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`.
    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>>;

    /// The baseline that applies to nodes of the group with this operating system.
    ///
    /// # Behavior
    /// - Without a registration it is the operating system's default.
    ///
    /// # Errors
    /// `NotFound` (no default either), `PermissionDenied`, `Throttled`.
    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId>;

    /// Registers a baseline for the group.
    ///
    /// # Behavior
    /// - The same baseline twice is no error.
    /// - Another baseline of that operating system is `Conflict`, and nothing changes.
    ///
    /// # Errors
    /// `NotFound` (the baseline), `Conflict`, `Unsupported`, `PermissionDenied`.
    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()>;

    /// Takes a registration back.
    ///
    /// # Behavior
    /// - A baseline that is not registered is no error.
    ///
    /// # Errors
    /// `Unsupported`, `PermissionDenied`.
    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()>;
}

/// One baseline registered for one group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupRegistration {
    /// The group.
    pub group: PatchGroupName,
    /// The operating system the baseline is for.
    pub operating_system: OperatingSystem,
    /// The baseline.
    pub baseline: BaselineId,
}

impl GroupRegistration {
    /// A registration of `baseline`, which is for `operating_system`.
    pub fn new(
        group: PatchGroupName,
        operating_system: OperatingSystem,
        baseline: BaselineId,
    ) -> Self {
        Self { group, operating_system, baseline }
    }
}
