//! Baselines that decide what is missing and what an install brings.

mod registered;
mod run;

use patchkit_azure::{Baselines, InstallOptions, LinuxPatches, UpdateManager, WindowsPatches};
use patchkit_core::{
    ApprovalRule, AutoApproval, Classification, ComplianceReport, ComplianceStatus, ErrorKind,
    Fleet, NodeId, OperatingSystem, OperationId, OperationStatus, PatchAction, PatchBaseline,
    PatchFilter, PatchFilterKey, PatchId, PatchRequest, PatchState, RebootPolicy, Result,
    SubmitToken, UpdateScope,
};
use patchkit_testkit::cloud::{NodeSpec, PatchSpec};

use crate::cloud::{Cloud, GROUP, SUBSCRIPTION, all, arc, builder, provider, vm};

const INSTALL: [&str; 2] = ["VirtualMachines_InstallPatches", "Machines_InstallPatches"];

/// A world without a machine. What is added to it was released half a year ago.
async fn cloud() -> Cloud {
    Cloud::of(builder().nodes(0).start_at("2026-11-24T02:00:00Z".parse().unwrap())).await
}

fn lacks(id: &str, class: Classification) -> PatchSpec {
    PatchSpec::new(PatchId::new(id).unwrap(), PatchState::Missing).with_classification(class)
}

/// A machine that lacks two security updates and a rollup.
fn windows() -> NodeSpec {
    NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, GROUP).with_patches([
        lacks("KB5000001", Classification::SecurityUpdates),
        lacks("KB5000002", Classification::SecurityUpdates),
        lacks("KB5000003", Classification::UpdateRollups),
    ])
}

fn linux(spec: NodeSpec) -> NodeSpec {
    let other = || Classification::Other("Other".into());
    spec.with_patches([
        lacks("curl", Classification::Security),
        lacks("kernel", Classification::Security),
        lacks("vim", other()),
    ])
}

fn rule(class: &str, days: u16) -> ApprovalRule {
    let filter = PatchFilter::new(PatchFilterKey::Classification, [class]);
    ApprovalRule::new(AutoApproval::AfterDays(days)).with_filter(filter)
}

/// Security updates after a week but for one, and rollups after most of a year.
fn careful() -> PatchBaseline {
    PatchBaseline::new("careful", OperatingSystem::Windows)
        .with_rule(rule("SecurityUpdates", 7))
        .with_rule(rule("UpdateRollups", 300))
        .with_rejected(["KB5000002"])
}

/// Whatever is not for security, and `curl`.
fn odd() -> PatchBaseline {
    let filter = PatchFilter::new(PatchFilterKey::Classification, ["Other"]);
    let rule = ApprovalRule::new(AutoApproval::Immediately).with_filter(filter);
    PatchBaseline::new("odd", OperatingSystem::Ubuntu)
        .with_rule(rule.with_scope(UpdateScope::All))
        .with_approved(["curl"])
}

fn these(cloud: &Cloud, baselines: impl IntoIterator<Item = PatchBaseline>) -> UpdateManager {
    cloud.azure.with_baselines(&Baselines::These(baselines.into_iter().collect()))
}

fn installs(cloud: &Cloud) -> usize {
    INSTALL.iter().map(|operation| cloud.count(operation)).sum()
}

fn installed(cloud: &Cloud, node: &NodeId) -> Vec<String> {
    let mut installed = cloud.world.node(node.resource()).unwrap().installed;
    installed.sort();
    installed
}

async fn submit(cloud: &Cloud, azure: &UpdateManager, node: &NodeId) -> Result<OperationId> {
    let token = SubmitToken::stamped(node.name(), cloud.world.now()).unwrap();
    let install = PatchAction::Install(RebootPolicy::IfRequired);
    azure.submit(PatchRequest::new(token, vec![node.clone()], install)).await
}

#[tokio::test]
async fn an_install_brings_what_the_baseline_approves_and_nothing_else() {
    for (spec, expected) in [
        (windows(), &["KB5000001"][..]),
        (linux(vm()), &["curl", "vim"]),
        (linux(arc()), &["curl", "vim"]),
    ] {
        let cloud = cloud().await;
        let azure = these(&cloud, [careful(), odd()]);
        let node = cloud.add(&spec.scanned());
        let id = submit(&cloud, &azure, &node).await.unwrap();
        while !azure.operation(&id).await.unwrap().status.is_final() {
            cloud.world.advance(std::time::Duration::from_mins(1));
        }
        assert_eq!(installed(&cloud, &node), expected);
        assert_eq!(installs(&cloud), 1);
    }
}

#[tokio::test]
async fn a_delay_is_over_one_day() {
    let cloud = cloud().await;
    let azure = these(&cloud, [careful()]);
    cloud.world.advance(std::time::Duration::from_hours(200 * 24));
    let node = cloud.add(&windows().scanned());
    let known = azure.summary(&node).await.unwrap();
    assert_eq!((known.status, known.counts.missing), (ComplianceStatus::NonCompliant, 2));
    let id = submit(&cloud, &azure, &node).await.unwrap();
    while !azure.operation(&id).await.unwrap().status.is_final() {
        cloud.world.advance(std::time::Duration::from_mins(1));
    }
    assert_eq!(installed(&cloud, &node), ["KB5000001", "KB5000003"]);
}

#[tokio::test]
async fn where_nothing_is_approved_nothing_is_sent_and_every_process_knows_the_end() {
    let cloud = cloud().await;
    let none = PatchBaseline::new("none", OperatingSystem::Ubuntu);
    let azure = these(&cloud, [none]);
    let node = cloud.add(&linux(vm()).scanned());
    let id = submit(&cloud, &azure, &node).await.unwrap();
    assert_eq!(submit(&cloud, &azure, &node).await.unwrap(), id, "it is the same token");
    cloud.world.advance(std::time::Duration::from_hours(48));
    let asked = cloud.world.calls().len();
    for process in [azure, provider(&cloud.world).build().unwrap()] {
        let act = process.operation(&id).await.unwrap();
        assert_eq!((act.status, act.nodes.len()), (OperationStatus::Succeeded, 1));
        let end = act.node(&node).unwrap();
        assert!(end.detail.as_ref().unwrap().contains("approves nothing"), "{end:?}");
        assert!(end.ended_at.is_some() && end.installed.is_empty());
        let result = process.install_result(&id).await.unwrap();
        assert_eq!((result.counts.installed, result.patches.len()), (0, 0));
    }
    assert_eq!(cloud.world.calls().len(), asked, "nobody is asked");
    assert_eq!(installs(&cloud), 0);
    assert!(installed(&cloud, &node).is_empty());
    let elsewhere = id.as_str().replace(SUBSCRIPTION, "other").parse().unwrap();
    let error = cloud.azure.operation(&elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn without_an_assessment_a_baseline_or_a_clear_choice_nothing_is_sent() {
    let cloud = cloud().await;
    let azure = these(&cloud, [odd()]);
    let never = cloud.add(&linux(vm()));
    let old = cloud.add(&linux(vm()).scanned());
    cloud.world.advance(std::time::Duration::from_hours(8 * 24));
    let young = cloud.add(&linux(vm()).scanned());
    let windows = cloud.add(&windows().scanned());
    let chosen = [
        InstallOptions::default().with_linux(LinuxPatches::default().without_packages(["curl"])),
        InstallOptions::default().with_windows(WindowsPatches::none()),
    ];
    for (azure, node, kind, why) in [
        (azure.clone(), &never, ErrorKind::Conflict, "scan it first"),
        (azure.clone(), &old, ErrorKind::Conflict, "scan it first"),
        (azure.clone(), &windows, ErrorKind::InvalidInput, "no baseline is for WINDOWS"),
        (azure.with_install_options(chosen[0].clone()), &young, ErrorKind::InvalidInput, "leave"),
        (azure.with_install_options(chosen[1].clone()), &young, ErrorKind::InvalidInput, "leave"),
    ] {
        let error = submit(&cloud, &azure, node).await.unwrap_err();
        assert_eq!((error.kind(), error.node()), (kind, Some(node)), "{error}");
        assert!(error.message().contains(why), "{error}");
    }
    assert_eq!(installs(&cloud), 0);
    // None of that has used its token up.
    submit(&cloud, &azure, &young).await.unwrap();
    assert_eq!(installs(&cloud), 1);
}

#[tokio::test]
async fn what_is_counted_is_what_is_listed() {
    let cloud = cloud().await;
    let azure = these(&cloud, [careful()]);
    let node = cloud.add(&windows().scanned());
    let unasked = cloud.add(&linux(vm()).scanned());
    let states: Vec<_> = all(azure.patches(&node))
        .await
        .unwrap()
        .into_iter()
        .map(|patch| (patch.patch.to_string(), patch.state, patch.status))
        .collect();
    let missing = ("KB5000001".into(), PatchState::Missing, ComplianceStatus::NonCompliant);
    assert_eq!(states, [missing]);
    let known = azure.summary(&node).await.unwrap();
    assert_eq!((known.counts.missing, known.counts.other), (1, 0));
    assert!(all(azure.patches(&unasked)).await.unwrap().is_empty());
    let known = azure.summary(&unasked).await.unwrap();
    assert_eq!(known.status, ComplianceStatus::Unknown);
    let as_azure = cloud.azure.summary(&node).await.unwrap();
    assert_eq!((as_azure.counts.missing, as_azure.counts.other), (2, 1));
}

#[tokio::test]
async fn a_refresh_asks_how_old_an_assessment_is_and_no_baseline() {
    let cloud = cloud().await;
    let azure = these(&cloud, [careful()]);
    let node = cloud.add(&linux(vm()).scanned());
    let day = std::time::Duration::from_hours(24);
    let one = patchkit_core::NodeSelector::ids([node]);
    assert!(all(azure.outdated(&one, day)).await.unwrap().is_empty());
    let can = [&azure, &cloud.azure].map(|it| it.capabilities().scan_before_install);
    assert_eq!(can, [true, false]);
}
