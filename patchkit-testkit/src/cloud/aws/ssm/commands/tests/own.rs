use serde_json::{Value, json};

use crate::cloud::{
    aws::ssm::{
        commands, documents,
        lab::{HERE, Lab},
    },
    world::machine::Behavior,
};

const OWN: &str = r"
schemaVersion: '2.2'
parameters:
  Word: {type: String, default: hello, allowedValues: [hello, bye]}
mainSteps:
  - action: aws:runShellScript
    name: onLinux
    precondition: {StringEquals: [platformType, Linux]}
    inputs: {runCommand: ['echo {{ Word }}']}
  - action: aws:runPowerShellScript
    name: onWindows
    precondition: {StringEquals: [platformType, Windows]}
    inputs: {runCommand: ['echo {{ Word }}']}
";

fn add(lab: &Lab, name: &str, text: &str) {
    documents::enter(&mut lab.state(), HERE, name, text);
}

#[test]
fn a_document_of_one_s_own_runs_the_steps_of_its_platform() {
    let lab = Lab::new(Behavior::Well);
    add(&lab, "Own-Echo", OWN);
    let (linux, windows) = (lab.linux().remove(0), lab.windows().remove(0));
    let word = json!({"Word": ["bye"]});
    let id = lab.send("Own-Echo", &[linux.clone(), windows.clone()], word);
    lab.advance(30);
    assert_eq!(lab.plugin(&id, &linux, "onLinux")["StandardOutputContent"], "bye\n");
    assert_eq!(lab.plugin(&id, &windows, "onWindows")["StandardOutputContent"], "bye\n");
    let skipped = lab.plugin(&id, &linux, "onWindows");
    assert!(skipped["StandardOutputContent"].as_str().unwrap().contains("skipped"));
    let wrong = json!({
        "DocumentName": "Own-Echo", "InstanceIds": [linux], "Parameters": {"Word": ["what"]},
    });
    assert_eq!(lab.refused("SendCommand", &wrong), "InvalidParameters");
}

#[test]
fn an_action_that_is_not_modelled_fails_its_step_by_name() {
    let lab = Lab::new(Behavior::Well);
    let document = json!({"schemaVersion": "2.2", "mainSteps": [
        {"action": "aws:configureDocker", "name": "docker", "inputs": {"action": "Install"}}]});
    add(&lab, "Own-Docker", &document.to_string());
    let node = lab.linux().remove(0);
    let id = lab.send("Own-Docker", std::slice::from_ref(&node), json!({}));
    lab.advance(30);
    let got = lab.plugin(&id, &node, "docker");
    assert_eq!(got["Status"], "Failed");
    assert!(got["StandardErrorContent"].as_str().unwrap().contains("aws:configureDocker"));
}

#[test]
fn what_is_no_command_document_is_refused() {
    let lab = Lab::new(Behavior::Well);
    add(&lab, "Own-Runbook", "schemaVersion: '0.3'\nmainSteps: []");
    add(&lab, "Own-Text", "just words");
    for name in ["Own-Runbook", "Own-Text"] {
        let input = json!({"DocumentName": name, "InstanceIds": lab.linux()[..1]});
        assert_eq!(lab.refused("SendCommand", &input), "InvalidDocument", "{name}");
    }
}

#[test]
fn others_of_the_service_send_watch_and_cancel_without_a_request() {
    let lab = Lab::new(Behavior::Well);
    let input = json!({
        "DocumentName": "AWS-RunShellScript", "InstanceIds": lab.linux()[..1],
        "Parameters": {"commands": ["sleep 100"]},
    });
    let mut state = lab.state();
    let id = commands::send_input(&mut state, HERE, input).unwrap();
    assert_eq!(commands::status(&state, HERE, &id).as_deref(), Some("InProgress"));
    let unknown: Value = json!({"DocumentName": "AWS-Noop"});
    assert!(commands::send_input(&mut state, HERE, unknown).is_err());
    drop(state);
    lab.advance(10);
    commands::cancel(&mut lab.state(), HERE, &id);
    lab.advance(10);
    assert_eq!(commands::status(&lab.state(), HERE, &id).as_deref(), Some("Cancelled"));
    assert_eq!(commands::status(&lab.state(), HERE, "none"), None);
}

/// The names of documents in a cell of the row on Run Command.
fn told(cell: usize) -> Vec<&'static str> {
    let table = include_str!("../../../served.md");
    let row = table.lines().find(|it| it.starts_with("| Run Command |")).unwrap();
    let cell = row.split('|').nth(cell).unwrap();
    cell.split('`').skip(1).step_by(2).filter(|it| it.starts_with("AWS-")).collect()
}

#[test]
fn the_documents_that_the_table_names_run_and_the_others_fail_by_name() {
    let lab = Lab::new(Behavior::Well);
    let (modelled, not_modelled) = (told(3), told(4));
    assert_eq!((modelled.len(), not_modelled.len()), (9, 1));
    for name in modelled.iter().chain(&not_modelled) {
        let described = lab.good("DescribeDocument", &json!({"Name": name}));
        let required = described["Document"]["Parameters"].as_array().unwrap().iter();
        let required = required.filter(|it| it["DefaultValue"].is_null());
        let given = required.map(|it| {
            let parameter = it["Name"].as_str().unwrap();
            let value = match parameter {
                "Operation" => "Scan",
                "commands" => "echo",
                "AssociationId" => "12345678-1234-1234-1234-123456789012",
                "action" => "Install",
                _ => "AmazonCloudWatchAgent",
            };
            (parameter.to_owned(), json!([value]))
        });
        let given = Value::Object(given.collect());
        let nodes = if *name == "AWS-RunPowerShellScript" { lab.windows() } else { lab.linux() };
        let id = lab.send(name, &nodes[..1], given);
        lab.advance(300);
        let stage = if modelled.contains(name) { "Success" } else { "Failed" };
        assert_eq!(lab.stages(&id), [stage], "{name}");
    }
}
