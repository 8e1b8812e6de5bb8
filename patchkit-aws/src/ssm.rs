//! The provider of one account and Region.

use std::{fmt, sync::Arc};

use aws_config::SdkConfig;
use patchkit_core::{Result, Scope};

use crate::{SsmBuilder, client::Client, command::Commands, config::sdk_from_env};

/// Systems Manager, and what it needs of EC2 and IAM, in one account and Region.
///
/// A clone is a handle to the same clients and the same [budget](crate::CallBudget).
#[derive(Clone)]
pub struct Ssm {
    pub(crate) client: Arc<Client>,
    pub(crate) commands: Commands,
}

impl Ssm {
    pub(crate) fn new(client: Client) -> Self {
        Self { client: Arc::new(client), commands: Commands::default() }
    }

    /// The provider for the credentials, Region and endpoints of an SDK configuration.
    ///
    /// # Errors
    /// As [`SsmBuilder::build`].
    pub async fn from_sdk_config(sdk: &SdkConfig) -> Result<Self> {
        Self::builder(sdk).build().await
    }

    /// The provider for the usual configuration: environment, profile, SSO, container and instance
    /// roles.
    ///
    /// # Errors
    /// As [`SsmBuilder::build`].
    pub async fn from_env() -> Result<Self> {
        Self::from_sdk_config(&sdk_from_env().await).await
    }

    /// Makes a provider piece by piece.
    pub fn builder(sdk: &SdkConfig) -> SsmBuilder {
        SsmBuilder::new(sdk)
    }

    /// The account and Region.
    pub fn scope(&self) -> &Scope {
        &self.client.scope
    }
}

impl fmt::Debug for Ssm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ssm").field(&format_args!("{}", self.client.scope)).finish()
    }
}
