//! A simulated cloud and a provider on it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use jiff::Timestamp;
use patchkit_aws::{CallBudget, Ssm, SsmBuilder};
use patchkit_core::{Clock, NodeId};
use patchkit_testkit::cloud::{Behavior, World, WorldBuilder};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";

/// One account in one Region, whose machines install well and whose time only tests move.
pub(crate) fn one_scope(nodes: usize) -> WorldBuilder {
    World::builder()
        .seed(7)
        .aws_account(ACCOUNT)
        .aws_region(REGION)
        .nodes(nodes)
        .behavior(Behavior::Well)
        .throttles(patchkit_testkit::cloud::Throttles::Off)
}

/// The configuration of an embedder who speaks with the first account of `world`, and whose SDK
/// retries nothing: a test sees every attempt.
pub(crate) fn sdk(world: &World, region: &'static str) -> SdkConfig {
    let ends = world.endpoints();
    let key = &ends.credentials[0];
    let keys = Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::from_static(region))
        .endpoint_url(&ends.aws_endpoint)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .retry_config(RetryConfig::disabled())
        .build()
}

/// A builder on the world's clock and endpoints, without a budget.
pub(crate) fn builder(world: &Arc<World>) -> SsmBuilder {
    Ssm::builder(&sdk(world, REGION))
        .with_s3_endpoint(&world.endpoints().s3_endpoint)
        .with_clock(WorldTime(Arc::clone(world)))
        .with_budget(CallBudget::unlimited())
}

pub(crate) async fn ssm(world: &Arc<World>) -> Ssm {
    builder(world).build().await.unwrap()
}

pub(crate) fn node(id: &str) -> NodeId {
    format!("aws/{ACCOUNT}/{REGION}/{id}").parse().unwrap()
}

/// The world's time: whoever sleeps moves it.
#[derive(Clone)]
pub(crate) struct WorldTime(pub(crate) Arc<World>);

impl fmt::Debug for WorldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldTime")
    }
}

#[async_trait]
impl Clock for WorldTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
        tokio::task::yield_now().await;
    }
}
