//! Associations are run: at their creation, by their schedule, when someone asks for it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use patchkit_core::ComplianceStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AssociationItem, Definition, Ended, Execution, State, TargetResult, unknown};
use crate::cloud::{
    aws::{
        AwsError, Call, input,
        ssm::commands::{
            self, Origin, SendRequest, Stage, Target, documents::Document, reached, reaches,
            resolve,
        },
    },
    lake::Part,
    world::machine::ScopeIx,
};

/// More runs than these are forgotten, oldest first.
const KEPT: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartOnce {
    association_ids: Vec<String>,
}

pub(super) fn start_associations_once(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let StartOnce { association_ids: ids } = input(value)?;
    let mut seen = HashSet::new();
    for id in &ids {
        if call.state.association(call.scope, id).is_none() {
            return Err(unknown(id));
        }
        if !seen.insert(id) {
            return Err(AwsError::new("InvalidAssociation", format!("{id} is given twice.")));
        }
    }
    for id in &ids {
        let nodes = run(call.state, call.scope, id)?;
        call.reached.extend(nodes);
    }
    Ok(json!({}))
}

/// The parameters that an association gives to its document: its own id where that wants it.
pub(super) fn parameters(
    document: &Document,
    definition: &Definition,
    id: &str,
) -> BTreeMap<String, Vec<String>> {
    let mut parameters = definition.parameters.clone();
    if document.name == "AWS-RunPatchBaselineAssociation" {
        parameters.entry("AssociationId".to_owned()).or_insert_with(|| vec![id.to_owned()]);
    }
    parameters
}

/// Runs an association on all of its nodes; says which.
pub(super) fn run(state: &mut State, scope: ScopeIx, id: &str) -> Result<Vec<String>, AwsError> {
    expect(state, scope, id)?;
    let association = state.association(scope, id).ok_or_else(|| unknown(id))?;
    let targets = association.targets();
    run_on(state, scope, id, targets)
}

/// Notes the nodes that an association is for and has not run on: there it is pending.
pub(super) fn expect(state: &mut State, scope: ScopeIx, id: &str) -> Result<(), AwsError> {
    let association = state.association(scope, id).ok_or_else(|| unknown(id))?;
    let nodes = resolve(state, scope, &association.targets())?;
    let nodes = nodes.into_iter().filter_map(|at| state.machine(at).aws.as_ref());
    let nodes = nodes.map(|aws| aws.id.clone()).filter(|id| !association.results.contains_key(id));
    let (now, nodes) = (state.now, nodes.collect::<Vec<_>>());
    if let Some(association) = state.association_mut(scope, id) {
        let pending = nodes.into_iter().map(|id| (id.clone(), TargetResult::pending(id, now)));
        association.results.extend(pending);
    }
    Ok(())
}

pub(super) fn run_on(
    state: &mut State,
    scope: ScopeIx,
    id: &str,
    targets: Vec<Target>,
) -> Result<Vec<String>, AwsError> {
    let association = state.association(scope, id).ok_or_else(|| unknown(id))?;
    let (id, version) = (Arc::clone(&association.id), association.version());
    let definition = association.definition.clone();
    let document = Document::find(state, scope, &definition.name)
        .map_err(|fault| AwsError::new("InvalidDocument", fault))?;
    let s3 = definition.output_location.as_ref().map(|it| &it["S3Location"]);
    let place = |name| s3.and_then(|it| it[name].as_str()).map(ToOwned::to_owned);
    let request = SendRequest {
        targets,
        document_name: definition.name.clone(),
        document_version: definition.document_version.clone(),
        parameters: parameters(&document, &definition, &id),
        bucket: place("OutputS3BucketName"),
        prefix: place("OutputS3KeyPrefix"),
        bucket_region: place("OutputS3Region"),
        // All at once, where nothing else is said (API reference, CreateAssociation).
        max_concurrency: definition.max_concurrency.or_else(|| Some("100%".to_owned())),
        max_errors: definition.max_errors.or_else(|| Some("100%".to_owned())),
        origin: Origin::Association,
        ..SendRequest::default()
    };
    let sent = commands::send(state, scope, request)?;
    let command: Arc<str> = sent["Command"]["CommandId"].as_str().unwrap_or_default().into();
    let execution: Arc<str> = state.new_uuid().into();
    let now = state.now;
    if let Some(association) = state.association_mut(scope, &id) {
        association.last_run = Some(now);
        association.executions.push(Execution {
            id: Arc::clone(&execution),
            version,
            created: now,
            command: Arc::clone(&command),
            ended: None,
        });
        if association.executions.len() > KEPT {
            association.executions.remove(0);
        }
    }
    // It is for associations that run at their times alone (API reference, CreateAssociation).
    if let Some(hours) = definition.duration.filter(|_| definition.apply_only_at_cron_interval) {
        let command = Arc::clone(&command);
        let longest = Duration::from_hours(hours.into());
        state.after(longest, move |state| commands::cancel(state, scope, &command));
    }
    let nodes = reached(state, scope, &command);
    commands::on_end(state, scope, &command, {
        let command = Arc::clone(&command);
        move |state| note_end(state, scope, &id, &execution, &command)
    });
    Ok(nodes)
}

/// Notes what came of a run, and the compliance of each of its nodes.
fn note_end(state: &mut State, scope: ScopeIx, id: &Arc<str>, execution: &Arc<str>, command: &str) {
    let now = state.now;
    let Some(ended) = results(state, scope, execution, command) else { return };
    let Some(association) = state.association_mut(scope, id) else { return };
    if ended.status == "Success" {
        association.last_success = Some(now);
    }
    for result in &ended.targets {
        let mut result = result.clone();
        if result.status != "Success" {
            let before = association.results.get(&result.node);
            result.last_success = before.and_then(|it| it.last_success);
        }
        association.results.insert(result.node.clone(), result);
    }
    let definition = &association.definition;
    let name = definition.name.clone();
    let severity = definition.compliance_severity.clone().unwrap_or("UNSPECIFIED".to_owned());
    let manual = definition.sync_compliance.as_deref() == Some("MANUAL");
    let targets = ended.targets.clone();
    if let Some(run) = association.executions.iter_mut().find(|it| it.id == *execution) {
        run.ended = Some(ended);
    }
    // AWS-RunPatchBaselineAssociation has put its own items; a manual one reports nothing.
    if manual || name == "AWS-RunPatchBaselineAssociation" {
        return;
    }
    for result in targets {
        let item = AssociationItem {
            title: name.as_str().into(),
            status: match result.status {
                "Success" => ComplianceStatus::Compliant,
                _ => ComplianceStatus::NonCompliant,
            },
            severity: severity.as_str().into(),
            executed: result.at,
            execution: Arc::clone(execution),
            execution_type: "Association",
            details: BTreeMap::from([
                ("DocumentName", name.clone()),
                ("DocumentVersion", "1".to_owned()),
            ]),
        };
        let at = state.find(scope, &result.node);
        let key = (result.node, Arc::clone(id));
        state.scope_mut(scope).ssm.association_compliance.insert(key, item);
        if let Some(at) = at {
            state.sync_node(at, Part::Compliance);
        }
    }
}

/// What a run's command has come to by now.
pub(super) fn results(
    state: &State,
    scope: ScopeIx,
    execution: &Arc<str>,
    command: &str,
) -> Option<Ended> {
    let command = state.commands(scope).get(command)?;
    let targets = command.invocations.iter().map(|it| {
        let (status, at) = (status(it.stage), it.ended.or(it.started).unwrap_or(command.requested));
        TargetResult {
            node: it.node.clone(),
            status,
            details: it.stage.details(),
            at,
            last_success: (status == "Success").then_some(at),
            execution: Arc::clone(execution),
            code: it.code(),
        }
    });
    Some(Ended {
        at: state.now,
        status: status(command.stage),
        details: command.stage.details(),
        targets: targets.collect(),
    })
}

/// The statuses of associations are fewer than those of commands.
fn status(stage: Stage) -> &'static str {
    match stage {
        Stage::Delayed | Stage::Cancelling => "InProgress",
        Stage::Cancelled | Stage::Terminated => "Failed",
        other => other.status(),
    }
}

/// Enters the next run by the schedule; what was entered before is void.
pub(super) fn plan_next(state: &mut State, scope: ScopeIx, id: &str) {
    let now = state.now;
    let plan = state.next_number();
    let Some(association) = state.association_mut(scope, id) else { return };
    association.plan = plan;
    let id = Arc::clone(&association.id);
    let Some(next) = association.timing.as_ref().and_then(|it| it.next(now)) else { return };
    state.at(next, move |state| {
        if state.association(scope, &id).is_some_and(|it| it.plan == plan) {
            // A document that is gone is seen at the next change: there is no one to tell here.
            let _ = run(state, scope, &id);
            plan_next(state, scope, &id);
        }
    });
}

/// Runs a node's associations anew: all that are for it, or those of some ids. Says how many.
pub(in super::super) fn refresh(
    state: &mut State,
    scope: ScopeIx,
    node: &str,
    ids: &[String],
) -> usize {
    let ids: Vec<Arc<str>> = effective(state, scope, node)
        .into_iter()
        .filter(|id| ids.is_empty() || ids.iter().any(|it| **it == **id))
        .collect();
    let target = Target { key: "InstanceIds".to_owned(), values: vec![node.to_owned()] };
    let mut count = 0;
    for id in &ids {
        count += usize::from(run_on(state, scope, id, vec![target.clone()]).is_ok());
    }
    count
}

/// The associations that are for a node, by id.
pub(super) fn effective(state: &State, scope: ScopeIx, node: &str) -> Vec<Arc<str>> {
    let Some(at) = state.find(scope, node) else { return Vec::new() };
    let associations = state.associations(scope).by_id.values();
    let for_node = associations.filter(|it| reaches(state, scope, &it.targets(), at));
    for_node.map(|it| Arc::clone(&it.id)).collect()
}
