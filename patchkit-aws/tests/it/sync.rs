//! Resource data syncs: making, listing and judging them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use futures::{StreamExt, TryStreamExt};
use patchkit_aws::{
    CallBudget, LakeDestination, LakeExpectation, LakeFinding, LakeSharing, LakeState,
    LakeSyncCreation, Ssm, SyncStatus,
};
use patchkit_core::{ErrorKind, Estate, Region, Scope};
use patchkit_testkit::cloud::{Denial, Fault, FaultKind, World};

use crate::support::{builder, one_scope, ssm};

const HOUR: Duration = Duration::from_hours(1);

fn lake() -> LakeDestination {
    LakeDestination::new("central-lake", Region::new("us-east-1").unwrap()).with_prefix("inventory")
}

fn expected() -> LakeExpectation {
    LakeExpectation::new(lake())
}

async fn world() -> Arc<World> {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    world.ensure_bucket("central-lake").unwrap();
    world
}

/// The providers of every account and Region of a world.
async fn scopes(world: &Arc<World>, regions: [&'static str; 2]) -> Vec<Ssm> {
    let mut all = Vec::new();
    for key in &world.endpoints().credentials {
        for region in regions {
            let keys =
                Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test");
            let sdk = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(aws_config::Region::from_static(region))
                .endpoint_url(&world.endpoints().aws_endpoint)
                .credentials_provider(SharedCredentialsProvider::new(keys))
                .retry_config(RetryConfig::disabled())
                .build();
            let builder = Ssm::builder(&sdk).with_clock(world.clock());
            all.push(builder.with_budget(CallBudget::unlimited()).build().await.unwrap());
        }
    }
    all
}

async fn check(ssm: &Ssm) -> LakeFinding {
    ssm.check_lake(&expected()).await.unwrap()
}

#[tokio::test]
async fn a_sync_is_made_once_and_reads_back_as_it_was_made() {
    let world = world().await;
    let ssm = ssm(&world).await;
    assert_eq!(check(&ssm).await.state, LakeState::Missing);
    let made = ssm.create_lake_sync("central", &lake()).await.unwrap();
    assert_eq!(made, LakeSyncCreation::Made);
    let again = ssm.create_lake_sync("central", &lake()).await.unwrap();
    assert_eq!(again, LakeSyncCreation::AlreadyThere);
    let syncs: Vec<_> = ssm.lake_syncs().try_collect().await.unwrap();
    assert_eq!(syncs.len(), 1);
    assert_eq!(syncs[0].destination.as_ref(), Some(&lake()));
    ssm.delete_lake_sync("central").await.unwrap();
    let gone = ssm.delete_lake_sync("central").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
}

#[tokio::test]
async fn a_sync_of_the_same_name_to_another_place_is_a_conflict() {
    let world = world().await;
    let ssm = ssm(&world).await;
    ssm.create_lake_sync("central", &lake()).await.unwrap();
    let other = lake().with_prefix("elsewhere");
    let error = ssm.create_lake_sync("central", &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("the prefix is \"inventory\""), "{error}");
    let finding = ssm.check_lake(&LakeExpectation::new(other)).await.unwrap();
    assert!(matches!(finding.state, LakeState::Different { .. }), "{finding:?}");
}

#[tokio::test]
async fn a_sync_of_the_organization_reads_back_so() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let shared = lake().with_sharing(LakeSharing::Organization);
    ssm.create_lake_sync("central", &shared).await.unwrap();
    let syncs: Vec<_> = ssm.lake_syncs().try_collect().await.unwrap();
    assert_eq!(syncs[0].destination.as_ref(), Some(&shared));
}

#[tokio::test]
async fn a_sync_is_current_until_its_last_success_is_too_long_ago() {
    let world = world().await;
    let ssm = ssm(&world).await;
    ssm.create_lake_sync("central", &lake()).await.unwrap();
    world.advance(Duration::from_mins(10));
    let finding = check(&ssm).await;
    assert!(finding.is_current(), "{finding:?}");
    assert_eq!(finding.sync.unwrap().status, Some(SyncStatus::Successful));
    // Nothing changes in the Region: what was written grows old.
    for node in world.node_ids() {
        let off = patchkit_testkit::cloud::NodeChange::new()
            .with_agent(patchkit_testkit::cloud::Agent::ConnectionLost);
        world.change_node(&node, &off);
    }
    world.advance(48 * HOUR);
    let finding = check(&ssm).await;
    let LakeState::Stale { age: Some(age) } = finding.state else { panic!("{finding:?}") };
    assert!(age.as_hours() >= 24, "{age}");
    let patient = expected().with_max_age(100 * HOUR);
    assert!(ssm.check_lake(&patient).await.unwrap().is_current());
}

#[tokio::test]
async fn five_syncs_to_other_buckets_leave_no_place() {
    let world = world().await;
    let ssm = ssm(&world).await;
    for n in 0..5 {
        let bucket = format!("other-{n}");
        world.ensure_bucket(&bucket).unwrap();
        let to = LakeDestination::new(bucket, Region::new("us-east-1").unwrap());
        ssm.create_lake_sync(&format!("sync-{n}"), &to).await.unwrap();
    }
    let finding = check(&ssm).await;
    assert_eq!((finding.state, finding.others.len()), (LakeState::NoPlaceLeft, 5));
    let error = ssm.create_lake_sync("central", &lake()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().contains("ResourceDataSyncCountExceeded"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_cannot_be_written_to_is_refused() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let error = ssm(&world).await.create_lake_sync("central", &lake()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn a_lost_answer_to_the_making_of_a_sync_is_resolved_by_reading() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let create = "CreateResourceDataSync";
    world.add_fault(Fault::new(FaultKind::CutAfter).on(create).times(1)).unwrap();
    let made = ssm.create_lake_sync("central", &lake()).await.unwrap();
    assert_eq!(made, LakeSyncCreation::Made);
    world.add_fault(Fault::new(FaultKind::CutBefore).on(create).times(1)).unwrap();
    let error = ssm.create_lake_sync("second", &lake()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{error}");
    assert_eq!(world.calls().of(create).len(), 2);
}

#[tokio::test]
async fn syncs_come_by_pages_once_each() {
    let world = world().await;
    let one_a_page = builder(&world).with_page_size(1).build().await.unwrap();
    for n in 0..3 {
        let to = lake().with_prefix(format!("p{n}"));
        one_a_page.create_lake_sync(&format!("sync-{n}"), &to).await.unwrap();
    }
    let syncs: Vec<_> = one_a_page.lake_syncs().try_collect().await.unwrap();
    assert_eq!(syncs.len(), 3);
    let fault = Fault::new(FaultKind::RepeatToken).on("ListResourceDataSync");
    world.add_fault(fault).unwrap();
    let error = one_a_page.lake_syncs().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
}

#[tokio::test]
async fn the_accounts_and_regions_that_do_not_sync_are_found() {
    let regions = ["eu-west-1", "us-east-1"];
    let mut making = World::builder().seed(7).nodes(60);
    for account in ["111122223333", "444455556666", "777788889999"] {
        making = making.aws_account(account);
    }
    for region in regions {
        making = making.aws_region(region);
    }
    let world = Arc::new(making.start().await.unwrap());
    world.ensure_bucket("central-lake").unwrap();
    let all = scopes(&world, regions).await;
    assert_eq!(all.len(), 6);
    for ssm in &all[1..] {
        ssm.create_lake_sync("central", &lake()).await.unwrap();
    }
    world.advance(Duration::from_mins(10));
    let denied = all[5].scope();
    let place = format!("{}/{}", denied.account(), denied.region());
    world.deny(Denial::of("ssm:ListResourceDataSync").in_scope(place)).unwrap();
    let mut estate = Estate::new().with_parallel(4);
    for ssm in &all {
        estate = estate.with([ssm.scope().clone()], Arc::new(ssm.clone()));
    }
    let of: BTreeMap<Scope, Ssm> = all.iter().map(|it| (it.scope().clone(), it.clone())).collect();
    let findings = estate.each(move |scope, _| {
        let ssm = of[&scope].clone();
        async move { ssm.check_lake(&expected()).await }
    });
    let answers: Vec<(Scope, patchkit_core::Result<LakeFinding>)> = findings.collect().await;
    assert_eq!(answers.len(), 6);
    for (scope, answer) in answers {
        if scope == *denied {
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::PermissionDenied);
        } else if scope == *all[0].scope() {
            assert_eq!(answer.unwrap().state, LakeState::Missing);
        } else {
            let finding = answer.unwrap();
            assert!(finding.is_current(), "{finding:?}");
        }
    }
}
