use patchkit_core::ComplianceStatus;
use serde_json::{Value, json};

use crate::cloud::{
    aws::ssm::lab::{HERE, Lab},
    world::machine::Behavior,
};

fn create(lab: &Lab, input: &Value) -> String {
    let answer = lab.good("CreateAssociation", input);
    answer["AssociationDescription"]["AssociationId"].as_str().unwrap().to_owned()
}

fn runs(lab: &Lab, id: &str) -> Vec<Value> {
    let answer = lab.good("DescribeAssociationExecutions", &json!({"AssociationId": id}));
    answer["AssociationExecutions"].as_array().unwrap().clone()
}

fn described(lab: &Lab, id: &str) -> Value {
    lab.good("DescribeAssociation", &json!({"AssociationId": id}))["AssociationDescription"].clone()
}

fn noop(lab: &Lab) -> Value {
    let nodes = lab.linux();
    json!({"Name": "AWS-Noop", "Targets": [{"Key": "InstanceIds", "Values": nodes[..2]}]})
}

#[test]
fn an_association_runs_once_at_its_creation_and_reports_per_node() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    assert_eq!(lab.reached("CreateAssociation", &noop(&lab)), nodes[..2]);
    let list = lab.good("ListAssociations", &json!({}))["Associations"].clone();
    let id = list[0]["AssociationId"].as_str().unwrap().to_owned();
    assert_eq!(list[0]["Overview"]["Status"], "Pending");
    lab.advance(60);
    let run = &runs(&lab, &id)[0];
    assert_eq!(
        (&run["Status"], &run["ResourceCountByStatus"]),
        (&json!("Success"), &json!("{Success=2}"))
    );
    let input = json!({"AssociationId": id, "ExecutionId": run["ExecutionId"]});
    let targets = lab.good("DescribeAssociationExecutionTargets", &input);
    let targets = targets["AssociationExecutionTargets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);
    assert_eq!(targets[0]["ResourceId"], json!(nodes[0]));
    let overview = described(&lab, &id)["Overview"].clone();
    assert_eq!(overview["AssociationStatusAggregatedCount"], json!({"Success": 2}));
    let status = lab.good("DescribeInstanceAssociationsStatus", &json!({"InstanceId": nodes[0]}));
    assert_eq!(status["InstanceAssociationStatusInfos"][0]["Status"], "Success");
    // Run Command does not list what associations do.
    assert!(lab.good("ListCommands", &json!({}))["Commands"].as_array().unwrap().is_empty());
}

#[test]
fn an_association_for_its_schedule_alone_waits_for_it() {
    let lab = Lab::new(Behavior::Well);
    let mut input = noop(&lab);
    input["ScheduleExpression"] = json!("rate(1 hour)");
    input["ApplyOnlyAtCronInterval"] = json!(true);
    let id = create(&lab, &input);
    lab.advance(3_500);
    assert!(runs(&lab, &id).is_empty());
    lab.advance(200);
    assert_eq!(runs(&lab, &id).len(), 1);
    lab.advance(7_200);
    assert_eq!(runs(&lab, &id).len(), 3);
    lab.good("DeleteAssociation", &json!({"AssociationId": id}));
    lab.advance(7_200);
    let gone = json!({"AssociationId": id});
    assert_eq!(lab.refused("DescribeAssociation", &gone), "AssociationDoesNotExist");
}

#[test]
fn an_update_is_a_new_version_that_runs_at_once_and_by_its_own_schedule() {
    let lab = Lab::new(Behavior::Well);
    let mut input = noop(&lab);
    input["ScheduleExpression"] = json!("rate(1 hour)");
    let id = create(&lab, &input);
    lab.advance(60);
    lab.good(
        "UpdateAssociation",
        &json!({
            "AssociationId": id, "AssociationName": "calm", "ScheduleExpression": "rate(2 hours)",
        }),
    );
    let now = described(&lab, &id);
    assert_eq!((&now["AssociationVersion"], &now["Name"]), (&json!("2"), &json!("AWS-Noop")));
    lab.advance(3_700);
    assert_eq!(runs(&lab, &id).len(), 2);
    lab.advance(3_700);
    assert_eq!(runs(&lab, &id).len(), 3);
    let old = json!({"AssociationId": id, "AssociationVersion": "7"});
    assert_eq!(lab.refused("UpdateAssociation", &old), "InvalidAssociationVersion");
}

#[test]
fn associations_are_started_once_more_ten_at_most() {
    let lab = Lab::new(Behavior::Well);
    let id = create(&lab, &noop(&lab));
    lab.advance(60);
    let start = |ids: Value| json!({"AssociationIds": ids});
    lab.good("StartAssociationsOnce", &start(json!([id])));
    lab.advance(60);
    assert_eq!(runs(&lab, &id).len(), 2);
    let unknown = "00000000-0000-0000-0000-000000000000";
    let refused = lab.refused("StartAssociationsOnce", &start(json!([id, unknown])));
    assert_eq!(refused, "AssociationDoesNotExist");
    assert_eq!(lab.refused("StartAssociationsOnce", &start(json!([id, id]))), "InvalidAssociation");
    let many = start(json!(vec![unknown; 11]));
    assert_eq!(lab.refused("StartAssociationsOnce", &many), "ValidationException");
}

#[test]
fn wrong_schedules_targets_documents_and_parameters_are_refused() {
    let lab = Lab::new(Behavior::Well);
    let with = |name: &str, value: Value| {
        let mut input = noop(&lab);
        input[name] = value;
        lab.refused("CreateAssociation", &input)
    };
    for schedule in ["rate(29 minutes)", "rate(31 days)", "rate(1 hours)", "hourly"] {
        assert_eq!(with("ScheduleExpression", json!(schedule)), "InvalidSchedule", "{schedule}");
    }
    assert_eq!(with("Name", json!("AWS-Nothing")), "InvalidDocument");
    assert_eq!(with("Targets", json!([])), "InvalidTarget");
    assert_eq!(with("Targets", json!([{"Key": "Name", "Values": ["x"]}])), "InvalidTarget");
    assert_eq!(with("Parameters", json!({"commands": ["id"]})), "InvalidParameters");
    let foreign = json!({"Name": "AWS-Noop", "InstanceId": "i-0123456789abcdef0"});
    assert_eq!(lab.refused("CreateAssociation", &foreign), "InvalidInstanceId");
}

#[test]
fn one_document_is_associated_with_one_node_once() {
    let lab = Lab::new(Behavior::Well);
    let input = json!({"Name": "AWS-Noop", "InstanceId": lab.linux()[0]});
    create(&lab, &input);
    assert_eq!(lab.refused("CreateAssociation", &input), "AssociationAlreadyExists");
    let by_both = lab.good("DescribeAssociation", &input);
    assert_eq!(by_both["AssociationDescription"]["InstanceId"], input["InstanceId"]);
    lab.good("DeleteAssociation", &input);
    create(&lab, &input);
}

#[test]
fn a_run_makes_an_item_of_association_compliance_unless_that_is_manual() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let script = |code: &str, sync: &str| {
        create(
            &lab,
            &json!({
                "Name": "AWS-RunShellScript", "SyncCompliance": sync, "ComplianceSeverity": "HIGH",
                "Parameters": {"commands": [format!("exit {code}")]},
                "Targets": [{"Key": "InstanceIds", "Values": nodes[..1]}],
            }),
        )
    };
    let (good, bad, manual) = (script("0", "AUTO"), script("2", "AUTO"), script("2", "MANUAL"));
    lab.advance(60);
    let status = |id: &str| {
        let key = (nodes[0].as_str().into(), id.into());
        let state = lab.state();
        state.scope(HERE).ssm.association_compliance.get(&key).map(|it| it.status)
    };
    assert_eq!(status(&good), Some(ComplianceStatus::Compliant));
    assert_eq!(status(&bad), Some(ComplianceStatus::NonCompliant));
    assert_eq!(status(&manual), None);
    assert_eq!(described(&lab, &bad)["Overview"]["Status"], "Failed");
    let failed =
        json!({"AssociationFilterList": [{"key": "AssociationStatusName", "value": "Failed"}]});
    let list = lab.good("ListAssociations", &failed)["Associations"].clone();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[test]
fn all_nodes_are_a_target_of_associations() {
    let lab = Lab::new(Behavior::Well);
    let all = json!([{"Key": "InstanceIds", "Values": ["*"]}]);
    let reached = lab.reached("CreateAssociation", &json!({"Name": "AWS-Noop", "Targets": all}));
    assert!(reached.len() > lab.linux().len());
    let effective = json!({"InstanceId": lab.linux()[0]});
    let list = lab.good("DescribeEffectiveInstanceAssociations", &effective);
    assert_eq!(list["Associations"].as_array().unwrap().len(), 1);
    let command = json!({"DocumentName": "AWS-Noop", "Targets": all});
    assert_eq!(lab.refused("SendCommand", &command), "ValidationException");
}

#[test]
fn a_refresh_runs_the_associations_of_its_node_again() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let id = create(&lab, &noop(&lab));
    lab.advance(60);
    let refresh = |ids: Value| {
        let command = lab.send("AWS-RefreshAssociation", &nodes[..1], ids);
        lab.advance(60);
        let got = lab.plugin(&command, &nodes[0], "refreshAssociation");
        got["StandardOutputContent"].as_str().unwrap().to_owned()
    };
    assert_eq!(refresh(json!({})), "Refreshed 1 association(s).");
    assert_eq!(refresh(json!({"associationIds": [id]})), "Refreshed 1 association(s).");
    let other = "00000000-0000-0000-0000-000000000000";
    assert_eq!(refresh(json!({"associationIds": [other]})), "Refreshed 0 association(s).");
    // Of that node alone.
    assert_eq!(runs(&lab, &id)[0]["ResourceCountByStatus"], "{Success=1}");
    assert_eq!(runs(&lab, &id).len(), 3);
}

#[test]
fn a_patch_association_of_a_node_is_told_its_own_id() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let id = create(
        &lab,
        &json!({
            "Name": "AWS-RunPatchBaselineAssociation", "Parameters": {"Operation": ["Scan"]},
            "Targets": [{"Key": "InstanceIds", "Values": nodes[..1]}],
        }),
    );
    lab.advance(120);
    let state = lab.state();
    let item = &state.scope(HERE).ssm.association_compliance
        [&(nodes[0].as_str().into(), id.as_str().into())];
    assert!(item.details["DetailedText"].contains("MissingCount"));
}

#[test]
fn a_cron_expression_runs_an_association_in_utc() {
    let lab = Lab::new(Behavior::Well);
    let mut input = noop(&lab);
    // It is Tuesday, 3 March 2026, 10:00.
    input["ScheduleExpression"] = json!("cron(0 11 ? * TUE *)");
    input["ApplyOnlyAtCronInterval"] = json!(true);
    let id = create(&lab, &input);
    lab.advance(3_500);
    assert!(runs(&lab, &id).is_empty());
    lab.advance(200);
    assert_eq!(runs(&lab, &id).len(), 1);
    lab.advance(7 * 86_400);
    assert_eq!(runs(&lab, &id).len(), 2);
    input["ScheduleExpression"] = json!("cron(0 11 30 FEB ? *)");
    assert_eq!(lab.refused("CreateAssociation", &input), "InvalidSchedule");
}

#[test]
fn what_an_association_came_to_is_told_of_its_node_in_compliance_and_description() {
    let lab = Lab::new(Behavior::Well);
    let (id, node) = (create(&lab, &noop(&lab)), lab.linux().remove(0));
    let of_node = json!({"Filters": [{"Key": "InstanceIds", "Values": [node]}]});
    let described = || lab.good("DescribeInstanceInformation", &of_node);
    let pending = described()["InstanceInformationList"][0].clone();
    assert_eq!(pending["AssociationStatus"], "Pending");
    assert!(pending.get("LastAssociationExecutionDate").is_none());
    lab.advance(120);
    let told = described()["InstanceInformationList"][0].clone();
    assert_eq!(told["AssociationStatus"], "Success");
    let counts = json!({"Success": 1});
    let overview = &told["AssociationOverview"];
    assert_eq!(overview["InstanceAssociationStatusAggregatedCount"], counts);
    let by_status = json!({"Filters": [{"Key": "AssociationStatus", "Values": ["Success"]}]});
    let found = lab.good("DescribeInstanceInformation", &by_status);
    assert!(!found["InstanceInformationList"].as_array().unwrap().is_empty());

    let filter = json!([{"Key": "ComplianceType", "Values": ["Association"], "Type": "EQUAL"}]);
    let items = json!({"ResourceIds": [node], "Filters": filter});
    let items = lab.good("ListComplianceItems", &items)["ComplianceItems"].clone();
    assert_eq!((&items[0]["Id"], &items[0]["Status"]), (&json!(id), &json!("COMPLIANT")));
    assert_eq!(items[0]["ExecutionSummary"]["ExecutionType"], "Association");
    let summaries = || {
        let all = lab.good("ListResourceComplianceSummaries", &json!({"Filters": filter}));
        all["ResourceComplianceSummaryItems"].as_array().unwrap().len()
    };
    assert!(summaries() > 0);
    lab.good("DeleteAssociation", &json!({"AssociationId": id}));
    assert_eq!(summaries(), 0);
}

#[test]
fn an_association_that_waits_for_its_schedule_is_pending() {
    let lab = Lab::new(Behavior::Well);
    let mut input = noop(&lab);
    input["ScheduleExpression"] = json!("rate(1 hour)");
    input["ApplyOnlyAtCronInterval"] = json!(true);
    let id = create(&lab, &input);
    let node = lab.linux().remove(0);
    let told = || {
        let overview = described(&lab, &id)["Overview"].clone();
        let infos = lab.good("DescribeInstanceAssociationsStatus", &json!({"InstanceId": node}));
        let status = infos["InstanceAssociationStatusInfos"][0]["Status"].clone();
        (overview["AssociationStatusAggregatedCount"].clone(), overview["Status"].clone(), status)
    };
    assert_eq!(told(), (json!({"Pending": 2}), json!("Pending"), json!("Pending")));
    lab.advance(3_700);
    assert_eq!(told(), (json!({"Success": 2}), json!("Success"), json!("Success")));
}

#[test]
fn old_versions_are_described_and_listed_the_latest_first() {
    let lab = Lab::new(Behavior::Well);
    let mut input = noop(&lab);
    input["ScheduleExpression"] = json!("rate(1 hour)");
    let id = create(&lab, &input);
    lab.advance(60);
    let update = json!({"AssociationId": id, "ScheduleExpression": "rate(2 hours)"});
    lab.good("UpdateAssociation", &update);
    let version = |number: &str| json!({"AssociationId": id, "AssociationVersion": number});
    let described = |number: &str| {
        let answer = lab.good("DescribeAssociation", &version(number));
        answer["AssociationDescription"]["ScheduleExpression"].clone()
    };
    assert_eq!(described("1"), "rate(1 hour)");
    assert_eq!(described("2"), "rate(2 hours)");
    assert_eq!(described("$LATEST"), "rate(2 hours)");
    assert_eq!(lab.refused("DescribeAssociation", &version("3")), "InvalidAssociationVersion");
    let page = |token: &Value| {
        let input = json!({"AssociationId": id, "MaxResults": 1, "NextToken": token});
        let answer = lab.good("ListAssociationVersions", &input);
        (answer["AssociationVersions"][0].clone(), answer["NextToken"].clone())
    };
    let (latest, next) = page(&Value::Null);
    let (first, end) = page(&next);
    assert_eq!(
        (&latest["AssociationVersion"], &first["AssociationVersion"]),
        (&json!("2"), &json!("1"))
    );
    assert_eq!(first["ScheduleExpression"], "rate(1 hour)");
    assert!(first["CreatedDate"].as_f64() < latest["CreatedDate"].as_f64());
    assert!(end.is_null());
    let unknown = json!({"AssociationId": "00000000-0000-0000-0000-000000000000"});
    let refused = lab.refused("ListAssociationVersions", &unknown);
    assert_eq!(refused, "AssociationDoesNotExist");
}

#[test]
fn a_scheduled_run_is_cancelled_after_its_duration() {
    let lab = Lab::new(Behavior::Well);
    let script = json!({"commands": ["sleep 20000"], "executionTimeout": ["36000"]});
    let status = |duration: Value| {
        let mut input = noop(&lab);
        input["Name"] = json!("AWS-RunShellScript");
        input["Parameters"] = script.clone();
        input["ScheduleExpression"] = json!("rate(12 hours)");
        input["ApplyOnlyAtCronInterval"] = json!(true);
        input["Duration"] = duration;
        let id = create(&lab, &input);
        lab.advance(14 * 3_600);
        runs(&lab, &id)[0]["Status"].clone()
    };
    assert_eq!(status(json!(1)), "Failed");
    assert_eq!(status(Value::Null), "InProgress");
}

#[test]
fn a_node_that_comes_to_be_meant_is_reached_within_a_minute_and_once() {
    let lab = Lab::new(Behavior::Well);
    let nodes = lab.linux();
    let (stopped, idle) = (lab.stopped().remove(0), nodes[2].clone());
    lab.tag(&nodes[..1], "team", "web");
    let for_team = |change: Value| {
        let mut input = noop(&lab);
        input["Targets"] = json!([{"Key": "tag:team", "Values": ["web"]}]);
        input["ScheduleExpression"] = json!("rate(7 days)");
        for (name, value) in change.as_object().unwrap() {
            input[name] = value.clone();
        }
        create(&lab, &input)
    };
    let id = for_team(json!({}));
    let later = for_team(json!({"ApplyOnlyAtCronInterval": true}));
    lab.advance(60);
    let reached = |id: &str| -> Vec<(String, String)> {
        let runs = runs(&lab, id);
        let targets = runs.iter().rev().flat_map(|run| {
            let asked = json!({"AssociationId": id, "ExecutionId": run["ExecutionId"]});
            let told = lab.good("DescribeAssociationExecutionTargets", &asked);
            told["AssociationExecutionTargets"].as_array().unwrap().clone()
        });
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        targets.map(|it| (text(&it["ResourceId"]), text(&it["Status"]))).collect()
    };
    let good = |node: &str| (node.to_owned(), "Success".to_owned());
    assert_eq!(reached(&id), [good(&nodes[0])]);

    lab.tag(&[nodes[1].clone(), stopped.clone()], "team", "web");
    lab.advance(60);
    assert_eq!(reached(&id), [good(&nodes[0]), good(&nodes[1])]);
    // The one that is off is reached once it answers.
    let at = lab.at(&stopped);
    lab.state().power_on(at);
    lab.advance(600);
    assert_eq!(reached(&id), [good(&nodes[0]), good(&nodes[1]), good(&stopped)]);
    // Another tag makes nothing new, and a node that is not meant stays as it was.
    lab.tag(&[nodes[0].clone(), idle], "rack", "7");
    lab.advance(600);
    assert_eq!(reached(&id).len(), 3);
    assert_eq!(reached(&later), []);
    let told = described(&lab, &later);
    let counts = &told["Overview"]["AssociationStatusAggregatedCount"];
    assert_eq!(*counts, json!({"Pending": 3}));
}
