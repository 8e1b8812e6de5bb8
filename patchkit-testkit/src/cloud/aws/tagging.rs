//! The tagging API of Resource Groups: the tags of instances and hybrid nodes, whatever service they
//! are of.
//!
//! The world has no tag policies: every resource complies with them.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    AwsError, Call, Operations, input,
    page::Page,
    resource::{self, Kind, Resource, TagFilter},
    texts,
};
use crate::cloud::world::machine::Tags;

pub(super) const OPERATIONS: &[Operations] = &[&[
    ("GetResources", get_resources),
    ("GetTagKeys", get_tag_keys),
    ("GetTagValues", get_tag_values),
    ("TagResources", tag_resources),
    ("UntagResources", untag_resources),
]];

/// How many resources, keys or values there are in a page where no number is asked for.
const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetResources {
    #[serde(default)]
    tag_filters: Vec<TagFilter>,
    #[serde(default)]
    resource_type_filters: Vec<String>,
    #[serde(rename = "ResourceARNList")]
    arns: Option<Vec<String>>,
    resources_per_page: Option<usize>,
    tags_per_page: Option<usize>,
    #[serde(default)]
    include_compliance_details: bool,
    #[serde(default)]
    exclude_compliant_resources: bool,
}

fn get_resources(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = |usual| page(call, &value, usual);
    let asked: GetResources = input(value.clone())?;
    let size = match (asked.resources_per_page, asked.tags_per_page) {
        (Some(_), Some(_)) => {
            let message = "Specify either ResourcesPerPage or TagsPerPage, and not both";
            return Err(invalid(message));
        }
        (Some(size), None) if (1..=100).contains(&size) => size,
        (Some(_), None) => return Err(invalid("ResourcesPerPage is from 1 to 100")),
        // No resource has more than 50 tags: so few resources never have too many, and a page may
        // hold less than was asked for (API reference, GetResources).
        (None, Some(tags)) if (100..=500).contains(&tags) && tags % 100 == 0 => tags / 50,
        (None, Some(_)) => {
            return Err(invalid("TagsPerPage is from 100 to 500, in steps of 100"));
        }
        (None, None) => PAGE,
    };
    if asked.exclude_compliant_resources && !asked.include_compliance_details {
        let message = "ExcludeCompliantResources needs IncludeComplianceDetails";
        return Err(invalid(message));
    }
    let types = asked.resource_type_filters.iter().map(|it| TypeFilter::read(it));
    let types = types.collect::<Result<Vec<_>, _>>()?;
    if types.len() > 100 {
        return Err(invalid("ResourceTypeFilters has 100 entries at most"));
    }
    let compliance = if asked.include_compliance_details {
        json!({"ComplianceStatus": true})
    } else {
        Value::Null
    };
    let show = |it: &Resource<'_>| {
        let mut mapping = mapping(call, it);
        mapping["ComplianceDetails"] = compliance.clone();
        mapping
    };
    if let Some(arns) = &asked.arns {
        let others = ["TagFilters", "ResourceTypeFilters", "ResourcesPerPage", "TagsPerPage"];
        if others.iter().any(|it| !value[it].is_null()) || has_token(&value) {
            let message = "ResourceARNList excludes all filters and paging";
            return Err(invalid(message));
        }
        let found = arns.iter().filter_map(|arn| Resource::find(call.state, call.scope, arn));
        let found: Vec<Value> = found.map(|it| show(&it)).collect();
        return Ok(json!({"ResourceTagMappingList": found, "PaginationToken": ""}));
    }
    let page = page(size)?;
    let found = resource::all(call.state, call.scope).filter(|it| {
        (types.is_empty() || types.iter().any(|filter| filter.passes(it.kind)))
            && asked.tag_filters.iter().all(|filter| filter.passes(&it.aws.tags))
            && !asked.exclude_compliant_resources
    });
    let (found, next) = page.cut(found);
    let found: Vec<Value> = found.iter().map(show).collect();
    Ok(json!({"ResourceTagMappingList": found, "PaginationToken": next.unwrap_or_default()}))
}

fn mapping(call: &Call<'_>, resource: &Resource<'_>) -> Value {
    let tags = resource.aws.tags.iter();
    let tags: Vec<Value> = tags.map(|(k, v)| json!({"Key": &**k, "Value": &**v})).collect();
    json!({"ResourceARN": resource.arn(call.state), "Tags": tags})
}

/// A service, or one of its types: `ec2`, `ec2:instance`.
struct TypeFilter<'a> {
    service: &'a str,
    kind: Option<&'a str>,
}

impl<'a> TypeFilter<'a> {
    fn read(text: &'a str) -> Result<Self, AwsError> {
        let (service, kind) = match text.split_once(':') {
            Some((service, kind)) => (service, Some(kind)),
            None => (text, None),
        };
        let is_word = |it: &str| {
            let letter =
                |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'/' | b':');
            !it.is_empty() && it.bytes().all(letter)
        };
        // Wildcards are not supported (API reference, GetResources).
        if is_word(service) && kind.is_none_or(is_word) {
            return Ok(Self { service, kind });
        }
        Err(invalid(format!("Unsupported resource type: {text}")))
    }

    fn passes(&self, kind: Kind) -> bool {
        let (service, word) = kind.words();
        self.service == service && self.kind.is_none_or(|it| it == word)
    }
}

fn get_tag_keys(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input, PAGE)?;
    let tags = resource::all(call.state, call.scope).flat_map(|it| it.aws.tags.iter());
    let keys: BTreeSet<&str> = tags.map(|(key, _)| &**key).collect();
    let (keys, next) = page.cut(keys);
    Ok(json!({"TagKeys": keys, "PaginationToken": next.unwrap_or_default()}))
}

fn get_tag_values(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input, PAGE)?;
    let key = input["Key"].as_str().unwrap_or_default();
    let tags = resource::all(call.state, call.scope).flat_map(|it| it.aws.tags.iter());
    let values = tags.filter(|(of, _)| **of == *key).map(|(_, value)| &**value);
    let values: BTreeSet<&str> = values.collect();
    let (values, next) = page.cut(values);
    Ok(json!({"TagValues": values, "PaginationToken": next.unwrap_or_default()}))
}

fn tag_resources(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let tags = input["Tags"].as_object().cloned().unwrap_or_default();
    check_keys(tags.keys())?;
    let pairs = tags.iter().map(|(key, value)| (&**key, value.as_str().unwrap_or_default()));
    each(call, &input, |has| {
        resource::tag(has, pairs.clone()).map_err(|_| "The resource would have more than 50 tags")
    })
}

fn untag_resources(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let keys = texts(&input["TagKeys"]);
    check_keys(keys.iter())?;
    each(call, &input, |has| {
        has.retain(|(key, _)| !keys.iter().any(|it| **it == **key));
        Ok(())
    })
}

/// Changes the tags of each resource of a list. What fails, fails for itself.
fn each(
    call: &mut Call<'_>,
    input: &Value,
    change: impl Fn(&mut Tags) -> Result<(), &'static str>,
) -> Result<Value, AwsError> {
    let mut failed = Map::new();
    for arn in texts(&input["ResourceARNList"]) {
        let found = Resource::find(call.state, call.scope, &arn);
        let changed = match found.map(|it| (it.at, it.aws.id.to_string())) {
            None => Err("The resource does not exist, or is not of this account and Region"),
            Some((at, id)) => {
                call.reached.push(id);
                let aws = call.state.machine_mut(at).aws.as_mut();
                let changed = aws.map_or(Ok(()), |aws| change(&mut aws.tags));
                if changed.is_ok() {
                    call.state.tags_changed(at);
                }
                changed
            }
        };
        if let Err(message) = changed {
            let failure = json!({
                "StatusCode": 400,
                "ErrorCode": "InvalidParameterException",
                "ErrorMessage": message,
            });
            failed.insert(arn, failure);
        }
    }
    Ok(json!({"FailedResourcesMap": failed}))
}

fn check_keys<'k>(mut keys: impl Iterator<Item = &'k String>) -> Result<(), AwsError> {
    match keys.find(|key| resource::is_reserved(key)) {
        Some(key) => Err(invalid(format!("The tag key {key} is reserved: it begins with aws:"))),
        None => Ok(()),
    }
}

fn page(call: &Call<'_>, input: &Value, usual: usize) -> Result<Page, AwsError> {
    Page::named(call, input, usual, ["PaginationToken", "ResourcesPerPage"])
        .map_err(|_| invalid("The PaginationToken is not valid"))
}

fn has_token(input: &Value) -> bool {
    input["PaginationToken"].as_str().is_some_and(|it| !it.is_empty())
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}
