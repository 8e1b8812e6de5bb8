//! A simulated AWS, and the provider of its one account and Region.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::Credentials;
use futures::{TryStreamExt, stream::BoxStream};
use patchkit_aws::{CallBudget, Ssm};
use patchkit_core::Result;
use patchkit_testkit::cloud::{Throttles, World};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";

/// A world of one account and Region, whose provider lists five items on a page.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) world: World,
    pub(crate) sdk: SdkConfig,
    pub(crate) ssm: Ssm,
}

impl Cloud {
    pub(crate) async fn of(nodes: usize) -> Self {
        let world = World::builder()
            .aws_account(ACCOUNT)
            .aws_region(REGION)
            .nodes(nodes)
            .throttles(Throttles::Off)
            .start()
            .await
            .unwrap();
        let sdk = sdk(&world).await;
        let ssm = Ssm::builder(&sdk)
            .with_budget(CallBudget::unlimited())
            .with_page_size(5)
            .build()
            .await
            .unwrap();
        world.forget_calls();
        Self { world, sdk, ssm }
    }

    /// How many requests of an operation came.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.world.calls().of(operation).len()
    }

    /// The service itself, for what the provider has no words for.
    pub(crate) fn raw(&self) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.sdk)
    }

    pub(crate) fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.sdk)
    }

    /// The ids that begin so, of machines of either kind.
    pub(crate) fn ids(&self, prefix: &str) -> Vec<String> {
        let ids = self.world.node_ids().into_iter();
        ids.filter(|id| id.starts_with(prefix)).collect()
    }
}

/// The configuration of an embedder, in a hurry between tries.
pub(crate) async fn sdk(world: &World) -> SdkConfig {
    let endpoints = world.endpoints();
    let key = &endpoints.credentials[0];
    let credentials =
        Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "tests");
    let hurry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(5));
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .endpoint_url(&endpoints.aws_endpoint)
        .credentials_provider(credentials)
        .retry_config(hurry)
        .load()
        .await
}

pub(crate) async fn all<T>(listing: BoxStream<'static, Result<T>>) -> Result<Vec<T>> {
    listing.try_collect().await
}
