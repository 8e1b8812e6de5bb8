use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::{
    testing::{HERE, TestWorld, is_hybrid, read_only},
    world::State,
};

const CREATE: &str = "CreateActivation";

fn activations(world: &TestWorld, filters: &Value) -> Vec<Value> {
    world.all("DescribeActivations", "ActivationList", &json!({"Filters": filters}))
}

#[test]
fn the_activations_of_the_first_nodes_are_listed_with_their_counts() {
    let world = read_only();
    let all = activations(world, &json!([]));
    let count: u64 = all.iter().map(|it| it["RegistrationsCount"].as_u64().unwrap()).sum();
    assert_eq!(count, world.ids(is_hybrid).len() as u64);
    let nodes = world.all(
        "DescribeInstanceInformation",
        "InstanceInformationList",
        &json!({"MaxResults": 50}),
    );
    for node in nodes.iter().filter(|it| it["ResourceType"] == "ManagedInstance") {
        let id = &node["ActivationId"];
        assert!(all.iter().any(|it| it["ActivationId"] == *id && it["Expired"] == true), "{node}");
    }
}

#[test]
fn an_activation_expires_after_a_day_unless_it_says_otherwise() {
    let world = TestWorld::new(20);
    let made = world.ssm(CREATE, &json!({"IamRole": "patchkit-hybrid-node"})).unwrap();
    assert_eq!(made["ActivationCode"].as_str().unwrap().len(), 20);
    let by_id = json!([{"FilterKey": "ActivationIds", "FilterValues": [made["ActivationId"]]}]);
    assert_eq!(activations(&world, &by_id)[0]["Expired"], false);
    world.advance(Duration::from_hours(24));
    assert_eq!(activations(&world, &by_id)[0]["Expired"], true);
    let late = json!({"IamRole": "patchkit-hybrid-node", "ExpirationDate": "2027-01-01T00:00:00Z"});
    assert_eq!(world.refused(CREATE, &late), "InvalidParameters");
    let id = json!({"ActivationId": made["ActivationId"]});
    world.ssm("DeleteActivation", &id).unwrap();
    assert_eq!(world.refused("DeleteActivation", &id), "InvalidActivation");
}

#[test]
fn the_code_of_an_activation_is_shown_once() {
    let world = TestWorld::new(20);
    let made = world.ssm(CREATE, &json!({"IamRole": "patchkit-hybrid-node"})).unwrap();
    let code = made["ActivationCode"].as_str().unwrap();
    assert!(!json!(activations(&world, &json!([]))).to_string().contains(code));
    let state = world.state();
    let debugged = format!("{:?}", state.scope(HERE).ssm.activations);
    assert!(debugged.contains("Code(..)") && !debugged.contains(code));
}

#[test]
fn a_role_that_systems_manager_cannot_assume_is_refused() {
    let world = TestWorld::new(100);
    let hybrid = world.ids(is_hybrid).remove(0);
    for role in ["no-such-role", "patchkit-managed-node", "arn:aws:iam::444455556666:role/x"] {
        assert_eq!(world.refused(CREATE, &json!({"IamRole": role})), "ValidationException");
        let change = json!({"InstanceId": hybrid, "IamRole": role});
        assert_eq!(world.refused("UpdateManagedInstanceRole", &change), "ValidationException");
    }
}

#[test]
fn a_node_that_is_given_up_is_gone_and_no_instance_is() {
    let world = TestWorld::new(100);
    let ids = world.ids(|state, at| is_hybrid(state, at) && state.is_listed(at));
    let id = json!({"InstanceId": ids[0]});
    world.ssm("DeregisterManagedInstance", &id).unwrap();
    assert_eq!(world.refused("DeregisterManagedInstance", &id), "InvalidInstanceId");
    assert!(!world.ids(State::is_managed).contains(&ids[0]));
    let instance = world.ids(|state, at| !is_hybrid(state, at)).remove(0);
    let id = json!({"InstanceId": instance});
    assert_eq!(world.refused("DeregisterManagedInstance", &id), "ValidationException");
}

#[test]
fn a_node_whose_role_does_not_let_it_falls_silent_within_the_hour() {
    let world = TestWorld::new(100);
    let id = world.ids(|state, at| is_hybrid(state, at) && state.answers(at)).remove(0);
    let status = || {
        let filters = json!([{"Key": "InstanceIds", "Values": [id]}]);
        let answer = world.ssm("DescribeInstanceInformation", &json!({"Filters": filters}));
        answer.unwrap()["InstanceInformationList"][0]["PingStatus"].clone()
    };
    let role = |name: &str| json!({"InstanceId": id, "IamRole": name});
    world.ssm("UpdateManagedInstanceRole", &role("patchkit-notifications")).unwrap();
    assert_eq!(status(), "Online");
    world.advance(Duration::from_secs(3_700));
    assert_eq!(status(), "ConnectionLost");
    world.ssm("UpdateManagedInstanceRole", &role("patchkit-hybrid-node")).unwrap();
    assert_eq!(status(), "Online");
}
