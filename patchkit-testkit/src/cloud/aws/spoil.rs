//! Faults in the content of an answer, by what the model says of it.

use serde_json::Value;

use super::{
    model::{Kind, Model, Operation, Reference},
    page::Place,
    wire::NULL,
};
use crate::cloud::fault::FaultKind;

/// Spoils an output that was right.
pub(super) fn spoil(
    kind: FaultKind,
    model: &Model,
    operation: &Operation,
    asked: &Value,
    page: Option<Place>,
    output: &mut Value,
) {
    let paginator = model.paginators.get(&operation.name);
    let token = paginator.and_then(|it| it.output_token.first()).unwrap_or("NextToken");
    let list = paginator.and_then(|it| it.result_key.first());
    let count = list.and_then(|it| output[it].as_array()).map_or(0, Vec::len);
    match (kind, page) {
        (FaultKind::RepeatToken, _) if asked[token].is_string() => {
            output[token] = asked[token].clone();
        }
        (FaultKind::DuplicateItem, Some(page)) if count > 1 && output[token].is_string() => {
            output[token] = page.token(count - 1, 0).into();
        }
        (FaultKind::EmptyPage, Some(page)) => {
            if let Some(list) = list {
                let again = asked[token].as_str().map_or(0, Place::again) + 1;
                output[list] = Value::Array(Vec::new());
                output[token] = page.token(0, again).into();
            }
        }
        (FaultKind::UnknownEnum, _) => {
            if let Some(shape) = &operation.output {
                unknown(model, shape, output, 0);
            }
        }
        (FaultKind::NullArray, _) => {
            if let Some(name) = list.map(ToOwned::to_owned).or_else(|| first_list(output)) {
                output[name] = NULL.into();
            }
        }
        _ => {}
    }
}

/// Gives the first value that is one of a list a value that is on none. Says whether it did.
fn unknown(model: &Model, reference: &Reference, value: &mut Value, depth: usize) -> bool {
    let Some(shape) = model.shape(reference).filter(|_| depth < 16) else { return false };
    match (shape.kind, value) {
        (Kind::String, value @ Value::String(_)) if shape.one_of.is_some() => {
            *value = Value::from("VALUE_OF_A_LATER_VERSION");
            true
        }
        (Kind::Structure, Value::Object(members)) => members.iter_mut().any(|(name, value)| {
            let member = shape.members.get(name.as_str());
            member.is_some_and(|it| unknown(model, it, value, depth + 1))
        }),
        (Kind::List, Value::Array(items)) => items.iter_mut().any(|item| {
            shape.member.as_ref().is_some_and(|it| unknown(model, it, item, depth + 1))
        }),
        _ => false,
    }
}

fn first_list(output: &Value) -> Option<String> {
    let Value::Object(members) = output else { return None };
    members.iter().find(|(_, it)| it.is_array()).map(|(name, _)| name.clone())
}
