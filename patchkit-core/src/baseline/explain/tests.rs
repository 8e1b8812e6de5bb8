use proptest::prelude::*;

use super::*;
use crate::{
    ApprovalRule, Classification, OperatingSystem, PatchSource, Severity,
    baseline::testing::{any_baseline, any_patch, any_time},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sample() -> (PatchBaseline, Patch) {
    let baseline = PatchBaseline::new("web", OperatingSystem::AmazonLinux2)
        .with_global_filter(PatchFilter::new(PatchFilterKey::Product, ["*"]))
        .with_rule(
            ApprovalRule::new(AutoApproval::AfterDays(7))
                .with_level(ComplianceLevel::High)
                .with_filter(PatchFilter::new(PatchFilterKey::Classification, ["Security"]))
                .with_filter(PatchFilter::new(PatchFilterKey::Severity, ["Critical", "Important"])),
        )
        .with_rule(
            ApprovalRule::new(AutoApproval::AfterDays(0))
                .with_filter(PatchFilter::new(PatchFilterKey::Classification, ["Bugfix"])),
        );
    let patch = Patch::new(PatchId::new("openssl.x86_64").unwrap())
        .with_classification(Classification::Security)
        .with_severity(Severity::Critical)
        .with_released_at(at("2025-11-09T18:00:00Z"));
    (baseline, patch)
}

#[test]
fn a_pending_patch_is_told_with_the_day_it_becomes_approved() {
    let (baseline, patch) = sample();
    let explanation = explain(&baseline, &patch, at("2025-11-10T00:00:00Z"));
    insta::assert_snapshot!(explanation, @r#"
    openssl.x86_64 is pending approval by baseline "web": approval_rules[0] approves it from 2025-11-16T18:00:00Z, level HIGH
      global_filters[0] PRODUCT in ["*"] passes: the patch has none
      approval_rules[0] (7 days after release, level HIGH) approves from 2025-11-16T18:00:00Z
        CLASSIFICATION in ["Security"] passes: the patch has ["Security"]
        SEVERITY in ["Critical", "Important"] passes: the patch has ["Critical"]
      approval_rules[1] (0 days after release, level UNSPECIFIED) does not take the patch
        CLASSIFICATION in ["Bugfix"] fails: the patch has ["Security"]
    "#);
}

#[test]
fn list_entries_are_told_with_what_they_are_worth() {
    let (baseline, patch) = sample();
    let baseline = baseline.with_approved(["open*", "a*b*", "openssl"]);
    let patch = patch.with_source(PatchSource::Other);
    insta::assert_snapshot!(explain(&baseline, &patch, at("2026-01-01T00:00:00Z")), @r#"
    openssl.x86_64 is not selected by baseline "web": no rule takes it, and no list names it
      global_filters[0] PRODUCT in ["*"] passes: the patch has none
      approved_patches[0] "open*" matches, but the patch is from no security source
      approved_patches[2] "openssl" matches, but the patch is from no security source
      approval_rules[0] (7 days after release, level HIGH) takes only patches from security sources
        CLASSIFICATION in ["Security"] passes: the patch has ["Security"]
        SEVERITY in ["Critical", "Important"] passes: the patch has ["Critical"]
      approval_rules[1] (0 days after release, level UNSPECIFIED) does not take the patch
        CLASSIFICATION in ["Bugfix"] fails: the patch has ["Security"]
      approved_patches[1] can match no patch: its format is not one of the list's
    "#);
}

#[test]
fn a_rejected_patch_is_told_with_what_would_have_approved_it() {
    let (baseline, patch) = sample();
    let baseline = baseline.with_rejected(["openssl*"]).with_approved(["openssl"]);
    insta::assert_snapshot!(explain(&baseline, &patch, at("2026-01-01T00:00:00Z")), @r#"
    openssl.x86_64 is explicitly rejected by baseline "web": rejected_patches[0] names it
      global_filters[0] PRODUCT in ["*"] passes: the patch has none
      rejected_patches[0] "openssl*" matches
      approved_patches[0] "openssl" matches
      approval_rules[0] (7 days after release, level HIGH) approves since 2025-11-16T18:00:00Z
        CLASSIFICATION in ["Security"] passes: the patch has ["Security"]
        SEVERITY in ["Critical", "Important"] passes: the patch has ["Critical"]
      approval_rules[1] (0 days after release, level UNSPECIFIED) does not take the patch
        CLASSIFICATION in ["Bugfix"] fails: the patch has ["Security"]
    "#);
}

#[test]
fn the_time_of_an_approval_is_not_laid_to_another_rule() {
    let (mut baseline, patch) = sample();
    baseline.approval_rules[1] = ApprovalRule::new(AutoApproval::AfterDays(0));
    let text = explain(&baseline, &patch, at("2026-01-01T00:00:00Z")).to_string();
    assert_eq!(
        text.lines().next().unwrap(),
        "openssl.x86_64 is approved by baseline \"web\": approval_rules[0] approves it, \
         approved since 2025-11-09T18:00:00Z, level HIGH"
    );
}

#[test]
fn hostile_text_is_escaped() {
    let (baseline, mut patch) = sample();
    patch.products.push("\u{1b}[2J\nroot".into());
    let text = explain(&baseline, &patch, at("2026-01-01T00:00:00Z")).to_string();
    assert!(!text.contains('\u{1b}') && !text.contains("\nroot"), "{text}");
}

#[test]
fn an_explanation_is_data() {
    let (baseline, patch) = sample();
    let explanation = explain(&baseline, &patch, at("2025-11-10T00:00:00Z"));
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation);
}

/// The decision as it follows from the parts alone.
fn conclusion(it: &Explanation, listed: ComplianceLevel) -> (Approval, ComplianceLevel) {
    let none = ComplianceLevel::Unspecified;
    let highest = |test: fn(&RuleOutcome) -> bool| {
        it.rules.iter().filter(|rule| test(&rule.outcome)).map(|rule| rule.level).max()
    };
    let approving = highest(|outcome| matches!(outcome, RuleOutcome::Approves(_)));
    let waiting = highest(|outcome| matches!(outcome, RuleOutcome::Waits(_)));
    if it.global_filters.iter().any(|filter| !filter.passed) {
        (Approval::NotSelected, none)
    } else if !it.rejected_by.is_empty() {
        (Approval::ExplicitRejected, none)
    } else if it.approved_by.iter().any(|entry| entry.counts) {
        (Approval::ExplicitApproved, approving.unwrap_or(none).max(listed))
    } else if let Some(level) = approving {
        (Approval::Approved, level)
    } else if let Some(level) = waiting {
        (Approval::PendingApproval, level)
    } else {
        (Approval::NotSelected, none)
    }
}

proptest! {
    #[test]
    fn an_explanation_agrees_with_the_decision(
        baseline in any_baseline(), patch in any_patch(), when in any_time(),
    ) {
        for boundary in [ApprovalBoundary::Instant, ApprovalBoundary::UtcDay] {
            let compiled = CompiledBaseline::new(&baseline).with_boundary(boundary);
            let (decision, told) = (compiled.decide(&patch, when), compiled.explain(&patch, when));
            prop_assert_eq!(told.decision, decision);
            prop_assert_eq!(
                conclusion(&told, baseline.approved_patches_level),
                (decision.approval, decision.level)
            );
            match decision.by {
                DecidedBy::GlobalFilter(index) => prop_assert!(!told.global_filters[index].passed),
                DecidedBy::RejectedPatch(index) => prop_assert_eq!(told.rejected_by[0].index, index),
                DecidedBy::ApprovedPatch(index) => prop_assert_eq!(told.approved_by[0].index, index),
                DecidedBy::Rule(index) => match told.rules[index].outcome {
                    RuleOutcome::Waits(from) => {
                        prop_assert_eq!(decision.approved_from, Some(from));
                    }
                    RuleOutcome::Approves(_) => {
                        prop_assert_eq!(told.rules[index].level, decision.level);
                    }
                    other => prop_assert!(false, "{other:?} decided"),
                },
                DecidedBy::Nothing => {}
            }
            prop_assert!(told.rejected_by.iter().all(|entry| entry.counts));
            for rule in &told.rules {
                let passed = rule.filters.iter().all(|filter| filter.passed);
                prop_assert_eq!(passed, rule.outcome != RuleOutcome::Filtered);
            }
        }
    }
}
