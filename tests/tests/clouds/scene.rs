//! Two simulated clouds that share machines, and one fleet over both.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    time::{Duration, OffsetDateTime},
};
use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_azure::{CallBudget as AzureBudget, Subscriptions, UpdateManager};
use patchkit_core::{Estate, LinkedFleet, memory::MemoryJournal, workflow::Runner};
use patchkit_testkit::cloud::{Throttles, World};

const ACCOUNTS: [&str; 3] = ["111122223333", "222233334444", "333344445555"];
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const SUBSCRIPTIONS: [&str; 2] =
    ["5b1c0ffe-0000-4000-8000-000000000001", "5b1c0ffe-0000-4000-8000-000000000002"];

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) fleet: LinkedFleet,
    pub(crate) runner: Runner,
}

impl Scene {
    /// Three accounts in two Regions, and two subscriptions, with about so many machines.
    pub(crate) async fn of(machines: usize) -> Self {
        let world = World::builder().seed(11).nodes(machines).throttles(Throttles::Off);
        let world = ACCOUNTS.iter().fold(world, |world, id| world.aws_account(*id));
        let world = REGIONS.iter().fold(world, |world, name| world.aws_region(*name));
        let world = SUBSCRIPTIONS.iter().fold(world, |world, id| world.azure_subscription(*id));
        let world = world.start().await.unwrap();
        let aws = aws(&world).await;
        let azure = azure(&world).await;
        let fleet = LinkedFleet::new(aws, azure);
        let clock = world.clock();
        let journal = MemoryJournal::new(clock.clone());
        let runner = Runner::new(fleet.clone(), fleet.clone(), journal, clock);
        Self { world, fleet, runner }
    }
}

async fn aws(world: &World) -> Estate {
    let endpoints = world.endpoints();
    let key = &endpoints.credentials[0];
    let keys = Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "tests");
    let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGIONS[0]))
        .endpoint_url(&endpoints.aws_endpoint)
        .credentials_provider(keys)
        .load()
        .await;
    let ssm = Ssm::builder(&sdk)
        .with_s3_endpoint(&endpoints.s3_endpoint)
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited());
    let opened = Accounts::from_builder(ssm)
        .with_role("patchkit")
        .with_accounts(ACCOUNTS.iter().map(|id| id.parse().unwrap()))
        .with_regions(REGIONS.iter().map(|name| name.parse().unwrap()))
        .open()
        .await
        .unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    opened.estate
}

async fn azure(world: &World) -> Estate {
    let tenant = UpdateManager::builder(Arc::new(AnyToken))
        .with_endpoint(world.endpoints().azure_endpoint.parse().unwrap())
        .with_subscriptions(SUBSCRIPTIONS.iter().map(|id| id.parse().unwrap()))
        .with_clock(world.clock())
        .with_budget(AzureBudget::unlimited());
    let opened = Subscriptions::new().with_tenant("tests", tenant).open().await.unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    opened.estate
}

/// The simulator takes any token, unless it is told otherwise.
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
