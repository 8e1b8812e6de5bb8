//! The patch workflow as a runbook that Automation executes.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use patchkit_aws::{
    AutomationChild, AutomationId, AutomationRun, AutomationStatus, PatchRunbook, RunbookDocument,
    RunbookPlace, RunbookRun, RunbookTarget, Ssm, StopMode, StoppedInstances,
};
use patchkit_core::{
    ErrorKind, NodeId, OperatingSystem, PatchAction, PatchId, PatchState, RebootPolicy, RunId,
    SubmitToken,
};
use patchkit_testkit::cloud::{
    Behavior, Fault, FaultKind, NodeSpec, NodeTruth, PatchSpec, Power, World,
};

use crate::support::{ACCOUNT, REGION, node, one_scope, ssm};

const INSTALL: PatchAction = PatchAction::Install(RebootPolicy::IfRequired);
const OTHER_ACCOUNT: &str = "444455556666";
const OTHER_REGION: &str = "us-east-1";

fn token(text: &str) -> SubmitToken {
    text.parse().unwrap()
}

fn missing() -> PatchId {
    PatchId::new("openssl.x86_64").unwrap()
}

/// An instance that lacks a patch.
fn lacking(account: &str, region: &str, power: Power) -> NodeSpec {
    NodeSpec::ec2(OperatingSystem::AmazonLinux2, account, region)
        .with_power(power)
        .with_patches([PatchSpec::new(missing(), PatchState::Missing)])
}

fn tagged(power: Power) -> NodeSpec {
    lacking(ACCOUNT, REGION, power).with_tag("Job", "patch")
}

fn target() -> RunbookTarget {
    RunbookTarget::tag("Job", ["patch"])
}

async fn registered(ssm: &Ssm, runbook: &PatchRunbook) -> RunbookDocument {
    let runbook = runbook.render().unwrap();
    ssm.register_runbook(&runbook).await.unwrap();
    runbook
}

async fn ended(world: &World, ssm: &Ssm, id: &AutomationId) -> AutomationRun {
    for _ in 0..1_000 {
        let run = ssm.automation(id).await.unwrap();
        if run.status.is_final() {
            return run;
        }
        world.advance(Duration::from_secs(30));
    }
    panic!("{id} never ends");
}

async fn children(ssm: &Ssm, id: &AutomationId) -> Vec<AutomationChild> {
    ssm.automation_children(id).try_collect().await.unwrap()
}

fn truth(world: &World, id: &str) -> NodeTruth {
    world.node(id).unwrap()
}

fn has_patch(world: &World, id: &str) -> bool {
    truth(world, id).installed.iter().any(|it| *it == missing().as_str())
}

fn steps(run: &AutomationRun) -> Vec<(&str, &AutomationStatus)> {
    run.steps.iter().map(|step| (step.name.as_str(), &step.status)).collect()
}

#[tokio::test]
async fn a_stopped_instance_is_patched_and_stopped_again_and_a_running_one_stays_on() {
    let world = Arc::new(one_scope(10).start().await.unwrap());
    let ssm = ssm(&world).await;
    let stopped = world.add_node(&tagged(Power::Stopped)).unwrap();
    let running = world.add_node(&tagged(Power::Running)).unwrap();
    let other = world.add_node(&lacking(ACCOUNT, REGION, Power::Stopped)).unwrap();
    let booted = truth(&world, &stopped).booted;
    let runbook = registered(&ssm, &PatchRunbook::new(INSTALL)).await;
    let run = RunbookRun::new(&runbook, token("run-47"), target());
    let id = ssm.start_runbook(&run).await.unwrap();
    let run = ended(&world, &ssm, &id).await;
    assert_eq!(run.status, AutomationStatus::Success, "{run:?}");
    assert_eq!((run.total, run.succeeded, run.runbook), (2, 2, runbook.name));
    for (id, power) in [(&stopped, Power::Stopped), (&running, Power::Running)] {
        assert!(has_patch(&world, id));
        assert_eq!(truth(&world, id).power, power);
    }
    assert!(truth(&world, &stopped).booted > booted, "it was started");
    // What has no tag is not touched.
    assert!(!has_patch(&world, &other));
    assert_eq!(truth(&world, &other).power, Power::Stopped);
    // Each instance's steps, one by one.
    let children = children(&ssm, &id).await;
    assert_eq!(children.len(), 2);
    for child in &children {
        let run = ssm.automation(&child.id).await.unwrap();
        assert_eq!((&run.parent, &run.target), (&Some(id.clone()), &child.target));
        let good = AutomationStatus::Success;
        let bad = AutomationStatus::Failed;
        if child.target.as_ref() == Some(&stopped) {
            let names = [
                ("isStopped", &good),
                ("startInstance", &good),
                ("waitForStarted", &good),
                ("updateAgent", &good),
                ("patchStarted", &good),
                ("rescanStarted", &good),
                ("stopAgain", &good),
            ];
            assert_eq!(steps(&run), names);
        } else {
            let names = [
                ("isStopped", &bad),
                ("isRunning", &good),
                ("waitForRunning", &good),
                ("patchRunning", &good),
                ("rescanRunning", &good),
            ];
            assert_eq!(steps(&run), names);
        }
        let patched = run.steps.iter().find(|it| it.name.starts_with("patch")).unwrap();
        assert!(patched.command.is_some() && patched.ended.is_some());
        let listed: Vec<_> = ssm.automation_steps(&child.id).try_collect().await.unwrap();
        assert_eq!(listed, run.steps);
    }
}

#[tokio::test]
async fn all_instances_of_a_run_are_judged_by_one_snapshot() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    for power in [Power::Running, Power::Running] {
        world.add_node(&tagged(power)).unwrap();
    }
    let runbook = registered(&ssm, &PatchRunbook::new(PatchAction::Scan)).await;
    let run =
        RunbookRun::new(&runbook, token("one"), target()).with_run(RunId::new("run-47").unwrap());
    let id = ssm.start_runbook(&run).await.unwrap();
    ended(&world, &ssm, &id).await;
    let client = aws_sdk_ssm::Client::new(&crate::support::sdk(&world, REGION));
    let commands = client.list_commands().send().await.unwrap().commands.unwrap_or_default();
    let snapshots: std::collections::BTreeSet<_> = commands
        .iter()
        .filter_map(|it| it.parameters().and_then(|it| it.get("SnapshotId")).cloned())
        .collect();
    assert_eq!((commands.len(), snapshots.len()), (2, 1), "{snapshots:?}");
}

#[tokio::test]
async fn an_instance_whose_install_never_ends_is_stopped_again_and_told_as_failed() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    let hangs = tagged(Power::Stopped).with_behavior(Behavior::Hangs);
    let hanging = world.add_node(&hangs).unwrap();
    let runbook = PatchRunbook::new(INSTALL).with_command_timeout(Duration::from_mins(30));
    let runbook = registered(&ssm, &runbook).await;
    let run = RunbookRun::new(&runbook, token("run-47"), target());
    let id = ssm.start_runbook(&run).await.unwrap();
    let run = ended(&world, &ssm, &id).await;
    assert_eq!(run.status, AutomationStatus::Failed, "{run:?}");
    assert_eq!(truth(&world, &hanging).power, Power::Stopped);
    let child = &children(&ssm, &id).await[0];
    assert!(child.failure.as_ref().is_some_and(|why| why.contains("patchStarted")), "{child:?}");
    let run = ssm.automation(&child.id).await.unwrap();
    let last = run.steps.last().unwrap();
    assert_eq!((last.name.as_str(), &last.status), ("stopAgain", &AutomationStatus::Success));
}

#[tokio::test]
async fn what_is_stopped_is_left_alone_where_that_is_asked_for() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    let stopped = world.add_node(&tagged(Power::Stopped)).unwrap();
    let runbook = PatchRunbook::new(INSTALL).with_stopped(StoppedInstances::Leave);
    let runbook = registered(&ssm, &runbook).await;
    let booted = truth(&world, &stopped).booted;
    let run = RunbookRun::new(&runbook, token("run-47"), target());
    let id = ssm.start_runbook(&run).await.unwrap();
    assert_eq!(ended(&world, &ssm, &id).await.status, AutomationStatus::Failed);
    assert_eq!(
        (truth(&world, &stopped).power, truth(&world, &stopped).booted),
        (Power::Stopped, booted)
    );
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_the_same_execution_when_it_is_made_again() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    world.add_node(&tagged(Power::Running)).unwrap();
    let runbook = registered(&ssm, &PatchRunbook::new(INSTALL)).await;
    let run = RunbookRun::new(&runbook, token("run-47"), target());
    let lost = Fault::new(FaultKind::CutAfter).on("StartAutomationExecution").times(1);
    world.add_fault(lost).unwrap();
    let error = ssm.start_runbook(&run).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    let id = ssm.start_runbook(&run).await.unwrap();
    assert_eq!(ssm.start_runbook(&run).await.unwrap(), id);
    let client = aws_sdk_ssm::Client::new(&crate::support::sdk(&world, REGION));
    let all = client.describe_automation_executions().send().await.unwrap();
    assert_eq!(all.automation_execution_metadata_list().len(), 1);
    // The token is of this start and no other.
    let other = RunbookRun::new(&runbook, token("run-47"), RunbookTarget::tag("Job", ["else"]));
    let error = ssm.start_runbook(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let other = RunbookRun::new(&runbook, token("run-48"), target());
    assert_ne!(ssm.start_runbook(&other).await.unwrap(), id);
}

#[tokio::test]
async fn a_runbook_is_registered_once_and_never_changed() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    let runbook = PatchRunbook::new(INSTALL).render().unwrap();
    let lost = Fault::new(FaultKind::CutAfter).on("CreateDocument").times(1);
    world.add_fault(lost).unwrap();
    assert!(ssm.register_runbook(&runbook).await.unwrap_err().is_retryable());
    for _ in 0..2 {
        ssm.register_runbook(&runbook).await.unwrap();
    }
    let mut other = PatchRunbook::new(PatchAction::Scan).render().unwrap();
    other.name.clone_from(&runbook.name);
    let error = ssm.register_runbook(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for _ in 0..2 {
        ssm.deregister_runbook(&runbook).await.unwrap();
    }
    let run = RunbookRun::new(&runbook, token("run-47"), target());
    assert_eq!(ssm.start_runbook(&run).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_runbook_patches_many_accounts_and_regions_and_tells_of_each() {
    let world = one_scope(12).aws_account(OTHER_ACCOUNT).aws_region(OTHER_REGION);
    let world = Arc::new(world.start().await.unwrap());
    let ssm = ssm(&world).await;
    let mut nodes = Vec::new();
    for account in [ACCOUNT, OTHER_ACCOUNT] {
        for region in [REGION, OTHER_REGION] {
            let spec = lacking(account, region, Power::Stopped).with_tag("Job", "patch");
            nodes.push(world.add_node(&spec).unwrap());
        }
    }
    let runbook = registered(&ssm, &PatchRunbook::new(INSTALL)).await;
    let accounts = [ACCOUNT, OTHER_ACCOUNT].map(|it| it.parse().unwrap());
    let regions = [REGION, OTHER_REGION].map(|it| it.parse().unwrap());
    let place = RunbookPlace::new(accounts, regions)
        .with_concurrency("100%".parse().unwrap())
        .with_max_errors("100%".parse().unwrap());
    let run = RunbookRun::new(&runbook, token("run-47"), target()).with_place(place);
    let id = ssm.start_runbook(&run).await.unwrap();
    let run = ended(&world, &ssm, &id).await;
    assert_eq!(run.status, AutomationStatus::Success, "{run:?}");
    assert_eq!((run.total, run.succeeded), (4, 4));
    let mut places: Vec<String> =
        run.steps.iter().map(|it| it.place.as_ref().unwrap().to_string()).collect();
    places.sort();
    let mut wanted: Vec<String> = [ACCOUNT, OTHER_ACCOUNT]
        .into_iter()
        .flat_map(|account| [REGION, OTHER_REGION].map(|it| format!("aws/{account}/{it}")))
        .collect();
    wanted.sort();
    assert_eq!(places, wanted);
    for node in &nodes {
        assert!(has_patch(&world, node));
        assert_eq!(truth(&world, node).power, Power::Stopped);
    }
    // The execution of this account and Region has the instance's as its child.
    let here = run.steps.iter().find(|it| it.place.as_ref() == Some(ssm.scope())).unwrap();
    let children = children(&ssm, here.execution.as_ref().unwrap()).await;
    let targets: Vec<_> = children.iter().map(|it| it.target.clone().unwrap()).collect();
    assert_eq!(targets, nodes[..1]);
}

#[tokio::test]
async fn an_execution_is_stopped_and_one_that_is_over_is_no_error() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    let running = world.add_node(&tagged(Power::Running)).unwrap();
    let runbook = registered(&ssm, &PatchRunbook::new(INSTALL)).await;
    let nodes = RunbookTarget::nodes([node(&running)]);
    let run = RunbookRun::new(&runbook, token("run-47"), nodes);
    let id = ssm.start_runbook(&run).await.unwrap();
    for mode in [StopMode::Now, StopMode::Now] {
        ssm.stop_automation(&id, mode).await.unwrap();
        world.advance(Duration::from_mins(1));
    }
    let run = ended(&world, &ssm, &id).await;
    assert_eq!(run.status, AutomationStatus::Cancelled);
    assert!(!has_patch(&world, &running));
    ssm.stop_automation(&id, StopMode::AfterStep).await.unwrap();
    let unknown: AutomationId = "00000000-0000-0000-0000-000000000000".parse().unwrap();
    let error = ssm.stop_automation(&unknown, StopMode::Now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(ssm.automation(&unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_start_that_can_never_succeed_is_refused_without_a_call() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = ssm(&world).await;
    let runbook = PatchRunbook::new(INSTALL).render().unwrap();
    world.forget_calls();
    let run = |target| RunbookRun::new(&runbook, token("one"), target);
    let place = || RunbookPlace::new([ACCOUNT.parse().unwrap()], [REGION.parse().unwrap()]);
    let here = node("i-0123456789abcdef0");
    let elsewhere: NodeId = "aws/111122223333/us-east-1/i-0123456789abcdef0".parse().unwrap();
    let none = RunbookTarget::tag("Job", [""; 0]);
    let many = RunbookTarget::tag("Job", (0..51).map(|it| it.to_string()));
    for (run, what) in [
        (run(none), "1 to 50 values"),
        (run(many), "1 to 50 values"),
        (run(RunbookTarget::tag("", ["patch"])), "1 to 128"),
        (run(RunbookTarget::nodes([elsewhere])), "no EC2 instance"),
        (run(RunbookTarget::nodes([node("mi-0123456789abcdef0")])), "no EC2 instance"),
        (run(RunbookTarget::nodes([here.clone(), here.clone()])), "twice"),
        (run(RunbookTarget::nodes([here])).with_place(place()), "use a tag"),
        (run(target()).with_place(place()).with_place(place()), "twice"),
        (run(target()).with_place(RunbookPlace::new([], [])), "1 to 50 accounts"),
    ] {
        let error = ssm.start_runbook(&run).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.message().contains(what), "{what}: {error}");
    }
    assert!(world.calls().is_empty(), "{:?}", world.calls());
}
