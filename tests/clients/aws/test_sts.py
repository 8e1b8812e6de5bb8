"""STS: who is asking, and roles in other accounts."""

import pytest

from aws.cloud import Keys, eventually, every, once, refused

# A token's own signature is not looked at: the caller only has to bring one.
# Issued by https://issuer.example.com for sts.amazonaws.com; nobody checks its signature.
TOKEN = (
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbSIsImF1ZCI6InN0"
    "cy5hbWF6b25hd3MuY29tIiwic3ViIjoicHJvb2Ytb2YtcGF0Y2hpbmcifQ.c2lnbmF0dXJl"
)


@pytest.fixture
def sts(cloud):
    return cloud.client("sts")


def test_an_identity_is_of_the_account_of_its_key(cloud):
    for account in cloud.accounts:
        told = cloud.client("sts", account=account).get_caller_identity()
        assert told["Account"] == account
        assert told["Arn"].startswith("arn:aws:") and f":{account}:" in told["Arn"]


def test_an_assumed_role_is_of_the_other_account(cloud, sts):
    other = cloud.accounts[1]
    arn = f"arn:aws:iam::{other}:role/patching"
    reply = sts.assume_role(RoleArn=arn, RoleSessionName="proof")
    assert reply["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{other}:assumed-role/patching/proof"
    assert reply["AssumedRoleUser"]["AssumedRoleId"].endswith(":proof")
    told = cloud.client("sts", keys=Keys.of(reply)).get_caller_identity()
    assert told["Account"] == other
    assert told["Arn"] == reply["AssumedRoleUser"]["Arn"]


def test_an_assumed_role_sees_the_other_accounts_instances_only(cloud):
    other = cloud.accounts[1]
    mine = listed(cloud.client("ec2"))
    theirs = listed(cloud.client("ec2", keys=cloud.assumed(other, "patching")))
    assert theirs == listed(cloud.client("ec2", account=other))
    assert theirs and not mine & theirs


def test_an_assumed_role_sees_the_other_accounts_nodes_only(aws):
    operation, key = "describe_instance_information", "InstanceInformationList"
    for other in aws.accounts[1:]:
        theirs = aws.client("ssm", keys=aws.assumed(other, "patching"))
        direct = aws.client("ssm", account=other)
        want = once(every(direct, operation, key, 50), "InstanceId")
        assert once(every(theirs, operation, key, 5), "InstanceId") == want
        mine = once(every(aws.client("ssm"), operation, key, 50), "InstanceId")
        assert not mine & want


def test_a_role_in_no_account_of_the_world_is_denied(aws):
    arn = "arn:aws:iam::999999999999:role/patching"
    reply = refused(
        "AccessDenied", aws.client("sts").assume_role, RoleArn=arn, RoleSessionName="proof"
    )
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_the_length_of_a_session_is_bounded(aws):
    sts = aws.client("sts", checked=False)
    arn = f"arn:aws:iam::{aws.accounts[1]}:role/patching"
    for seconds in (899, 43_201):
        arguments = {"RoleArn": arn, "RoleSessionName": "proof", "DurationSeconds": seconds}
        refused("ValidationError", sts.assume_role, **arguments)


def test_a_session_ends(aws):
    """Fifteen minutes are two seconds of the simulator's."""
    keys = aws.assumed(aws.accounts[1], "patching", seconds=900)
    ssm = aws.client("ssm", keys=keys, tries=1)

    def code():
        try:
            ssm.describe_instance_information()
        except Exception as error:
            return error.response["Error"]["Code"]

    assert eventually(code, seconds=20) == "ExpiredTokenException"
    refused("ExpiredToken", aws.client("sts", keys=keys, tries=1).get_caller_identity)


def test_a_role_is_assumed_with_a_web_identity(cloud, sts):
    arn = f"arn:aws:iam::{cloud.accounts[1]}:role/patching"
    arguments = {"RoleArn": arn, "RoleSessionName": "proof", "WebIdentityToken": TOKEN}
    reply = sts.assume_role_with_web_identity(**arguments)
    assert reply["AssumedRoleUser"]["Arn"].endswith("assumed-role/patching/proof")
    told = cloud.client("sts", keys=Keys.of(reply)).get_caller_identity()
    assert told["Account"] == cloud.accounts[1]


def test_a_session_token_is_handed_out(sts):
    assert Keys.of(sts.get_session_token(DurationSeconds=3600)).token


def test_a_session_token_is_of_the_same_account(aws):
    keys = Keys.of(aws.client("sts").get_session_token(DurationSeconds=3600))
    assert keys.access.startswith("ASIA")
    assert aws.client("sts", keys=keys).get_caller_identity()["Account"] == aws.account


def listed(ec2):
    found = every(ec2, "describe_instances", "Reservations")
    return once([it for one in found for it in one["Instances"]], "InstanceId")
