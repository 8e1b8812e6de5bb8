//! Regions, and the one VPC that each account has in each of them.

pub(super) mod endpoints;
pub(super) mod groups;
pub(super) mod routes;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations, object,
        page::{Page, answer},
        texts,
    },
    dry_run,
    filter::Filters,
    tags::check,
};
use crate::{
    cloud::world::{
        address::{ZONES, subnet},
        hex17,
        machine::Tags,
    },
    rng::mix,
};

pub(super) const VPC_OPERATIONS: Operations = &[
    ("DescribeRegions", describe_regions),
    ("DescribeSubnets", describe_subnets),
    ("DescribeVpcAttribute", describe_vpc_attribute),
    ("DescribeVpcs", describe_vpcs),
];

/// What was changed in the network of an account's Region: all else is as it is from the start.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// As they are described, in the order in which they were made.
    endpoints: Vec<Value>,
    groups: Vec<Value>,
    /// The endpoints and groups of the start that were deleted.
    gone: BTreeSet<String>,
    /// The rules of groups by the groups' ids, where these are no longer those of the start.
    ingress: BTreeMap<String, Vec<groups::Rule>>,
}

fn describe_regions(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let filters = Filters::of(&input, &["endpoint", "opt-in-status", "region-name"])?;
    let account = call.here().account;
    let mut regions: Vec<String> = call
        .state
        .scopes
        .iter()
        .filter(|it| it.account == account)
        .map(|it| it.region.to_string())
        .collect();
    let wanted = texts(&input["RegionNames"]);
    if let Some(unknown) = wanted.iter().find(|it| !regions.contains(it)) {
        let message = format!("Invalid region name: '{unknown}'");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    regions.retain(|it| wanted.is_empty() || wanted.contains(it));
    let endpoint = |region: &str| format!("ec2.{region}.amazonaws.com");
    regions.retain(|region| {
        filters.pass(&Vec::new(), |name| match name {
            "endpoint" => vec![endpoint(region)],
            "opt-in-status" => vec!["opt-in-not-required".to_owned()],
            _ => vec![region.clone()],
        })
    });
    let shown = regions.iter().map(|region| {
        json!({
            "RegionName": region,
            "Endpoint": endpoint(region),
            "OptInStatus": "opt-in-not-required",
        })
    });
    Ok(json!({"Regions": shown.collect::<Vec<_>>()}))
}

fn describe_vpcs(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let vpc = json!({
        "VpcId": vpc_id(call),
        "State": "available",
        "CidrBlock": "10.0.0.0/8",
        "IsDefault": false,
        "InstanceTenancy": "default",
        "OwnerId": call.account_id(),
        "Tags": [],
    });
    listed(call, &input, "Vpcs", "VpcIds", "VpcId", &["is-default", "vpc-id"], vec![vpc])
}

fn describe_vpc_attribute(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let id = known_vpc(call, &input)?;
    let attribute = match input["Attribute"].as_str().unwrap_or_default() {
        // Private names of endpoints need both (VPC user guide, "DNS attributes for your VPC").
        "enableDnsHostnames" => "EnableDnsHostnames",
        "enableDnsSupport" => "EnableDnsSupport",
        _ => return Ok(json!({"VpcId": id, "EnableNetworkAddressUsageMetrics": {"Value": false}})),
    };
    Ok(json!({"VpcId": id, attribute: {"Value": true}}))
}

fn describe_subnets(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let described = |zone: char| {
        json!({
            "SubnetId": subnet_id(call, zone),
            "VpcId": vpc_id(call),
            "State": "available",
            "CidrBlock": subnet(zone),
            "AvailabilityZone": format!("{}{zone}", call.region()),
            "AvailableIpAddressCount": 4_000_000,
            "MapPublicIpOnLaunch": false,
            "DefaultForAz": false,
            "OwnerId": call.account_id(),
            "Tags": [],
        })
    };
    let subnets = ZONES.into_iter().map(described).collect();
    let filters = ["availability-zone", "subnet-id", "vpc-id"];
    listed(call, &input, "Subnets", "SubnetIds", "SubnetId", &filters, subnets)
}

/// A listing of a few things, by ids and by filters that are named like their members.
fn listed(
    call: &Call<'_>,
    input: &Value,
    list: &str,
    ids: &str,
    id: &str,
    known: &[&str],
    mut items: Vec<Value>,
) -> Result<Value, AwsError> {
    let filters = Filters::of(input, known)?;
    let wanted = texts(&input[ids]);
    if let Some(unknown) = wanted.iter().find(|it| !items.iter().any(|item| item[id] == ***it)) {
        return Err(unknown_id(id, unknown));
    }
    items.retain(|item| wanted.is_empty() || wanted.iter().any(|it| item[id] == **it));
    items.retain(|item| filters.pass(&tags_of(item), |name| vec![member(item, name)]));
    let page = Page::of(call, input, 1_000)?;
    let (items, next) = page.cut(items);
    Ok(answer(list, items, next))
}

/// What EC2 says of an id that it does not have (EC2 API reference, "Client error codes").
fn unknown_id(member: &str, id: &str) -> AwsError {
    let (code, what) = match member {
        "GroupId" => ("InvalidGroup.NotFound", "security group"),
        "RouteTableId" => ("InvalidRouteTableID.NotFound", "routeTable ID"),
        "SubnetId" => ("InvalidSubnetID.NotFound", "subnet ID"),
        "VpcEndpointId" => ("InvalidVpcEndpointId.NotFound", "Vpc Endpoint Id"),
        _ => ("InvalidVpcID.NotFound", "vpc ID"),
    };
    AwsError::new(code, format!("The {what} '{id}' does not exist"))
}

/// The VPC that an input names.
fn known_vpc(call: &Call<'_>, input: &Value) -> Result<String, AwsError> {
    let id = input["VpcId"].as_str().unwrap_or_default();
    if id == vpc_id(call) { Ok(id.to_owned()) } else { Err(unknown_id("VpcId", id)) }
}

/// The tags that something of this type is to be made with.
fn new_tags(input: &Value, kind: &str) -> Result<Vec<Value>, AwsError> {
    let mut tags = Vec::new();
    for part in input["TagSpecifications"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let of = part["ResourceType"].as_str().unwrap_or_default();
        if of != kind {
            let message =
                format!("'{of}' is not a valid taggable resource type for this operation.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        for tag in part["Tags"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let key = tag["Key"].as_str().unwrap_or_default();
            let value = tag["Value"].as_str().unwrap_or_default();
            check(key, value)?;
            tags.push(json!({"Key": key, "Value": value}));
        }
    }
    Ok(tags)
}

fn tags_of(item: &Value) -> Tags {
    let text = |it: &Value| it.as_str().unwrap_or_default().into();
    let tags = item["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    tags.iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect()
}

/// The member that a filter is named after: `vpc-id` is `VpcId`.
fn member(item: &Value, filter: &str) -> String {
    let wanted = filter.replace('-', "").replace("vpcendpointstate", "state");
    let Value::Object(members) = item else { return String::new() };
    let found = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(&wanted));
    match found.map(|(_, value)| value) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

pub(super) fn vpc_id(call: &Call<'_>) -> String {
    format!("vpc-{}", id(call, 1))
}

pub(super) fn subnet_id(call: &Call<'_>, zone: char) -> String {
    format!("subnet-{}", id(call, 2 + u64::from(zone)))
}

pub(super) fn security_group(call: &Call<'_>) -> Value {
    object([
        ("GroupId", format!("sg-{}", id(call, 9)).into()),
        ("GroupName", "managed-nodes".into()),
    ])
}

/// An id of the account and Region: the same in each world of this seed.
fn id(call: &Call<'_>, purpose: u64) -> String {
    let bits = mix(call.state.seed ^ mix(u64::from(call.scope.0) ^ mix(purpose)));
    hex17(bits, purpose)
}
