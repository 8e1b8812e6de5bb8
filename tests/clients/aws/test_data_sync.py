"""Systems Manager: the resource data sync, and the lake that it writes."""

import json
import re

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import fresh, nodes, run, scanned

KEY = re.compile(
    r"lake/(?P<type>(AWS|Custom):\w+)/accountid=(?P<account>\d{12})/region=(?P<region>[\w-]+)/"
    r"resourcetype=ManagedInstanceInventory/(?P<node>m?i-[0-9a-f]{17})\.json"
)


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def bucket(aws):
    name = fresh("lake")
    aws.client("s3").create_bucket(Bucket=name)
    return name


def create(aws, name, bucket, **more):
    destination = {
        "BucketName": bucket,
        "Prefix": "lake",
        "SyncFormat": "JsonSerDe",
        "Region": aws.region,
        **more,
    }
    return aws.client("ssm").create_resource_data_sync(SyncName=name, S3Destination=destination)


@pytest.fixture
def made(aws, bucket, ssm):
    name = fresh("sync")
    create(aws, name, bucket)
    yield name
    ssm.delete_resource_data_sync(SyncName=name)


def listed(ssm, size=None):
    return every(ssm, "list_resource_data_sync", "ResourceDataSyncItems", size)


def rows(aws, bucket, key):
    """The lines of an object."""
    return [json.loads(line) for line in aws.s3_get(bucket, key).splitlines() if line.strip()]


def test_a_sync_is_made_listed_and_deleted(aws, ssm, bucket):
    names = [fresh("sync") for _ in range(2)]
    for name in names:
        create(aws, name, bucket)
    whole = {it["SyncName"]: it for it in listed(ssm)}
    assert set(names) <= whole.keys()
    assert once(listed(ssm, 1), "SyncName") == whole.keys()
    destination = whole[names[0]]["S3Destination"]
    assert (destination["BucketName"], destination["Prefix"]) == (bucket, "lake")

    def status():
        return {it["SyncName"]: it for it in listed(ssm)}[names[0]].get("LastStatus")

    eventually(status, lambda it: it == "Successful")
    refused("ResourceDataSyncAlreadyExistsException", lambda: create(aws, names[0], bucket))
    for name in names:
        ssm.delete_resource_data_sync(SyncName=name)
    assert not set(names) & once(listed(ssm), "SyncName")
    call = ssm.delete_resource_data_sync
    refused("ResourceDataSyncNotFoundException", call, SyncName=names[0])


def test_there_are_five_syncs_at_most(aws, ssm, bucket):
    """General Reference, Systems Manager quotas: resource data syncs per account and Region."""
    names = [fresh("sync") for _ in range(5 - len(listed(ssm)))]
    for name in names:
        create(aws, name, bucket)
    code = "ResourceDataSyncCountExceededException"
    refused(code, lambda: create(aws, fresh("sync"), bucket))
    for name in names:
        ssm.delete_resource_data_sync(SyncName=name)


def test_every_node_has_its_object_under_account_and_region(aws, ssm, bucket, made):
    del made
    want = once(nodes(ssm), "InstanceId")
    base = "lake/AWS:InstanceInformation/"

    def found():
        return [KEY.fullmatch(key) for key in aws.s3_keys(bucket, base) if "test.json" not in key]

    keys = eventually(found, lambda it: want <= {one["node"] for one in it if one})
    assert all(keys)
    assert {(it["account"], it["region"]) for it in keys} == {(aws.account, aws.region)}
    assert len({it["node"] for it in keys}) == len(keys)


def test_the_rows_are_what_the_api_says_in_strings(aws, ssm, bucket, made):
    del made
    _, ids = scanned(aws)
    node = ids[0]
    _, found = run(ssm, [node])
    assert found[node]["Status"] == "Success"
    place = f"accountid={aws.account}/region={aws.region}/resourcetype=ManagedInstanceInventory"

    def written(kind):
        key = f"lake/{kind}/{place}/{node}.json"
        return eventually(lambda: rows(aws, bucket, key) if key in aws.s3_keys(bucket) else [])

    row = written("AWS:InstanceInformation")[0]
    assert row["InstanceId"] == row["resourceId"] == node
    assert row["InstanceStatus"] == "Active"
    assert {"captureTime", "schemaVersion", "AgentVersion", "PlatformName"} <= row.keys()
    row = written("AWS:PatchSummary")[0]
    assert all(isinstance(value, str) for value in row.values())
    state = ssm.describe_instance_patch_states(InstanceIds=[node])["InstancePatchStates"][0]
    assert int(row["MissingCount"]) == state["MissingCount"]
    items = [it for it in written("AWS:ComplianceItem") if it["ComplianceType"] == "Patch"]
    bad = [it for it in items if it["Status"] == "NON_COMPLIANT"]
    assert sum(1 for it in bad if it["PatchState"] == "Missing") == state["MissingCount"]


def test_objects_are_overwritten_in_place_and_stay_when_the_sync_ends(aws, ssm, bucket, made):
    base = "lake/AWS:InstanceInformation/"
    before = eventually(lambda: aws.s3_keys(bucket, base))
    ssm.delete_resource_data_sync(SyncName=made)
    assert set(before) <= set(aws.s3_keys(bucket, base))
    create(aws, made, bucket)
    after = eventually(lambda: aws.s3_keys(bucket, base))
    assert len(after) == len(set(after))


def test_a_sync_that_cannot_be_is_refused(aws, bucket):
    code = "ResourceDataSyncInvalidConfigurationException"
    refused(code, lambda: create(aws, fresh("sync"), fresh("no-such-bucket")))
    unchecked = aws.client("ssm", checked=False)
    destination = {"BucketName": bucket, "SyncFormat": "Parquet", "Region": aws.region}
    call = unchecked.create_resource_data_sync
    refused("ValidationException", call, SyncName=fresh("sync"), S3Destination=destination)
