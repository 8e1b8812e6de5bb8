"""Systems Manager: which nodes there are."""

import pytest

from aws.cloud import every, once, refused
from aws.fleet import UNKNOWN, fresh, nodes

LIST = "describe_instance_information"
KEY = "InstanceInformationList"
PROPERTIES = "describe_instance_properties"


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def filtered(ssm, key, *values):
    return once(nodes(ssm, Filters=[{"Key": key, "Values": list(values)}]), "InstanceId")


def test_every_node_is_listed_once_whatever_the_size_of_the_page(aws):
    for account, region in aws.scopes():
        ssm = aws.client("ssm", region, account)
        whole = once(every(ssm, LIST, KEY, 50), "InstanceId")
        assert whole, (account, region)
        for size in (5, 7, None):
            assert once(every(ssm, LIST, KEY, size), "InstanceId") == whole


def test_no_node_is_of_two_accounts_or_regions(aws):
    seen = set()
    for account, region in aws.scopes():
        ids = once(nodes(aws.client("ssm", region, account)), "InstanceId")
        assert not ids & seen
        seen |= ids


def test_a_page_is_of_ten_unless_asked_for(ssm):
    """botocore ssm model has no default; the service's is 10."""
    assert len(ssm.describe_instance_information()[KEY]) <= 10


def test_a_stopped_instance_is_not_listed_but_is_in_the_inventory(aws):
    stopped_in_inventory = 0
    for account, region in aws.scopes():
        ec2, ssm = (aws.client(it, region, account) for it in ("ec2", "ssm"))
        state = [{"Name": "instance-state-name", "Values": ["stopped"]}]
        found = every(ec2, "describe_instances", "Reservations", Filters=state)
        stopped = once([it for one in found for it in one["Instances"]], "InstanceId")
        assert not stopped & once(nodes(ssm), "InstanceId")
        entities = {it["Id"]: it for it in every(ssm, "get_inventory", "Entities", 50)}
        for one in stopped & entities.keys():
            content = entities[one]["Data"]["AWS:InstanceInformation"]["Content"][0]
            assert content["InstanceStatus"] == "Stopped"
            stopped_in_inventory += 1
    assert stopped_in_inventory


def test_filters_pick_by_what_the_node_says(ssm):
    found = nodes(ssm)
    for key, member in (
        ("PingStatus", "PingStatus"),
        ("PlatformTypes", "PlatformType"),
        ("ResourceType", "ResourceType"),
        ("AgentVersion", "AgentVersion"),
    ):
        for value in sorted({it[member] for it in found}):
            want = {it["InstanceId"] for it in found if it[member] == value}
            # The two ways to write a filter.
            assert filtered(ssm, key, value) == want, (key, value)
            old = [{"key": key, "valueSet": [value]}]
            listed = nodes(ssm, InstanceInformationFilterList=old)
            assert once(listed, "InstanceId") == want, (key, value)


def test_the_values_of_a_filter_are_joined_by_or_and_filters_by_and(ssm):
    found = nodes(ssm)
    both = ["Linux", "Windows"]
    want = {it["InstanceId"] for it in found if it["PlatformType"] in both}
    assert filtered(ssm, "PlatformTypes", *both) == want
    filters = [
        {"Key": "PlatformTypes", "Values": ["Linux"]},
        {"Key": "PingStatus", "Values": ["Online"]},
    ]
    want = {
        it["InstanceId"]
        for it in found
        if (it["PlatformType"], it["PingStatus"]) == ("Linux", "Online")
    }
    assert once(nodes(ssm, Filters=filters), "InstanceId") == want


def test_nodes_are_picked_by_their_ids_up_to_a_hundred(ssm):
    ids = sorted(it["InstanceId"] for it in nodes(ssm))[:100]
    assert filtered(ssm, "InstanceIds", *ids) == set(ids)
    assert filtered(ssm, "InstanceIds", ids[0]) == {ids[0]}


def test_an_unknown_id_spoils_the_whole_call(ssm):
    """User guide, DescribeInstanceInformation: an id that you don't own is an error."""
    ids = [nodes(ssm)[0]["InstanceId"], UNKNOWN]
    call = ssm.describe_instance_information
    refused("InvalidInstanceId", call, Filters=[{"Key": "InstanceIds", "Values": ids}])


def test_nodes_are_picked_by_tag(aws, ssm):
    ec2, name = aws.client("ec2"), fresh()
    some = [it["InstanceId"] for it in nodes(ssm) if it["ResourceType"] == "EC2Instance"][:3]
    ec2.create_tags(Resources=some, Tags=[{"Key": name, "Value": "yes"}])
    assert filtered(ssm, f"tag:{name}", "yes") == set(some)
    assert filtered(ssm, "tag-key", name) == set(some)
    assert filtered(ssm, f"tag:{name}", "no") == set()
    ec2.delete_tags(Resources=some, Tags=[{"Key": name}])


def test_an_unknown_filter_is_refused(ssm):
    call = ssm.describe_instance_information
    refused("InvalidFilterKey", call, Filters=[{"Key": "Colour", "Values": ["red"]}])
    bad = [{"Key": "PingStatus", "Values": ["Sleepy"]}]
    refused("InvalidInstanceInformationFilterValue", call, Filters=bad)


def test_an_unknown_page_token_is_refused(ssm):
    for call in (ssm.describe_instance_information, ssm.describe_instance_properties):
        refused("InvalidNextToken", call, NextToken="not-of-this-service")


def test_a_hybrid_node_has_the_fields_of_one(aws):
    """The fields as a registered machine shows them: no field names the cloud it is in."""
    hybrid = 0
    for account, region in aws.scopes():
        for it in nodes(aws.client("ssm", region, account)):
            if not it["InstanceId"].startswith("mi-"):
                assert it["ResourceType"] == "EC2Instance"
                assert "ActivationId" not in it
                continue
            hybrid += 1
            assert it["ResourceType"] == "ManagedInstance"
            assert it["SourceType"] == "AWS::SSM::ManagedInstance"
            assert it["PingStatus"] in ("Online", "ConnectionLost")
            assert {"ActivationId", "ComputerName", "IamRole", "RegistrationDate"} <= it.keys()
    assert hybrid


def test_properties_page_through_the_same_nodes(ssm):
    whole = once(every(ssm, PROPERTIES, "InstanceProperties", 1000), "InstanceId")
    assert once(nodes(ssm), "InstanceId") <= whole
    assert once(every(ssm, PROPERTIES, "InstanceProperties", 5), "InstanceId") == whole


def test_properties_have_the_state_and_name_that_information_lacks(aws, ssm):
    ec2 = aws.client("ec2")
    found = every(ec2, "describe_instances", "Reservations")
    instances = {it["InstanceId"]: it for one in found for it in one["Instances"]}
    listed = every(ssm, PROPERTIES, "InstanceProperties", 1000)
    seen = 0
    for it in listed:
        if it["InstanceId"] in instances:
            instance = instances[it["InstanceId"]]
            assert it["InstanceState"] == instance["State"]["Name"]
            assert it["InstanceType"] == instance["InstanceType"]
            seen += 1
    assert seen


def test_properties_are_filtered_with_an_operator(ssm):
    want = {it["InstanceId"] for it in nodes(ssm) if it["PlatformType"] == "Linux"}
    filters = [{"Key": "PlatformTypes", "Values": ["Linux"], "Operator": "Equal"}]
    operation, key = PROPERTIES, "InstanceProperties"
    listed = once(every(ssm, operation, key, 1000, FiltersWithOperator=filters), "InstanceId")
    assert want <= listed


def test_an_unknown_property_filter_is_refused(ssm):
    filters = [{"key": "Colour", "valueSet": ["red"]}]
    call = ssm.describe_instance_properties
    # The keys of the older list are an enumeration of the model.
    refused("ValidationException", call, InstancePropertyFilterList=filters)
