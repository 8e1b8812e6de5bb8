//! What is in groups.

use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations,
        resource::{self, Resource},
        texts,
    },
    Members, Query, bad_request, members, named, named_mut, page,
};
use crate::cloud::world::machine::MachineIx;

pub(super) const OPERATIONS: Operations = &[
    ("GroupResources", group_resources),
    ("ListGroupResources", list_group_resources),
    ("SearchResources", search_resources),
    ("UngroupResources", ungroup_resources),
];

fn list_group_resources(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = named(call, &input)?;
    let filters = input["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let types: Vec<Vec<String>> = filters.iter().map(|it| texts(&it["Values"])).collect();
    // API reference, ListGroupResources: a type that the group's query does not name is refused.
    if let Some(query) = group.query() {
        let wrong: Vec<&str> =
            types.iter().flatten().filter(|kind| !query.has(kind)).map(String::as_str).collect();
        if !wrong.is_empty() {
            let message = format!(
                "The resource types specified as filters in the request are not valid: {}",
                wrong.join(", ")
            );
            return Err(bad_request(message));
        }
    }
    let page = page(call, &input)?;
    let found = members(call.state, call.scope, &group.name).unwrap_or_default();
    let found = found.into_iter().filter_map(|at| Resource::of(call.state, at));
    let asked = |it: &Resource<'_>| {
        types.iter().all(|types| types.iter().any(|kind| kind == it.kind.name()))
    };
    let (found, next) = page.cut(found.filter(asked));
    let identifiers: Vec<Value> = found.iter().map(|it| identifier(call, it)).collect();
    let resources: Vec<Value> = identifiers.iter().map(|it| json!({"Identifier": it})).collect();
    Ok(json!({
        "Resources": resources,
        "ResourceIdentifiers": identifiers,
        "QueryErrors": [],
        "NextToken": next,
    }))
}

fn search_resources(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let query = Query::read(&input["ResourceQuery"])?;
    let page = page(call, &input)?;
    let found = resource::all(call.state, call.scope).filter(|it| query.finds(it));
    let (found, next) = page.cut(found);
    let identifiers: Vec<Value> = found.iter().map(|it| identifier(call, it)).collect();
    Ok(json!({"ResourceIdentifiers": identifiers, "QueryErrors": [], "NextToken": next}))
}

fn group_resources(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let allowed = named(call, &input)?.parameter("allowed-resource-types");
    let (mut put, mut succeeded, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for arn in texts(&input["ResourceArns"]) {
        // The codes of single resources are not in the API reference.
        match Resource::find(call.state, call.scope, &arn) {
            None => failed.push(failure(&arn, "RESOURCE_NOT_FOUND", "Cannot find resource")),
            Some(it) if !allowed.is_empty() && !allowed.iter().any(|of| of == it.kind.name()) => {
                let message = "The group does not allow resources of this type";
                failed.push(failure(&arn, "RESOURCE_TYPE_NOT_ALLOWED", message));
            }
            Some(it) => {
                put.push(it.at);
                succeeded.push((arn, it.aws.id.to_string()));
            }
        }
    }
    let machines = put_by_hand(call, &input)?;
    for at in put {
        if !machines.contains(&at) {
            machines.push(at);
        }
    }
    let (succeeded, ids): (Vec<_>, Vec<_>) = succeeded.into_iter().unzip();
    call.reached.extend(ids);
    Ok(answer(&succeeded, &failed))
}

fn ungroup_resources(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (mut succeeded, mut failed, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for arn in texts(&input["ResourceArns"]) {
        let found = Resource::find(call.state, call.scope, &arn);
        let found = found.map(|it| (it.at, it.aws.id.to_string()));
        let machines = put_by_hand(call, &input)?;
        let place = found
            .and_then(|(at, id)| machines.iter().position(|it| *it == at).map(|place| (place, id)));
        match place {
            None => failed.push(failure(&arn, "RESOURCE_NOT_FOUND", "Not a member of the group")),
            Some((place, id)) => {
                machines.remove(place);
                succeeded.push(arn);
                ids.push(id);
            }
        }
    }
    call.reached.extend(ids);
    Ok(answer(&succeeded, &failed))
}

/// The machines of a group that are put there by hand.
fn put_by_hand<'c>(
    call: &'c mut Call<'_>,
    input: &Value,
) -> Result<&'c mut Vec<MachineIx>, AwsError> {
    match &mut named_mut(call, input)?.members {
        Members::Put { machines, .. } => Ok(machines),
        Members::Found(_) => {
            Err(bad_request("The group has a resource query: its members follow from that."))
        }
    }
}

/// An answer that has no empty lists: their shape has one item at least.
fn answer(succeeded: &[String], failed: &[Value]) -> Value {
    let some = |it: Value| if it.as_array().is_some_and(Vec::is_empty) { Value::Null } else { it };
    json!({"Succeeded": some(json!(succeeded)), "Failed": failed, "Pending": []})
}

fn failure(arn: &str, code: &str, message: &str) -> Value {
    json!({"ResourceArn": arn, "ErrorCode": code, "ErrorMessage": message})
}

fn identifier(call: &Call<'_>, resource: &Resource<'_>) -> Value {
    json!({"ResourceArn": resource.arn(call.state), "ResourceType": resource.kind.name()})
}
