"""IAM: roles, policies, instance profiles."""

import json
import uuid

import pytest

from aws.cloud import every, once, policy, refused, trust

CORE = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
READ = policy({"Effect": "Allow", "Action": "ssm:GetDocument", "Resource": "*"})
UNKNOWN = "there-is-no-such-thing"


@pytest.fixture
def iam(cloud):
    return cloud.client("iam")


@pytest.fixture
def name():
    return f"proof-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def role(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    yield name
    iam.delete_role(RoleName=name)


def test_a_role_is_made_found_and_deleted(cloud, iam, name):
    document = trust("ec2.amazonaws.com")
    made = iam.create_role(RoleName=name, Path="/proof/", AssumeRolePolicyDocument=document)["Role"]
    assert made["Arn"] == f"arn:aws:iam::{cloud.account}:role/proof/{name}"
    assert made["RoleId"].startswith("AROA")
    found = iam.get_role(RoleName=name)["Role"]
    # On the wire it is URL-encoded; the client decodes it.
    assert found["AssumeRolePolicyDocument"] == json.loads(document)
    assert found["RoleId"] == made["RoleId"]
    listed = every(iam, "list_roles", "Roles", 2, PathPrefix="/proof/")
    assert name in once(listed, "RoleName")
    iam.delete_role(RoleName=name)
    reply = refused("NoSuchEntity", iam.get_role, RoleName=name)
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_roles_page_through_every_role_once(iam, role):
    whole = once(every(iam, "list_roles", "Roles"), "RoleName")
    assert role in whole
    assert once(every(iam, "list_roles", "Roles", 2), "RoleName") == whole


def test_a_name_is_taken_once(iam, role):
    document = trust("ec2.amazonaws.com")
    call = iam.create_role
    reply = refused("EntityAlreadyExists", call, RoleName=role, AssumeRolePolicyDocument=document)
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 409


def test_a_trust_policy_has_to_be_one(aws, name):
    call = aws.client("iam").create_role
    refused("MalformedPolicyDocument", call, RoleName=name, AssumeRolePolicyDocument="{no")


def test_the_managed_policy_of_the_agent_is_attached_and_detached(iam, role):
    iam.attach_role_policy(RoleName=role, PolicyArn=CORE)
    # Attaching what is attached is no error.
    iam.attach_role_policy(RoleName=role, PolicyArn=CORE)
    held = every(iam, "list_attached_role_policies", "AttachedPolicies", 1, RoleName=role)
    assert held == [{"PolicyName": "AmazonSSMManagedInstanceCore", "PolicyArn": CORE}]
    refused("DeleteConflict", iam.delete_role, RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn=CORE)
    assert every(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=role) == []
    refused("NoSuchEntity", iam.detach_role_policy, RoleName=role, PolicyArn=CORE)


def test_the_default_version_of_a_managed_policy_says_what_it_allows(iam):
    found = iam.get_policy(PolicyArn=CORE)["Policy"]
    assert found["PolicyName"] == "AmazonSSMManagedInstanceCore"
    version = iam.get_policy_version(PolicyArn=CORE, VersionId=found["DefaultVersionId"])
    assert version["PolicyVersion"]["IsDefaultVersion"] is True
    statements = version["PolicyVersion"]["Document"]["Statement"]
    allowed = {action for it in statements for action in it["Action"]}
    assert {"ssm:UpdateInstanceInformation", "ssm:PutInventory"} <= allowed


def test_an_unknown_policy_is_no_entity(iam, role):
    arn = "arn:aws:iam::aws:policy/" + UNKNOWN
    refused("NoSuchEntity", iam.get_policy, PolicyArn=arn)
    refused("NoSuchEntity", iam.get_policy_version, PolicyArn=arn, VersionId="v1")
    refused("NoSuchEntity", iam.attach_role_policy, RoleName=role, PolicyArn=arn)


def test_an_inline_policy_is_put_read_listed_and_deleted(iam, role):
    for name in ("one", "three", "two"):
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=READ)
    names = every(iam, "list_role_policies", "PolicyNames", 2, RoleName=role)
    assert sorted(names) == ["one", "three", "two"]
    found = iam.get_role_policy(RoleName=role, PolicyName="two")
    assert found["PolicyDocument"] == json.loads(READ)
    refused("DeleteConflict", iam.delete_role, RoleName=role)
    for name in names:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    refused("NoSuchEntity", iam.get_role_policy, RoleName=role, PolicyName="two")
    refused("NoSuchEntity", iam.delete_role_policy, RoleName=role, PolicyName="two")


def test_a_policy_of_the_accounts_own_is_made_and_listed(cloud, iam, name):
    made = iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]
    assert made["Arn"] == f"arn:aws:iam::{cloud.account}:policy/{name}"
    assert made["DefaultVersionId"] == "v1"
    own = every(iam, "list_policies", "Policies", 2, Scope="Local")
    assert made["Arn"] in once(own, "Arn")
    refused("EntityAlreadyExists", iam.create_policy, PolicyName=name, PolicyDocument=READ)


def test_the_managed_policies_are_listed_once_and_apart(iam):
    theirs = once(every(iam, "list_policies", "Policies", 200, Scope="AWS"), "Arn")
    assert CORE in theirs
    own = once(every(iam, "list_policies", "Policies", Scope="Local"), "Arn")
    assert not theirs & own


def test_an_instance_profile_holds_one_role(iam, role, name):
    name = f"{name}-profile"
    made = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert made["Roles"] == []
    add = iam.add_role_to_instance_profile
    add(InstanceProfileName=name, RoleName=role)
    refused("LimitExceeded", add, InstanceProfileName=name, RoleName=role)
    found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [it["RoleName"] for it in found["Roles"]] == [role]
    profiles = once(every(iam, "list_instance_profiles", "InstanceProfiles", 2), "Arn")
    assert made["Arn"] in profiles
    operation = "list_instance_profiles_for_role"
    of_role = every(iam, operation, "InstanceProfiles", 1, RoleName=role)
    assert once(of_role, "Arn") == {made["Arn"]}
    refused("DeleteConflict", iam.delete_instance_profile, InstanceProfileName=name)
    refused("DeleteConflict", iam.delete_role, RoleName=role)
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
    iam.delete_instance_profile(InstanceProfileName=name)
    refused("NoSuchEntity", iam.get_instance_profile, InstanceProfileName=name)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_role", {"RoleName": UNKNOWN}),
        ("delete_role", {"RoleName": UNKNOWN}),
        ("list_attached_role_policies", {"RoleName": UNKNOWN}),
        ("list_role_policies", {"RoleName": UNKNOWN}),
        ("put_role_policy", {"RoleName": UNKNOWN, "PolicyName": "p", "PolicyDocument": READ}),
        ("get_instance_profile", {"InstanceProfileName": UNKNOWN}),
        ("delete_instance_profile", {"InstanceProfileName": UNKNOWN}),
    ],
)
def test_an_unknown_name_is_no_entity(iam, operation, arguments):
    refused("NoSuchEntity", getattr(iam, operation), **arguments)


def test_an_unknown_role_has_no_list_of_profiles(aws):
    call = aws.client("iam").list_instance_profiles_for_role
    refused("NoSuchEntity", call, RoleName=UNKNOWN)


def test_a_simulation_judges_every_action_by_the_roles_policies(aws, name):
    iam = aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    arn = f"arn:aws:iam::{aws.account}:role/{name}"
    actions = ["ssm:UpdateInstanceInformation", "ssm:GetDocument", "ec2:StopInstances"]

    def judged():
        operation, key = "simulate_principal_policy", "EvaluationResults"
        arguments = {"PolicySourceArn": arn, "ActionNames": actions}
        results = every(iam, operation, key, **arguments)
        return {it["EvalActionName"]: it["EvalDecision"] for it in results}

    assert judged() == dict.fromkeys(actions, "implicitDeny")
    iam.attach_role_policy(RoleName=name, PolicyArn=CORE)
    allowed = {"ssm:UpdateInstanceInformation": "allowed", "ssm:GetDocument": "allowed"}
    assert judged() == {**allowed, "ec2:StopInstances": "implicitDeny"}
    # A denial beats what another policy allows.
    deny = policy({"Effect": "Deny", "Action": "ssm:Get*", "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="deny", PolicyDocument=deny)
    assert judged()["ssm:GetDocument"] == "explicitDeny"
    iam.delete_role_policy(RoleName=name, PolicyName="deny")
    iam.detach_role_policy(RoleName=name, PolicyArn=CORE)
    iam.delete_role(RoleName=name)
    refused(
        "NoSuchEntity",
        iam.simulate_principal_policy,
        PolicySourceArn=arn,
        ActionNames=actions,
    )


def test_a_policy_is_deleted_once_nothing_has_it(aws, name):
    # Moto deletes one that is attached.
    iam = aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    arn = iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    refused("DeleteConflict", iam.delete_policy, PolicyArn=arn)
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    refused("NoSuchEntity", iam.get_policy, PolicyArn=arn)
    iam.delete_role(RoleName=name)


def test_the_trust_of_a_role_is_mended(iam, role):
    document = trust("ssm.amazonaws.com")
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)
    found = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert found == json.loads(document)
    call = iam.update_assume_role_policy
    refused("NoSuchEntity", call, RoleName=UNKNOWN, PolicyDocument=document)
    refused("MalformedPolicyDocument", call, RoleName=role, PolicyDocument="{")
