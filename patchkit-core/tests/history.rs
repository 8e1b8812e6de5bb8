//! What runs write into the history.

mod common;

use std::collections::BTreeMap;

use common::{error, id, node, options, run_id, world};
use futures::executor::block_on;
use jiff::Timestamp;
use patchkit_core::{
    Book, ComplianceStatus, ErrorKind, Ledger, NodeSelector, Severity,
    history::{Detail, History},
    memory::Fault,
};

#[test]
fn runs_write_down_what_their_scans_found_and_when() {
    let world = world([node(id("i-01")), node(id("i-02"))]);
    let history = History::new(world.journal.clone()).with_detail(Detail::Severities);
    let runner = world.runner.clone().with_history(history.clone());
    block_on(async {
        runner.scan(&run_id("scan"), &NodeSelector::all()).await.unwrap();
        let scanned = world.now();
        let plan = runner.plan_patch(&options()).await.unwrap();
        history.approve(&plan, "kim", "as every week").await.unwrap();
        assert!(runner.patch(&run_id("patch"), &plan).await.unwrap().is_clean());

        let timeline = history.timeline().await.unwrap();
        assert!(timeline.unread.is_empty());
        let then = timeline.compliance_at(scanned);
        assert_eq!(then.len(), 2);
        for seen in then.values() {
            assert_eq!(seen.status, ComplianceStatus::NonCompliant);
            assert_eq!(seen.run, Some(run_id("scan")));
            assert_eq!(seen.lacking, Some(BTreeMap::from([(Severity::Unspecified, 2)])));
        }
        let drift = timeline.drift_since(scanned);
        assert!(drift.iter().all(|it| it.after == ComplianceStatus::Compliant));
        assert_eq!(drift.len(), 2);
        let remediated = timeline.mean_time_to_remediate(Timestamp::MIN..Timestamp::MAX);
        assert_eq!((remediated.remediated, remediated.open.len()), (2, 0));
        assert!(remediated.mean.unwrap().is_positive());
        let approvals: Vec<String> =
            timeline.approvals_of(&plan.hash()).map(|it| it.by.clone()).collect();
        assert_eq!(approvals, ["kim"]);
    });
}

#[test]
fn severities_that_cannot_be_read_leave_a_gap_that_is_named() {
    let world = world([node(id("i-01")), node(id("i-02"))]);
    world.cloud.on_call(|call| match call.operation {
        "patches" => Fault::Refuse(error(ErrorKind::PermissionDenied)),
        _ => Fault::Pass,
    });
    let history = History::new(world.journal.clone()).with_detail(Detail::Severities);
    let runner = world.runner.clone().with_history(history.clone());
    block_on(async {
        let scan = runner.scan(&run_id("scan"), &NodeSelector::all()).await.unwrap();
        assert_eq!(scan.non_compliant().count(), 2);
        assert!(scan.problems.iter().any(|it| it.contains("lacks the severities of")));
        let timeline = history.timeline().await.unwrap();
        assert_eq!(timeline.nodes.len(), 2);
        assert!(timeline.nodes.values().flatten().all(|it| it.lacking.is_none()));
    });
}

#[test]
fn an_entry_of_a_newer_version_is_named_and_costs_only_itself() {
    let world = world([node(id("i-01"))]);
    let history = History::new(world.journal.clone());
    let runner = world.runner.clone().with_history(history.clone());
    block_on(async {
        let newer = serde_json::json!({ "history": "foreseen", "by": [1, null] });
        world.journal.enter(Book::History, &[newer]).await.unwrap();
        runner.scan(&run_id("scan"), &NodeSelector::all()).await.unwrap();
        let timeline = history.timeline().await.unwrap();
        assert_eq!((timeline.nodes.len(), timeline.unread.len()), (1, 1));
    });
}
