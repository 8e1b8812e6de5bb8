//! Accounts and Regions as one estate.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_types::sdk_config::TimeSource;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use patchkit_aws::{Accounts, CallBudget, OpenedEstate, Ssm};
use patchkit_core::{
    AccountId, ComplianceReport, ErrorKind, Fleet, NodeId, NodeSelector, Region, VirtualClock,
};
use patchkit_testkit::cloud::{
    Denial, Fault, FaultKind, NodeSpec, Throttles, World, WorldBuilder, s3::SignatureChecks,
};

use crate::support::sdk;

const ACCOUNTS: [&str; 3] = ["111122223333", "222233334444", "333344445555"];
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

fn three_by_two() -> WorldBuilder {
    let world = World::builder().seed(7).nodes(0).throttles(Throttles::Off);
    let world = ACCOUNTS.iter().fold(world, |world, id| world.aws_account(*id));
    REGIONS.iter().fold(world, |world, name| world.aws_region(*name))
}

/// A world with two instances in each scope.
async fn peopled(world: WorldBuilder) -> Arc<World> {
    let world = Arc::new(world.start().await.unwrap());
    for account in ACCOUNTS {
        for region in REGIONS {
            for _ in 0..2 {
                let ubuntu = patchkit_core::OperatingSystem::Ubuntu;
                world.add_node(&NodeSpec::ec2(ubuntu, account, region)).unwrap();
            }
        }
    }
    world
}

fn accounts(ids: &[&str]) -> Vec<AccountId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

fn regions(names: &[&str]) -> Vec<Region> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn on(world: &Arc<World>, sdk: &SdkConfig) -> Accounts {
    let ssm = Ssm::builder(sdk)
        .with_s3_endpoint(&world.endpoints().s3_endpoint)
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited());
    Accounts::from_builder(ssm).with_role("patchkit")
}

fn all_of(world: &Arc<World>) -> Accounts {
    on(world, &sdk(world, REGIONS[0])).with_accounts(accounts(&ACCOUNTS))
}

async fn ids(opened: &OpenedEstate) -> Vec<NodeId> {
    let nodes = opened.estate.nodes(&NodeSelector::all());
    nodes.map_ok(|node| node.id).try_collect().await.unwrap()
}

fn scopes(opened: &OpenedEstate) -> Vec<String> {
    opened.estate.scopes().map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_node_of_every_scope_is_listed_once() {
    let world = peopled(three_by_two()).await;
    let opened = all_of(&world).with_regions(regions(&REGIONS)).open().await.unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    assert_eq!(opened.scopes.len(), 6);
    let listed = ids(&opened).await;
    let names: BTreeSet<String> = listed.iter().map(|id| id.name().to_owned()).collect();
    assert_eq!(names, world.node_ids().into_iter().collect());
    assert_eq!(listed.len(), names.len());
    let each = listed.iter().fold(BTreeMap::<_, usize>::new(), |mut each, id| {
        *each.entry(id.scope().to_string()).or_default() += 1;
        each
    });
    assert_eq!(each.len(), 6);
    assert!(each.values().all(|nodes| *nodes == 2), "{each:?}");
}

#[tokio::test]
async fn a_role_is_assumed_once_for_all_regions_and_services_of_its_account() {
    let world = peopled(three_by_two()).await;
    let opened = all_of(&world).with_regions(regions(&REGIONS)).open().await.unwrap();
    ids(&opened).await;
    let known = opened.estate.summaries(&NodeSelector::all());
    known.try_collect::<Vec<_>>().await.unwrap();
    let calls = world.calls();
    let services: BTreeSet<_> = calls.iter().map(|call| call.service.clone()).collect();
    assert!(services.len() >= 3, "{services:?}");
    assert_eq!(calls.of("AssumeRole").len(), ACCOUNTS.len() - 1);
    assert_eq!(calls.of("GetCallerIdentity").len(), 1);
    assert_eq!(calls.of("DescribeRegions").len(), ACCOUNTS.len());
}

#[tokio::test]
async fn scopes_of_a_denied_account_are_rows_and_the_others_are_listed() {
    let world = peopled(three_by_two()).await;
    // An account that is not the world's has no role to assume.
    let opened = all_of(&world)
        .with_account("999988887777".parse().unwrap())
        .with_regions(regions(&REGIONS))
        .open()
        .await
        .unwrap();
    assert_eq!(ids(&opened).await.len(), 12);
    assert_eq!(opened.failures.len(), 2);
    for (failure, region) in opened.failures.iter().zip(REGIONS) {
        assert_eq!(failure.kind, ErrorKind::PermissionDenied);
        let text = failure.to_string();
        assert!(text.starts_with(&format!("not opened: aws/999988887777/{region}: ")), "{text}");
        assert!(text.contains("AssumeRole"), "{text}");
    }

    // Who may assume no role has his own account still.
    world.deny(Denial::of("sts:AssumeRole")).unwrap();
    let opened = all_of(&world).with_regions(regions(&REGIONS)).open().await.unwrap();
    assert_eq!(scopes(&opened), ["aws/111122223333/eu-west-1", "aws/111122223333/us-east-1"]);
    assert_eq!(opened.failures.len(), 4);
}

#[tokio::test]
async fn an_estate_of_nothing_is_an_error() {
    let world = Arc::new(three_by_two().start().await.unwrap());
    world.deny(Denial::of("sts:AssumeRole")).unwrap();
    let none = all_of(&world).without_accounts(accounts(&ACCOUNTS[..1])).open().await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let none = all_of(&world).without_accounts(accounts(&ACCOUNTS)).open().await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_region_that_is_not_enabled_is_a_row() {
    let world = Arc::new(three_by_two().start().await.unwrap());
    let wanted = regions(&["eu-west-1", "af-south-1"]);
    let opened = all_of(&world).with_regions(wanted.clone()).open().await.unwrap();
    assert_eq!(opened.scopes.len(), 3);
    let gone: Vec<_> = opened.failures.iter().map(|it| (it.region.clone(), it.kind)).collect();
    assert_eq!(gone, vec![(Some("af-south-1".parse().unwrap()), ErrorKind::NotFound); 3]);

    // Who may not ask which Regions there are is taken at his word.
    world.deny(Denial::of("ec2:DescribeRegions")).unwrap();
    let opened = all_of(&world).with_regions(wanted).open().await.unwrap();
    assert_eq!((opened.scopes.len(), opened.failures.len()), (6, 0));
    let none = all_of(&world).open().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn without_regions_they_are_those_that_are_enabled() {
    let world = peopled(three_by_two()).await;
    let opened = all_of(&world).open().await.unwrap();
    assert_eq!(scopes(&opened).len(), 6);
    assert_eq!(ids(&opened).await.len(), 12);
}

#[tokio::test]
async fn without_accounts_it_is_the_callers_own_and_no_role() {
    let world = peopled(three_by_two()).await;
    let opened = Accounts::from_sdk_config(&sdk(&world, REGIONS[0])).open().await.unwrap();
    assert_eq!(scopes(&opened), ["aws/111122223333/eu-west-1", "aws/111122223333/us-east-1"]);
    assert!(world.calls().of("AssumeRole").is_empty());
}

#[tokio::test]
async fn the_organization_names_the_accounts_page_by_page() {
    let world = World::builder().nodes(0).throttles(Throttles::Off).aws_region("eu-west-1");
    let many = (0..45).map(|n| format!("1000000000{n:02}"));
    let world = Arc::new(many.fold(world, WorldBuilder::aws_account).start().await.unwrap());
    let base = on(&world, &sdk(&world, REGIONS[0])).with_regions(regions(&REGIONS[..1]));
    let opened = base.clone().with_organization().open().await.unwrap();
    assert_eq!(opened.scopes.len(), 45);
    assert_eq!(world.calls().of("ListAccounts").len(), 3);
    assert_eq!(world.calls().of("AssumeRole").len(), 44);
    let left_out = accounts(&["100000000000", "100000000044"]);
    let opened = base.clone().with_organization().without_accounts(left_out).open().await.unwrap();
    assert_eq!(opened.scopes.len(), 43);
}

#[tokio::test]
async fn a_unit_names_the_accounts_in_it_and_below_it() {
    let world = Arc::new(three_by_two().start().await.unwrap());
    let sdk = sdk(&world, REGIONS[0]);
    let organizations = aws_sdk_organizations::Client::new(&sdk);
    let roots = organizations.list_roots().send().await.unwrap();
    let root = roots.roots()[0].id().unwrap();
    let units = organizations.list_organizational_units_for_parent().parent_id(root).send().await;
    let unit = units.unwrap().organizational_units()[0].id().unwrap().to_owned();
    let base = on(&world, &sdk).with_regions(regions(&REGIONS[..1]));
    let opened = base.clone().with_unit(root).open().await.unwrap();
    assert_eq!(opened.scopes.len(), 3);
    let opened = base.with_unit(unit).open().await.unwrap();
    assert_eq!(scopes(&opened), ["aws/222233334444/eu-west-1", "aws/333344445555/eu-west-1"]);
}

#[tokio::test]
async fn external_id_and_session_name_arrive() {
    let world = peopled(three_by_two().signature_checks(SignatureChecks::On)).await;
    trust(&world, ACCOUNTS[1], "hush").await;
    world.forget_calls();
    let two = || on(&world, &sdk(&world, REGIONS[0])).with_accounts(accounts(&ACCOUNTS[..2]));
    let refused = two().with_external_id("wrong").open().await.unwrap();
    assert_eq!(refused.scopes.len(), 2);
    assert!(!refused.failures[0].error.contains("wrong"), "{}", refused.failures[0]);

    let named = two().with_external_id("hush").with_session_name("patch-night").open().await;
    let opened = named.unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    ids(&opened).await;
    let theirs = "arn:aws:sts::222233334444:assumed-role/patchkit/patch-night";
    assert!(!world.calls().of("DescribeInstances").of_caller(theirs).is_empty());

    let opened = two().with_external_id("hush").open().await.unwrap();
    ids(&opened).await;
    let caller = &world.endpoints().credentials[0].caller;
    let who = caller.rsplit(['/', ':']).next().unwrap();
    let theirs = format!("arn:aws:sts::222233334444:assumed-role/patchkit/patchkit-{who}");
    assert!(!world.calls().of("DescribeInstances").of_caller(&theirs).is_empty());
}

/// Makes the role `patchkit` in an account, that trusts whoever has the external id.
async fn trust(world: &World, account: &str, external_id: &str) {
    let key = world.add_caller(account, "seeder").unwrap();
    let keys = aws_credential_types::Credentials::new(
        &key.access_key_id,
        &key.secret_access_key,
        None,
        None,
        "test",
    );
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
    let theirs = sdk(world, REGIONS[0]).to_builder().credentials_provider(provider).build();
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "*"}},
        "Action": "sts:AssumeRole",
        "Condition": {{"StringEquals": {{"sts:ExternalId": "{external_id}"}}}}}}]}}"#
    );
    let role = aws_sdk_iam::Client::new(&theirs).create_role().role_name("patchkit");
    role.assume_role_policy_document(policy).send().await.unwrap();
}

fn since_epoch(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.as_second()).unwrap())
}

#[derive(Debug)]
struct WorldTime(Arc<World>);

impl TimeSource for WorldTime {
    fn now(&self) -> SystemTime {
        since_epoch(self.0.now())
    }
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends() {
    let start = "2026-11-24T02:00:00Z".parse().unwrap();
    let world = peopled(three_by_two().start_at(start)).await;
    // The SDK looks at the world's clock, and renews in time.
    let sdk = sdk(&world, REGIONS[0]).to_builder().time_source(WorldTime(Arc::clone(&world)));
    let opened = on(&world, &sdk.build()).with_accounts(accounts(&ACCOUNTS));
    let opened = opened.with_regions(regions(&REGIONS)).open().await.unwrap();
    for hours in 1..4 {
        assert_eq!(ids(&opened).await.len(), 12);
        assert_eq!(world.calls().of("AssumeRole").len(), 2 * hours);
        world.advance(Duration::from_secs(3_595));
    }
    assert!(world.calls().iter().all(|call| call.error.is_none()));
}

#[tokio::test]
async fn a_session_is_renewed_by_the_clock_that_patchkit_is_given() {
    let start = "2026-11-24T02:00:00Z".parse().unwrap();
    let world = peopled(three_by_two().start_at(start)).await;
    let early = Fixed(since_epoch(start));
    let sdk = sdk(&world, REGIONS[0]).to_builder().time_source(early).build();
    let opened = on(&world, &sdk).with_accounts(accounts(&ACCOUNTS));
    let opened = opened.with_regions(regions(&REGIONS)).open().await.unwrap();
    for hours in 1..4 {
        assert_eq!(ids(&opened).await.len(), 12);
        assert_eq!(world.calls().of("AssumeRole").len(), 2 * hours);
        world.advance(Duration::from_secs(3_595));
    }
    assert!(world.calls().iter().all(|call| call.error.is_none()));
}

#[tokio::test]
async fn a_clock_by_which_new_credentials_have_ended_is_not_asked_again() {
    let start = "2026-11-24T02:00:00Z".parse().unwrap();
    let world = peopled(three_by_two().start_at(start)).await;
    let early = Fixed(since_epoch(start));
    let sdk = sdk(&world, REGIONS[0]).to_builder().time_source(early).build();
    let late = VirtualClock::manual("2036-01-01T00:00:00Z".parse().unwrap());
    let ssm = Ssm::builder(&sdk).with_clock(late).with_budget(CallBudget::unlimited());
    let opened = Accounts::from_builder(ssm).with_role("patchkit");
    let opened = opened.with_accounts(accounts(&ACCOUNTS)).with_regions(regions(&REGIONS));
    let opened = opened.open().await.unwrap();
    assert_eq!(ids(&opened).await.len(), 12);
    assert_eq!(ids(&opened).await.len(), 12);
    assert_eq!(world.calls().of("AssumeRole").len(), 2 * 2);
}

#[tokio::test]
async fn a_session_that_ended_by_the_services_clock_is_renewed() {
    let start = "2026-11-24T02:00:00Z".parse().unwrap();
    let world = peopled(three_by_two().start_at(start)).await;
    // By the clocks on this side it lasts for ever: by the world's it ends after an hour.
    let retries = RetryConfig::standard().with_initial_backoff(Duration::ZERO);
    let early = Fixed(since_epoch(start));
    let sdk = sdk(&world, REGIONS[0]).to_builder().time_source(early).retry_config(retries).build();
    let ssm = Ssm::builder(&sdk)
        .with_clock(VirtualClock::manual(start))
        .with_budget(CallBudget::unlimited());
    let opened = Accounts::from_builder(ssm).with_role("patchkit");
    let opened = opened.with_accounts(accounts(&ACCOUNTS)).with_regions(regions(&REGIONS));
    let opened = opened.open().await.unwrap();
    assert_eq!(ids(&opened).await.len(), 12);
    world.advance(Duration::from_hours(2));
    assert_eq!(ids(&opened).await.len(), 12);
    let refused = world.calls().iter().filter(|it| it.error.is_some()).count();
    assert!(refused > 0, "no session ended");
}

#[derive(Debug)]
struct Fixed(SystemTime);

impl TimeSource for Fixed {
    fn now(&self) -> SystemTime {
        self.0
    }
}

#[tokio::test]
async fn a_role_that_is_denied_later_is_the_error_of_its_scopes_alone() {
    let start = "2026-11-24T02:00:00Z".parse().unwrap();
    let world = peopled(three_by_two().start_at(start)).await;
    let sdk = sdk(&world, REGIONS[0]).to_builder().time_source(WorldTime(Arc::clone(&world)));
    let opened = on(&world, &sdk.build()).with_accounts(accounts(&ACCOUNTS));
    let opened = opened.with_regions(regions(&REGIONS)).open().await.unwrap();
    world.deny(Denial::of("sts:AssumeRole")).unwrap();
    world.advance(Duration::from_hours(2));
    let rows: Vec<_> = opened.estate.nodes(&NodeSelector::all()).collect().await;
    let (listed, failed): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    assert_eq!(listed.len(), 4);
    let failed: BTreeMap<_, _> = failed
        .into_iter()
        .map(|row| row.unwrap_err())
        .map(|error| (error.scope().unwrap().to_string(), (error.kind(), error.operation())))
        .collect();
    assert_eq!(failed.len(), 4);
    let denied = (ErrorKind::PermissionDenied, "AssumeRole");
    assert!(failed.values().all(|it| *it == denied), "{failed:?}");
    assert!(failed.keys().all(|scope| !scope.contains(ACCOUNTS[0])), "{failed:?}");
}

#[tokio::test]
async fn a_scope_that_is_away_is_an_error_of_its_own() {
    let world = peopled(three_by_two()).await;
    let opened = all_of(&world).with_regions(regions(&REGIONS)).open().await.unwrap();
    let away = Fault::new(FaultKind::Away).in_scope("222233334444/us-east-1");
    world.add_fault(away).unwrap();
    let rows: Vec<_> = opened.estate.nodes(&NodeSelector::all()).collect().await;
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 10);
    let failed: Vec<_> = rows.into_iter().filter_map(Result::err).collect();
    assert!(
        failed.iter().all(|it| { it.scope().unwrap().to_string() == "aws/222233334444/us-east-1" })
    );
    assert!(!failed.is_empty());
}

#[tokio::test]
async fn a_role_is_needed_where_an_account_is_not_the_callers() {
    let world = Arc::new(three_by_two().start().await.unwrap());
    let none = Accounts::from_sdk_config(&sdk(&world, REGIONS[0]))
        .with_accounts(accounts(&ACCOUNTS))
        .open()
        .await;
    let error = none.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(world.calls().of("AssumeRole").is_empty());
}
