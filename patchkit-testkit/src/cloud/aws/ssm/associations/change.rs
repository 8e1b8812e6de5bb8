//! CreateAssociation, UpdateAssociation and DeleteAssociation.

#![expect(clippy::needless_pass_by_value, reason = "all operations have one signature")]

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use patchkit_core::{RateUnit, Schedule};
use serde_json::{Value, json};

use super::{Association, Definition, State, Version, read, run, unknown};
use crate::cloud::{
    aws::{
        AwsError, Call, input,
        ssm::{
            commands::{Target, check_parameters, documents::Document, resolve},
            schedule::{Timing, When},
            tags::given,
        },
    },
    lake::Part,
    world::machine::ScopeIx,
};

/// Quota of an account's Region.
const MOST: usize = 2_000;

pub(super) fn create_association(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let tags = given(&value);
    let definition: Definition = input(value)?;
    let scope = call.scope;
    check(call.state, scope, &definition)?;
    let timing = timing(&definition, call.state.now)?;
    let known = &call.state.associations(scope).by_id;
    if known.len() >= MOST {
        let message = format!("You can have at most {MOST} associations.");
        return Err(AwsError::new("AssociationLimitExceeded", message));
    }
    let same = |it: &Association| {
        definition.instance_id.is_some()
            && it.definition.instance_id == definition.instance_id
            && it.definition.name == definition.name
    };
    if known.values().any(same) {
        return Err(AwsError::new("AssociationAlreadyExists", "The association already exists."));
    }
    let now = call.state.now;
    let id: Arc<str> = call.state.new_uuid().into();
    let association = Association {
        id: Arc::clone(&id),
        definition,
        old: Vec::new(),
        created: now,
        updated: now,
        last_run: None,
        last_success: None,
        executions: Vec::new(),
        results: HashMap::new(),
        timing,
        plan: 0,
    };
    let at_once = !association.waits_for_schedule();
    let store = &mut call.here_mut().ssm;
    store.associations.by_id.insert(Arc::clone(&id), association);
    *store.tags.of_mut("Association", &id) = tags;
    if at_once {
        call.reached = run::run(call.state, scope, &id)?;
    } else {
        run::expect(call.state, scope, &id)?;
    }
    run::plan_next(call.state, scope, &id);
    described(call, &id)
}

pub(super) fn update_association(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let id = value["AssociationId"].as_str().unwrap_or_default().to_owned();
    let scope = call.scope;
    let old = call.state.association(scope, &id).ok_or_else(|| unknown(&id))?;
    let asked = value["AssociationVersion"].as_str();
    if asked.is_some_and(|it| it != "$LATEST" && it != old.version().to_string()) {
        let message = "The association has no such version.";
        return Err(AwsError::new("InvalidAssociationVersion", message));
    }
    old.check_versions()?;
    let (name, instance) = (old.definition.name.clone(), old.definition.instance_id.clone());
    let targets = old.definition.targets.clone();
    let mut new: Definition = input(value)?;
    // What an update leaves out is gone, but for what makes an association what it is (API
    // reference, UpdateAssociation).
    if new.name.is_empty() {
        new.name = name;
    }
    if new.targets.is_empty() {
        new.targets = targets;
        new.instance_id = instance;
    }
    check(call.state, scope, &new)?;
    let now = call.state.now;
    let timing = timing(&new, now)?;
    if let Some(association) = call.state.association_mut(scope, &id) {
        let definition = std::mem::replace(&mut association.definition, new);
        association.old.push(Version { definition, created: association.updated });
        association.timing = timing;
        association.updated = now;
    }
    let known = call.state.association(scope, &id);
    if known.is_some_and(|it| !it.waits_for_schedule()) {
        call.reached = run::run(call.state, scope, &id)?;
    } else {
        run::expect(call.state, scope, &id)?;
    }
    run::plan_next(call.state, scope, &id);
    described(call, &id)
}

pub(super) fn delete_association(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let id = Arc::clone(&read::find(call.state, call.scope, &value)?.id);
    let store = &mut call.here_mut().ssm;
    store.associations.by_id.remove(&id);
    store.tags.remove("Association", &id);
    // Its items go with it.
    let gone = store.association_compliance.extract_if(.., |(_, of), _| *of == id);
    let nodes: Vec<Box<str>> = gone.map(|((node, _), _)| node).collect();
    for node in nodes {
        if let Some(at) = call.state.find(call.scope, &node) {
            call.state.sync_node(at, Part::Compliance);
        }
    }
    Ok(json!({}))
}

fn described(call: &Call<'_>, id: &str) -> Result<Value, AwsError> {
    let association = call.state.association(call.scope, id).ok_or_else(|| unknown(id))?;
    let version = association.version_of(None)?;
    Ok(json!({"AssociationDescription": read::description(association, version)}))
}

fn check(state: &State, scope: ScopeIx, definition: &Definition) -> Result<(), AwsError> {
    let name = &definition.name;
    let document = Document::find(state, scope, name)
        .map_err(|fault| AwsError::new("InvalidDocument", fault))?;
    check_parameters(
        &document,
        &run::parameters(&document, definition, "00000000-0000-0000-0000-000000000000"),
    )?;
    match (&definition.instance_id, definition.targets.as_slice()) {
        (None, []) => {
            let message = "An association needs InstanceId or Targets.";
            return Err(AwsError::new("InvalidTarget", message));
        }
        (Some(id), []) if state.find(scope, id).is_none() => {
            let message = format!("Instance {id} is not valid for this account.");
            return Err(AwsError::new("InvalidInstanceId", message));
        }
        (Some(_), []) => {}
        (_, targets) => check_targets(state, scope, targets)?,
    }
    Ok(())
}

/// When an association runs: a rate of it is 30 minutes at least and less than 31 days (user guide,
/// "Cron and rate expressions for associations").
fn timing(definition: &Definition, now: Timestamp) -> Result<Option<Timing>, AwsError> {
    let Some(expression) = &definition.schedule_expression else { return Ok(None) };
    let invalid = |fault: String| AwsError::new("InvalidSchedule", fault);
    if let Ok(Schedule::Rate { every, unit }) = expression.parse() {
        let minutes = match unit {
            RateUnit::Minute => u64::from(every),
            other => other.duration().as_secs() / 60 * u64::from(every),
        };
        if !(30..31 * 24 * 60).contains(&minutes) {
            return Err(invalid(format!("{expression} is not between 30 minutes and 31 days.")));
        }
    }
    let when = When {
        schedule: expression,
        offset: definition.schedule_offset.map(i64::from),
        ..When::default()
    };
    let timing = Timing::read(when, now).map_err(|error| invalid(error.message))?;
    match timing.next(now) {
        Some(_) => Ok(Some(timing)),
        None => Err(invalid(format!("{expression} never comes."))),
    }
}

fn check_targets(state: &State, scope: ScopeIx, targets: &[Target]) -> Result<(), AwsError> {
    resolve(state, scope, targets)
        .map(drop)
        .map_err(|error| AwsError::new("InvalidTarget", error.message))
}
