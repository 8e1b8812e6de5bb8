//! What is known of the patches of machines.

use std::time::Duration;

use futures::StreamExt;
use patchkit_azure::UpdateManager;
use patchkit_core::{
    ApprovalRule, AutoApproval, Classification, ComplianceReport, ComplianceStatus, ErrorKind,
    Fleet, FleetExt, NodeCompliance, NodeId, NodeSelector, OperatingSystem, PatchBaseline,
    PatchFilter, PatchFilterKey, PatchId, PatchState, RunId,
};
use patchkit_testkit::cloud::{Fault, FaultKind, NodeSpec, PatchSpec, Power};

use crate::cloud::{Cloud, GROUP, SUBSCRIPTION, all, arc, provider, vm};

fn patch(id: &str, state: PatchState) -> PatchSpec {
    PatchSpec::new(PatchId::new(id).unwrap(), state)
}

fn windows() -> NodeSpec {
    NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, GROUP)
}

async fn summaries(azure: &UpdateManager, selector: &NodeSelector) -> Vec<NodeCompliance> {
    let mut known = all(azure.summaries(selector)).await.unwrap();
    known.sort_by(|a, b| a.node.cmp(&b.node));
    known
}

async fn states(azure: &UpdateManager, node: &NodeId) -> Vec<(String, PatchState)> {
    let mut states: Vec<_> = all(azure.patches(node))
        .await
        .unwrap()
        .into_iter()
        .map(|patch| (patch.patch.to_string(), patch.state))
        .collect();
    states.sort_by(|(a, _), (b, _)| a.cmp(b));
    states
}

#[tokio::test]
async fn what_is_urgent_is_missing_and_what_is_not_is_available() {
    let cloud = Cloud::empty().await;
    let kinds = [Classification::SecurityUpdates, Classification::Updates];
    let updates = ["KB5030001", "KB5030002"].into_iter().zip(kinds);
    let updates =
        updates.map(|(id, kind)| patch(id, PatchState::Missing).with_classification(kind));
    let behind = cloud.add(&windows().with_patches(updates.collect::<Vec<_>>()).scanned());
    let fix = patch("bash", PatchState::Missing).with_classification(Classification::Bugfix);
    let well = cloud.add(&vm().with_patches([fix]).scanned());

    let named = |id: &str, state| (id.to_owned(), state);
    assert_eq!(
        states(&cloud.azure, &behind).await,
        [named("KB5030001", PatchState::Missing), named("KB5030002", PatchState::Available)]
    );
    assert_eq!(states(&cloud.azure, &well).await, [named("bash", PatchState::Available)]);
    let known = cloud.azure.summary(&behind).await.unwrap();
    assert_eq!(known.status, ComplianceStatus::NonCompliant);
    assert_eq!((known.counts.missing, known.counts.other), (1, 1));
    assert_eq!(known.counts.security_non_compliant, 1);
    let known = cloud.azure.summary(&well).await.unwrap();
    assert_eq!(known.status, ComplianceStatus::Compliant, "an update that is neither has no say");
    assert_eq!(known.age(cloud.world.now()).unwrap().as_secs(), 0);
    let update = all(cloud.azure.patches(&behind)).await.unwrap().remove(0);
    assert!(update.title.unwrap().starts_with("Update for Windows"), "its name for people");
}

#[tokio::test]
async fn what_an_installation_brought_is_there_and_what_failed_is_missing() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    let patches = [
        patch("curl", PatchState::Installed),
        patch("bash", PatchState::Failed),
        patch("zlib", PatchState::NotSelected),
    ];
    cloud.world.set_patches(node.resource(), &patches).unwrap();
    let named = |id: &str, state| (id.to_owned(), state);
    assert_eq!(
        states(&cloud.azure, &node).await,
        [
            named("bash", PatchState::Missing),
            named("curl", PatchState::Installed),
            named("zlib", PatchState::Missing),
        ]
    );
    let known = cloud.azure.summary(&node).await.unwrap();
    assert_eq!((known.counts.installed, known.counts.missing), (1, 2));
    assert_eq!(known.status, ComplianceStatus::NonCompliant);
}

#[tokio::test]
async fn a_machine_that_waits_for_a_reboot_is_not_compliant() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    let patches = [patch("curl", PatchState::InstalledPendingReboot)];
    cloud.world.set_patches(node.resource(), &patches).unwrap();
    let waits = ("curl".to_owned(), PatchState::InstalledPendingReboot);
    assert_eq!(states(&cloud.azure, &node).await, [waits]);
    let known = cloud.azure.summary(&node).await.unwrap();
    assert_eq!(known.status, ComplianceStatus::NonCompliant);
    assert_eq!(known.counts.installed_pending_reboot, 1);
}

#[tokio::test]
async fn an_assessment_of_more_than_a_week_ago_says_nothing() {
    let cloud = Cloud::empty().await;
    let lacking = [patch("bash", PatchState::Missing)];
    let node = cloud.add(&vm().with_patches(lacking).scanned());
    cloud.world.advance(Duration::from_hours(6 * 24));
    let known = cloud.azure.summary(&node).await.unwrap();
    assert_eq!(known.status, ComplianceStatus::NonCompliant);
    assert_eq!(known.age(cloud.world.now()).unwrap().as_hours(), 6 * 24);
    cloud.world.advance(Duration::from_hours(2 * 24));
    let known = cloud.azure.summary(&node).await.unwrap();
    assert_eq!((known.status, known.observed_at), (ComplianceStatus::Unknown, None));
    assert!(states(&cloud.azure, &node).await.is_empty());
}

#[tokio::test]
async fn a_part_of_the_selection_is_known_as_the_whole_is() {
    let cloud = Cloud::empty().await;
    let mut nodes = Vec::new();
    for number in 0..12 {
        let base = if number % 3 == 0 { arc() } else { vm() };
        let state = if number % 2 == 0 { PatchState::Missing } else { PatchState::Installed };
        let spec = base.with_patches([patch("bash", state)]).with_tag("Env", "prod");
        nodes.push(cloud.add(&if number == 11 { spec } else { spec.scanned() }));
    }
    let whole = summaries(&cloud.azure, &NodeSelector::all()).await;
    assert_eq!(whole.len(), 12);
    assert_eq!(whole.iter().filter(|it| it.status == ComplianceStatus::Unknown).count(), 1);
    for selector in [
        NodeSelector::ids(nodes),
        NodeSelector::all().with_tag("Env", ["prod"]),
        NodeSelector::all().with_accounts([SUBSCRIPTION.parse().unwrap()]),
    ] {
        assert_eq!(summaries(&cloud.azure, &selector).await, whole, "{selector}");
    }
    let nowhere = NodeSelector::all().with_accounts(["elsewhere".parse().unwrap()]);
    assert!(summaries(&cloud.azure, &nowhere).await.is_empty());
}

#[tokio::test]
async fn machines_and_what_is_known_of_them_come_in_one_pass() {
    let cloud = Cloud::empty().await;
    cloud.add(&vm().with_patches([patch("bash", PatchState::Missing)]).scanned());
    cloud.add(&arc().with_tag("Owner", "alice"));
    let mut pairs = all(cloud.azure.machines_with_compliance(&NodeSelector::all())).await.unwrap();
    pairs.sort_by(|(a, _), (b, _)| a.node.id.cmp(&b.node.id));
    let nodes = cloud.azure.collect_nodes(&NodeSelector::all()).await.unwrap();
    let known = summaries(&cloud.azure, &NodeSelector::all()).await;
    assert_eq!(pairs.len(), 2);
    for ((machine, known), (node, summary)) in pairs.into_iter().zip(nodes.into_iter().zip(known)) {
        assert_eq!((machine.node.id, machine.node.tags), (node.id, node.tags));
        assert_eq!(known, summary);
    }
}

#[tokio::test]
async fn pages_that_overlap_or_are_empty_change_nothing() {
    let cloud = Cloud::empty().await;
    for _ in 0..12 {
        cloud.add(&vm().with_patches([patch("bash", PatchState::Missing)]).scanned());
    }
    let clean = summaries(&cloud.azure, &NodeSelector::all()).await;
    for kind in [FaultKind::DuplicateItem, FaultKind::EmptyPage] {
        let fault = cloud.world.add_fault(Fault::new(kind).on("Resources").times(2)).unwrap();
        assert_eq!(summaries(&cloud.azure, &NodeSelector::all()).await, clean, "{kind:?}");
        assert!(cloud.world.faults().iter().all(|it| it.met > 0), "{kind:?}");
        cloud.world.remove_fault(fault);
    }
    for kind in [FaultKind::RepeatToken, FaultKind::NullArray] {
        let fault = cloud.world.add_fault(Fault::new(kind).on("Resources")).unwrap();
        let error = all(cloud.azure.summaries(&NodeSelector::all())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{kind:?}");
        cloud.world.remove_fault(fault);
    }
}

#[tokio::test]
async fn a_subscription_that_shows_nothing_spoils_only_itself() {
    let cloud = Cloud::empty().await;
    cloud.vm();
    let azure =
        provider(&cloud.world).with_subscriptions(["hidden".parse().unwrap()]).build().unwrap();
    let rows: Vec<_> = azure.summaries(&NodeSelector::all()).collect().await;
    let (known, errors): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    assert_eq!((known.len(), errors.len()), (1, 1));
    let error = errors.into_iter().next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.scope().unwrap().to_string(), "azure/hidden/global");
}

#[tokio::test]
async fn a_baseline_of_the_callers_judges_what_azure_found() {
    let cloud = Cloud::empty().await;
    let fix = || patch("bash", PatchState::Missing).with_classification(Classification::Bugfix);
    let behind = cloud.add(&vm().with_patches([fix()]).scanned());
    let other = cloud.add(&windows().scanned());
    let never = cloud.vm();
    let urgent = [patch("openssl", PatchState::Missing)];
    let unasked = cloud.add(&vm().with_patches(urgent).scanned());
    let approve = |class: &str| {
        let filter = PatchFilter::new(PatchFilterKey::Classification, [class]);
        let rule = ApprovalRule::new(AutoApproval::Immediately).with_filter(filter);
        PatchBaseline::new("ubuntu", OperatingSystem::Ubuntu)
            .with_rule(rule.with_scope(patchkit_core::UpdateScope::All))
    };
    let selectors = [
        NodeSelector::all(),
        NodeSelector::ids([&behind, &other, &never, &unasked].map(Clone::clone)),
    ];
    for selector in selectors {
        let known = all(cloud.azure.summaries_under([approve("Other")], &selector)).await.unwrap();
        assert_eq!(known.len(), 4);
        let status = |node: &NodeId| known.iter().find(|it| it.node == *node).unwrap().status;
        assert_eq!(status(&behind), ComplianceStatus::NonCompliant, "approved and not there");
        assert_eq!(status(&unasked), ComplianceStatus::Compliant, "nobody asks for it");
        assert_eq!(status(&other), ComplianceStatus::Unknown, "no baseline");
        assert_eq!(status(&never), ComplianceStatus::Unknown, "no assessment");
    }
}

#[tokio::test]
async fn only_what_is_too_old_is_to_be_assessed_and_can_be() {
    let cloud = Cloud::empty().await;
    let old = cloud.add(&vm().scanned());
    cloud.world.advance(Duration::from_hours(30));
    let young = cloud.add(&vm().scanned());
    let never = cloud.add(&arc());
    let off = cloud.add(&vm().with_power(Power::Deallocated));
    let day = Duration::from_hours(24);
    let mut outdated: Vec<NodeId> = all(cloud.azure.outdated(&NodeSelector::all(), day))
        .await
        .unwrap()
        .into_iter()
        .map(|known| known.node)
        .collect();
    outdated.sort();
    let mut expected = vec![old.clone(), never.clone(), off.clone()];
    expected.sort();
    assert_eq!(outdated, expected);

    let run = RunId::new("daily").unwrap();
    let refresh = cloud.azure.refresh(&NodeSelector::all(), day, &run).await.unwrap();
    let nodes = |known: &[NodeCompliance]| -> Vec<NodeId> {
        known.iter().map(|it| it.node.clone()).collect()
    };
    assert_eq!((nodes(&refresh.fresh), nodes(&refresh.unable)), (vec![young], vec![off]));
    assert!(refresh.problems.is_empty());
    let mut asked: Vec<NodeId> =
        refresh.submitted.iter().flat_map(|(nodes, _)| nodes.clone()).collect();
    asked.sort();
    let mut expected = vec![old, never];
    expected.sort();
    assert_eq!(asked, expected);
    for (_, begun) in refresh.submitted {
        let id = begun.unwrap();
        while !cloud.azure.operation(&id).await.unwrap().status.is_final() {
            cloud.world.advance(Duration::from_mins(1));
        }
    }
    let outdated = all(cloud.azure.outdated(&NodeSelector::ids(asked), day)).await.unwrap();
    assert!(outdated.is_empty(), "{outdated:?}");
}
