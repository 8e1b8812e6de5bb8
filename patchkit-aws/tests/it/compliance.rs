//! Compliance by kind, what is put there, and what AWS Config says.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use patchkit_aws::{
    ComplianceEntry, ComplianceKind, ComplianceUpload, ResourceCompliance, RuleVerdict, Ssm, Upload,
};
use patchkit_core::{
    ComplianceLevel, ComplianceReport, ComplianceStatus, ErrorKind, NodeCompliance, NodeId,
    NodeSelector, PowerState,
};
use patchkit_testkit::cloud::{Fault, FaultKind, Power};

use crate::support::{builder, node, one_scope, ssm};

async fn by_kind(ssm: &Ssm, selector: &NodeSelector) -> Vec<ResourceCompliance> {
    ssm.compliance_by_kind(selector).try_collect().await.unwrap()
}

async fn scanned(ssm: &Ssm) -> Vec<NodeCompliance> {
    let all: Vec<NodeCompliance> = ssm.summaries(&NodeSelector::all()).try_collect().await.unwrap();
    all.into_iter().filter(|it| it.status != ComplianceStatus::Unknown).collect()
}

fn items() -> [ComplianceEntry; 2] {
    [
        ComplianceEntry::new("engine", ComplianceStatus::Compliant).with_title("Engine is on"),
        ComplianceEntry::new("signatures", ComplianceStatus::NonCompliant)
            .with_level(ComplianceLevel::High)
            .with_detail("Version", "41"),
    ]
}

#[tokio::test]
async fn patch_compliance_by_kind_says_what_the_summaries_say() {
    let world = Arc::new(one_scope(120).start().await.unwrap());
    let ssm = ssm(&world).await;
    let known = scanned(&ssm).await;
    world.forget_calls();
    let rows = by_kind(&ssm, &NodeSelector::all()).await;
    let calls = world.calls().of("ListResourceComplianceSummaries").len();
    assert_eq!(calls, rows.len().div_ceil(50).max(1));
    let patches: BTreeMap<NodeId, ResourceCompliance> = rows
        .into_iter()
        .filter(|row| row.kind == ComplianceKind::Patch)
        .map(|row| (row.node.clone(), row))
        .collect();
    assert!(patches.len() > 60, "{}", patches.len());
    for node in known.iter().filter(|it| patches.contains_key(&it.node)) {
        let row = &patches[&node.node];
        assert_eq!((row.status, row.node.clone()), (node.status, node.node.clone()));
        assert!(row.at.is_some());
        let levels = ComplianceLevel::ALL.map(|level| row.non_compliant.of(level));
        assert_eq!(levels.iter().sum::<u32>(), row.non_compliant.total);
        assert_eq!(row.non_compliant.total > 0, row.status == ComplianceStatus::NonCompliant);
    }
    assert!(patches.values().any(|row| row.status == ComplianceStatus::NonCompliant));
    assert!(patches.values().all(|row| row.level.is_some()));
}

#[tokio::test]
async fn a_selector_never_widens_the_listing_by_kind() {
    let world = Arc::new(one_scope(60).start().await.unwrap());
    let ssm = ssm(&world).await;
    let known = scanned(&ssm).await;
    let two = NodeSelector::ids([known[0].node.clone(), known[1].node.clone()]);
    let rows = by_kind(&ssm, &two).await;
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| [&known[0].node, &known[1].node].contains(&&row.node)));
    world.forget_calls();
    assert!(by_kind(&ssm, &NodeSelector::ids([])).await.is_empty());
    assert!(world.calls().is_empty(), "{:?}", world.calls());
    let stopped = NodeSelector::all().with_power([PowerState::Stopped]);
    let rows = by_kind(&ssm, &stopped).await;
    let of = |row: &ResourceCompliance| world.node(row.node.resource()).unwrap().power;
    assert!(!rows.is_empty() && rows.iter().all(|row| of(row) == Power::Stopped));
}

#[tokio::test]
async fn custom_compliance_is_put_and_read_back() {
    let world = Arc::new(one_scope(40).start().await.unwrap());
    let ssm = ssm(&world).await;
    let target = scanned(&ssm).await[0].node.clone();
    let kind = ComplianceKind::custom("Antivirus").unwrap();
    let at = Timestamp::from_second(world.now().as_second()).unwrap();
    let upload = ComplianceUpload::new(kind.clone(), items(), at);
    for _ in 0..2 {
        ssm.put_compliance(&target, upload.clone()).await.unwrap();
    }
    let read: Vec<ComplianceEntry> =
        ssm.compliance_items(&target, &kind).try_collect().await.unwrap();
    let mut wanted = items().to_vec();
    for item in &mut wanted {
        item.at = Some(at);
    }
    assert_eq!(read, wanted);
    let only = NodeSelector::ids([target.clone()]);
    let rows = by_kind(&ssm, &only).await;
    let row = rows.iter().find(|row| row.kind == kind).unwrap();
    assert_eq!(
        (row.status, row.level),
        (ComplianceStatus::NonCompliant, Some(ComplianceLevel::High))
    );
    assert_eq!((row.compliant.total, row.non_compliant.high, row.at), (1, 1, Some(at)));
    // The patches are listed apart.
    let patches: Vec<ComplianceEntry> =
        ssm.compliance_items(&target, &ComplianceKind::Patch).try_collect().await.unwrap();
    assert!(patches.iter().all(|it| it.id != "engine") && !patches.is_empty());
    // A complete upload replaces, and one of nothing takes the kind away.
    let none = ComplianceUpload::new(kind.clone(), [], at);
    ssm.put_compliance(&target, none).await.unwrap();
    let read: Vec<ComplianceEntry> =
        ssm.compliance_items(&target, &kind).try_collect().await.unwrap();
    assert!(read.is_empty());
}

#[tokio::test]
async fn the_same_finding_of_a_later_time_is_not_ignored() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let target = scanned(&ssm).await[0].node.clone();
    let kind = ComplianceKind::custom("Antivirus").unwrap();
    let first = Timestamp::from_second(world.now().as_second()).unwrap();
    let second = first + jiff::SignedDuration::from_hours(24);
    for at in [first, second] {
        let upload = ComplianceUpload::new(kind.clone(), items(), at);
        ssm.put_compliance(&target, upload).await.unwrap();
    }
    let rows = by_kind(&ssm, &NodeSelector::ids([target])).await;
    assert_eq!(rows.iter().find(|row| row.kind == kind).unwrap().at, Some(second));
}

#[tokio::test]
async fn a_partial_upload_of_associations_leaves_the_others() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let target = scanned(&ssm).await[0].node.clone();
    let kind = ComplianceKind::Association;
    let put = |item: ComplianceEntry| {
        ComplianceUpload::new(kind.clone(), [item], world.now()).with_upload(Upload::Partial)
    };
    let [engine, signatures] = items();
    ssm.put_compliance(&target, put(engine)).await.unwrap();
    ssm.put_compliance(&target, put(signatures)).await.unwrap();
    let read: Vec<ComplianceEntry> =
        ssm.compliance_items(&target, &kind).try_collect().await.unwrap();
    for id in ["engine", "signatures"] {
        assert!(read.iter().any(|it| it.id == id), "{read:?}");
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_may_be_put_again() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let target = scanned(&ssm).await[0].node.clone();
    let kind = ComplianceKind::custom("Antivirus").unwrap();
    let upload = ComplianceUpload::new(kind.clone(), items(), world.now());
    world.add_fault(Fault::new(FaultKind::CutAfter).on("PutComplianceItems").times(1)).unwrap();
    let error = ssm.put_compliance(&target, upload.clone()).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    ssm.put_compliance(&target, upload).await.unwrap();
    let read: Vec<ComplianceEntry> =
        ssm.compliance_items(&target, &kind).try_collect().await.unwrap();
    assert_eq!(read.len(), 2);
}

#[tokio::test]
async fn compliance_of_a_node_that_is_not_there_is_not_found() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nobody = node("i-0123456789abcdef0");
    let kind = ComplianceKind::custom("Antivirus").unwrap();
    let read: Result<Vec<ComplianceEntry>, _> =
        ssm.compliance_items(&nobody, &kind).try_collect().await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::NotFound);
    let upload = ComplianceUpload::new(kind, items(), world.now());
    let error = ssm.put_compliance(&nobody, upload).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::NotFound, Some(&nobody)));
}

#[tokio::test]
async fn items_come_over_all_pages() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    let target = scanned(&ssm).await[0].node.clone();
    let kind = ComplianceKind::custom("Antivirus").unwrap();
    let many = (0..120).map(|n| ComplianceEntry::new(n.to_string(), ComplianceStatus::Compliant));
    let upload = ComplianceUpload::new(kind.clone(), many, world.now());
    ssm.put_compliance(&target, upload).await.unwrap();
    world.forget_calls();
    let read: Vec<ComplianceEntry> =
        ssm.compliance_items(&target, &kind).try_collect().await.unwrap();
    assert_eq!((read.len(), world.calls().of("ListComplianceItems").len()), (120, 3));
}

#[cfg(feature = "config")]
#[tokio::test]
async fn the_rule_of_patch_compliance_says_of_nodes_what_systems_manager_says() {
    let world = Arc::new(one_scope(250).start().await.unwrap());
    let ssm = ssm(&world).await;
    let rules: Vec<_> = ssm.config_rules().try_collect().await.unwrap();
    let patch = "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK";
    let rule = rules.iter().find(|it| it.source.as_deref() == Some(patch)).unwrap();
    assert_eq!(rule.resource_types, ["AWS::SSM::PatchCompliance"]);
    world.forget_calls();
    let results: Vec<_> = ssm.rule_results(&rule.name).try_collect().await.unwrap();
    let calls = world.calls().of("GetComplianceDetailsByConfigRule").len();
    assert_eq!(calls, results.len().div_ceil(100));
    let by_kind = by_kind(&ssm, &NodeSelector::all()).await;
    let verdicts: BTreeMap<&NodeId, ComplianceStatus> = by_kind
        .iter()
        .filter(|row| row.kind == ComplianceKind::Patch)
        .map(|row| (&row.node, row.status))
        .collect();
    assert!(results.len() > 100, "{}", results.len());
    for result in &results {
        assert_eq!(verdicts.get(result.node.as_ref().unwrap()), Some(&result.verdict.status()));
        assert!(result.resource.starts_with("AWS::SSM::ManagedInstanceInventory/"));
    }
    assert!(results.iter().any(|it| it.verdict == RuleVerdict::NonCompliant));
}

#[cfg(feature = "config")]
#[tokio::test]
async fn a_rule_that_is_not_there_is_not_found() {
    let world = Arc::new(one_scope(5).start().await.unwrap());
    let ssm = builder(&world).build().await.unwrap();
    let read: Result<Vec<_>, _> = ssm.rule_results("no-such-rule").try_collect().await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_error_on_a_later_page_of_kinds_comes_after_the_rows_before_it() {
    let world = Arc::new(one_scope(120).start().await.unwrap());
    let ssm = ssm(&world).await;
    let fault = Fault::new(FaultKind::Throttle).on("ListResourceComplianceSummaries").on_page(2);
    world.add_fault(fault).unwrap();
    let rows: Vec<_> = ssm.compliance_by_kind(&NodeSelector::all()).collect().await;
    assert_eq!(rows.len(), 51);
    assert!(rows[..50].iter().all(Result::is_ok));
    assert_eq!(rows[50].as_ref().unwrap_err().kind(), ErrorKind::Throttled);
}

#[tokio::test]
async fn a_row_of_two_pages_comes_once_and_an_unknown_word_is_no_verdict() {
    let world = Arc::new(one_scope(120).start().await.unwrap());
    let ssm = ssm(&world).await;
    let clean = by_kind(&ssm, &NodeSelector::all()).await;
    let listing = "ListResourceComplianceSummaries";
    let twice = world.add_fault(Fault::new(FaultKind::DuplicateItem).on(listing)).unwrap();
    assert_eq!(by_kind(&ssm, &NodeSelector::all()).await, clean);
    world.remove_fault(twice);
    world.add_fault(Fault::new(FaultKind::UnknownEnum).on(listing)).unwrap();
    let odd = by_kind(&ssm, &NodeSelector::all()).await;
    assert_eq!(odd.len(), clean.len());
    for (odd, clean) in odd.iter().zip(&clean) {
        assert!(odd.status == clean.status || odd.status == ComplianceStatus::Unknown);
    }
}
