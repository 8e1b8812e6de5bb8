//! Remediation: runbooks that are started for resources by hand.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{
        AwsError, Call, Operations, input, seconds,
        ssm::automation::{self, Told},
        texts,
    },
    invalid, page, rules,
};
use crate::cloud::world::State;

pub(super) const OPERATIONS: Operations = &[
    ("DeleteRemediationConfiguration", delete_remediation_configuration),
    ("DescribeRemediationConfigurations", describe_remediation_configurations),
    ("DescribeRemediationExecutionStatus", describe_remediation_execution_status),
    ("PutRemediationConfigurations", put_remediation_configurations),
    ("StartRemediationExecution", start_remediation_execution),
];

/// The remediation of one rule.
#[derive(Debug)]
pub(super) struct Remediation {
    /// As it was put, with what the service adds.
    given: Value,
    asked: Asked,
    /// The last run for each resource, by its type and id.
    runs: std::collections::BTreeMap<(String, String), Run>,
}

#[derive(Debug)]
struct Run {
    execution: Arc<str>,
    invoked: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    config_rule_name: String,
    target_id: String,
    target_version: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    automatic: Option<bool>,
}

impl Asked {
    /// The input of StartAutomationExecution for a resource.
    fn start(&self, resource: &str) -> Value {
        let mut parameters = Map::new();
        for (name, value) in &self.parameters {
            let values = match &value["ResourceValue"] {
                Value::Null => texts(&value["StaticValue"]["Values"]),
                _ => vec![resource.to_owned()],
            };
            parameters.insert(name.clone(), json!(values));
        }
        json!({
            "DocumentName": self.target_id,
            "DocumentVersion": self.target_version,
            "Parameters": parameters,
        })
    }
}

fn put_remediation_configurations(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let list = value["RemediationConfigurations"].as_array().cloned().unwrap_or_default();
    let mut new = Vec::new();
    for given in list {
        let asked: Asked = input(given.clone())?;
        let name = &asked.config_rule_name;
        if !call.here().config.rules.contains_key(name) {
            return Err(invalid(format!("The ConfigRule '{name}' does not exist.")));
        }
        if asked.automatic == Some(true) {
            let message = "The simulator does not model Automatic remediation: it is started by \
                           StartRemediationExecution.";
            return Err(invalid(message));
        }
        new.push((given, asked));
    }
    for (mut given, asked) in new {
        let (region, account) = (call.region(), call.account_id());
        let name = asked.config_rule_name.clone();
        given["Arn"] =
            json!(format!("arn:aws:config:{region}:{account}:remediation-configuration/{name}/1"));
        let remediation = Remediation { given, asked, runs: std::collections::BTreeMap::new() };
        call.here_mut().config.remediations.insert(name, remediation);
    }
    Ok(json!({"FailedBatches": []}))
}

fn describe_remediation_configurations(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    // A rule that has none is not told (API reference, DescribeRemediationConfigurations).
    let names = texts(&input["ConfigRuleNames"]);
    let found = names.iter().filter_map(|name| call.here().config.remediations.get(name));
    let found: Vec<&Value> = found.map(|it| &it.given).collect();
    Ok(json!({"RemediationConfigurations": found}))
}

fn delete_remediation_configuration(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name = input["ConfigRuleName"].as_str().unwrap_or_default();
    let remediation = find(call, name)?;
    if remediation.runs.values().any(|run| state_of(call, run) == "IN_PROGRESS") {
        let message = "Remediation action is in progress. You can either cancel execution in AWS \
                       Systems Manager Automation or wait and try again later.";
        return Err(AwsError::new("RemediationInProgressException", message));
    }
    call.here_mut().config.remediations.remove(name);
    Ok(json!({}))
}

fn find<'c>(call: &'c Call<'_>, name: &str) -> Result<&'c Remediation, AwsError> {
    call.here().config.remediations.get(name).ok_or_else(|| {
        let message = format!("No RemediationConfiguration for rule {name} exists");
        AwsError::new("NoSuchRemediationConfigurationException", message)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    resource_type: String,
    resource_id: String,
}

fn keys(value: &Value) -> Result<Vec<Key>, AwsError> {
    match &value["ResourceKeys"] {
        Value::Null => Ok(Vec::new()),
        list => input(list.clone()),
    }
}

fn start_remediation_execution(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let name = value["ConfigRuleName"].as_str().unwrap_or_default();
    let keys = keys(&value)?;
    let asked = find(call, name)?.asked.clone();
    if !call.here().config.rules.contains_key(name) {
        return Err(rules::no_such(name));
    }
    let (mut failed, mut message) = (Vec::new(), None);
    for Key { resource_type, resource_id } in keys {
        let node = resource_id.rsplit('/').next().unwrap_or_default().to_owned();
        let known = call.state.find(call.scope, &node).is_some();
        let started = if known {
            automation::start_input(call.state, call.scope, asked.start(&resource_id))
        } else {
            Err(invalid(format!("The resource {resource_id} is not known.")))
        };
        match started {
            Ok(execution) => {
                call.reached.push(node);
                let run = Run { execution: execution.into(), invoked: call.state.now };
                let remediations = &mut call.here_mut().config.remediations;
                if let Some(remediation) = remediations.get_mut(name) {
                    remediation.runs.insert((resource_type, resource_id), run);
                }
            }
            Err(error) => {
                message = Some(error.message);
                failed.push(json!({"resourceType": resource_type, "resourceId": resource_id}));
            }
        }
    }
    Ok(json!({"FailedItems": failed, "FailureMessage": message}))
}

fn describe_remediation_execution_status(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = page(call, &value, 10)?;
    let name = value["ConfigRuleName"].as_str().unwrap_or_default();
    let keys = keys(&value)?;
    let remediation = find(call, name)?;
    let wanted = |(kind, id): &(String, String)| {
        keys.is_empty() || keys.iter().any(|it| it.resource_type == *kind && it.resource_id == *id)
    };
    let runs = remediation.runs.iter().filter(|(key, _)| wanted(key));
    let (runs, next) = page.cut(runs);
    let statuses: Vec<Value> = runs
        .into_iter()
        .map(|((kind, id), run)| {
            let steps = told(call.state, call, run).map(|it| it.steps).unwrap_or_default();
            let steps: Vec<Value> = steps.iter().map(step).collect();
            json!({
                "ResourceKey": {"resourceType": kind, "resourceId": id},
                "State": state_of(call, run),
                "StepDetails": steps,
                "InvocationTime": seconds(run.invoked),
                "LastUpdatedTime": seconds(
                    told(call.state, call, run).and_then(|it| it.ended).unwrap_or(run.invoked)
                ),
            })
        })
        .collect();
    Ok(json!({"RemediationExecutionStatuses": statuses, "NextToken": next}))
}

fn told(state: &State, call: &Call<'_>, run: &Run) -> Option<Told> {
    automation::told(state, call.scope, &run.execution)
}

/// A run in the words of Config.
fn state_of(call: &Call<'_>, run: &Run) -> &'static str {
    told(call.state, call, run).map_or("UNKNOWN", |it| word(&it.status))
}

fn word(status: &str) -> &'static str {
    match status {
        "Success" => "SUCCEEDED",
        "InProgress" | "Cancelling" => "IN_PROGRESS",
        _ => "FAILED",
    }
}

fn step(step: &Value) -> Value {
    json!({
        "Name": step["StepName"],
        "State": word(step["StepStatus"].as_str().unwrap_or_default()),
        "ErrorMessage": step["FailureMessage"],
        "StartTime": step["ExecutionStartTime"],
        "StopTime": step["ExecutionEndTime"],
    })
}
