use serde_json::json;

use crate::cloud::{
    aws::ssm::lab::Lab,
    world::machine::{Agent, AwsKind, Behavior},
};

const SCRIPT: &str = "AWS-RunShellScript";
const NOTIFIER: &str = "arn:aws:iam::111122223333:role/patchkit-notifications";

#[test]
fn an_id_that_is_not_a_running_managed_node_refuses_the_whole_call() {
    let lab = Lab::new(Behavior::Well);
    let good = lab.linux().remove(0);
    let stopped = lab.stopped().remove(0);
    for bad in [stopped.as_str(), "i-0123456789abcdef0", "mi-0123456789abcdef0"] {
        let input = json!({
            "DocumentName": SCRIPT, "InstanceIds": [good, bad], "Parameters": {"commands": ["id"]},
        });
        assert_eq!(lab.refused("SendCommand", &input), "InvalidInstanceId", "{bad}");
    }
    assert!(lab.good("ListCommands", &json!({}))["Commands"].as_array().unwrap().is_empty());
}

#[test]
fn nodes_are_named_once_and_either_by_id_or_by_target() {
    let lab = Lab::new(Behavior::Well);
    let id = lab.linux().remove(0);
    let ask = |more: serde_json::Value| {
        let mut input = json!({"DocumentName": SCRIPT, "Parameters": {"commands": ["id"]}});
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        lab.refused("SendCommand", &input)
    };
    let targets = json!([{"Key": "tag:a", "Values": ["b"]}]);
    assert_eq!(ask(json!({"InstanceIds": [id, id]})), "DuplicateInstanceId");
    assert_eq!(ask(json!({})), "ValidationException");
    assert_eq!(ask(json!({"InstanceIds": [id], "Targets": targets})), "ValidationException");
    for key in ["resource-groups:Colour", "tag:", "Name"] {
        let targets = json!([{"Key": key, "Values": ["b"]}]);
        assert_eq!(ask(json!({"Targets": targets})), "ValidationException", "{key}");
    }
    let ids: Vec<String> = (0..51).map(|n| format!("i-0000000000000{n:04}")).collect();
    assert_eq!(ask(json!({"InstanceIds": ids})), "ValidationException");
}

#[test]
fn only_parameters_of_the_document_with_values_it_takes_are_sent() {
    let lab = Lab::new(Behavior::Well);
    let id = lab.linux().remove(0);
    let ask = |parameters: serde_json::Value| {
        let input = json!({
            "DocumentName": "AWS-RunPatchBaseline", "InstanceIds": [id], "Parameters": parameters,
        });
        lab.refused("SendCommand", &input)
    };
    for parameters in [
        json!({}),
        json!({"Operation": ["Patch"]}),
        json!({"Operation": ["Scan", "Install"]}),
        json!({"Operation": ["Scan"], "Reboot": ["No"]}),
        json!({"Operation": ["Install"], "RebootOption": ["Never"]}),
        json!({"Operation": ["Scan"], "SnapshotId": ["not-a-guid"]}),
        json!({"Operation": ["Install"], "InstallOverrideList": ["ftp://x/y"]}),
        json!({"Operation": ["Install"], "BaselineOverride": ["s3://b/a$b.json"]}),
        json!({"Operation": ["Scan"], "StepTimeoutSeconds": ["36001"]}),
    ] {
        assert_eq!(ask(parameters.clone()), "InvalidParameters", "{parameters}");
    }
}

#[test]
fn an_unknown_document_or_version_is_refused() {
    let lab = Lab::new(Behavior::Well);
    let ids = &lab.linux()[..1];
    let unknown = json!({"DocumentName": "AWS-Nothing", "InstanceIds": ids});
    assert_eq!(lab.refused("SendCommand", &unknown), "InvalidDocument");
    let version = json!({"DocumentName": "AWS-Noop", "DocumentVersion": "9", "InstanceIds": ids});
    assert_eq!(lab.refused("SendCommand", &version), "InvalidDocumentVersion");
    let arn = "arn:aws:ssm:us-east-1:111122223333:document/AWS-Noop";
    lab.send(arn, ids, json!({}));
}

#[test]
fn a_document_of_another_platform_is_refused_by_id_and_fails_by_target() {
    let lab = Lab::new(Behavior::Well);
    let windows = lab.windows();
    let by_id = json!({
        "DocumentName": SCRIPT, "InstanceIds": windows[..1], "Parameters": {"commands": ["id"]},
    });
    assert_eq!(lab.refused("SendCommand", &by_id), "UnsupportedPlatformType");
    lab.tag(&windows[..1], "Set", "w");
    let id = lab.send_as(&json!({
        "DocumentName": SCRIPT, "Targets": [{"Key": "tag:Set", "Values": ["w"]}],
        "Parameters": {"commands": ["id"]},
    }));
    lab.advance(10);
    assert_eq!(lab.stages(&id), ["InvalidPlatform"]);
    // It does not count as an error.
    assert_eq!(lab.command(&id)["ErrorCount"], 0);
    assert_eq!(lab.command(&id)["StatusDetails"], "Incomplete");
}

#[test]
fn targets_reach_their_nodes_alone_and_the_log_names_them() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    lab.tag(&nodes[..3], "Set", "a");
    lab.tag(&nodes[2..4], "Other", "b");
    let ask = |targets: serde_json::Value| {
        let input = json!({
            "DocumentName": SCRIPT, "Targets": targets, "Parameters": {"commands": ["id"]},
        });
        lab.reached("SendCommand", &input)
    };
    assert_eq!(ask(json!([{"Key": "tag:Set", "Values": ["x", "a"]}])), nodes[..3]);
    assert_eq!(ask(json!([{"Key": "tag-key", "Values": ["Other"]}])), nodes[2..4]);
    let both =
        json!([{"Key": "tag:Set", "Values": ["a"]}, {"Key": "tag-key", "Values": ["Other"]}]);
    assert_eq!(ask(both), nodes[2..3]);
    let by_id = json!([{"Key": "InstanceIds", "Values": [nodes[1], "i-0123456789abcdef0"]}]);
    assert_eq!(ask(by_id), nodes[1..2]);
}

#[test]
fn a_command_without_a_target_succeeds_as_no_instances_in_tag() {
    let lab = Lab::new(Behavior::Well);
    let id = lab.send_as(&json!({
        "DocumentName": "AWS-Noop", "Targets": [{"Key": "tag:Set", "Values": ["none"]}],
    }));
    let command = lab.command(&id);
    assert_eq!(
        (&command["Status"], &command["StatusDetails"]),
        (&json!("Success"), &json!("NoInstancesInTag"))
    );
    assert_eq!(command["TargetCount"], 0);
}

#[test]
fn the_ramp_doubles_until_the_concurrency_is_reached() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    assert!(nodes.len() >= 10, "{}", nodes.len());
    let id = lab.send_as(&json!({
        "DocumentName": SCRIPT, "InstanceIds": nodes[..10], "MaxConcurrency": "3",
        "Parameters": {"commands": ["sleep 100"]},
    }));
    let running = || lab.stages(&id).iter().filter(|it| *it == "InProgress").count();
    lab.advance(1);
    lab.advance(0);
    assert_eq!(lab.command(&id)["Status"], "InProgress");
    lab.advance(20);
    assert_eq!(running(), 3);
    lab.advance(2_000);
    assert_eq!(lab.command(&id)["StatusDetails"], "Success");
    assert_eq!(lab.command(&id)["CompletedCount"], 10);
}

#[test]
fn a_command_stops_at_one_error_more_than_it_may_have() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let send = |most: &str| {
        let id = lab.send_as(&json!({
            "DocumentName": SCRIPT, "InstanceIds": nodes[..10], "MaxConcurrency": "1",
            "MaxErrors": most, "Parameters": {"commands": ["exit 3"]},
        }));
        lab.advance(600);
        let stages = lab.stages(&id);
        let count = |stage: &str| stages.iter().filter(|it| *it == stage).count();
        (count("Failed"), count("Terminated"), lab.command(&id)["StatusDetails"].clone())
    };
    assert_eq!(send("0"), (1, 9, json!("Failed")));
    assert_eq!(send("2"), (3, 7, json!("Failed")));
    // Ten per cent of ten is one: the second error stops it.
    assert_eq!(send("10%"), (2, 8, json!("Failed")));
    assert_eq!(send("100%"), (10, 0, json!("Incomplete")));
}

#[test]
fn a_node_that_does_not_answer_is_delayed_and_then_not_delivered_to() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    lab.set_agent(&nodes[0], Agent::ConnectionLost);
    let id = lab.send_as(&json!({
        "DocumentName": SCRIPT, "InstanceIds": nodes[..2], "TimeoutSeconds": 600,
        "MaxErrors": "1", "Parameters": {"commands": ["id"]},
    }));
    lab.advance(60);
    assert_eq!(lab.stages(&id), ["Delayed", "Success"]);
    lab.advance(600);
    assert_eq!(lab.stages(&id), ["DeliveryTimedOut", "Success"]);
    let command = lab.command(&id);
    assert_eq!((&command["ErrorCount"], &command["DeliveryTimedOutCount"]), (&json!(0), &json!(1)));
    assert_eq!(command["StatusDetails"], "Incomplete");
    let got = lab.good("GetCommandInvocation", &json!({"CommandId": id, "InstanceId": nodes[0]}));
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("TimedOut"), &json!(-1)));
}

#[test]
fn a_delivery_timeout_alone_times_the_command_out() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    lab.set_agent(&nodes[0], Agent::ConnectionLost);
    let id = lab.send_as(&json!({
        "DocumentName": "AWS-Noop", "InstanceIds": nodes[..1], "TimeoutSeconds": 30,
    }));
    lab.advance(120);
    let command = lab.command(&id);
    assert_eq!(command["Status"], "TimedOut");
    assert_eq!(command["StatusDetails"], "DeliveryTimedOut");
}

#[test]
fn what_is_targeted_while_it_is_off_is_undeliverable_and_does_not_count() {
    let lab = Lab::new(Behavior::Well);
    let nodes = [lab.linux().remove(0), lab.linux().remove(1)];
    lab.tag(&nodes, "Set", "a");
    let at = lab.at(&nodes[0]);
    lab.state().power_off(at, crate::cloud::world::power::Off::Stop);
    lab.advance(120);
    let id = lab.send_as(&json!({
        "DocumentName": "AWS-Noop", "Targets": [{"Key": "tag:Set", "Values": ["a"]}],
        "TimeoutSeconds": 60,
    }));
    lab.advance(300);
    assert!(lab.stages(&id).contains(&"Undeliverable".to_owned()));
    assert_eq!(lab.command(&id)["StatusDetails"], "Success");
}

#[test]
fn a_late_agent_gets_the_command_when_it_answers() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let at = lab.at(&node);
    lab.state().boot_again(at);
    lab.set_agent(&node, Agent::LateAfterBoot);
    let id = lab.send(SCRIPT, &[node], json!({"commands": ["echo up"]}));
    lab.advance(200);
    assert_eq!(lab.stages(&id), ["Delayed"]);
    lab.advance(1_200);
    assert_eq!(lab.stages(&id), ["Success"]);
}

#[test]
fn a_node_whose_role_was_taken_away_gets_no_command() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let at = lab.at(&node);
    let take_away = |aws: &mut AwsKind| match aws {
        AwsKind::Ec2(ec2) => ec2.profile = None,
        AwsKind::Hybrid(_) => unreachable!("an instance"),
    };
    take_away(&mut lab.state().machine_mut(at).aws.as_mut().unwrap().side);
    lab.state().review_agent(at);
    let id = lab.send("AWS-Noop", &[node], json!({}));
    lab.advance(120);
    assert_eq!(lab.stages(&id), ["Delayed"]);
}

#[test]
fn a_member_that_is_null_is_not_there() {
    let lab = Lab::new(Behavior::Well);
    let input = json!({
        "DocumentName": "AWS-Noop", "InstanceIds": lab.linux()[..1], "Targets": null,
        "Parameters": null, "Comment": null, "NotificationConfig": null,
    });
    lab.send_as(&input);
}

#[test]
fn the_total_timeout_is_that_of_delivery_and_of_execution() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let sent = lab.good(
        "SendCommand",
        &json!({
            "DocumentName": SCRIPT, "InstanceIds": [node], "TimeoutSeconds": 100,
            "Parameters": {"commands": ["sleep 5000"], "executionTimeout": ["200"]},
        }),
    );
    let command = &sent["Command"];
    let span =
        command["ExpiresAfter"].as_f64().unwrap() - command["RequestedDateTime"].as_f64().unwrap();
    assert!((span - 300.0).abs() < 0.01, "{span}");
    lab.advance(250);
    let id = command["CommandId"].as_str().unwrap();
    assert_eq!(lab.stages(id), ["ExecutionTimedOut"]);
    assert_eq!(lab.command(id)["Status"], "TimedOut");
    assert_eq!(lab.command(id)["ErrorCount"], 1);
}

#[test]
fn a_topic_is_told_of_the_events_it_asks_for() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let config = |events: serde_json::Value, of: &str| {
        json!({
            "DocumentName": "AWS-Noop", "InstanceIds": [node],
            "ServiceRoleArn": NOTIFIER,
            "NotificationConfig": {
                "NotificationArn": "arn:aws:sns:us-east-1:111122223333:t",
                "NotificationEvents": events, "NotificationType": of,
            },
        })
    };
    lab.topic("t");
    lab.send_as(&config(json!(["Success"]), "Command"));
    lab.advance(60);
    lab.send_as(&config(json!(["All"]), "Invocation"));
    lab.advance(60);
    let state = lab.state();
    let told: Vec<(String, bool)> = state
        .messages()
        .iter()
        .map(|it| {
            let message: serde_json::Value = serde_json::from_str(&it.message).unwrap();
            (message["status"].as_str().unwrap().to_owned(), message["instanceId"].is_string())
        })
        .collect();
    let told: Vec<(&str, bool)> = told.iter().map(|(status, of)| (status.as_str(), *of)).collect();
    assert_eq!(told, [("Success", false), ("InProgress", true), ("Success", true)]);
    drop(state);
    let mut without_role = config(json!(["All"]), "Command");
    without_role.as_object_mut().unwrap().remove("ServiceRoleArn");
    assert_eq!(lab.refused("SendCommand", &without_role), "InvalidRole");
}

#[test]
fn a_topic_is_told_by_a_role_that_the_service_can_assume_and_that_may_publish() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let topic = "arn:aws:sns:us-east-1:111122223333:t";
    let command = |role: &str, topic: &str| {
        json!({
            "DocumentName": "AWS-Noop", "InstanceIds": [node], "ServiceRoleArn": role,
            "NotificationConfig": {"NotificationArn": topic, "NotificationEvents": ["All"]},
        })
    };
    for role in [
        "notify",
        "patchkit-notifications",
        "arn:aws:iam::111122223333:role/no-such-role",
        "arn:aws:iam::444455556666:role/patchkit-notifications",
        "arn:aws:iam::111122223333:role/other-path/patchkit-notifications",
        "arn:aws:iam::111122223333:user/patchkit-notifications",
        "arn:aws:iam::111122223333:role/patchkit-managed-node",
    ] {
        assert_eq!(lab.refused("SendCommand", &command(role, topic)), "InvalidRole", "{role}");
    }
    let error = lab.refused("SendCommand", &command(NOTIFIER, "arn:aws:sqs:us-east-1:1:q"));
    assert_eq!(error, "InvalidNotificationConfig");
    lab.topic("t");
    // It can be assumed, and may not publish.
    lab.send_as(&command("arn:aws:iam::111122223333:role/patchkit-hybrid-node", topic));
    lab.advance(60);
    assert_eq!(lab.state().messages().len(), 0);
    lab.send_as(&command(NOTIFIER, topic));
    lab.advance(60);
    assert_eq!(lab.state().messages().len(), 2);
}

#[test]
fn a_hash_that_is_given_must_be_the_documents() {
    let lab = Lab::new(Behavior::Well);
    let described = lab.good("DescribeDocument", &json!({"Name": "AWS-Noop"}));
    let hash = described["Document"]["Hash"].clone();
    let mut input = json!({
        "DocumentName": "AWS-Noop", "InstanceIds": lab.linux()[..1],
        "DocumentHash": hash, "DocumentHashType": "Sha256",
    });
    lab.good("SendCommand", &input);
    input["DocumentHashType"] = json!("Sha1");
    assert_eq!(lab.refused("SendCommand", &input), "ValidationException");
    input["DocumentHashType"] = json!("Sha256");
    input["DocumentHash"] = json!("0".repeat(64));
    assert_eq!(lab.refused("SendCommand", &input), "InvalidDocument");
}
