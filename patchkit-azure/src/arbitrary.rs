//! Baselines and patches for properties.

use jiff::civil::date;
use patchkit_core::{
    ApprovalRule, AutoApproval, AvailableUpdates, Classification, ComplianceLevel, OperatingSystem,
    Package, PackageFamily, Patch, PatchBaseline, PatchFilter, PatchFilterKey, PatchId,
    PatchSource, RejectedAction, Severity, UpdateScope,
};
use proptest::{prelude::*, sample::select};

const NAMES: [&str; 8] = [
    "kernel",
    "kernel-devel",
    "java-1.8.0-openjdk",
    "bash",
    "openssl",
    "openssl-libs",
    "389-ds",
    "k",
];

/// Entries of lists, of every form that any system takes, and of forms that none takes.
const ENTRIES: [&str; 24] = [
    "kernel",
    "kernel-devel",
    "java-1.8.0-openjdk",
    "bash",
    "openssl",
    "389-ds",
    "k*",
    "kernel-*",
    "kernel-5*",
    "kernel-5.10-1",
    "kernel.*",
    "*-devel",
    "k*l",
    "*",
    "bash.x86_64",
    "0:kernel-5.10-1",
    "kernel-0:5.10-1.x86_64",
    "CVE-2024-1",
    "RHSA-2024:1234",
    "KB5034441",
    "kb5043050",
    "5034441",
    "MS10-048",
    "[k]ernel",
];

const CLASSES: [&str; 9] = [
    "Security",
    "Critical",
    "Other",
    "Bugfix",
    "SecurityUpdates",
    "CriticalUpdates",
    "UpdateRollups",
    "Drivers",
    "*",
];

fn systems() -> impl Strategy<Value = OperatingSystem> {
    select(vec![
        OperatingSystem::Windows,
        OperatingSystem::Ubuntu,
        OperatingSystem::RedHatEnterpriseLinux,
        OperatingSystem::Suse,
        OperatingSystem::Other("Linux".into()),
    ])
}

fn filters() -> impl Strategy<Value = Vec<PatchFilter>> {
    let classes = prop::collection::vec(select(&CLASSES[..]), 1..4)
        .prop_map(|values| PatchFilter::new(PatchFilterKey::Classification, values));
    let other = select(vec![
        PatchFilter::new(PatchFilterKey::Severity, ["Critical"]),
        PatchFilter::new(PatchFilterKey::Product, ["*"]),
        PatchFilter::new(PatchFilterKey::Other("LATER".into()), ["*"]),
    ]);
    prop::collection::vec(prop_oneof![4 => classes, 1 => other], 0..2)
}

fn scopes() -> impl Strategy<Value = UpdateScope> {
    select(vec![UpdateScope::All, UpdateScope::SecurityOnly])
}

fn levels() -> impl Strategy<Value = ComplianceLevel> {
    select(ComplianceLevel::ALL.to_vec())
}

fn rules() -> impl Strategy<Value = ApprovalRule> {
    let approvals = select(vec![
        AutoApproval::Immediately,
        AutoApproval::AfterDays(0),
        AutoApproval::AfterDays(7),
        AutoApproval::Until(date(2026, 11, 1)),
    ]);
    (filters(), approvals, scopes(), levels()).prop_map(|(filters, approval, scope, level)| {
        let rule = ApprovalRule::new(approval).with_scope(scope).with_level(level);
        filters.into_iter().fold(rule, ApprovalRule::with_filter)
    })
}

pub(crate) fn baselines() -> impl Strategy<Value = PatchBaseline> {
    let entries = || prop::collection::vec(select(&ENTRIES[..]), 0..4);
    let actions = select(vec![RejectedAction::Block, RejectedAction::AllowAsDependency]);
    let lists = (entries(), scopes(), levels(), entries(), actions);
    let head = (systems(), "[a-z]{3,9}", prop::option::of("\\PC{0,40}"));
    (head, filters(), prop::collection::vec(rules(), 0..3), lists, any::<bool>()).prop_map(
        |((os, name, description), global, rules, lists, strict)| {
            let (approved, scope, level, rejected, action) = lists;
            let mut baseline = PatchBaseline::new(name, os)
                .with_approved(approved)
                .with_approved_scope(scope)
                .with_approved_level(level)
                .with_rejected(rejected)
                .with_rejected_action(action);
            baseline.description = description;
            baseline.global_filters = global;
            baseline.approval_rules = rules;
            if strict {
                baseline = baseline.with_available_updates(AvailableUpdates::NonCompliant);
            }
            baseline
        },
    )
}

/// A patch as an assessment tells of it, of the kind that an operating system has.
pub(crate) fn patches(os: &OperatingSystem) -> BoxedStrategy<Patch> {
    let when = select(vec![None, Some("2026-10-01T00:00:00Z"), Some("2026-11-20T00:00:00Z")])
        .prop_map(|at| at.and_then(|at| at.parse().ok()));
    if os.family() == PackageFamily::Windows {
        let ids = select(vec!["KB5034441", "KB5043050", "KB1"]);
        let classes =
            select(vec!["CriticalUpdates", "SecurityUpdates", "UpdateRollups", "Updates"]);
        let bulletin = any::<bool>();
        return (ids, classes, when, bulletin)
            .prop_map(|(id, class, at, bulletin)| {
                let Ok(class) = class.parse();
                let mut patch = Patch::new(PatchId::new(id).unwrap()).with_classification(class);
                patch.released_at = at;
                if bulletin {
                    patch.advisories.push("MS10-048".to_owned());
                }
                patch
            })
            .boxed();
    }
    (select(&NAMES[..]), any::<bool>(), when)
        .prop_map(|(name, security, at)| {
            let (class, source) = if security {
                (Classification::Security, PatchSource::Security)
            } else {
                (Classification::Other("Other".into()), PatchSource::Other)
            };
            let mut patch = Patch::new(PatchId::new(name).unwrap())
                .with_classification(class)
                .with_severity(Severity::Critical)
                .with_source(source);
            patch.released_at = at;
            patch.package = Some(Package {
                name: name.to_owned(),
                arch: "x86_64".to_owned(),
                version: "5.10".to_owned(),
                release: "1".to_owned(),
                ..Package::default()
            });
            patch
        })
        .boxed()
}
