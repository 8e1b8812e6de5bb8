//! A simulated Azure, and the provider of its one subscription.

use azure_core::http::{ClientOptions, RetryOptions};
use futures::{TryStreamExt, stream::BoxStream};
use patchkit_azure::{CallBudget, UpdateManager, UpdateManagerBuilder};
use patchkit_core::{NodeId, OperatingSystem, Result};
use patchkit_testkit::cloud::{NodeSpec, Throttles, World, WorldBuilder, s3::SignatureChecks};

use crate::credential::Application;

pub(crate) const SUBSCRIPTION: &str = "5b1c0ffe-0000-4000-8000-000000000001";
pub(crate) const GROUP: &str = "web";
pub(crate) const APPLICATION: &str = "00000000-0000-4000-8000-0000000000f1";

/// A world of one subscription, whose provider lists five rows on a page and retries nothing.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) world: World,
    pub(crate) azure: UpdateManager,
}

impl Cloud {
    /// Without a machine.
    pub(crate) async fn empty() -> Self {
        Self::of(builder().nodes(0)).await
    }

    pub(crate) async fn of(builder: WorldBuilder) -> Self {
        let world = builder.start().await.unwrap();
        let azure = provider(&world).build().unwrap();
        Self { world, azure }
    }

    pub(crate) fn add(&self, spec: &NodeSpec) -> NodeId {
        node(&self.world.add_node(spec).unwrap())
    }

    pub(crate) fn vm(&self) -> NodeId {
        self.add(&vm())
    }

    /// How many requests of an operation came.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.world.calls().of(operation).len()
    }
}

pub(crate) fn builder() -> WorldBuilder {
    World::builder()
        .seed(7)
        .azure_subscription(SUBSCRIPTION)
        .signature_checks(SignatureChecks::On)
        .throttles(Throttles::Off)
}

pub(crate) fn vm() -> NodeSpec {
    NodeSpec::vm(OperatingSystem::Ubuntu, SUBSCRIPTION, GROUP)
}

pub(crate) fn arc() -> NodeSpec {
    NodeSpec::arc(OperatingSystem::Ubuntu, SUBSCRIPTION, GROUP)
}

/// A builder on the world's clock and endpoint, without a budget and without retries: a test sees
/// every attempt.
pub(crate) fn provider(world: &World) -> UpdateManagerBuilder {
    let once = ClientOptions { retry: RetryOptions::none(), ..ClientOptions::default() };
    UpdateManager::builder(Application::new(world, APPLICATION))
        .with_subscriptions([SUBSCRIPTION.parse().unwrap()])
        .with_endpoint(world.endpoints().azure_endpoint.parse().unwrap())
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited())
        .with_page_size(5)
        .with_client_options(once)
}

/// The node of a resource in the place where new groups are.
pub(crate) fn node(resource: &str) -> NodeId {
    format!("azure/{SUBSCRIPTION}/westeurope/{resource}").parse().unwrap()
}

pub(crate) async fn all<T>(listing: BoxStream<'static, Result<T>>) -> Result<Vec<T>> {
    listing.try_collect().await
}
