//! Maintenance windows: when they open, for what, and what they did.

mod automation;
mod history;
mod register;
mod run;
mod runner;
mod upcoming;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(super) use self::{
    history::OPERATIONS as HISTORY, register::OPERATIONS as REGISTRATIONS,
    upcoming::OPERATIONS as UPCOMING,
};
use self::{run::Execution, runner::Runner};
use super::{
    super::{AwsError, Call, Operations, page::Page, seconds},
    filter::Filters,
    idempotent::once,
    schedule::{Timing, When, written},
    tags::given,
};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const WINDOWS: Operations = &[
    ("CreateMaintenanceWindow", create),
    ("DeleteMaintenanceWindow", delete),
    ("DescribeMaintenanceWindows", describe),
    ("GetMaintenanceWindow", get),
    ("UpdateMaintenanceWindow", update),
];

/// "Maintenance windows per account: 50" (General Reference, Systems Manager quotas).
const MOST: usize = 50;

/// The windows of one account in one Region, and what they did.
#[derive(Debug, Default)]
pub(super) struct Store {
    windows: BTreeMap<String, Window>,
    /// In the order in which they began.
    executions: Vec<Execution>,
    runner: Runner,
}

#[derive(Debug)]
struct Window {
    /// The members that a request gave it, as they came.
    settings: Map<String, Value>,
    timing: Timing,
    created: Timestamp,
    modified: Timestamp,
    /// Grows with each change: what was planned before it is void.
    plan: u64,
    /// What was registered, by id, as it came.
    targets: BTreeMap<String, Value>,
    tasks: BTreeMap<String, Value>,
}

impl Window {
    fn is_enabled(&self) -> bool {
        self.settings.get("Enabled") != Some(&Value::Bool(false))
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.is_enabled() { self.timing.next(after) } else { None }
    }

    fn name(&self) -> &Value {
        self.settings.get("Name").unwrap_or(&Value::Null)
    }

    /// A length of time among the settings; the model requires both and bounds them.
    fn hours(&self, setting: &str) -> i64 {
        self.settings.get(setting).and_then(Value::as_i64).unwrap_or_default()
    }
}

const SETTINGS: [&str; 11] = [
    "AllowUnassociatedTargets",
    "Cutoff",
    "Description",
    "Duration",
    "Enabled",
    "EndDate",
    "Name",
    "Schedule",
    "ScheduleOffset",
    "ScheduleTimezone",
    "StartDate",
];

/// What CreateMaintenanceWindow requires, and UpdateMaintenanceWindow where it replaces.
const REQUIRED: [&str; 5] = ["AllowUnassociatedTargets", "Cutoff", "Duration", "Name", "Schedule"];

fn store(state: &State, scope: ScopeIx) -> &Store {
    &state.scope(scope).ssm.maintenance
}

fn store_mut(state: &mut State, scope: ScopeIx) -> &mut Store {
    &mut state.scope_mut(scope).ssm.maintenance
}

fn create(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    once(call, input, |call, input| {
        let (settings, tags) = (settings(&input), given(&input));
        let now = call.state.now;
        check_cutoff(&settings)?;
        let timing = timing(&settings, now)?;
        if store(call.state, call.scope).windows.len() >= MOST {
            return Err(AwsError::new(
                "ResourceLimitExceededException",
                format!("The account has {MOST} maintenance windows in this Region, its limit."),
            ));
        }
        let id = format!("mw-{}", call.state.new_hex());
        let window = Window {
            settings,
            timing,
            created: now,
            modified: now,
            plan: 0,
            targets: BTreeMap::new(),
            tasks: BTreeMap::new(),
        };
        store_mut(call.state, call.scope).windows.insert(id.clone(), window);
        *call.here_mut().ssm.tags.of_mut("MaintenanceWindow", &id) = tags;
        run::plan(call.state, call.scope, &id);
        Ok(json!({"WindowId": id}))
    })
}

fn update(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (id, window) = named(call, &input)?;
    let changes = settings(&input);
    let settings = if input["Replace"] == true {
        if let Some(lacking) = REQUIRED.iter().find(|it| !changes.contains_key(**it)) {
            let message = format!("{lacking} is required where Replace is true");
            return Err(AwsError::validation(message));
        }
        changes
    } else {
        let mut settings = window.settings.clone();
        settings.extend(changes);
        settings
    };
    let now = call.state.now;
    check_cutoff(&settings)?;
    let scheduled = ["Schedule", "ScheduleOffset", "ScheduleTimezone", "StartDate", "EndDate"];
    // A rate that is as it was goes on counting from where it did.
    let rescheduled = scheduled.iter().any(|it| settings.get(*it) != window.settings.get(*it));
    let timing = rescheduled.then(|| timing(&settings, now)).transpose()?;
    let mut answer = Value::Object(settings.clone());
    answer["WindowId"] = json!(id);
    if let Some(window) = store_mut(call.state, call.scope).windows.get_mut(&id) {
        window.settings = settings;
        window.modified = now;
        if let Some(timing) = timing {
            window.timing = timing;
        }
    }
    run::plan(call.state, call.scope, &id);
    Ok(answer)
}

/// Deleting what is not there is no error: the model knows none for it.
fn delete(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let id = input["WindowId"].as_str().unwrap_or_default();
    store_mut(call.state, call.scope).windows.remove(id);
    call.here_mut().ssm.tags.remove("MaintenanceWindow", id);
    Ok(json!({"WindowId": id}))
}

fn get(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (id, window) = named(call, &input)?;
    let mut answer = described(&id, window, call.state.now);
    answer["AllowUnassociatedTargets"] = window.settings["AllowUnassociatedTargets"].clone();
    answer["CreatedDate"] = seconds(window.created);
    answer["ModifiedDate"] = seconds(window.modified);
    Ok(answer)
}

fn describe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["Name", "Enabled"])?;
    let page = Page::of(call, &input, 50)?;
    let wanted = store(call.state, call.scope).windows.iter().filter(|(_, window)| {
        filters.pass(|key, value| match key {
            "Name" => window.name() == value,
            _ => value.eq_ignore_ascii_case(if window.is_enabled() { "true" } else { "false" }),
        })
    });
    let (found, next) = page.cut(wanted);
    let now = call.state.now;
    let identities = found.into_iter().map(|(id, window)| {
        let mut identity = described(id, window, now);
        identity["AllowUnassociatedTargets"].take();
        identity
    });
    Ok(json!({"WindowIdentities": identities.collect::<Vec<_>>(), "NextToken": next}))
}

fn described(id: &str, window: &Window, now: Timestamp) -> Value {
    let mut value = Value::Object(window.settings.clone());
    value["WindowId"] = json!(id);
    value["Enabled"] = json!(window.is_enabled());
    value["NextExecutionTime"] = json!(window.next(now).map(written));
    value
}

/// The window that an input names.
fn named<'s>(call: &'s Call<'_>, input: &Value) -> Result<(String, &'s Window), AwsError> {
    let id = input["WindowId"].as_str().unwrap_or_default();
    let window = store(call.state, call.scope).windows.get(id);
    window.map(|it| (id.to_owned(), it)).ok_or_else(|| unknown("Maintenance window", id))
}

fn unknown(what: &str, id: &str) -> AwsError {
    AwsError::new("DoesNotExistException", format!("{what} {id} does not exist"))
}

/// The settings that an input has.
fn settings(input: &Value) -> Map<String, Value> {
    let given = SETTINGS.iter().filter(|name| !input[**name].is_null());
    given.map(|name| ((*name).to_owned(), input[*name].clone())).collect()
}

fn check_cutoff(settings: &Map<String, Value>) -> Result<(), AwsError> {
    let hours = |name: &str| settings.get(name).and_then(Value::as_i64);
    if hours("Cutoff") >= hours("Duration") {
        return Err(AwsError::validation("Cutoff must be less than Duration"));
    }
    Ok(())
}

fn timing(settings: &Map<String, Value>, now: Timestamp) -> Result<Timing, AwsError> {
    let number = |name: &str| settings.get(name).and_then(Value::as_i64);
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let given = |name: &str| text(name).filter(|it| !it.is_empty());
    let when = When {
        schedule: text("Schedule").unwrap_or_default(),
        timezone: given("ScheduleTimezone"),
        offset: number("ScheduleOffset"),
        start: given("StartDate"),
        end: given("EndDate"),
    };
    Timing::read(when, now)
}

#[cfg(test)]
mod tests;
