//! StartAutomationExecution and StopAutomationExecution.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Execution, Fan, Parameters, State, Status, Target,
    abroad::Abroad,
    runbooks::{Fault, Runbook},
    unknown,
};
use crate::cloud::{
    aws::{
        AwsError, Call, input,
        ssm::{idempotent::once, tags::given},
    },
    world::machine::{AwsKind, MachineIx, Power, ScopeIx},
};

/// The service's own (API reference, StartAutomationExecution).
const CONCURRENCY: &str = "10";
const ERRORS: &str = "0";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    document_name: String,
    document_version: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    target_parameter_name: Option<String>,
    #[serde(default)]
    targets: Vec<Target>,
    max_concurrency: Option<String>,
    max_errors: Option<String>,
    mode: Option<String>,
    target_locations: Option<Vec<Value>>,
    target_maps: Option<Value>,
    #[serde(rename = "TargetLocationsURL")]
    target_locations_url: Option<String>,
}

/// What was started, and the nodes that its input names.
pub(super) struct Started {
    pub(super) id: Arc<str>,
    reached: Vec<String>,
}

pub(super) fn start_automation_execution(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    once(call, value, |call, value| {
        let caller = call.caller.arn.clone();
        let started = start(call.state, call.scope, &caller, value)?;
        call.reached = started.reached;
        Ok(json!({"AutomationExecutionId": &*started.id}))
    })
}

pub(super) fn start(
    state: &mut State,
    scope: ScopeIx,
    caller: &str,
    value: Value,
) -> Result<Started, AwsError> {
    let tags = given(&value);
    let start: Start = input(value)?;
    check_modelled(&start)?;
    let runbook = find(state, scope, &start)?;
    let mut reached = named_nodes(state, scope, start.parameters.values().flatten());
    let id = if let Some(locations) = start.target_locations.as_ref().filter(|it| !it.is_empty()) {
        let many = (!start.targets.is_empty()).then(|| Many::of(&start));
        if let Some(many) = &many {
            many.check(&runbook, &start.parameters)?;
        }
        let mut given = start.parameters.clone();
        if let Some(many) = &many {
            given.insert(many.parameter.clone(), vec![String::new()]);
        }
        let mut parameters = runbook.complete(&given).map_err(wrong)?;
        if let Some(many) = &many {
            parameters.remove(&many.parameter);
        }
        let abroad = Abroad::of(state, locations, many)?;
        let mut execution = state.new_execution(runbook, parameters, caller.into());
        execution.abroad = Some(abroad);
        state.begin_abroad(scope, execution)
    } else if start.targets.is_empty() {
        let parameters = runbook.complete(&start.parameters).map_err(wrong)?;
        let execution = state.new_execution(runbook, parameters, caller.into());
        state.begin_execution(scope, execution)
    } else {
        let many = Many::of(&start);
        many.check(&runbook, &start.parameters)?;
        let fan = many.fan(state, scope)?;
        reached.extend(named_nodes(state, scope, fan.values.iter()));
        let mut given = start.parameters.clone();
        given.insert(fan.parameter.clone(), vec![String::new()]);
        let mut parameters = runbook.complete(&given).map_err(wrong)?;
        parameters.remove(&fan.parameter);
        let mut execution = state.new_execution(runbook, parameters, caller.into());
        execution.fan = Some(fan);
        state.begin_fan(scope, execution)
    };
    *state.scope_mut(scope).ssm.tags.of_mut("Automation", &id) = tags;
    Ok(Started { id, reached })
}

pub(super) fn wrong(message: String) -> AwsError {
    AwsError::new("InvalidAutomationExecutionParametersException", message)
}

/// What would be done otherwise than asked is refused.
fn check_modelled(start: &Start) -> Result<(), AwsError> {
    let not_modelled = [
        (start.target_locations_url.is_some(), "TargetLocationsURL"),
        (start.target_maps.is_some(), "TargetMaps"),
        (start.mode.as_deref() == Some("Interactive"), "Mode Interactive"),
    ];
    match not_modelled.iter().find(|(is_given, _)| *is_given) {
        Some((_, name)) => Err(wrong(format!("The simulator does not model {name}."))),
        None => Ok(()),
    }
}

fn find(state: &State, scope: ScopeIx, start: &Start) -> Result<Arc<Runbook>, AwsError> {
    let name = &start.document_name;
    let runbook = Runbook::find(state, scope, name).map_err(|fault| match fault {
        Fault::Unknown => AwsError::new(
            "AutomationDefinitionNotFoundException",
            format!("The simulator has no runbook with the name {name}."),
        ),
        Fault::Wrong(what) => wrong(format!("The runbook {name} cannot be read: {what}.")),
    })?;
    match start.document_version.as_deref() {
        None | Some("" | "$DEFAULT" | "$LATEST" | "1") => Ok(runbook),
        Some(version) => Err(AwsError::new(
            "AutomationDefinitionVersionNotFoundException",
            format!("The runbook {name} has no version {version}."),
        )),
    }
}

/// How an execution is to go over many targets.
#[derive(Clone, Debug)]
pub(super) struct Many {
    pub(super) parameter: String,
    pub(super) targets: Vec<Target>,
    pub(super) max_concurrency: Option<String>,
    pub(super) max_errors: Option<String>,
}

impl Many {
    fn of(start: &Start) -> Self {
        Self {
            parameter: start.target_parameter_name.clone().unwrap_or_default(),
            targets: start.targets.clone(),
            max_concurrency: start.max_concurrency.clone(),
            max_errors: start.max_errors.clone(),
        }
    }

    fn check(&self, runbook: &Runbook, given: &Parameters) -> Result<(), AwsError> {
        let Self { parameter, .. } = self;
        if !runbook.parameters.iter().any(|it| it.name == *parameter) {
            let name = &runbook.name;
            let message = format!("TargetParameterName: {name} has no parameter {parameter:?}.");
            return Err(wrong(message));
        }
        if given.contains_key(parameter) {
            return Err(wrong(format!("{parameter} is given by Targets and by Parameters.")));
        }
        Ok(())
    }

    /// What it comes to in an account's Region.
    pub(super) fn fan(&self, state: &State, scope: ScopeIx) -> Result<Fan, AwsError> {
        let values = values(state, scope, &self.targets)?;
        let max_concurrency = self.max_concurrency.as_deref().unwrap_or(CONCURRENCY);
        let max_errors = self.max_errors.as_deref().unwrap_or(ERRORS);
        Ok(Fan {
            parameter: self.parameter.clone(),
            targets: self.targets.clone(),
            next: 0,
            running: 0,
            failed: 0,
            children: Vec::new(),
            concurrency: amount(max_concurrency, values.len()).max(1),
            allowed_errors: amount(max_errors, values.len()),
            max_concurrency: max_concurrency.to_owned(),
            max_errors: max_errors.to_owned(),
            values,
        })
    }
}

/// `10` or `10%` of so many.
pub(super) fn amount(text: &str, of: usize) -> usize {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse().map_or(0, |percent: usize| of * percent / 100),
        None => text.parse().unwrap_or(0),
    }
}

/// The values that targets stand for: themselves, or the ids of instances. Unlike Run Command's,
/// these need not be managed.
fn values(state: &State, scope: ScopeIx, targets: &[Target]) -> Result<Vec<String>, AwsError> {
    let [target] = targets else {
        return Err(wrong("Automation takes one target.".to_owned()));
    };
    let invalid = |message: String| Err(AwsError::new("InvalidTarget", message));
    match target.key.as_str() {
        "ParameterValues" | "InstanceIds" => Ok(target.values.clone()),
        key if key.starts_with("tag:") || key == "tag-key" => {
            let name = key.strip_prefix("tag:");
            let matches = |at: &MachineIx| {
                let machine = state.machine(*at);
                let aws = machine.aws.as_ref()?;
                let ec2 = matches!(aws.side, AwsKind::Ec2(_));
                let there = machine.power != Power::Terminated;
                let fits = |(key, value): &(Arc<str>, Arc<str>)| {
                    let text = if name.is_some() { value } else { key };
                    name.is_none_or(|name| **key == *name)
                        && target.values.iter().any(|it| **it == **text)
                };
                (ec2 && there && aws.tags.iter().any(fits)).then(|| aws.id.to_string())
            };
            Ok(state.scope(scope).machines.iter().filter_map(matches).collect())
        }
        key => invalid(format!("The target key {key:?} is not supported.")),
    }
}

/// Those of some values that are ids of nodes here.
fn named_nodes<'a>(
    state: &State,
    scope: ScopeIx,
    values: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    values.filter(|it| state.find(scope, it).is_some()).cloned().collect()
}

impl State {
    pub(super) fn new_execution(
        &mut self,
        runbook: Arc<Runbook>,
        parameters: Parameters,
        caller: Arc<str>,
    ) -> Execution {
        Execution {
            id: self.new_uuid().into(),
            runbook,
            parameters,
            caller,
            started: self.now,
            ended: None,
            status: Status::InProgress,
            failure: None,
            steps: Vec::new(),
            stopping: false,
            parent: None,
            parent_scope: None,
            target: None,
            fan: None,
            abroad: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stop {
    automation_execution_id: String,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

pub(super) fn stop_automation_execution(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let Stop { automation_execution_id: id, kind } = input(value)?;
    let scope = call.scope;
    let execution = call.state.automation_mut(scope).get_mut(&id).ok_or_else(|| unknown(&id))?;
    if execution.status.is_over() {
        let status = execution.status.as_str();
        let message = format!("The execution {id} is {status}, it cannot be stopped.");
        return Err(AwsError::new("InvalidAutomationStatusUpdateException", message));
    }
    if kind.as_deref() == Some("Complete") {
        // What runs is finished, and nothing is begun.
        execution.stopping = true;
    } else {
        call.state.cancel_execution(scope, &id);
    }
    Ok(json!({}))
}
