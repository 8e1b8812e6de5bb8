//! Groups themselves: made, changed, listed and tagged.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, input, resource, texts},
    Group, Members, Query, bad_request, members, missing, named, named_mut, page,
};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const OPERATIONS: Operations = &[
    ("CreateGroup", create_group),
    ("DeleteGroup", delete_group),
    ("GetGroup", get_group),
    ("GetGroupQuery", get_group_query),
    ("GetTags", get_tags),
    ("ListGroups", list_groups),
    ("Tag", tag),
    ("Untag", untag),
    ("UpdateGroupQuery", update_group_query),
];

/// The one configuration that is served.
const GENERIC: &str = "AWS::ResourceGroups::Generic";
/// How many tags a group has at most (user guide, "Tagging resources").
const MOST_TAGS: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateGroup {
    name: String,
    description: Option<String>,
    criticality: Option<u64>,
    owner: Option<String>,
    display_name: Option<String>,
    resource_query: Option<Value>,
    configuration: Option<Value>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

fn create_group(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let asked: CreateGroup = input(value)?;
    // API reference, CreateGroup: names that begin with `aws`, in any case, are AWS's.
    if asked.name.get(..3).is_some_and(|it| it.eq_ignore_ascii_case("aws")) {
        return Err(bad_request("Group names cannot start with AWS."));
    }
    let members = match (asked.resource_query, asked.configuration) {
        (Some(query), None) => Members::Found(Query::read(&query)?),
        (None, Some(configuration)) => {
            check_configuration(&configuration)?;
            Members::Put { configuration, machines: Vec::new() }
        }
        _ => {
            let message = "Specify either ResourceQuery or Configuration, and not both.";
            return Err(bad_request(message));
        }
    };
    check_tags(&asked.tags)?;
    if call.here().groups.0.contains_key(&asked.name) {
        return Err(bad_request("Cannot create group: group already exists"));
    }
    let group = Group {
        name: asked.name.clone(),
        description: asked.description,
        criticality: asked.criticality,
        owner: asked.owner,
        display_name: asked.display_name,
        tags: asked.tags,
        members,
    };
    let configuration = match &group.members {
        Members::Put { configuration, .. } => {
            json!({"Configuration": configuration, "Status": "UPDATE_COMPLETE"})
        }
        Members::Found(_) => Value::Null,
    };
    let answer = json!({
        "Group": group.value(call.state, call.scope),
        "ResourceQuery": group.query().map(Query::value),
        "GroupConfiguration": configuration,
        "Tags": group.tags,
    });
    call.here_mut().groups.0.insert(asked.name, group);
    Ok(answer)
}

fn get_group(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    Ok(json!({"Group": named(call, &input)?.value(call.state, call.scope)}))
}

fn delete_group(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = named(call, &input)?;
    // User guide, "Service configurations for resource groups": deletion-protection.
    let protected = group.parameter("deletion-protection").iter().any(|it| it == "UNLESS_EMPTY");
    let has = || members(call.state, call.scope, &group.name).is_some_and(|it| !it.is_empty());
    if protected && has() {
        return Err(bad_request("The group is protected from deletion while it has members."));
    }
    let (name, value) = (group.name.clone(), group.value(call.state, call.scope));
    call.here_mut().groups.0.remove(&name);
    Ok(json!({"Group": value}))
}

fn get_group_query(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = named(call, &input)?;
    let query = group.query().ok_or_else(|| bad_request("The group has no resource query."))?;
    Ok(json!({"GroupQuery": {"GroupName": group.name, "ResourceQuery": query.value()}}))
}

fn update_group_query(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = named_mut(call, &input)?;
    let query = Query::read(&input["ResourceQuery"])?;
    let value = query.value();
    if group.query().is_none() {
        return Err(bad_request("The group has a configuration, and no resource query."));
    }
    group.members = Members::Found(query);
    Ok(json!({"GroupQuery": {"GroupName": group.name, "ResourceQuery": value}}))
}

fn list_groups(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input)?;
    let filters = input["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asked = |group: &&Group| filters.iter().all(|filter| passes(group, filter));
    let (groups, next) = page.cut(call.here().groups.0.values().filter(asked));
    let list = |show: fn(&Group, &State, ScopeIx) -> Value| -> Vec<Value> {
        groups.iter().map(|it| show(it, call.state, call.scope)).collect()
    };
    Ok(json!({
        "GroupIdentifiers": list(identifier),
        "Groups": list(Group::value),
        "NextToken": next,
    }))
}

fn identifier(group: &Group, state: &State, scope: ScopeIx) -> Value {
    let mut value = group.value(state, scope);
    value["GroupName"] = value["Name"].take();
    value
}

fn passes(group: &Group, filter: &Value) -> bool {
    let one_of = |has: Option<&str>| texts(&filter["Values"]).iter().any(|it| has == Some(it));
    match filter["Name"].as_str().unwrap_or_default() {
        "resource-type" => {
            let types = group.query().map(|it| it.types.as_slice()).unwrap_or_default();
            types.iter().any(|it| one_of(Some(it)))
        }
        "configuration-type" => group.query().is_none() && one_of(Some(GENERIC)),
        "owner" => one_of(group.owner.as_deref()),
        "display-name" => one_of(group.display_name.as_deref()),
        "criticality" => one_of(group.criticality.map(|it| it.to_string()).as_deref()),
        _ => false,
    }
}

fn tag(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let tags: BTreeMap<String, String> = super::super::input(input["Tags"].clone())?;
    check_tags(&tags)?;
    let group = by_arn(call, &input)?;
    let new = tags.keys().filter(|key| !group.tags.contains_key(*key)).count();
    if group.tags.len() + new > MOST_TAGS {
        return Err(bad_request(format!("A group has {MOST_TAGS} tags at most.")));
    }
    group.tags.extend(tags);
    Ok(json!({"Arn": input["Arn"], "Tags": input["Tags"]}))
}

fn untag(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let keys = texts(&input["Keys"]);
    by_arn(call, &input)?.tags.retain(|key, _| !keys.contains(key));
    Ok(json!({"Arn": input["Arn"], "Keys": keys}))
}

fn get_tags(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let tags = by_arn(call, &input)?.tags.clone();
    Ok(json!({"Arn": input["Arn"], "Tags": tags}))
}

fn by_arn<'c>(call: &'c mut Call<'_>, input: &Value) -> Result<&'c mut Group, AwsError> {
    let arn = input["Arn"].as_str().filter(|it| it.starts_with("arn:")).ok_or_else(missing)?;
    named_mut(call, &json!({"Group": arn}))
}

fn check_configuration(configuration: &Value) -> Result<(), AwsError> {
    let items = configuration.as_array().map(Vec::as_slice).unwrap_or_default();
    let [item] = items else {
        return Err(bad_request("The simulator serves groups of one configuration item."));
    };
    if item["Type"] != GENERIC {
        let kind = &item["Type"];
        return Err(bad_request(format!("the simulator does not serve the configuration {kind}")));
    }
    let parameters = item["Parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    for parameter in parameters {
        let known = match parameter["Name"].as_str().unwrap_or_default() {
            "allowed-resource-types" => true,
            "deletion-protection" => texts(&parameter["Values"]) == ["UNLESS_EMPTY"],
            _ => false,
        };
        if !known {
            return Err(bad_request(format!("The parameter {} is not valid.", parameter["Name"])));
        }
    }
    Ok(())
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
    if tags.keys().any(|key| resource::is_reserved(key)) {
        return Err(bad_request("Tag keys starting with aws: are reserved."));
    }
    if tags.len() > MOST_TAGS {
        return Err(bad_request(format!("A group has {MOST_TAGS} tags at most.")));
    }
    Ok(())
}
