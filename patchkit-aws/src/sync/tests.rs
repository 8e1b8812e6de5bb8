//! How a sync is judged, and what is asked of one that is to be made.

use super::*;

fn now() -> Timestamp {
    "2026-11-25T04:00:00Z".parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields have it")]
fn ago(hours: i64) -> Option<Timestamp> {
    Some(now() - SignedDuration::from_hours(hours))
}

fn lake() -> LakeDestination {
    LakeDestination::new("lake", "eu-west-1".parse().unwrap()).with_prefix("all")
}

fn sync(status: Option<SyncStatus>, succeeded_at: Option<Timestamp>) -> LakeSync {
    LakeSync {
        name: "central".to_owned(),
        direction: SyncDirection::ToDestination,
        destination: Some(lake()),
        status,
        message: None,
        created_at: ago(100),
        tried_at: None,
        succeeded_at,
    }
}

fn judged(syncs: Vec<LakeSync>) -> LakeState {
    let scope = "aws/111122223333/eu-west-1".parse().unwrap();
    judge(scope, syncs, &LakeExpectation::new(lake()), now()).state
}

#[test]
fn a_sync_is_judged_by_its_last_success_and_its_last_attempt() {
    let day = Some(SignedDuration::from_hours(25));
    let hour = SignedDuration::from_hours(1);
    for (status, succeeded, state) in [
        (Some(SyncStatus::Successful), ago(1), LakeState::Current { age: hour }),
        (Some(SyncStatus::InProgress), ago(1), LakeState::Current { age: hour }),
        (Some(SyncStatus::Successful), ago(25), LakeState::Stale { age: day }),
        (Some(SyncStatus::InProgress), ago(25), LakeState::Stale { age: day }),
        (Some(SyncStatus::InProgress), None, LakeState::Stale { age: None }),
        (Some(SyncStatus::Successful), None, LakeState::Unknown),
        (Some(SyncStatus::Other("Paused".into())), ago(1), LakeState::Unknown),
        (None, ago(1), LakeState::Unknown),
        (
            Some(SyncStatus::Failed),
            ago(1),
            LakeState::Failed { message: String::new(), age: Some(hour) },
        ),
    ] {
        let given = sync(status, succeeded);
        assert_eq!(judged(vec![given.clone()]), state, "{given:?}");
    }
    let young = LakeSync { created_at: ago(1), ..sync(None, None) };
    assert_eq!(judged(vec![young]), LakeState::Starting);
}

#[test]
fn a_success_of_a_clock_ahead_of_ours_has_no_age() {
    let ahead = sync(Some(SyncStatus::Successful), ago(-1));
    assert_eq!(judged(vec![ahead]), LakeState::Current { age: SignedDuration::ZERO });
}

#[test]
fn of_several_syncs_the_one_that_does_best_counts() {
    let failed = sync(Some(SyncStatus::Failed), None);
    let good = sync(Some(SyncStatus::Successful), ago(1));
    let state = judged(vec![failed, good]);
    assert!(matches!(state, LakeState::Current { .. }), "{state:?}");
}

#[test]
fn a_sync_into_another_folder_of_the_bucket_is_another() {
    let mut other = sync(Some(SyncStatus::Successful), ago(1));
    other.destination = Some(LakeDestination { prefix: Some("old".to_owned()), ..lake() });
    let state = judged(vec![other.clone()]);
    assert!(matches!(&state, LakeState::Different { why } if why.len() == 1), "{state:?}");
    other.destination = Some(LakeDestination { prefix: Some("all/".to_owned()), ..lake() });
    assert!(matches!(judged(vec![other]), LakeState::Current { .. }));
}

#[test]
fn what_is_written_reads_back_the_same() {
    let to = lake().with_kms_key("arn:aws:kms:eu-west-1:111122223333:key/1");
    for sharing in
        [LakeSharing::Named, LakeSharing::Organization, LakeSharing::Other("Galaxy".into())]
    {
        let to = to.clone().with_sharing(sharing);
        assert_eq!(read_destination(&written(&to).unwrap()).unwrap(), to);
    }
}
