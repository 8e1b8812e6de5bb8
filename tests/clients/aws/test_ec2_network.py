"""EC2: what a setup makes so that nodes without a way to the internet are managed."""

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import fresh

HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
UNKNOWN = "sg-0fffffffffffffff0"


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2")


@pytest.fixture
def alone(aws):
    return aws.client("ec2")


def vpc(ec2):
    return every(ec2, "describe_vpcs", "Vpcs")[0]["VpcId"]


def described(ec2, group):
    return every(ec2, "describe_security_groups", "SecurityGroups", GroupIds=[group])[0]


@pytest.fixture
def group(ec2):
    """A security group, deleted after the test."""
    made = ec2.create_security_group(
        GroupName=fresh("group"),
        Description="nodes to endpoints",
        VpcId=vpc(ec2),
        TagSpecifications=[
            {"ResourceType": "security-group", "Tags": [{"Key": "by", "Value": "proof"}]}
        ],
    )["GroupId"]
    yield made
    ec2.delete_security_group(GroupId=made)


def ranges(found):
    return {
        (it["IpProtocol"], it.get("FromPort"), it.get("ToPort"), range["CidrIp"])
        for it in found["IpPermissions"]
        for range in it["IpRanges"]
    }


def test_a_group_lets_in_what_it_is_told_until_that_is_revoked(ec2, group):
    assert described(ec2, group)["IpPermissions"] == []
    assert described(ec2, group)["Tags"] == [{"Key": "by", "Value": "proof"}]
    rule = {**HTTPS, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "nodes"}]}
    reply = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert reply["Return"]
    assert [it["CidrIpv4"] for it in reply["SecurityGroupRules"]] == ["10.0.0.0/8"]
    assert ranges(described(ec2, group)) == {("tcp", 443, 443, "10.0.0.0/8")}
    call = ec2.authorize_security_group_ingress
    refused("InvalidPermission.Duplicate", call, GroupId=group, IpPermissions=[rule])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert ranges(described(ec2, group)) == set()
    call = ec2.revoke_security_group_ingress
    refused("InvalidPermission.NotFound", call, GroupId=group, IpPermissions=[rule])


def test_a_rule_may_be_given_flat_and_name_another_group(alone):
    mine = alone.create_security_group(
        GroupName=fresh("group"), Description="flat", VpcId=vpc(alone)
    )["GroupId"]
    call = alone.authorize_security_group_ingress
    call(GroupId=mine, CidrIp="172.16.0.0/12", **HTTPS)
    call(GroupId=mine, IpPermissions=[{**HTTPS, "UserIdGroupPairs": [{"GroupId": mine}]}])
    found = described(alone, mine)["IpPermissions"]
    assert len(found) == 1, "rules of the same ports are one permission"
    assert [it["GroupId"] for it in found[0]["UserIdGroupPairs"]] == [mine]
    refused("InvalidParameterValue", call, GroupId=mine, CidrIp="10.0.0.0/99", **HTTPS)
    refused("MissingParameter", call, GroupId=mine)
    rules = alone.authorize_security_group_ingress(
        GroupId=mine, IpProtocol="-1", CidrIp="10.1.0.0/16"
    )["SecurityGroupRules"]
    gone = alone.revoke_security_group_ingress(
        GroupId=mine, SecurityGroupRuleIds=[rules[0]["SecurityGroupRuleId"]]
    )["RevokedSecurityGroupRules"]
    assert [it["CidrIpv4"] for it in gone] == ["10.1.0.0/16"]
    alone.delete_security_group(GroupId=mine)


def test_a_group_is_once_in_a_vpc_and_unknown_ones_are_refused(ec2, group):
    name = described(ec2, group)["GroupName"]
    call = ec2.create_security_group
    arguments = {"GroupName": name, "Description": "again", "VpcId": vpc(ec2)}
    refused("InvalidGroup.Duplicate", call, **arguments)
    code = "InvalidGroup.NotFound"
    refused(code, ec2.describe_security_groups, GroupIds=[UNKNOWN])
    refused(code, ec2.delete_security_group, GroupId=UNKNOWN)
    refused(code, ec2.authorize_security_group_ingress, GroupId=UNKNOWN, CidrIp="10.0.0.0/8", **HTTPS)


def test_the_endpoints_of_the_start_let_their_nodes_in(alone):
    for endpoint in every(alone, "describe_vpc_endpoints", "VpcEndpoints"):
        if endpoint["VpcEndpointType"] == "Gateway":
            assert endpoint["RouteTableIds"]
            continue
        let_in = {
            it for group in endpoint["Groups"] for it in ranges(described(alone, group["GroupId"]))
        }
        assert ("tcp", 443, 443, "10.0.0.0/8") in let_in


def endpoints(ec2, **filters):
    filters = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    return every(ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=filters)


def test_an_endpoint_is_made_comes_up_and_is_deleted(alone):
    service = f"com.amazonaws.{alone.meta.region_name}.logs"
    group = alone.create_security_group(
        GroupName=fresh("group"), Description="logs", VpcId=vpc(alone)
    )["GroupId"]
    subnet = every(alone, "describe_subnets", "Subnets")[0]["SubnetId"]
    arguments = {
        "VpcId": vpc(alone),
        "ServiceName": service,
        "VpcEndpointType": "Interface",
        "SubnetIds": [subnet],
        "SecurityGroupIds": [group],
        "ClientToken": fresh("token"),
    }
    made = alone.create_vpc_endpoint(**arguments)["VpcEndpoint"]
    one = made["VpcEndpointId"]
    assert made["State"] == "pending"
    assert alone.create_vpc_endpoint(**arguments)["VpcEndpoint"]["VpcEndpointId"] == one
    assert [it["GroupId"] for it in made["Groups"]] == [group]

    def states():
        return [it["State"] for it in endpoints(alone, **{"service-name": service})]

    eventually(states, lambda it: it == ["available"])
    del arguments["ClientToken"]
    refused("InvalidParameter", alone.create_vpc_endpoint, **arguments)
    refused("DependencyViolation", alone.delete_security_group, GroupId=group)
    unknown = "vpce-0fffffffffffffff0"
    failed = alone.delete_vpc_endpoints(VpcEndpointIds=[one, unknown])["Unsuccessful"]
    assert [(it["ResourceId"], it["Error"]["Code"]) for it in failed] == [
        (unknown, "InvalidVpcEndpointId.NotFound")
    ]
    eventually(states, lambda it: it == [])
    refused("InvalidVpcEndpointId.NotFound", alone.describe_vpc_endpoints, VpcEndpointIds=[one])
    alone.delete_security_group(GroupId=group)


def test_a_vpc_without_endpoints_is_set_up_again(aws):
    ec2 = aws.client("ec2", aws.regions[-1], aws.accounts[-1])
    before = endpoints(ec2)
    ids = [it["VpcEndpointId"] for it in before]
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=ids)["Unsuccessful"] == []
    assert endpoints(ec2) == []
    tables = every(ec2, "describe_route_tables", "RouteTables", 5)
    assert [route["GatewayId"] for it in tables for route in it["Routes"]] == ["local"]
    for it in before:
        gateway = it["VpcEndpointType"] == "Gateway"
        ends = (
            {"RouteTableIds": [tables[0]["RouteTableId"]]}
            if gateway
            else {
                "SubnetIds": it["SubnetIds"],
                "SecurityGroupIds": [group["GroupId"] for group in it["Groups"]],
            }
        )
        ec2.create_vpc_endpoint(
            VpcId=it["VpcId"],
            ServiceName=it["ServiceName"],
            VpcEndpointType=it["VpcEndpointType"],
            **ends,
        )
    eventually(lambda: {it["State"] for it in endpoints(ec2)}, lambda it: it == {"available"})
    assert {it["ServiceName"] for it in endpoints(ec2)} == {it["ServiceName"] for it in before}
    again = {"VpcId": vpc(ec2), "ServiceName": f"com.amazonaws.{aws.regions[-1]}.s3"}
    table = [tables[0]["RouteTableId"]]
    refused("RouteAlreadyExists", ec2.create_vpc_endpoint, RouteTableIds=table, **again)
    routes = every(ec2, "describe_route_tables", "RouteTables")[0]["Routes"]
    assert len(routes) == 2


def test_a_service_that_has_no_such_endpoint_is_refused(alone):
    region = alone.meta.region_name
    call = alone.create_vpc_endpoint
    refused(
        "InvalidServiceName", call, VpcId=vpc(alone), ServiceName=f"com.amazonaws.{region}.nothing"
    )
    refused("InvalidParameter", call, VpcId=vpc(alone), ServiceName=f"com.amazonaws.{region}.ssm")
    code = "InvalidVpcID.NotFound"
    refused(code, call, VpcId="vpc-0fffffffffffffff0", ServiceName=f"com.amazonaws.{region}.s3")


def test_names_resolve_in_the_vpc(ec2):
    for attribute, member in (
        ("enableDnsSupport", "EnableDnsSupport"),
        ("enableDnsHostnames", "EnableDnsHostnames"),
    ):
        reply = ec2.describe_vpc_attribute(VpcId=vpc(ec2), Attribute=attribute)
        assert isinstance(reply[member]["Value"], bool)


def test_route_tables_are_listed_once_whatever_the_size_of_the_page(ec2):
    whole = once(every(ec2, "describe_route_tables", "RouteTables"), "RouteTableId")
    assert whole
    assert once(every(ec2, "describe_route_tables", "RouteTables", 5), "RouteTableId") == whole
