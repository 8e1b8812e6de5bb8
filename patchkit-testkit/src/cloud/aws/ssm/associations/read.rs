//! What is told of associations and of their runs.

#![expect(clippy::needless_pass_by_value, reason = "all operations have one signature")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Association, Ended, Execution, State, Version, run, unknown};
use crate::cloud::{
    aws::{AwsError, Call, input, page::Page, seconds},
    world::machine::ScopeIx,
};

const PAGE: usize = 50;
/// The largest page of DescribeEffectiveInstanceAssociations.
const SMALL_PAGE: usize = 5;

/// The association that an input names: by its id, or by its document and node.
pub(super) fn find<'a>(
    state: &'a State,
    scope: ScopeIx,
    input: &Value,
) -> Result<&'a Association, AwsError> {
    if let Some(id) = input["AssociationId"].as_str() {
        return state.association(scope, id).ok_or_else(|| unknown(id));
    }
    let (name, node) = (input["Name"].as_str(), input["InstanceId"].as_str());
    let (Some(name), Some(node)) = (name, node) else {
        let message = "Either AssociationId, or Name and InstanceId must be given.";
        return Err(AwsError::validation(message));
    };
    let mut all = state.associations(scope).by_id.values();
    all.find(|it| it.definition.name == name && it.definition.instance_id.as_deref() == Some(node))
        .ok_or_else(|| unknown(name))
}

pub(super) fn describe_association(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let association = find(call.state, call.scope, &value)?;
    let version = association.version_of(value["AssociationVersion"].as_str())?;
    Ok(json!({"AssociationDescription": description(association, version)}))
}

pub(super) fn description(association: &Association, (number, version): (usize, Version)) -> Value {
    let Version { definition, created } = version;
    let (status, _) = association.status();
    let status = match status {
        "Success" | "Pending" => status,
        _ => "Failed",
    };
    let mut value = json!(definition);
    value["AssociationId"] = json!(&*association.id);
    value["AssociationVersion"] = json!(number.to_string());
    value["Date"] = seconds(association.created);
    value["LastUpdateAssociationDate"] = seconds(created);
    value["LastExecutionDate"] = json!(association.last_run.map(seconds));
    value["LastSuccessfulExecutionDate"] = json!(association.last_success.map(seconds));
    value["Overview"] = association.overview();
    value["Status"] = json!({
        "Date": seconds(association.last_run.unwrap_or(association.created)),
        "Name": status,
        "Message": format!("The association is {status}."),
    });
    value["Targets"] = json!(definition.targets());
    value
}

#[derive(Deserialize)]
struct Filter {
    #[serde(alias = "Key")]
    key: String,
    #[serde(alias = "Value")]
    value: String,
    #[serde(default, rename = "Type")]
    kind: Option<String>,
}

pub(super) fn list_associations(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let filters = filters(&value, "AssociationFilterList")?;
    let mut wanted = Vec::new();
    for association in call.state.associations(call.scope).by_id.values() {
        if passes(call, association, &filters)? {
            wanted.push(association);
        }
    }
    let (associations, next) = page.cut(wanted);
    let associations: Vec<Value> = associations
        .into_iter()
        .map(|it| {
            json!({
                "AssociationId": &*it.id,
                "AssociationName": it.definition.association_name,
                "AssociationVersion": it.version().to_string(),
                "DocumentVersion": it.definition.document_version,
                "InstanceId": it.definition.instance_id,
                "LastExecutionDate": it.last_run.map(seconds),
                "Name": it.definition.name,
                "Overview": it.overview(),
                "ScheduleExpression": it.definition.schedule_expression,
                "Targets": it.targets(),
            })
        })
        .collect();
    Ok(json!({"Associations": associations, "NextToken": next}))
}

fn filters(value: &Value, name: &str) -> Result<Vec<Filter>, AwsError> {
    match &value[name] {
        Value::Null => Ok(Vec::new()),
        list => input(list.clone()),
    }
}

fn passes(
    call: &Call<'_>,
    association: &Association,
    filters: &[Filter],
) -> Result<bool, AwsError> {
    for Filter { key, value, .. } in filters {
        let passes = match key.as_str() {
            "InstanceId" => association
                .targets()
                .iter()
                .any(|it| it.key == "InstanceIds" && it.values.contains(value)),
            "Name" => association.definition.name == *value,
            "AssociationId" => *association.id == **value,
            "AssociationName" => association.definition.association_name.as_ref() == Some(value),
            "AssociationStatusName" => association.status().0.eq_ignore_ascii_case(value),
            "LastExecutedBefore" => {
                let time = time(value)?;
                association.last_run.is_some_and(|at| at < time)
            }
            "LastExecutedAfter" => {
                let time = time(value)?;
                association.last_run.is_some_and(|at| at > time)
            }
            _ => {
                let message = format!("{}: the filter {key} is not supported.", call.operation);
                return Err(AwsError::validation(message));
            }
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn time(value: &str) -> Result<Timestamp, AwsError> {
    value.parse().map_err(|_| AwsError::validation(format!("{value:?} is not a time.")))
}

/// How a run stands, live or as it ended.
fn standing(state: &State, scope: ScopeIx, run: &Execution) -> Option<Ended> {
    run.ended.clone().or_else(|| run::results(state, scope, &run.id, &run.command))
}

pub(super) fn describe_association_executions(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let association = find(call.state, call.scope, &value)?;
    let filters = filters(&value, "Filters")?;
    let mut runs = Vec::new();
    for run in association.executions.iter().rev() {
        let Some(ended) = standing(call.state, call.scope, run) else { continue };
        if run_passes(run, &ended, &filters)? {
            runs.push((run, ended));
        }
    }
    let (runs, next) = page.cut(runs);
    let runs: Vec<Value> = runs
        .into_iter()
        .map(|(run, ended)| {
            let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
            for target in &ended.targets {
                *counts.entry(target.status).or_default() += 1;
            }
            let counts: Vec<String> =
                counts.into_iter().map(|(status, count)| format!("{status}={count}")).collect();
            json!({
                "AssociationId": &*association.id,
                "AssociationVersion": run.version.to_string(),
                "ExecutionId": &*run.id,
                "Status": ended.status,
                "DetailedStatus": ended.details,
                "CreatedTime": seconds(run.created),
                "LastExecutionDate": run.ended.as_ref().map(|it| seconds(it.at)),
                "ResourceCountByStatus": format!("{{{}}}", counts.join(", ")),
            })
        })
        .collect();
    Ok(json!({"AssociationExecutions": runs, "NextToken": next}))
}

fn run_passes(run: &Execution, ended: &Ended, filters: &[Filter]) -> Result<bool, AwsError> {
    for Filter { key, value, kind } in filters {
        let passes = match (key.as_str(), kind.as_deref()) {
            ("ExecutionId", _) => *run.id == **value,
            ("Status", _) => ended.status.eq_ignore_ascii_case(value),
            ("CreatedTime", Some("LESS_THAN")) => run.created < time(value)?,
            ("CreatedTime", Some("GREATER_THAN")) => run.created > time(value)?,
            _ => run.created == time(value)?,
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn describe_association_execution_targets(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let association = find(call.state, call.scope, &value)?;
    let id = value["ExecutionId"].as_str().unwrap_or_default();
    let run = association.executions.iter().find(|it| *it.id == *id).ok_or_else(|| {
        let message = format!("The association has no execution {id}.");
        AwsError::new("AssociationExecutionDoesNotExist", message)
    })?;
    let filters = filters(&value, "Filters")?;
    let ended = standing(call.state, call.scope, run);
    let targets = ended.into_iter().flat_map(|it| it.targets).filter(|target| {
        filters.iter().all(|Filter { key, value, .. }| match key.as_str() {
            "Status" => target.status.eq_ignore_ascii_case(value),
            "ResourceId" => *target.node == **value,
            _ => value == "ManagedInstance",
        })
    });
    let (targets, next) = page.cut(targets);
    let targets: Vec<Value> = targets
        .into_iter()
        .map(|target| {
            json!({
                "AssociationId": &*association.id,
                "AssociationVersion": run.version.to_string(),
                "ExecutionId": &*run.id,
                "ResourceId": &*target.node,
                "ResourceType": "ManagedInstance",
                "Status": target.status,
                "DetailedStatus": target.details,
                "LastExecutionDate": seconds(target.at),
                "OutputSource": {
                    "OutputSourceId": &*run.command,
                    "OutputSourceType": "RunCommand",
                },
            })
        })
        .collect();
    Ok(json!({"AssociationExecutionTargets": targets, "NextToken": next}))
}

/// The node that an input names, with the associations that are for it.
fn of_node(call: &Call<'_>, value: &Value) -> Result<(String, Vec<std::sync::Arc<str>>), AwsError> {
    let node = value["InstanceId"].as_str().unwrap_or_default();
    if call.state.find(call.scope, node).is_none() {
        let message = format!("Instance {node} is not valid for this account.");
        return Err(AwsError::new("InvalidInstanceId", message));
    }
    Ok((node.to_owned(), run::effective(call.state, call.scope, node)))
}

pub(super) fn describe_instance_associations_status(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let (node, ids) = of_node(call, &value)?;
    let (ids, next) = page.cut(ids);
    let infos: Vec<Value> = ids
        .iter()
        .filter_map(|id| call.state.association(call.scope, id))
        .map(|it| {
            let result = it.results.get(&*node).filter(|it| !it.is_pending());
            json!({
                "AssociationId": &*it.id,
                "AssociationName": it.definition.association_name,
                "AssociationVersion": it.version().to_string(),
                "DocumentVersion": "1",
                "InstanceId": node,
                "Name": it.definition.name,
                "Status": result.map_or("Pending", |it| it.status),
                "DetailedStatus": result.map_or("Associated", |it| it.details),
                "ExecutionDate": result.map(|it| seconds(it.at)),
                "ExecutionSummary": result.map(|it| {
                    format!("Execution {}: response code {}.", it.execution, it.code)
                }),
                "ErrorCode": result.filter(|it| it.code > 0).map(|it| it.code.to_string()),
            })
        })
        .collect();
    Ok(json!({"InstanceAssociationStatusInfos": infos, "NextToken": next}))
}

pub(super) fn describe_effective_instance_associations(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, SMALL_PAGE)?;
    let (node, ids) = of_node(call, &value)?;
    let (ids, next) = page.cut(ids);
    let associations: Vec<Value> = ids
        .iter()
        .filter_map(|id| call.state.association(call.scope, id))
        .map(|it| {
            json!({
                "AssociationId": &*it.id,
                "AssociationVersion": it.version().to_string(),
                "InstanceId": node,
            })
        })
        .collect();
    Ok(json!({"Associations": associations, "NextToken": next}))
}
