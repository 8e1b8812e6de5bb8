"""EC2: the instance profile of an instance."""

import contextlib
import uuid

import pytest

from aws.cloud import eventually, every, once, refused, trust

UNKNOWN = "iip-assoc-0fffffffffffffff0"


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2")


@contextlib.contextmanager
def profile(cloud):
    """An instance profile with a role, for a while; gives its name and ARN."""
    iam, name = cloud.client("iam"), f"proof-{uuid.uuid4().hex[:12]}"
    made = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    yield made
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    iam.delete_role(RoleName=name)


def associations(ec2, *instances):
    filters = [{"Name": "instance-id", "Values": list(instances)}] if instances else []
    operation, key = "describe_iam_instance_profile_associations", "IamInstanceProfileAssociations"
    return every(ec2, operation, key, 5, Filters=filters)


def bare(ec2, state="running"):
    """An instance without a profile, or one that is made so."""
    found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": [state]}])
    ids = [it for reservation in found["Reservations"] for it in reservation["Instances"]]
    for it in ids:
        if "IamInstanceProfile" not in it:
            return it["InstanceId"]
    for it in associations(ec2, ids[0]["InstanceId"]):
        ec2.disassociate_iam_instance_profile(AssociationId=it["AssociationId"])
    one = ids[0]["InstanceId"]
    eventually(lambda: associations(ec2, one), lambda it: not it)
    return one


def test_a_profile_is_associated_described_replaced_and_disassociated(cloud, ec2):
    one = bare(ec2)
    with profile(cloud) as first, profile(cloud) as second:
        named = {"Name": first["InstanceProfileName"]}
        reply = ec2.associate_iam_instance_profile(InstanceId=one, IamInstanceProfile=named)
        made = reply["IamInstanceProfileAssociation"]
        assert made["InstanceId"] == one
        assert made["IamInstanceProfile"]["Arn"] == first["Arn"]
        assert made["State"] in ("associating", "associated")
        held = associations(ec2, one)
        assert [it["AssociationId"] for it in held] == [made["AssociationId"]]
        found = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]
        assert found["IamInstanceProfile"]["Arn"] == first["Arn"]

        reply = ec2.replace_iam_instance_profile_association(
            AssociationId=made["AssociationId"], IamInstanceProfile={"Arn": second["Arn"]}
        )
        assert reply["IamInstanceProfileAssociation"]["IamInstanceProfile"]["Arn"] == second["Arn"]
        held = eventually(lambda: associations(ec2, one), lambda it: len(it) == 1)
        assert held[0]["IamInstanceProfile"]["Arn"] == second["Arn"]

        ec2.disassociate_iam_instance_profile(AssociationId=held[0]["AssociationId"])
        eventually(lambda: associations(ec2, one), lambda it: not it)


def test_an_instance_has_one_profile(cloud, ec2):
    one = bare(ec2)
    with profile(cloud) as made:
        named = {"Name": made["InstanceProfileName"]}
        ec2.associate_iam_instance_profile(InstanceId=one, IamInstanceProfile=named)
        call = ec2.associate_iam_instance_profile
        refused("IncorrectState", call, InstanceId=one, IamInstanceProfile=named)
        for it in associations(ec2, one):
            ec2.disassociate_iam_instance_profile(AssociationId=it["AssociationId"])


def test_a_stopped_instance_takes_a_profile_too(cloud, ec2):
    one = bare(ec2, "stopped")
    with profile(cloud) as made:
        named = {"Name": made["InstanceProfileName"]}
        ec2.associate_iam_instance_profile(InstanceId=one, IamInstanceProfile=named)
        for it in associations(ec2, one):
            ec2.disassociate_iam_instance_profile(AssociationId=it["AssociationId"])


def test_an_unknown_association_is_not_found(cloud, ec2):
    with profile(cloud) as made:
        named = {"Name": made["InstanceProfileName"]}
        refused(
            "InvalidAssociationID.NotFound",
            ec2.replace_iam_instance_profile_association,
            AssociationId=UNKNOWN,
            IamInstanceProfile=named,
        )
    refused(
        "InvalidAssociationID.NotFound",
        ec2.disassociate_iam_instance_profile,
        AssociationId=UNKNOWN,
    )


def test_an_unknown_instance_takes_no_profile(aws):
    ec2 = aws.client("ec2")
    with profile(aws) as made:
        refused(
            "InvalidInstanceID.NotFound",
            ec2.associate_iam_instance_profile,
            InstanceId="i-0fffffffffffffff0",
            IamInstanceProfile={"Name": made["InstanceProfileName"]},
        )


def test_every_association_is_listed_once(ec2):
    once(associations(ec2), "AssociationId")


def test_an_instance_becomes_managed_by_its_profile(aws):
    """The role decides: with Systems Manager's policy the agent registers, after a while."""
    ec2, iam, ssm = aws.client("ec2"), aws.client("iam"), aws.client("ssm")

    def managed():
        listed = every(ssm, "describe_instance_information", "InstanceInformationList", 50)
        return {it["InstanceId"] for it in listed}

    found = every(ec2, "describe_instances", "Reservations")
    running = [it for reservation in found for it in reservation["Instances"]]
    running = [it for it in running if it["State"]["Name"] == "running"]
    known = managed()
    waiting = [
        it["InstanceId"]
        for it in running
        if "IamInstanceProfile" not in it and it["InstanceId"] not in known
    ]
    if not waiting:
        pytest.skip("every running instance of this scope has a profile")
    with profile(aws) as made:
        name = made["InstanceProfileName"]
        arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        for one in waiting:
            ec2.associate_iam_instance_profile(InstanceId=one, IamInstanceProfile={"Name": name})
        # Some of them may have no agent at all.
        assert eventually(lambda: managed() & set(waiting), seconds=90)
        for it in associations(ec2, *waiting):
            ec2.disassociate_iam_instance_profile(AssociationId=it["AssociationId"])
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
