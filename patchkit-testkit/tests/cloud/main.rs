//! A world as embedders use it: over its endpoints, with faults, and with a record of what came.
#![cfg(feature = "cloud")]
#![expect(clippy::unwrap_used, reason = "a test that cannot ask has failed")]

mod azure;
mod control;
mod seeds;

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use patchkit_testkit::cloud::{
    Agent, Denial, Fault, FaultKind, NodeChange, Power, RateLimit, Throttles, World,
};
use serde_json::{Value, json};

/// An answer: its status and its body. None where the connection was cut.
fn ask(
    endpoint: &str,
    head: &[(&str, &str)],
    method: &str,
    path: &str,
    body: &str,
) -> Option<(u16, String)> {
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in head {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// What Systems Manager answers in the first account and Region.
fn ssm(world: &World, operation: &str, input: &Value) -> Option<(u16, Value)> {
    ssm_as("any", world, operation, input)
}

/// What it answers to who has this access key.
fn ssm_as(key: &str, world: &World, operation: &str, input: &Value) -> Option<(u16, Value)> {
    let target = format!("AmazonSSM.{operation}");
    let scope = format!("{key}/20261124/us-east-1/ssm/aws4_request");
    let scope = format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0");
    let head = [("x-amz-target", target.as_str()), ("authorization", scope.as_str())];
    let endpoint = &world.endpoints().aws_endpoint;
    let (status, body) = ask(endpoint, &head, "POST", "/", &input.to_string())?;
    Some((status, serde_json::from_str(&body).unwrap()))
}

/// What AssumeRole answers, to the byte.
fn session(world: &World) -> Option<(u16, String)> {
    let scope = "AWS4-HMAC-SHA256 Credential=any/20261124/us-east-1/sts/aws4_request, Signature=0";
    let role = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=patching\
                &RoleArn=arn:aws:iam::222233334444:role/patching";
    ask(&world.endpoints().aws_endpoint, &[("authorization", scope)], "POST", "/", role)
}

async fn small() -> World {
    World::builder().seed(7).nodes(60).throttles(Throttles::Off).start().await.unwrap()
}

/// A node that answers, in the first account and Region.
fn online(world: &World) -> String {
    let ids = world.node_ids();
    let here = |id: &&String| {
        let node = world.node(id).unwrap();
        node.answers && node.aws_scope.as_deref() == Some("111122223333/us-east-1")
    };
    ids.iter().find(here).unwrap().clone()
}

fn command(id: &str) -> Value {
    json!({
        "DocumentName": "AWS-RunPatchBaseline",
        "InstanceIds": [id],
        "Parameters": {"Operation": ["Scan"]},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_in_the_record_as_acted_on() {
    let world = small().await;
    let id = online(&world);
    world.add_fault(Fault::new(FaultKind::CutAfter).on("SendCommand").times(1)).unwrap();
    world.add_fault(Fault::new(FaultKind::CutBefore).on("SendCommand").times(1)).unwrap();
    assert_eq!(ssm(&world, "SendCommand", &command(&id)), None);
    assert_eq!(ssm(&world, "SendCommand", &command(&id)), None);
    let sent = world.calls().of("SendCommand");
    let acted: Vec<bool> = sent.iter().map(|it| it.acted).collect();
    assert_eq!(acted, [true, false]);
    assert_eq!(sent.acted().ids(), [id.as_str()]);
    let (_, commands) = ssm(&world, "ListCommands", &json!({})).unwrap();
    assert_eq!(commands["Commands"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_to_a_tag_reaches_its_nodes_and_the_record_names_them() {
    let world = small().await;
    let input = json!({
        "DocumentName": "AWS-RunPatchBaseline",
        "Targets": [{"Key": "tag:Environment", "Values": ["production", "test"]}],
        "Parameters": {"Operation": ["Scan"]},
    });
    assert_eq!(ssm(&world, "SendCommand", &input).unwrap().0, 200);
    let calls = world.calls().of("SendCommand");
    let told = calls.ids();
    assert!(!told.is_empty());
    for id in told {
        let node = world.node(id).unwrap();
        assert_eq!(node.aws_scope.as_deref(), Some("111122223333/us-east-1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_node_meets_a_command_that_reached_it_by_a_tag() {
    let world = small().await;
    let fault = Fault::new(FaultKind::CutAfter).on("SendCommand").of_node(online(&world));
    world.add_fault(fault).unwrap();
    let every = json!([{"Key": "tag-key", "Values": ["Application"]}]);
    let none = json!([{"Key": "tag-key", "Values": ["NoSuchTag"]}]);
    let command = |targets: &Value| {
        json!({
            "DocumentName": "AWS-RunShellScript",
            "Targets": targets,
            "Parameters": {"commands": ["true"]},
        })
    };
    assert_eq!(ssm(&world, "SendCommand", &command(&none)).unwrap().0, 200);
    assert_eq!(ssm(&world, "SendCommand", &command(&every)), None);
    assert_eq!(world.calls().of("SendCommand").acted().len(), 2);
    assert_eq!(world.faults()[0].met, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_can_do_nothing_to_an_answer_waits_for_another() {
    let world = small().await;
    let fault = Fault::new(FaultKind::RepeatToken).on("DescribeAvailablePatches").times(1);
    world.add_fault(fault).unwrap();
    let ask = |token: Option<&str>| {
        let input = json!({"MaxResults": 2, "NextToken": token});
        ssm(&world, "DescribeAvailablePatches", &input).unwrap().1
    };
    let first = ask(None);
    assert_eq!(world.faults()[0].met, 0);
    let token = first["NextToken"].as_str().unwrap();
    let second = ask(Some(token));
    assert_eq!(second["NextToken"].as_str(), Some(token));
    assert_eq!(world.faults()[0].met, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tells_the_service_that_a_hybrid_node_is_off() {
    let world = small().await;
    let here = |id: &&String| {
        let node = world.node(id).unwrap();
        id.starts_with("mi-") && node.aws_scope.as_deref() == Some("111122223333/us-east-1")
    };
    let ids = world.node_ids();
    let id = ids.iter().find(here).unwrap();
    world.change_node(id, &NodeChange::new().with_power(Power::Stopped));
    let input = json!({"Filters": [{"Key": "InstanceIds", "Values": [id]}]});
    let (_, page) = ssm(&world, "DescribeInstanceInformation", &input).unwrap();
    assert_eq!(page["InstanceInformationList"][0]["PingStatus"], "ConnectionLost");
    // It takes a command as it does for a node whose connection is lost.
    assert_eq!(ssm(&world, "SendCommand", &command(id)).unwrap().0, 200);
    world.change_node(id, &NodeChange::new().with_power(Power::Running));
    world.change_node(id, &NodeChange::new().with_agent(Agent::ConnectionLost));
    assert_eq!(ssm(&world, "SendCommand", &command(id)).unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_a_limit_and_a_region_that_is_away_are_met() {
    let world = small().await;
    world.deny(Denial::of("ssm:SendCommand")).unwrap();
    let (status, error) = ssm(&world, "SendCommand", &command("i-0123456789abcdef0")).unwrap();
    assert_eq!((status, error["__type"].as_str()), (400, Some("AccessDeniedException")));
    world.limit(RateLimit::of("ListCommands", 0.001, 1)).unwrap();
    assert_eq!(ssm(&world, "ListCommands", &json!({})).unwrap().0, 200);
    let (status, error) = ssm(&world, "ListCommands", &json!({})).unwrap();
    assert_eq!((status, error["__type"].as_str()), (400, Some("ThrottlingException")));
    world.add_fault(Fault::new(FaultKind::Away).in_scope("111122223333/us-east-1")).unwrap();
    assert_eq!(ssm(&world, "DescribeInstanceInformation", &json!({})), None);
    world.clear_faults();
    assert_eq!(ssm(&world, "DescribeInstanceInformation", &json!({})).unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_behind_both_clouds_backs_is_seen_by_them() {
    let world = small().await;
    let id = online(&world);
    let status = |world: &World| {
        let input = json!({"Filters": [{"Key": "InstanceIds", "Values": [id]}]});
        let (_, page) = ssm(world, "DescribeInstanceInformation", &input).unwrap();
        page["InstanceInformationList"][0]["PingStatus"].as_str().map(ToOwned::to_owned)
    };
    assert_eq!(status(&world).as_deref(), Some("Online"));
    assert!(world.change_node(&id, &NodeChange::new().with_agent(Agent::ConnectionLost)));
    assert_eq!(status(&world).as_deref(), Some("ConnectionLost"));
    assert!(world.change_node(&id, &NodeChange::new().with_power(Power::Stopped)));
    assert_eq!(status(&world), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_endpoint_does_what_the_methods_do() {
    let world = small().await;
    let control = world.endpoints().control_endpoint.clone();
    let before = world.now();
    let body = r#"{"advance_seconds": 90}"#;
    assert_eq!(ask(&control, &[], "POST", "/clock", body).unwrap().0, 200);
    assert_eq!(world.now().duration_since(before).as_secs(), 90);
    let fault = r#"{"kind": "throttle", "operation": "List*", "times": 1}"#;
    assert_eq!(ask(&control, &[], "POST", "/faults", fault).unwrap().0, 200);
    let (status, error) = ssm(&world, "ListCommands", &json!({})).unwrap();
    assert_eq!((status, error["message"].as_str()), (400, Some("Rate exceeded")));
    let (_, calls) = ask(&control, &[], "GET", "/calls?operation=ListCommands", "").unwrap();
    let calls: Value = serde_json::from_str(&calls).unwrap();
    assert_eq!(calls[0]["fault"], "throttle");
    let wrong = r#"{"kind": "throttle", "operatoin": "List*"}"#;
    let (status, body) = ask(&control, &[], "POST", "/faults", wrong).unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("operatoin"), "{body}");
}

/// What the control endpoint shows.
fn control(world: &World, path: &str) -> Value {
    let (status, body) = ask(&world.endpoints().control_endpoint, &[], "GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_calls_from_the_last_number_on_misses_none_and_gets_none_twice() {
    let world = small().await;
    let (mut from, mut seen) = (0, Vec::new());
    for round in 0..3 {
        for operation in ["ListCommands", "DescribeInstanceInformation", "ListCommands"] {
            assert_eq!(ssm(&world, operation, &json!({})).unwrap().0, 200);
        }
        let calls = control(&world, &format!("/calls?operation=ListCommands&from={from}"));
        let numbers = calls.as_array().unwrap().iter().map(|it| it["number"].as_u64().unwrap());
        seen.extend(numbers);
        from = seen.last().unwrap() + 1;
        if round == 1 {
            world.forget_calls();
        }
    }
    assert_eq!(seen, [0, 2, 3, 5, 6, 8]);
    let status = json!({"next": 9, "kept": 3, "dropped": {"reads": 0, "writes": 0}});
    assert_eq!(control(&world, "/record"), status);
    assert_eq!(world.calls().dropped(), patchkit_testkit::cloud::Dropped::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_by_an_allowance_can_be_read_back() {
    let world = small().await;
    assert_eq!(control(&world, "/allowances"), json!([]));
    let allowance = json!({"actions": ["ssm:Describe*"], "caller": "*:user/reader"});
    let endpoint = &world.endpoints().control_endpoint;
    assert_eq!(ask(endpoint, &[], "POST", "/allowances", &allowance.to_string()).unwrap().0, 200);
    assert_eq!(control(&world, "/allowances"), json!([allowance]));
    assert_eq!(ask(endpoint, &[], "DELETE", "/denials", "").unwrap().0, 200);
    assert_eq!(control(&world, "/allowances"), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_and_start_give_the_same_answers() {
    let start = "2026-11-02T00:00:00Z".parse().unwrap();
    let answers = async || {
        let world = World::builder().seed(11).nodes(60).start_at(start).start().await.unwrap();
        world.advance(Duration::from_hours(1));
        let nodes = ssm(&world, "DescribeInstanceInformation", &json!({"MaxResults": 50}));
        let id = online(&world);
        let sent = ssm(&world, "SendCommand", &command(&id));
        (world.node_ids(), nodes, sent, session(&world))
    };
    assert_eq!(answers().await, answers().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_world_whose_start_was_chosen_end_by_its_time() {
    let start = "2026-11-02T00:00:00Z".parse().unwrap();
    let world = World::builder().seed(11).nodes(60).start_at(start).start().await.unwrap();
    world.advance(Duration::from_mins(5));
    let (_, answer) = session(&world).unwrap();
    assert!(answer.contains("<Expiration>2026-11-02T01:05:00.000Z</Expiration>"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_fifty_megabytes_is_refused_in_the_words_of_each_endpoint() {
    let world = small().await;
    let body = "x".repeat(50_000_000);
    let endpoints = world.endpoints();
    let scope = |service: &str| {
        format!("AWS4-HMAC-SHA256 Credential=any/20261124/us-east-1/{service}/aws4_request")
    };
    for (endpoint, authorization, words) in [
        (&endpoints.aws_endpoint, scope("ssm"), r#""__type":"RequestEntityTooLargeException""#),
        (&endpoints.aws_endpoint, scope("ec2"), "<Code>RequestEntityTooLarge</Code>"),
        (&endpoints.azure_endpoint, "Bearer any".into(), r#""code":"RequestContentTooLarge""#),
        (&endpoints.control_endpoint, String::new(), r#"{"error":"the body is too long"}"#),
    ] {
        let head = [("authorization", authorization.as_str())];
        let (status, answer) = ask(endpoint, &head, "POST", "/", &body).unwrap();
        assert_eq!(status, 413);
        assert!(answer.contains(words), "{answer}");
    }
    let refused = world.calls();
    assert_eq!(refused.iter().filter(|it| it.status == Some(413) && !it.acted).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_is_dropped_listens_no_more() {
    let world = small().await;
    let endpoint = world.endpoints().aws_endpoint.clone();
    drop(world);
    // The listener goes with its task, which the runtime ends when it comes to it.
    for _ in 0..200 {
        if TcpStream::connect(endpoint.trim_start_matches("http://")).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it still listens");
}

#[tokio::test]
async fn places_times_and_speeds_that_cannot_be_are_refused() {
    let world = || World::builder().nodes(0);
    let (account, subscription) = ("111122223333", "5b1c0ffe-0000-4000-8000-00000000000a");
    let twice = world().azure_subscription(subscription);
    for (world, message) in [
        (world().aws_account("abc"), "the AWS account \"abc\" is not twelve digits"),
        (
            world().aws_account(account).aws_account(account),
            "the AWS account \"111122223333\" is given twice",
        ),
        (
            world().aws_region("Ireland"),
            "the AWS Region \"Ireland\" is not a name such as eu-west-1",
        ),
        (
            world().aws_region("eu-west-1").aws_region("eu-west-1"),
            "the AWS Region \"eu-west-1\" is given twice",
        ),
        (
            world().azure_subscription("production"),
            "the Azure subscription \"production\" is not a UUID with hyphens",
        ),
        (
            twice.azure_subscription(subscription.to_uppercase()),
            "the Azure subscription \"5B1C0FFE-0000-4000-8000-00000000000A\" is given twice",
        ),
    ] {
        let error = world.start().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), message);
    }
    for at in ["1969-12-31T23:59:59Z", "9001-01-01T00:00:00Z"] {
        let error = world().start_at(at.parse().unwrap()).start().await.unwrap_err();
        assert!(error.to_string().contains("a world begins from 1970"), "{error}");
    }
    for speed in [-1.0, 1e12, f64::NAN] {
        let error = world().speed(speed).start().await.unwrap_err();
        assert!(error.to_string().contains("a speed is from 0 to 1000000"), "{error}");
    }
    let gov = world().aws_account(account).aws_region("us-gov-east-1");
    assert!(gov.start().await.is_ok());
}
