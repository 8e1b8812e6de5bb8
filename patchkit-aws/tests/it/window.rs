//! Maintenance windows: what is made is what was meant, once, and it patches.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use patchkit_aws::{
    AtCutoff, CommandEvent, CommandNotification, CommandOptions, CommandTarget, NotifyPer,
    OutputBucket, PatchHooks, PatchTask, PatchWindow, ScheduleTarget, Ssm, WindowId,
};
use patchkit_core::{
    Amount, ComplianceReport, ErrorKind, NodeCompliance, NodeId, NodeSelector, PatchAction,
    PowerState, RebootPolicy, Schedule, SubmitToken,
};
use patchkit_testkit::cloud::{Fault, FaultKind, World};

use crate::support::{one_scope, ssm};

const INSTALL: PatchAction = PatchAction::Install(RebootPolicy::IfRequired);

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap()
}

fn token(text: &str) -> SubmitToken {
    text.parse().unwrap()
}

fn simple(name: &str) -> PatchWindow {
    PatchWindow::new(name, schedule("cron(0 4 ? * SUN *)"), PatchTask::new(PatchAction::Scan))
        .with_target(ScheduleTarget::patch_group("web"))
}

/// Running nodes whose agents answer, and that lack approved patches.
async fn lacking(world: &World, ssm: &Ssm, count: usize) -> Vec<NodeId> {
    let running = NodeSelector::all().with_power([PowerState::Running]);
    let known: Vec<NodeCompliance> = ssm.summaries(&running).try_collect().await.unwrap();
    let answers = |id: &NodeId| world.node(id.resource()).unwrap().answers;
    let fits = known.into_iter().filter(|it| it.counts.missing > 0 && answers(&it.node));
    let ids: Vec<NodeId> = fits.map(|it| it.node).take(count).collect();
    assert_eq!(ids.len(), count);
    ids
}

#[tokio::test]
async fn a_window_is_read_back_as_it_was_made() {
    let world = Arc::new(one_scope(80).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = lacking(&world, &ssm, 3).await;
    let topic = "arn:aws:sns:eu-west-1:111122223333:patches";
    let notification = CommandNotification::new(topic, "arn:aws:iam::111122223333:role/sns");
    let full = CommandOptions::default()
        .with_output(OutputBucket::new("patch-logs").with_prefix("windows"))
        .with_notification(
            notification
                .with_events([CommandEvent::Failed, CommandEvent::TimedOut])
                .with_per(NotifyPer::Node),
        )
        .with_hooks(PatchHooks::default().with_pre_install("Drain"))
        .with_delivery_timeout(Duration::from_mins(15));
    let windows = [
        simple("scan-web"),
        PatchWindow::new(
            "patch.app_A-1",
            schedule("cron(0 30 23 ? * TUE#2 *)"),
            PatchTask::new(INSTALL)
                .with_options(full)
                .with_concurrency(Amount::Percent(10))
                .with_max_errors(Amount::Fixed(3)),
        )
        .with_description("Two days after Patch Tuesday")
        .with_time_zone("Europe/Berlin")
        .with_offset_days(2)
        .with_hours(4, 2)
        .with_at_cutoff(AtCutoff::Cancel)
        .with_start("2026-12-24T00:00:00Z".parse().unwrap())
        .with_end("2036-12-24T00:00:00Z".parse().unwrap())
        .with_role("arn:aws:iam::111122223333:role/windows")
        .with_target(ScheduleTarget::nodes(nodes))
        .with_target(ScheduleTarget::matching([
            CommandTarget::tag("Patch Group", ["app", "web"]),
            CommandTarget::tag_key(["Owner"]),
        ]))
        .with_target(ScheduleTarget::patch_group("linux")),
        PatchWindow::new(
            "agents",
            schedule("rate(7 days)"),
            PatchTask::new(PatchAction::UpdateAgent),
        )
        .with_target(ScheduleTarget::matching([
            CommandTarget::resource_group("web"),
            CommandTarget::resource_types(["AWS::EC2::Instance"]),
        ])),
    ];
    for window in windows {
        let id = ssm.create_window(&window, &token(&window.name)).await.unwrap();
        let read = ssm.window(&id).await.unwrap();
        assert_eq!(read.window, window);
        assert!(read.enabled && read.next.is_some_and(|next| next > world.now()), "{read:?}");
    }
    let listed: Vec<_> = ssm.windows().try_collect().await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().any(|it| it.schedule == "rate(7 days)" && it.name == "agents"));
}

#[tokio::test]
async fn what_aws_would_refuse_of_a_window_is_refused_without_a_call() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.forget_calls();
    let with = |change: fn(&mut PatchWindow)| {
        let mut window = simple("scan-web");
        change(&mut window);
        window
    };
    let elsewhere: NodeId = "aws/111122223333/us-east-1/i-0123456789abcdef0".parse().unwrap();
    for (window, what) in [
        (simple("x"), "name"),
        (simple("scan web"), "name"),
        (with(|it| it.schedule = schedule("cron(0 4 ? * SUN)")), "6 or 7 fields"),
        (with(|it| it.schedule = schedule("cron(0 4 * * SUN *)")), "?"),
        (with(|it| it.schedule = schedule("rate(4 minutes)")), "5 minutes"),
        (with(|it| it.offset_days = Some(7)), "1 to 6 days"),
        (simple("scan-web").with_hours(3, 3), "cutoff"),
        (simple("scan-web").with_hours(25, 0), "1 to 24"),
        (simple("scan-web").with_hours(0, 0), "1 to 24"),
        (with(|it| it.time_zone = Some("Europe Berlin".to_owned())), "IANA"),
        (with(|it| it.targets.clear()), "1 to 10 targets"),
        (simple("scan-web").with_target(ScheduleTarget::patch_group("web")), "twice"),
        (simple("scan-web").with_target(ScheduleTarget::nodes([elsewhere])), "is not of"),
        (with(|it| it.task.options.agent_version = Some("3.2".to_owned())), "agent's update"),
    ] {
        let error = ssm.create_window(&window, &token("one")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.message().contains(what), "{what}: {error}");
    }
    assert!(world.calls().is_empty(), "{:?}", world.calls());
}

#[tokio::test]
async fn a_window_whose_answers_are_lost_is_made_once() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    for lost in [
        "CreateMaintenanceWindow",
        "RegisterTargetWithMaintenanceWindow",
        "RegisterTaskWithMaintenanceWindow",
    ] {
        world.add_fault(Fault::new(FaultKind::CutAfter).on(lost).times(1)).unwrap();
    }
    let window = simple("scan-web");
    let mut id: Option<WindowId> = None;
    for _ in 0..4 {
        match ssm.create_window(&window, &token("scan-web-1")).await {
            Ok(made) => id = Some(made),
            Err(error) => {
                assert!(error.is_retryable(), "{}", error.report());
                assert!(id.is_none());
            }
        }
    }
    let listed: Vec<_> = ssm.windows().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(Some(&listed[0].id), id.as_ref());
    assert_eq!(ssm.window(&listed[0].id).await.unwrap().window, window);
    // Another token is another window, also of that name.
    ssm.create_window(&window, &token("scan-web-2")).await.unwrap();
    let listed: Vec<_> = ssm.windows().try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
}

#[tokio::test]
async fn a_window_that_could_not_be_filled_is_named() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    let deny = Fault::new(FaultKind::Deny).on("RegisterTaskWithMaintenanceWindow").times(1);
    world.add_fault(deny).unwrap();
    let error = ssm.create_window(&simple("scan-web"), &token("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let listed: Vec<_> = ssm.windows().try_collect().await.unwrap();
    assert!(error.message().contains(listed[0].id.as_str()), "{error}");
    // It does nothing, and so is none of ours to be read.
    let id = &listed[0].id;
    assert_eq!(ssm.window(id).await.unwrap_err().kind(), ErrorKind::Unsupported);
    for _ in 0..2 {
        ssm.delete_window(id).await.unwrap();
    }
    assert_eq!(ssm.window(id).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_window_patches_its_nodes_when_it_opens_and_no_others() {
    let world = Arc::new(one_scope(60).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = lacking(&world, &ssm, 4).await;
    let (named, others) = nodes.split_at(2);
    let window = PatchWindow::new("patch", schedule("rate(1 day)"), PatchTask::new(INSTALL))
        .with_target(ScheduleTarget::nodes(named.to_vec()));
    let id = ssm.create_window(&window, &token("patch-1")).await.unwrap();
    let next = ssm.window(&id).await.unwrap().next.unwrap();
    let wait = next.duration_since(world.now()).unsigned_abs();
    world.advance(wait.saturating_sub(Duration::from_mins(1)));
    let absent = |id: &NodeId| world.node(id.resource()).unwrap().absent.len();
    let before: Vec<usize> = nodes.iter().map(absent).collect();
    assert!(before.iter().all(|count| *count > 0));
    world.advance(Duration::from_hours(4));
    for (node, before) in named.iter().zip(&before) {
        assert!(absent(node) < *before, "{node}");
    }
    for (node, before) in others.iter().zip(&before[2..]) {
        assert_eq!(absent(node), *before, "{node}");
    }
}
