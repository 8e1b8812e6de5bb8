//! Tags of instances.

use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, page::Page, texts},
    all, dry_run,
    filter::Filters,
    named,
};
use crate::cloud::world::machine::Tags;

pub(super) const OPERATIONS: Operations =
    &[("CreateTags", create_tags), ("DeleteTags", delete_tags), ("DescribeTags", describe_tags)];

/// How many tags a resource has at most (EC2 user guide, "Tag restrictions").
const MOST: usize = 50;

fn create_tags(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let places = resources(call, &input)?;
    let tags: Vec<(&str, &str)> = input["Tags"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|tag| {
            (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default())
        })
        .collect();
    if tags.is_empty() {
        let message = "The request must contain the parameter tags";
        return Err(AwsError::new("MissingParameter", message));
    }
    for (key, value) in &tags {
        check(key, value)?;
    }
    // All or nothing: EC2 tags no resource where one would have too many.
    for at in &places {
        let has = call.state.machine(*at).aws.as_ref().map(|it| &it.tags);
        let new = tags.iter().filter(|(key, _)| has.is_some_and(|it| !has_key(it, key))).count();
        if has.map_or(0, Vec::len) + new > MOST {
            let message =
                format!("The maximum number of tags for a resource ({MOST}) has been reached");
            return Err(AwsError::new("TagLimitExceeded", message));
        }
    }
    for at in places {
        if let Some(aws) = &mut call.state.machine_mut(at).aws {
            for (key, value) in &tags {
                set(&mut aws.tags, key, value);
            }
        }
        call.state.tags_changed(at);
    }
    Ok(json!({}))
}

fn delete_tags(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let places = resources(call, &input)?;
    let tags = input["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let doomed = |key: &str, value: &str| {
        tags.is_empty()
            || tags.iter().any(|tag| {
                // With a value, only that value's tag is deleted.
                tag["Key"] == *key && (tag["Value"].is_null() || tag["Value"] == *value)
            })
    };
    for at in places {
        if let Some(aws) = &mut call.state.machine_mut(at).aws {
            aws.tags.retain(|(key, value)| !doomed(key, value));
        }
        call.state.tags_changed(at);
    }
    Ok(json!({}))
}

fn describe_tags(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let known = ["key", "resource-id", "resource-type", "tag-key", "value"];
    let filters = Filters::of(&input, &known)?;
    let page = Page::of(call, &input, 1_000)?;
    let tags = all(call).flat_map(|it| {
        let filters = &filters;
        it.aws.tags.iter().filter_map(move |tag @ (key, value)| {
            let values = |name: &str| {
                vec![match name {
                    "key" => key.to_string(),
                    "value" => value.to_string(),
                    "resource-id" => it.aws.id.to_string(),
                    _ => "instance".to_owned(),
                }]
            };
            filters.pass(&vec![tag.clone()], values).then(|| {
                json!({
                    "Key": &**key,
                    "Value": &**value,
                    "ResourceId": it.aws.id,
                    "ResourceType": "instance",
                })
            })
        })
    });
    let (tags, next) = page.cut(tags);
    Ok(json!({"Tags": tags, "NextToken": next}))
}

/// The instances that an input names.
fn resources(
    call: &mut Call<'_>,
    input: &Value,
) -> Result<Vec<crate::cloud::world::machine::MachineIx>, AwsError> {
    let ids = texts(&input["Resources"]);
    if let Some(id) = ids.iter().find(|id| !id.starts_with("i-")) {
        let message = format!("The ID '{id}' is not valid");
        return Err(AwsError::new("InvalidID", message));
    }
    let places = named(call, &ids)?;
    call.reached.extend(ids);
    Ok(places)
}

pub(super) fn check(key: &str, value: &str) -> Result<(), AwsError> {
    let wrong = |message: String| Err(AwsError::new("InvalidParameterValue", message));
    if key.is_empty() || key.chars().count() > 128 {
        return wrong(format!("Tag keys are 1 to 128 characters long: {key:?}"));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return wrong("Tag keys starting with 'aws:' are reserved for internal use".to_owned());
    }
    if value.chars().count() > 256 {
        return wrong(format!("Tag values are up to 256 characters long: the one of {key:?}"));
    }
    Ok(())
}

fn has_key(tags: &Tags, key: &str) -> bool {
    tags.iter().any(|(of, _)| **of == *key)
}

fn set(tags: &mut Tags, key: &str, value: &str) {
    match tags.iter_mut().find(|(of, _)| **of == *key) {
        Some((_, of)) => *of = value.into(),
        None => tags.push((key.into(), value.into())),
    }
}
