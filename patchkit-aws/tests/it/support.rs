//! A simulated cloud and a provider on it.

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use patchkit_aws::{CallBudget, Ssm, SsmBuilder};
use patchkit_core::{Clock, NodeId, SystemClock};
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
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited())
}

pub(crate) async fn ssm(world: &Arc<World>) -> Ssm {
    builder(world).build().await.unwrap()
}

pub(crate) fn node(id: &str) -> NodeId {
    format!("aws/{ACCOUNT}/{REGION}/{id}").parse().unwrap()
}

/// A name that nobody else has, who tests on the same server.
pub(crate) fn unique(what: &str) -> String {
    format!("{what}-{:x}", SystemClock.now().as_nanosecond())
}
