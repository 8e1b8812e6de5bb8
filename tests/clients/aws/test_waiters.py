"""The waiters of boto3: they see what they wait for, and give up on what does not come."""

import json
import urllib.request

import pytest
from botocore.exceptions import WaiterError

from aws import cloud as clouds
from aws.cloud import every
from aws.fleet import fresh, online

QUICK = {"Delay": 1, "MaxAttempts": 60}
BRIEF = {"Delay": 0, "MaxAttempts": 2}
TRUST = {"Version": "2012-10-17", "Statement": []}
ABSENT = "0fffffffffffffff0"


@pytest.fixture
def ec2(aws):
    return aws.client("ec2")


@pytest.fixture
def iam(aws):
    return aws.client("iam")


@pytest.fixture
def sound(aws):
    """An instance whose agent answers, so that it is up."""
    found = online(aws.client("ssm"))
    return next(it["InstanceId"] for it in found if it["ResourceType"] == "EC2Instance")


def seen(client, waiter, **arguments):
    client.get_waiter(waiter).wait(**arguments, WaiterConfig=QUICK)


def in_vain(client, waiter, **arguments):
    """Waits for what does not come; gives the last reply."""
    with pytest.raises(WaiterError, match="Max attempts exceeded") as caught:
        client.get_waiter(waiter).wait(**arguments, WaiterConfig=BRIEF)
    return caught.value.last_response


def test_an_instance_exists(ec2, sound):
    seen(ec2, "instance_exists", InstanceIds=[sound])
    reply = in_vain(ec2, "instance_exists", InstanceIds=[f"i-{ABSENT}"])
    assert reply["Error"]["Code"] == "InvalidInstanceID.NotFound"


@pytest.mark.parametrize(
    ("waiter", "check"),
    [("instance_status_ok", "InstanceStatus"), ("system_status_ok", "SystemStatus")],
)
def test_the_status_of_an_instance_is_ok(ec2, sound, waiter, check):
    seen(ec2, waiter, InstanceIds=[sound])
    told = ec2.describe_instance_status(InstanceIds=[sound])["InstanceStatuses"]
    assert [it[check]["Status"] for it in told] == ["ok"]
    # One that does not run has no status unless all are asked for.
    found = every(ec2, "describe_instances", "Reservations")
    stopped = next(
        it["InstanceId"]
        for of in found
        for it in of["Instances"]
        if it["State"]["Name"] == "stopped"
    )
    in_vain(ec2, waiter, InstanceIds=[stopped])
    reply = in_vain(ec2, waiter, InstanceIds=[stopped], IncludeAllInstances=True)
    assert reply["InstanceStatuses"][0][check]["Status"] == "not-applicable"


def test_an_instance_is_terminated(aws, another_sim):
    sim = another_sim(nodes=60)
    ec2 = clouds.of_sim(sim, aws.journal).client("ec2")
    found = every(ec2, "describe_instances", "Reservations")
    states = {it["InstanceId"]: it["State"]["Name"] for of in found for it in of["Instances"]}
    one, other = [it for it, state in states.items() if state == "running"][:2]
    body = json.dumps({"power": "terminated"}).encode()
    urllib.request.urlopen(f"{sim.control_endpoint}/nodes/{one}", body).close()
    seen(ec2, "instance_terminated", InstanceIds=[one])
    in_vain(ec2, "instance_terminated", InstanceIds=[one, other])


def test_a_vpc_exists_and_is_available(ec2):
    vpc = every(ec2, "describe_vpcs", "Vpcs")[0]["VpcId"]
    seen(ec2, "vpc_exists", VpcIds=[vpc])
    seen(ec2, "vpc_available", VpcIds=[vpc])
    reply = in_vain(ec2, "vpc_exists", VpcIds=[f"vpc-{ABSENT}"])
    assert reply["Error"]["Code"] == "InvalidVpcID.NotFound"
    with pytest.raises(WaiterError, match="InvalidVpcID.NotFound"):
        ec2.get_waiter("vpc_available").wait(VpcIds=[f"vpc-{ABSENT}"], WaiterConfig=BRIEF)


def test_a_subnet_is_available(ec2):
    subnet = every(ec2, "describe_subnets", "Subnets")[0]["SubnetId"]
    seen(ec2, "subnet_available", SubnetIds=[subnet])
    with pytest.raises(WaiterError, match="InvalidSubnetID.NotFound"):
        ec2.get_waiter("subnet_available").wait(
            SubnetIds=[f"subnet-{ABSENT}"], WaiterConfig=BRIEF
        )


def test_a_security_group_exists_while_it_is_there(ec2):
    vpc = every(ec2, "describe_vpcs", "Vpcs")[0]["VpcId"]
    made = ec2.create_security_group(GroupName=fresh("waited"), Description="waited", VpcId=vpc)
    group = made["GroupId"]
    seen(ec2, "security_group_exists", GroupIds=[group])
    ec2.delete_security_group(GroupId=group)
    reply = in_vain(ec2, "security_group_exists", GroupIds=[group])
    assert reply["Error"]["Code"] == "InvalidGroup.NotFound"


def test_a_role_exists_while_it_is_there(iam):
    name = fresh("waited")
    assert in_vain(iam, "role_exists", RoleName=name)["Error"]["Code"] == "NoSuchEntity"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    seen(iam, "role_exists", RoleName=name)
    iam.delete_role(RoleName=name)
    in_vain(iam, "role_exists", RoleName=name)


def test_a_policy_exists_while_it_is_there(aws, iam):
    name = fresh("waited")
    arn = f"arn:aws:iam::{aws.account}:policy/{name}"
    assert in_vain(iam, "policy_exists", PolicyArn=arn)["Error"]["Code"] == "NoSuchEntity"
    statement = {"Effect": "Allow", "Action": "ssm:GetDocument", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]
    assert made["Arn"] == arn
    seen(iam, "policy_exists", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    in_vain(iam, "policy_exists", PolicyArn=arn)


def test_an_instance_profile_exists_while_it_is_there(iam):
    name = fresh("waited")
    reply = in_vain(iam, "instance_profile_exists", InstanceProfileName=name)
    assert reply["Error"]["Code"] == "NoSuchEntity"
    iam.create_instance_profile(InstanceProfileName=name)
    seen(iam, "instance_profile_exists", InstanceProfileName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    in_vain(iam, "instance_profile_exists", InstanceProfileName=name)


def test_a_bucket_and_an_object_exist_while_they_are_there(aws):
    s3, bucket = aws.client("s3"), fresh("waited")
    there, gone = {"Bucket": bucket}, {"Bucket": bucket, "Key": "it"}
    in_vain(s3, "bucket_exists", **there)
    seen(s3, "bucket_not_exists", **there)
    s3.create_bucket(**there)
    seen(s3, "bucket_exists", **there)
    in_vain(s3, "bucket_not_exists", **there)
    in_vain(s3, "object_exists", **gone)
    seen(s3, "object_not_exists", **gone)
    s3.put_object(**gone, Body=b"it")
    seen(s3, "object_exists", **gone)
    in_vain(s3, "object_not_exists", **gone)


def test_the_listings_of_s3_go_through_their_paginators(aws):
    s3, bucket = aws.client("s3"), fresh("paged")
    s3.create_bucket(Bucket=bucket)
    names = [f"part/{at}" for at in range(5)]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"it")
    for operation in ("list_objects", "list_objects_v2"):
        assert [it["Key"] for it in every(s3, operation, "Contents", 2, Bucket=bucket)] == names
    assert bucket in [it["Name"] for it in every(s3, "list_buckets", "Buckets")]
    upload = {"Bucket": bucket, "Key": "whole"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    for at in (1, 2, 3):
        s3.upload_part(**upload, PartNumber=at, Body=b"x")
    assert [it["PartNumber"] for it in every(s3, "list_parts", "Parts", 2, **upload)] == [1, 2, 3]
    none = s3.list_parts(**upload, MaxParts=0)
    assert (none["IsTruncated"], none.get("Parts", [])) == (False, [])
    s3.abort_multipart_upload(**upload)
