//! The Azure side: subscriptions as one estate.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::Url,
    time::{Duration, OffsetDateTime},
};
use clap::{Args as ClapArgs, ValueEnum};
use patchkit_azure::{Addresses, Cloud, OpenedEstate, Subscriptions, UpdateManager};
use patchkit_core::{AccountId, Clock};

use super::clouds::is_on_this_machine;

/// Azure in place of the fleet in memory, by the usual credentials.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Azure")]
pub(crate) struct AzureArgs {
    /// Patch Azure machines, by Update Manager. With --aws, a machine that is a node of Systems Manager
    /// as well is patched there, and only started and stopped by Azure
    #[arg(long, group = "clouds", conflicts_with_all = ["seed", "nodes"])]
    pub(crate) azure: bool,
    /// The endpoint of Azure Resource Manager
    #[arg(long, value_name = "URL", requires = "azure")]
    azure_endpoint: Option<Url>,
    /// The subscriptions; all that the credential may read where none is named
    #[arg(long, value_delimiter = ',', value_name = "ID,…", requires = "azure")]
    subscriptions: Vec<AccountId>,
    /// Which of Microsoft's clouds; that of AZURE_AUTHORITY_HOST where none is named
    #[arg(long, value_enum, value_name = "NAME", requires = "azure")]
    azure_cloud: Option<CloudName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CloudName {
    Public,
    Government,
    China,
}

impl AzureArgs {
    /// Whether the other end can only be a simulator: Azure takes no plain HTTP.
    pub(crate) fn is_simulated(&self) -> bool {
        self.azure_endpoint.as_ref().is_some_and(|url| is_on_this_machine(url.as_str()))
    }

    pub(crate) async fn open(
        &self,
        clock: &Arc<dyn Clock>,
        addresses: Addresses,
    ) -> patchkit_core::Result<OpenedEstate> {
        let mut tenant = if self.is_simulated() {
            UpdateManager::builder(Arc::new(AnyToken))
        } else {
            UpdateManager::builder_from_env()?
        };
        tenant = tenant
            .with_clock(Arc::clone(clock))
            .with_subscriptions(self.subscriptions.iter().cloned());
        if let Some(url) = &self.azure_endpoint {
            tenant = tenant.with_endpoint(url.clone());
        }
        if let Some(cloud) = self.azure_cloud {
            tenant = tenant.with_cloud(match cloud {
                CloudName::Public => Cloud::Public,
                CloudName::Government => Cloud::Government,
                CloudName::China => Cloud::China,
            });
        }
        Box::pin(Subscriptions::new().with_addresses(addresses).with_tenant("azure", tenant).open())
            .await
    }
}

/// A simulator takes any token.
#[derive(Debug)]
struct AnyToken;

#[async_trait]
impl TokenCredential for AnyToken {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let ends = OffsetDateTime::now_utc() + Duration::days(3_650);
        Ok(AccessToken::new("simulated", ends))
    }
}
