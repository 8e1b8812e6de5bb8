//! The provider against AWS itself, on request: what that needs, touches and costs is in
//! CONTRIBUTING.md.
//!
//! Each case is rehearsed on the simulated cloud, so that it is known to be right before it is let at
//! an account. What a case makes has a name that begins with `patchkit-live-`, and is taken away
//! again where the case fails, too.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig};
use futures::{FutureExt, StreamExt, TryStreamExt};
use patchkit_aws::Ssm;
use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, BaselineOwner, BaselineSelector, Clock, ComplianceReport,
    ComplianceStatus, ErrorKind, Fleet, FleetExt, NodeCompliance, NodeId, NodeSelector,
    OperatingSystem, PatchBaseline, PatchFilter, PatchFilterKey, PatchGroup, PatchGroupName,
    PollPolicy, Polled, RunId, SystemClock, Tags,
    memory::MemoryJournal,
    wait_until,
    workflow::{Runner, ScanOutcome},
};
use patchkit_testkit::cloud::{NodeSpec, World};

use crate::support::{self, ACCOUNT, REGION, one_scope};

/// Names a running managed instance, `i-…`, of the configured account and Region.
const NODE: &str = "PATCHKIT_LIVE_NODE";

const OS: OperatingSystem = OperatingSystem::AmazonLinux2023;

/// Where a case takes place.
struct Place {
    sdk: SdkConfig,
    ssm: Ssm,
    clock: Arc<dyn Clock>,
    rehearsal: Option<Arc<World>>,
}

impl Place {
    /// The account and Region of the default credential chain.
    async fn account() -> Self {
        let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
        let ssm = Ssm::from_sdk_config(&sdk).await.unwrap();
        eprintln!("in {}", ssm.scope());
        Self { sdk, ssm, clock: Arc::new(SystemClock), rehearsal: None }
    }

    async fn rehearsal() -> Self {
        let world = Arc::new(one_scope(20).start().await.unwrap());
        let sdk = support::sdk(&world, REGION);
        let clock: Arc<dyn Clock> = Arc::new(world.clock());
        Self { sdk, ssm: support::ssm(&world).await, clock, rehearsal: Some(world) }
    }

    /// The node that may be worked on.
    fn node(&self) -> NodeId {
        let id = match &self.rehearsal {
            Some(world) => world.add_node(&NodeSpec::ec2(OS, ACCOUNT, REGION)).unwrap(),
            None => std::env::var(NODE)
                .unwrap_or_else(|_| panic!("{NODE} names no node: see CONTRIBUTING.md")),
        };
        NodeId::new(self.ssm.scope().clone(), &id).unwrap()
    }

    /// Waits until AWS tells of what was done a moment ago.
    async fn eventually(&self, mut is_so: impl AsyncFnMut() -> patchkit_core::Result<bool>) {
        let policy = PollPolicy::new(Duration::from_mins(2))
            .with_interval(Duration::from_secs(2), Duration::from_secs(10));
        let so = wait_until(&*self.clock, &policy, async || {
            Ok(if is_so().await? { Polled::Ready(()) } else { Polled::Pending })
        });
        so.await.unwrap();
    }
}

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod account {
            $(
                #[tokio::test]
                #[ignore = "needs an AWS account"]
                async fn $case() {
                    super::$case(&super::Place::account().await).await;
                }
            )+
        }

        mod rehearsal {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(&super::Place::rehearsal().await).await;
                }
            )+
        }
    };
}

cases!(
    the_fleet_and_its_compliance_are_read,
    a_baseline_is_made_changed_registered_and_deleted,
    a_topic_is_told_of_a_run,
    a_tag_is_merged_and_taken_back,
    a_node_is_scanned,
);

fn name(what: &str) -> String {
    support::unique(&format!("patchkit-live-{what}"))
}

/// Carries a case out, and `undo` after it, whatever became of the case: a panic goes on afterwards.
async fn and_always<T>(case: impl Future<Output = T>, undo: impl Future<Output = ()>) -> T {
    let ended = AssertUnwindSafe(case).catch_unwind().await;
    undo.await;
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Reads alone.
async fn the_fleet_and_its_compliance_are_read(place: &Place) {
    let ssm = &place.ssm;
    let listed = ssm.nodes(&NodeSelector::all()).map_ok(|it| it.id);
    let nodes: Vec<NodeId> = listed.try_collect().await.unwrap();
    let ids: BTreeSet<&NodeId> = nodes.iter().collect();
    assert_eq!(ids.len(), nodes.len(), "each once");
    assert!(nodes.iter().all(|it| it.scope() == ssm.scope()));
    let known = ssm.summaries(&NodeSelector::all());
    let known: Vec<NodeCompliance> = known.try_collect().await.unwrap();
    let judged: BTreeSet<&NodeId> = known.iter().map(|it| &it.node).collect();
    assert_eq!(judged.len(), known.len(), "each once");
    for it in &known {
        let is_known = it.status != ComplianceStatus::Unknown;
        assert_eq!(is_known, it.observed_at.is_some(), "{it:?}");
    }
    let own = BaselineSelector::all().with_owner(BaselineOwner::Predefined);
    let own = ssm.baselines(&own).try_collect::<Vec<_>>().await.unwrap();
    assert!(own.iter().any(|it| it.operating_system == OS), "{} of AWS's own", own.len());
    eprintln!("{} nodes, compliance of {}, {} baselines", nodes.len(), known.len(), own.len());
}

/// Makes a baseline and registers it for a group that no node is in.
async fn a_baseline_is_made_changed_registered_and_deleted(place: &Place) {
    let (ssm, name) = (&place.ssm, name("baseline"));
    let group = PatchGroupName::new(&name).unwrap();
    let case = async {
        let security = PatchFilter::new(PatchFilterKey::Classification, ["Security"]);
        let draft = PatchBaseline::new(&name, OS)
            .with_description("a test of PatchKit")
            .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)).with_filter(security));
        let id = ssm.create_baseline(&draft).await.unwrap();
        let first = draft.with_id(id.clone());
        assert_eq!(ssm.baseline(&id).await.unwrap(), first);
        let second = first.clone().with_rejected(["vim*"]);
        assert_eq!(ssm.update_baseline(&second).await.unwrap(), first);
        assert_eq!(ssm.baseline(&id).await.unwrap(), second);
        ssm.register(&group, &id).await.unwrap();
        place.eventually(async || Ok(ssm.baseline_for(&group, &OS).await? == id)).await;
        ssm.deregister(&group, &id).await.unwrap();
        place.eventually(async || Ok(ssm.baseline_for(&group, &OS).await? != id)).await;
        assert_eq!(ssm.delete_baseline(&id).await.unwrap(), second);
        assert_eq!(ssm.baseline(&id).await.unwrap_err().kind(), ErrorKind::NotFound);
    };
    and_always(case, remove_baselines(ssm, &name, &group)).await;
}

/// Also one whose making was not answered.
async fn remove_baselines(ssm: &Ssm, name: &str, group: &PatchGroupName) {
    let named = BaselineSelector::all().with_owner(BaselineOwner::Custom).with_name_prefix(name);
    let mut left = ssm.baselines(&named);
    while let Some(baseline) = left.next().await {
        let id = baseline.unwrap().id.unwrap();
        ssm.deregister(group, &id).await.unwrap();
        ssm.delete_baseline(&id).await.unwrap();
    }
}

/// Makes a topic that nobody has subscribed to.
async fn a_topic_is_told_of_a_run(place: &Place) {
    let sns = aws_sdk_sns::Client::new(&place.sdk);
    let made = sns.create_topic().name(name("topic")).send().await.unwrap();
    let arn = made.topic_arn().unwrap();
    let case = async {
        let topic = place.ssm.topic(arn).unwrap();
        let id = topic.run_ended(&crate::both::topic::report()).await.unwrap();
        assert!(!id.is_empty());
    };
    let undo = async { drop(sns.delete_topic().topic_arn(arn).send().await.unwrap()) };
    and_always(case, undo).await;
}

/// Gives the node a tag of a name that no tag has, and no other.
async fn a_tag_is_merged_and_taken_back(place: &Place) {
    let (ssm, node, key) = (&place.ssm, place.node(), name("tag"));
    let ec2 = aws_sdk_ec2::Client::new(&place.sdk);
    let before = ssm.node(&node).await.unwrap().tags;
    let case = async {
        let tags: Tags = [(key.clone(), "yes".to_owned())].into();
        let change = ssm.merge_tags(&node, &tags).await.unwrap();
        assert_eq!(change.set.len(), 1, "{change:?}");
        place.eventually(async || Ok(ssm.node(&node).await?.tags.contains_key(&key))).await;
        ssm.revert_tags(&change).await.unwrap();
        place.eventually(async || Ok(ssm.node(&node).await?.tags == before)).await;
    };
    let undo = async {
        let tag = aws_sdk_ec2::types::Tag::builder().key(&key).build();
        let request = ec2.delete_tags().resources(node.resource()).tags(tag);
        request.send().await.unwrap();
    };
    and_always(case, undo).await;
}

/// Has the node compare itself with its baseline, which installs nothing.
async fn a_node_is_scanned(place: &Place) {
    let (ssm, node) = (place.ssm.clone(), place.node());
    let journal = MemoryJournal::new(Arc::clone(&place.clock));
    let runner = Runner::new(ssm.clone(), ssm, journal, Arc::clone(&place.clock));
    let run = RunId::new(name("scan")).unwrap();
    let report = runner.scan(&run, &NodeSelector::ids([node.clone()])).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let [scanned] = &report.nodes[..] else { panic!("{report:?}") };
    assert_eq!((&scanned.node, scanned.outcome), (&node, ScanOutcome::Scanned), "{scanned:?}");
    let known = &scanned.compliance;
    assert_ne!(known.status, ComplianceStatus::Unknown, "{known:?}");
    assert!(known.observed_at.unwrap() >= report.started_at, "{known:?}");
}

#[tokio::test]
async fn what_a_case_made_is_taken_away_though_it_fails() {
    let place = Place::rehearsal().await;
    let (ssm, name) = (&place.ssm, name("baseline"));
    let group = PatchGroupName::new(&name).unwrap();
    let failing = async {
        let id = ssm.create_baseline(&PatchBaseline::new(&name, OS)).await.unwrap();
        ssm.register(&group, &id).await.unwrap();
        panic!("as an assertion does");
    };
    let whole = and_always(failing, remove_baselines(ssm, &name, &group));
    assert!(AssertUnwindSafe(whole).catch_unwind().await.is_err(), "the failure is told");
    let named = BaselineSelector::all().with_name_prefix(&name);
    assert!(ssm.baselines(&named).try_collect::<Vec<_>>().await.unwrap().is_empty());
    assert!(ssm.registrations(&group).try_collect::<Vec<_>>().await.unwrap().is_empty());
}
