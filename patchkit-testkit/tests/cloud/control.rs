//! The routes of the control endpoint, each with a good request and a bad one.

use std::collections::BTreeSet;

use patchkit_core::OperatingSystem;
use patchkit_testkit::cloud::{NodeChange, NodeSpec, Power, World};
use serde_json::{Value, json};

use super::{ask, command, online, small, ssm, ssm_as};

/// The documentation of the module, where the routes are listed.
const DOCS: &str = include_str!("../../src/cloud.rs");
const METHODS: [&str; 6] = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];

/// What the control endpoint answers.
fn control(world: &World, method: &str, path: &str, body: &str) -> (u16, Value) {
    let endpoint = &world.endpoints().control_endpoint;
    let (status, body) = ask(endpoint, &[], method, path, body).unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

/// What it answers to a request that it takes.
fn good(world: &World, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = control(world, method, path, &body.to_string());
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

/// Fails unless it refuses a request with this status, and says why.
fn bad(world: &World, method: &str, path: &str, body: &Value, status: u16, why: &str) {
    let (got, answer) = control(world, method, path, &body.to_string());
    let error = answer["error"].as_str().unwrap_or_default();
    assert_eq!(got, status, "{method} {path}: {answer}");
    assert!(error.contains(why), "{method} {path}: {error:?} without {why:?}");
}

/// A route: its method, its first part, and whether more follows.
type Form = (String, String, bool);

/// The forms of a route, which may have a part in brackets.
fn forms(route: &str) -> Vec<Form> {
    let (method, path) = route.split_once(' ').unwrap();
    let form = |path: &str| {
        let (place, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        (method.to_owned(), place.to_owned(), !rest.is_empty())
    };
    match path.split_once('[') {
        Some((path, more)) => {
            vec![form(path), form(&format!("{path}{}", more.trim_end_matches(']')))]
        }
        None => vec![form(path)],
    }
}

/// The routes of the table in the documentation.
fn documented() -> BTreeSet<Form> {
    let table = DOCS.lines().skip_while(|line| *line != "//! | route | what it does |").skip(2);
    let rows = table.map_while(|line| line.strip_prefix("//! | `"));
    let cells = rows.flat_map(|row| row.split(" | ").next().unwrap().split("`, `"));
    cells.flat_map(|cell| forms(cell.trim_end_matches('`'))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_routes_are_those_that_are_listed_and_those_that_are_served() {
    let world = small().await;
    let documented = documented();
    let answer = good(&world, "GET", "/", &Value::Null);
    let listed = answer["routes"].as_array().unwrap().iter();
    let mut listed: BTreeSet<Form> = listed.flat_map(|it| forms(it.as_str().unwrap())).collect();
    listed.extend(forms("GET /"));
    assert_eq!(listed, documented);
    // Each place with each method, alone and with an id: what is not served says so.
    let places: BTreeSet<&String> = documented.iter().map(|(_, place, _)| place).collect();
    let mut served = BTreeSet::new();
    for place in places.into_iter().filter(|it| !it.is_empty()) {
        for method in METHODS {
            for more in [false, true] {
                let path = if more { format!("/{place}/1") } else { format!("/{place}") };
                if is_served(&world, method, &path) {
                    served.insert((method.to_owned(), place.clone(), more));
                }
            }
        }
    }
    served.extend(forms("GET /"));
    assert_eq!(served, documented);
    bad(&world, "GET", "/nowhere", &Value::Null, 404, "GET / lists the routes");
    bad(&world, "POST", "/", &Value::Null, 404, "there is no POST /");
}

fn is_served(world: &World, method: &str, path: &str) -> bool {
    let endpoint = &world.endpoints().control_endpoint;
    let (status, body) = ask(endpoint, &[], method, path, "no JSON").unwrap();
    // The answer to HEAD has no body.
    let unknown = body.is_empty() || body.contains(&format!("there is no {method} {path}"));
    status != 404 || !unknown
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_are_those_of_the_world() {
    let world = small().await;
    let answer = good(&world, "GET", "/endpoints", &Value::Null);
    assert_eq!(answer, serde_json::to_value(world.endpoints()).unwrap());
    bad(&world, "POST", "/endpoints", &json!({}), 404, "there is no POST /endpoints");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_takes_a_speed_and_refuses_what_is_no_time() {
    let world = small().await;
    assert_eq!(good(&world, "GET", "/clock", &Value::Null)["speed"], 0.0);
    let before = world.now();
    let answer = good(&world, "POST", "/clock", &json!({"speed": 86_400, "advance_seconds": 60}));
    assert_eq!(answer["speed"], 86_400.0);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(world.now().duration_since(before).as_secs() > 60 + 3_600);
    good(&world, "POST", "/clock", &json!({"speed": 0}));
    let still = world.now();
    assert_eq!(good(&world, "GET", "/clock", &Value::Null)["now"], still.to_string());
    for (body, why) in [
        (json!({}), "advance_seconds, speed or both"),
        (json!({"speed": -1}), "from 0 to 1000000"),
        (json!({"speed": 1e12}), "from 0 to 1000000"),
        (json!({"speed": "fast"}), "fast"),
        (json!({"advance_seconds": -1}), "negative"),
        (json!({"advance_seconds": 1e9}), "a year at most"),
        (json!({"advance": 1}), "advance"),
    ] {
        bad(&world, "POST", "/clock", &body, 400, why);
    }
    assert_eq!(world.now(), still);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_asked_and_forgotten() {
    let world = small().await;
    ssm(&world, "ListCommands", &json!({})).unwrap();
    ssm(&world, "ListDocuments", &json!({})).unwrap();
    let of = |query: &str| good(&world, "GET", &format!("/calls{query}"), &Value::Null);
    assert_eq!(of("").as_array().unwrap().len(), 2);
    assert_eq!(of("?operation=ListCommands")[0]["operation"], "ListCommands");
    assert_eq!(of("?service=ec2"), json!([]));
    bad(&world, "GET", "/calls?from=first", &Value::Null, 400, "invalid digit");
    bad(&world, "GET", "/calls?since=1", &Value::Null, 400, "since");
    good(&world, "DELETE", "/calls", &Value::Null);
    assert_eq!(of(""), json!([]));
    bad(&world, "DELETE", "/calls/1", &Value::Null, 404, "there is no DELETE /calls/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_listed_with_what_they_met_and_taken_back_one_by_one_or_all() {
    let world = small().await;
    let fault = |operation: &str| json!({"kind": "fail", "status": 503, "operation": operation});
    let numbers: Vec<Value> = ["ListCommands", "ListDocuments", "SendCommand"]
        .into_iter()
        .map(|it| good(&world, "POST", "/faults", &fault(it))["number"].clone())
        .collect();
    assert_eq!(ssm(&world, "ListCommands", &json!({})).unwrap().0, 503);
    let listed = || good(&world, "GET", "/faults", &Value::Null).as_array().unwrap().clone();
    let told: Vec<_> =
        listed().iter().map(|it| (it["number"].clone(), it["met"].clone())).collect();
    let met = [json!(1), json!(0), json!(0)];
    assert_eq!(told, numbers.iter().cloned().zip(met).collect::<Vec<_>>());
    assert_eq!(listed()[0]["operation"], "ListCommands");

    good(&world, "DELETE", &format!("/faults/{}", numbers[0]), &Value::Null);
    assert_eq!(ssm(&world, "ListCommands", &json!({})).unwrap().0, 200);
    assert_eq!(listed().len(), 2);
    let gone = format!("/faults/{}", numbers[0]);
    bad(&world, "DELETE", &gone, &Value::Null, 404, "there is no fault");
    bad(&world, "DELETE", "/faults/first", &Value::Null, 400, "invalid digit");
    for (body, why) in [
        (json!({"kind": "explode"}), "explode"),
        (json!({"kind": "fail", "status": 200}), "200"),
        (json!({"kind": "fail", "status": 404}), "404"),
        (json!({"kind": "throttle", "operation": "[a"}), "[a"),
        (json!({"kind": "throttle", "seconds": 5}), "throttle has no seconds"),
        (json!({"kind": "throttle", "status": 500}), "throttle has no status"),
        (json!({"kind": "slow", "seconds": 1, "status": 500}), "slow has no status"),
        (json!({"kind": "deny", "times": 0}), "times"),
        (json!({"kind": "deny", "page": 0}), "page"),
        (json!({"kind": "deny", "service": "nosuch"}), "nosuch"),
        (
            json!({"kind": "deny", "from": "2026-11-03T00:00:00Z", "until": "2026-11-02T00:00:00Z"}),
            "2026-11-03T00:00:00Z",
        ),
        (json!({}), "kind"),
    ] {
        bad(&world, "POST", "/faults", &body, 400, why);
    }
    assert_eq!(listed().len(), 2);
    good(&world, "DELETE", "/faults", &Value::Null);
    assert_eq!(listed(), [] as [Value; 0]);
    assert_eq!(ssm(&world, "ListDocuments", &json!({})).unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_and_allowances_hold_until_everyone_may_do_everything() {
    let world = small().await;
    let denial = json!({"action": "ssm:SendCommand", "caller": "*", "scope": "*/us-east-1"});
    good(&world, "POST", "/denials", &denial);
    assert_eq!(good(&world, "GET", "/denials", &Value::Null)[0], denial);
    let id = online(&world);
    let refused = |operation: &str, input: &Value| {
        let (status, answer) = ssm(&world, operation, input).unwrap();
        status == 400 && answer["__type"].as_str().unwrap().ends_with("AccessDeniedException")
    };
    assert!(refused("SendCommand", &command(&id)));
    assert!(!refused("ListCommands", &json!({})));
    good(&world, "DELETE", "/denials", &Value::Null);
    assert!(!refused("SendCommand", &command(&id)));

    good(&world, "POST", "/allowances", &json!({"actions": ["ssm:Describe*"]}));
    assert!(refused("ListCommands", &json!({})));
    assert!(!refused("DescribeInstanceInformation", &json!({})));
    good(&world, "DELETE", "/denials", &Value::Null);
    assert!(!refused("ListCommands", &json!({})));

    for (path, body, why) in [
        ("/denials", json!({"action": "[a"}), "[a"),
        ("/denials", json!({"action": "ssm:*", "who": "me"}), "who"),
        ("/denials", json!({}), "action"),
        ("/allowances", json!({"actions": ["[a"]}), "[a"),
        ("/allowances", json!({"actions": "ssm:*"}), "ssm:*"),
        ("/allowances", json!({"caller": "*"}), "actions"),
    ] {
        bad(&world, "POST", path, &body, 400, why);
    }
    assert!(!refused("ListCommands", &json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_set_listed_and_taken_back() {
    let world = small().await;
    let limit = json!({"operation": "ListC*", "per_second": 0.001, "burst": 2});
    good(&world, "POST", "/limits", &limit);
    assert_eq!(good(&world, "GET", "/limits", &Value::Null), json!([limit]));
    let status = || ssm(&world, "ListCommands", &json!({})).unwrap().0;
    assert_eq!([status(), status(), status()], [200, 200, 400]);
    good(&world, "DELETE", "/limits", &Value::Null);
    assert_eq!(good(&world, "GET", "/limits", &Value::Null), json!([]));
    assert_eq!(status(), 200);
    for (body, why) in [
        (json!({"operation": "[a", "per_second": 1, "burst": 1}), "[a"),
        (json!({"operation": "*", "per_second": 1, "burst": -1}), "-1"),
        (json!({"operation": "*", "per_second": -1, "burst": 1}), "per_second"),
        (json!({"operation": "*", "per_second": 1}), "burst"),
        (json!({"operation": "*", "per_second": 1, "burst": 1, "for": "me"}), "for"),
    ] {
        bad(&world, "POST", "/limits", &body, 400, why);
    }
    assert_eq!(status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_to_a_topic_is_among_the_messages() {
    let world = small().await;
    let sns = |form: &str| {
        let scope = "AWS4-HMAC-SHA256 Credential=any/20261124/us-east-1/sns/aws4_request";
        let scope = format!("{scope}, Signature=0");
        let head = [("authorization", scope.as_str())];
        let form = format!("Version=2010-03-31&{form}");
        let answer = ask(&world.endpoints().aws_endpoint, &head, "POST", "/", &form).unwrap();
        assert_eq!(answer.0, 200, "{}", answer.1);
    };
    assert_eq!(good(&world, "GET", "/messages", &Value::Null), json!([]));
    let topic = "arn:aws:sns:us-east-1:111122223333:told";
    sns("Action=CreateTopic&Name=told");
    sns(&format!("Action=Publish&TopicArn={topic}&Subject=one&Message=two"));
    let told = good(&world, "GET", "/messages", &Value::Null);
    assert_eq!(told.as_array().unwrap().len(), 1);
    let it = &told[0];
    assert_eq!([&it["topic"], &it["subject"], &it["message"]], [topic, "one", "two"]);
    bad(&world, "DELETE", "/messages", &Value::Null, 404, "there is no DELETE /messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_from_others_by_its_key() {
    let world = small().await;
    let new = json!({"account": "111122223333", "user": "seeder"});
    let key = good(&world, "POST", "/callers", &new);
    assert_eq!(key["caller"], "arn:aws:iam::111122223333:user/seeder");
    assert_eq!(good(&world, "POST", "/callers", &new), key);
    let id = key["access_key_id"].as_str().unwrap();
    ssm_as(id, &world, "ListCommands", &json!({})).unwrap();
    assert_eq!(good(&world, "GET", "/calls", &Value::Null)[0]["caller"], key["caller"]);
    let unknown = json!({"account": "999999999999", "user": "x"});
    bad(&world, "POST", "/callers", &unknown, 404, "999999999999");
    bad(&world, "POST", "/callers", &json!({"account": "111122223333"}), 400, "user");
    let nameless = json!({"account": "111122223333", "user": ""});
    bad(&world, "POST", "/callers", &nameless, 400, "a user has a name");
    assert!(world.add_caller("111122223333", "").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_read_and_changed_by_each_of_its_names() {
    let world = small().await;
    let ids = good(&world, "GET", "/nodes", &Value::Null);
    assert_eq!(ids, json!(world.node_ids()));
    let id = online(&world);
    let truth = good(&world, "GET", &format!("/nodes/{id}"), &Value::Null);
    assert_eq!(truth, serde_json::to_value(world.node(&id).unwrap()).unwrap());
    let name = truth["name"].as_str().unwrap();
    assert_eq!(good(&world, "GET", &format!("/nodes/{name}"), &Value::Null), truth);
    let azure = world.node_ids().into_iter().find(|it| it.starts_with('/')).unwrap();
    let encoded = azure.replace('/', "%2F");
    let of_azure = good(&world, "GET", &format!("/nodes/{encoded}"), &Value::Null);
    assert_eq!(of_azure["azure_id"], azure);

    let change = json!({"power": "stopped", "agent": "connection_lost"});
    let changed = good(&world, "POST", &format!("/nodes/{id}"), &change);
    assert_eq!([&changed["power"], &changed["agent"]], ["stopped", "connection_lost"]);
    assert_eq!(good(&world, "GET", &format!("/nodes/{id}"), &Value::Null), changed);

    bad(&world, "GET", "/nodes/i-0", &Value::Null, 404, "there is no machine i-0");
    bad(&world, "POST", "/nodes/i-0", &change, 404, "there is no machine i-0");
    let path = format!("/nodes/{id}");
    bad(&world, "POST", &path, &json!({"power": "humming"}), 400, "humming");
    bad(&world, "POST", &path, &json!({"pwoer": "stopped"}), 400, "pwoer");
    assert_eq!(good(&world, "GET", &path, &Value::Null), changed);

    let gone = good(&world, "POST", &path, &json!({"power": "terminated"}));
    assert_eq!(good(&world, "POST", &path, &json!({"power": "terminated"})), gone);
    bad(&world, "POST", &path, &json!({"power": "running"}), 400, "terminated");
    assert_eq!(good(&world, "GET", &path, &Value::Null), gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_ends_before_what_no_one_can_read() {
    let start = "9000-12-31T23:00:00Z".parse().unwrap();
    let world = World::builder().nodes(8).start_at(start).start().await.unwrap();
    world.advance(std::time::Duration::from_hours(24 * 365 * 898));
    let year = json!({"advance_seconds": 31_536_000});
    let late = [(); 3].map(|()| control(&world, "POST", "/clock", &year.to_string()).0);
    assert_eq!(late[2], 400);
    assert!(*world.now().to_string() < *"9900-01-02");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_azure_alone_knows_shows_the_agent_of_azure() {
    let world = small().await;
    let vm = NodeSpec::vm(OperatingSystem::Ubuntu, &world.endpoints().subscriptions[0], "web");
    let id = world.add_node(&vm).unwrap();
    let path = format!("/nodes/{}", id.replace('/', "%2F"));
    let truth = good(&world, "GET", &path, &Value::Null);
    assert_eq!([&truth["agent"], &truth["answers"]], [&json!("online"), &json!(true)]);
    let lost = good(&world, "POST", &path, &json!({"agent": "connection_lost"}));
    assert_eq!([&lost["agent"], &lost["answers"]], [&json!("connection_lost"), &json!(false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_azure_cannot_be_terminated_behind_its_back() {
    let world = small().await;
    let vm = NodeSpec::vm(OperatingSystem::Ubuntu, &world.endpoints().subscriptions[0], "web");
    let id = world.add_node(&vm).unwrap();
    let path = format!("/nodes/{}", id.replace('/', "%2F"));
    let before = good(&world, "GET", &path, &Value::Null);
    let change = json!({"power": "terminated", "agent": "connection_lost"});
    bad(&world, "POST", &path, &change, 400, "terminated");
    assert_eq!(good(&world, "GET", &path, &Value::Null), before, "nothing of it was changed");
    assert!(!world.change_node(&id, &NodeChange::new().with_power(Power::Terminated)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hybrid_node_that_is_gone_is_lost_to_both_lists_of_nodes() {
    let world = small().await;
    let spec = NodeSpec::hybrid(OperatingSystem::Ubuntu, "111122223333", "us-east-1");
    let id = world.add_node(&spec).unwrap();
    good(&world, "POST", &format!("/nodes/{id}"), &json!({"power": "terminated"}));
    for (operation, list, filter) in [
        ("DescribeInstanceInformation", "InstanceInformationList", "Filters"),
        ("DescribeInstanceProperties", "InstanceProperties", "FiltersWithOperator"),
    ] {
        let key = json!([{"Key": "InstanceIds", "Values": [&id]}]);
        let (status, answer) = ssm(&world, operation, &json!({filter: key})).unwrap();
        assert_eq!((status, &answer[list][0]["PingStatus"]), (200, &json!("ConnectionLost")));
    }
}
