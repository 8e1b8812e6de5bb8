use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::{
    Classification, OperatingSystem, PatchFilter, PatchFilterKey, PatchId, Severity,
    baseline::testing::{any_baseline, any_patch, any_rule, any_time},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn patch(id: &str) -> Patch {
    Patch::new(PatchId::new(id).unwrap())
        .with_classification(Classification::Security)
        .with_severity(Severity::Critical)
        .with_released_at(at("2025-11-09T18:00:00Z"))
}

fn linux() -> PatchBaseline {
    PatchBaseline::new("web", OperatingSystem::AmazonLinux2)
}

fn after(days: u16) -> ApprovalRule {
    ApprovalRule::new(AutoApproval::AfterDays(days))
}

fn until(last: Date) -> ApprovalRule {
    ApprovalRule::new(AutoApproval::Until(last))
}

fn only(key: PatchFilterKey, value: &str) -> PatchFilter {
    PatchFilter::new(key, [value])
}

const LATE: &str = "2030-01-01T00:00:00Z";

#[track_caller]
fn expect(baseline: &PatchBaseline, patch: &Patch, approval: Approval, by: DecidedBy) -> Decision {
    let decision = evaluate(baseline, patch, at(LATE));
    assert_eq!((decision.approval, decision.by), (approval, by));
    decision
}

#[test]
fn a_baseline_without_rules_selects_nothing() {
    expect(&linux(), &patch("bash"), Approval::NotSelected, DecidedBy::Nothing);
}

#[test]
fn filters_of_a_rule_must_all_pass() {
    let rule = after(0)
        .with_filter(only(PatchFilterKey::Classification, "Security"))
        .with_filter(only(PatchFilterKey::Severity, "Low"));
    let baseline = linux().with_rule(rule);
    expect(&baseline, &patch("bash"), Approval::NotSelected, DecidedBy::Nothing);
    let low = patch("bash").with_severity(Severity::Low);
    expect(&baseline, &low, Approval::Approved, DecidedBy::Rule(0));
}

#[test]
fn any_value_of_a_filter_passes() {
    let filter = PatchFilter::new(PatchFilterKey::Severity, ["Low", "Critical"]);
    let baseline = linux().with_rule(after(0).with_filter(filter));
    expect(&baseline, &patch("bash"), Approval::Approved, DecidedBy::Rule(0));
}

#[test]
fn any_rule_approves() {
    let baseline = linux()
        .with_rule(after(0).with_filter(only(PatchFilterKey::Severity, "Low")))
        .with_rule(after(0));
    expect(&baseline, &patch("bash"), Approval::Approved, DecidedBy::Rule(1));
}

#[test]
fn a_patch_outside_the_global_filters_is_not_looked_at() {
    let baseline = linux()
        .with_global_filter(only(PatchFilterKey::Product, "*"))
        .with_global_filter(only(PatchFilterKey::Product, "AmazonLinux2.0"))
        .with_rule(after(0))
        .with_approved(["bash"])
        .with_rejected(["bash"]);
    expect(&baseline, &patch("bash"), Approval::NotSelected, DecidedBy::GlobalFilter(1));
}

#[test]
fn a_rejected_patch_beats_an_approval() {
    let baseline =
        linux().with_rule(after(0)).with_approved(["bash"]).with_rejected(["zsh", "bash"]);
    expect(&baseline, &patch("bash"), Approval::ExplicitRejected, DecidedBy::RejectedPatch(1));
}

#[test]
fn the_approved_list_does_not_wait() {
    let baseline = linux().with_rule(after(360)).with_approved(["ba*"]);
    let decision = evaluate(&baseline, &patch("bash"), at("2025-11-09T18:00:00Z"));
    assert_eq!(decision.approval, Approval::ExplicitApproved);
    assert_eq!(decision.by, DecidedBy::ApprovedPatch(0));
    assert_eq!(decision.approved_from, None);
}

#[test]
fn the_highest_level_that_approves_is_the_patchs() {
    let baseline = linux()
        .with_rule(after(0).with_level(ComplianceLevel::Low))
        .with_rule(after(7).with_level(ComplianceLevel::Critical))
        .with_rule(after(0).with_level(ComplianceLevel::High));
    let early = evaluate(&baseline, &patch("bash"), at("2025-11-10T00:00:00Z"));
    assert_eq!((early.level, early.by), (ComplianceLevel::High, DecidedBy::Rule(2)));
    let late = evaluate(&baseline, &patch("bash"), at(LATE));
    assert_eq!((late.level, late.by), (ComplianceLevel::Critical, DecidedBy::Rule(1)));
    assert_eq!(late.approved_from, Some(at("2025-11-09T18:00:00Z")));
}

#[test]
fn the_approved_lists_level_counts_among_the_others() {
    let of = |listed, rule| {
        let baseline = linux()
            .with_rule(after(0).with_level(rule))
            .with_approved(["bash"])
            .with_approved_level(listed);
        evaluate(&baseline, &patch("bash"), at(LATE)).level
    };
    assert_eq!(of(ComplianceLevel::High, ComplianceLevel::Low), ComplianceLevel::High);
    assert_eq!(of(ComplianceLevel::Low, ComplianceLevel::High), ComplianceLevel::High);
}

#[test]
fn a_delay_that_is_not_over_is_pending_approval() {
    let baseline = linux()
        .with_rule(after(30).with_level(ComplianceLevel::Critical))
        .with_rule(after(7).with_level(ComplianceLevel::Low));
    let decision = evaluate(&baseline, &patch("bash"), at("2025-11-10T00:00:00Z"));
    assert_eq!(decision.approval, Approval::PendingApproval);
    assert_eq!(decision.by, DecidedBy::Rule(1));
    assert_eq!(decision.level, ComplianceLevel::Critical);
    assert_eq!(decision.approved_from, Some(at("2025-11-16T18:00:00Z")));
}

#[test]
fn the_delay_ends_at_the_instant_by_default_as_the_api_page_says() {
    let compiled = CompiledBaseline::new(&linux().with_rule(after(7)));
    for (when, approval) in [
        ("2025-11-16T00:00:00Z", Approval::PendingApproval),
        ("2025-11-16T17:59:59.999999999Z", Approval::PendingApproval),
        ("2025-11-16T18:00:00Z", Approval::Approved),
    ] {
        assert_eq!(compiled.decide(&patch("bash"), at(when)).approval, approval, "{when}");
    }
}

#[test]
fn the_delay_ends_with_the_utc_day_where_asked_as_the_service_model_says() {
    let compiled =
        CompiledBaseline::new(&linux().with_rule(after(7))).with_boundary(ApprovalBoundary::UtcDay);
    for released in ["2025-11-09T00:00:00Z", "2025-11-09T23:59:59Z"] {
        let patch = patch("bash").with_released_at(at(released));
        for (when, approval) in [
            ("2025-11-15T23:59:59Z", Approval::PendingApproval),
            ("2025-11-16T00:00:00Z", Approval::Approved),
        ] {
            assert_eq!(compiled.decide(&patch, at(when)).approval, approval, "{released} {when}");
        }
    }
}

#[test]
fn a_cutoff_date_is_a_whole_utc_day() {
    let baseline = linux().with_rule(until(date(2025, 11, 16)));
    for (released, approval) in [
        ("2025-11-16T00:00:00Z", Approval::Approved),
        ("2025-11-16T23:59:59.999Z", Approval::Approved),
        ("2025-11-17T00:00:00Z", Approval::NotSelected),
    ] {
        let patch = patch("bash").with_released_at(at(released));
        assert_eq!(evaluate(&baseline, &patch, at(LATE)).approval, approval, "{released}");
    }
}

#[test]
fn a_patch_without_date_has_no_delay() {
    for os in [
        OperatingSystem::AmazonLinux,
        OperatingSystem::AmazonLinux2,
        OperatingSystem::RedHatEnterpriseLinux,
        OperatingSystem::CentOs,
        OperatingSystem::Suse,
        OperatingSystem::Windows,
        OperatingSystem::MacOs,
    ] {
        let baseline = PatchBaseline::new("web", os).with_rule(after(360));
        let undated = Patch::new(PatchId::new("x").unwrap());
        let decision = expect(&baseline, &undated, Approval::Approved, DecidedBy::Rule(0));
        let since_1970 = at("1970-12-27T00:00:00Z");
        let windows = baseline.operating_system == OperatingSystem::Windows;
        assert_eq!(decision.approved_from, windows.then_some(since_1970));
    }
}

#[test]
fn a_windows_patch_without_date_is_of_1970_and_another_passes_no_cutoff() {
    let undated = Patch::new(PatchId::new("x").unwrap());
    let rule = until(date(1970, 1, 1));
    let windows = PatchBaseline::new("web", OperatingSystem::Windows).with_rule(rule.clone());
    expect(&windows, &undated, Approval::Approved, DecidedBy::Rule(0));
    let baseline = linux().with_rule(until(date(2030, 1, 1)));
    expect(&baseline, &undated, Approval::NotSelected, DecidedBy::Nothing);
}

#[test]
fn apt_does_not_wait_whatever_the_rule_says() {
    let baseline = PatchBaseline::new("web", OperatingSystem::Ubuntu).with_rule(after(7));
    let decision = evaluate(&baseline, &patch("bash"), at("2025-11-09T18:00:00Z"));
    assert_eq!(decision.approval, Approval::Approved);
}

#[test]
fn non_security_updates_need_to_be_enabled_on_yum_and_apt() {
    let other = patch("bash").with_source(PatchSource::Other);
    for os in [OperatingSystem::AmazonLinux2023, OperatingSystem::Debian] {
        let approval = if os == OperatingSystem::Debian {
            AutoApproval::Immediately
        } else {
            AutoApproval::AfterDays(0)
        };
        let rule = ApprovalRule::new(approval);
        let baseline = PatchBaseline::new("web", os).with_approved(["bash"]);
        let strict = baseline.clone().with_rule(rule.clone());
        expect(&strict, &other, Approval::NotSelected, DecidedBy::Nothing);
        let by_rule = baseline.clone().with_rule(rule.clone().with_scope(UpdateScope::All));
        expect(&by_rule, &other, Approval::Approved, DecidedBy::Rule(0));
        let by_list = baseline.with_rule(rule).with_approved_scope(UpdateScope::All);
        expect(&by_list, &other, Approval::ExplicitApproved, DecidedBy::ApprovedPatch(0));
    }
}

#[test]
fn windows_suse_and_macos_know_no_non_security_updates() {
    let other = patch("x").with_source(PatchSource::Other);
    for os in [OperatingSystem::Windows, OperatingSystem::Suse, OperatingSystem::MacOs] {
        let baseline = PatchBaseline::new("web", os).with_rule(after(0));
        expect(&baseline, &other, Approval::Approved, DecidedBy::Rule(0));
    }
}

#[test]
fn time_has_no_edge_to_fall_off() {
    for boundary in [ApprovalBoundary::Instant, ApprovalBoundary::UtcDay] {
        let compiled =
            CompiledBaseline::new(&linux().with_rule(after(360))).with_boundary(boundary);
        for (released, approval) in
            [(Timestamp::MIN, Approval::Approved), (Timestamp::MAX, Approval::PendingApproval)]
        {
            let patch = patch("bash").with_released_at(released);
            assert_eq!(compiled.decide(&patch, at(LATE)).approval, approval);
        }
        let last = patch("bash").with_released_at(Timestamp::MAX);
        assert!(compiled.decide(&last, Timestamp::MAX).is_approved());
    }
}

#[test]
fn blocking_looks_at_the_list_and_the_action_only() {
    let baseline =
        linux().with_global_filter(only(PatchFilterKey::Product, "none")).with_rejected(["bash"]);
    assert!(!CompiledBaseline::new(&baseline).blocks(&patch("bash")));
    let compiled = CompiledBaseline::new(&baseline.with_rejected_action(RejectedAction::Block));
    assert!(compiled.blocks(&patch("bash")));
    assert!(!compiled.blocks(&patch("zsh")));
}

#[test]
fn entries_that_match_nothing_are_named() {
    let baseline = linux().with_approved(["bash", "a*b*"]).with_rejected(["CVE-2024-1"]);
    assert_eq!(
        CompiledBaseline::new(&baseline).unusable_entries(),
        [DecidedBy::ApprovedPatch(1), DecidedBy::RejectedPatch(0)]
    );
}

#[test]
fn decisions_are_data() {
    let decision =
        evaluate(&linux().with_rule(after(7)), &patch("bash"), at("2025-11-10T00:00:00Z"));
    let json = serde_json::to_string(&decision).unwrap();
    assert_eq!(
        json,
        r#"{"approval":"PENDING_APPROVAL","level":"UNSPECIFIED","by":{"rule":0},"approved_from":"2025-11-16T18:00:00Z"}"#
    );
    assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
}

proptest! {
    #[test]
    fn rejected_beats_approved(
        baseline in any_baseline(), patch in any_patch(), when in any_time(),
    ) {
        let compiled = CompiledBaseline::new(&baseline);
        if !compiled.rejecting(&patch).is_empty() {
            prop_assert!(!compiled.decide(&patch, when).is_approved());
        }
        let name = patch.id.as_str();
        let named = PatchBaseline::new("named", baseline.operating_system.clone()).with_rejected([name]);
        let both = CompiledBaseline::new(&baseline.with_approved([name]).with_rejected([name]));
        if named.validate().is_empty() {
            prop_assert!(!both.decide(&patch, when).is_approved());
        }
    }

    #[test]
    fn what_is_approved_stays_approved(
        baseline in any_baseline(), patch in any_patch(), a in any_time(), b in any_time(),
    ) {
        for boundary in [ApprovalBoundary::Instant, ApprovalBoundary::UtcDay] {
            let compiled = CompiledBaseline::new(&baseline).with_boundary(boundary);
            let (early, late) = (compiled.decide(&patch, a.min(b)), compiled.decide(&patch, a.max(b)));
            prop_assert!(!early.is_approved() || late.is_approved());
            prop_assert!(!early.is_approved() || early.level <= late.level);
        }
    }

    #[test]
    fn a_pending_patch_is_approved_from_the_time_given(
        baseline in any_baseline(), patch in any_patch(), when in any_time(),
    ) {
        for boundary in [ApprovalBoundary::Instant, ApprovalBoundary::UtcDay] {
            let compiled = CompiledBaseline::new(&baseline).with_boundary(boundary);
            let decision = compiled.decide(&patch, when);
            if decision.approval == Approval::PendingApproval {
                let from = decision.approved_from.unwrap();
                prop_assert!(from > when);
                prop_assert!(compiled.decide(&patch, from).is_approved());
                let before = from - SignedDuration::from_nanos(1);
                prop_assert_eq!(compiled.decide(&patch, before).approval, Approval::PendingApproval);
            } else if let Some(from) = decision.approved_from {
                prop_assert!(from <= when && compiled.decide(&patch, from).is_approved());
                let before = from - SignedDuration::from_nanos(1);
                prop_assert!(!compiled.decide(&patch, before).is_approved());
            }
        }
    }

    #[test]
    fn the_instant_is_never_before_the_day(
        baseline in any_baseline(), patch in any_patch(), when in any_time(),
    ) {
        let compiled = CompiledBaseline::new(&baseline);
        let instant = compiled.decide(&patch, when);
        let day = compiled.with_boundary(ApprovalBoundary::UtcDay).decide(&patch, when);
        prop_assert!(!instant.is_approved() || day.is_approved());
    }

    #[test]
    fn the_order_of_rules_is_irrelevant(
        baseline in any_baseline(), patch in any_patch(), when in any_time(), by in 0_usize..4,
    ) {
        let mut turned = baseline.clone();
        if !turned.approval_rules.is_empty() {
            let by = by % turned.approval_rules.len();
            turned.approval_rules.rotate_left(by);
            turned.approval_rules.reverse();
        }
        let (a, b) = (evaluate(&baseline, &patch, when), evaluate(&turned, &patch, when));
        prop_assert_eq!(
            (a.approval, a.level, a.approved_from),
            (b.approval, b.level, b.approved_from)
        );
    }

    #[test]
    fn another_rule_never_takes_an_approval_away(
        baseline in any_baseline(), rule in any_rule(), patch in any_patch(), when in any_time(),
    ) {
        let before = evaluate(&baseline, &patch, when);
        let after = evaluate(&baseline.with_rule(rule), &patch, when);
        prop_assert!(!before.is_approved() || after.is_approved());
        prop_assert!(!before.is_approved() || before.level <= after.level);
    }
}
