//! The endpoints through which nodes without a way to the internet reach Systems Manager and S3.

use std::{collections::BTreeMap, net::Ipv4Addr};

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, SecurityGroup, State, VpcEndpoint, VpcEndpointType,
};
use aws_smithy_types::retry::RetryConfig;
use patchkit_core::{Error, Result};

use super::{SetupFinding, SetupItem, SetupState, SetupStep};
use crate::{
    client::Client,
    error::{PROVIDER, malformed},
};

/// What agents speak with (Systems Manager user guide, "Improve the security of EC2 instances by
/// using VPC endpoints for Systems Manager").
const SERVICES: [&str; 4] = ["ssm", "ssmmessages", "ec2messages", S3];
const S3: &str = "s3";

/// The name of a security group that a fix makes.
const GROUP: &str = "patchkit-endpoints";
const HTTPS: i32 = 443;

/// What is so of a VPC.
struct Seen {
    ranges: Vec<String>,
    endpoints: Vec<VpcEndpoint>,
    groups: Vec<SecurityGroup>,
}

pub(super) async fn find(client: &Client, vpc: &str) -> Vec<SetupFinding> {
    let item =
        |service: &str| SetupItem::Endpoint { vpc: vpc.to_owned(), service: service.to_owned() };
    match look(client, vpc).await {
        Ok(seen) => {
            let judged =
                |service: &&str| judge(item(service), vpc, service, &name(client, service), &seen);
            SERVICES.iter().map(judged).collect()
        }
        Err(error) => SERVICES
            .iter()
            .map(|service| SetupFinding::unknown(item(service), error.report()))
            .collect(),
    }
}

async fn look(client: &Client, vpc: &str) -> Result<Seen> {
    let ranges = ranges(client, vpc).await?;
    let endpoints = endpoints(client, vpc).await?;
    let of = endpoints
        .iter()
        .flat_map(aws_sdk_ec2::types::VpcEndpoint::groups)
        .filter_map(|it| it.group_id());
    let mut ids: Vec<String> = of.map(str::to_owned).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Seen { ranges, endpoints, groups: Vec::new() });
    }
    let request = client.ec2().describe_security_groups().set_group_ids(Some(ids));
    let page = client.read("DescribeSecurityGroups", request.send()).await?;
    Ok(Seen { ranges, endpoints, groups: page.security_groups.unwrap_or_default() })
}

/// Pure: what the endpoints of a VPC are worth for one service.
fn judge(item: SetupItem, vpc: &str, service: &str, name: &str, seen: &Seen) -> SetupFinding {
    let ours = || seen.endpoints.iter().filter(|it| is_for(it, name));
    if ours().next().is_none() {
        let (vpc, service) = (vpc.to_owned(), service.to_owned());
        let create = SetupStep::CreateEndpoint { vpc: vpc.clone(), service: service.clone() };
        if service == S3 {
            return SetupFinding::missing(item, vec![create]);
        }
        let group = SetupStep::CreateEndpointGroup { vpc, ranges: seen.ranges.clone() };
        return SetupFinding::missing(item, vec![group, create]);
    }
    let mut states: Vec<SetupState> = ours().map(|it| worth(it, seen)).collect();
    // Of several the best counts: nodes reach the service by it.
    let best = states.iter().position(|it| *it == SetupState::Present).unwrap_or_default();
    SetupFinding { item, state: states.swap_remove(best), fix: Vec::new() }
}

fn worth(endpoint: &VpcEndpoint, seen: &Seen) -> SetupState {
    let wrong = |why: String| SetupState::Wrong { why };
    let id = endpoint.vpc_endpoint_id().unwrap_or("an endpoint");
    if let Some(state) = endpoint.state()
        && !matches!(state.as_str().to_ascii_lowercase().as_str(), "available" | "pending")
    {
        return wrong(format!("{id} is {}", state.as_str()));
    }
    if endpoint.vpc_endpoint_type() == Some(&VpcEndpointType::Gateway) {
        return match endpoint.route_table_ids() {
            [] => wrong(format!("{id} is in no route table")),
            _ => SetupState::Present,
        };
    }
    if endpoint.private_dns_enabled() != Some(true) {
        return wrong(format!("{id} has no private DNS name: agents do not find it"));
    }
    let ids: Vec<&str> = endpoint.groups().iter().filter_map(|it| it.group_id()).collect();
    let rules: Vec<&IpPermission> = seen
        .groups
        .iter()
        .filter(|group| group.group_id().is_some_and(|id| ids.contains(&id)))
        .flat_map(aws_sdk_ec2::types::SecurityGroup::ip_permissions)
        .filter(|it| takes_https(it))
        .collect();
    let shut: Vec<&str> = seen
        .ranges
        .iter()
        .map(String::as_str)
        .filter(|range| !rules.iter().any(|rule| lets_in(rule, range)))
        .collect();
    if shut.is_empty() {
        return SetupState::Present;
    }
    let by_others = rules
        .iter()
        .any(|it| !it.user_id_group_pairs().is_empty() || !it.prefix_list_ids().is_empty());
    if by_others {
        let error =
            format!("{id} lets HTTPS in by groups or prefix lists: whom, is not known here");
        return SetupState::Unknown { error };
    }
    wrong(format!("{id} does not let HTTPS in from {}", shut.join(", ")))
}

fn is_for(endpoint: &VpcEndpoint, name: &str) -> bool {
    // Some Regions put a prefix before it.
    endpoint.service_name().is_some_and(|it| it.ends_with(name))
        && !matches!(endpoint.state(), Some(State::Deleted | State::Deleting))
}

fn takes_https(rule: &IpPermission) -> bool {
    match rule.ip_protocol() {
        Some("-1") => true,
        Some("tcp" | "6") => {
            rule.from_port().is_some_and(|from| from <= HTTPS)
                && rule.to_port().is_some_and(|to| to >= HTTPS)
        }
        _ => false,
    }
}

fn lets_in(rule: &IpPermission, range: &str) -> bool {
    rule.ip_ranges().iter().filter_map(|it| it.cidr_ip()).any(|it| holds(it, range))
}

/// Whether one range of addresses lies in another.
fn holds(outer: &str, inner: &str) -> bool {
    let (Some((outer, outer_bits)), Some((inner, inner_bits))) = (read(outer), read(inner)) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - outer_bits).unwrap_or_default();
    outer_bits <= inner_bits && outer & mask == inner & mask
}

fn read(range: &str) -> Option<(u32, u32)> {
    let (address, bits) = range.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    (bits <= 32).then_some((address.to_bits(), bits))
}

/// The name of a service as endpoints have it.
fn name(client: &Client, service: &str) -> String {
    format!("com.amazonaws.{}.{service}", client.scope.region())
}

async fn ranges(client: &Client, vpc: &str) -> Result<Vec<String>> {
    let request = client.ec2().describe_vpcs().vpc_ids(vpc);
    let page = client.read("DescribeVpcs", request.send()).await?;
    let found = page.vpcs().first();
    let found = found.ok_or_else(|| Error::not_found(PROVIDER, "DescribeVpcs", vpc))?;
    let more = found.cidr_block_association_set().iter().filter_map(|it| it.cidr_block());
    let mut ranges: Vec<String> =
        found.cidr_block().into_iter().chain(more).map(str::to_owned).collect();
    ranges.sort_unstable();
    ranges.dedup();
    Ok(ranges)
}

async fn endpoints(client: &Client, vpc: &str) -> Result<Vec<VpcEndpoint>> {
    let request = client.ec2().describe_vpc_endpoints().filters(filter("vpc-id", vpc));
    let page = client.read("DescribeVpcEndpoints", request.send()).await?;
    Ok(page.vpc_endpoints.unwrap_or_default())
}

pub(super) async fn has_endpoint(client: &Client, vpc: &str, service: &str) -> Result<bool> {
    let name = name(client, service);
    Ok(endpoints(client, vpc).await?.iter().any(|it| is_for(it, &name)))
}

async fn group(client: &Client, vpc: &str) -> Result<Option<SecurityGroup>> {
    let request = client
        .ec2()
        .describe_security_groups()
        .filters(filter("vpc-id", vpc))
        .filters(filter("group-name", GROUP));
    let page = client.read("DescribeSecurityGroups", request.send()).await?;
    Ok(page.security_groups.unwrap_or_default().into_iter().next())
}

/// The ranges that the group of endpoints does not let in yet.
fn shut_out(group: &SecurityGroup, ranges: &[String]) -> Vec<String> {
    let rules = group.ip_permissions().iter().filter(|it| takes_https(it));
    let rules: Vec<&IpPermission> = rules.collect();
    let shut = |range: &&String| !rules.iter().any(|rule| lets_in(rule, range));
    ranges.iter().filter(shut).cloned().collect()
}

pub(super) async fn has_group(client: &Client, vpc: &str, ranges: &[String]) -> Result<bool> {
    Ok(group(client, vpc).await?.is_some_and(|it| shut_out(&it, ranges).is_empty()))
}

pub(super) async fn create_group(client: &Client, vpc: &str, ranges: &[String]) -> Result<()> {
    let found = group(client, vpc).await?;
    #[expect(clippy::single_match_else, reason = "to make a group is the longer half")]
    let (id, shut) = match found {
        Some(group) => (group.group_id().map(str::to_owned), shut_out(&group, ranges)),
        None => {
            let request = client
                .ec2_once()
                .create_security_group()
                .group_name(GROUP)
                .description("HTTPS from the VPC to Systems Manager; made by PatchKit")
                .vpc_id(vpc);
            let made = client.write("CreateSecurityGroup", request.send()).await?;
            (made.group_id, ranges.to_vec())
        }
    };
    let id = id.ok_or_else(|| malformed("CreateSecurityGroup", "the group has no id"))?;
    let sources = shut.iter().map(|range| IpRange::builder().cidr_ip(range).build());
    let rule = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(HTTPS)
        .to_port(HTTPS)
        .set_ip_ranges(Some(sources.collect()))
        .build();
    let request =
        client.ec2_once().authorize_security_group_ingress().group_id(id).ip_permissions(rule);
    client.write("AuthorizeSecurityGroupIngress", request.send()).await.map(drop)
}

/// S3 is reached through a gateway, which costs nothing, from all route tables; the others through
/// an address in each zone.
pub(super) async fn create_endpoint(client: &Client, vpc: &str, service: &str) -> Result<()> {
    let request =
        client.ec2().create_vpc_endpoint().vpc_id(vpc).service_name(name(client, service));
    let request = if service == S3 {
        let tables = client.ec2().describe_route_tables().filters(filter("vpc-id", vpc));
        let tables = client.read("DescribeRouteTables", tables.send()).await?;
        let ids = tables.route_tables().iter().filter_map(|it| it.route_table_id());
        request
            .vpc_endpoint_type(VpcEndpointType::Gateway)
            .set_route_table_ids(Some(ids.map(str::to_owned).collect()))
    } else {
        let group = group(client, vpc).await?.and_then(|it| it.group_id);
        let group = group.ok_or_else(|| Error::not_found(PROVIDER, "CreateVpcEndpoint", GROUP))?;
        request
            .vpc_endpoint_type(VpcEndpointType::Interface)
            .private_dns_enabled(true)
            .security_group_ids(group)
            .set_subnet_ids(Some(subnets(client, vpc).await?))
    };
    let config = aws_sdk_ec2::Config::builder().retry_config(RetryConfig::disabled());
    let request = request.customize().config_override(config);
    client.write("CreateVpcEndpoint", request.send()).await.map(drop)
}

/// A subnet in each zone: an endpoint takes no more (VPC user guide, "Create a VPC endpoint").
async fn subnets(client: &Client, vpc: &str) -> Result<Vec<String>> {
    let request = client.ec2().describe_subnets().filters(filter("vpc-id", vpc));
    let page = client.read("DescribeSubnets", request.send()).await?;
    let mut zones = BTreeMap::new();
    for subnet in page.subnets() {
        if let (Some(zone), Some(id)) = (subnet.availability_zone(), subnet.subnet_id()) {
            zones.entry(zone).or_insert_with(|| id.to_owned());
        }
    }
    Ok(zones.into_values().collect())
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_in_a_wider_one_and_in_itself() {
        for (outer, inner, yes) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.1.0.0/16", true),
            ("0.0.0.0/0", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.2.0.0/16", "10.1.0.0/16", false),
            ("10.0.0.0/33", "10.0.0.0/8", false),
            ("fd00::/8", "10.0.0.0/8", false),
        ] {
            assert_eq!(holds(outer, inner), yes, "{outer} {inner}");
        }
    }
}
