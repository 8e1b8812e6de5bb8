//! Tags at a scope: a machine's own, that Resource Graph shows too.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Call, error::ArmError, reply::Reply, router::Scope, vm::one_of};
use crate::cloud::world::machine::Tags;

/// "Use tags to organize your Azure resources", limitations.
const MOST: usize = 50;
const LONGEST_NAME: usize = 512;
const LONGEST_VALUE: usize = 256;

/// Tags as an object.
pub(super) fn document(tags: &Tags) -> Value {
    tags.iter()
        .map(|(name, value)| ((**name).to_owned(), json!(&**value)))
        .collect::<Map<_, _>>()
        .into()
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    answer(call)
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let tags = checked(&body["properties"]["tags"])?;
    *tags_mut(call)? = tags;
    answer(call)
}

pub(super) fn patch(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let operations = ["Merge", "Replace", "Delete"];
    let operation = one_of(&body["operation"], &operations, "operation")?;
    let named = &body["properties"]["tags"];
    let given = checked(named)?;
    let tags = tags_mut(call)?;
    *tags = match operation {
        Some("Merge") => limited(merged(tags, given))?,
        Some("Replace") => given,
        Some("Delete") => tags.iter().filter(|it| !is_named(it, &given)).cloned().collect(),
        _ => {
            return Err(ArmError::parameter("operation", "The 'operation' property is required."));
        }
    };
    answer(call)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    tags_mut(call)?.clear();
    Ok(Reply::empty(StatusCode::OK))
}

/// Names are one in every case; a merge keeps the spelling that is there.
fn merged(tags: &Tags, given: Tags) -> Tags {
    let mut tags = tags.clone();
    for (name, value) in given {
        match tags.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some((_, known)) => *known = value,
            None => tags.push((name, value)),
        }
    }
    tags
}

/// Whether a deletion names a tag: by its name and value, or by its name alone.
fn is_named((name, value): &(Arc<str>, Arc<str>), given: &Tags) -> bool {
    given.iter().any(|(given, its)| {
        given.eq_ignore_ascii_case(name) && (its.is_empty() || **its == **value)
    })
}

/// Tags out of a request.
///
/// # Errors
/// Where there are too many, a name or a value is too long, or a name has a sign that none may have.
pub(super) fn checked(value: &Value) -> Result<Tags, ArmError> {
    let given = match value {
        Value::Object(given) => given,
        Value::Null => return Ok(Tags::new()),
        _ => {
            return Err(ArmError::parameter("tags", "The tags are no object of names and values."));
        }
    };
    let mut tags = Tags::new();
    let mut known = BTreeSet::new();
    for (name, value) in given {
        let value = match value {
            Value::String(value) => value.as_str(),
            Value::Null => "",
            _ => {
                let what = format!("The value of the tag '{name}' is no text.");
                return Err(ArmError::bad("InvalidTagValue", what));
            }
        };
        let signs =
            |it: char| matches!(it, '<' | '>' | '%' | '&' | '\\' | '?' | '/') || it.is_control();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(signs) {
            let what = format!(
                "The tag name '{}' is empty, longer than {LONGEST_NAME} characters, or has one of \
                 <, >, %, &, \\, ?, /.",
                name.chars().take(60).collect::<String>(),
            );
            return Err(ArmError::bad("InvalidTagName", what));
        }
        if value.chars().count() > LONGEST_VALUE {
            let what =
                format!("The value of the tag '{name}' is longer than {LONGEST_VALUE} characters.");
            return Err(ArmError::bad("InvalidTagValue", what));
        }
        if !known.insert(name.to_lowercase()) {
            let what = format!("The tag name '{name}' is given twice in different cases.");
            return Err(ArmError::bad("DuplicateTagName", what));
        }
        tags.push((name.as_str().into(), value.into()));
    }
    limited(tags)
}

fn limited(tags: Tags) -> Result<Tags, ArmError> {
    if tags.len() <= MOST {
        return Ok(tags);
    }
    let what = format!("A resource can have {MOST} tags at most; {} are too many.", tags.len());
    Err(ArmError::bad("TooManyTags", what))
}

fn tags_mut<'c>(call: &'c mut Call<'_>) -> Result<&'c mut Tags, ArmError> {
    let gone = || ArmError::not_found("ResourceNotFound", "The scope has no tags.");
    match &call.scope {
        Scope::Machine(at) => {
            call.state.machine_mut(*at).azure.as_mut().map(|it| &mut it.tags).ok_or_else(gone)
        }
        Scope::Subscription(at) => {
            let found = Arc::make_mut(&mut call.state.subscriptions).get_mut(usize::from(at.0));
            found.map(|it| &mut it.tags).ok_or_else(gone)
        }
        Scope::Group(at, group) => {
            let found = Arc::make_mut(&mut call.state.subscriptions).get_mut(usize::from(at.0));
            let found = found.and_then(|it| it.groups.get_mut(usize::from(*group)));
            found.map(|it| &mut it.tags).ok_or_else(gone)
        }
        Scope::Other(id) => {
            let set = Arc::make_mut(&mut call.state.azure.sets).get_mut(id.as_str());
            set.map(|it| &mut it.tags).ok_or_else(gone)
        }
        Scope::Tenant => Err(gone()),
    }
}

/// The tags as they are now.
fn answer(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let tags = document(tags_mut(call)?);
    let end = call.ask.segments.len().saturating_sub(4);
    let asked = format!("/{}", call.ask.segments[..end].join("/"));
    let id = match &call.scope {
        Scope::Machine(at) => call.state.vm_resource_id(call.azure(*at)?),
        _ => asked,
    };
    Ok(Reply::ok(&json!({
        "id": format!("{id}/providers/Microsoft.Resources/tags/default"),
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": tags},
    })))
}
