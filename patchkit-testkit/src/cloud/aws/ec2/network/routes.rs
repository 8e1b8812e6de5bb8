//! The one route table of a VPC.

use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, Operations, page::Page, texts},
    Filters, dry_run, endpoints, id, unknown_id, vpc_id,
};

pub(in super::super) const OPERATIONS: Operations =
    &[("DescribeRouteTables", describe_route_tables)];

const FILTERS: [&str; 5] =
    ["association.main", "association.subnet-id", "route-table-id", "tag-key", "vpc-id"];

fn describe_route_tables(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let filters = Filters::of(&input, &FILTERS)?;
    let page = Page::of(call, &input, 100)?;
    let id = table_id(call);
    let wanted = texts(&input["RouteTableIds"]);
    if let Some(unknown) = wanted.iter().find(|it| **it != id) {
        return Err(unknown_id("RouteTableId", unknown));
    }
    // It is the main one, so that subnets are associated with it without saying so.
    let passes = filters.pass(&Vec::new(), |name| match name {
        "association.main" => vec!["true".to_owned()],
        "association.subnet-id" => Vec::new(),
        "route-table-id" => vec![id.clone()],
        _ => vec![vpc_id(call)],
    });
    let (tables, next) = page.cut(passes.then(|| table(call)));
    Ok(json!({"RouteTables": tables, "NextToken": next}))
}

fn table(call: &Call<'_>) -> Value {
    let id = table_id(call);
    let mut routes = vec![json!({
        "DestinationCidrBlock": "10.0.0.0/8",
        "GatewayId": "local",
        "Origin": "CreateRouteTable",
        "State": "active",
    })];
    // A gateway endpoint is a route to what it is for (VPC user guide, "Gateway endpoints").
    let endpoints = endpoints::all(call);
    let gateways = endpoints.iter().filter(|it| {
        it["VpcEndpointType"] == "Gateway"
            && it["State"] == "available"
            && texts(&it["RouteTableIds"]).contains(&id)
    });
    routes.extend(gateways.map(|it| {
        json!({
            "DestinationPrefixListId": prefix_list(call),
            "GatewayId": it["VpcEndpointId"],
            "Origin": "CreateRoute",
            "State": "active",
        })
    }));
    json!({
        "RouteTableId": id,
        "VpcId": vpc_id(call),
        "OwnerId": call.account_id(),
        "Associations": [{
            "Main": true,
            "RouteTableId": id,
            "RouteTableAssociationId": format!("rtbassoc-{}", super::id(call, 11)),
            "AssociationState": {"State": "associated"},
        }],
        "PropagatingVgws": [],
        "Routes": routes,
        "Tags": [],
    })
}

pub(super) fn table_id(call: &Call<'_>) -> String {
    format!("rtb-{}", id(call, 10))
}

/// The addresses of S3 in the Region, as AWS names them for all.
fn prefix_list(call: &Call<'_>) -> String {
    let sum = call.region().bytes().fold(0, |sum, byte| crate::rng::mix(sum ^ u64::from(byte)));
    format!("pl-{:08x}", sum & 0xFFFF_FFFF)
}
