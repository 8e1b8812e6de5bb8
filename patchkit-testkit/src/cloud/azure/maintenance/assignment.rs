//! Who a configuration is for: one machine, or all that a filter finds when it runs.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Call, error::ArmError, reply::Reply, router::Scope, side, vm, vm::one_of};
use crate::cloud::world::{
    State,
    machine::{AzureKind, AzureSide, MachineIx, SubIx},
};

const KIND: &str = "Microsoft.Maintenance/configurationAssignments";

#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) scope: Scope,
    pub(crate) id: String,
    pub(crate) name: String,
    /// The scope's own id.
    pub(crate) resource: String,
    pub(crate) location: Value,
    /// The configuration's id as it was given.
    pub(crate) configuration: String,
    pub(crate) filter: Value,
}

impl Assignment {
    pub(crate) fn document(&self) -> Value {
        let mut properties = json!({
            "maintenanceConfigurationId": self.configuration,
            "resourceId": self.resource,
        });
        if !self.filter.is_null() {
            properties["filter"] = self.filter.clone();
        }
        let mut body =
            json!({"id": self.id, "name": self.name, "type": KIND, "properties": properties});
        if !self.location.is_null() {
            body["location"] = self.location.clone();
        }
        body
    }

    /// The id of the subscription.
    pub(crate) fn is_of(&self, state: &State, subscription: SubIx) -> bool {
        self.scope.subscription(state).eq_ignore_ascii_case(&state.subscription(subscription).id)
    }

    /// The machines that it means now.
    pub(super) fn machines(&self, state: &State) -> Vec<MachineIx> {
        match &self.scope {
            Scope::Machine(at) => vec![*at],
            Scope::Subscription(_) | Scope::Group(..) => vm::from_place(state, &self.scope, 0)
                .map(|(_, at)| at)
                .filter(|at| side(state, *at).is_ok_and(|it| self.means(state, *at, it)))
                .collect(),
            Scope::Tenant | Scope::Other(_) => Vec::new(),
        }
    }

    /// Whether a machine passes the filter of a dynamic scope. What a filter does not name, it
    /// does not ask for.
    fn means(&self, state: &State, at: MachineIx, azure: &AzureSide) -> bool {
        let kind = match azure.kind {
            AzureKind::Arc => "microsoft.hybridcompute/machines",
            AzureKind::Uniform { .. } => return false,
            _ => "microsoft.compute/virtualmachines",
        };
        let named = |key: &str, own: &str| match &self.filter[key] {
            Value::Array(many) if !many.is_empty() => {
                many.iter().filter_map(Value::as_str).any(|it| vm::plain(it) == vm::plain(own))
            }
            _ => true,
        };
        let groups = &state.subscription(azure.subscription).groups;
        let group = groups.get(usize::from(azure.group)).map_or("", |it| &it.name);
        named("resourceTypes", kind)
            && named("resourceGroups", group)
            && named("osTypes", vm::os_type(state, at))
            && named("locations", vm::location_of(state, azure))
            && has_tags(&self.filter["tagSettings"], azure)
    }
}

fn has_tags(settings: &Value, azure: &AzureSide) -> bool {
    let Some(wanted) = settings["tags"].as_object().filter(|it| !it.is_empty()) else {
        return true;
    };
    let mut held = wanted.iter().map(|(name, values)| {
        let own = azure.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        own.is_some_and(|(_, own)| match values.as_array() {
            Some(values) if !values.is_empty() => {
                values.iter().any(|it| it.as_str() == Some(&**own))
            }
            _ => true,
        })
    });
    let any = settings["filterOperator"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("any"));
    if any { held.any(|it| it) } else { held.all(|it| it) }
}

/// The id of what the path is about, as its own resource spells it.
fn resource(call: &Call<'_>) -> String {
    match &call.scope {
        Scope::Subscription(at) => format!("/subscriptions/{}", call.state.subscription(*at).id),
        Scope::Group(at, group) => call.state.group_id(*at, *group),
        Scope::Machine(at) => {
            call.azure(*at).map_or_else(|_| String::new(), |it| call.state.vm_resource_id(it))
        }
        Scope::Tenant | Scope::Other(_) => {
            let at = call.ask.lower.iter().rposition(|it| it == "providers").unwrap_or(0);
            format!("/{}", call.ask.segments[..at].join("/"))
        }
    }
}

fn id(call: &Call<'_>) -> String {
    format!("{}/providers/{KIND}/{}", resource(call), call.name(1))
}

fn missing(call: &Call<'_>) -> ArmError {
    let group = call.ask.segments.get(3).map_or("", String::as_str);
    ArmError::resource(KIND, call.name(1), group)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let all = call.state.azure.schedules.assignments.values();
    let found = all.filter(|it| match call.scope {
        // The list of a subscription is of everything in it.
        Scope::Subscription(at) => it.is_of(call.state, at),
        _ => it.scope == call.scope,
    });
    Ok(Reply::list(found.map(Assignment::document).collect(), None))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let found = call.state.azure.schedules.assignments.get(&id(call).to_lowercase());
    Ok(Reply::ok(&found.ok_or_else(|| missing(call))?.document()))
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let key = id(call).to_lowercase();
    let known = call.state.azure.schedules.assignments.contains_key(&key);
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    store(call, key, body, status)
}

pub(super) fn patch(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let key = id(call).to_lowercase();
    let known = call.state.azure.schedules.assignments.get(&key);
    let mut whole = known.ok_or_else(|| missing(call))?.document();
    super::merge(&mut whole, body.clone());
    // A filter is one value: what an update leaves out of it is gone.
    if !body["properties"]["filter"].is_null() {
        whole["properties"]["filter"] = body["properties"]["filter"].clone();
    }
    store(call, key, &whole, StatusCode::OK)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let key = id(call).to_lowercase();
    let gone = call.state.schedules_mut().assignments.remove(&key);
    Ok(match gone {
        Some(it) => Reply::ok(&it.document()),
        None => Reply::empty(StatusCode::NO_CONTENT),
    })
}

fn store(
    call: &mut Call<'_>,
    key: String,
    body: &Value,
    status: StatusCode,
) -> Result<Reply, ArmError> {
    let properties = &body["properties"];
    let configuration = properties["maintenanceConfigurationId"].as_str();
    let Some(configuration) = configuration.filter(|it| !it.is_empty()) else {
        let place = "properties.maintenanceConfigurationId";
        let what = "Required parameter 'maintenanceConfigurationId'.";
        return Err(ArmError::parameter(place, what));
    };
    let known = &call.state.azure.schedules.configurations;
    if !known.contains_key(&configuration.to_lowercase()) {
        let mut parts = configuration.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let group = configuration.split('/').nth(4).unwrap_or_default();
        return Err(ArmError::resource(super::KIND, name, group));
    }
    let dynamic = matches!(call.scope, Scope::Subscription(_) | Scope::Group(..));
    let filter = if dynamic { filter(&properties["filter"])? } else { Value::Null };
    let assignment = Assignment {
        scope: call.scope.clone(),
        id: id(call),
        name: call.name(1).to_owned(),
        resource: resource(call),
        location: body["location"].clone(),
        configuration: configuration.to_owned(),
        filter,
    };
    let reply = Reply::json(status, &assignment.document());
    call.state.schedules_mut().assignments.insert(key, assignment);
    Ok(reply)
}

/// Checks the filter of a dynamic scope, and drops what it leaves out.
fn filter(given: &Value) -> Result<Value, ArmError> {
    let Some(given) = given.as_object() else { return Ok(Value::Null) };
    let mut kept = Map::new();
    for (key, value) in given {
        let place = format!("filter.{key}");
        match key.as_str() {
            _ if value.is_null() => continue,
            "resourceTypes" | "resourceGroups" | "osTypes" | "locations" => {
                let texts = value.as_array().is_some_and(|it| it.iter().all(Value::is_string));
                if !texts {
                    return Err(ArmError::parameter(place, "The value is no list of texts."));
                }
            }
            "tagSettings" => {
                one_of(
                    &value["filterOperator"],
                    &["Any", "All"],
                    &format!("{place}.filterOperator"),
                )?;
                let tags = value["tags"].as_object();
                if !value["tags"].is_null()
                    && tags.is_none_or(|it| !it.values().all(Value::is_array))
                {
                    let what = "The tags are no object of names and lists of values.";
                    return Err(ArmError::parameter(format!("{place}.tags"), what));
                }
            }
            _ => return Err(ArmError::parameter(place, "A filter has no such property.")),
        }
        kept.insert(key.clone(), value.clone());
    }
    Ok(kept.into())
}
