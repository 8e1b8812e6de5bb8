use serde_json::{Value, json};

use super::patching::behind;
use crate::cloud::{
    aws::ssm::{
        documents,
        lab::{HERE, Lab},
    },
    world::machine::Behavior,
};

const HOOKED: &str = "AWS-RunPatchBaselineWithHooks";
const GUID: &str = "12345678-1234-1234-1234-123456789012";

/// Adds a document of one script.
fn add(lab: &Lab, name: &str, lines: &[&str]) {
    let document = json!({
        "schemaVersion": "2.2",
        "parameters": {"Word": {"type": "String", "default": "hello"}},
        "mainSteps": [{
            "action": "aws:runShellScript", "name": "script", "inputs": {"runCommand": lines},
        }],
    });
    documents::enter(&mut lab.state(), HERE, name, &document.to_string());
}

fn missing(lab: &Lab, node: &str) -> usize {
    let at = lab.at(node);
    let mut state = lab.state();
    let judgement = state.judgement_for(at).unwrap();
    state.missing(at, &judgement.wanted).count_ones(..)
}

/// Sends the document and waits for its end: the stage of its invocation, and its steps.
fn run(lab: &Lab, node: &str, parameters: Value) -> (String, Vec<Value>) {
    let id = lab.send(HOOKED, &[node.to_owned()], parameters);
    lab.advance(3_500);
    let list = lab.good("ListCommandInvocations", &json!({"CommandId": id, "Details": true}));
    let plugins = list["CommandInvocations"][0]["CommandPlugins"].as_array().unwrap().clone();
    (lab.stages(&id).remove(0), plugins)
}

fn statuses(plugins: &[Value]) -> Vec<&str> {
    plugins.iter().map(|it| it["Status"].as_str().unwrap()).collect()
}

fn output(plugin: &Value) -> &str {
    plugin["Output"].as_str().unwrap()
}

#[test]
fn a_hook_that_fails_stops_the_install_but_not_the_last_hook() {
    let lab = Lab::new(Behavior::Well);
    add(&lab, "Own-Fails", &["echo not yet", "exit 3"]);
    add(&lab, "Own-Says", &["echo {{ Word }} from `hostname`"]);
    let node = behind(&lab);
    let before = missing(&lab, &node);
    let hooks = json!({
        "Operation": ["Install"],
        "PreInstallHookDocName": ["Own-Fails"],
        "OnExitHookDocName": ["Own-Says"],
    });
    let (stage, plugins) = run(&lab, &node, hooks);
    assert_eq!(stage, "Failed");
    let expected = ["Success", "Failed", "Cancelled", "Cancelled", "Cancelled", "Success"];
    assert_eq!(statuses(&plugins), expected);
    assert_eq!(plugins[1]["ResponseCode"], 3);
    assert!(output(&plugins[1]).starts_with("not yet\n"), "{}", plugins[1]);
    assert!(output(&plugins[5]).starts_with("hello from"), "{}", plugins[5]);
    assert_eq!(missing(&lab, &node), before);
}

#[test]
fn hooks_that_succeed_run_around_the_install() {
    let lab = Lab::new(Behavior::Well);
    add(&lab, "Own-Pre", &["echo before", "sleep 600"]);
    add(&lab, "Own-Post", &["echo after"]);
    let node = behind(&lab);
    let hooks = json!({
        "Operation": ["Install"],
        "PreInstallHookDocName": ["Own-Pre"],
        "PostInstallHookDocName": ["Own-Post"],
    });
    let (stage, plugins) = run(&lab, &node, hooks);
    assert_eq!(stage, "Success");
    assert_eq!(output(&plugins[1]), "before\n");
    assert_eq!(output(&plugins[3]), "after\n");
    let time = |plugin: &Value, name: &str| plugin[name].as_f64().unwrap();
    let lasted =
        time(&plugins[1], "ResponseFinishDateTime") - time(&plugins[1], "ResponseStartDateTime");
    assert!(lasted >= 600.0, "{lasted}");
    assert!(
        time(&plugins[1], "ResponseFinishDateTime") <= time(&plugins[2], "ResponseStartDateTime")
    );
    assert_eq!(missing(&lab, &node), 0);
}

#[test]
fn a_hook_after_the_install_that_fails_leaves_the_reboot_out() {
    let lab = Lab::new(Behavior::Well);
    add(&lab, "Own-Fails", &["false"]);
    let node = behind(&lab);
    let hooks = json!({"Operation": ["Install"], "PostInstallHookDocName": ["Own-Fails"]});
    let (stage, plugins) = run(&lab, &node, hooks);
    assert_eq!(stage, "Failed");
    let expected = ["Success", "Success", "Success", "Failed", "Cancelled", "Success"];
    assert_eq!(statuses(&plugins), expected);
    let at = lab.at(&node);
    assert!(lab.state().machine(at).reboot_pending());
}

#[test]
fn a_hook_of_several_steps_fails_by_one_of_them_and_runs_those_of_its_platform() {
    let lab = Lab::new(Behavior::Well);
    let step = |name: &str, platform: &str, line: &str| {
        json!({
            "action": "aws:runShellScript", "name": name,
            "precondition": {"StringEquals": ["platformType", platform]},
            "inputs": {"runCommand": [line]},
        })
    };
    let document = json!({"schemaVersion": "2.2", "mainSteps": [
        step("other", "Windows", "exit 9"),
        step("first", "Linux", "exit 4"),
        step("second", "Linux", "echo second"),
    ]});
    documents::enter(&mut lab.state(), HERE, "Own-Steps", &document.to_string());
    let node = behind(&lab);
    let hooks = json!({"Operation": ["Install"], "PreInstallHookDocName": ["Own-Steps"]});
    let (_, plugins) = run(&lab, &node, hooks);
    assert_eq!(plugins[1]["ResponseCode"], 4);
    assert!(output(&plugins[1]).contains("second"), "{}", plugins[1]);
}

#[test]
fn a_hook_that_cannot_be_run_fails_and_says_why() {
    let lab = Lab::new(Behavior::Well);
    let asks = json!({
        "schemaVersion": "2.2",
        "parameters": {"Service": {"type": "String"}},
        "mainSteps": [{"action": "aws:runShellScript", "name": "x", "inputs": {"runCommand": []}}],
    });
    documents::enter(&mut lab.state(), HERE, "Own-Asks", &asks.to_string());
    let node = behind(&lab);
    for (name, why) in [("Own-Asks", "Service"), (HOOKED, "Operation"), ("None", "not exist")] {
        let hooks = json!({"Operation": ["Install"], "PreInstallHookDocName": [name]});
        let (stage, plugins) = run(&lab, &node, hooks);
        assert_eq!((stage.as_str(), &plugins[1]["Status"]), ("Failed", &json!("Failed")));
        assert!(output(&plugins[1]).contains(why), "{}", plugins[1]);
    }
}

#[test]
fn a_scan_with_hooks_is_by_its_snapshot() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    run(&lab, &node, json!({"Operation": ["Scan"], "SnapshotId": [GUID]}));
    let at = lab.at(&node);
    let state = lab.state();
    let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap();
    assert_eq!(&*scan.snapshot, GUID);
}
