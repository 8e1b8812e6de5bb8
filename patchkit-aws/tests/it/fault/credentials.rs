//! Credentials that end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_types::sdk_config::TimeSource;
use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_core::{
    ErrorKind, Fleet, NodeId, NodeSelector, OperatingSystem, OperationStatus, PatchAction,
    PatchRequest, PowerTarget, VirtualClock,
    memory::MemoryJournal,
    workflow::{PatchOptions, RunReport, Runner},
};
use patchkit_testkit::cloud::{Denial, NodeSpec, Power, World};

use crate::{
    support::{ACCOUNT, REGION, one_scope, sdk},
    wire::Wire,
};

const OTHER_ACCOUNT: &str = "222233334444";
const START: &str = "2026-11-24T02:00:00Z";

#[derive(Debug)]
struct Fixed;

impl TimeSource for Fixed {
    fn now(&self) -> SystemTime {
        let start: jiff::Timestamp = START.parse().unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(start.as_second().unsigned_abs())
    }
}

/// Whether a request is for an operation, in the protocols of Systems Manager, EC2 and SNS.
fn is_for(request: &HttpRequest, operation: &str) -> bool {
    let target = request.headers().get("x-amz-target").and_then(|it| it.rsplit('.').next());
    let body = request.body().bytes().unwrap_or_default();
    let form = format!("Action={operation}&");
    target == Some(operation) || String::from_utf8_lossy(body).contains(&form)
}

/// A provider whose role session ends while a request is on its way: by the clocks on this side it
/// lasts for ever.
struct Scene {
    world: Arc<World>,
    ssm: Ssm,
    node: NodeId,
}

impl Scene {
    async fn ending_at(
        operation: &'static str,
        power: Power,
        also: impl Fn(&World) + Send + Sync + 'static,
    ) -> Self {
        let world = one_scope(0).aws_account(OTHER_ACCOUNT).start_at(START.parse().unwrap());
        let world = Arc::new(world.start().await.unwrap());
        let spec = NodeSpec::ec2(OperatingSystem::Ubuntu, OTHER_ACCOUNT, REGION);
        let id = world.add_node(&spec.with_power(power)).unwrap();
        let (ended, theirs) = (AtomicBool::new(false), Arc::clone(&world));
        let wire = Wire::new(move |request| {
            if is_for(request, operation) && !ended.swap(true, Ordering::Relaxed) {
                theirs.advance(Duration::from_hours(2));
                also(&theirs);
            }
        });
        let sdk = sdk(&world, REGION).to_builder().time_source(Fixed).http_client(wire).build();
        let ssm = Ssm::builder(&sdk)
            .with_clock(VirtualClock::manual(START.parse().unwrap()))
            .with_budget(CallBudget::unlimited());
        let opened = Accounts::from_builder(ssm)
            .with_role("patchkit")
            .with_account(OTHER_ACCOUNT.parse().unwrap())
            .with_regions([REGION.parse().unwrap()])
            .open()
            .await
            .unwrap();
        let ssm = opened.scopes[0].clone();
        let node = NodeId::new(ssm.scope().clone(), &id).unwrap();
        Self { world, ssm, node }
    }

    fn scan(&self) -> PatchRequest {
        let token = "scan".parse().unwrap();
        PatchRequest::new(token, vec![self.node.clone()], PatchAction::Scan)
    }

    /// What became of each call of an operation: the code it was refused with, or none.
    fn calls(&self, operation: &str) -> Vec<Option<String>> {
        let calls = self.world.calls().of(operation);
        assert!(calls.iter().all(|it| it.acted == it.error.is_none()), "{calls:?}");
        calls.iter().map(|it| it.error.clone()).collect()
    }
}

#[tokio::test]
async fn a_command_that_meets_an_ended_session_is_sent_again_with_a_new_one_and_done_once() {
    let scene = Scene::ending_at("SendCommand", Power::Running, |_| ()).await;
    let roles = scene.world.calls().of("AssumeRole").len();
    let id = scene.ssm.submit(scene.scan()).await.unwrap();
    let refused = Some("ExpiredTokenException".to_owned());
    assert_eq!(scene.calls("SendCommand"), [refused, None]);
    assert_eq!(scene.world.calls().of("AssumeRole").len(), roles + 1);
    scene.world.advance(Duration::from_mins(30));
    assert_eq!(scene.ssm.operation(&id).await.unwrap().status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn a_start_that_meets_an_ended_session_is_sent_again_with_a_new_one_and_done_once() {
    let scene = Scene::ending_at("StartInstances", Power::Stopped, |_| ()).await;
    let them = std::slice::from_ref(&scene.node);
    let answers = scene.ssm.set_power(them, PowerTarget::Running).await;
    assert!(answers[0].1.is_ok(), "{answers:?}");
    assert_eq!(scene.calls("StartInstances"), [Some("RequestExpired".to_owned()), None]);
}

fn report() -> RunReport {
    let report = serde_json::json!({
        "run": "r-1", "started_at": START, "ended_at": START, "nodes": [], "undo_failed": [],
        "problems": [],
    });
    serde_json::from_value(report).unwrap()
}

#[tokio::test]
async fn a_notification_that_meets_an_ended_session_is_sent_again_and_told_once() {
    let scene = Scene::ending_at("Publish", Power::Running, |_| ()).await;
    let theirs = scene.world.add_caller(OTHER_ACCOUNT, "owner").unwrap();
    let keys = Credentials::new(theirs.access_key_id, theirs.secret_access_key, None, None, "test");
    let owner = sdk(&scene.world, REGION).to_builder();
    let owner = owner.credentials_provider(SharedCredentialsProvider::new(keys)).build();
    let made = aws_sdk_sns::Client::new(&owner).create_topic().name("patching").send().await;
    let topic = scene.ssm.topic(made.unwrap().topic_arn.unwrap()).unwrap();
    topic.run_ended(&report()).await.unwrap();
    assert_eq!(scene.calls("Publish"), [Some("ExpiredToken".to_owned()), None]);
}

/// The role is denied by the time the session ends: nothing was done, and the token is free.
#[tokio::test]
async fn a_command_whose_session_cannot_be_renewed_is_refused_and_may_be_sent_later() {
    let deny = |world: &World| world.deny(Denial::of("sts:AssumeRole")).unwrap();
    let scene = Scene::ending_at("SendCommand", Power::Running, deny).await;
    let error = scene.ssm.submit(scene.scan()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::PermissionDenied, "AssumeRole"));
    assert_eq!(scene.calls("SendCommand"), [Some("ExpiredTokenException".to_owned())]);
    scene.world.allow_all();
    scene.ssm.submit(scene.scan()).await.unwrap();
    assert_eq!(scene.world.calls().of("SendCommand").acted().len(), 1);
}

/// Credentials that nobody renews, of an account's own role.
async fn ended(world: &World) -> SdkConfig {
    let base = sdk(world, REGION);
    let role = format!("arn:aws:iam::{ACCOUNT}:role/patchkit");
    let sts = aws_sdk_sts::Client::new(&base).assume_role().role_arn(role);
    let session = sts.role_session_name("once").send().await.unwrap();
    let keys = session.credentials().unwrap();
    let token = Some(keys.session_token().to_owned());
    let keys =
        Credentials::new(keys.access_key_id(), keys.secret_access_key(), token, None, "test");
    base.to_builder()
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .time_source(Fixed)
        .build()
}

#[tokio::test]
async fn credentials_that_have_ended_for_good_are_told_and_nothing_is_done() {
    let world = Arc::new(one_scope(0).start_at(START.parse().unwrap()).start().await.unwrap());
    let spec = NodeSpec::ec2(OperatingSystem::Ubuntu, ACCOUNT, REGION);
    let node = crate::support::node(&world.add_node(&spec).unwrap());
    let sns = aws_sdk_sns::Client::new(&sdk(&world, REGION));
    let topic = sns.create_topic().name("patching").send().await.unwrap().topic_arn.unwrap();
    let ssm = Ssm::builder(&ended(&world).await)
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited())
        .build()
        .await
        .unwrap();
    world.advance(Duration::from_hours(2));

    let (rows, error) = super::rows(ssm.nodes(&NodeSelector::all())).await;
    let error = error.unwrap();
    assert_eq!(
        (rows.len(), error.kind(), error.is_retryable()),
        (0, ErrorKind::Unauthenticated, false)
    );
    let them = std::slice::from_ref(&node);
    let answers = ssm.set_power(them, PowerTarget::Stopped).await;
    assert_eq!(answers[0].1.as_ref().unwrap_err().kind(), ErrorKind::Unauthenticated);
    let token = "scan".parse().unwrap();
    let scan = PatchRequest::new(token, vec![node.clone()], PatchAction::Scan);
    let error = ssm.submit(scan).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unauthenticated, false));
    for operation in ["StopInstances", "SendCommand"] {
        assert!(world.calls().of(operation).is_empty(), "{operation}");
    }
    // A write that nothing is read before is refused twice, and not tried a third time.
    let error = ssm.topic(topic).unwrap().run_ended(&report()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unauthenticated, false));
    let told = world.calls().of("Publish");
    assert_eq!((told.len(), told.acted().len()), (2, 0));

    let clock = Arc::new(world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    let runner = Runner::new(ssm.clone(), ssm, journal, clock);
    let options = PatchOptions::new(NodeSelector::all());
    match runner.plan_patch(&options).await {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthenticated),
        Ok(plan) => {
            assert!(plan.nodes.is_empty() && plan.to_string().contains("ExpiredToken"), "{plan}");
        }
    }
}
