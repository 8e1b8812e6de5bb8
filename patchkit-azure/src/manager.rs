//! The provider of some subscriptions.

use std::{env, fmt, sync::Arc};

use azure_core::credentials::TokenCredential;
use patchkit_core::{AccountId, Result};

use crate::{
    BaselineHome, Cloud, UpdateManagerBuilder, baseline::Choice, client::Client, credential,
    error::invalid, fleet::Schedules, operation::Operations,
};

/// Azure Update Manager, and what it needs of Compute, Arc and Resource Graph, in some subscriptions
/// of one tenant and all their locations.
///
/// A node's scope is `azure/<subscription>/<location>`, and its id the one that Resource Manager has.
/// A clone is a handle to the same connections, token and [budget](crate::CallBudget).
#[derive(Clone)]
pub struct UpdateManager {
    pub(crate) client: Arc<Client>,
    pub(crate) home: Option<Arc<BaselineHome>>,
    pub(crate) choice: Choice,
    pub(crate) operations: Operations,
    pub(crate) schedules: Schedules,
}

impl UpdateManager {
    pub(crate) fn new(client: Client, home: Option<BaselineHome>, choice: Choice) -> Self {
        Self {
            client: Arc::new(client),
            home: home.map(Arc::new),
            choice,
            operations: Operations::default(),
            schedules: Schedules::default(),
        }
    }

    /// Makes a provider piece by piece.
    pub fn builder(credential: Arc<dyn TokenCredential>) -> UpdateManagerBuilder {
        UpdateManagerBuilder::new(credential)
    }

    /// Makes a provider piece by piece, beginning with the usual environment: a client's secret, a
    /// workload's or a machine's identity, or whoever has logged in with Azure's command line; the
    /// cloud of `AZURE_AUTHORITY_HOST`. Subscriptions are still to be named.
    ///
    /// # Errors
    /// `InvalidInput` where the environment contradicts itself.
    pub fn builder_from_env() -> Result<UpdateManagerBuilder> {
        let authority = env::var("AZURE_AUTHORITY_HOST").unwrap_or_default();
        Ok(Self::builder(credential::from_env()?).with_cloud(cloud_of(&authority)?))
    }

    /// The provider for the usual environment, that of [`builder_from_env`](Self::builder_from_env),
    /// and the subscriptions of `AZURE_SUBSCRIPTION_ID`, with commas between them.
    ///
    /// # Errors
    /// `InvalidInput` where no subscription is named, or the environment contradicts itself.
    pub fn from_env() -> Result<Self> {
        let named = env::var("AZURE_SUBSCRIPTION_ID").unwrap_or_default();
        let ids = named.split(',').map(str::trim).filter(|id| !id.is_empty());
        let subscriptions = ids.map(AccountId::new).collect::<Result<Vec<_>>>()?;
        if subscriptions.is_empty() {
            return Err(invalid("from_env", "AZURE_SUBSCRIPTION_ID names no subscription"));
        }
        Self::builder_from_env()?.with_subscriptions(subscriptions).build()
    }

    /// The subscriptions, as they were named.
    pub fn subscriptions(&self) -> Vec<AccountId> {
        self.client.subscriptions().cloned().collect()
    }
}

/// The cloud of an authority.
fn cloud_of(authority: &str) -> Result<Cloud> {
    let host = authority.trim_start_matches("https://").trim_end_matches('/');
    match host {
        "" | "login.microsoftonline.com" => Ok(Cloud::Public),
        "login.microsoftonline.us" => Ok(Cloud::Government),
        "login.chinacloudapi.cn" | "login.partner.microsoftonline.cn" => Ok(Cloud::China),
        _ => Err(invalid(
            "from_env",
            "AZURE_AUTHORITY_HOST is of no known cloud: use the builder, and name the endpoint",
        )),
    }
}

impl fmt::Debug for UpdateManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscriptions: Vec<&AccountId> = self.client.subscriptions().collect();
        f.debug_tuple("UpdateManager").field(&subscriptions).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_names_its_cloud() {
        for (authority, cloud) in [
            ("", Some(Cloud::Public)),
            ("https://login.microsoftonline.com/", Some(Cloud::Public)),
            ("https://login.microsoftonline.us", Some(Cloud::Government)),
            ("https://login.chinacloudapi.cn/", Some(Cloud::China)),
            ("https://login.example.com/", None),
        ] {
            assert_eq!(cloud_of(authority).ok(), cloud, "{authority}");
        }
    }
}
