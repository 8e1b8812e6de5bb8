//! Nodes, their patches, their power, their access and their tags; baselines and groups.

use std::sync::Arc;

use futures::TryStreamExt;
use patchkit_core::{
    AccessGrant, AccessStatus, Baseline, ComplianceReport, Fleet, FleetExt, NodeSelector,
    OperatingSystem, PatchAction, PatchBaseline, PatchGroup, PatchGroupName, PatchRequest,
    PowerState, RebootPolicy, RunId, SubmitToken, Tags,
    memory::MemoryJournal,
    workflow::{PatchOptions, Runner},
};

use super::{Scene, Told, told};

fn all<T>(answers: patchkit_core::PerNode<T>) -> Told {
    answers.into_iter().try_for_each(|(_, answer)| told(answer).map(drop))
}

fn runner(scene: &Scene) -> Runner {
    let clock = Arc::new(scene.world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    Runner::new(scene.ssm.clone(), scene.ssm.clone(), journal, clock)
}

pub(super) async fn read(scene: &Scene) -> Told {
    told(scene.ssm.collect_nodes(&NodeSelector::all()).await)?;
    all(scene.ssm.statuses(&[scene.running.clone(), scene.hybrid.clone()]).await)
}

pub(super) async fn report(scene: &Scene) -> Told {
    told(scene.ssm.summaries(&NodeSelector::all()).try_collect::<Vec<_>>().await)?;
    told(scene.ssm.summary(&scene.running).await)?;
    told(scene.ssm.patches(&scene.running).try_collect::<Vec<_>>().await).map(drop)
}

pub(super) async fn patch(scene: &Scene) -> Told {
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

pub(super) async fn check(scene: &Scene) -> Told {
    for node in [&scene.running, &scene.bare, &scene.poor] {
        let access = told(scene.ssm.access(node).await)?;
        assert_ne!(access.status, AccessStatus::Unknown, "{access:?}");
    }
    Ok(())
}

pub(super) async fn fix(scene: &Scene) -> Told {
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

pub(super) async fn tag(scene: &Scene) -> Told {
    let wanted: Tags = [("Cost".to_owned(), "42".to_owned())].into();
    for node in [&scene.running, &scene.hybrid] {
        let change = told(scene.ssm.merge_tags(node, &wanted).await)?;
        told(scene.ssm.revert_tags(&change).await)?;
    }
    Ok(())
}

pub(super) async fn read_baselines(scene: &Scene) -> Told {
    let (ssm, os) = (&scene.ssm, OperatingSystem::AmazonLinux2023);
    let web = PatchGroupName::new("web").unwrap();
    told(ssm.baselines(&patchkit_core::BaselineSelector::all()).try_collect::<Vec<_>>().await)?;
    told(ssm.default_baseline(&os).await)?;
    told(ssm.groups().try_collect::<Vec<_>>().await)?;
    told(ssm.registrations(&web).try_collect::<Vec<_>>().await)?;
    told(ssm.members(&web).try_collect::<Vec<_>>().await)?;
    told(ssm.baseline_for(&web, &os).await).map(drop)
}

pub(super) async fn write_baselines(scene: &Scene) -> Told {
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
