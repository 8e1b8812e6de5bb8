"""Systems Manager: hybrid activations, their nodes, and tags."""

import uuid

import pytest

from aws.cloud import every, once, refused
from aws.fleet import fresh, nodes

UNKNOWN = "mi-0fffffffffffffff0"
# Roles that Systems Manager can assume.
ROLE = "patchkit-hybrid-node"
ANOTHER = "patchkit-notifications"


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def hybrid(aws):
    """A client with the id of a hybrid node, in whichever account and Region has one."""
    for account, region in aws.scopes():
        ssm = aws.client("ssm", region, account)
        for it in nodes(ssm):
            if it["InstanceId"].startswith("mi-"):
                return ssm, it["InstanceId"]
    pytest.fail("the world has no hybrid node")


@pytest.fixture
def made(ssm):
    ids = []

    def make(**arguments):
        arguments.setdefault("IamRole", ROLE)
        ids.append(ssm.create_activation(**arguments))
        return ids[-1]

    yield make
    for it in ids:
        ssm.delete_activation(ActivationId=it["ActivationId"])


def activations(ssm, size=None, **filters):
    filters = [{"FilterKey": key, "FilterValues": [value]} for key, value in filters.items()]
    return every(ssm, "describe_activations", "ActivationList", size, Filters=filters)


def test_an_activation_is_made_listed_and_deleted(ssm):
    made = ssm.create_activation(
        IamRole=ROLE,
        DefaultInstanceName="rack-7",
        Description="of a test",
        RegistrationLimit=5,
        Tags=[{"Key": "Patch Group", "Value": "rack"}],
    )
    one = made["ActivationId"]
    assert len(made["ActivationCode"]) == 20
    found = next(it for it in activations(ssm) if it["ActivationId"] == one)
    assert (found["IamRole"], found["DefaultInstanceName"]) == (ROLE, "rack-7")
    assert (found["RegistrationLimit"], found["RegistrationsCount"]) == (5, 0)
    assert found["Expired"] is False
    # It ends after a day unless it says otherwise.
    hours = (found["ExpirationDate"] - found["CreatedDate"]).total_seconds() / 3600
    assert 23 <= hours <= 25
    assert "ActivationCode" not in found
    ssm.delete_activation(ActivationId=one)
    assert one not in once(activations(ssm), "ActivationId")


def test_every_activation_is_listed_once_and_filtered(ssm, made):
    name = fresh("rack")
    mine = {made(DefaultInstanceName=name)["ActivationId"] for _ in range(4)}
    whole = once(activations(ssm, 50), "ActivationId")
    assert mine <= whole
    assert once(activations(ssm, 2), "ActivationId") == whole
    assert once(activations(ssm, DefaultInstanceName=name), "ActivationId") == mine
    one = next(iter(mine))
    assert once(activations(ssm, ActivationIds=one), "ActivationId") == {one}


def test_a_limit_of_registrations_is_a_thousand(aws):
    call = aws.client("ssm", checked=False).create_activation
    for limit in (0, 1001):
        refused("ValidationException", call, IamRole=ROLE, RegistrationLimit=limit)


def test_an_unknown_activation_is_told(ssm):
    codes = ("InvalidActivation", "InvalidActivationId")
    refused(codes, ssm.delete_activation, ActivationId=str(uuid.uuid4()))
    refused("InvalidNextToken", ssm.describe_activations, NextToken="no")


def test_a_hybrid_node_gets_another_role(hybrid):
    ssm, node = hybrid
    before = nodes(ssm, Filters=[{"Key": "InstanceIds", "Values": [node]}])[0]["IamRole"]
    ssm.update_managed_instance_role(InstanceId=node, IamRole=ANOTHER)
    found = nodes(ssm, Filters=[{"Key": "InstanceIds", "Values": [node]}])
    assert found[0]["IamRole"] == ANOTHER
    ssm.update_managed_instance_role(InstanceId=node, IamRole=before)
    call = ssm.update_managed_instance_role
    refused("InvalidInstanceId", call, InstanceId=UNKNOWN, IamRole=ANOTHER)


def test_a_hybrid_node_is_tagged_through_systems_manager(hybrid):
    ssm, node = hybrid
    arguments = {"ResourceType": "ManagedInstance", "ResourceId": node}

    def held():
        return {it["Key"]: it["Value"] for it in ssm.list_tags_for_resource(**arguments)["TagList"]}

    before = held()
    ssm.add_tags_to_resource(**arguments, Tags=[{"Key": "proof", "Value": "a"}])
    ssm.add_tags_to_resource(**arguments, Tags=[{"Key": "proof", "Value": "b"}])
    assert held() == {**before, "proof": "b"}
    picked = nodes(ssm, Filters=[{"Key": "tag:proof", "Values": ["b"]}])
    assert once(picked, "InstanceId") == {node}
    ssm.remove_tags_from_resource(**arguments, TagKeys=["proof", "never-there"])
    assert held() == before


def test_a_resource_takes_fifty_tags_and_no_more(hybrid):
    ssm, node = hybrid
    arguments = {"ResourceType": "ManagedInstance", "ResourceId": node}
    before = ssm.list_tags_for_resource(**arguments)["TagList"]
    tags = [{"Key": f"many-{at}", "Value": "x"} for at in range(51 - len(before))]
    refused("TooManyTagsError", ssm.add_tags_to_resource, **arguments, Tags=tags)
    assert ssm.list_tags_for_resource(**arguments)["TagList"] == before
    ssm.add_tags_to_resource(**arguments, Tags=tags[:-1])
    refused("TooManyTagsError", ssm.add_tags_to_resource, **arguments, Tags=tags[-1:])
    ssm.remove_tags_from_resource(**arguments, TagKeys=[it["Key"] for it in tags])


def test_an_unknown_resource_takes_no_tag(ssm):
    tags = [{"Key": "proof", "Value": "a"}]
    for kind, one in (
        ("ManagedInstance", UNKNOWN),
        ("PatchBaseline", "pb-0fffffffffffffff0"),
        ("MaintenanceWindow", "mw-0fffffffffffffff0"),
    ):
        arguments = {"ResourceType": kind, "ResourceId": one}
        refused("InvalidResourceId", ssm.add_tags_to_resource, **arguments, Tags=tags)
        refused("InvalidResourceId", ssm.list_tags_for_resource, **arguments)


def test_a_node_that_is_deregistered_is_gone(another_sim, journal):
    from aws import cloud

    # In a world of its own: nothing brings the node back.
    aws = cloud.of_sim(another_sim(nodes=60), journal)
    for account, region in aws.scopes():
        ssm = aws.client("ssm", region, account)
        ids = [it["InstanceId"] for it in nodes(ssm)]
        for node in ids:
            if node.startswith("mi-"):
                ssm.deregister_managed_instance(InstanceId=node)
                assert node not in once(nodes(ssm), "InstanceId")
                refused("InvalidInstanceId", ssm.deregister_managed_instance, InstanceId=node)
                return
    pytest.fail("the world has no hybrid node")


def test_an_instance_of_ec2_is_not_deregistered(aws):
    ssm = aws.client("ssm", checked=False)
    codes = ("InvalidInstanceId", "ValidationException")
    refused(codes, ssm.deregister_managed_instance, InstanceId="i-0fffffffffffffff0")
