//! State Manager associations: what is made is what was meant, once, and it is applied.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use patchkit_aws::{
    CommandOptions, CommandTarget, FirstRun, OutputBucket, PatchAssociation, PatchTask,
    ScheduleTarget, Ssm,
};
use patchkit_core::{
    Amount, ComplianceLevel, ErrorKind, FleetExt, NodeId, NodeSelector, PatchAction, PowerState,
    RebootPolicy, Schedule,
};
use patchkit_testkit::cloud::{Fault, FaultKind, World};

use crate::support::{one_scope, ssm};

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap()
}

fn simple(name: &str) -> PatchAssociation {
    let web = ScheduleTarget::patch_group("web");
    PatchAssociation::new(name, web, PatchTask::new(PatchAction::Scan))
        .with_schedule(schedule("cron(15 4 ? * * *)"))
}

async fn answering(world: &World, ssm: &Ssm, count: usize) -> Vec<NodeId> {
    let running = NodeSelector::all().with_power([PowerState::Running]);
    let nodes = ssm.collect_nodes(&running).await.unwrap();
    let answers = |id: &NodeId| world.node(id.resource()).unwrap().answers;
    let ids: Vec<NodeId> = nodes.into_iter().map(|it| it.id).filter(answers).take(count).collect();
    assert_eq!(ids.len(), count);
    ids
}

#[tokio::test]
async fn an_association_is_read_back_as_it_was_made() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = answering(&world, &ssm, 2).await;
    let logs = OutputBucket::new("patch-logs").with_prefix("scans").with_region("eu-west-1");
    let associations = [
        simple("scan-web"),
        PatchAssociation::new(
            "patch_app.A-1",
            ScheduleTarget::matching([
                CommandTarget::tag("Patch Group", ["app"]),
                CommandTarget::tag_key(["Owner"]),
            ]),
            PatchTask::new(PatchAction::Install(RebootPolicy::Never))
                .with_options(CommandOptions::default().with_output(logs))
                .with_concurrency(Amount::Percent(10))
                .with_max_errors(Amount::Percent(5)),
        )
        .with_schedule(schedule("cron(30 23 ? * TUE#2 *)"))
        .with_offset_days(2)
        .with_level(ComplianceLevel::High),
        PatchAssociation::new(
            "agents",
            ScheduleTarget::nodes(nodes),
            PatchTask::new(PatchAction::UpdateAgent),
        )
        .with_schedule(schedule("rate(30 days)")),
        simple("scan-now").with_first_run(FirstRun::AtOnce),
        PatchAssociation::new(
            "scan-once",
            ScheduleTarget::patch_group("web"),
            PatchTask::new(PatchAction::Scan),
        ),
    ];
    for association in &associations {
        let id = ssm.create_association(association).await.unwrap();
        assert_eq!(ssm.association(&id).await.unwrap(), *association);
    }
    let listed: Vec<_> = ssm.associations().try_collect().await.unwrap();
    for association in &associations {
        let row = listed.iter().find(|it| it.name.as_ref() == Some(&association.name)).unwrap();
        let spelt = association.schedule.as_ref().map(ToString::to_string);
        assert_eq!(row.schedule, spelt);
    }
}

#[tokio::test]
async fn what_state_manager_would_refuse_is_refused_without_a_call() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.forget_calls();
    let at = |text: &str| simple("scan-web").with_schedule(schedule(text));
    let minute = CommandOptions::default().with_delivery_timeout(Duration::from_mins(1));
    let mut slow = simple("scan-web");
    slow.task = slow.task.with_options(minute);
    let mut none = simple("scan-web");
    none.schedule = None;
    for (association, what) in [
        (simple("x"), "name"),
        (at("cron(0 30 23 ? * TUE#2 *)"), "6 fields"),
        (at("cron(30 23 ? JAN TUE *)"), "no month"),
        (at("cron(15 13 ? * MON-FRI *)"), "State Manager takes"),
        (at("rate(29 minutes)"), "30 minutes"),
        (at("rate(31 days)"), "31 days"),
        (at("rate(1 day)").with_first_run(FirstRun::OnSchedule), "first run"),
        (at("rate(1 day)").with_offset_days(2), "cron expression"),
        (simple("scan-web").with_offset_days(2).with_first_run(FirstRun::AtOnce), "exclude"),
        (none, "at once"),
        (simple("scan-web").with_level(ComplianceLevel::Informational), "informational"),
        (slow, "delivery"),
    ] {
        let error = ssm.create_association(&association).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.message().contains(what), "{what}: {error}");
    }
    assert!(world.calls().is_empty(), "{:?}", world.calls());
}

#[tokio::test]
async fn an_association_whose_answer_is_lost_is_found_by_its_name_and_never_sent_twice() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::CutAfter).on("CreateAssociation").times(1)).unwrap();
    let id = ssm.create_association(&simple("scan-web")).await.unwrap();
    assert_eq!(ssm.association(&id).await.unwrap(), simple("scan-web"));
    assert_eq!(ssm.create_association(&simple("scan-web")).await.unwrap(), id);
    assert_eq!(world.calls().of("CreateAssociation").len(), 1);
}

#[tokio::test]
async fn an_association_that_was_not_made_is_told_as_unknown_and_made_by_the_next_call() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::CutBefore).on("CreateAssociation").times(1)).unwrap();
    let error = ssm.create_association(&simple("scan-web")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{error}");
    assert_eq!(world.calls().of("CreateAssociation").len(), 1);
    ssm.create_association(&simple("scan-web")).await.unwrap();
    let listed: Vec<_> = ssm.associations().try_collect().await.unwrap();
    assert_eq!(listed.iter().filter(|it| it.name.as_deref() == Some("scan-web")).count(), 1);
}

#[tokio::test]
async fn nothing_is_made_where_the_name_cannot_be_looked_for() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::Throttle).on("ListAssociations").times(1)).unwrap();
    let error = ssm.create_association(&simple("scan-web")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(world.calls().of("CreateAssociation").is_empty());
}

#[tokio::test]
async fn the_name_of_another_association_is_a_conflict() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    let id = ssm.create_association(&simple("scan-web")).await.unwrap();
    let other = simple("scan-web").with_level(ComplianceLevel::High);
    let error = ssm.create_association(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains(id.as_str()), "{error}");
    for _ in 0..2 {
        ssm.delete_association(&id).await.unwrap();
    }
    assert_eq!(ssm.association(&id).await.unwrap_err().kind(), ErrorKind::NotFound);
    ssm.create_association(&other).await.unwrap();
}

#[tokio::test]
async fn an_association_is_applied_by_its_schedule_and_not_before() {
    let world = Arc::new(one_scope(40).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = answering(&world, &ssm, 2).await;
    let daily = PatchAssociation::new(
        "scan-daily",
        ScheduleTarget::nodes(nodes),
        PatchTask::new(PatchAction::Scan),
    )
    .with_schedule(schedule("cron(15 4 ? * * *)"));
    let id = ssm.create_association(&daily).await.unwrap();
    let last = async || {
        let listed: Vec<_> = ssm.associations().try_collect().await.unwrap();
        listed.into_iter().find(|it| it.id == id).unwrap().last_run
    };
    assert_eq!(last().await, None);
    world.advance(Duration::from_hours(25));
    assert!(last().await.is_some());
}
