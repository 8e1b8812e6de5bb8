use serde_json::{Value, json};

use crate::cloud::{
    NodeChange,
    testing::{TestWorld, is_hybrid, is_stopped, read_only},
    world::{State, machine::Agent},
};

const LIST: &str = "DescribeInstanceInformation";
const KEY: &str = "InstanceInformationList";
const UNKNOWN: &str = "i-0fffffffffffffff0";

fn found(world: &TestWorld, filters: &Value) -> Vec<String> {
    let nodes = world.all(LIST, KEY, &json!({"Filters": filters, "MaxResults": 50}));
    nodes.iter().filter_map(|it| it["InstanceId"].as_str().map(ToOwned::to_owned)).collect()
}

#[test]
fn a_stopped_node_is_not_listed_and_no_error() {
    let world = read_only();
    let stopped = world.ids(|state, at| is_stopped(state, at) && state.is_managed(at));
    assert!(!stopped.is_empty());
    let all = found(world, &json!([]));
    assert_eq!(all, world.ids(State::is_listed));
    assert!(stopped.iter().all(|id| !all.contains(id)));
    let named = json!([{"Key": "InstanceIds", "Values": [stopped[0], all[1], all[0]]}]);
    assert_eq!(found(world, &named), all[..2]);
}

#[test]
fn an_id_that_is_not_the_callers_is_an_error_for_the_whole_call() {
    let world = read_only();
    let all = found(world, &json!([]));
    let elsewhere = {
        let state = world.state();
        let scope = state.scopes.iter().find(|it| it.account == 1).unwrap();
        state.machine(scope.machines[0]).aws.as_ref().unwrap().id.to_string()
    };
    for other in [UNKNOWN, &elsewhere, "no id"] {
        let filters = json!([{"Key": "InstanceIds", "Values": [all[0], other]}]);
        assert_eq!(world.refused(LIST, &json!({"Filters": filters})), "InvalidInstanceId");
    }
}

#[test]
fn both_forms_of_filters_pick_the_same_nodes_but_not_together() {
    let world = read_only();
    for (old, new, value) in [
        ("PlatformTypes", "PlatformType", "Linux"),
        ("PingStatus", "PingStatus", "Online"),
        ("ResourceType", "ResourceType", "ManagedInstance"),
        ("IamRole", "IamRole", "patchkit-hybrid-node"),
    ] {
        let filters = json!([{"Key": new, "Values": [value]}]);
        let list = json!([{"key": old, "valueSet": [value]}]);
        let input = json!({"InstanceInformationFilterList": list, "MaxResults": 50});
        let ids = found(world, &filters);
        assert!(!ids.is_empty(), "{new}");
        assert_eq!(world.all(LIST, KEY, &input).len(), ids.len(), "{new}");
        let both = json!({"Filters": filters, "InstanceInformationFilterList": list});
        assert_eq!(world.refused(LIST, &both), "ValidationException");
    }
}

#[test]
fn tag_filters_are_not_combined_with_others() {
    let world = read_only();
    let tagged = json!([
        {"Key": "tag:Environment", "Values": ["test", "staging"]},
        {"Key": "tag-key", "Values": ["Owner"]},
    ]);
    assert!(!found(world, &tagged).is_empty());
    let mixed = json!([
        {"Key": "tag-key", "Values": ["Owner"]},
        {"Key": "PingStatus", "Values": ["Online"]},
    ]);
    assert_eq!(world.refused(LIST, &json!({"Filters": mixed})), "InvalidFilterKey");
}

/// aws/aws-sdk issue 130 shows the words.
#[test]
fn a_wrong_filter_value_is_answered_with_the_right_ones() {
    let world = read_only();
    let filters = json!([{"Key": "ResourceType", "Values": ["Document"]}]);
    let (code, message) = world.ssm(LIST, &json!({"Filters": filters})).unwrap_err();
    assert_eq!(code, "InvalidInstanceInformationFilterValue");
    assert_eq!(
        message,
        "ResourceType filter is invalid, valid values are EC2Instance, ManagedInstance"
    );
    let filters = json!([{"Key": "Colour", "Values": ["red"]}]);
    assert_eq!(world.refused(LIST, &json!({"Filters": filters})), "InvalidFilterKey");
}

/// The fields of a registered machine, as a real reply has them.
#[test]
fn a_hybrid_node_has_the_fields_of_one_and_none_names_a_cloud() {
    let world = read_only();
    let hybrid = world.ids(|state, at| is_hybrid(state, at) && state.is_listed(at));
    let filters = json!([{"Key": "InstanceIds", "Values": [hybrid[0]]}]);
    let answer = world.ssm(LIST, &json!({"Filters": filters})).unwrap();
    let node = answer[KEY][0].as_object().unwrap();
    let names: Vec<&str> = node.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ActivationId",
            "AgentVersion",
            "ComputerName",
            "IPAddress",
            "IamRole",
            "InstanceId",
            "IsLatestVersion",
            "LastPingDateTime",
            "Name",
            "PingStatus",
            "PlatformName",
            "PlatformType",
            "PlatformVersion",
            "RegistrationDate",
            "ResourceType",
            "SourceId",
            "SourceType",
        ]
    );
    assert_eq!(node["SourceType"], "AWS::SSM::ManagedInstance");
    let state = world.state();
    let at = state.find_anywhere(&hybrid[0]).unwrap();
    assert_eq!(node["IPAddress"], state.truth(at).address, "the one that its host shows");
}

#[test]
fn properties_show_stopped_nodes_and_filter_by_operator() {
    let world = read_only();
    let (operation, key) = ("DescribeInstanceProperties", "InstanceProperties");
    let all = world.all(operation, key, &json!({"MaxResults": 5}));
    assert_eq!(all.len(), world.ids(State::is_managed).len());
    assert!(all.iter().any(|it| it["InstanceState"] == "stopped"));
    let old = json!([{"Key": "AgentVersion", "Operator": "LessThan", "Values": ["3.2.582.0"]}]);
    let old = world.all(operation, key, &json!({"FiltersWithOperator": old}));
    assert!(!old.is_empty());
    assert!(old.iter().all(|it| it["AgentVersion"] == "3.1.1260.0"));
    let bad = json!([{"Key": "Colour", "Values": ["red"]}]);
    assert_eq!(world.refused(operation, &json!({"FiltersWithOperator": bad})), "InvalidFilterKey");
}

#[test]
fn windows_cuts_the_name_of_a_computer_at_fifteen_characters() {
    let world = read_only();
    let filters = json!([{"Key": "PlatformType", "Values": ["Windows"]}]);
    let nodes = world.all(LIST, KEY, &json!({"Filters": filters, "MaxResults": 50}));
    let lengths = nodes.iter().map(|it| it["ComputerName"].as_str().unwrap().chars().count());
    assert_eq!(lengths.max(), Some(15));
}

#[test]
fn an_agent_that_is_made_old_or_new_says_so() {
    let world = TestWorld::new(60);
    let id = world.ids(State::answers).remove(0);
    let at = world.at(&id);
    let told = |agent: Agent| {
        let change = NodeChange::new().with_agent(agent);
        assert!(world.state().change(at, &change).is_ok());
        let filters = json!([{"Key": "InstanceIds", "Values": [id]}]);
        let node = world.all(LIST, KEY, &json!({"Filters": filters})).remove(0);
        (node["AgentVersion"].clone(), node["IsLatestVersion"].clone())
    };
    let new = told(Agent::Online);
    assert_eq!(new.1, true);
    assert_eq!(told(Agent::OldVersion), (json!("3.1.1260.0"), json!(false)));
    assert_eq!(told(Agent::ConnectionLost), (json!("3.1.1260.0"), json!(false)));
    assert_eq!(told(Agent::Online), new);
}
