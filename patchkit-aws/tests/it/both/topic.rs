//! What a topic's subscribers get.

use patchkit_core::{
    ComplianceStatus, ErrorKind, PowerState,
    workflow::{Outcome, RunReport, ScanReport},
};
use serde_json::json;

use crate::{
    server::{ACCOUNT, REGION, Server},
    support::unique,
};

on_both!(a_run_that_ended_is_told_once, a_topic_that_is_not_there_is_not_found);

/// A run of two nodes that ended, of which one failed.
pub(crate) fn report() -> RunReport {
    let node = |id: &str, outcome: Outcome, notes: &[&str]| {
        json!({
            "node": format!("aws/{ACCOUNT}/{REGION}/{id}"),
            "group": null,
            "power_before": PowerState::Running,
            "power_after": PowerState::Running,
            "status_before": ComplianceStatus::NonCompliant,
            "status_after": ComplianceStatus::NonCompliant,
            "outcome": outcome,
            "notes": notes,
        })
    };
    let report = json!({
        "run": "night-7",
        "started_at": "2026-11-24T02:00:00Z",
        "ended_at": "2026-11-24T03:00:00Z",
        "nodes": [
            node("i-0000000000000000a", Outcome::Patched, &[]),
            node("i-0000000000000000b", Outcome::Failed, &["yum said: \"no\" & <left>"]),
        ],
        "undo_failed": [],
        "problems": [],
    });
    serde_json::from_value(report).unwrap()
}

async fn a_run_that_ended_is_told_once(server: &Server) {
    let (arn, mailbox) = server.topic().await;
    let topic = server.ssm().await.topic(&arn).unwrap();
    let id = topic.run_ended(&report()).await.unwrap();
    let mail = mailbox.only().await;
    assert_eq!(mail.id, id);
    assert_eq!(mail.subject, "Patch run night-7 needs a look");
    assert_eq!((&mail.body["event"], &mail.body["run"]), (&json!("run_ended"), &json!("night-7")));
    // Those that ended well are counted, and not listed.
    assert_eq!(mail.body["counts"], json!([["patched", 1], ["failed", 1]]));
    let [row] = &mail.body["nodes"].as_array().unwrap()[..] else { panic!("{}", mail.body) };
    assert_eq!(row["id"], format!("aws/{ACCOUNT}/{REGION}/i-0000000000000000b"));
    assert_eq!(row["notes"], json!(["yum said: \"no\" & <left>"]));
}

async fn a_topic_that_is_not_there_is_not_found(server: &Server) {
    let ssm = server.ssm().await;
    let gone = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", unique("gone"));
    let topic = ssm.topic(gone).unwrap();
    let error = topic.run_ended(&report()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::NotFound, false), "{error}");
    // A scan that found nothing wrong has nothing to tell, and nobody is asked.
    let clean = json!({
        "run": "noon", "started_at": "2026-11-24T12:00:00Z", "nodes": [], "problems": [],
    });
    let clean: ScanReport = serde_json::from_value(clean).unwrap();
    assert_eq!(topic.scan_ended(&clean).await.unwrap(), None);
}
