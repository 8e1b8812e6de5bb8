use jiff::civil::date;

use super::*;
use crate::{ApprovalRule, ErrorKind, OperatingSystem, PatchFilterKey, PatchRepository};

fn rule() -> ApprovalRule {
    ApprovalRule::new(AutoApproval::AfterDays(7))
}

fn filter() -> PatchFilter {
    PatchFilter::new(PatchFilterKey::Classification, ["Security"])
}

fn linux() -> PatchBaseline {
    PatchBaseline::new("web", OperatingSystem::AmazonLinux2)
}

#[track_caller]
fn fields(baseline: &PatchBaseline) -> Vec<String> {
    baseline.validate().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn ten_rules_are_taken_and_eleven_refused() {
    let mut baseline = linux();
    baseline.approval_rules = vec![rule(); 10];
    assert!(fields(&baseline).is_empty());
    baseline.approval_rules.push(rule());
    assert_eq!(fields(&baseline), ["approval_rules"]);
}

#[test]
fn four_filters_are_taken_in_each_group_and_five_refused() {
    let mut baseline = linux().with_rule(rule());
    baseline.global_filters = vec![filter(); 4];
    baseline.approval_rules[0].filters = vec![filter(); 4];
    assert!(fields(&baseline).is_empty());
    baseline.global_filters.push(filter());
    baseline.approval_rules[0].filters.push(filter());
    assert_eq!(fields(&baseline), ["global_filters", "approval_rules[0].filters"]);
}

#[test]
fn one_to_twenty_values_are_taken() {
    let with = |count: usize| {
        let values = (0..count).map(|n| format!("Product{n}"));
        linux().with_rule(rule()).with_rule(
            rule()
                .with_filter(filter())
                .with_filter(PatchFilter::new(PatchFilterKey::Product, values)),
        )
    };
    assert!(fields(&with(1)).is_empty());
    assert!(fields(&with(20)).is_empty());
    for count in [0, 21] {
        assert_eq!(fields(&with(count)), ["approval_rules[1].filters[1].values"]);
    }
}

#[test]
fn values_have_one_to_sixty_four_characters_and_stand_once() {
    let long = "é".repeat(64);
    let fine = linux().with_global_filter(PatchFilter::new(PatchFilterKey::Product, [&long]));
    assert!(fields(&fine).is_empty());
    let values = [String::new(), format!("{long}x"), "a".into(), "a".into()];
    let wrong = linux().with_global_filter(PatchFilter::new(PatchFilterKey::Product, values));
    assert_eq!(
        fields(&wrong),
        [
            "global_filters[0].values[0]",
            "global_filters[0].values[1]",
            "global_filters[0].values[3]"
        ]
    );
}

#[test]
fn fifty_patches_are_taken_in_each_list() {
    let patches = |count: usize| (0..count).map(|n| format!("package{n}"));
    let fine = linux().with_approved(patches(50)).with_rejected(patches(50));
    assert!(fields(&fine).is_empty());
    let over = linux().with_approved(patches(51)).with_rejected(patches(51));
    assert_eq!(fields(&over), ["approved_patches", "rejected_patches"]);
}

#[test]
fn a_list_entry_has_one_to_a_hundred_characters_and_stands_once() {
    let long = "a".repeat(101);
    let baseline = linux().with_rejected(["", &long, "bash", "bash"]);
    assert_eq!(
        fields(&baseline),
        ["rejected_patches[0]", "rejected_patches[1]", "rejected_patches[3]"]
    );
    let windows = PatchBaseline::new("web", OperatingSystem::Windows)
        .with_approved(["KB1", "kb1", "MS10-048", "ms10-048"]);
    assert_eq!(fields(&windows), ["approved_patches[1]", "approved_patches[3]"]);
}

#[test]
fn an_entry_of_wrong_format_is_named() {
    for (os, entry) in [
        (OperatingSystem::AmazonLinux2023, "a*b*c"),
        (OperatingSystem::AmazonLinux2023, "CVE-2024-1"),
        (OperatingSystem::Suse, "a*b*"),
        (OperatingSystem::Debian, "bash*"),
        (OperatingSystem::Raspbian, "bash.armhf"),
        (OperatingSystem::MacOs, "Safari*"),
        (OperatingSystem::Windows, "Update"),
    ] {
        let violations = PatchBaseline::new("web", os).with_rejected([entry]).validate();
        assert_eq!(violations.len(), 1, "{entry}");
        assert_eq!(violations[0].field, "rejected_patches[0]");
        assert!(violations[0].problem.contains(&format!("{entry:?}")), "{}", violations[0]);
    }
}

#[test]
fn a_patch_may_stand_in_both_lists() {
    assert!(fields(&linux().with_approved(["bash"]).with_rejected(["bash"])).is_empty());
}

#[test]
fn names_follow_the_apis_pattern() {
    let named = |name: &str| fields(&PatchBaseline::new(name, OperatingSystem::Windows));
    for name in ["abc", "A_b-c.9", &"x".repeat(128)] {
        assert!(named(name).is_empty(), "{name}");
    }
    for name in ["ab", "a b c", "näme", "", &"x".repeat(129)] {
        assert_eq!(named(name), ["name"], "{name}");
    }
}

#[test]
fn a_description_has_one_to_1024_characters() {
    assert_eq!(fields(&linux().with_description("")), ["description"]);
    assert!(fields(&linux().with_description("x".repeat(1024))).is_empty());
    assert_eq!(fields(&linux().with_description("x".repeat(1025))), ["description"]);
}

#[test]
fn a_delay_is_0_to_360_days_or_a_date() {
    let with = |approval| fields(&linux().with_rule(ApprovalRule::new(approval)));
    for approval in [
        AutoApproval::AfterDays(0),
        AutoApproval::AfterDays(360),
        AutoApproval::Until(date(2025, 11, 16)),
    ] {
        assert!(with(approval).is_empty(), "{approval:?}");
    }
    for approval in [
        AutoApproval::AfterDays(361),
        AutoApproval::AfterDays(u16::MAX),
        AutoApproval::Until(date(-1, 1, 1)),
        AutoApproval::Immediately,
    ] {
        assert_eq!(with(approval), ["approval_rules[0].approval"], "{approval:?}");
    }
}

#[test]
fn apt_has_no_delays() {
    for os in [OperatingSystem::Debian, OperatingSystem::Ubuntu, OperatingSystem::Raspbian] {
        let with = |approval| {
            fields(&PatchBaseline::new("web", os.clone()).with_rule(ApprovalRule::new(approval)))
        };
        assert!(with(AutoApproval::Immediately).is_empty());
        for approval in [AutoApproval::AfterDays(0), AutoApproval::Until(date(2025, 1, 1))] {
            assert_eq!(with(approval), ["approval_rules[0].approval"]);
        }
    }
}

#[test]
fn filter_keys_are_those_of_the_operating_system() {
    let keys = |os: &OperatingSystem| -> Vec<&str> {
        PatchFilterKey::KNOWN
            .iter()
            .filter(|key| {
                let filter = PatchFilter::new((*key).clone(), ["x"]);
                let baseline = PatchBaseline::new("web", os.clone())
                    .with_global_filter(filter.clone())
                    .with_rule(
                        ApprovalRule::new(if os.family() == PackageFamily::Apt {
                            AutoApproval::Immediately
                        } else {
                            AutoApproval::AfterDays(1)
                        })
                        .with_filter(filter),
                    );
                let found = fields(&baseline);
                assert!(
                    found.is_empty()
                        || found == ["global_filters[0].key", "approval_rules[0].filters[0].key"]
                );
                found.is_empty()
            })
            .map(PatchFilterKey::as_str)
            .collect()
    };
    for os in OperatingSystem::KNOWN {
        let legal: &[&str] = match os {
            OperatingSystem::Windows => {
                &["PATCH_SET", "PRODUCT", "PRODUCT_FAMILY", "CLASSIFICATION", "MSRC_SEVERITY"]
            }
            OperatingSystem::MacOs => &["PRODUCT", "CLASSIFICATION"],
            OperatingSystem::Debian | OperatingSystem::Ubuntu | OperatingSystem::Raspbian => {
                &["PRODUCT", "SECTION", "PRIORITY"]
            }
            _ => &["PRODUCT", "CLASSIFICATION", "SEVERITY"],
        };
        assert_eq!(keys(&os), legal, "{os}");
    }
    let unknown = OperatingSystem::Other("PLAN_9".into());
    assert_eq!(keys(&unknown).len(), PatchFilterKey::KNOWN.len());
}

#[test]
fn non_security_updates_and_sources_are_linux_only() {
    let source = PatchRepository {
        name: "mine".into(),
        products: vec!["*".into()],
        configuration: "[main]".into(),
    };
    for (os, refused) in [
        (OperatingSystem::Windows, true),
        (OperatingSystem::MacOs, true),
        (OperatingSystem::Suse, false),
        (OperatingSystem::CentOs, false),
        (OperatingSystem::Other("PLAN_9".into()), false),
    ] {
        let baseline = PatchBaseline::new("web", os)
            .with_rule(rule().with_scope(UpdateScope::All))
            .with_approved_scope(UpdateScope::All)
            .with_source(source.clone());
        let expected: &[&str] = if refused {
            &["approval_rules[0].scope", "approved_patches_scope", "sources"]
        } else {
            &[]
        };
        assert_eq!(fields(&baseline), expected);
    }
}

#[test]
fn available_updates_are_judged_on_windows_only() {
    let with = |os| {
        fields(
            &PatchBaseline::new("web", os).with_available_updates(AvailableUpdates::NonCompliant),
        )
    };
    assert!(with(OperatingSystem::Windows).is_empty());
    assert_eq!(with(OperatingSystem::Ubuntu), ["available_updates"]);
    assert_eq!(with(OperatingSystem::MacOs), ["available_updates"]);
}

#[test]
fn twenty_sources_are_taken_and_each_is_checked_without_telling_its_configuration() {
    let source = |name: &str| PatchRepository {
        name: name.into(),
        products: vec!["AmazonLinux2.0".into()],
        configuration: "password=hunter2".into(),
    };
    let mut baseline = linux();
    baseline.sources = (0..20).map(|n| source(&format!("source-{n}"))).collect();
    assert!(fields(&baseline).is_empty());
    baseline.sources.push(source("source-20"));
    assert_eq!(fields(&baseline), ["sources"]);

    let mut wrong = source("a b");
    wrong.products.clear();
    wrong.configuration = format!("password=hunter2{}", "x".repeat(1024));
    let baseline =
        linux().with_source(source("mine")).with_source(source("mine")).with_source(wrong);
    assert_eq!(
        fields(&baseline),
        ["sources[1].name", "sources[2].name", "sources[2].products", "sources[2].configuration"]
    );
    assert!(!baseline.check().unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn check_names_every_field() {
    let error = PatchBaseline::new("x", OperatingSystem::Ubuntu)
        .with_rule(rule())
        .with_approved(["a*"])
        .check()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for field in ["name", "approval_rules[0].approval", "approved_patches[0]"] {
        assert!(error.message().contains(field), "{error}");
    }
    assert!(linux().check().is_ok());
}

#[test]
fn hostile_text_is_quoted_and_cut() {
    let name = format!("\u{1b}[31m{}", "é".repeat(10_000));
    let shown = PatchBaseline::new(name, OperatingSystem::Windows).validate()[0].to_string();
    assert!(!shown.contains('\u{1b}') && shown.len() < 400, "{shown}");
}
