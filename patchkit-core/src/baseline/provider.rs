//! The baselines that a provider keeps.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::PatchBaseline;
use crate::{BaselineId, OperatingSystem, Patch, Result};

/// The patch baselines of one provider.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Baseline: fmt::Debug + Send + Sync + 'static {
    /// Lists the baselines that `selector` takes.
    ///
    /// # Behavior
    /// - Every baseline comes once, over however many pages.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`.
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>>;

    /// One baseline, whole.
    ///
    /// # Behavior
    /// - An ARN and its bare `pb-` id name the same baseline.
    /// - An unknown id is `NotFound`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`.
    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline>;

    /// The baseline of nodes in no patch group.
    ///
    /// # Behavior
    /// - It is for the operating system asked for.
    ///
    /// # Errors
    /// `NotFound` (the operating system has none), `PermissionDenied`, `Throttled`.
    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline>;

    /// Lists the patches that a baseline approves now.
    ///
    /// # Behavior
    /// - Every patch comes once, over however many pages.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` (AWS answers for Windows only), `PermissionDenied`, `Throttled`.
    fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>>;

    /// Creates a baseline and returns its id; the draft's own id is not used.
    ///
    /// # Behavior
    /// - A draft that breaks a limit is `InvalidInput` with the field's name.
    /// - What is read back equals the draft but for the id.
    ///
    /// # Errors
    /// `InvalidInput`, `Unsupported`, `PermissionDenied`.
    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId>;

    /// Replaces a baseline by `baseline`, found by its id, and returns it as it was.
    ///
    /// # Behavior
    /// - It is replaced whole: what `baseline` leaves out is gone.
    /// - An update with what it returns takes it back.
    ///
    /// # Errors
    /// `NotFound`, `InvalidInput`, `Unsupported`, `PermissionDenied` (a predefined one).
    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline>;

    /// Deletes a baseline and returns it as it was, to be created again under a new id.
    ///
    /// # Behavior
    /// - One that is registered for a group or is a default is `Conflict`, and stays.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Unsupported`, `PermissionDenied`.
    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline>;

    /// Makes a baseline the default of its operating system and returns the one from before.
    ///
    /// # Behavior
    /// - Setting the one that it returns takes it back.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `PermissionDenied`.
    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>>;
}

/// Which baselines to list.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct BaselineSelector {
    /// Only of this operating system.
    pub operating_system: Option<OperatingSystem>,
    /// Only of this owner.
    pub owner: Option<BaselineOwner>,
    /// Only with a name that begins so.
    pub name_prefix: Option<String>,
}

impl BaselineSelector {
    /// Every baseline.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only of this operating system.
    #[must_use]
    pub fn with_operating_system(mut self, os: OperatingSystem) -> Self {
        self.operating_system = Some(os);
        self
    }

    /// Only of this owner.
    #[must_use]
    pub fn with_owner(mut self, owner: BaselineOwner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Only with a name that begins so.
    #[must_use]
    pub fn with_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = Some(prefix.into());
        self
    }
}

/// Whose a baseline is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BaselineOwner {
    /// The provider's own, predefined.
    Predefined,
    /// The customer's.
    Custom,
}
