"""The tagging API: resources of all services by their tags."""

import contextlib

import pytest

from aws.cloud import every, once, refused

KEY = "proof-tagging"


@pytest.fixture
def tagging(cloud):
    return cloud.client("resourcegroupstaggingapi")


@contextlib.contextmanager
def some_tagged(cloud):
    """The ARNs of five instances that have a tag of this test's own, one of them another value."""
    ec2 = cloud.client("ec2")
    found = every(ec2, "describe_instances", "Reservations")
    ids = [it["InstanceId"] for one in found for it in one["Instances"]][:5]
    ec2.create_tags(Resources=ids, Tags=[{"Key": KEY, "Value": "many"}])
    ec2.create_tags(Resources=ids[:1], Tags=[{"Key": KEY, "Value": "one"}])
    yield [f"arn:aws:ec2:{cloud.region}:{cloud.account}:instance/{it}" for it in ids]
    ec2.delete_tags(Resources=ids, Tags=[{"Key": KEY}])


@pytest.fixture
def tagged(cloud):
    with some_tagged(cloud) as arns:
        yield arns


def resources(tagging, size=None, **arguments):
    operation, key = "get_resources", "ResourceTagMappingList"
    return once(every(tagging, operation, key, size, **arguments), "ResourceARN")


def test_resources_are_found_by_a_tags_key_and_its_values(tagging, tagged):
    by_key = [{"Key": KEY}]
    assert resources(tagging, TagFilters=by_key) == set(tagged)
    one = [{"Key": KEY, "Values": ["one"]}]
    assert resources(tagging, TagFilters=one) == {tagged[0]}
    either = [{"Key": KEY, "Values": ["one", "many"]}]
    assert resources(tagging, TagFilters=either) == set(tagged)


def test_resources_are_paged_and_typed(tagging, tagged):
    arguments = {"TagFilters": [{"Key": KEY}], "ResourceTypeFilters": ["ec2:instance"]}
    assert resources(tagging, 2, **arguments) == set(tagged)
    # The paginator's own size sets ResourcesPerPage.
    other = {"TagFilters": [{"Key": KEY}], "ResourceTypeFilters": ["s3"]}
    assert resources(tagging, **other) == set()


def test_the_keys_and_values_in_use_are_listed(tagging, tagged):
    assert KEY in every(tagging, "get_tag_keys", "TagKeys")
    values = every(tagging, "get_tag_values", "TagValues", Key=KEY)
    assert set(values) == {"many", "one"}


def test_a_key_or_value_in_use_is_listed_once(aws):
    tagging = aws.client("resourcegroupstaggingapi")
    with some_tagged(aws):
        keys = every(tagging, "get_tag_keys", "TagKeys")
        values = every(tagging, "get_tag_values", "TagValues", Key=KEY)
    assert len(set(keys)) == len(keys)
    assert sorted(values) == ["many", "one"]


def test_resources_are_tagged_and_untagged_by_their_arns(cloud, tagging, tagged):
    reply = tagging.tag_resources(ResourceARNList=tagged[:2], Tags={"proof-more": "x"})
    assert reply.get("FailedResourcesMap", {}) == {}
    assert resources(tagging, TagFilters=[{"Key": "proof-more"}]) == set(tagged[:2])
    ids = [it.rpartition("/")[2] for it in tagged[:2]]
    of_ec2 = cloud.client("ec2").describe_tags(Filters=[{"Name": "key", "Values": ["proof-more"]}])[
        "Tags"
    ]
    assert {it["ResourceId"] for it in of_ec2} == set(ids)
    reply = tagging.untag_resources(ResourceARNList=tagged[:2], TagKeys=["proof-more"])
    assert reply.get("FailedResourcesMap", {}) == {}
    assert resources(tagging, TagFilters=[{"Key": "proof-more"}]) == set()


def test_what_cannot_be_tagged_is_named(aws):
    tagging = aws.client("resourcegroupstaggingapi")
    missing = f"arn:aws:ec2:{aws.region}:{aws.account}:instance/i-0fffffffffffffff0"
    reply = tagging.tag_resources(ResourceARNList=[missing], Tags={"proof-more": "x"})
    failed = reply["FailedResourcesMap"]
    assert list(failed) == [missing]
    assert failed[missing]["ErrorCode"] in ("InvalidParameterException", "InternalServiceException")


def test_a_hundred_resources_are_a_page_and_twenty_a_change(aws):
    tagging = aws.client("resourcegroupstaggingapi", checked=False)
    refused("InvalidParameterException", tagging.get_resources, ResourcesPerPage=101)
    arns = [f"arn:aws:ec2:{aws.region}:{aws.account}:instance/i-{at:017x}" for at in range(21)]
    refused(
        "InvalidParameterException", tagging.tag_resources, ResourceARNList=arns, Tags={"a": ""}
    )
