use serde_json::{Value, json};

use crate::cloud::{
    aws::ssm::lab::{HERE, Lab},
    world::machine::{Agent, Behavior},
};

const PATCH: &str = "AWS-RunPatchBaseline";
const GUID: &str = "12345678-1234-1234-1234-123456789012";

/// The operation and the counts (missing, failed, pending) that the service knows of a node.
fn known(lab: &Lab, node: &str) -> (String, [u32; 3]) {
    let at = lab.at(node);
    let state = lab.state();
    let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap();
    let counts = scan.verdict.counts;
    let counts = [counts.missing, counts.failed, counts.installed_pending_reboot];
    (format!("{:?}", scan.operation), counts)
}

fn execution(lab: &Lab, node: &str) -> Option<String> {
    let at = lab.at(node);
    let state = lab.state();
    let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref()?;
    Some(scan.execution.to_string())
}

fn run(lab: &Lab, node: &str, parameters: Value, seconds: u64) -> (String, Value) {
    let id = lab.send(PATCH, &[node.to_owned()], parameters);
    lab.advance(seconds);
    let got = lab.plugin(&id, node, "PatchLinux");
    (id, got)
}

/// A Linux node that lacks approved patches, and was scanned.
pub(super) fn behind(lab: &Lab) -> String {
    let lacks = |node: &String| {
        let at = lab.at(node);
        let mut state = lab.state();
        state.machine_mut(at).patches.installed.clear();
        let judgement = state.judgement_for(at).unwrap();
        (3..40).contains(&state.missing(at, &judgement.wanted).count_ones(..))
    };
    let node = lab.linux().into_iter().find(lacks).unwrap();
    let (_, got) = run(lab, &node, json!({"Operation": ["Scan"]}), 120);
    assert_eq!(got["Status"], "Success", "{got}");
    node
}

#[test]
fn the_report_of_a_run_tells_the_reboot_option_that_was_given() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    for (node, parameters, option) in [
        (0, json!({"Operation": ["Install"]}), "RebootIfNeeded"),
        (1, json!({"Operation": ["Install"], "RebootOption": ["NoReboot"]}), "NoReboot"),
    ] {
        let id = lab.send("AWS-RunPatchBaseline", &nodes[node..=node], parameters);
        lab.advance(7_200);
        let told = lab.plugin(&id, &nodes[node], "PatchLinux");
        let text = told["StandardOutputContent"].as_str().unwrap();
        let line = text.lines().find(|it| it.starts_with("RebootOption")).unwrap();
        assert_eq!(line.split(": ").nth(1), Some(option), "{text}");
    }
}

#[test]
fn a_scan_overwrites_what_was_known_and_changes_nothing() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let before = known(&lab, &node);
    let (id, got) = run(&lab, &node, json!({"Operation": ["Scan"]}), 120);
    assert_eq!(got["StatusDetails"], "Success");
    assert_eq!(known(&lab, &node), before);
    assert_eq!(execution(&lab, &node), Some(id));
}

#[test]
fn the_steps_of_other_platforms_are_skipped_and_report_that() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let (id, _) = run(&lab, &node, json!({"Operation": ["Scan"]}), 120);
    for (step, platform) in [("PatchWindows", "Windows"), ("PatchMacOS", "MacOS")] {
        let got = lab.plugin(&id, &node, step);
        assert_eq!(got["Status"], "Success", "{got}");
        let told = format!("[platformType, {platform}]'. Step name: {step}");
        assert!(got["StandardOutputContent"].as_str().unwrap().contains(&told), "{got}");
    }
}

#[test]
fn an_install_with_a_reboot_resumes_the_same_command_and_leaves_nothing_missing() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let (id, got) = run(&lab, &node, json!({"Operation": ["Install"]}), 3_000);
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Success"), &json!(0)));
    assert_eq!(known(&lab, &node), ("Install".to_owned(), [0, 0, 0]));
    assert_eq!(execution(&lab, &node), Some(id));
    let at = lab.at(&node);
    assert!(lab.state().machine(at).booted > "2026-03-03T10:00:00Z".parse().unwrap());
}

#[test]
fn without_a_reboot_what_was_installed_waits_for_one() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let no_reboot = json!({"Operation": ["Install"], "RebootOption": ["NoReboot"]});
    let (_, got) = run(&lab, &node, no_reboot, 3_000);
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Success"), &json!(0)));
    let (_, [missing, failed, pending]) = known(&lab, &node);
    assert_eq!((missing, failed), (0, 0));
    assert!(pending > 0);
}

#[test]
fn an_install_reports_what_it_could_not_install_as_failed_and_fails() {
    let lab = Lab::new(Behavior::OneFails);
    let node = behind(&lab);
    let (id, got) = run(&lab, &node, json!({"Operation": ["Install"]}), 3_000);
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Failed"), &json!(1)));
    assert!(got["StandardErrorContent"].as_str().unwrap().contains("exit status 1"));
    assert_eq!(known(&lab, &node), ("Install".to_owned(), [0, 1, 0]));
    assert_eq!(lab.command(&id)["StatusDetails"], "Failed");
}

#[test]
fn a_second_install_brings_the_rest() {
    let lab = Lab::new(Behavior::TwoRounds);
    let node = behind(&lab);
    let install = || run(&lab, &node, json!({"Operation": ["Install"]}), 3_000).1;
    assert_eq!(install()["Status"], "Failed");
    assert_eq!(install()["Status"], "Success");
    assert_eq!(known(&lab, &node).1, [0, 0, 0]);
}

#[test]
fn what_never_comes_back_times_out() {
    for behavior in [Behavior::Hangs, Behavior::RebootsForever, Behavior::DiesInTheMiddle] {
        let lab = Lab::new(behavior);
        let node = behind(&lab);
        let before = execution(&lab, &node);
        let (id, got) = run(&lab, &node, json!({"Operation": ["Install"]}), 3_000);
        assert_eq!(got["Status"], "InProgress", "{behavior:?}");
        lab.advance(900);
        assert_eq!(lab.stages(&id), ["ExecutionTimedOut"], "{behavior:?}");
        assert_eq!(lab.command(&id)["StatusDetails"], "ExecutionTimedOut");
        // Nothing was uploaded.
        assert_eq!(execution(&lab, &node), before);
    }
}

#[test]
fn a_node_that_boots_for_ever_is_left_silent_once_its_command_is_over() {
    let lab = Lab::new(Behavior::RebootsForever);
    let node = behind(&lab);
    let at = lab.at(&node);
    let boots = || lab.state().machine(at).power_changes;
    let (id, _) = run(&lab, &node, json!({"Operation": ["Install"]}), 3_000);
    let while_it_ran = boots();
    assert!(while_it_ran > 4, "{while_it_ran}");
    lab.advance(1_200);
    assert_eq!(lab.stages(&id), ["ExecutionTimedOut"]);
    let after = boots();
    lab.advance(86_400);
    assert_eq!(boots(), after);
    assert!(!lab.state().answers(at));
}

#[test]
fn the_step_s_timeout_is_the_parameter_s() {
    let lab = Lab::new(Behavior::Hangs);
    let node = behind(&lab);
    let short = json!({"Operation": ["Install"], "StepTimeoutSeconds": ["300"]});
    let (id, _) = run(&lab, &node, short, 320);
    assert_eq!(lab.stages(&id), ["ExecutionTimedOut"]);
    // The agent has ended what hung: the next operation finds no lock.
    let (_, got) = run(&lab, &node, json!({"Operation": ["Scan"]}), 120);
    assert_eq!(got["Status"], "Success");
}

#[test]
fn a_busy_node_fails_with_the_package_manager_s_lock() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let first = lab.send(PATCH, std::slice::from_ref(&node), json!({"Operation": ["Scan"]}));
    lab.advance(2);
    let (_, got) = run(&lab, &node, json!({"Operation": ["Install"]}), 10);
    assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Failed"), &json!(1)));
    let stderr = got["StandardErrorContent"].as_str().unwrap();
    assert!(stderr.contains("lock"), "{stderr}");
    lab.advance(120);
    assert_eq!(lab.stages(&first), ["Success"]);
}

#[test]
fn a_cancelled_install_stops_where_it_stands() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let before = known(&lab, &node);
    let id = lab.send(PATCH, std::slice::from_ref(&node), json!({"Operation": ["Install"]}));
    lab.advance(5);
    lab.good("CancelCommand", &json!({"CommandId": id}));
    lab.advance(3_000);
    assert_eq!(lab.stages(&id), ["Cancelled"]);
    assert_eq!(known(&lab, &node), before);
    let at = lab.at(&node);
    assert_eq!(lab.state().machine(at).job, None);
}

#[test]
fn a_snapshot_keeps_its_approved_set() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let with = |seconds| {
        run(&lab, &node, json!({"Operation": ["Scan"], "SnapshotId": [GUID]}), seconds);
        let at = lab.at(&node);
        let state = lab.state();
        let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap();
        (std::sync::Arc::clone(&scan.judgement), scan.snapshot.to_string())
    };
    let (first, snapshot) = with(120);
    assert_eq!(snapshot, GUID);
    lab.advance(2 * 86_400);
    let (second, _) = with(120);
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    lab.advance(2 * 86_400);
    let (third, _) = with(120);
    assert!(!std::sync::Arc::ptr_eq(&first, &third));
}

fn wanted(lab: &Lab, node: &str) -> Vec<(String, String)> {
    let at = lab.at(node);
    let mut state = lab.state();
    let judgement = state.judgement_for(at).unwrap();
    let missing = state.missing(at, &judgement.wanted);
    let system = state.machine(at).system;
    let patches = &state.catalogue.system(system).patches;
    let name = |n: usize| {
        let title = patches[n].title.clone().unwrap_or_default();
        (patches[n].id.to_string(), title)
    };
    missing.ones().map(name).collect()
}

#[test]
fn an_override_list_is_all_that_is_installed() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let (name, _) = wanted(&lab, &node).remove(0);
    lab.bucket.add("lists/one.yaml", &format!("patches:\n  - id: '{name}'\n"));
    let before = known(&lab, &node).1[0];
    let parameters = json!({
        "Operation": ["Install"], "RebootOption": ["NoReboot"],
        "InstallOverrideList": ["s3://lists/one.yaml"],
    });
    let (_, got) = run(&lab, &node, parameters, 3_000);
    assert_eq!(got["Status"], "Success", "{got}");
    let output = got["StandardOutputContent"].as_str().unwrap();
    assert!(output.contains(&format!("Installed: {name}")), "{output}");
    let still = wanted(&lab, &node).len();
    assert!(still < before as usize, "{still} of {before}");
    // Compliance is still judged by the baseline.
    let (_, [missing, failed, _]) = known(&lab, &node);
    assert_eq!((missing, failed as usize), (0, still));
}

#[test]
fn a_file_that_is_not_there_or_not_valid_fails_the_step_with_its_name() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    lab.bucket.add("lists/bad.yaml", "- just\n- words\n");
    for url in ["s3://lists/none.yaml", "s3://lists/bad.yaml", "https://example.com/list.yaml"] {
        let parameters = json!({"Operation": ["Install"], "InstallOverrideList": [url]});
        let (_, got) = run(&lab, &node, parameters, 60);
        assert_eq!((&got["Status"], &got["ResponseCode"]), (&json!("Failed"), &json!(1)));
        let stderr = got["StandardErrorContent"].as_str().unwrap();
        assert!(stderr.contains("override list") || stderr.contains(url), "{stderr}");
    }
    // A scan does not look at it.
    let scan = json!({"Operation": ["Scan"], "InstallOverrideList": ["s3://lists/none.yaml"]});
    assert_eq!(run(&lab, &node, scan, 120).1["Status"], "Success");
}

#[test]
fn a_baseline_override_is_not_uploaded_but_for_a_patch_policy() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let at = lab.at(&node);
    let os = lab.state().system_of(at).os.as_str().to_owned();
    let file = json!([{"OperatingSystem": os, "ApprovedPatches": [], "RejectedPatches": []}]);
    lab.bucket.add("base/line.json", &file.to_string());
    let before = execution(&lab, &node);
    let parameters = json!({"Operation": ["Scan"], "BaselineOverride": ["s3://base/line.json"]});
    let (_, got) = run(&lab, &node, parameters.clone(), 120);
    assert_eq!(got["Status"], "Success", "{got}");
    assert!(got["StandardOutputContent"].as_str().unwrap().contains("MissingCount"));
    assert_eq!(execution(&lab, &node), before);
    let mut policy = parameters;
    policy["AssociationId"] = json!([GUID]);
    let (id, _) = run(&lab, &node, policy, 120);
    assert_eq!(execution(&lab, &node), Some(id));
    let state = lab.state();
    let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap();
    assert_eq!(scan.execution_type, "PatchPolicy");
}

#[test]
fn both_overrides_at_once_fail() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let parameters = json!({
        "Operation": ["Install"], "BaselineOverride": ["s3://base/line.json"],
        "InstallOverrideList": ["s3://lists/one.yaml"],
    });
    assert_eq!(run(&lab, &node, parameters, 60).1["Status"], "Failed");
}

#[test]
fn hooks_run_in_order_and_the_last_one_always() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let send = |pre: &str| {
        let parameters = json!({"Operation": ["Install"], "PreInstallHookDocName": [pre]});
        let id = lab.send("AWS-RunPatchBaselineWithHooks", std::slice::from_ref(&node), parameters);
        lab.advance(3_500);
        let input = json!({"CommandId": id, "Details": true});
        let list = lab.good("ListCommandInvocations", &input);
        let plugins = list["CommandInvocations"][0]["CommandPlugins"].as_array().unwrap().clone();
        let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        let plugins: Vec<(String, String)> =
            plugins.iter().map(|it| (text(it, "Name"), text(it, "Status"))).collect();
        (lab.stages(&id), plugins)
    };
    let (stages, plugins) = send("AWS-Nothing");
    assert_eq!(stages, ["Failed"]);
    let statuses: Vec<&str> = plugins.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(statuses, ["Success", "Failed", "Cancelled", "Cancelled", "Cancelled", "Success"]);
    assert!(known(&lab, &node).1[0] > 0);
    let (stages, plugins) = send("AWS-Noop");
    assert_eq!(stages, ["Success"]);
    let names: Vec<&str> = plugins.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(
        names,
        ["Scan", "PreInstallHook", "InstallNoReboot", "PostInstallHook", "Reboot", "OnExitHook"]
    );
    assert_eq!(known(&lab, &node).1, [0, 0, 0]);
}

#[test]
fn a_scan_for_an_association_leaves_patch_compliance_alone() {
    let lab = Lab::new(Behavior::Well);
    let node = behind(&lab);
    let before = execution(&lab, &node);
    let document = "AWS-RunPatchBaselineAssociation";
    let parameters = json!({"Operation": ["Scan"], "AssociationId": [GUID]});
    lab.send(document, std::slice::from_ref(&node), parameters.clone());
    lab.advance(120);
    assert_eq!(execution(&lab, &node), before);
    {
        let state = lab.state();
        let items = &state.scope(HERE).ssm.association_compliance;
        let item = &items[&(node.as_str().into(), GUID.into())];
        assert!(item.details["DetailedText"].contains("MissingCount"));
    }
    // It runs on EC2 instances only.
    let id = lab.send(document, &lab.hybrid()[..1], parameters);
    lab.advance(120);
    assert_eq!(lab.stages(&id), ["Failed"]);
}

#[test]
fn an_old_agent_is_updated_and_goes_back_only_where_that_is_allowed() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let at = lab.at(&node);
    let version = || lab.state().machine(at).aws.as_ref().unwrap().agent_version.to_string();
    lab.set_agent(&node, Agent::OldVersion);
    lab.state().machine_mut(at).aws.as_mut().unwrap().agent_version = "3.1.1260.0".into();
    let update = |parameters: Value| {
        let id = lab.send("AWS-UpdateSSMAgent", std::slice::from_ref(&node), parameters);
        lab.advance(60);
        lab.stages(&id).remove(0)
    };
    assert_eq!(update(json!({})), "Success");
    let current = version();
    assert_ne!(current, "3.1.1260.0");
    assert_eq!(lab.state().machine(at).aws.as_ref().unwrap().agent, Agent::Online);
    assert_eq!(update(json!({"version": ["3.1.1260.0"]})), "Failed");
    assert_eq!(update(json!({"version": ["99.0.0.0"]})), "Failed");
    assert_eq!(version(), current);
    let down = json!({"version": ["3.1.1260.0"], "allowDowngrade": ["true"]});
    assert_eq!(update(down), "Success");
    assert_eq!(version(), "3.1.1260.0");
}

#[test]
fn a_node_that_is_turned_off_in_the_middle_times_out() {
    let lab = Lab::new(Behavior::Well);
    let node = lab.linux().remove(0);
    let script = json!({"commands": ["sleep 300"], "executionTimeout": ["600"]});
    let id = lab.send("AWS-RunShellScript", &[node], script);
    lab.advance(10);
    let at = lab.at(&lab.linux()[0]);
    lab.state().power_off(at, crate::cloud::world::power::Off::Stop);
    lab.advance(500);
    assert_eq!(lab.stages(&id), ["InProgress"]);
    lab.advance(300);
    assert_eq!(lab.stages(&id), ["ExecutionTimedOut"]);
}
