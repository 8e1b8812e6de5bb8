//! Maintenance windows, asked as clients ask.

use std::time::Duration;

use serde_json::{Value, json};

use super::{runner::Runs, store_mut};
use crate::cloud::{
    aws::ssm::{lab::Lab, testing::Desk},
    world::machine::{Behavior, ScopeIx},
};

const HOUR: Duration = Duration::from_hours(1);

/// A desk whose commands succeed five minutes after they are sent; those with a comment of
/// `forever` run until they are cancelled.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.with(|state| {
        store_mut(state, ScopeIx(0)).runner.commands = Runs {
            start: |state, _, input| {
                assert!(input["DocumentName"].is_string());
                let forever = input["Comment"] == "forever";
                let ends = state.now.as_second() + if forever { 1 << 40 } else { 300 };
                Ok(format!("{}-{ends}", state.next_number()))
            },
            status: |state, _, id| {
                let (_, ends) = id.split_once('-')?;
                let over = state.now.as_second() >= ends.parse::<i64>().ok()?;
                Some(if over { "Success" } else { "InProgress" }.to_owned())
            },
            cancel: |_, _, _| {},
        };
    });
    desk
}

fn window(desk: &Desk, schedule: &str) -> String {
    let input = json!({
        "Name": "nightly",
        "Schedule": schedule,
        "Duration": 3,
        "Cutoff": 1,
        "AllowUnassociatedTargets": true,
    });
    text(&desk.good("CreateMaintenanceWindow", &input)["WindowId"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn target(desk: &Desk, window: &str, ids: &[&str]) -> String {
    let input = json!({
        "WindowId": window,
        "ResourceType": "INSTANCE",
        "OwnerInformation": "the web team",
        "Targets": [{"Key": "InstanceIds", "Values": ids}],
    });
    text(&desk.good("RegisterTargetWithMaintenanceWindow", &input)["WindowTargetId"])
}

fn task(desk: &Desk, window: &str, target: &str, change: &Value) -> String {
    let mut input = json!({
        "WindowId": window,
        "TaskArn": "AWS-RunPatchBaseline",
        "TaskType": "RUN_COMMAND",
        "MaxConcurrency": "1",
        "MaxErrors": "1",
        "Targets": [{"Key": "WindowTargetIds", "Values": [target]}],
        "TaskInvocationParameters": {"RunCommand": {"Parameters": {"Operation": ["Scan"]}}},
    });
    for (name, value) in change.as_object().unwrap() {
        input[name] = value.clone();
    }
    text(&desk.good("RegisterTaskWithMaintenanceWindow", &input)["WindowTaskId"])
}

fn executions(desk: &Desk, window: &str) -> Vec<Value> {
    let input = json!({"WindowId": window, "MaxResults": 10});
    desk.all("DescribeMaintenanceWindowExecutions", &input, "WindowExecutions")
}

fn tasks(desk: &Desk, execution: &Value) -> Vec<Value> {
    let input = json!({"WindowExecutionId": execution["WindowExecutionId"]});
    let member = "WindowExecutionTaskIdentities";
    desk.all("DescribeMaintenanceWindowExecutionTasks", &input, member)
}

fn invocations(desk: &Desk, task: &Value) -> Vec<Value> {
    let input = json!({
        "WindowExecutionId": task["WindowExecutionId"], "TaskId": task["TaskExecutionId"],
    });
    let member = "WindowExecutionTaskInvocationIdentities";
    desk.all("DescribeMaintenanceWindowExecutionTaskInvocations", &input, member)
}

#[test]
fn a_window_is_read_back_with_the_time_at_which_it_opens_next() {
    let desk = desk();
    let id = window(&desk, "cron(0 2 ? * TUE#2 *)");
    let read = desk.good("GetMaintenanceWindow", &json!({"WindowId": id}));
    assert_eq!(read["Schedule"], "cron(0 2 ? * TUE#2 *)");
    assert_eq!(read["Enabled"], true);
    assert_eq!(read["NextExecutionTime"], "2026-03-10T02:00Z");
    let update = json!({"WindowId": id, "ScheduleOffset": 2, "ScheduleTimezone": "Europe/Berlin"});
    desk.good("UpdateMaintenanceWindow", &update);
    let read = desk.good("GetMaintenanceWindow", &json!({"WindowId": id}));
    assert_eq!(read["NextExecutionTime"], "2026-03-12T01:00Z");
    assert_eq!(read["Name"], "nightly");
    desk.good("UpdateMaintenanceWindow", &json!({"WindowId": id, "Enabled": false}));
    let read = desk.good("GetMaintenanceWindow", &json!({"WindowId": id}));
    assert_eq!(read["NextExecutionTime"], Value::Null);
    let enabled = json!({"Filters": [{"Key": "Enabled", "Values": ["True"]}]});
    let count =
        |input: &Value| desk.all("DescribeMaintenanceWindows", input, "WindowIdentities").len();
    assert_eq!((count(&enabled), count(&json!({}))), (0, 1));
    desk.good("DeleteMaintenanceWindow", &json!({"WindowId": id}));
    desk.good("DeleteMaintenanceWindow", &json!({"WindowId": id}));
    let error = desk.bad("GetMaintenanceWindow", &json!({"WindowId": id}));
    assert_eq!(error, "DoesNotExistException");
}

#[test]
fn a_replacement_requires_what_a_creation_requires_and_forgets_the_rest() {
    let desk = desk();
    let id = window(&desk, "rate(1 day)");
    desk.good("UpdateMaintenanceWindow", &json!({"WindowId": id, "Description": "old"}));
    let short = json!({"WindowId": id, "Replace": true, "Name": "other"});
    assert_eq!(desk.bad("UpdateMaintenanceWindow", &short), "ValidationException");
    let whole = json!({
        "WindowId": id, "Replace": true, "Name": "other", "Schedule": "rate(2 days)",
        "Duration": 2, "Cutoff": 0, "AllowUnassociatedTargets": false,
    });
    let answer = desk.good("UpdateMaintenanceWindow", &whole);
    assert_eq!(answer["Description"], Value::Null);
    assert_eq!(answer["Cutoff"], 0);
}

#[test]
fn a_window_that_cannot_be_is_refused() {
    let desk = desk();
    let good = json!({
        "Name": "nightly", "Schedule": "rate(1 day)", "Duration": 3, "Cutoff": 1,
        "AllowUnassociatedTargets": true,
    });
    for (member, value) in [
        ("Cutoff", json!(3)),
        ("Schedule", json!("rate(1 minute)")),
        ("ScheduleOffset", json!(2)),
        ("ScheduleTimezone", json!("Mars/Olympus")),
        ("EndDate", json!("2020-01-01T00:00:00Z")),
    ] {
        let mut input = good.clone();
        input[member] = value;
        assert_eq!(desk.bad("CreateMaintenanceWindow", &input), "ValidationException", "{member}");
    }
    for _ in 0..50 {
        window(&desk, "rate(1 day)");
    }
    assert_eq!(desk.bad("CreateMaintenanceWindow", &good), "ResourceLimitExceededException");
}

#[test]
fn a_window_runs_its_tasks_when_it_opens() {
    let desk = desk();
    let id = window(&desk, "at(2026-03-04T02:00:00)");
    let target = target(&desk, &id, &["i-00000000000000001"]);
    task(&desk, &id, &target, &json!({}));
    desk.advance(HOUR * 15);
    assert!(executions(&desk, &id).is_empty());
    desk.advance(HOUR);
    let running = executions(&desk, &id);
    assert_eq!(running.len(), 1);
    assert_eq!(running[0]["Status"], "IN_PROGRESS");
    let running = tasks(&desk, &running[0]);
    assert_eq!(running[0]["Status"], "IN_PROGRESS");
    let invocation = invocations(&desk, &running[0]).remove(0);
    assert_eq!(invocation["OwnerInformation"], "the web team");
    assert_eq!(invocation["WindowTargetId"], target);
    assert!(invocation["ExecutionId"].is_string());
    let parameters: Value = serde_json::from_str(&text(&invocation["Parameters"])).unwrap();
    assert_eq!(parameters["documentName"], "AWS-RunPatchBaseline");
    assert_eq!(parameters["instanceIds"], json!(["i-00000000000000001"]));
    assert_eq!(parameters["parameters"], json!({"Operation": ["Scan"]}));
    desk.advance(HOUR / 6);
    let over = executions(&desk, &id).remove(0);
    assert_eq!(over["Status"], "SUCCESS");
    let took = over["EndTime"].as_f64().unwrap() - over["StartTime"].as_f64().unwrap();
    assert!((300.0..=330.0).contains(&took), "{took}");
    let read = desk.good(
        "GetMaintenanceWindowExecution",
        &json!({"WindowExecutionId": over["WindowExecutionId"]}),
    );
    assert_eq!(read["TaskIds"].as_array().unwrap().len(), 1);
    let read = desk.good("GetMaintenanceWindow", &json!({"WindowId": id}));
    assert_eq!(read["NextExecutionTime"], Value::Null);
}

#[test]
fn tasks_run_in_the_order_of_their_priority() {
    let desk = desk();
    let id = window(&desk, "rate(1 day)");
    let target = target(&desk, &id, &["i-00000000000000001"]);
    for priority in [5, 1, 5] {
        task(&desk, &id, &target, &json!({"Priority": priority}));
    }
    desk.advance(HOUR * 24);
    let states = |desk: &Desk| -> Vec<String> {
        let execution = executions(desk, &id).remove(0);
        tasks(desk, &execution).iter().map(|it| text(&it["Status"])).collect()
    };
    assert_eq!(states(&desk), ["IN_PROGRESS", "PENDING", "PENDING"]);
    desk.advance(Duration::from_secs(330));
    assert_eq!(states(&desk), ["SUCCESS", "IN_PROGRESS", "IN_PROGRESS"]);
    desk.advance(Duration::from_secs(330));
    assert_eq!(states(&desk), ["SUCCESS"; 3]);
    assert_eq!(executions(&desk, &id)[0]["Status"], "SUCCESS");
}

#[test]
fn at_the_cutoff_a_task_is_cancelled_or_goes_on_as_it_says() {
    let desk = desk();
    let forever = |behavior: &str| {
        json!({
            "CutoffBehavior": behavior,
            "TaskInvocationParameters": {"RunCommand": {"Comment": "forever"}},
        })
    };
    let (one, two) = (window(&desk, "rate(1 day)"), window(&desk, "rate(1 day)"));
    for (id, behavior) in [(&one, "CANCEL_TASK"), (&two, "CONTINUE_TASK")] {
        let target = target(&desk, id, &["i-00000000000000001"]);
        task(&desk, id, &target, &forever(behavior));
        task(&desk, id, &target, &json!({"Priority": 9}));
    }
    desk.advance(Duration::from_secs(26 * 3_600 - 1));
    assert_eq!(executions(&desk, &one)[0]["Status"], "IN_PROGRESS");
    desk.advance(Duration::from_secs(1));
    let cancelled = executions(&desk, &one).remove(0);
    assert_eq!(cancelled["Status"], "TIMED_OUT");
    assert!(tasks(&desk, &cancelled).iter().all(|it| it["Status"] == "TIMED_OUT"));
    let goes_on = executions(&desk, &two).remove(0);
    assert_eq!(goes_on["Status"], "IN_PROGRESS");
    let states: Vec<String> = tasks(&desk, &goes_on).iter().map(|it| text(&it["Status"])).collect();
    assert_eq!(states, ["IN_PROGRESS", "TIMED_OUT"]);
}

#[test]
fn a_window_that_is_still_at_work_is_not_opened_again() {
    let desk = desk();
    let id = window(&desk, "rate(1 day)");
    let target = target(&desk, &id, &["i-00000000000000001"]);
    let forever = json!({"TaskInvocationParameters": {"RunCommand": {"Comment": "forever"}}});
    task(&desk, &id, &target, &forever);
    desk.advance(HOUR * 48);
    let found = executions(&desk, &id);
    assert_eq!(found[0]["Status"], "SKIPPED_OVERLAPPING");
    assert_eq!(found[1]["Status"], "IN_PROGRESS");
    let after = json!({
        "WindowId": id,
        "Filters": [{"Key": "ExecutedAfter", "Values": ["2026-03-04T12:00:00Z"]}],
    });
    let found = desk.all("DescribeMaintenanceWindowExecutions", &after, "WindowExecutions");
    assert_eq!(found.len(), 1);
}

#[test]
fn a_window_without_tasks_has_nothing_to_do() {
    let desk = desk();
    let id = window(&desk, "rate(1 day)");
    desk.advance(HOUR * 24);
    let found = executions(&desk, &id);
    assert_eq!(found[0]["Status"], "SUCCESS");
    assert_eq!(found[0]["StatusDetails"], "No tasks to execute.");
}

#[test]
fn what_is_no_command_fails_and_says_why() {
    let desk = desk();
    let id = window(&desk, "rate(1 day)");
    let target = target(&desk, &id, &["i-00000000000000001"]);
    task(&desk, &id, &target, &json!({"TaskType": "LAMBDA"}));
    desk.advance(HOUR * 24);
    let execution = executions(&desk, &id).remove(0);
    assert_eq!(execution["Status"], "FAILED");
    let task = tasks(&desk, &execution).remove(0);
    let invocation = invocations(&desk, &task).remove(0);
    assert!(text(&invocation["StatusDetails"]).contains("not simulated"));
}

#[test]
fn a_changed_or_deleted_window_forgets_when_it_was_to_open() {
    let desk = desk();
    let (moved, deleted) = (window(&desk, "rate(1 day)"), window(&desk, "rate(1 day)"));
    desk.good("UpdateMaintenanceWindow", &json!({"WindowId": moved, "Schedule": "rate(2 days)"}));
    desk.good("DeleteMaintenanceWindow", &json!({"WindowId": deleted}));
    desk.advance(HOUR * 24);
    assert!(executions(&desk, &moved).is_empty());
    assert!(executions(&desk, &deleted).is_empty());
    desk.advance(HOUR * 24);
    assert_eq!(executions(&desk, &moved).len(), 1);
}

#[test]
fn a_target_in_use_is_safe_when_asked_and_a_task_needs_targets() {
    let desk = desk();
    let id = window(&desk, "rate(1 day)");
    let target = target(&desk, &id, &["i-00000000000000001"]);
    let task = task(&desk, &id, &target, &json!({"Priority": 3}));
    let pair = json!({"WindowId": id, "WindowTargetId": target, "Safe": true});
    assert_eq!(desk.bad("DeregisterTargetFromMaintenanceWindow", &pair), "TargetInUseException");
    let listed = json!({"WindowId": id, "Filters": [{"Key": "Priority", "Values": ["3"]}]});
    let listed = desk.all("DescribeMaintenanceWindowTasks", &listed, "Tasks");
    assert_eq!(listed[0]["Type"], "RUN_COMMAND");
    assert_eq!(listed[0]["TaskInvocationParameters"], Value::Null);
    let read = json!({"WindowId": id, "WindowTaskId": task});
    let read = desk.good("GetMaintenanceWindowTask", &read);
    assert_eq!(read["CutoffBehavior"], "CONTINUE_TASK");
    assert!(read["TaskInvocationParameters"]["RunCommand"].is_object());
    let none =
        json!({"WindowId": id, "TaskArn": "AWS-RunPatchBaseline", "TaskType": "RUN_COMMAND"});
    assert_eq!(desk.bad("RegisterTaskWithMaintenanceWindow", &none), "ValidationException");
    desk.good(
        "DeregisterTaskFromMaintenanceWindow",
        &json!({"WindowId": id, "WindowTaskId": task}),
    );
    desk.good("DeregisterTargetFromMaintenanceWindow", &pair);
    let error = desk.bad("DeregisterTargetFromMaintenanceWindow", &pair);
    assert_eq!(error, "DoesNotExistException");
    let listed = json!({"WindowId": id});
    assert!(desk.all("DescribeMaintenanceWindowTargets", &listed, "Targets").is_empty());
}

#[test]
fn the_windows_of_a_node_are_found_by_its_id_and_by_its_tags() {
    let desk = desk();
    let (node, tag, value) = desk.with(|state| {
        let aws = state.scopes[0]
            .machines
            .iter()
            .find_map(|at| state.machine(*at).aws.as_ref().filter(|aws| !aws.tags.is_empty()));
        let aws = aws.unwrap();
        (aws.id.to_string(), aws.tags[0].0.to_string(), aws.tags[0].1.to_string())
    });
    let (by_id, by_tag) = (window(&desk, "rate(1 day)"), window(&desk, "rate(2 days)"));
    window(&desk, "rate(3 days)");
    target(&desk, &by_id, &[&node]);
    let tagged = json!({
        "WindowId": by_tag, "ResourceType": "INSTANCE",
        "Targets": [{"Key": format!("tag:{tag}"), "Values": [value]}],
    });
    desk.good("RegisterTargetWithMaintenanceWindow", &tagged);
    let mut ask = json!({
        "ResourceType": "INSTANCE", "Targets": [{"Key": "InstanceIds", "Values": [node]}],
        "MaxResults": 1,
    });
    let found = desk.all("DescribeMaintenanceWindowsForTarget", &ask, "WindowIdentities");
    let mut ids: Vec<String> = found.iter().map(|it| text(&it["WindowId"])).collect();
    ids.sort();
    let mut expected = vec![by_id, by_tag];
    expected.sort();
    assert_eq!(ids, expected);
    ask["Filters"] = json!([{"Key": "ScheduledBefore", "Values": ["2026-03-06T00:00:00Z"]}]);
    let member = "ScheduledWindowExecutions";
    let times = desk.all("DescribeMaintenanceWindowSchedule", &ask, member);
    let times: Vec<String> = times.iter().map(|it| text(&it["ExecutionTime"])).collect();
    assert_eq!(times, ["2026-03-04T10:00Z", "2026-03-05T10:00Z", "2026-03-05T10:00Z"]);
}

#[test]
fn a_window_scans_its_nodes_by_run_command() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let input = json!({
        "Name": "nightly", "Schedule": "rate(1 day)", "Duration": 3, "Cutoff": 1,
        "AllowUnassociatedTargets": true,
    });
    let id = lab.good("CreateMaintenanceWindow", &input)["WindowId"].clone();
    let input = json!({
        "WindowId": id, "TaskArn": "AWS-RunPatchBaseline", "TaskType": "RUN_COMMAND",
        "MaxConcurrency": "50%", "MaxErrors": "100%",
        "Targets": [{"Key": "InstanceIds", "Values": &nodes[..2]}],
        "TaskInvocationParameters": {"RunCommand": {"Parameters": {"Operation": ["Scan"]}}},
    });
    lab.good("RegisterTaskWithMaintenanceWindow", &input);
    lab.advance(25 * 3_600);
    let execution = lab.good("DescribeMaintenanceWindowExecutions", &json!({"WindowId": id}));
    let execution = &execution["WindowExecutions"][0];
    assert_eq!(execution["Status"], "SUCCESS");
    let mut input = json!({"WindowExecutionId": execution["WindowExecutionId"]});
    let tasks = lab.good("DescribeMaintenanceWindowExecutionTasks", &input);
    input["TaskId"] = tasks["WindowExecutionTaskIdentities"][0]["TaskExecutionId"].clone();
    let found = lab.good("DescribeMaintenanceWindowExecutionTaskInvocations", &input);
    let command = found["WindowExecutionTaskInvocationIdentities"][0]["ExecutionId"].clone();
    assert_eq!(lab.stages(command.as_str().unwrap()), ["Success", "Success"]);
    let at = lab.at(&nodes[0]);
    let state = lab.state();
    let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap();
    assert_eq!(*scan.execution, *command.as_str().unwrap());
}

#[test]
fn a_runbook_of_a_window_runs_for_each_of_its_resources() {
    let lab = Lab::new(Behavior::Well);
    let (stopped, window) = (
        lab.stopped(),
        json!({
            "Name": "wake", "Schedule": "rate(1 hour)", "Duration": 2, "Cutoff": 0,
            "AllowUnassociatedTargets": true,
        }),
    );
    let ids = &stopped[..2];
    let window = text(&lab.good("CreateMaintenanceWindow", &window)["WindowId"]);
    let task = json!({
        "WindowId": window, "TaskArn": "AWS-StartEC2Instance", "TaskType": "AUTOMATION",
        "MaxConcurrency": "2", "MaxErrors": "1",
        "Targets": [{"Key": "InstanceIds", "Values": ids}],
        "TaskInvocationParameters": {
            "Automation": {"Parameters": {"InstanceId": ["{{RESOURCE_ID}}"]}},
        },
    });
    lab.good("RegisterTaskWithMaintenanceWindow", &task);
    lab.advance(3_600 + 600);
    let run = json!({"WindowId": window});
    let run = lab.good("DescribeMaintenanceWindowExecutions", &run)["WindowExecutions"][0].clone();
    assert_eq!(run["Status"], "SUCCESS");
    let list = lab.good("DescribeAutomationExecutions", &json!({}));
    let list = list["AutomationExecutionMetadataList"].as_array().unwrap();
    let mut named: Vec<String> = Vec::new();
    for it in list {
        let id = json!({"AutomationExecutionId": it["AutomationExecutionId"]});
        let it = lab.good("GetAutomationExecution", &id)["AutomationExecution"].clone();
        assert_eq!(it["AutomationExecutionStatus"], "Success");
        named.push(text(&it["Parameters"]["InstanceId"][0]));
    }
    named.sort();
    assert_eq!(named, ids);
    assert!(ids.iter().all(|id| !lab.stopped().contains(id)));
}

#[test]
fn an_update_of_a_target_or_task_keeps_what_it_does_not_name_unless_it_replaces() {
    let desk = desk();
    let window = window(&desk, "rate(1 day)");
    let target = target(&desk, &window, &["i-0123456789abcdef0"]);
    let task = task(&desk, &window, &target, &json!({"Priority": 5, "Name": "scan"}));

    let id = json!({"WindowId": window, "WindowTargetId": target});
    let with = |id: &Value, members: Value| {
        let mut input = id.clone();
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        input
    };
    let told = desk.good("UpdateMaintenanceWindowTarget", &with(&id, json!({"Name": "web"})));
    assert_eq!((&told["Name"], &told["OwnerInformation"]), (&json!("web"), &json!("the web team")));
    assert!(told.get("ResourceType").is_none());
    let others = json!([{"Key": "tag:Role", "Values": ["web"]}]);
    let replacement = with(&id, json!({"Replace": true, "Targets": others}));
    desk.good("UpdateMaintenanceWindowTarget", &replacement);
    let list = desk.good("DescribeMaintenanceWindowTargets", &json!({"WindowId": window}));
    let now = &list["Targets"][0];
    assert_eq!((&now["Targets"], &now["ResourceType"]), (&others, &json!("INSTANCE")));
    assert!(now.get("OwnerInformation").is_none());

    let id = json!({"WindowId": window, "WindowTaskId": task});
    let told = desk.good("UpdateMaintenanceWindowTask", &with(&id, json!({"Priority": 1})));
    assert_eq!((&told["Priority"], &told["Name"]), (&json!(1), &json!("scan")));
    let replacement = json!({
        "Replace": true, "TaskArn": "AWS-Noop", "MaxConcurrency": "2", "MaxErrors": "0",
        "Targets": [{"Key": "WindowTargetIds", "Values": [target]}],
    });
    desk.good("UpdateMaintenanceWindowTask", &with(&id, replacement));
    let now = desk.good("GetMaintenanceWindowTask", &id);
    assert_eq!((&now["TaskArn"], &now["TaskType"]), (&json!("AWS-Noop"), &json!("RUN_COMMAND")));
    assert_eq!((&now["Priority"], now.get("Name")), (&json!(0), None));
}

#[test]
fn an_update_of_a_target_or_task_that_cannot_be_is_refused() {
    let desk = desk();
    let window = window(&desk, "rate(1 day)");
    let target = target(&desk, &window, &["i-0123456789abcdef0"]);
    let task = task(&desk, &window, &target, &json!({}));
    let update_target = |target: &str, members: Value| {
        let mut input = json!({"WindowId": window, "WindowTargetId": target});
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        desk.bad("UpdateMaintenanceWindowTarget", &input)
    };
    let unknown = "00000000-0000-0000-0000-000000000000";
    assert_eq!(update_target(unknown, json!({})), "DoesNotExistException");
    assert_eq!(update_target(&target, json!({"Replace": true})), "ValidationException");
    let group = json!([{"Key": "resource-groups:Name", "Values": ["web"]}]);
    assert_eq!(update_target(&target, json!({"Targets": group})), "ValidationException");
    let mut update = json!({"WindowId": window, "WindowTaskId": task, "Replace": true});
    assert_eq!(desk.bad("UpdateMaintenanceWindowTask", &update), "ValidationException");
    update["TaskArn"] = json!("AWS-Noop");
    // A RUN_COMMAND task needs targets.
    assert_eq!(desk.bad("UpdateMaintenanceWindowTask", &update), "ValidationException");
    update["WindowTaskId"] = json!(unknown);
    assert_eq!(desk.bad("UpdateMaintenanceWindowTask", &update), "DoesNotExistException");
}
