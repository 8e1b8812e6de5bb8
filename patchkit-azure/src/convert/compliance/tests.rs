use patchkit_core::ComplianceStatus::{Compliant, NonCompliant, Unknown};
use serde_json::json;

use super::*;

const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// An assessment of an hour ago, which found nothing missing.
fn clean() -> Value {
    json!({
        "assessedAt": "2026-11-24T11:00:00.0000000Z", "assessment": "Succeeded",
        "rebootPending": false,
        "available": {"critical": 0, "security": 0, "other": 3, "updates": null},
    })
}

fn with(mut row: Value, name: &str, value: Value) -> Value {
    row[name] = value;
    row
}

/// An installation from half past ten to ten to eleven.
fn installation(row: &Value) -> Installation {
    let mut whole = json!({
        "id": "/x/patchInstallationResults/5b8f",
        "began": "2026-11-24T10:30:00Z", "changed": "2026-11-24T10:50:00Z",
        "status": "Succeeded", "reboot": "NotNeeded",
        "installed": 2, "failed": 0, "pending": 0, "excluded": 0, "notSelected": 0,
    });
    for (name, value) in row.as_object().unwrap() {
        whole[name] = value.clone();
    }
    Installation::read("test", &whole).unwrap()
}

fn findings(assessment: &Value, installation: Option<Installation>) -> Findings {
    Findings { assessment: Assessment::read("test", assessment).unwrap(), installation }
}

fn summary(findings: &Findings) -> NodeCompliance {
    let node = "azure/s/westeurope//subscriptions/s/resourceGroups/g/providers/p/vm".parse();
    findings.summary(node.unwrap(), now())
}

#[test]
fn nothing_urgent_missing_and_no_reboot_pending_is_compliant() {
    for (name, value, status) in [
        ("rebootPending", json!(false), Compliant),
        ("rebootPending", json!(true), NonCompliant),
        ("rebootPending", Value::Null, Unknown),
        ("rebootPending", json!("LearnedLater"), Unknown),
        ("available", json!({"critical": 1}), NonCompliant),
        ("available", json!({"security": "2"}), NonCompliant),
        ("available", json!({"other": 7, "quantum": 1}), Compliant),
        ("available", Value::Null, Unknown),
        ("assessment", json!("CompletedWithWarnings"), Compliant),
        ("assessment", json!("Failed"), Unknown),
        ("assessment", json!("InProgress"), Unknown),
        ("assessment", json!("LearnedLater"), Unknown),
        ("assessment", Value::Null, Unknown),
        ("assessedAt", json!("2026-11-17T12:00:00Z"), Compliant),
        ("assessedAt", json!("2026-11-17T11:59:59Z"), Unknown),
        ("assessedAt", Value::Null, Unknown),
    ] {
        let known = summary(&findings(&with(clean(), name, value.clone()), None));
        assert_eq!(known.status, status, "{name} {value}");
    }
}

#[test]
fn a_missing_patch_counts_however_the_assessment_ended() {
    let failed = with(clean(), "assessment", json!("Failed"));
    let failed = with(failed, "available", json!({"security": 1, "other": 2}));
    let known = summary(&findings(&failed, None));
    assert_eq!(known.status, NonCompliant);
    assert_eq!((known.counts.missing, known.counts.other), (1, 2));
    assert_eq!(known.counts.security_non_compliant, 1);
    assert_eq!(known.observed_at, Some("2026-11-24T11:00:00Z".parse().unwrap()));
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_verdict() {
    for (name, value) in [
        ("assessedAt", json!("yesterday")),
        ("assessedAt", json!(7)),
        ("available", json!([])),
        ("available", json!({"security": -1})),
        ("available", json!({"security": "many"})),
    ] {
        let read = Assessment::read("test", &with(clean(), name, value.clone()));
        assert!(read.is_err(), "{name} {value}");
    }
}

#[test]
fn an_assessment_has_the_say_over_the_installation_that_it_ended() {
    let failed = installation(&json!({"failed": 2, "pending": 1, "status": "Failed"}));
    let known = summary(&findings(&clean(), Some(failed)));
    assert_eq!(known.status, Compliant, "what failed is there, or no longer wanted");
    assert_eq!((known.counts.installed, known.counts.failed), (2, 0));
}

#[test]
fn an_installation_makes_an_older_assessment_out_of_date() {
    let before = with(clean(), "assessedAt", json!("2026-11-24T09:00:00Z"));
    for (row, status) in [
        (json!({}), Unknown),
        (json!({"notSelected": 3}), Unknown),
        (json!({"failed": 1}), NonCompliant),
        (json!({"pending": 1}), NonCompliant),
        (json!({"reboot": "Required"}), NonCompliant),
        // It brought nothing, or is under way: all is as it was seen.
        (json!({"installed": 0, "failed": 1}), Compliant),
        (json!({"status": "InProgress"}), Compliant),
    ] {
        let known = summary(&findings(&before, Some(installation(&row))));
        assert_eq!(known.status, status, "{row}");
    }
}

#[test]
fn an_installation_alone_is_never_compliant() {
    let known = summary(&findings(&Value::Null, Some(installation(&json!({})))));
    assert_eq!((known.status, known.counts.installed), (Unknown, 2));
    assert!(known.observed_at.is_some());
}

#[test]
fn what_was_installed_waits_for_its_reboot_until_someone_sees_that_it_is_over() {
    let waits = || Some(installation(&json!({"reboot": "Required"})));
    let later = findings(&clean(), waits());
    assert_eq!((later.effect(), summary(&later).status), (Effect::Now, Compliant));
    let still = findings(&with(clean(), "rebootPending", json!(true)), waits());
    let known = summary(&still);
    assert_eq!((still.effect(), known.status), (Effect::AfterReboot, NonCompliant));
    assert_eq!((known.counts.installed, known.counts.installed_pending_reboot), (0, 2));
}

#[test]
fn an_installation_without_an_id_or_a_time_is_malformed() {
    for (name, value) in [("id", Value::Null), ("began", Value::Null), ("failed", json!({}))] {
        let row = json!({"id": "/x/5b8f", "began": NOW});
        assert!(Installation::read("test", &with(row, name, value)).is_err(), "{name}");
    }
}
