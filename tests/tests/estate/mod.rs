//! The reference case: two simulated clouds that share machines, and estates over both.

use std::{sync::Arc, time::Duration as StdDuration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_credential_types::Credentials;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{ClientOptions, RetryOptions},
    time::{Duration, OffsetDateTime},
};
use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_azure::{Addresses, CallBudget as AzureBudget, Subscriptions, UpdateManager};
use patchkit_core::{
    Amount, Clock, Estate, LinkedFleet, NodeSelector, PowerState, Result, Rollout, Wave,
    WaveMembers, workflow::PatchOptions,
};
use patchkit_testkit::cloud::{Endpoints, Throttles, World, WorldBuilder};

const ACCOUNTS: [&str; 3] = ["111122223333", "222233334444", "333344445555"];
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const SUBSCRIPTIONS: [&str; 2] =
    ["5b1c0ffe-0000-4000-8000-000000000001", "5b1c0ffe-0000-4000-8000-000000000002"];

/// Three accounts in two Regions, and two subscriptions, with about so many machines.
pub(crate) fn world(machines: usize) -> WorldBuilder {
    let world = World::builder().seed(11).nodes(machines).throttles(Throttles::Off);
    let world = ACCOUNTS.iter().fold(world, |world, id| world.aws_account(*id));
    let world = REGIONS.iter().fold(world, |world, name| world.aws_region(*name));
    SUBSCRIPTIONS.iter().fold(world, |world, id| world.azure_subscription(*id))
}

/// Everything that is off is started, a fifth of the fleet goes first, and no failure stops the run.
pub(crate) fn options() -> PatchOptions {
    let rollout = Rollout::new()
        .with_wave(Wave::new("canary", WaveMembers::Amount(Amount::Percent(20))))
        .with_wave(Wave::new("fleet", WaveMembers::Rest))
        .with_disruption(Amount::Percent(50))
        .with_errors(Amount::Percent(100));
    let everything_off =
        NodeSelector::all().with_power([PowerState::Stopped, PowerState::Deallocated]);
    PatchOptions::new(NodeSelector::all()).with_start(everything_off).with_rollout(rollout)
}

/// An estate, and why what is not in it is not.
type Opened = Result<(Estate, Vec<String>)>;

/// The accounts' Regions.
pub(crate) async fn aws(endpoints: &Endpoints, clock: impl Clock) -> Opened {
    let key = &endpoints.credentials[0];
    let keys = Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "tests");
    let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGIONS[0]))
        .endpoint_url(&endpoints.aws_endpoint)
        .credentials_provider(keys)
        // SDKs wait by the machine's clock, of which a world of virtual time has none to spare.
        .retry_config(RetryConfig::standard().with_max_backoff(StdDuration::from_millis(20)))
        .load()
        .await;
    let ssm = Ssm::builder(&sdk)
        .with_s3_endpoint(&endpoints.s3_endpoint)
        .with_clock(clock)
        .with_budget(CallBudget::unlimited());
    let opened = Accounts::from_builder(ssm)
        .with_role("patchkit")
        .with_accounts(ACCOUNTS.iter().map(|id| id.parse().unwrap()))
        .with_regions(REGIONS.iter().map(|name| name.parse().unwrap()))
        .open()
        .await?;
    let failures = opened.failures.iter().map(|failure| format!("{failure:?}"));
    Ok((opened.estate, failures.collect()))
}

/// The subscriptions.
pub(crate) async fn azure(endpoints: &Endpoints, clock: impl Clock) -> Opened {
    let tenant = UpdateManager::builder(Arc::new(AnyToken))
        .with_endpoint(endpoints.azure_endpoint.parse().unwrap())
        .with_subscriptions(SUBSCRIPTIONS.iter().map(|id| id.parse().unwrap()))
        .with_clock(clock)
        .with_client_options(ClientOptions { retry: RetryOptions::none(), ..Default::default() })
        .with_budget(AzureBudget::unlimited());
    // A machine that both clouds know and that no tag links shows by its name and address alone.
    let subscriptions = Subscriptions::new().with_addresses(Addresses::OfInterfaces);
    let opened = subscriptions.with_tenant("tests", tenant).open().await?;
    let failures = opened.failures.iter().map(|failure| format!("{failure:?}"));
    Ok((opened.estate, failures.collect()))
}

/// One fleet over all of them, every one of which can be reached.
pub(crate) async fn fleet(endpoints: &Endpoints, clock: impl Clock + Clone) -> LinkedFleet {
    let (aws, no_aws) = aws(endpoints, clock.clone()).await.unwrap();
    let (azure, no_azure) = azure(endpoints, clock).await.unwrap();
    assert!(no_aws.is_empty() && no_azure.is_empty(), "{no_aws:?} {no_azure:?}");
    LinkedFleet::new(aws, azure)
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
