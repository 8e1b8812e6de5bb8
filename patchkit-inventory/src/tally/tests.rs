use super::*;

fn id() -> NodeId {
    "aws/111122223333/eu-west-1/i-0a".parse().unwrap()
}

fn finish(take: impl FnOnce(&mut NodeTally)) -> LakeNode {
    let mut tally = NodeTally::default();
    take(&mut tally);
    tally.finish(id())
}

fn row(json: &str) -> InventoryRecord<'_> {
    InventoryRecord::parse(json).unwrap()
}

fn of_counts(json: &str) -> ComplianceStatus {
    finish(|tally| tally.take_patch_summary(&row(json))).last.status
}

#[test]
fn a_patch_summary_is_judged_by_the_nodes_own_rule() {
    use ComplianceStatus::{Compliant, NonCompliant, Unknown};
    for (json, status) in [
        (r#"{"MissingCount":"0","FailedCount":"0","InstalledCount":"9"}"#, Compliant),
        (r#"{"MissingCount":1,"FailedCount":"0"}"#, NonCompliant),
        (r#"{"MissingCount":"0","FailedCount":"2"}"#, NonCompliant),
        (
            r#"{"MissingCount":"0","FailedCount":"0","InstalledPendingRebootCount":"1"}"#,
            NonCompliant,
        ),
        (r#"{"MissingCount":"0","FailedCount":"0","InstalledRejectedCount":"1"}"#, NonCompliant),
        (r#"{"MissingCount":"0","FailedCount":"0","NotApplicableCount":"7"}"#, Compliant),
        // Whether available security updates count is the baseline's to say.
        (r#"{"MissingCount":"0","FailedCount":"0","AvailableSecurityUpdateCount":"3"}"#, Compliant),
        (
            r#"{"MissingCount":"0","FailedCount":"0","AvailableSecurityUpdateCount":"3","SecurityNonCompliantCount":"3"}"#,
            NonCompliant,
        ),
        (r#"{"MissingCount":"","FailedCount":"0"}"#, Unknown),
        (r#"{"MissingCount":null,"FailedCount":"0"}"#, Unknown),
        (r#"{"MissingCount":"0","FailedCount":"0","InstalledRejectedCount":"some"}"#, Unknown),
        (r#"{"InstalledCount":"9"}"#, Unknown),
    ] {
        assert_eq!(of_counts(json), status, "{json}");
    }
}

fn two(compliance: &str, patch: &str) -> LakeNode {
    finish(|tally| {
        tally.take_compliance_summary(&row(compliance));
        tally.take_patch_summary(&row(patch));
    })
}

#[test]
fn the_newer_of_two_summaries_counts_and_the_contradiction_is_told() {
    let compliant =
        r#"{"ComplianceType":"Patch","Status":"COMPLIANT","ExecutionTime":"2026-01-01T00:00:00Z"}"#;
    let missing = r#"{"MissingCount":"1","FailedCount":"0","OperationStartTime":"2026-01-02T00:00:00Z","OperationEndTime":"2026-01-02T00:01:00Z"}"#;
    let node = two(compliant, missing);
    assert_eq!(node.last.status, ComplianceStatus::NonCompliant);
    assert_eq!(node.disagreement.unwrap().compliance_summary.0, ComplianceStatus::Compliant);

    let later =
        r#"{"ComplianceType":"Patch","Status":"compliant","ExecutionTime":"2026-01-03T00:00:00Z"}"#;
    let node = two(later, missing);
    assert_eq!(node.last.status, ComplianceStatus::Compliant);
    assert_eq!(node.last.observed_at.unwrap().to_string(), "2026-01-03T00:00:00Z");
    assert!(node.disagreement.is_some());
}

#[test]
fn of_one_run_the_worse_summary_counts() {
    let status = r#"{"ComplianceType":"Patch","Status":"NON_COMPLIANT","ExecutionTime":"2026-01-02T00:00:00Z"}"#;
    let clean = r#"{"MissingCount":"0","FailedCount":"0","OperationStartTime":"2026-01-02T00:00:00Z","OperationEndTime":"2026-01-02T00:01:00Z"}"#;
    assert_eq!(two(status, clean).last.status, ComplianceStatus::NonCompliant);
    let timeless = two(
        r#"{"ComplianceType":"Patch","Status":"NON_COMPLIANT"}"#,
        r#"{"MissingCount":"0","FailedCount":"0"}"#,
    );
    assert_eq!(timeless.last.status, ComplianceStatus::NonCompliant);
}

#[test]
fn an_unreadable_verdict_loses_to_a_readable_one() {
    let node = two(
        r#"{"ComplianceType":"Patch","Status":"??","ExecutionTime":"2026-01-09T00:00:00Z"}"#,
        r#"{"MissingCount":"1","FailedCount":"0","OperationEndTime":"2026-01-01T00:00:00Z"}"#,
    );
    assert_eq!(node.last.status, ComplianceStatus::NonCompliant);
    assert_eq!(node.disagreement, None);
}

#[test]
fn association_and_custom_compliance_are_kept_apart() {
    let node = finish(|tally| {
        for line in [
            r#"{"ComplianceType":"Association","Status":"NON_COMPLIANT"}"#,
            r#"{"ComplianceType":"Custom:Disk","Status":"COMPLIANT"}"#,
            r#"{"Status":"COMPLIANT"}"#,
        ] {
            tally.take_compliance_summary(&row(line));
        }
    });
    assert_eq!(node.last.status, ComplianceStatus::Unknown);
    let others: Vec<_> = node.last.others.iter().map(|(kind, s)| (&**kind, *s)).collect();
    assert_eq!(
        others,
        [
            ("Association", ComplianceStatus::NonCompliant),
            ("Custom:Disk", ComplianceStatus::Compliant),
        ]
    );
}

#[test]
fn items_decide_only_without_summaries_and_only_when_whole() {
    let item =
        row(r#"{"ComplianceType":"Patch","Id":"a","Status":"COMPLIANT","PatchState":"Installed"}"#);
    let node = finish(|tally| tally.items().take(&item, &PatchState::Installed));
    assert_eq!((node.last.status, node.last.counts.installed), (ComplianceStatus::Compliant, 1));

    let node = finish(|tally| {
        tally.items().take(&item, &PatchState::Installed);
        tally.items().partial = true;
    });
    assert_eq!(node.last.status, ComplianceStatus::Unknown);

    let node = finish(|tally| {
        tally.items().take(&item, &PatchState::Installed);
        tally.take_compliance_summary(&row(
            r#"{"ComplianceType":"Patch","Status":"NON_COMPLIANT"}"#,
        ));
    });
    assert_eq!(node.last.status, ComplianceStatus::NonCompliant);
}

#[test]
fn not_applicable_items_show_nothing() {
    let item =
        row(r#"{"ComplianceType":"Patch","Id":"a","Status":"","PatchState":"NotApplicable"}"#);
    let node = finish(|tally| tally.items().take(&item, &PatchState::NotApplicable));
    assert_eq!(node.last.status, ComplianceStatus::Unknown);
}

#[test]
fn without_information_a_node_is_unknown_whatever_its_summary_says() {
    let node = finish(|tally| {
        tally.take_compliance_summary(&row(r#"{"ComplianceType":"Patch","Status":"COMPLIANT"}"#));
    });
    assert_eq!(node.last.status, ComplianceStatus::Compliant);
    assert_eq!(node.status(), ComplianceStatus::Unknown);
}

#[test]
fn the_newest_information_counts_in_any_order() {
    let old = r#"{"InstanceStatus":"Active","captureTime":"2026-01-01T00:00:00Z"}"#;
    let new = r#"{"InstanceStatus":"Terminated","captureTime":"2026-01-02T00:00:00Z"}"#;
    for lines in [[old, new], [new, old]] {
        let mut tally = NodeTally::default();
        for line in lines {
            let mut one = NodeTally::default();
            one.take_info(&row(line));
            tally.merge(one);
        }
        assert_eq!(tally.finish(id()).liveness, Liveness::Terminated);
    }
}

#[test]
fn the_kind_of_node_is_the_bodys() {
    let node = finish(|tally| {
        tally.take_info(&row(
            r#"{"InstanceStatus":"Active","ResourceType":"ManagedInstance","PlatformName":"Ubuntu","PlatformVersion":"22.04"}"#,
        ));
    });
    assert_eq!(node.info.node_kind.as_deref(), Some("ManagedInstance"));
    assert_eq!(node.origin(), patchkit_core::NodeOrigin::Hybrid);
    assert_eq!(node.operating_system, Some(OperatingSystem::Ubuntu));
}
