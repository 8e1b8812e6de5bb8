//! Tags of what Systems Manager has: hybrid nodes, baselines, windows, documents, executions.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{AwsError, Call, Operations, input};
use crate::cloud::world::machine::{MachineIx, Tags};

pub(super) const OPERATIONS: Operations = &[
    ("AddTagsToResource", add),
    ("ListTagsForResource", list),
    ("RemoveTagsFromResource", remove),
];

/// The tags of what is no node, by type and id.
///
/// Whatever makes a window, a document, an execution or an association enters it here, be it without
/// tags: what is not here is not known to be there.
#[derive(Debug, Default)]
pub(crate) struct TagStore(BTreeMap<(Box<str>, Box<str>), Tags>);

impl TagStore {
    fn has(&self, resource_type: &str, id: &str) -> bool {
        self.0.contains_key(&(resource_type.into(), id.into()))
    }

    /// Forgets something that is gone.
    pub(super) fn remove(&mut self, resource_type: &str, id: &str) {
        self.0.remove(&(resource_type.into(), id.into()));
    }

    /// The tags of something; none also where it is not there.
    pub(crate) fn of(&self, resource_type: &str, id: &str) -> &[(Arc<str>, Arc<str>)] {
        self.0.get(&(resource_type.into(), id.into())).map_or(&[], Vec::as_slice)
    }

    /// The tags of something, which is there from now on.
    pub(crate) fn of_mut(&mut self, resource_type: &str, id: &str) -> &mut Tags {
        self.0.entry((resource_type.into(), id.into())).or_default()
    }
}

/// A tag, as inputs have it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: Arc<str>,
    value: Arc<str>,
}

impl Tag {
    pub(super) fn pair(self) -> (Arc<str>, Arc<str>) {
        (self.key, self.value)
    }
}

/// The tags that an input gives to what it makes.
pub(super) fn given(input: &Value) -> Tags {
    let tags = input["Tags"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().map(Arc::from);
    tags.filter_map(|tag| Some((text(&tag["Key"])?, text(&tag["Value"])?))).collect()
}

/// Tags, as outputs have them.
pub(super) fn listed(tags: &[(Arc<str>, Arc<str>)]) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({"Key": &**key, "Value": &**value})).collect()
}

/// What tags are on.
enum Place {
    Node(MachineIx),
    /// Type and id.
    Other(String, String),
}

impl Place {
    fn read(call: &Call<'_>, value: &Value) -> Result<Self, AwsError> {
        let kind = value["ResourceType"].as_str().unwrap_or_default();
        let id = value["ResourceId"].as_str().unwrap_or_default();
        let unknown = || {
            let message = format!("The resource ID {id} is not valid for resource type {kind}.");
            AwsError::new("InvalidResourceId", message)
        };
        match kind {
            "ManagedInstance" => {
                // EC2 instances have their tags in EC2. The words are the service's own
                // (boto/boto3 issue 4265).
                let digits = id.strip_prefix("mi-").unwrap_or_default();
                let hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
                if digits.len() != 17 || !digits.bytes().all(hex) {
                    return Err(AwsError::validation(
                        "resourceId should be in format mi-[0-9a-f]{17} for resource type \
                         ManagedInstance",
                    ));
                }
                let at = call.state.find(call.scope, id).ok_or_else(unknown)?;
                Ok(Self::Node(at))
            }
            "PatchBaseline" if call.here().shelf.own.contains_key(id) => {
                Ok(Self::Other(kind.to_owned(), id.to_owned()))
            }
            "MaintenanceWindow" | "Document" | "Automation" | "Association"
                if call.here().ssm.tags.has(kind, id) =>
            {
                Ok(Self::Other(kind.to_owned(), id.to_owned()))
            }
            "Association" | "Automation" | "Document" | "MaintenanceWindow" | "PatchBaseline" => {
                Err(unknown())
            }
            _ => Err(AwsError::new(
                "InvalidResourceType",
                format!("Resource type {kind} is not supported."),
            )),
        }
    }

    fn tags<'a>(&self, call: &'a mut Call<'_>) -> Option<&'a mut Tags> {
        match self {
            Self::Node(at) => call.state.machine_mut(*at).aws.as_mut().map(|aws| &mut aws.tags),
            Self::Other(kind, id) => Some(call.here_mut().ssm.tags.of_mut(kind, id)),
        }
    }

    /// How many tags it may have (botocore ssm model, `AddTagsToResource`).
    fn limit(&self) -> usize {
        match self {
            Self::Other(kind, _) if kind == "Automation" => 5,
            _ => 50,
        }
    }

    fn changed(&self, call: &mut Call<'_>) {
        if let Self::Node(at) = self {
            call.state.tags_changed(*at);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Add {
    tags: Vec<Tag>,
}

fn add(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let place = Place::read(call, &value)?;
    let Add { tags: new } = input(value)?;
    if let Some(tag) = new.iter().find(|tag| tag.key.to_lowercase().starts_with("aws:")) {
        let message = format!("The tag key {} is reserved for system use.", tag.key);
        return Err(AwsError::validation(message));
    }
    let limit = place.limit();
    let Some(tags) = place.tags(call) else { return Ok(json!({})) };
    let mut changed = tags.clone();
    for tag in new {
        match changed.iter_mut().find(|(key, _)| *key == tag.key) {
            Some((_, value)) => *value = tag.value,
            None => changed.push(tag.pair()),
        }
    }
    // Tags of AWS do not count; there are none here.
    if changed.len() > limit {
        let message = format!("A resource can have {limit} tags at most.");
        return Err(AwsError::new("TooManyTagsError", message));
    }
    *tags = changed;
    place.changed(call);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Remove {
    tag_keys: Vec<String>,
}

fn remove(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let place = Place::read(call, &value)?;
    let Remove { tag_keys } = input(value)?;
    if let Some(tags) = place.tags(call) {
        tags.retain(|(key, _)| tag_keys.iter().all(|it| **it != **key));
    }
    place.changed(call);
    Ok(json!({}))
}

fn list(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let place = Place::read(call, &value)?;
    let tags = place.tags(call).map(|tags| listed(tags)).unwrap_or_default();
    Ok(json!({"TagList": tags}))
}
