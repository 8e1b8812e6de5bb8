//! What a report could not show: a node that may lack a patch is not called compliant.

use std::cmp::Ordering;

use jiff::SignedDuration;

use super::rules::{id, patch, time};
use crate::{
    ApprovalRule, AutoApproval, Classification, ComplianceStatus, OperatingSystem, Patch,
    PatchBaseline, Presence,
    whatif::{Certainty, Doubt, Evidence, NodeFacts, PatchMatrix, Scenario, forecast, what_if},
};

const LINUX: OperatingSystem = OperatingSystem::AmazonLinux2023;
const SCANNED: &str = "2026-01-12T00:00:00Z";

/// Versions of these tests are numbers.
fn by_number(_: &OperatingSystem, a: &str, b: &str) -> Option<Ordering> {
    let number = |text: &str| text.parse::<u32>().ok();
    Some(number(a)?.cmp(&number(b)?))
}

fn after_days(os: OperatingSystem, days: u16) -> Scenario {
    let rule = ApprovalRule::new(AutoApproval::AfterDays(days));
    Scenario::new(PatchBaseline::new("web", os).with_rule(rule), time("2026-01-15T00:00:00Z"))
}

fn version(version: &str, released: &str) -> Patch {
    patch("bash").with_title(version).with_released_at(time(released))
}

/// A node with version `installed` of a package, of which `offered` are in the catalogue.
fn linux(installed: &[&str], offered: &[(&str, &str)], evidence: Evidence) -> PatchMatrix {
    let mut builder = PatchMatrix::builder().with_scanned_under(after_days(LINUX, 7), by_number);
    for (number, released) in offered {
        builder.offer(&LINUX, version(number, released));
    }
    let mut facts = NodeFacts::new(id("i-0a"), LINUX)
        .with_evidence(evidence)
        .with_report(ComplianceStatus::Compliant, Some(time(SCANNED)));
    for number in installed {
        let patch = builder.patch(&LINUX, patch("bash").with_title(*number));
        facts = facts.with_patch(patch, Presence::Installed);
    }
    builder.node(facts).unwrap();
    builder.build()
}

fn status(matrix: &PatchMatrix, scenario: &Scenario) -> (ComplianceStatus, Option<Doubt>) {
    let verdicts = matrix.judge(scenario);
    (verdicts.status(&id("i-0a")).unwrap(), verdicts.doubt(&id("i-0a")))
}

#[test]
fn a_newer_version_that_the_scan_could_not_show_makes_the_node_unknown_once_it_is_approved() {
    let matrix = linux(&["1"], &[("2", "2026-01-10T00:00:00Z")], Evidence::Whole);
    let (seven, three) = (after_days(LINUX, 7), after_days(LINUX, 3));
    assert_eq!(status(&matrix, &seven), (ComplianceStatus::Compliant, None));
    assert_eq!(status(&matrix, &three), (ComplianceStatus::Unknown, Some(Doubt::Unseen)));
    let answer = what_if(&matrix, &seven, &three);
    let change = answer.changes().next().unwrap();
    assert_eq!(change.causes[0].certainty, Certainty::Possible);
    assert_eq!(change.since, Some(time("2026-01-13T00:00:00Z")));
    assert_eq!(answer.counts().become_unknown, 1);
    let until = seven.when + SignedDuration::from_hours(24 * 30);
    let day = &forecast(&matrix, &seven, until).days[0];
    assert_eq!(day.date.to_string(), "2026-01-17");
    assert_eq!((day.unknown.len(), day.non_compliant.len()), (1, 0));
    assert_eq!(day.unknown[0].patches[0].as_str(), "bash");
}

#[test]
fn what_the_scan_would_have_shown_is_not_there() {
    // Approved before the scan: were it absent, it would be among the missing.
    let matrix = linux(&["1"], &[("2", "2026-01-01T00:00:00Z")], Evidence::Whole);
    assert_eq!(status(&matrix, &after_days(LINUX, 3)).0, ComplianceStatus::Compliant);
}

#[test]
fn an_older_version_and_a_package_that_is_not_there_are_no_offers() {
    let new = [("2", "2026-01-10T00:00:00Z")];
    for installed in [&["3"][..], &["2"], &[], &["1", "3"]] {
        let matrix = linux(installed, &new, Evidence::Whole);
        let (status, _) = status(&matrix, &after_days(LINUX, 3));
        assert_eq!(status, ComplianceStatus::Compliant, "{installed:?}");
    }
}

#[test]
fn an_order_of_versions_that_is_not_known_counts_as_newer() {
    let matrix = linux(&["one"], &[("2", "2026-01-10T00:00:00Z")], Evidence::Whole);
    assert_eq!(status(&matrix, &after_days(LINUX, 3)).1, Some(Doubt::Unseen));
}

#[test]
fn a_node_without_report_is_not_scanned_whatever_is_offered() {
    let matrix = linux(&["1"], &[("2", "2026-01-10T00:00:00Z")], Evidence::Nothing);
    assert_eq!(status(&matrix, &after_days(LINUX, 3)).1, Some(Doubt::NotScanned));
}

#[test]
fn windows_shows_security_updates_before_they_are_approved_and_no_others() {
    let os = OperatingSystem::Windows;
    let verdict = |kind: Classification, product: &str| {
        let mut builder =
            PatchMatrix::builder().with_scanned_under(after_days(os.clone(), 7), by_number);
        let offered = patch("KB1")
            .with_classification(kind)
            .with_product("WindowsServer2022")
            .with_released_at(time("2026-01-10T00:00:00Z"));
        builder.offer(&os, offered);
        let facts = NodeFacts::new(id("i-0a"), os.clone()).with_product(product);
        let facts = facts.with_report(ComplianceStatus::Compliant, Some(time(SCANNED)));
        builder.node(facts).unwrap();
        status(&builder.build(), &after_days(os.clone(), 3)).0
    };
    let updates = || Classification::Updates;
    assert_eq!(verdict(updates(), "WindowsServer2022"), ComplianceStatus::Unknown);
    assert_eq!(verdict(updates(), "WindowsServer2019"), ComplianceStatus::Compliant);
    let security = Classification::SecurityUpdates;
    assert_eq!(verdict(security, "WindowsServer2022"), ComplianceStatus::Compliant);
}
