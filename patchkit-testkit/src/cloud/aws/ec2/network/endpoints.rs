//! Endpoints through which nodes without a way to the internet reach services.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, Operations, seconds, texts},
    dry_run, groups, id, known_vpc, listed, new_tags,
    routes::table_id,
    security_group, subnet_id, unknown_id, vpc_id,
};
use crate::cloud::world::{State, address::ZONES, clock::earlier, machine::ScopeIx};

pub(in super::super) const OPERATIONS: Operations = &[
    ("CreateVpcEndpoint", create_vpc_endpoint),
    ("DeleteVpcEndpoints", delete_vpc_endpoints),
    ("DescribeVpcEndpoints", describe_vpc_endpoints),
];

/// How long one takes to come, and to go.
const CHANGE: Duration = Duration::from_mins(1);
/// What each VPC has from the start.
const AT_START: [&str; 4] = ["ssm", "ssmmessages", "ec2messages", "s3"];
/// The services of a Region that take part in managing nodes.
const SERVICES: [&str; 9] =
    ["ec2", "ec2messages", "kms", "logs", "monitoring", "s3", "ssm", "ssmmessages", "sts"];

fn describe_vpc_endpoints(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let filters = [
        "service-name",
        "tag-key",
        "vpc-endpoint-id",
        "vpc-endpoint-state",
        "vpc-endpoint-type",
        "vpc-id",
    ];
    let endpoints = all(call);
    listed(call, &input, "VpcEndpoints", "VpcEndpointIds", "VpcEndpointId", &filters, endpoints)
}

/// Those of the start that are left, and those that were made.
pub(super) fn all(call: &Call<'_>) -> Vec<Value> {
    let network = &call.here().network;
    let kept =
        |it: &Value| !it["VpcEndpointId"].as_str().is_some_and(|id| network.gone.contains(id));
    let mut endpoints: Vec<Value> = (0..)
        .zip(AT_START)
        .map(|(n, service)| {
            let gateway = service == "s3";
            let kind = if gateway { "Gateway" } else { "Interface" };
            let mut endpoint = shape(call, &format!("vpce-{}", id(call, 20 + n)), service, kind);
            let created = earlier(call.state.now, Duration::from_hours(2_400));
            endpoint["CreationTimestamp"] = seconds(created);
            if gateway {
                endpoint["RouteTableIds"] = json!([table_id(call)]);
            } else {
                endpoint["SubnetIds"] = json!([subnet_id(call, 'a')]);
                endpoint["Groups"] = json!([security_group(call)]);
                endpoint["PrivateDnsEnabled"] = json!(true);
            }
            endpoint
        })
        .filter(kept)
        .collect();
    endpoints.extend(network.endpoints.iter().cloned());
    endpoints
}

fn shape(call: &Call<'_>, id: &str, service: &str, kind: &str) -> Value {
    let region = call.region();
    let dns = json!([{"DnsName": format!("{id}.{service}.{region}.vpce.amazonaws.com")}]);
    json!({
        "VpcEndpointId": id,
        "VpcEndpointType": kind,
        "VpcId": vpc_id(call),
        "ServiceName": format!("com.amazonaws.{region}.{service}"),
        "State": "available",
        "PrivateDnsEnabled": false,
        "RequesterManaged": false,
        "RouteTableIds": [],
        "SubnetIds": [],
        "Groups": [],
        "DnsEntries": if kind == "Gateway" { json!([]) } else { dns },
        "CreationTimestamp": seconds(call.state.now),
        "OwnerId": call.account_id(),
        "Tags": [],
    })
}

fn create_vpc_endpoint(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let vpc = known_vpc(call, &input)?;
    let (service, kind) = service(call, &input)?;
    let gateway = kind == "Gateway";
    let tags = new_tags(&input, "vpc-endpoint")?;
    let token = input["ClientToken"].as_str();
    let before = call
        .here()
        .network
        .endpoints
        .iter()
        .find(|it| token.is_some_and(|token| it["ClientToken"] == token));
    if let Some(before) = before {
        return Ok(json!({"VpcEndpoint": before, "ClientToken": token}));
    }
    let id = format!("vpce-{}", call.state.new_hex());
    let mut endpoint = shape(call, &id, service, kind);
    endpoint["Tags"] = json!(tags);
    endpoint["ClientToken"] = json!(token);
    for told in ["DnsOptions", "IpAddressType", "PolicyDocument"] {
        endpoint[told] = input[told].clone();
    }
    if gateway {
        let tables = known(&input, "RouteTableIds", "RouteTableId", &[table_id(call)])?;
        let taken = all(call).into_iter().any(|it| {
            it["VpcEndpointType"] == "Gateway"
                && it["ServiceName"] == endpoint["ServiceName"]
                && texts(&it["RouteTableIds"]).iter().any(|table| tables.contains(table))
        });
        if taken {
            let message = format!(
                "route table {} already has a route with destination-prefix-list-id of {service}",
                tables.join(", ")
            );
            return Err(AwsError::new("RouteAlreadyExists", message));
        }
        endpoint["RouteTableIds"] = json!(tables);
    } else {
        let subnets = ZONES.map(|zone| subnet_id(call, zone));
        endpoint["SubnetIds"] = json!(known(&input, "SubnetIds", "SubnetId", &subnets)?);
        endpoint["Groups"] = json!(groups::named(call, &texts(&input["SecurityGroupIds"]))?);
        // The usual answer is yes (EC2 API reference, CreateVpcEndpoint).
        let private = input["PrivateDnsEnabled"].as_bool().unwrap_or(true);
        let taken = |it: &Value| {
            it["ServiceName"] == endpoint["ServiceName"] && it["PrivateDnsEnabled"] == true
        };
        if private && all(call).iter().any(taken) {
            let region = call.region();
            let message = format!(
                "private-dns-enabled cannot be set because there is already a conflicting DNS \
                 domain for {service}.{region}.amazonaws.com in the VPC {vpc}"
            );
            return Err(AwsError::new("InvalidParameter", message));
        }
        endpoint["PrivateDnsEnabled"] = json!(private);
        endpoint["State"] = json!("pending");
        let scope = call.scope;
        call.state.after(CHANGE, move |state| state.set_available(scope, &id));
    }
    call.here_mut().network.endpoints.push(endpoint.clone());
    Ok(json!({"VpcEndpoint": endpoint, "ClientToken": token}))
}

impl State {
    fn set_available(&mut self, scope: ScopeIx, id: &str) {
        let endpoints = &mut self.scope_mut(scope).network.endpoints;
        if let Some(it) = endpoints.iter_mut().find(|it| it["VpcEndpointId"] == id)
            && it["State"] == "pending"
        {
            it["State"] = json!("available");
        }
    }
}

/// The short name of the service that an endpoint is to be for, and the kind of the endpoint.
fn service<'v>(call: &Call<'_>, input: &'v Value) -> Result<(&'v str, &'v str), AwsError> {
    let kind = input["VpcEndpointType"].as_str().unwrap_or("Gateway");
    let name = input["ServiceName"].as_str().unwrap_or_default();
    let short = name
        .strip_prefix("com.amazonaws.")
        .and_then(|rest| rest.strip_prefix(call.region())?.strip_prefix('.'));
    let Some(short) = short.filter(|it| SERVICES.contains(it)) else {
        let message = format!("The Vpc Endpoint Service '{name}' does not exist");
        return Err(AwsError::new("InvalidServiceName", message));
    };
    let offered: &[&str] = if short == "s3" { &["Gateway", "Interface"] } else { &["Interface"] };
    if !offered.contains(&kind) {
        let offered = offered.join(", ");
        let message =
            format!("Endpoint type ({kind}) does not match available service types ([{offered}]).");
        return Err(AwsError::new("InvalidParameter", message));
    }
    Ok((short, kind))
}

/// The ids of a member, all of which have to be there.
fn known(input: &Value, member: &str, id: &str, there: &[String]) -> Result<Vec<String>, AwsError> {
    let wanted = texts(&input[member]);
    match wanted.iter().find(|it| !there.contains(it)) {
        Some(unknown) => Err(unknown_id(id, unknown)),
        None => Ok(wanted),
    }
}

fn delete_vpc_endpoints(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let mut failed = Vec::new();
    for id in texts(&input["VpcEndpointIds"]) {
        if !all(call).iter().any(|it| it["VpcEndpointId"] == *id) {
            let error = unknown_id("VpcEndpointId", &id);
            failed.push(json!({
                "ResourceId": id,
                "Error": {"Code": error.name, "Message": error.message},
            }));
            continue;
        }
        let scope = call.scope;
        let network = &mut call.here_mut().network;
        match network.endpoints.iter_mut().find(|it| it["VpcEndpointId"] == *id) {
            Some(endpoint) => {
                endpoint["State"] = json!("deleting");
                endpoint["PrivateDnsEnabled"] = json!(false);
                call.state.after(CHANGE, move |state| {
                    let network = &mut state.scope_mut(scope).network;
                    network.endpoints.retain(|it| it["VpcEndpointId"] != *id);
                });
            }
            None => drop(network.gone.insert(id)),
        }
    }
    Ok(json!({"Unsuccessful": failed}))
}
