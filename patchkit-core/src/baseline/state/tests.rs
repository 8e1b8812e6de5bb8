use proptest::prelude::*;

use super::*;
use crate::{
    ApprovalRule, AutoApproval, OperatingSystem, PatchBaseline, PatchId,
    baseline::testing::{any_baseline, any_patch, any_time},
};

fn when() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn patch(id: &str, classification: Classification) -> Patch {
    Patch::new(PatchId::new(id).unwrap()).with_classification(classification)
}

/// Approves `KB1` and rejects `KB2`; `KB3` waits; of `KB4` nothing speaks.
fn baseline(os: OperatingSystem, action: RejectedAction) -> PatchBaseline {
    let only = |id: &str| crate::PatchFilter::new(crate::PatchFilterKey::PatchId, [id]);
    PatchBaseline::new("web", os)
        .with_rule(
            ApprovalRule::new(AutoApproval::AfterDays(0))
                .with_filter(only("KB1"))
                .with_level(ComplianceLevel::High),
        )
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(360)).with_filter(only("KB3")))
        .with_rejected(["KB2"])
        .with_rejected_action(action)
}

const ALLOW: RejectedAction = RejectedAction::AllowAsDependency;
const BLOCK: RejectedAction = RejectedAction::Block;

fn state(
    os: &OperatingSystem,
    action: RejectedAction,
    id: &str,
    presence: Presence,
    operation: OperationKind,
) -> Option<PatchState> {
    let compiled = CompiledBaseline::new(&baseline(os.clone(), action));
    let kind = if *os == OperatingSystem::Windows {
        Classification::SecurityUpdates
    } else {
        Classification::Security
    };
    let node_patch = NodePatch::new(patch(id, kind).with_released_at(when()), presence);
    patch_state(&compiled, &node_patch, operation, when()).map(|judged| judged.state)
}

#[test]
fn the_table_of_states_holds() {
    use OperationKind::{Install, Scan};
    use PatchState as S;
    use Presence::{Absent, InstallFailed, Installed, InstalledPendingReboot, NotApplicable};
    let (linux, windows) = (OperatingSystem::AmazonLinux2023, OperatingSystem::Windows);
    for (os, action, id, presence, operation, expected) in [
        // Approved.
        (&linux, ALLOW, "KB1", Installed, Scan, Some(S::Installed)),
        (&linux, ALLOW, "KB1", InstalledPendingReboot, Scan, Some(S::InstalledPendingReboot)),
        (&linux, ALLOW, "KB1", Absent, Scan, Some(S::Missing)),
        (&linux, ALLOW, "KB1", Absent, Install, Some(S::Failed)),
        (&linux, ALLOW, "KB1", InstallFailed, Scan, Some(S::Missing)),
        (&linux, ALLOW, "KB1", InstallFailed, Install, Some(S::Failed)),
        (&linux, ALLOW, "KB1", NotApplicable, Scan, None),
        (&windows, ALLOW, "KB1", NotApplicable, Scan, Some(S::NotApplicable)),
        (&windows, ALLOW, "KB1", Absent, Scan, Some(S::Missing)),
        // Rejected.
        (&linux, ALLOW, "KB2", Installed, Scan, Some(S::InstalledOther)),
        (&linux, BLOCK, "KB2", Installed, Scan, Some(S::InstalledRejected)),
        (&linux, BLOCK, "KB2", InstalledPendingReboot, Scan, Some(S::InstalledRejected)),
        (&linux, ALLOW, "KB2", InstalledPendingReboot, Scan, Some(S::InstalledPendingReboot)),
        (&linux, BLOCK, "KB2", Absent, Install, None),
        (&linux, ALLOW, "KB2", Absent, Install, None),
        (&windows, ALLOW, "KB2", Installed, Scan, Some(S::InstalledOther)),
        (&windows, BLOCK, "KB2", Installed, Scan, Some(S::InstalledRejected)),
        (&windows, ALLOW, "KB2", Absent, Scan, None),
        // Pending approval, and nothing said.
        (&linux, ALLOW, "KB3", Installed, Scan, Some(S::InstalledOther)),
        (&linux, ALLOW, "KB4", Installed, Scan, Some(S::InstalledOther)),
        (&linux, ALLOW, "KB4", InstalledPendingReboot, Scan, Some(S::InstalledPendingReboot)),
        (&linux, ALLOW, "KB3", Absent, Scan, None),
        (&linux, ALLOW, "KB4", Absent, Install, None),
        (&linux, ALLOW, "KB4", InstallFailed, Install, None),
        (&windows, ALLOW, "KB3", Absent, Scan, Some(S::AvailableSecurityUpdate)),
        (&windows, ALLOW, "KB4", Absent, Install, Some(S::AvailableSecurityUpdate)),
        (&windows, ALLOW, "KB4", NotApplicable, Scan, None),
    ] {
        assert_eq!(
            state(os, action, id, presence, operation),
            expected,
            "{os} {action:?} {id} {presence:?} {operation:?}"
        );
    }
}

#[test]
fn only_security_updates_are_available_security_updates() {
    let compiled = CompiledBaseline::new(&baseline(OperatingSystem::Windows, ALLOW));
    let node_patch = NodePatch::new(patch("KB4", Classification::Updates), Presence::Absent);
    assert_eq!(patch_state(&compiled, &node_patch, OperationKind::Scan, when()), None);
}

#[test]
fn a_package_that_needs_a_blocked_one_is_missing_after_a_scan_and_failed_after_an_install() {
    let node_patch = NodePatch::new(patch("KB1", Classification::Security), Presence::Absent)
        .with_need(patch("zlib", Classification::Bugfix))
        .with_need(patch("KB2", Classification::Security));
    let os = OperatingSystem::AmazonLinux2023;
    let blocking = CompiledBaseline::new(&baseline(os.clone(), BLOCK));
    assert_eq!(blocking.install_choice(&node_patch, when()), InstallChoice::NeedsBlocked);
    for (operation, expected) in
        [(OperationKind::Scan, PatchState::Missing), (OperationKind::Install, PatchState::Failed)]
    {
        let judged = patch_state(&blocking, &node_patch, operation, when()).unwrap();
        assert_eq!((judged.state, judged.level), (expected, ComplianceLevel::High));
    }
    let allowing = CompiledBaseline::new(&baseline(os, ALLOW));
    assert_eq!(allowing.install_choice(&node_patch, when()), InstallChoice::Install);
}

#[test]
fn an_install_leaves_what_is_there_and_what_is_not_approved() {
    let compiled = CompiledBaseline::new(&baseline(OperatingSystem::AmazonLinux2023, ALLOW));
    for (id, presence, choice) in [
        ("KB1", Presence::Absent, InstallChoice::Install),
        ("KB1", Presence::InstallFailed, InstallChoice::Install),
        ("KB1", Presence::Installed, InstallChoice::Leave),
        ("KB1", Presence::InstalledPendingReboot, InstallChoice::Leave),
        ("KB1", Presence::NotApplicable, InstallChoice::Leave),
        ("KB2", Presence::Absent, InstallChoice::Leave),
        ("KB4", Presence::Absent, InstallChoice::Leave),
    ] {
        let node_patch = NodePatch::new(patch(id, Classification::Security), presence);
        assert_eq!(compiled.install_choice(&node_patch, when()), choice, "{id} {presence:?}");
    }
}

#[test]
fn only_an_approval_has_a_level() {
    let compiled = CompiledBaseline::new(&baseline(OperatingSystem::Windows, BLOCK));
    for (id, presence, level) in [
        ("KB1", Presence::Absent, ComplianceLevel::High),
        ("KB1", Presence::Installed, ComplianceLevel::High),
        ("KB2", Presence::Installed, ComplianceLevel::Unspecified),
        ("KB4", Presence::Absent, ComplianceLevel::Unspecified),
    ] {
        let node_patch = NodePatch::new(patch(id, Classification::SecurityUpdates), presence);
        let judged = patch_state(&compiled, &node_patch, OperationKind::Scan, when()).unwrap();
        assert_eq!(judged.level, level, "{id}");
    }
}

fn judge(
    available: AvailableUpdates,
    patches: &[(Classification, PatchState, ComplianceLevel)],
) -> NodeVerdict {
    let baseline =
        PatchBaseline::new("web", OperatingSystem::Windows).with_available_updates(available);
    let compiled = CompiledBaseline::new(&baseline);
    judge_node(
        &compiled,
        patches.iter().map(|(kind, state, level)| {
            (Some(kind), JudgedPatch::new(&compiled, state.clone(), *level))
        }),
    )
}

#[test]
fn a_scanned_node_without_patches_is_compliant() {
    let verdict = judge(AvailableUpdates::Compliant, &[]);
    assert_eq!((verdict.status, verdict.level), (ComplianceStatus::Compliant, None));
}

#[test]
fn rejected_pending_missing_or_failed_make_a_node_non_compliant() {
    for (state, status) in [
        (PatchState::Installed, ComplianceStatus::Compliant),
        (PatchState::InstalledOther, ComplianceStatus::Compliant),
        (PatchState::NotApplicable, ComplianceStatus::Compliant),
        (PatchState::InstalledRejected, ComplianceStatus::NonCompliant),
        (PatchState::InstalledPendingReboot, ComplianceStatus::NonCompliant),
        (PatchState::Missing, ComplianceStatus::NonCompliant),
        (PatchState::Failed, ComplianceStatus::NonCompliant),
    ] {
        let patch = (Classification::Updates, state.clone(), ComplianceLevel::Low);
        let verdict = judge(AvailableUpdates::Compliant, &[patch]);
        assert_eq!(verdict.status, status, "{state}");
        let wrong = status == ComplianceStatus::NonCompliant;
        assert_eq!(verdict.level, wrong.then_some(ComplianceLevel::Low), "{state}");
        assert_eq!(verdict.counts.non_compliant(), u32::from(wrong), "{state}");
    }
}

#[test]
fn available_security_updates_count_as_the_baseline_says() {
    let patch = (
        Classification::SecurityUpdates,
        PatchState::AvailableSecurityUpdate,
        ComplianceLevel::Critical,
    );
    let verdict = judge(AvailableUpdates::Compliant, std::slice::from_ref(&patch));
    assert_eq!((verdict.status, verdict.level), (ComplianceStatus::Compliant, None));
    assert_eq!(verdict.counts.available_security_update, 1);
    assert_eq!(verdict.counts.security_non_compliant, 0);

    let verdict = judge(AvailableUpdates::NonCompliant, &[patch]);
    assert_eq!(verdict.status, ComplianceStatus::NonCompliant);
    assert_eq!(verdict.level, Some(ComplianceLevel::Unspecified));
    assert_eq!(verdict.counts.available_security_update, 1);
    assert_eq!(verdict.counts.security_non_compliant, 1);
    assert_eq!(verdict.counts.critical_non_compliant, 0);
    assert_eq!(verdict.counts.other_non_compliant, 0);
}

#[test]
fn an_available_security_update_is_security_also_without_its_classification() {
    let baseline = PatchBaseline::new("web", OperatingSystem::Windows)
        .with_available_updates(AvailableUpdates::NonCompliant);
    let compiled = CompiledBaseline::new(&baseline);
    let state = PatchState::AvailableSecurityUpdate;
    let judged = JudgedPatch::new(&compiled, state, ComplianceLevel::Unspecified);
    let counts = judge_node(&compiled, [(None, judged)]).counts;
    assert_eq!((counts.security_non_compliant, counts.other_non_compliant), (1, 0));
}

#[test]
fn a_patch_can_be_critical_and_security_at_once() {
    use ComplianceLevel::{Critical, High, Low};
    use PatchState::{Installed, Missing};
    let verdict = judge(
        AvailableUpdates::Compliant,
        &[
            (Classification::SecurityUpdates, Missing, Critical),
            (Classification::Security, Missing, Low),
            (Classification::CriticalUpdates, Missing, High),
            (Classification::Updates, Missing, Critical),
            (Classification::SecurityUpdates, Installed, Critical),
        ],
    );
    assert_eq!(verdict.counts.critical_non_compliant, 2);
    assert_eq!(verdict.counts.security_non_compliant, 2);
    assert_eq!(verdict.counts.other_non_compliant, 1);
    assert_eq!((verdict.counts.missing, verdict.counts.installed), (4, 1));
    assert_eq!(verdict.level, Some(Critical));
}

proptest! {
    #[test]
    fn a_node_is_non_compliant_exactly_when_the_counts_say_so(
        baseline in any_baseline(), patches in prop::collection::vec((any_patch(), 0_usize..5), 0..6), when in any_time(),
    ) {
        let compiled = CompiledBaseline::new(&baseline);
        let presences = [
            Presence::Absent, Presence::Installed, Presence::InstalledPendingReboot,
            Presence::InstallFailed, Presence::NotApplicable,
        ];
        for operation in [OperationKind::Scan, OperationKind::Install] {
            let judged: Vec<_> = patches
                .iter()
                .filter_map(|(patch, presence)| {
                    let node_patch = NodePatch::new(patch.clone(), presences[*presence]);
                    let judged = patch_state(&compiled, &node_patch, operation, when)?;
                    Some((patch.classification.clone(), judged))
                })
                .collect();
            let verdict = judge_node(
                &compiled,
                judged.iter().map(|(kind, judged)| (kind.as_ref(), judged.clone())),
            );
            let available = verdict.counts.available_security_update > 0
                && baseline.available_updates == AvailableUpdates::NonCompliant;
            let wrong = verdict.counts.non_compliant() > 0 || available;
            prop_assert_eq!(verdict.status == ComplianceStatus::NonCompliant, wrong);
            let by_patch = judged.iter().any(|(_, it)| it.status == ComplianceStatus::NonCompliant);
            prop_assert_eq!(by_patch, wrong);
            if operation == OperationKind::Install {
                prop_assert_eq!(verdict.counts.missing, 0);
            } else {
                prop_assert_eq!(verdict.counts.failed, 0);
            }
        }
    }
}
