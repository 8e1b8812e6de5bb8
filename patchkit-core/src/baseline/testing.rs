//! Baselines, patches and times for property tests: few words, so that they meet.

use jiff::{Timestamp, civil::date};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    ApprovalRule, AutoApproval, AvailableUpdates, PatchBaseline, PatchFilter, PatchFilterKey,
    RejectedAction, UpdateScope,
};
use crate::{
    Classification, ComplianceLevel, OperatingSystem, Package, Patch, PatchId, PatchSource,
    Severity,
};

/// Times of two months, on and off midnight.
pub(crate) fn any_time() -> impl Strategy<Value = Timestamp> {
    (0_i64..60, 0_i64..5, 0_i32..2).prop_map(|(day, quarter, nanos)| {
        Timestamp::new(1_762_000_000 / 86_400 * 86_400 + day * 86_400 + quarter * 21_600, nanos)
            .unwrap()
    })
}

pub(crate) fn any_patch() -> impl Strategy<Value = Patch> {
    let id = select(vec!["bash", "bash.x86_64", "openssl", "KB1", "KB2"]);
    let kind = select(vec![
        Classification::Security,
        Classification::Bugfix,
        Classification::SecurityUpdates,
    ]);
    let severity = select(vec![Severity::Critical, Severity::Low]);
    let source = select(vec![PatchSource::Security, PatchSource::Other]);
    let parts = (
        id,
        option::of(kind),
        option::of(severity),
        source,
        option::of(any_time()),
        vec(select(vec!["P1", "p1", "P2"]), 0..2),
        any::<bool>(),
    );
    parts.prop_map(|(id, kind, severity, source, released, products, packaged)| {
        let mut patch = Patch::new(PatchId::new(id).unwrap()).with_source(source);
        patch.classification = kind;
        patch.severity = severity;
        patch.released_at = released;
        patch.products = products.into_iter().map(str::to_owned).collect();
        patch.cves = vec!["CVE-2024-1".into()];
        if packaged {
            patch.package = Some(Package {
                name: id.trim_end_matches(".x86_64").into(),
                arch: "x86_64".into(),
                version: "1".into(),
                release: "2".into(),
                ..Package::default()
            });
        }
        patch
    })
}

pub(crate) fn any_rule() -> impl Strategy<Value = ApprovalRule> {
    let approval = prop_oneof![
        Just(AutoApproval::Immediately),
        (0_u16..40).prop_map(AutoApproval::AfterDays),
        (1_i8..28).prop_map(|day| AutoApproval::Until(date(2025, 11, day))),
    ];
    (vec(any_filter(), 0..3), approval, any_level(), any_scope()).prop_map(
        |(filters, approval, level, scope)| {
            let rule = ApprovalRule::new(approval).with_level(level).with_scope(scope);
            filters.into_iter().fold(rule, ApprovalRule::with_filter)
        },
    )
}

pub(crate) fn any_baseline() -> impl Strategy<Value = PatchBaseline> {
    let parts = (
        select(OperatingSystem::KNOWN.to_vec()),
        vec(any_filter(), 0..2),
        vec(any_rule(), 0..4),
        any_list(),
        any_list(),
        any_level(),
        any_scope(),
        select(vec![RejectedAction::AllowAsDependency, RejectedAction::Block]),
        select(vec![AvailableUpdates::Compliant, AvailableUpdates::NonCompliant]),
    );
    parts.prop_map(|(os, global, rules, approved, rejected, level, scope, action, available)| {
        let baseline = PatchBaseline::new("any", os)
            .with_approved(approved)
            .with_rejected(rejected)
            .with_approved_level(level)
            .with_approved_scope(scope)
            .with_rejected_action(action)
            .with_available_updates(available);
        let baseline = global.into_iter().fold(baseline, PatchBaseline::with_global_filter);
        rules.into_iter().fold(baseline, PatchBaseline::with_rule)
    })
}

fn any_filter() -> impl Strategy<Value = PatchFilter> {
    let filters = [
        (PatchFilterKey::Classification, vec!["Security", "SecurityUpdates", "*"]),
        (PatchFilterKey::Severity, vec!["Critical", "Low"]),
        (PatchFilterKey::MsrcSeverity, vec!["Critical", "*"]),
        (PatchFilterKey::Product, vec!["P1", "P2", "*"]),
        (PatchFilterKey::PatchSet, vec!["OS"]),
        (PatchFilterKey::Other("COLOUR".into()), vec!["*"]),
    ];
    select(filters.to_vec()).prop_flat_map(|(key, words)| {
        vec(select(words), 1..3).prop_map(move |values| PatchFilter::new(key.clone(), values))
    })
}

fn any_list() -> impl Strategy<Value = Vec<String>> {
    let entries =
        ["bash", "ba*", "*.x86_64", "openssl-1-2", "CVE-2024-1", "KB1", "2", "a*b*", "zsh"];
    vec(select(entries.map(str::to_owned).to_vec()), 0..3)
}

fn any_level() -> impl Strategy<Value = ComplianceLevel> {
    select(ComplianceLevel::ALL.to_vec())
}

fn any_scope() -> impl Strategy<Value = UpdateScope> {
    select(vec![UpdateScope::SecurityOnly, UpdateScope::All])
}
