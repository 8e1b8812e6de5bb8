use std::sync::Arc;

use patchkit_core::OperationKind;
use serde_json::{Value, json};

use super::{
    super::{
        resource,
        testing::{ACCOUNT, HERE, REGION, Refused, TestCloud},
    },
    evaluate::Verdict,
    rules::Managed,
};
use crate::cloud::world::{
    Execution,
    machine::{MachineIx, Power},
};

const PATCH: &str = "ec2-managedinstance-patch-compliance-status-check";
const ASSOCIATION: &str = "ec2-managedinstance-association-compliance-status-check";
const MANAGED: &str = "ec2-instance-managed-by-systems-manager";

fn call(cloud: &TestCloud, operation: &str, input: &Value) -> Result<Value, Refused> {
    cloud.json(&format!("StarlingDoveService.{operation}"), input)
}

fn all(cloud: &TestCloud, operation: &str, key: &str, input: &Value) -> Vec<Value> {
    let (mut input, mut found) = (input.clone(), Vec::new());
    loop {
        let page = call(cloud, operation, &input).unwrap();
        found.extend(page[key].as_array().unwrap().clone());
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => return found,
        }
    }
}

fn details(cloud: &TestCloud, rule: &str, types: &[&str]) -> Vec<Value> {
    let input = json!({"ConfigRuleName": rule, "ComplianceTypes": types});
    all(cloud, "GetComplianceDetailsByConfigRule", "EvaluationResults", &input)
}

fn resource_id(result: &Value) -> &str {
    result["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"]
        .as_str()
        .unwrap()
}

fn compliance(cloud: &TestCloud, rule: &str) -> Value {
    let input = json!({"ConfigRuleNames": [rule]});
    let answer = call(cloud, "DescribeComplianceByConfigRule", &input).unwrap();
    answer["ComplianceByConfigRules"][0]["Compliance"].clone()
}

#[test]
fn each_region_has_the_three_rules_from_the_start() {
    let cloud = TestCloud::new(40);
    let rules = all(&cloud, "DescribeConfigRules", "ConfigRules", &json!({}));
    let names: Vec<_> = rules.iter().map(|it| it["ConfigRuleName"].as_str().unwrap()).collect();
    assert_eq!(names, [MANAGED, ASSOCIATION, PATCH]);
    assert!(rules.iter().all(|it| it["ConfigRuleState"] == "ACTIVE"));
    let start = format!("arn:aws:config:{REGION}:{ACCOUNT}:config-rule/config-rule-");
    assert!(rules[0]["ConfigRuleArn"].as_str().unwrap().starts_with(&start));
}

#[test]
fn the_patch_rule_says_of_each_scanned_node_what_its_scan_says() {
    let cloud = TestCloud::new(400);
    let results = details(&cloud, PATCH, &[]);
    let state = cloud.state();
    let scanned = resource::all(&state, HERE).filter(|it| it.aws.scan.is_some());
    let expected: Vec<_> = scanned
        .map(|it| {
            let status = it.aws.scan.as_ref().unwrap().verdict.status;
            let id = format!("AWS::SSM::ManagedInstanceInventory/{}", it.aws.id);
            (id, super::evaluate::of_status(status).unwrap().word())
        })
        .collect();
    let found: Vec<_> = results
        .iter()
        .map(|it| (resource_id(it).to_owned(), it["ComplianceType"].as_str().unwrap()))
        .collect();
    assert!(found.len() > 20);
    assert_eq!(found, expected);
}

#[test]
fn a_stopped_instance_is_never_called_unmanaged_and_a_silent_running_one_is() {
    let cloud = TestCloud::new(400);
    let unmanaged = details(&cloud, MANAGED, &["NON_COMPLIANT"]);
    assert!(!unmanaged.is_empty());
    let state = cloud.state();
    for result in &unmanaged {
        let at: MachineIx = state.find(HERE, resource_id(result)).unwrap();
        assert_eq!(state.machine(at).power, Power::Running);
        assert!(!state.answers(at));
    }
}

#[test]
fn more_than_25_causes_are_counted_as_25_and_more() {
    let cloud = TestCloud::new(800);
    let failing = details(&cloud, PATCH, &["NON_COMPLIANT"]).len();
    assert!(failing > 25);
    let expected = json!({
        "ComplianceType": "NON_COMPLIANT",
        "ComplianceContributorCount": {"CappedCount": 25, "CapExceeded": true},
    });
    assert_eq!(compliance(&cloud, PATCH), expected);
    // No association has run.
    assert_eq!(compliance(&cloud, ASSOCIATION), json!({"ComplianceType": "INSUFFICIENT_DATA"}));
}

#[test]
fn a_new_rule_has_no_results_before_it_was_evaluated() {
    let cloud = TestCloud::new(100);
    let identifier = "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK";
    let source = json!({"Owner": "AWS", "SourceIdentifier": identifier});
    let rule = json!({"ConfigRule": {"ConfigRuleName": "mine", "Source": source}});
    call(&cloud, "PutConfigRule", &rule).unwrap();
    let state = |cloud: &TestCloud| {
        let input = json!({"ConfigRuleNames": ["mine"]});
        all(cloud, "DescribeConfigRules", "ConfigRules", &input)[0]["ConfigRuleState"].clone()
    };
    assert_eq!(state(&cloud), "EVALUATING");
    assert_eq!(compliance(&cloud, "mine")["ComplianceType"], "INSUFFICIENT_DATA");
    let (name, _) = call(&cloud, "PutConfigRule", &rule).unwrap_err();
    assert_eq!(name, "ResourceInUseException");
    cloud.advance(30);
    assert_eq!(state(&cloud), "ACTIVE");
    assert_eq!(compliance(&cloud, "mine"), compliance(&cloud, PATCH));

    call(&cloud, "DeleteConfigRule", &json!({"ConfigRuleName": "mine"})).unwrap();
    assert_eq!(state(&cloud), "DELETING");
    cloud.advance(10);
    let (name, _) =
        call(&cloud, "DeleteConfigRule", &json!({"ConfigRuleName": "mine"})).unwrap_err();
    assert_eq!(name, "NoSuchConfigRuleException");
}

#[test]
fn a_rule_that_the_simulator_does_not_know_is_refused() {
    let cloud = TestCloud::new(8);
    for source in [
        json!({"Owner": "AWS", "SourceIdentifier": "S3_BUCKET_VERSIONING_ENABLED"}),
        json!({"Owner": "CUSTOM_LAMBDA", "SourceIdentifier": "arn:aws:lambda:x"}),
    ] {
        let rule = json!({"ConfigRule": {"ConfigRuleName": "other", "Source": source}});
        let (name, _) = call(&cloud, "PutConfigRule", &rule).unwrap_err();
        assert_eq!(name, "InvalidParameterValueException");
    }
}

#[test]
fn a_rule_looks_only_at_what_its_scope_reaches() {
    let cloud = TestCloud::new(200);
    let one = {
        let state = cloud.state();
        let scanned = resource::all(&state, HERE).find(|it| it.aws.scan.is_some()).unwrap();
        Managed::Patch.resource_id(&scanned.aws.id)
    };
    let source = json!({
        "Owner": "AWS",
        "SourceIdentifier": "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK",
    });
    let reach = json!({
        "ComplianceResourceTypes": ["AWS::SSM::PatchCompliance"],
        "ComplianceResourceId": one,
    });
    let rule = json!({"ConfigRuleName": "one", "Source": source, "Scope": reach});
    call(&cloud, "PutConfigRule", &json!({"ConfigRule": rule})).unwrap();
    cloud.advance(30);
    let results = details(&cloud, "one", &[]);
    assert_eq!(results.iter().map(resource_id).collect::<Vec<_>>(), [one.as_str()]);

    let input = json!({"ResourceType": "AWS::SSM::PatchCompliance", "ResourceId": one});
    let key = "EvaluationResults";
    assert_eq!(all(&cloud, "GetComplianceDetailsByResource", key, &input).len(), 2);
    let key = "ComplianceByResources";
    let found = all(&cloud, "DescribeComplianceByResource", key, &input);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["ResourceId"], one);
}

#[test]
fn an_aggregator_goes_over_the_accounts_and_regions_that_it_names() {
    let cloud = TestCloud::new(300);
    let other = "222233334444";
    let sources = json!([{"AccountIds": [ACCOUNT, other], "AwsRegions": [REGION]}]);
    let put = json!({
        "ConfigurationAggregatorName": "both",
        "AccountAggregationSources": sources,
    });
    call(&cloud, "PutConfigurationAggregator", &put).unwrap();
    let input = json!({"ConfigurationAggregatorName": "both"});
    let key = "AggregateComplianceByConfigRules";
    let found = all(&cloud, "DescribeAggregateComplianceByConfigRules", key, &input);
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|it| it["AwsRegion"] == REGION));
    let input = json!({
        "ConfigurationAggregatorName": "both",
        "ConfigRuleName": PATCH,
        "AccountId": ACCOUNT,
        "AwsRegion": REGION,
    });
    let key = "AggregateEvaluationResults";
    let found = all(&cloud, "GetAggregateComplianceDetailsByConfigRule", key, &input);
    assert_eq!(found.len(), details(&cloud, PATCH, &[]).len());
    let none = json!({"ConfigurationAggregatorName": "none", "Expression": "SELECT *"});
    let (name, _) = call(&cloud, "SelectAggregateResourceConfig", &none).unwrap_err();
    assert_eq!(name, "NoSuchConfigurationAggregatorException");
}

#[test]
fn a_query_finds_what_the_rules_say() {
    let cloud = TestCloud::new(400);
    let expression = "SELECT configuration.targetResourceId, accountId WHERE \
        resourceType = 'AWS::Config::ResourceCompliance' \
        AND configuration.targetResourceType = 'AWS::SSM::PatchCompliance' \
        AND configuration.complianceType = 'NON_COMPLIANT'";
    let query = json!({"Expression": expression, "Limit": 7});
    let rows = all(&cloud, "SelectResourceConfig", "Results", &query);
    let ids: Vec<String> = rows
        .iter()
        .map(|row| {
            let row: Value = serde_json::from_str(row.as_str().unwrap()).unwrap();
            assert_eq!(row["accountId"], ACCOUNT);
            row["configuration"]["targetResourceId"].as_str().unwrap().to_owned()
        })
        .collect();
    let failing = details(&cloud, PATCH, &[Verdict::NonCompliant.word()]);
    assert_eq!(ids, failing.iter().map(resource_id).collect::<Vec<_>>());
    for wrong in ["SELECT COUNT(*)", "SELECT colour", "SELECT resourceId FROM x"] {
        let query = json!({"Expression": wrong});
        let (name, _) = call(&cloud, "SelectResourceConfig", &query).unwrap_err();
        assert_eq!(name, "InvalidExpressionException", "{wrong}");
    }
}

/// What is recorded of a node that was scanned once more in each of some weeks.
fn recorded(cloud: &TestCloud, weeks: u64) -> String {
    let nodes = details(cloud, PATCH, &[]);
    let name = resource_id(&nodes[0]).to_owned();
    let node = name.rsplit('/').next().unwrap();
    for _ in 0..weeks {
        let mut state = cloud.state();
        let at = state.find(HERE, node).unwrap();
        let scan = state.machine(at).aws.as_ref().unwrap().scan.clone().unwrap();
        let execution = Execution {
            id: Arc::clone(&scan.execution),
            kind: scan.execution_type,
            snapshot: Arc::clone(&scan.snapshot),
            started: state.now,
            reboot_option: scan.reboot_option,
            install_override: None,
        };
        state.upload_scan(at, Arc::clone(&scan.judgement), OperationKind::Scan, execution);
        drop(state);
        cloud.advance(7 * 24 * 3_600);
    }
    name
}

fn history(cloud: &TestCloud, input: &Value) -> (Vec<Value>, usize) {
    let (mut input, mut found, mut pages) = (input.clone(), Vec::new(), 0);
    loop {
        let page = call(cloud, "GetResourceConfigHistory", &input).unwrap();
        found.extend(page["configurationItems"].as_array().unwrap().clone());
        pages += 1;
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => return (found, pages),
        }
    }
}

#[test]
fn a_call_looks_at_seven_days_of_the_history_and_every_item_comes_once_in_order() {
    let cloud = TestCloud::new(40);
    let name = recorded(&cloud, 4);
    let input = json!({"resourceType": "AWS::SSM::PatchCompliance", "resourceId": name});
    let (items, pages) = history(&cloud, &input);
    assert_eq!(items.len(), 5, "the one from before, and four");
    assert!(pages >= 4, "{pages}");
    let times: Vec<f64> =
        items.iter().map(|it| it["configurationItemCaptureTime"].as_f64().unwrap()).collect();
    assert!(times.windows(2).all(|it| it[0] > it[1]), "{times:?}");
    let mut forward = input.clone();
    forward["chronologicalOrder"] = json!("Forward");
    let mut reversed = history(&cloud, &forward).0;
    reversed.reverse();
    assert_eq!(reversed, items);
    let mut two = input;
    two["earlierTime"] = json!(times[3]);
    two["laterTime"] = json!(times[2]);
    assert_eq!(history(&cloud, &two).0, items[2..4]);
}

#[test]
fn there_is_no_history_of_what_was_never_scanned_nor_of_other_types() {
    let cloud = TestCloud::new(8);
    let refused = |kind: &str, id: &str| {
        let input = json!({"resourceType": kind, "resourceId": id});
        call(&cloud, "GetResourceConfigHistory", &input).unwrap_err().0
    };
    let nobody = "AWS::SSM::ManagedInstanceInventory/i-0fffffffffffffff0";
    assert_eq!(refused("AWS::SSM::PatchCompliance", nobody), "ResourceNotDiscoveredException");
    assert_eq!(refused("AWS::EC2::Instance", nobody), "ValidationException");
}
