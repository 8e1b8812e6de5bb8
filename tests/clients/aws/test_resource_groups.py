"""Resource Groups: groups by tags and by members."""

import json

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import ended, fresh, online

UNKNOWN = "there-is-no-such-group"


@pytest.fixture
def groups(aws):
    return aws.client("resource-groups")


@pytest.fixture
def tagged(aws):
    """A tag's key, and the ARNs of the five running instances that have it."""
    ec2, key = aws.client("ec2"), fresh("group")
    ids = [it["InstanceId"] for it in online(aws.client("ssm"))]
    ids = [it for it in ids if it.startswith("i-")][:5]
    ec2.create_tags(Resources=ids, Tags=[{"Key": key, "Value": "yes"}])
    yield key, [f"arn:aws:ec2:{aws.region}:{aws.account}:instance/{it}" for it in ids]
    ec2.delete_tags(Resources=ids, Tags=[{"Key": key}])


def query(key, *values, kinds=("AWS::EC2::Instance",)):
    filters = [{"Key": key, "Values": list(values)}]
    text = json.dumps({"ResourceTypeFilters": list(kinds), "TagFilters": filters})
    return {"Type": "TAG_FILTERS_1_0", "Query": text}


@pytest.fixture
def made(groups, tagged):
    name = fresh("group")
    groups.create_group(Name=name, ResourceQuery=query(tagged[0], "yes"), Tags={"owner": "proof"})
    yield name
    groups.delete_group(GroupName=name)


def members(groups, name, size=None):
    operation, key = "list_group_resources", "ResourceIdentifiers"
    return once(every(groups, operation, key, size, Group=name), "ResourceArn")


def test_a_group_is_made_read_and_deleted(aws, groups, tagged):
    name = fresh("group")
    made = groups.create_group(Name=name, ResourceQuery=query(tagged[0], "yes"))["Group"]
    arn = made["GroupArn"]
    assert arn.startswith(f"arn:aws:resource-groups:{aws.region}:{aws.account}:group/{name}")
    assert groups.get_group(Group=name)["Group"]["Name"] == name
    assert groups.get_group(Group=arn)["Group"]["Name"] == name
    code = "BadRequestException"
    refused(code, groups.create_group, Name=name, ResourceQuery=query(tagged[0], "yes"))
    groups.delete_group(Group=name)
    refused("NotFoundException", groups.get_group, Group=name)


def test_every_group_is_listed_once(groups, made):
    key = "GroupIdentifiers"
    whole = once(every(groups, "list_groups", key), "GroupName")
    assert made in whole
    assert once(every(groups, "list_groups", key, 1), "GroupName") == whole


def test_a_group_by_tags_holds_what_has_them(aws, groups, made, tagged):
    key, arns = tagged
    assert members(groups, made) == set(arns)
    assert members(groups, made, 2) == set(arns)
    gone = arns[0].rpartition("/")[2]
    aws.client("ec2").delete_tags(Resources=[gone], Tags=[{"Key": key}])
    eventually(lambda: members(groups, made), lambda it: it == set(arns[1:]))


def test_the_query_of_a_group_is_read_and_changed(groups, made, tagged):
    held = groups.get_group_query(Group=made)["GroupQuery"]["ResourceQuery"]
    assert json.loads(held["Query"]) == json.loads(query(tagged[0], "yes")["Query"])
    groups.update_group_query(Group=made, ResourceQuery=query(tagged[0], "no"))
    assert members(groups, made) == set()
    groups.update_group_query(Group=made, ResourceQuery=query(tagged[0], "no", "yes"))
    assert members(groups, made) == set(tagged[1])


def test_resources_are_searched_without_a_group(groups, tagged):
    operation, key = "search_resources", "ResourceIdentifiers"
    wanted = query(tagged[0], "yes")
    for size in (2, 50):
        found = every(groups, operation, key, size, ResourceQuery=wanted)
        assert once(found, "ResourceArn") == set(tagged[1])
    assert {it["ResourceType"] for it in found} == {"AWS::EC2::Instance"}
    bad = {"Type": "TAG_FILTERS_1_0", "Query": "{no"}
    refused("BadRequestException", groups.search_resources, ResourceQuery=bad)


def test_a_group_is_tagged_and_untagged(groups, made):
    arn = groups.get_group(Group=made)["Group"]["GroupArn"]
    assert groups.get_tags(Arn=arn)["Tags"] == {"owner": "proof"}
    groups.tag(Arn=arn, Tags={"more": "x"})
    assert groups.get_tags(Arn=arn)["Tags"] == {"more": "x", "owner": "proof"}
    groups.untag(Arn=arn, Keys=["more"])
    assert groups.get_tags(Arn=arn)["Tags"] == {"owner": "proof"}


def test_resources_are_put_into_a_group_without_a_query(groups, tagged):
    name, arns = fresh("group"), tagged[1]
    pools = [
        {
            "Type": "AWS::ResourceGroups::Generic",
            "Parameters": [{"Name": "allowed-resource-types", "Values": ["AWS::EC2::Instance"]}],
        }
    ]
    groups.create_group(Name=name, Configuration=pools)
    reply = groups.group_resources(Group=name, ResourceArns=arns[:3])
    assert set(reply["Succeeded"]) == set(arns[:3])
    eventually(lambda: members(groups, name), lambda it: it == set(arns[:3]))
    reply = groups.ungroup_resources(Group=name, ResourceArns=arns[:1])
    assert set(reply["Succeeded"]) == set(arns[:1])
    eventually(lambda: members(groups, name), lambda it: it == set(arns[1:3]))
    groups.delete_group(Group=name)


def test_a_command_goes_to_a_group(aws, made, tagged):
    ssm = aws.client("ssm")
    command = ssm.send_command(
        DocumentName="AWS-RunPatchBaseline",
        Parameters={"Operation": ["Scan"]},
        Targets=[{"Key": "resource-groups:Name", "Values": [made]}],
    )["Command"]["CommandId"]
    want = {it.rpartition("/")[2] for it in tagged[1]}
    assert set(ended(ssm, command, len(want))) == want


def test_an_unknown_group_is_not_found(aws, groups):
    for call in (groups.get_group, groups.get_group_query, groups.delete_group):
        refused("NotFoundException", call, Group=UNKNOWN)
    refused("NotFoundException", groups.list_group_resources, Group=UNKNOWN)
    arn = f"arn:aws:resource-groups:{aws.region}:{aws.account}:group/{UNKNOWN}"
    reply = refused("NotFoundException", groups.get_tags, Arn=arn)
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 404
