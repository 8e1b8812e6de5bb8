//! Resource Groups by tag.

use aws_sdk_resourcegroups::types::{QueryType, ResourceQuery};
use aws_smithy_types::retry::RetryConfig;
use patchkit_core::{ErrorKind, Result};
use serde_json::{Value, json};

use super::{SetupFinding, SetupItem, SetupStep, TagGroup};
use crate::{client::Client, error::invalid};

const CREATE: &str = "CreateGroup";

pub(super) async fn find(client: &Client, group: &TagGroup) -> SetupFinding {
    match query(client, &group.name).await {
        Ok(seen) => judge(group, seen.as_deref()),
        Err(error) => {
            SetupFinding::unknown(SetupItem::ResourceGroup(group.name.clone()), error.report())
        }
    }
}

/// Pure: what a group's query is worth. Which types of resources it takes is its owner's choice.
fn judge(group: &TagGroup, seen: Option<&str>) -> SetupFinding {
    let item = SetupItem::ResourceGroup(group.name.clone());
    let Some(seen) = seen else {
        return SetupFinding::missing(item, vec![SetupStep::CreateGroup { group: group.clone() }]);
    };
    let seen: Value = serde_json::from_str(seen).unwrap_or_default();
    if seen["TagFilters"] == filters(group) {
        return SetupFinding::present(item);
    }
    SetupFinding::wrong(item, format!("it takes what has the tags {}", seen["TagFilters"]))
}

fn filters(group: &TagGroup) -> Value {
    json!([{"Key": group.key, "Values": group.values}])
}

/// The query of a group; none without the group.
async fn query(client: &Client, name: &str) -> Result<Option<String>> {
    let request = client.groups().get_group_query().group(name);
    match client.read("GetGroupQuery", request.send()).await {
        Ok(answer) => {
            let query = answer.group_query.and_then(|it| it.resource_query);
            Ok(Some(query.map(|it| it.query).unwrap_or_default()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn exists(client: &Client, group: &TagGroup) -> Result<bool> {
    Ok(query(client, &group.name).await?.is_some())
}

pub(super) async fn create(client: &Client, group: &TagGroup) -> Result<()> {
    let query = json!({
        "ResourceTypeFilters": ["AWS::EC2::Instance", "AWS::SSM::ManagedInstance"],
        "TagFilters": filters(group),
    });
    let query = ResourceQuery::builder()
        .r#type(QueryType::TagFilters10)
        .query(query.to_string())
        .build()
        .map_err(|error| invalid(CREATE, error.to_string()))?;
    let config = aws_sdk_resourcegroups::Config::builder().retry_config(RetryConfig::disabled());
    let request = client
        .groups()
        .create_group()
        .name(&group.name)
        .resource_query(query)
        .customize()
        .config_override(config);
    client.write(CREATE, request.send()).await.map(drop)
}
