//! Maintenance configurations: when guests are patched, and with what.

mod assignment;
mod recurrence;
mod run;

use std::{collections::BTreeMap, time::Duration};

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(super) use self::run::ApplyUpdate;
use self::{assignment::Assignment, recurrence::Window};
use super::{
    Call,
    error::ArmError,
    limits::Limit,
    patch_choice::Order,
    reply::Reply,
    router::{Handler, Scope},
    vm::one_of,
};
use crate::cloud::world::{State, machine::SubIx};

const KIND: &str = "Microsoft.Maintenance/maintenanceConfigurations";
const SCOPES: [&str; 7] =
    ["Host", "Resource", "OSImage", "Extension", "InGuestPatch", "SQLDB", "SQLManagedInstance"];
const KEYS: [&str; 6] = [
    "namespace",
    "extensionProperties",
    "maintenanceScope",
    "maintenanceWindow",
    "visibility",
    "installPatches",
];
/// "Scheduled patching" of Azure Update Manager.
const SHORTEST: Duration = Duration::from_mins(90);
const LONGEST: Duration = Duration::from_mins(3 * 60 + 55);

/// Configurations and assignments, by id in lower case, and the runs so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedules {
    configurations: BTreeMap<String, Configuration>,
    pub(super) assignments: BTreeMap<String, Assignment>,
    pub(super) runs: Vec<ApplyUpdate>,
    revisions: u64,
}

#[derive(Clone, Debug)]
struct Configuration {
    subscription: SubIx,
    group: u16,
    name: String,
    location: Value,
    tags: Value,
    properties: Map<String, Value>,
    /// What was planned for an older one is void.
    revision: u64,
}

pub(super) fn route(
    method: &Method,
    scope: &Scope,
    rest: &[&str],
) -> Option<(&'static str, Limit, Handler)> {
    let (operation, handler): (_, Handler) = match (method, scope, rest) {
        (&Method::GET, Scope::Subscription(_), ["publicmaintenanceconfigurations"]) => {
            ("PublicMaintenanceConfigurations_List", public)
        }
        (
            &Method::GET,
            Scope::Subscription(_) | Scope::Group(..),
            ["maintenanceconfigurations"],
        ) => ("MaintenanceConfigurations_List", list),
        (_, Scope::Group(..), ["maintenanceconfigurations", _]) => match *method {
            Method::GET => ("MaintenanceConfigurations_Get", get),
            Method::PUT => ("MaintenanceConfigurations_CreateOrUpdate", put),
            Method::PATCH => ("MaintenanceConfigurations_Update", patch),
            Method::DELETE => ("MaintenanceConfigurations_Delete", delete),
            _ => return None,
        },
        (&Method::GET, Scope::Subscription(_) | Scope::Group(..), ["applyupdates"]) => {
            ("ApplyUpdates_List", run::list)
        }
        (_, Scope::Tenant, _) => return None,
        (&Method::GET, _, ["configurationassignments"]) => {
            ("ConfigurationAssignments_List", assignment::list)
        }
        (_, _, ["configurationassignments", _]) => match *method {
            Method::GET => ("ConfigurationAssignments_Get", assignment::get),
            Method::PUT => ("ConfigurationAssignments_CreateOrUpdate", assignment::put),
            Method::PATCH => ("ConfigurationAssignments_Update", assignment::patch),
            Method::DELETE => ("ConfigurationAssignments_Delete", assignment::delete),
            _ => return None,
        },
        _ => return None,
    };
    Some((operation, Limit::None, handler))
}

fn public(_: &mut Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::list(Vec::new(), None))
}

fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let here = |it: &&Configuration| match call.scope {
        Scope::Subscription(at) => it.subscription == at,
        Scope::Group(at, group) => it.subscription == at && it.group == group,
        _ => false,
    };
    let found = call.state.azure.schedules.configurations.values().filter(here);
    Ok(Reply::list(found.map(|it| it.document(call.state)).collect(), None))
}

fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let found = call.state.azure.schedules.configurations.get(&key(call));
    let found = found.ok_or_else(|| missing(call))?;
    Ok(Reply::ok(&found.document(call.state)))
}

fn put(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let key = key(call);
    let known = call.state.azure.schedules.configurations.contains_key(&key);
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    store(call, &key, body, status)
}

fn patch(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let key = key(call);
    let known = call.state.azure.schedules.configurations.get(&key);
    let mut whole = known.ok_or_else(|| missing(call))?.body();
    merge(&mut whole, body.clone());
    store(call, &key, &whole, StatusCode::OK)
}

/// Objects are merged, all else is replaced; what is null is left as it is.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from,
    }
}

fn delete(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let key = key(call);
    let gone = call.state.schedules_mut().configurations.remove(&key);
    Ok(match gone {
        Some(it) => Reply::ok(&it.document(call.state)),
        None => Reply::empty(StatusCode::NO_CONTENT),
    })
}

fn key(call: &Call<'_>) -> String {
    let Scope::Group(subscription, group) = call.scope else { return String::new() };
    let group = call.state.group_id(subscription, group);
    format!("{group}/providers/{KIND}/{}", call.name(1)).to_lowercase()
}

fn missing(call: &Call<'_>) -> ArmError {
    let key = key(call);
    ArmError::resource(KIND, call.name(1), key.split('/').nth(4).unwrap_or_default())
}

fn store(
    call: &mut Call<'_>,
    key: &str,
    body: &Value,
    status: StatusCode,
) -> Result<Reply, ArmError> {
    let Scope::Group(subscription, group) = call.scope else { return Err(missing(call)) };
    let Value::Object(given) = &body["properties"] else {
        return Err(ArmError::parameter("properties", "Required parameter 'properties'."));
    };
    let properties: Map<_, _> = given
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(key) = properties.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(ArmError::parameter(
            format!("properties.{key}"),
            format!("The simulator does not model the property '{key}' of a configuration."),
        ));
    }
    if !body["location"].is_string() {
        return Err(ArmError::parameter("location", "Required parameter 'location'."));
    }
    check(&Value::Object(properties.clone()))?;
    let schedules = call.state.schedules_mut();
    schedules.revisions += 1;
    let revision = schedules.revisions;
    let configuration = Configuration {
        subscription,
        group,
        name: call.tail.get(1).cloned().unwrap_or_default(),
        location: body["location"].clone(),
        tags: body["tags"].clone(),
        properties,
        revision,
    };
    schedules.configurations.insert(key.to_owned(), configuration.clone());
    run::plan(call.state, key, revision);
    Ok(Reply::json(status, &configuration.document(call.state)))
}

/// Refuses a configuration that could not run.
fn check(properties: &Value) -> Result<(), ArmError> {
    let scope = one_of(&properties["maintenanceScope"], &SCOPES, "maintenanceScope")?;
    let guest = scope == Some("InGuestPatch");
    if !properties["maintenanceWindow"].is_null() {
        let window = Window::read(&properties["maintenanceWindow"])?;
        if guest && !(SHORTEST..=LONGEST).contains(&window.duration) {
            return Err(ArmError::parameter(
                "maintenanceWindow.duration",
                "The duration of a window for guest patching is from 01:30 to 03:55.",
            ));
        }
    }
    if !guest {
        return Ok(());
    }
    if properties["maintenanceWindow"].is_null() {
        let what = "A window is required for the scope InGuestPatch.";
        return Err(ArmError::parameter("maintenanceWindow", what));
    }
    // Azure/bicep#8959 shows that it is demanded.
    let mode = properties["extensionProperties"]["InGuestPatchMode"].as_str();
    if !mode.is_some_and(|it| ["user", "platform"].contains(&&*it.to_lowercase())) {
        return Err(ArmError::parameter(
            "extensionProperties.InGuestPatchMode",
            "Extension properties must contain the patch mode: InGuestPatchMode is User or Platform.",
        ));
    }
    Order::of_schedule(&properties["installPatches"], LONGEST, "").map(drop).map_err(|mut error| {
        let place = error.target.take().unwrap_or_default();
        error.target = Some(format!("installPatches.{place}"));
        error
    })
}

impl Schedules {
    /// Every configuration as it is read.
    pub(super) fn documents(&self, state: &State) -> Vec<Value> {
        self.configurations.values().map(|it| it.document(state)).collect()
    }
}

impl Configuration {
    fn body(&self) -> Value {
        let properties = Value::Object(self.properties.clone());
        json!({"location": self.location, "tags": self.tags, "properties": properties})
    }

    fn id(&self, state: &State) -> String {
        let group = state.group_id(self.subscription, self.group);
        // The service writes this segment in lower case (its published examples).
        let group = group.replacen("resourceGroups", "resourcegroups", 1);
        format!("{group}/providers/{KIND}/{}", self.name)
    }

    fn document(&self, state: &State) -> Value {
        let mut body = self.body();
        if body["tags"].is_null() {
            body["tags"] = json!({});
        }
        body["id"] = json!(self.id(state));
        body["name"] = json!(self.name);
        body["type"] = json!(KIND);
        body
    }

    /// When it runs next.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let window = self.properties.get("maintenanceWindow")?;
        Window::read(window).ok()?.next(after)
    }
}
