//! Each workflow under exactly the policy that is rendered for it, and under it less one action.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, TryStreamExt, future::LocalBoxFuture};
use patchkit_aws::{Feature, Ssm, policy};
use patchkit_core::{
    AccessGrant, AccessStatus, Baseline, ComplianceReport, Error, Fleet, FleetExt, NodeId,
    NodeSelector, OperatingSystem, PatchAction, PatchBaseline, PatchGroup, PatchGroupName,
    PatchRequest, PowerState, RebootPolicy, RunId, SubmitToken, Tags,
    memory::MemoryJournal,
    workflow::{PatchOptions, Runner},
};
use patchkit_testkit::cloud::{Agent, Allowance, NodeSpec, PatchSpec, Power, World};

use crate::support::{ACCOUNT, REGION, builder, node, sdk};

type Work = for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, Result<(), String>>;

struct Scene {
    world: Arc<World>,
    ssm: Ssm,
    running: NodeId,
    stopped: NodeId,
    hybrid: NodeId,
    bare: NodeId,
    poor: NodeId,
}

/// One node of each kind that costs calls of its own.
async fn scene() -> Scene {
    let world = crate::support::one_scope(0).start().await.unwrap();
    let os = OperatingSystem::AmazonLinux2023;
    let missing = || {
        let patch = "openssl.x86_64".parse().unwrap();
        PatchSpec::from(patchkit_testkit::PatchSeed::new(patch, patchkit_core::PatchState::Missing))
    };
    let ec2 = || NodeSpec::ec2(os.clone(), ACCOUNT, REGION).with_patches([missing()]).scanned();
    let add = |spec: NodeSpec| node(&world.add_node(&spec).unwrap());
    let running = add(ec2().with_tag("PatchGroup", "web"));
    let stopped = add(ec2().with_power(Power::Stopped).with_tag("Start", "yes"));
    let hybrid = add(NodeSpec::hybrid(os.clone(), ACCOUNT, REGION).with_tag("Owner", "alice"));
    let without = |access| ec2().with_access(access).with_agent(Agent::Absent);
    let bare = add(without(AccessStatus::NoIdentity));
    let poor = add(without(AccessStatus::MissingPermissions));
    let world = Arc::new(world);
    let iam = aws_sdk_iam::Client::new(&sdk(&world, REGION));
    let inline =
        r#"{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}"#;
    let put = iam.put_role_policy().role_name("patchkit-no-systems-manager").policy_name("inline");
    put.policy_document(inline).send().await.unwrap();
    let ssm = builder(&world).build().await.unwrap();
    Scene { world, ssm, running, stopped, hybrid, bare, poor }
}

fn told<T>(result: Result<T, Error>) -> Result<T, String> {
    result.map_err(|error| error.report())
}

fn all<T>(answers: patchkit_core::PerNode<T>) -> Result<(), String> {
    answers.into_iter().try_for_each(|(_, answer)| told(answer).map(drop))
}

fn runner(scene: &Scene) -> Runner {
    let clock = Arc::new(scene.world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    Runner::new(scene.ssm.clone(), scene.ssm.clone(), journal, clock)
}

fn read(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        told(scene.ssm.collect_nodes(&NodeSelector::all()).await)?;
        all(scene.ssm.statuses(&[scene.running.clone(), scene.hybrid.clone()]).await)
    }
    .boxed_local()
}

fn report(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        told(scene.ssm.summaries(&NodeSelector::all()).try_collect::<Vec<_>>().await)?;
        told(scene.ssm.summary(&scene.running).await)?;
        told(scene.ssm.patches(&scene.running).try_collect::<Vec<_>>().await).map(drop)
    }
    .boxed_local()
}

fn patch(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        let nodes = NodeSelector::ids([scene.running.clone(), scene.stopped.clone()]);
        let options =
            PatchOptions::new(nodes).with_start(NodeSelector::all().with_tag("Start", ["yes"]));
        let runner = runner(scene);
        let plan = told(runner.plan_patch(&options).await)?;
        let ended = told(runner.patch(&RunId::new("patch").unwrap(), &plan).await)?;
        if !ended.is_clean() {
            return Err(ended.to_string());
        }
        let known = told(scene.ssm.collect_nodes(&options.selector).await)?;
        let off = known.iter().find(|it| it.id == scene.stopped).map(|it| it.power);
        assert_eq!(off, Some(PowerState::Stopped), "put back");
        let token = SubmitToken::new("cancelled").unwrap();
        let install = PatchAction::Install(RebootPolicy::Never);
        let request = PatchRequest::new(token, vec![scene.running.clone()], install);
        let id = told(scene.ssm.submit(request).await)?;
        told(scene.ssm.cancel(&id).await)
    }
    .boxed_local()
}

fn check(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        for node in [&scene.running, &scene.bare, &scene.poor] {
            let access = told(scene.ssm.access(node).await)?;
            assert_ne!(access.status, AccessStatus::Unknown, "{access:?}");
        }
        Ok(())
    }
    .boxed_local()
}

fn fix(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        let running = told(scene.ssm.access(&scene.running).await)?;
        assert_eq!(running.status, AccessStatus::Granted, "{running:?}");
        let grant =
            AccessGrant::new("patchkit-managed-node").with_policy("AmazonSSMManagedInstanceCore");
        for node in [&scene.bare, &scene.poor] {
            let change = told(scene.ssm.grant_access(node, &grant).await)?;
            assert!(!change.is_empty(), "{change:?}");
            told(scene.ssm.revert_access(&change).await)?;
        }
        Ok(())
    }
    .boxed_local()
}

fn tag(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        let wanted: Tags = [("Cost".to_owned(), "42".to_owned())].into();
        for node in [&scene.running, &scene.hybrid] {
            let change = told(scene.ssm.merge_tags(node, &wanted).await)?;
            told(scene.ssm.revert_tags(&change).await)?;
        }
        Ok(())
    }
    .boxed_local()
}

fn read_baselines(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        let (ssm, os) = (&scene.ssm, OperatingSystem::AmazonLinux2023);
        let web = PatchGroupName::new("web").unwrap();
        told(ssm.baselines(&patchkit_core::BaselineSelector::all()).try_collect::<Vec<_>>().await)?;
        told(ssm.default_baseline(&os).await)?;
        told(ssm.groups().try_collect::<Vec<_>>().await)?;
        told(ssm.registrations(&web).try_collect::<Vec<_>>().await)?;
        told(ssm.members(&web).try_collect::<Vec<_>>().await)?;
        told(ssm.baseline_for(&web, &os).await).map(drop)
    }
    .boxed_local()
}

fn write_baselines(scene: &Scene) -> LocalBoxFuture<'_, Result<(), String>> {
    async {
        let (ssm, os) = (&scene.ssm, OperatingSystem::AmazonLinux2023);
        let web = PatchGroupName::new("web").unwrap();
        let mut draft = PatchBaseline::new("policy-test", os.clone());
        let id = told(ssm.create_baseline(&draft).await)?;
        draft = draft.with_id(id.clone()).with_description("changed");
        told(ssm.update_baseline(&draft).await)?;
        told(ssm.register(&web, &id).await)?;
        told(ssm.deregister(&web, &id).await)?;
        let before = told(ssm.set_default_baseline(&id).await)?;
        told(ssm.set_default_baseline(&before.unwrap()).await)?;
        told(ssm.delete_baseline(&id).await).map(drop)
    }
    .boxed_local()
}

const WORKFLOWS: &[(&str, &[Feature], Work)] = &[
    ("nodes", &[Feature::Nodes], read),
    ("compliance", &[Feature::Nodes, Feature::Compliance], report),
    ("patch", &[Feature::Nodes, Feature::Compliance, Feature::Patch, Feature::Power], patch),
    ("access check", &[Feature::Nodes, Feature::AccessCheck], check),
    ("access fix", &[Feature::Nodes, Feature::AccessCheck, Feature::AccessFix], fix),
    ("tags", &[Feature::Nodes, Feature::Tags], tag),
    ("baselines", &[Feature::Nodes, Feature::Baselines], read_baselines),
    (
        "baselines, writing",
        &[Feature::Nodes, Feature::Baselines, Feature::BaselinesWrite],
        write_baselines,
    ),
];

/// What a workflow of these features needs of the features before the last: the last one's actions
/// are each needed, and the others' are tested where they are last.
fn own(features: &[Feature]) -> BTreeSet<&'static str> {
    features.last().into_iter().flat_map(|it| it.actions().iter().copied()).collect()
}

fn allowed(features: &[Feature]) -> Vec<String> {
    let document = policy(features.iter().copied());
    let statements = document["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|it| it["Action"].as_array().unwrap());
    actions.map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_workflow_runs_under_its_policy_and_not_without_any_of_its_actions() {
    for (name, features, work) in WORKFLOWS {
        let actions = allowed(features);
        let whole = scene().await;
        whole.world.allow_only(&Allowance::of(actions.clone())).unwrap();
        if let Err(error) = work(&whole).await {
            panic!("{name} under its own policy: {error}");
        }
        let mut needed = own(features);
        if *name == "patch" {
            needed.extend(Feature::Patch.actions());
        }
        for without in needed {
            let scene = scene().await;
            let less = actions.iter().filter(|it| *it != without);
            scene.world.allow_only(&Allowance::of(less.cloned())).unwrap();
            assert!(work(&scene).await.is_err(), "{name} does not need {without}");
        }
    }
}
