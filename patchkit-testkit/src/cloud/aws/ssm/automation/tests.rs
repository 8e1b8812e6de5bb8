use serde_json::{Value, json};

use crate::cloud::{
    aws::ssm::{
        documents,
        lab::{HERE, Lab},
    },
    world::{
        machine::{Behavior, Power},
        power::Off,
    },
};

fn start(lab: &Lab, input: &Value) -> String {
    lab.good("StartAutomationExecution", input)["AutomationExecutionId"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn get(lab: &Lab, id: &str) -> Value {
    lab.good("GetAutomationExecution", &json!({"AutomationExecutionId": id}))["AutomationExecution"]
        .clone()
}

fn status(lab: &Lab, id: &str) -> String {
    get(lab, id)["AutomationExecutionStatus"].as_str().unwrap().to_owned()
}

/// Adds a runbook of the account's own.
fn own(lab: &Lab, name: &str, text: &str) {
    documents::enter(&mut lab.state(), HERE, name, text);
}

/// A stopped instance, and one that runs.
fn instances(lab: &Lab) -> (String, String) {
    let running = lab.linux().remove(0);
    let stopped = lab.stopped().into_iter().find(|id| id.starts_with("i-")).unwrap();
    (stopped, running)
}

#[test]
fn instances_are_started_and_stopped() {
    let lab = Lab::new(Behavior::Well);
    let (stopped, running) = instances(&lab);
    let ids = json!({"InstanceId": [stopped, running]});
    let input = json!({"DocumentName": "AWS-StartEC2Instance", "Parameters": ids});
    let id = start(&lab, &input);
    let now = get(&lab, &id);
    assert_eq!(now["AutomationExecutionStatus"], "InProgress");
    assert_eq!(now["CurrentStepName"], "startInstances");
    lab.advance(120);
    assert_eq!(status(&lab, &id), "Success");
    let at = lab.at(&stopped);
    assert_eq!(lab.state().machine(at).power, Power::Running);
    let stop =
        json!({"DocumentName": "AWS-StopEC2Instance", "Parameters": {"InstanceId": [stopped]}});
    assert_eq!(lab.reached("StartAutomationExecution", &stop), [stopped.as_str()]);
    lab.advance(180);
    assert_eq!(lab.state().machine(at).power, Power::Stopped);
}

#[test]
fn an_instance_that_is_not_there_fails_the_step_with_a_message() {
    let lab = Lab::new(Behavior::Well);
    for id in [lab.hybrid().remove(0), "i-0123456789abcdef0".to_owned()] {
        let ids = json!({"InstanceId": [id]});
        let input = json!({"DocumentName": "AWS-StartEC2Instance", "Parameters": ids});
        let execution = get(&lab, &start(&lab, &input));
        assert_eq!(execution["AutomationExecutionStatus"], "Failed");
        assert!(execution["FailureMessage"].as_str().unwrap().contains(&id));
        assert_eq!(execution["ProgressCounters"]["FailedSteps"], 1);
    }
}

#[test]
fn unknown_runbooks_versions_and_parameters_are_refused() {
    let lab = Lab::new(Behavior::Well);
    let ask = |input: Value| lab.refused("StartAutomationExecution", &input);
    let unknown = json!({"DocumentName": "AWS-Nothing"});
    assert_eq!(ask(unknown), "AutomationDefinitionNotFoundException");
    let name = "AWS-StartEC2Instance";
    let version = json!({"DocumentName": name, "DocumentVersion": "9"});
    assert_eq!(ask(version), "AutomationDefinitionVersionNotFoundException");
    for parameters in
        [json!({"AutomationAssumeRole": ["r"]}), json!({"InstanceId": ["i-1"], "More": ["x"]})]
    {
        let input = json!({"DocumentName": name, "Parameters": parameters});
        assert_eq!(ask(input), "InvalidAutomationExecutionParametersException");
    }
    let id = json!({"AutomationExecutionId": "00000000-0000-0000-0000-000000000000"});
    for operation in
        ["GetAutomationExecution", "StopAutomationExecution", "DescribeAutomationStepExecutions"]
    {
        assert_eq!(lab.refused(operation, &id), "AutomationExecutionNotFoundException");
    }
}

const PATCH: &str = r"
schemaVersion: '0.3'
parameters:
  Node: {type: String}
  Operation: {type: String, default: Scan, allowedValues: [Scan, Install]}
mainSteps:
  - name: start
    action: aws:changeInstanceState
    inputs: {InstanceIds: ['{{ Node }}'], DesiredState: running}
  - name: online
    action: aws:waitForAwsResourceProperty
    timeoutSeconds: 600
    inputs:
      Service: ssm
      Api: DescribeInstanceInformation
      InstanceInformationFilterList: [{key: InstanceIds, valueSet: ['{{ Node }}']}]
      PropertySelector: '$.InstanceInformationList[0].PingStatus'
      DesiredValues: [Online]
  - name: patch
    action: aws:runCommand
    inputs:
      DocumentName: AWS-RunPatchBaseline
      InstanceIds: ['{{ Node }}']
      Parameters: {Operation: '{{ Operation }}'}
      Comment: 'run {{ automation:EXECUTION_ID }}'
  - name: check
    action: aws:assertAwsResourceProperty
    inputs:
      Service: ec2
      Api: DescribeInstances
      InstanceIds: ['{{ Node }}']
      PropertySelector: '$.Reservations[0].Instances[0].State.Name'
      DesiredValues: [running]
  - name: wait
    action: aws:sleep
    inputs: {Duration: PT2M}
  - name: stop
    action: aws:changeInstanceState
    isEnd: true
    inputs: {InstanceIds: ['{{ Node }}'], DesiredState: stopped}
";

#[test]
fn a_runbook_of_one_s_own_starts_patches_and_stops() {
    let lab = Lab::new(Behavior::Well);
    own(&lab, "Own-Patch", PATCH);
    let node = lab.linux().remove(0);
    let at = lab.at(&node);
    lab.state().power_off(at, Off::Stop);
    lab.advance(120);
    let id = start(&lab, &json!({"DocumentName": "Own-Patch", "Parameters": {"Node": [node]}}));
    lab.advance(900);
    let execution = get(&lab, &id);
    assert_eq!(execution["AutomationExecutionStatus"], "Success", "{execution}");
    assert_eq!(lab.state().machine(at).power, Power::Stopped);
    let input =
        json!({"AutomationExecutionId": id, "Filters": [{"Key": "StepName", "Values": ["patch"]}]});
    let steps = lab.good("DescribeAutomationStepExecutions", &input)["StepExecutions"].clone();
    let command = steps[0]["Outputs"]["CommandId"][0].as_str().unwrap();
    let command = lab.command(command);
    assert_eq!(command["Comment"], json!(format!("run {id}")));
    assert_eq!(command["Parameters"]["Operation"], json!(["Scan"]));
    let reverse = json!({"AutomationExecutionId": id, "ReverseOrder": true, "MaxResults": 1});
    let last = lab.good("DescribeAutomationStepExecutions", &reverse);
    assert_eq!(last["StepExecutions"][0]["StepName"], "stop");
    assert!(last["NextToken"].is_string());
}

#[test]
fn what_is_not_modelled_fails_the_execution_by_its_name() {
    let lab = Lab::new(Behavior::Well);
    own(
        &lab,
        "Own-Lambda",
        r#"{"schemaVersion": "0.3", "mainSteps": [
        {"name": "call", "action": "aws:invokeLambdaFunction", "inputs": {}}]}"#,
    );
    let execution = get(&lab, &start(&lab, &json!({"DocumentName": "Own-Lambda"})));
    assert_eq!(execution["AutomationExecutionStatus"], "Failed");
    let message = execution["FailureMessage"].as_str().unwrap();
    assert!(message.contains("aws:invokeLambdaFunction"), "{message}");
    own(&lab, "Own-Broken", "schemaVersion: '2.2'\nmainSteps: []");
    let broken = json!({"DocumentName": "Own-Broken"});
    let refused = lab.refused("StartAutomationExecution", &broken);
    assert_eq!(refused, "InvalidAutomationExecutionParametersException");
}

#[test]
fn a_failed_step_goes_where_the_runbook_says() {
    let lab = Lab::new(Behavior::Well);
    let steps = |on_failure: &str, critical: bool| {
        json!({"schemaVersion": "0.3", "mainSteps": [
            {"name": "fail", "action": "aws:sleep", "inputs": {}, "onFailure": on_failure,
             "isCritical": critical},
            {"name": "next", "action": "aws:sleep", "inputs": {"Duration": "PT1S"}},
            {"name": "last", "action": "aws:sleep", "inputs": {"Duration": "PT1S"}}]})
        .to_string()
    };
    let run = |on_failure: &str, critical: bool| {
        own(&lab, "Own-Steps", &steps(on_failure, critical));
        let id = start(&lab, &json!({"DocumentName": "Own-Steps"}));
        lab.advance(30);
        let execution = get(&lab, &id);
        let names = execution["StepExecutions"].as_array().unwrap().clone();
        let names: Vec<String> =
            names.iter().map(|it| it["StepName"].as_str().unwrap().to_owned()).collect();
        (status(&lab, &id), names.join(" "))
    };
    assert_eq!(run("Abort", true), ("Failed".into(), "fail".into()));
    assert_eq!(run("Continue", true), ("Failed".into(), "fail next last".into()));
    assert_eq!(run("Continue", false), ("Success".into(), "fail next last".into()));
    assert_eq!(run("step:last", true), ("Failed".into(), "fail last".into()));
    assert_eq!(run("step:last", false), ("Success".into(), "fail last".into()));
    assert_eq!(run("Abort", false), ("Failed".into(), "fail".into()));
}

#[test]
fn a_step_that_lasts_too_long_times_the_execution_out() {
    let lab = Lab::new(Behavior::Well);
    own(
        &lab,
        "Own-Slow",
        &json!({"schemaVersion": "0.3", "mainSteps": [
        {"name": "slow", "action": "aws:sleep", "timeoutSeconds": 10,
         "inputs": {"Duration": "PT1H"}}]})
        .to_string(),
    );
    let id = start(&lab, &json!({"DocumentName": "Own-Slow"}));
    lab.advance(20);
    assert_eq!(status(&lab, &id), "TimedOut");
    assert_eq!(get(&lab, &id)["ProgressCounters"]["TimedOutSteps"], 1);
}

#[test]
fn stopping_cancels_the_command_that_a_step_waits_for() {
    let lab = Lab::new(Behavior::Well);
    own(&lab, "Own-Patch", PATCH);
    let node = lab.linux().remove(0);
    let id = start(&lab, &json!({"DocumentName": "Own-Patch", "Parameters": {"Node": [node]}}));
    lab.advance(8);
    assert_eq!(get(&lab, &id)["CurrentStepName"], "patch");
    lab.good("StopAutomationExecution", &json!({"AutomationExecutionId": id}));
    assert_eq!(status(&lab, &id), "Cancelling");
    lab.advance(60);
    assert_eq!(status(&lab, &id), "Cancelled");
    let commands = lab.good("ListCommands", &json!({}))["Commands"].clone();
    assert_eq!(commands[0]["Status"], "Cancelled");
    let again = json!({"AutomationExecutionId": id});
    let refused = lab.refused("StopAutomationExecution", &again);
    assert_eq!(refused, "InvalidAutomationStatusUpdateException");
}

#[test]
fn completing_lets_the_step_end_and_begins_no_other() {
    let lab = Lab::new(Behavior::Well);
    own(&lab, "Own-Patch", PATCH);
    let node = lab.linux().remove(0);
    let id = start(&lab, &json!({"DocumentName": "Own-Patch", "Parameters": {"Node": [node]}}));
    lab.advance(8);
    lab.good("StopAutomationExecution", &json!({"AutomationExecutionId": id, "Type": "Complete"}));
    lab.advance(300);
    let execution = get(&lab, &id);
    assert_eq!(execution["AutomationExecutionStatus"], "Cancelled");
    let last = execution["StepExecutions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["StepName"], &last["StepStatus"]), (&json!("patch"), &json!("Success")));
}

fn over(lab: &Lab, targets: &Value, more: &Value) -> String {
    let mut input = json!({
        "DocumentName": "AWS-StartEC2Instance", "TargetParameterName": "InstanceId",
        "Targets": targets,
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    start(lab, &input)
}

#[test]
fn each_target_has_an_execution_of_its_own() {
    let lab = Lab::new(Behavior::Well);
    let ids = lab.linux()[..4].to_vec();
    let targets = json!([{"Key": "ParameterValues", "Values": ids}]);
    let id = over(&lab, &targets, &json!({"MaxConcurrency": "2"}));
    lab.advance(60);
    let parent = get(&lab, &id);
    assert_eq!(parent["AutomationExecutionStatus"], "Success");
    assert_eq!(parent["ResolvedTargets"]["ParameterValues"], json!(ids));
    assert_eq!(parent["ProgressCounters"]["SuccessSteps"], 4);
    let list = |input: Value| {
        let list = lab.good("DescribeAutomationExecutions", &input);
        list["AutomationExecutionMetadataList"].as_array().unwrap().clone()
    };
    // Only the parent is listed, unless its children are asked for.
    assert_eq!(list(json!({})).len(), 1);
    let children = json!({"Filters": [{"Key": "ParentExecutionId", "Values": [id]}]});
    let children = list(children);
    assert_eq!(children.len(), 4);
    assert!(children.iter().all(|it| it["ParentAutomationExecutionId"] == json!(id)));
    let failed = json!({"Filters": [{"Key": "ExecutionStatus", "Values": ["Failed"]}]});
    assert!(list(failed).is_empty());
}

#[test]
fn targets_by_tag_are_instances_whether_managed_and_running_or_not() {
    let lab = Lab::new(Behavior::Well);
    let (stopped, running) = instances(&lab);
    lab.tag(&[stopped.clone(), running, lab.hybrid().remove(0)], "Set", "a");
    let targets = json!([{"Key": "tag:Set", "Values": ["a"]}]);
    let id = over(&lab, &targets, &json!({}));
    lab.advance(120);
    assert_eq!(get(&lab, &id)["ProgressCounters"]["TotalSteps"], 2);
    assert_eq!(status(&lab, &id), "Success");
    let at = lab.at(&stopped);
    assert_eq!(lab.state().machine(at).power, Power::Running);
}

#[test]
fn a_parent_stops_at_one_error_more_than_it_may_have() {
    let lab = Lab::new(Behavior::Well);
    let ids = json!([
        "i-00000000000000001",
        "i-00000000000000002",
        "i-00000000000000003",
        lab.linux()[0]
    ]);
    let run = |errors: &str| {
        let targets = json!([{"Key": "ParameterValues", "Values": ids}]);
        let more = json!({"MaxConcurrency": "1", "MaxErrors": errors});
        let id = over(&lab, &targets, &more);
        lab.advance(60);
        let execution = get(&lab, &id);
        (status(&lab, &id), execution["ProgressCounters"]["FailedSteps"].clone())
    };
    assert_eq!(run("0"), ("Failed".into(), json!(1)));
    assert_eq!(run("1"), ("Failed".into(), json!(2)));
    assert_eq!(run("100%"), ("CompletedWithFailure".into(), json!(3)));
}

#[test]
fn a_great_many_targets_that_fail_at_once_are_gone_through() {
    let lab = Lab::new(Behavior::Well);
    let ids: Vec<String> = (0..50).map(|n| format!("i-000000000000000{n:02}")).collect();
    let targets = json!([{"Key": "ParameterValues", "Values": ids}]);
    let more = json!({"MaxConcurrency": "1", "MaxErrors": "100%"});
    let id = over(&lab, &targets, &more);
    lab.advance(1);
    assert_eq!(get(&lab, &id)["ProgressCounters"]["FailedSteps"], 50);
    assert_eq!(status(&lab, &id), "CompletedWithFailure");
}

#[test]
fn a_token_starts_once() {
    let lab = Lab::new(Behavior::Well);
    let token = "0123abcd-0123-0123-0123-0123456789ab";
    let input = |id: &str| {
        json!({
            "DocumentName": "AWS-StartEC2Instance", "ClientToken": token,
            "Parameters": {"InstanceId": [id]},
        })
    };
    let nodes = lab.linux();
    assert_eq!(start(&lab, &input(&nodes[0])), start(&lab, &input(&nodes[0])));
    let refused = lab.refused("StartAutomationExecution", &input(&nodes[1]));
    assert_eq!(refused, "IdempotentParameterMismatch");
}
