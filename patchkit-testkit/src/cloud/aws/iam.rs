//! AWS Identity and Access Management: roles, policies and instance profiles.
//!
//! What is changed here has effect: an agent registers once its role lets it.

mod policies;
mod profiles;
mod roles;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{AwsError, Call, Operations, page::Page};
use crate::cloud::world::identity::{Identity, Role};

pub(super) const OPERATIONS: &[Operations] =
    &[policies::OPERATIONS, profiles::OPERATIONS, roles::OPERATIONS];

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A document as answers have it: percent-encoded (API reference, GetRolePolicy).
fn encoded(document: &Value) -> String {
    utf8_percent_encode(&document.to_string(), UNRESERVED).to_string()
}

/// A document as requests have it.
fn document(text: &Value) -> Result<Value, AwsError> {
    let malformed = |what: &str| AwsError::new("MalformedPolicyDocumentException", what);
    let text = text.as_str().unwrap_or_default();
    let read: Value =
        serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    match &read["Statement"] {
        Value::Array(_) | Value::Object(_) => Ok(read),
        _ => Err(malformed("Syntax errors in policy.")),
    }
}

/// What an input tells of what it makes, as that is told again.
fn told(input: &Value, members: &[&str]) -> Map<String, Value> {
    let given = members.iter().filter(|it| !input[**it].is_null());
    given.map(|it| ((*it).to_owned(), input[*it].clone())).collect()
}

/// An answer with what is told by the operations that make or get one thing, and by no listing (API
/// reference, ListRoles and its like).
fn in_full(mut shown: Value, told: &Map<String, Value>) -> Value {
    if let Value::Object(members) = &mut shown {
        members.extend(told.clone());
    }
    shown
}

fn none(what: &str, name: &str) -> AwsError {
    let message = format!("The {what} with name {name} cannot be found.");
    AwsError::new("NoSuchEntityException", message)
}

fn exists(what: &str, name: &str) -> AwsError {
    let message = format!("{what} with name {name} already exists.");
    AwsError::new("EntityAlreadyExistsException", message)
}

fn identity<'a>(call: &'a Call<'_>) -> &'a Identity {
    &call.account().identity
}

fn identity_mut<'a>(call: &'a mut Call<'_>) -> &'a mut Identity {
    &mut call.account_mut().identity
}

fn text<'v>(input: &'v Value, name: &str) -> &'v str {
    input[name].as_str().unwrap_or_default()
}

/// The role that an input names.
fn role<'a>(call: &'a Call<'_>, input: &Value) -> Result<(&'a Arc<str>, &'a Role), AwsError> {
    let name = text(input, "RoleName");
    identity(call).roles.get_key_value(name).ok_or_else(|| none("role", name))
}

fn role_mut<'a>(call: &'a mut Call<'_>, input: &Value) -> Result<&'a mut Role, AwsError> {
    let name = text(input, "RoleName");
    identity_mut(call).roles.get_mut(name).ok_or_else(|| none("role", name))
}

/// A page of a listing, as IAM words it: `Marker`, `MaxItems`, `IsTruncated`.
fn listed(
    call: &Call<'_>,
    input: &Value,
    list: &str,
    items: impl IntoIterator<Item = Value>,
) -> Result<Value, AwsError> {
    let page = Page::named(call, input, 100, ["Marker", "MaxItems"])
        .map_err(|_| AwsError::validation("Invalid Marker."))?;
    let (items, marker) = page.cut(items);
    let mut output = Map::new();
    output.insert(list.to_owned(), items.into());
    output.insert("IsTruncated".to_owned(), json!(marker.is_some()));
    output.insert("Marker".to_owned(), json!(marker));
    Ok(Value::Object(output))
}

/// Looks again at the account's agents: roles have changed.
fn recheck(call: &mut Call<'_>) {
    let account = call.here().account;
    let scopes = call.state.scopes.iter().filter(|scope| scope.account == account);
    let places: Vec<_> = scopes.flat_map(|scope| scope.machines.iter().copied()).collect();
    for at in places {
        call.state.review_agent(at);
    }
}
