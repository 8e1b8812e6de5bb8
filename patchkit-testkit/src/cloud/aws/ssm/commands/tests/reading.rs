use std::sync::Arc;

use serde_json::{Value, json};

use crate::cloud::{
    aws::ssm::lab::{Bucket, Lab},
    world::machine::Behavior,
};

const SCRIPT: &str = "AWS-RunShellScript";

fn get(lab: &Lab, id: &str, node: &str) -> Value {
    lab.good("GetCommandInvocation", &json!({"CommandId": id, "InstanceId": node}))
}

#[test]
fn invocations_are_seen_some_seconds_late() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let id = lab.send(SCRIPT, std::slice::from_ref(&node), json!({"commands": ["echo hi"]}));
    let input = json!({"CommandId": id, "InstanceId": node});
    assert_eq!(lab.refused("GetCommandInvocation", &input), "InvocationDoesNotExist");
    assert!(lab.stages(&id).is_empty());
    assert_eq!(lab.command(&id)["TargetCount"], 1);
    lab.advance(3);
    assert_eq!(lab.stages(&id).len(), 1);
    assert_eq!(get(&lab, &id, &node)["CommandId"], json!(id));
}

#[test]
fn a_script_s_output_and_code_are_told() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let lines = json!({"commands": ["echo \"one\"", "echo two; exit 4", "echo three"]});
    let id = lab.send(SCRIPT, std::slice::from_ref(&node), lines);
    lab.advance(30);
    let got = get(&lab, &id, &node);
    assert_eq!(got["PluginName"], "aws:runShellScript");
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Failed"), &json!(4)));
    assert_eq!(got["StandardOutputContent"], "one\ntwo\n");
    assert_eq!(got["StandardErrorContent"], "failed to run commands: exit status 4");
    assert!(got["ExecutionElapsedTime"].as_str().unwrap().starts_with("PT"));
}

#[test]
fn a_script_that_sleeps_for_ever_times_out() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let lines = json!({"commands": [format!("sleep {}", u64::MAX), format!("sleep {}", u64::MAX)]});
    let id = lab.send(SCRIPT, &[node], lines);
    lab.advance(4_000);
    assert_eq!(lab.stages(&id), ["ExecutionTimedOut"]);
}

#[test]
fn output_is_cut_where_the_service_cuts_it() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let long = "x".repeat(30_000);
    let id = lab.send(
        SCRIPT,
        std::slice::from_ref(&node),
        json!({"commands": [format!("echo {long}")]}),
    );
    lab.advance(30);
    let got = get(&lab, &id, &node);
    assert_eq!(got["StandardOutputContent"].as_str().unwrap().len(), 24_000);
    let input = json!({"CommandId": id, "Details": true});
    let list = lab.good("ListCommandInvocations", &input);
    let output = list["CommandInvocations"][0]["CommandPlugins"][0]["Output"].as_str().unwrap();
    assert_eq!(output.len(), 2_500);
    assert!(output.ends_with("---Output truncated---"));
}

#[test]
fn a_document_of_several_steps_is_read_by_the_name_of_a_step() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let id = lab.send(
        "AWS-RunPatchBaseline",
        std::slice::from_ref(&node),
        json!({"Operation": ["Scan"]}),
    );
    lab.advance(120);
    let whole = get(&lab, &id, &node);
    assert_eq!((&whole["PluginName"], &whole["StandardOutputContent"]), (&json!(""), &json!("")));
    assert_eq!((&whole["Status"], &whole["ResponseCode"]), (&json!("Success"), &json!(0)));
    // A step that is for another platform reports too.
    let skipped = lab.plugin(&id, &node, "PatchWindows");
    assert!(skipped["StandardOutputContent"].as_str().unwrap().contains("skipped"));
    let report = lab.plugin(&id, &node, "PatchLinux");
    assert!(report["StandardOutputContent"].as_str().unwrap().contains("MissingCount"));
    let input = json!({"CommandId": id, "InstanceId": node, "PluginName": "PatchSolaris"});
    assert_eq!(lab.refused("GetCommandInvocation", &input), "InvalidPluginName");
}

#[test]
fn output_goes_to_the_lake_s_folder_by_the_same_key() {
    let lab = Lab::new(Behavior::Well);
    let (node, lake) = (lab.linux().remove(0), Arc::new(Bucket::default()));
    lab.state().keep_lake(Arc::<Bucket>::clone(&lake)).unwrap();
    let id = lab.send_as(&json!({
        "DocumentName": SCRIPT, "InstanceIds": [node], "OutputS3BucketName": "out",
        "Parameters": {"commands": ["echo hi"]},
    }));
    lab.advance(60);
    let of_command = |bucket: &Bucket| -> Vec<String> {
        bucket.keys().into_iter().filter(|key| key.contains(&id)).collect()
    };
    assert_eq!(of_command(&lake).len(), 1);
    assert_eq!(of_command(&lake), of_command(&lab.bucket));
}

#[test]
fn output_goes_to_the_bucket_by_command_node_and_step() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let id = lab.send_as(&json!({
        "DocumentName": "AWS-RunPatchBaseline", "InstanceIds": [node],
        "Parameters": {"Operation": ["Scan"]},
        "OutputS3BucketName": "runs", "OutputS3KeyPrefix": "patch",
    }));
    lab.advance(120);
    let key = format!("runs/patch/{id}/{node}/awsrunShellScript/PatchLinux/stdout");
    assert!(lab.bucket.text(&key).unwrap().contains(&node), "{:?}", lab.bucket.keys());
    let url = lab.plugin(&id, &node, "PatchLinux")["StandardOutputUrl"].clone();
    assert_eq!(url, json!(format!("https://s3.us-east-1.amazonaws.com/{key}")));
}

#[test]
fn commands_are_filtered_by_time_status_document_and_stage() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let first = lab.send(SCRIPT, &nodes[..1], json!({"commands": ["exit 1"]}));
    lab.advance(60);
    let second = lab.send("AWS-Noop", &nodes[1..2], json!({}));
    let ids = |input: Value| -> Vec<String> {
        let list = lab.good("ListCommands", &input)["Commands"].clone();
        let list = list.as_array().unwrap().iter();
        list.map(|it| it["CommandId"].as_str().unwrap().to_owned()).collect()
    };
    let by = |key: &str, value: &str| ids(json!({"Filters": [{"key": key, "value": value}]}));
    // Newest first.
    assert_eq!(ids(json!({})), [second.clone(), first.clone()]);
    assert_eq!(by("ExecutionStage", "Executing"), [second.as_str()]);
    assert_eq!(by("ExecutionStage", "Complete"), [first.as_str()]);
    assert_eq!(by("Status", "Failed"), [first.as_str()]);
    assert_eq!(by("DocumentName", "AWS-Noop"), [second.as_str()]);
    assert_eq!(by("InvokedAfter", "2026-03-03T10:00:30Z"), [second.as_str()]);
    assert_eq!(by("InvokedBefore", "2026-03-03T10:00:30Z"), [first.as_str()]);
    lab.advance(10);
    assert_eq!(ids(json!({"InstanceId": nodes[0]})), [first]);
    let stage = json!({"Filters": [{"key": "ExecutionStage", "value": "Complete"}]});
    assert_eq!(lab.refused("ListCommandInvocations", &stage), "InvalidFilterKey");
    let time = json!({"Filters": [{"key": "InvokedAfter", "value": "yesterday"}]});
    assert_eq!(lab.refused("ListCommands", &time), "ValidationException");
    let unknown = json!({"CommandId": "00000000-0000-0000-0000-000000000000"});
    for operation in ["ListCommands", "ListCommandInvocations", "CancelCommand"] {
        assert_eq!(lab.refused(operation, &unknown), "InvalidCommandId");
    }
}

#[test]
fn a_command_is_kept_for_thirty_days() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    lab.send("AWS-Noop", std::slice::from_ref(&node), json!({}));
    let count = || lab.good("ListCommands", &json!({}))["Commands"].as_array().unwrap().len();
    lab.advance(29 * 86_400);
    assert_eq!(count(), 1);
    lab.advance(2 * 86_400);
    assert_eq!(count(), 0);
}

#[test]
fn a_whole_command_is_cancelled_where_it_has_not_ended() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let id = lab.send_as(&json!({
        "DocumentName": SCRIPT, "InstanceIds": nodes[..3], "MaxConcurrency": "1",
        "Parameters": {"commands": ["sleep 60"]},
    }));
    lab.advance(75);
    lab.good("CancelCommand", &json!({"CommandId": id}));
    assert_eq!(lab.command(&id)["Status"], "Cancelling");
    lab.advance(30);
    assert_eq!(lab.stages(&id), ["Success", "Cancelled", "Cancelled"]);
    assert_eq!(lab.command(&id)["StatusDetails"], "Cancelled");
    // Again, it does nothing.
    lab.good("CancelCommand", &json!({"CommandId": id}));
    assert_eq!(lab.command(&id)["StatusDetails"], "Cancelled");
}

#[test]
fn some_nodes_of_a_command_are_cancelled_and_the_others_go_on() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let id = lab.send(SCRIPT, &nodes[..2], json!({"commands": ["sleep 60"]}));
    lab.advance(10);
    let cancel = |ids: Value| json!({"CommandId": id, "InstanceIds": ids});
    let foreign = cancel(json!([nodes[2]]));
    assert_eq!(lab.refused("CancelCommand", &foreign), "InvalidInstanceId");
    let twice = cancel(json!([nodes[0], nodes[0]]));
    assert_eq!(lab.refused("CancelCommand", &twice), "DuplicateInstanceId");
    lab.good("CancelCommand", &cancel(json!([nodes[0]])));
    assert_eq!(lab.stages(&id), ["Cancelling", "InProgress"]);
    lab.advance(120);
    assert_eq!(lab.stages(&id), ["Cancelled", "Success"]);
    assert_eq!(lab.command(&id)["StatusDetails"], "Incomplete");
}
