//! Regions, and the one VPC that each account has in each of them.

use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations, object,
        page::{Page, answer},
        seconds, texts,
    },
    dry_run,
    filter::Filters,
};
use crate::{
    cloud::world::{clock::earlier, hex17},
    rng::mix,
};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeRegions", describe_regions),
    ("DescribeSecurityGroups", describe_security_groups),
    ("DescribeSubnets", describe_subnets),
    ("DescribeVpcEndpoints", describe_vpc_endpoints),
    ("DescribeVpcs", describe_vpcs),
];

const ZONES: [char; 3] = ['a', 'b', 'c'];

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

fn describe_subnets(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let subnet = |(n, zone): (usize, char)| {
        json!({
            "SubnetId": subnet_id(call, zone),
            "VpcId": vpc_id(call),
            "State": "available",
            "CidrBlock": format!("10.{}.0.0/16", n * 64),
            "AvailabilityZone": format!("{}{zone}", call.region()),
            "AvailableIpAddressCount": 60_000,
            "MapPublicIpOnLaunch": false,
            "DefaultForAz": false,
            "OwnerId": call.account_id(),
            "Tags": [],
        })
    };
    let subnets = ZONES.into_iter().enumerate().map(subnet).collect();
    let filters = ["availability-zone", "subnet-id", "vpc-id"];
    listed(call, &input, "Subnets", "SubnetIds", "SubnetId", &filters, subnets)
}

fn describe_security_groups(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let group = security_group(call);
    let group = json!({
        "GroupId": group["GroupId"],
        "GroupName": group["GroupName"],
        "Description": "Managed nodes: HTTPS out, to Systems Manager's endpoints",
        "VpcId": vpc_id(call),
        "OwnerId": call.account_id(),
        "IpPermissions": [],
        "IpPermissionsEgress": [{
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
            "Ipv6Ranges": [],
            "PrefixListIds": [],
            "UserIdGroupPairs": [],
        }],
        "Tags": [],
    });
    let filters = ["group-id", "group-name", "vpc-id"];
    listed(call, &input, "SecurityGroups", "GroupIds", "GroupId", &filters, vec![group])
}

fn describe_vpc_endpoints(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let endpoint = |(n, service): (u64, &str)| {
        let gateway = service == "s3";
        let region = call.region();
        let id = format!("vpce-{}", id(call, 20 + n));
        json!({
            "VpcEndpointId": id,
            "VpcEndpointType": if gateway { "Gateway" } else { "Interface" },
            "VpcId": vpc_id(call),
            "ServiceName": format!("com.amazonaws.{region}.{service}"),
            "State": "available",
            "PrivateDnsEnabled": !gateway,
            "RequesterManaged": false,
            "RouteTableIds": [],
            "SubnetIds": if gateway { json!([]) } else { json!([subnet_id(call, 'a')]) },
            "Groups": if gateway { json!([]) } else { json!([security_group(call)]) },
            "DnsEntries": if gateway {
                json!([])
            } else {
                json!([{"DnsName": format!("{id}.{service}.{region}.vpce.amazonaws.com")}])
            },
            "CreationTimestamp": seconds(earlier(call.state.now, std::time::Duration::from_hours(2_400))),
            "OwnerId": call.account_id(),
            "Tags": [],
        })
    };
    let services = ["ssm", "ssmmessages", "ec2messages", "s3"];
    let endpoints = (0..).zip(services).map(endpoint).collect();
    let filters = ["service-name", "vpc-endpoint-id", "vpc-endpoint-state", "vpc-id"];
    listed(call, &input, "VpcEndpoints", "VpcEndpointIds", "VpcEndpointId", &filters, endpoints)
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
        let code = format!("Invalid{}.NotFound", id.replace("Id", "ID"));
        let message = format!("The {id} '{unknown}' does not exist");
        return Err(AwsError::new(code, message));
    }
    items.retain(|item| wanted.is_empty() || wanted.iter().any(|it| item[id] == **it));
    items.retain(|item| filters.pass(&Vec::new(), |name| vec![member(item, name)]));
    let page = Page::of(call, input, 1_000)?;
    let (items, next) = page.cut(items);
    Ok(answer(list, items, next))
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
