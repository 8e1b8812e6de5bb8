//! Each workflow under exactly the policy that is rendered for it, and under it less one action.

mod accounts;
mod acts;
mod nodes;
mod schedules;
mod setup;

use std::{collections::BTreeSet, sync::Arc};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use futures::{FutureExt, future::LocalBoxFuture};
use patchkit_aws::{Feature, Ssm, policy};
use patchkit_core::{AccessStatus, Error, NodeId, OperatingSystem, PatchState};
use patchkit_testkit::{
    PatchSeed,
    cloud::{Agent, Allowance, NodeSpec, PatchSpec, Power, World},
};

use crate::support::{ACCOUNT, REGION, builder, node, one_scope, sdk};

/// What a workflow was told that could not do its work.
type Told<T = ()> = Result<T, String>;

type Work = for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, Told>;

/// The account whose role is assumed.
const OTHER_ACCOUNT: &str = "222233334444";

struct Scene {
    world: Arc<World>,
    /// Bound by the policy.
    ssm: Ssm,
    /// Of a caller who may do everything, for what has to be there before.
    free: SdkConfig,
    running: NodeId,
    stopped: NodeId,
    hybrid: NodeId,
    bare: NodeId,
    poor: NodeId,
}

/// One node of each kind that costs calls of its own.
async fn scene() -> Scene {
    let world = Arc::new(one_scope(0).aws_account(OTHER_ACCOUNT).start().await.unwrap());
    let os = OperatingSystem::AmazonLinux2023;
    let missing = || {
        let patch = "openssl.x86_64".parse().unwrap();
        PatchSpec::from(PatchSeed::new(patch, PatchState::Missing))
    };
    let ec2 = || NodeSpec::ec2(os.clone(), ACCOUNT, REGION).with_patches([missing()]).scanned();
    let add = |spec: NodeSpec| node(&world.add_node(&spec).unwrap());
    let running = add(ec2().with_tag("PatchGroup", "web"));
    let stopped = add(ec2().with_power(Power::Stopped).with_tag("Start", "yes"));
    let hybrid = add(NodeSpec::hybrid(os.clone(), ACCOUNT, REGION).with_tag("Owner", "alice"));
    let without = |access| ec2().with_access(access).with_agent(Agent::Absent);
    let bare = add(without(AccessStatus::NoIdentity));
    let poor = add(without(AccessStatus::MissingPermissions));
    let key = world.add_caller(ACCOUNT, "free").unwrap();
    let keys = Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test");
    let free = sdk(&world, REGION).to_builder();
    let free = free.credentials_provider(SharedCredentialsProvider::new(keys)).build();
    let iam = aws_sdk_iam::Client::new(&free);
    let inline =
        r#"{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}"#;
    let put = iam.put_role_policy().role_name("patchkit-no-systems-manager").policy_name("inline");
    put.policy_document(inline).send().await.unwrap();
    let ssm = builder(&world).build().await.unwrap();
    Scene { world, ssm, free, running, stopped, hybrid, bare, poor }
}

impl Scene {
    /// The same account and Region for the one who may do everything.
    async fn free(&self) -> Ssm {
        Ssm::builder(&self.free)
            .with_s3_endpoint(&self.world.endpoints().s3_endpoint)
            .with_clock(self.world.clock())
            .with_budget(patchkit_aws::CallBudget::unlimited())
            .build()
            .await
            .unwrap()
    }

    /// Binds the caller under test, and nobody else.
    fn bind(&self, actions: impl IntoIterator<Item = String>) {
        self.world.allow_only(&Allowance::of(actions).to("*:user/patchkit")).unwrap();
    }
}

fn told<T>(result: Result<T, Error>) -> Told<T> {
    result.map_err(|error| error.report())
}

fn allowed(features: &[Feature]) -> Vec<String> {
    let document = policy(features.iter().copied());
    let statements = document["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|it| it["Action"].as_array().unwrap());
    actions.map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Runs a workflow under the policy of what it needs, and under it less each action of `held`.
async fn hold(with: &[Feature], held: &[Feature], work: Work) {
    let actions = allowed(&[with, held].concat());
    let whole = scene().await;
    whole.bind(actions.clone());
    if let Err(error) = work(&whole).await {
        panic!("under its own policy: {error}");
    }
    let needed: BTreeSet<&str> = held.iter().flat_map(|it| it.actions().iter().copied()).collect();
    for without in needed {
        let scene = scene().await;
        scene.bind(actions.iter().filter(|it| *it != without).cloned());
        assert!(work(&scene).await.is_err(), "{without} is not needed");
    }
}

macro_rules! workflows {
    ($($test:ident: [$($with:ident)*] [$($held:ident)+] $work:path;)+) => {
        /// The features each of whose actions a test takes away.
        const HELD: &[&[Feature]] = &[$(&[$(Feature::$held),+]),+];

        $(
            #[tokio::test]
            async fn $test() {
                let (with, held) = (&[$(Feature::$with),*], &[$(Feature::$held),+]);
                hold(with, held, |scene| $work(scene).boxed_local()).await;
            }
        )+
    };
}

workflows! {
    nodes_are_read: [] [Nodes] nodes::read;
    compliance_is_read: [Nodes] [Compliance] nodes::report;
    nodes_are_patched: [Nodes Compliance] [Patch Power] nodes::patch;
    access_is_checked: [Nodes] [AccessCheck] nodes::check;
    access_is_given: [Nodes AccessCheck] [AccessFix] nodes::fix;
    tags_are_set: [Nodes] [Tags] nodes::tag;
    baselines_are_read: [Nodes] [Baselines] nodes::read_baselines;
    baselines_are_written: [Nodes Baselines] [BaselinesWrite] nodes::write_baselines;
    output_is_read: [Nodes Patch] [Output] acts::output;
    commands_tell_a_topic: [Nodes Patch] [CommandNotify] acts::notified;
    a_topic_is_told: [] [Notify] acts::notify;
    compliance_of_other_kinds_is_written: [Nodes] [OtherCompliance] acts::other_compliance;
    windows_and_associations_are_made: [] [Schedules] schedules::schedule;
    runbooks_are_started: [] [Automation] schedules::automate;
    groups_are_listed: [] [ResourceGroups] acts::group;
    history_is_read: [] [ComplianceHistory] acts::history;
    hybrid_nodes_are_listed: [] [Hybrid] acts::hybrid;
    hybrid_nodes_are_activated: [Hybrid] [HybridWrite] acts::activate;
    syncs_are_checked: [] [Lake] setup::syncs;
    syncs_are_made: [Lake] [LakeWrite] setup::make_syncs;
    a_setup_is_checked: [] [SetupCheck] setup::check;
    a_setup_is_made: [SetupCheck] [SetupFix] setup::fix;
    accounts_are_opened: [] [Accounts] accounts::open;
}

/// The simulated cloud has no Athena: `athena::policy` takes the actions of these away.
#[cfg(feature = "athena")]
const HELD_ELSEWHERE: &[Feature] = &crate::athena::policy::HELD;

#[cfg(not(feature = "athena"))]
const HELD_ELSEWHERE: &[Feature] = &[Feature::Athena, Feature::AthenaWrite];

#[test]
fn every_feature_is_held_by_a_workflow() {
    let held = HELD.iter().copied().flatten().chain(HELD_ELSEWHERE);
    let held: BTreeSet<Feature> = held.copied().collect();
    let missing: Vec<_> = Feature::ALL.into_iter().filter(|it| !held.contains(it)).collect();
    assert_eq!(missing, [], "are held by none");
}

#[test]
fn no_statement_is_empty() {
    for feature in Feature::ALL {
        let document = policy([feature]);
        for statement in document["Statement"].as_array().unwrap() {
            assert!(!statement["Action"].as_array().unwrap().is_empty(), "{document:#}");
        }
    }
}
