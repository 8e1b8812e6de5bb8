use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cloud::{
    testing::{TestWorld, is_scanned, is_stopped, read_only},
    world::State,
};

const GET: &str = "GetInventory";
const ENTRIES: &str = "ListInventoryEntries";
const PUT: &str = "PutInventory";
const INFORMATION: &str = "AWS:InstanceInformation";

fn entities(world: &TestWorld, filters: &Value) -> Vec<Value> {
    world.all(GET, "Entities", &json!({"Filters": filters, "MaxResults": 50}))
}

fn entries(world: &TestWorld, id: &str, kind: &str) -> Vec<Value> {
    world.all(ENTRIES, "Entries", &json!({"InstanceId": id, "TypeName": kind}))
}

fn rack(row: &str) -> Value {
    json!({
        "TypeName": "Custom:Rack",
        "SchemaVersion": "1.0",
        "CaptureTime": "2026-11-01T00:00:00Z",
        "Content": [{"Row": row}],
    })
}

/// botocore ssm model, `GetInventory`.
#[test]
fn stopped_nodes_are_in_the_inventory() {
    let world = read_only();
    let all = world.all(GET, "Entities", &json!({"MaxResults": 7}));
    assert_eq!(all.len(), world.ids(State::is_managed).len());
    let stopped = json!([{
        "Key": "AWS:InstanceInformation.InstanceStatus",
        "Values": ["Stopped"],
    }]);
    let stopped = entities(world, &stopped);
    let want = world.ids(|state, at| state.is_managed(at) && is_stopped(state, at));
    assert_eq!(stopped.iter().map(|it| it["Id"].as_str().unwrap()).collect::<Vec<_>>(), want);
}

/// aws/aws-sdk issue 640 shows the words.
#[test]
fn only_two_types_can_be_asked_for() {
    let input = json!({"ResultAttributes": [{"TypeName": "AWS:InstanceDetailedInformation"}]});
    let (code, message) = read_only().ssm(GET, &input).unwrap_err();
    assert_eq!(code, "InvalidResultAttributeException");
    assert_eq!(
        message,
        "Result type name AWS:InstanceDetailedInformation is not supported. Supported type names \
         are: AWS:InstanceInformation, AWS:PatchSummary. Default result type name is \
         AWS:InstanceInformation."
    );
}

#[test]
fn the_patch_summary_says_in_texts_what_the_patch_states_say() {
    let world = read_only();
    let input = json!({"ResultAttributes": [{"TypeName": "AWS:PatchSummary"}]});
    let all = world.all(GET, "Entities", &input);
    let mut compared = 0;
    for entity in &all {
        let data = &entity["Data"]["AWS:PatchSummary"];
        let ids = json!({"InstanceIds": [entity["Id"]]});
        let states = world.ssm("DescribeInstancePatchStates", &ids).unwrap();
        let Some(state) = states["InstancePatchStates"].get(0) else {
            assert!(data.is_null());
            continue;
        };
        let row = data["Content"][0].as_object().unwrap();
        for (name, value) in row {
            let text = value.as_str().unwrap();
            if name.ends_with("Count") {
                assert_eq!(state[name].to_string(), text, "{name}");
            }
        }
        assert_eq!(row["SnapshotId"], state["SnapshotId"]);
        compared += 1;
    }
    assert_eq!(compared, world.ids(is_scanned).len());
}

#[test]
fn filters_compare_by_their_type() {
    let world = read_only();
    let count = |kind: &str, key: &str, value: &str| {
        entities(world, &json!([{"Key": key, "Values": [value], "Type": kind}])).len()
    };
    let all = world.ids(State::is_managed).len();
    let platform = "AWS:InstanceInformation.PlatformType";
    let linux = count("Equal", platform, "Linux");
    assert_eq!(linux + count("NotEqual", platform, "Linux"), all);
    assert_eq!(count("BeginWith", platform, "Lin"), linux);
    let version = "AWS:InstanceInformation.AgentVersion";
    let old = count("LessThan", version, "3.2.582.0");
    assert_eq!(old + count("GreaterThan", version, "3.2.582.0"), all);
    let bash = count("Equal", "AWS:Application.Name", "bash");
    assert!(bash > 0 && bash <= linux);
    for filter in [
        json!({"Key": "Colour", "Values": ["red"]}),
        json!({"Key": "AWS:InstanceInformation.Colour", "Values": ["red"]}),
        json!({"Key": platform, "Values": ["Linux"], "Type": "Exists"}),
    ] {
        assert_eq!(world.refused(GET, &json!({"Filters": [filter]})), "InvalidFilter");
    }
}

#[test]
fn an_aggregator_counts_every_node_once_or_is_refused() {
    let world = read_only();
    let by = |expression: &str| json!({"Aggregators": [{"Expression": expression}]});
    let answer = world.ssm(GET, &by("AWS:InstanceInformation.PlatformType")).unwrap();
    let rows = answer["Entities"][0]["Data"][INFORMATION]["Content"].as_array().unwrap();
    let counts: BTreeMap<&str, usize> = rows
        .iter()
        .map(|row| {
            let count = row["Count"].as_str().unwrap().parse().unwrap();
            (row["PlatformType"].as_str().unwrap(), count)
        })
        .collect();
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["linux", "windows"]);
    assert_eq!(counts.values().sum::<usize>(), world.ids(State::is_managed).len());
    for expression in ["AWS:Application.Name", "AWS:InstanceInformation.Colour", "all"] {
        assert_eq!(world.refused(GET, &by(expression)), "InvalidAggregatorException");
    }
}

/// A real reply has numbers and truth values as texts (aws/aws-sdk issue 640).
#[test]
fn the_details_of_a_machine_are_texts() {
    let world = read_only();
    let id = &world.ids(State::is_managed)[0];
    let rows = entries(world, id, "AWS:InstanceDetailedInformation");
    let names: Vec<&str> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "CPUCores",
            "CPUHyperThreadEnabled",
            "CPUModel",
            "CPUSockets",
            "CPUSpeedMHz",
            "CPUs",
            "KernelVersion",
            "OSServicePack",
        ]
    );
    assert!(rows[0].as_object().unwrap().values().all(Value::is_string));
}

#[test]
fn applications_are_the_packages_that_are_on_the_machine() {
    let world = read_only();
    let linux = |state: &State, at| state.is_managed(at) && !state.system_of(at).is_windows();
    let id = &world.ids(linux)[0];
    let rows = entries(world, id, "AWS:Application");
    let state = world.state();
    let at = state.find(crate::cloud::testing::HERE, id).unwrap();
    let (machine, system) = (state.machine(at), state.system_of(at));
    for place in machine.patches.relevant.ones() {
        let package = system.patches[place].package.as_ref().unwrap();
        let row = rows.iter().find(|row| row["Name"] == *package.name).unwrap();
        let new = machine.patches.installed.contains(place);
        assert_eq!(row["Version"] == *package.version, new, "{}", package.name);
    }
    assert!(rows.iter().any(|row| row["Name"] == "amazon-ssm-agent"));
}

#[test]
fn only_windows_has_updates_and_services() {
    let world = read_only();
    let windows = world.ids(|s, at| s.is_managed(at) && s.system_of(at).is_windows());
    let linux = world.ids(|s, at| s.is_managed(at) && !s.system_of(at).is_windows());
    for kind in ["AWS:WindowsUpdate", "AWS:Service"] {
        assert!(!entries(world, &windows[0], kind).is_empty());
        assert!(entries(world, &linux[0], kind).is_empty());
    }
}

#[test]
fn a_clients_type_is_put_read_filtered_and_in_the_schemas() {
    let world = TestWorld::new(40);
    let ids = world.ids(State::is_managed);
    let put = json!({"InstanceId": ids[0], "Items": [rack("7")]});
    world.ssm(PUT, &put).unwrap();
    assert_eq!(entries(&world, &ids[0], "Custom:Rack"), [json!({"Row": "7"})]);
    assert!(entries(&world, &ids[1], "Custom:Rack").is_empty());
    let found = entities(&world, &json!([{"Key": "Custom:Rack.Row", "Values": ["7"]}]));
    assert_eq!(found.len(), 1);
    let schemas = world.all("GetInventorySchema", "Schemas", &json!({"TypeName": "Custom:Rack"}));
    assert_eq!(schemas[0]["Attributes"], json!([{"Name": "Row", "DataType": "string"}]));
}

#[test]
fn contents_are_left_as_they_are_while_the_hash_is_the_same() {
    let world = TestWorld::new(40);
    let id = &world.ids(State::is_managed)[0];
    let put = |row: &str, hash: &str| {
        let mut item = rack(row);
        item["ContentHash"] = json!(hash);
        world.ssm(PUT, &json!({"InstanceId": id, "Items": [item]})).unwrap();
    };
    put("7", "one");
    put("8", "one");
    assert_eq!(entries(&world, id, "Custom:Rack"), [json!({"Row": "7"})]);
    put("8", "two");
    assert_eq!(entries(&world, id, "Custom:Rack"), [json!({"Row": "8"})]);
    let mut bare = rack("9");
    bare["Content"] = Value::Null;
    bare["ContentHash"] = json!("three");
    let input = json!({"InstanceId": id, "Items": [bare]});
    assert_eq!(world.refused(PUT, &input), "ItemContentMismatchException");
}

#[test]
fn what_is_unknown_is_refused() {
    let world = read_only();
    let id = &world.ids(State::is_managed)[0];
    let unknown = "i-0fffffffffffffff0";
    let of = |id: &str, kind: &str| json!({"InstanceId": id, "TypeName": kind});
    assert_eq!(world.refused(ENTRIES, &of(unknown, INFORMATION)), "InvalidInstanceId");
    assert_eq!(world.refused(ENTRIES, &of(id, "AWS:Weather")), "InvalidTypeNameException");
    let schema = json!({"TypeName": "AWS:Weather"});
    assert_eq!(world.refused("GetInventorySchema", &schema), "InvalidTypeNameException");
    let mut other = rack("7");
    other["TypeName"] = json!("AWS:Application");
    let put = json!({"InstanceId": id, "Items": [other]});
    let (name, message) = world.ssm(PUT, &put).unwrap_err();
    assert_eq!(name, "InvalidTypeNameException");
    assert_eq!(message, "The simulator does not model PutInventory of AWS:Application.");
}
