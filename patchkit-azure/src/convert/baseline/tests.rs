use jiff::Timestamp;
use patchkit_core::{Patch, evaluate};
use proptest::{prelude::*, sample::subsequence};
use serde_json::json;

use super::*;
use crate::arbitrary::{baselines, patches};

/// As the agent's `fnmatch` does, for `*` and `?`.
fn matches(mask: &[u8], text: &[u8]) -> bool {
    match (mask.split_first(), text.split_first()) {
        (None, text) => text.is_none(),
        (Some((b'*', rest)), _) => {
            matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(mask, text))
        }
        (Some((b'?', rest)), Some((_, text))) => matches(rest, text),
        (Some((c, rest)), Some((d, text))) => c == d && matches(rest, text),
        (Some(_), None) => false,
    }
}

/// Whether Azure installs a patch by these parameters, as its agent decides it.
fn installs(part: Part, chosen: &Chosen, patch: &Patch) -> bool {
    let Some(class) = &patch.classification else { return false };
    match part {
        Part::Windows => {
            let named = |list: &[String]| list.iter().any(|it| kb(it) == kb(patch.id.as_str()));
            let of = WINDOWS.iter().find(|(_, ours)| *ours == class.as_str());
            let classed = of.is_some_and(|(azure, _)| chosen.classes.iter().any(|it| it == azure));
            let everything = chosen.classes.is_empty() && chosen.include.is_empty();
            !named(&chosen.exclude) && (everything || classed || named(&chosen.include))
        }
        Part::Linux => {
            let name = patch.package.as_ref().unwrap().name.as_bytes();
            let named = |list: &[String]| list.iter().any(|it| matches(it.as_bytes(), name));
            let own = super::class(part, class.as_str());
            let classed = chosen.classes.iter().any(|it| super::class(part, it) == own);
            let everything = chosen.classes.is_empty() && chosen.include.is_empty();
            !named(&chosen.exclude) && (everything || classed || named(&chosen.include))
        }
    }
}

fn both() -> impl Strategy<Value = (patchkit_core::PatchBaseline, Patch)> {
    baselines().prop_flat_map(|baseline| {
        let patches = patches(&baseline.operating_system);
        (Just(baseline), patches)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn azure_installs_nothing_that_the_baseline_does_not_approve((baseline, patch) in both()) {
        let part = Part::of(&baseline.operating_system).unwrap();
        let (chosen, _) = project(part, &baseline);
        if installs(part, &chosen, &patch) {
            let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
            let decision = evaluate(&baseline, &patch, now);
            prop_assert!(decision.is_approved(), "{decision:?} {chosen:?}");
        }
    }

    #[test]
    fn what_azure_can_say_goes_there_and_back(
        windows in any::<bool>(),
        classes in subsequence(&["security", "other"][..], 0..=2),
        updates in subsequence(&WINDOWS[..], 0..=8),
        include in subsequence(&["openssl", "bash*"][..], 0..=2),
        exclude in subsequence(&["kernel", "k*"][..], 0..=2),
    ) {
        let part = if windows { Part::Windows } else { Part::Linux };
        let name = |it: &&str| if windows { format!("KB{}", it.len()) } else { (*it).to_owned() };
        let list = |names: &[&str]| names.iter().map(name).collect();
        let classes: Vec<String> = if windows {
            updates.iter().map(|(azure, _)| (*azure).to_owned()).collect()
        } else {
            classes.iter().flat_map(|it| spelled(Part::Linux, it)).collect()
        };
        let chosen = Chosen { classes, include: list(&include), exclude: list(&exclude) };
        // Nothing chosen is everything, and is written by its classes.
        prop_assume!(!chosen.classes.is_empty() || !chosen.include.is_empty());
        let (back, _) = project(part, &chosen.baseline(part, "web"));
        prop_assert_eq!(chosen.differences(part, &back), Vec::<String>::new());
    }
}

fn of(os: OperatingSystem) -> PatchBaseline {
    PatchBaseline::new("web", os)
}

fn at_once() -> ApprovalRule {
    ApprovalRule::new(AutoApproval::AfterDays(0))
}

fn classes(values: &[&str]) -> PatchFilter {
    PatchFilter::new(PatchFilterKey::Classification, values.iter().copied())
}

fn lacks(baseline: &PatchBaseline) -> Vec<String> {
    let part = Part::of(&baseline.operating_system).unwrap();
    project(part, baseline).1.into_iter().map(|it| it.field).collect()
}

#[test]
fn what_azure_has_no_word_for_is_named_field_by_field() {
    let security = || classes(&["SecurityUpdates"]);
    let rule = || at_once().with_filter(security());
    let windows = || of(OperatingSystem::Windows);
    let severity = PatchFilter::new(PatchFilterKey::MsrcSeverity, ["Critical"]);
    let until = AutoApproval::Until(jiff::civil::date(2026, 11, 1));
    for (field, baseline) in [
        ("approval_rules[0].approval", windows().with_rule(ApprovalRule::new(until))),
        ("approval_rules[0].filters[1]", windows().with_rule(rule().with_filter(severity.clone()))),
        ("global_filters[0]", windows().with_rule(rule()).with_global_filter(severity)),
        (
            "approval_rules[0].compliance_level",
            windows().with_rule(rule().with_level(patchkit_core::ComplianceLevel::High)),
        ),
        ("rejected_patches[0]", windows().with_rule(rule()).with_rejected(["MS10-048"])),
        ("approved_patches[0]", windows().with_approved(["MS10-048"])),
        ("approved_patches_scope", of(OperatingSystem::Ubuntu).with_approved(["bash"])),
        ("operating_system", of(OperatingSystem::Ubuntu)),
        ("rejected_action", of(OperatingSystem::Ubuntu).with_rejected(["bash"])),
    ] {
        assert!(lacks(&baseline).contains(&field.to_owned()), "{field} in {:?}", lacks(&baseline));
    }
    assert_eq!(lacks(&windows().with_rule(rule()).with_rejected(["KB1"])), [""; 0]);
}

#[test]
fn a_bulletin_that_cannot_be_excluded_leaves_nothing_to_choose() {
    let baseline = of(OperatingSystem::Windows).with_rule(at_once()).with_rejected(["MS10-048"]);
    assert!(project(Part::Windows, &baseline).0.is_nothing());
}

#[test]
fn security_of_linux_is_always_asked_for_by_both_its_names() {
    // One without the other and with `Other` is "an invalid classification combination"
    // (Azure/LinuxPatchExtension, `PackageFilter.is_invalid_classification_combination`).
    let rule = at_once().with_filter(classes(&["Security", "Other"])).with_scope(UpdateScope::All);
    let (chosen, _) = project(Part::Linux, &of(OperatingSystem::Ubuntu).with_rule(rule));
    assert_eq!(chosen.classes, ["Critical", "Security", "Other"]);
    let rule = at_once().with_filter(classes(&["Critical"]));
    assert!(project(Part::Linux, &of(OperatingSystem::Ubuntu).with_rule(rule)).0.is_nothing());
}

#[test]
fn parameters_that_choose_nothing_bring_everything() {
    let everything = Chosen::read("test", Part::Linux, &json!({})).unwrap();
    let baseline = everything.baseline(Part::Linux, "web");
    assert_eq!(baseline.approval_rules, [at_once().with_scope(UpdateScope::All)]);
    for part in Part::ALL {
        assert!(Chosen::nothing(part).is_nothing());
        assert_eq!(Chosen::nothing(part).baseline(part, "web").approval_rules, []);
    }
}

#[test]
fn a_class_that_no_version_knows_survives() {
    let chosen = Chosen { classes: vec!["LearnedLater".to_owned()], ..Chosen::default() };
    let baseline = chosen.baseline(Part::Windows, "web");
    assert_eq!(baseline.approval_rules[0].filters[0].values, ["LearnedLater"]);
    assert!(project(Part::Windows, &baseline).0.is_nothing(), "what it means is not known");
}

#[test]
fn a_list_that_is_none_is_malformed() {
    for wrong in [json!({"kbNumbersToInclude": "KB1"}), json!({"kbNumbersToInclude": [1]})] {
        let error = Chosen::read("test", Part::Windows, &wrong).unwrap_err();
        assert!(error.message().contains("kbNumbersToInclude"), "{error}");
    }
    assert!(Chosen::read("test", Part::Windows, &json!({"kbNumbersToInclude": null})).is_ok());
}

#[test]
fn a_rejected_version_excludes_its_package() {
    for (entry, masks) in [
        ("kernel", &["kernel"][..]),
        ("kernel-5.10-1", &["kernel-5.10-1", "kernel", "kernel-5", "kernel-5.10"]),
        ("bash.x86_64", &["bash.x86_64", "bash"]),
        ("kernel-*", &["kernel-*", "kernel"]),
        ("*-devel", &["*"]),
        ("0:kernel-5.10", &["*"]),
        ("k*l", &["k*"]),
    ] {
        let mut found = covering(entry, PackageFamily::Rpm);
        let mut masks: Vec<_> = masks.iter().map(ToString::to_string).collect();
        found.sort();
        masks.sort();
        assert_eq!(found, masks, "{entry}");
    }
    assert_eq!(covering("CVE-2024-1", PackageFamily::Zypper), ["*"]);
}
