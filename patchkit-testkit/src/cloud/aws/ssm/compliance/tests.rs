use serde_json::{Value, json};

use crate::cloud::testing::{TestWorld, is_scanned, read_only};

const ITEMS: &str = "ListComplianceItems";
const RESOURCES: &str = "ListResourceComplianceSummaries";
const SUMMARIES: &str = "ListComplianceSummaries";
const PUT: &str = "PutComplianceItems";

fn put(id: &str, kind: &str, items: &Value) -> Value {
    json!({
        "ResourceId": id,
        "ResourceType": "ManagedInstance",
        "ComplianceType": kind,
        "ExecutionSummary": {"ExecutionTime": 1_793_500_000, "ExecutionId": "run-1"},
        "Items": items,
    })
}

fn item(id: &str, severity: &str, status: &str) -> Value {
    json!({"Id": id, "Title": format!("Rule {id}"), "Severity": severity, "Status": status})
}

fn items(world: &TestWorld, id: &str, filters: &Value) -> Vec<Value> {
    let input =
        json!({"ResourceIds": [id], "ResourceTypes": ["ManagedInstance"], "Filters": filters});
    world.all(ITEMS, "ComplianceItems", &input)
}

fn resources(world: &TestWorld, filters: &Value) -> Vec<Value> {
    world.all(RESOURCES, "ResourceComplianceSummaryItems", &json!({"Filters": filters}))
}

#[test]
fn the_summary_of_a_node_counts_its_items() {
    let world = read_only();
    let of_type = json!([{"Key": "ComplianceType", "Values": ["Patch"], "Type": "EQUAL"}]);
    let summaries = resources(world, &of_type);
    assert_eq!(summaries.len(), world.ids(is_scanned).len());
    for summary in summaries.iter().take(10) {
        let id = summary["ResourceId"].as_str().unwrap();
        let items = items(world, id, &json!([]));
        for (kind, status) in [("Compliant", "COMPLIANT"), ("NonCompliant", "NON_COMPLIANT")] {
            let of_status = items.iter().filter(|it| it["Status"] == status);
            let counted = &summary[format!("{kind}Summary")];
            assert_eq!(counted[format!("{kind}Count")], of_status.clone().count(), "{summary}");
            let high = of_status.filter(|it| it["Severity"] == "HIGH").count();
            assert_eq!(counted["SeveritySummary"]["HighCount"], high);
        }
        let bad = items.iter().any(|it| it["Status"] == "NON_COMPLIANT");
        assert_eq!(summary["Status"], if bad { "NON_COMPLIANT" } else { "COMPLIANT" });
    }
}

/// botocore ssm model, `ComplianceItem.Status`.
#[test]
fn a_patch_that_is_not_applicable_has_an_empty_status() {
    let world = read_only();
    let by = json!([{"Key": "PatchState", "Values": ["NotApplicable"], "Type": "EQUAL"}]);
    let ids = world.ids(|state, at| is_scanned(state, at) && state.system_of(at).is_windows());
    let found = items(world, &ids[0], &by);
    assert!(!found.is_empty());
    assert!(found.iter().all(|it| it["Status"] == "" && it["Details"]["Classification"] == ""));
}

#[test]
fn the_summaries_of_types_count_nodes() {
    let world = TestWorld::new(40);
    let id = &world.ids(is_scanned)[0];
    let items = json!([item("a", "LOW", "COMPLIANT"), item("b", "HIGH", "NON_COMPLIANT")]);
    world.ssm(PUT, &put(id, "Custom:Hardening", &items)).unwrap();
    let all = world.all(SUMMARIES, "ComplianceSummaryItems", &json!({}));
    let kinds: Vec<&Value> = all.iter().map(|it| &it["ComplianceType"]).collect();
    assert_eq!(kinds, ["Custom:Hardening", "Patch"]);
    assert_eq!(all[0]["NonCompliantSummary"]["NonCompliantCount"], 1);
    assert_eq!(all[0]["NonCompliantSummary"]["SeveritySummary"]["HighCount"], 1);
    let counted = [
        &all[1]["CompliantSummary"]["CompliantCount"],
        &all[1]["NonCompliantSummary"]["NonCompliantCount"],
    ];
    let counted: u64 = counted.into_iter().filter_map(Value::as_u64).sum();
    assert_eq!(counted, world.ids(is_scanned).len() as u64);
}

#[test]
fn filters_compare_by_their_type() {
    let world = read_only();
    let bad = json!([{"Key": "Status", "Values": ["COMPLIANT"], "Type": "NOT_EQUAL"}]);
    let bad = resources(world, &bad);
    assert!(!bad.is_empty() && bad.iter().all(|it| it["Status"] == "NON_COMPLIANT"));
    let hybrid = json!([{"Key": "ResourceId", "Values": ["mi-"], "Type": "BEGIN_WITH"}]);
    let hybrid = resources(world, &hybrid);
    assert!(!hybrid.is_empty());
    assert!(hybrid.iter().all(|it| it["ResourceId"].as_str().unwrap().starts_with("mi-")));
    let time = "2026-11-01T00:00:00Z";
    let late = json!([{"Key": "ExecutionTime", "Values": [time], "Type": "GREATER_THAN"}]);
    let late = resources(world, &late);
    let all = resources(world, &json!([]));
    assert!(!late.is_empty() && late.len() < all.len(), "{} of {}", late.len(), all.len());
    let unknown = json!({"Filters": [{"Key": "Colour", "Values": ["red"]}]});
    assert_eq!(world.refused(RESOURCES, &unknown), "InvalidFilter");
}

#[test]
fn items_are_of_one_managed_node_at_a_time() {
    let world = read_only();
    let ids = world.ids(is_scanned);
    let two = json!({"ResourceIds": &ids[..2]});
    assert_eq!(world.refused(ITEMS, &two), "ValidationException");
    let unknown = json!({"ResourceIds": ["i-0fffffffffffffff0"]});
    assert_eq!(world.refused(ITEMS, &unknown), "InvalidResourceId");
    let other = json!({"ResourceIds": [ids[0]], "ResourceTypes": ["Bucket"]});
    assert_eq!(world.refused(ITEMS, &other), "InvalidResourceType");
}

#[test]
fn a_put_overwrites_its_type_unless_the_hash_is_the_same() {
    let world = TestWorld::new(40);
    let id = &world.ids(is_scanned)[0];
    let custom = json!([{"Key": "ComplianceType", "Values": ["Custom:"], "Type": "BEGIN_WITH"}]);
    let titles = || -> Vec<Value> {
        items(&world, id, &custom).into_iter().map(|it| it["Id"].clone()).collect()
    };
    let mut first = put(id, "Custom:Hardening", &json!([item("a", "LOW", "COMPLIANT")]));
    first["ItemContentHash"] = json!("one");
    world.ssm(PUT, &first).unwrap();
    first["Items"] = json!([item("b", "LOW", "COMPLIANT")]);
    world.ssm(PUT, &first).unwrap();
    assert_eq!(titles(), ["a"]);
    first["ItemContentHash"] = json!("two");
    world.ssm(PUT, &first).unwrap();
    assert_eq!(titles(), ["b"]);
}

#[test]
fn a_partial_put_is_for_associations_alone() {
    let world = TestWorld::new(40);
    let id = &world.ids(is_scanned)[0];
    let mut input = put(id, "Custom:Hardening", &json!([item("a", "LOW", "COMPLIANT")]));
    input["UploadType"] = json!("PARTIAL");
    assert_eq!(world.refused(PUT, &input), "InvalidItemContentException");
    for name in ["a", "b"] {
        let items = json!([item(name, "LOW", "COMPLIANT")]);
        let mut input = put(id, "Association", &items);
        input["UploadType"] = json!("PARTIAL");
        world.ssm(PUT, &input).unwrap();
    }
    let of_type = json!([{"Key": "ComplianceType", "Values": ["Association"], "Type": "EQUAL"}]);
    assert_eq!(items(&world, id, &of_type).len(), 2);
}

#[test]
fn a_node_has_ten_custom_types_at_most() {
    let world = TestWorld::new(40);
    let id = &world.ids(is_scanned)[0];
    let one = json!([item("a", "LOW", "COMPLIANT")]);
    for n in 10..20 {
        world.ssm(PUT, &put(id, &format!("Custom:Type{n}"), &one)).unwrap();
    }
    let code = world.refused(PUT, &put(id, "Custom:Type20", &one));
    assert_eq!(code, "ComplianceTypeCountLimitExceededException");
    world.ssm(PUT, &put(id, "Custom:Type19", &one)).unwrap();
    assert_eq!(world.refused(PUT, &put(id, "Patch", &one)), "InvalidItemContentException");
    let twice = json!([item("a", "LOW", "COMPLIANT"), item("a", "LOW", "COMPLIANT")]);
    let code = world.refused(PUT, &put(id, "Custom:Type19", &twice));
    assert_eq!(code, "InvalidItemContentException");
}
