use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::COUNTS;
use crate::cloud::testing::{TestWorld, is_scanned, read_only};

const STATES: &str = "DescribeInstancePatchStates";
const FOR_GROUP: &str = "DescribeInstancePatchStatesForPatchGroup";
const PATCHES: &str = "DescribeInstancePatches";
const KEY: &str = "InstancePatchStates";

fn patches(world: &TestWorld, id: &str, filters: &Value) -> Vec<Value> {
    let input = json!({"InstanceId": id, "Filters": filters, "MaxResults": 10});
    world.all(PATCHES, "Patches", &input)
}

#[test]
fn the_counts_of_a_node_are_those_of_its_listed_patches() {
    let world = read_only();
    let ids: Vec<String> = world.ids(is_scanned).into_iter().take(20).collect();
    let answer = world.ssm(STATES, &json!({"InstanceIds": ids})).unwrap();
    let rows = answer[KEY].as_array().unwrap();
    assert_eq!(rows.len(), ids.len());
    for row in rows {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for patch in patches(world, row["InstanceId"].as_str().unwrap(), &json!([])) {
            let name = format!("{}Count", patch["State"].as_str().unwrap());
            *counted.entry(name).or_default() += 1;
        }
        for name in COUNTS {
            let listed = counted.get(name).copied().unwrap_or_default();
            assert_eq!(row[name], listed, "{name} of {}", row["InstanceId"]);
        }
    }
}

#[test]
fn a_node_that_was_never_scanned_has_no_row_and_is_no_error() {
    let world = read_only();
    let never = world.ids(|state, at| state.is_managed(at) && !is_scanned(state, at));
    let some = world.ids(is_scanned);
    let ids = json!([never[0], some[0], "i-0fffffffffffffff0", some[0]]);
    let answer = world.ssm(STATES, &json!({"InstanceIds": ids})).unwrap();
    let rows = answer[KEY].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["InstanceId"], some[0]);
    assert_eq!(patches(world, &never[0], &json!([])).len(), 0);
    let unknown = json!({"InstanceId": "i-0fffffffffffffff0"});
    assert_eq!(world.refused(PATCHES, &unknown), "InvalidInstanceId");
}

#[test]
fn an_id_that_is_none_is_refused_by_the_model() {
    let world = read_only();
    let refused = world.refused("DescribeInstancePatches", &json!({"InstanceId": "not-an-id"}));
    assert_eq!(refused, "ValidationException");
}

#[test]
fn fifty_one_ids_are_refused() {
    let world = read_only();
    let ids: Vec<String> = (0..51).map(|n| format!("i-{n:017x}")).collect();
    assert_eq!(world.refused(STATES, &json!({"InstanceIds": ids})), "ValidationException");
}

/// flanksource/config-db pull request 35 shows the words.
#[test]
fn a_page_of_patches_holds_fifty_although_the_model_allows_a_hundred() {
    let world = read_only();
    let id = &world.ids(is_scanned)[0];
    let input = json!({"InstanceId": id, "MaxResults": 100});
    let (code, message) = world.ssm(PATCHES, &input).unwrap_err();
    assert_eq!(code, "ValidationException");
    assert_eq!(
        message,
        "1 validation error detected: Value '100' at 'maxResults' failed to satisfy constraint: \
         Member must have value less than or equal to 50"
    );
}

/// User guide, "Patch compliance state values"; AWS CLI examples, describe-instance-patches.
#[test]
fn what_is_not_asked_for_has_no_classification_and_what_is_missing_no_time() {
    let world = read_only();
    let mut seen = BTreeMap::new();
    for id in world.ids(is_scanned).iter().take(60) {
        for patch in patches(world, id, &json!([])) {
            let state = patch["State"].as_str().unwrap().to_owned();
            match state.as_str() {
                "InstalledOther" | "NotApplicable" => {
                    assert_eq!(
                        (&patch["Classification"], &patch["Severity"]),
                        (&json!(""), &json!(""))
                    );
                }
                "Missing" => assert_eq!(patch["InstalledTime"], 0),
                _ => {}
            }
            let installed = patch["InstalledTime"].as_f64().unwrap() > 0.0;
            assert_eq!(installed, state.starts_with("Installed"), "{patch}");
            if patch.get("CVEIds").is_some() {
                assert!(matches!(state.as_str(), "Missing" | "Failed"), "{patch}");
            }
            *seen.entry(state).or_insert(0) += 1;
        }
    }
    let seen: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert!(seen.len() >= 5, "{seen:?}");
}

#[test]
fn patches_are_filtered_by_either_spelling_of_a_state() {
    let world = read_only();
    let ids = world.ids(is_scanned);
    let lacking = |id: &&String| !patches(world, id, &state("Missing")).is_empty();
    let id = ids.iter().find(lacking).unwrap();
    let missing = patches(world, id, &state("Missing"));
    assert_eq!(patches(world, id, &state("MISSING")), missing);
    assert!(missing.iter().all(|it| it["State"] == "Missing"));
    let one = json!([{"Key": "KBId", "Values": [missing[0]["KBId"]]}]);
    assert_eq!(patches(world, id, &one), missing[..1]);
    for filters in [state("Broken"), json!([{"Key": "Colour", "Values": ["red"]}])] {
        let input = json!({"InstanceId": id, "Filters": filters});
        assert_eq!(world.refused(PATCHES, &input), "InvalidFilter");
    }
}

fn state(value: &str) -> Value {
    json!([{"Key": "State", "Values": [value]}])
}

#[test]
fn the_states_of_a_group_are_compared_as_numbers() {
    let world = read_only();
    let listed = |filters: &Value| {
        let input = json!({"PatchGroup": "Linux", "Filters": filters, "MaxResults": 10});
        world.all(FOR_GROUP, KEY, &input)
    };
    let all = listed(&json!([]));
    assert!(!all.is_empty());
    assert!(all.iter().all(|it| it["PatchGroup"] == "Linux"));
    for (kind, holds) in [
        ("Equal", (|n, m| n == m) as fn(u64, u64) -> bool),
        ("NotEqual", |n, m| n != m),
        ("LessThan", |n, m| n < m),
        ("GreaterThan", |n, m| n > m),
    ] {
        let limit = all[0]["InstalledCount"].as_u64().unwrap();
        let filters = json!([
            {"Key": "InstalledCount", "Values": [limit.to_string()], "Type": kind},
        ]);
        let want = all.iter().filter(|it| holds(it["InstalledCount"].as_u64().unwrap(), limit));
        assert_eq!(listed(&filters).len(), want.count(), "{kind}");
    }
    for filter in [
        json!({"Key": "ColourCount", "Values": ["0"], "Type": "Equal"}),
        json!({"Key": "MissingCount", "Values": ["many"], "Type": "Equal"}),
    ] {
        let input = json!({"PatchGroup": "Linux", "Filters": [filter]});
        assert_eq!(world.refused(FOR_GROUP, &input), "InvalidFilter");
    }
}
