"""Refusals that belong to no operation, and those of a server that looks closely."""

import json
import urllib.error
import urllib.request

import boto3
import botocore.config
import pytest

from aws import cloud as clouds
from aws import strict
from aws.cloud import Keys, refused


def test_an_unserved_operation_answers_in_the_services_own_form(aws):
    """Never HTML: botocore has to be able to read it."""
    for service, operation, arguments in (
        ("ssm", "describe_ops_items", {}),
        ("ec2", "describe_volumes", {}),
        ("iam", "list_users", {}),
        ("sts", "get_federation_token", {"Name": "proof"}),
        ("sns", "list_platform_applications", {}),
        ("config", "describe_delivery_channels", {}),
        ("organizations", "list_policies", {"Filter": "SERVICE_CONTROL_POLICY"}),
        ("resource-groups", "get_account_settings", {}),
    ):
        call = getattr(aws.client(service), operation)
        reply = refused(
            {
                "AccessDeniedException",
                "InvalidAction",
                "NotFoundException",
                "UnknownOperationException",
                "UnsupportedOperation",
            },
            call,
            **arguments,
        )
        assert reply["ResponseMetadata"]["RequestId"]
        assert reply["Error"]["Message"]


@pytest.mark.parametrize(
    "service, operation, name, code",
    [
        # JSON 1.0 and 1.1, query, and REST with JSON and with XML.
        ("dynamodb", "list_tables", "dynamodb: ListTables", "UnknownOperationException"),
        ("sqs", "list_queues", "sqs: ListQueues", "UnknownOperationException"),
        ("events", "list_rules", "events: ListRules", "UnknownOperationException"),
        ("kms", "list_keys", "kms: ListKeys", "UnknownOperationException"),
        ("elbv2", "describe_load_balancers", "elasticloadbalancing: D", "InvalidAction"),
        ("autoscaling", "describe_auto_scaling_groups", "autoscaling: D", "InvalidAction"),
        ("cloudwatch", "list_metrics", "monitoring: ListMetrics", "UnknownOperationException"),
        ("lambda", "list_functions", "lambda: GET /2015", "UnknownOperationException"),
        ("route53", "list_hosted_zones", "route53: GET /2013", "InvalidAction"),
        ("s3", "list_buckets", "s3: GET /", "NotImplemented"),
    ],
)
def test_an_unserved_service_is_told_in_a_form_that_its_client_reads(
    aws, service, operation, name, code
):
    client = boto3.session.Session().client(
        service,
        region_name=aws.region,
        endpoint_url=aws.endpoint,
        aws_access_key_id="AKIDUNKNOWN",
        aws_secret_access_key="secret",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, operation)()
    reply = caught.value.response
    assert reply["Error"]["Code"] == code
    assert f"does not serve {name}" in reply["Error"]["Message"]
    assert reply["ResponseMetadata"]["RequestId"]


def test_a_request_that_is_none_is_answered(aws):
    for data in (None, b"", b"\xff\x00{", b"{" * 10_000):
        request = urllib.request.Request(aws.endpoint + "/", data=data)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert 400 <= caught.value.code < 500
        assert "html" not in caught.value.headers.get("content-type", "")


def test_an_unknown_key_is_the_first_account(aws):
    keys = Keys("AKIDUNKNOWN000000000", "whatever")
    assert aws.client("sts", keys=keys).get_caller_identity()["Account"] == aws.accounts[0]


@pytest.fixture
def checking(another_sim, journal):
    sim = another_sim(nodes=30, speed=1, more=["--check-signatures"])
    return clouds.of_sim(sim, journal)


def test_a_server_that_checks_takes_a_true_signature_only(checking):
    good = checking.client("sts").get_caller_identity()
    assert good["Account"] == checking.account
    checking.client("ssm").describe_instance_information()
    held = checking.keys[checking.account]
    wrong = Keys(held.access, held.secret[:-1] + "x")
    for service, operation, codes in (
        ("ssm", "describe_instance_information", {"InvalidSignatureException"}),
        ("sts", "get_caller_identity", {"SignatureDoesNotMatch"}),
        ("ec2", "describe_regions", {"SignatureDoesNotMatch", "AuthFailure"}),
    ):
        refused(codes, getattr(checking.client(service, keys=wrong), operation))


def test_a_server_that_checks_knows_its_keys(checking):
    unknown = Keys("AKIDUNKNOWN000000000", "whatever")
    for service, operation, codes in (
        ("ssm", "describe_instance_information", {"UnrecognizedClientException"}),
        ("sts", "get_caller_identity", {"InvalidClientTokenId"}),
        ("ec2", "describe_regions", {"AuthFailure"}),
    ):
        refused(codes, getattr(checking.client(service, keys=unknown), operation))


def test_assumed_credentials_sign_too(checking):
    other = checking.accounts[1]
    iam = checking.client("iam", keys=checking.keys[other])
    principal = {"AWS": f"arn:aws:iam::{checking.account}:root"}
    allowed = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.create_role(RoleName="patching", AssumeRolePolicyDocument=trust)
    keys = checking.assumed(other, "patching")
    assert checking.client("sts", keys=keys).get_caller_identity()["Account"] == other
    bad = Keys(keys.access, keys.secret, keys.token[:-2] + "xx")
    codes = {"InvalidClientTokenId", "ExpiredToken"}
    refused(codes, checking.client("sts", keys=bad).get_caller_identity)


def test_the_checker_sees_what_these_tests_see(aws, journal):
    """That the hook is on: a test that forgot it would prove nothing."""
    client = aws.client("ssm")
    assert client in strict.WATCHED
    client.get_default_patch_baseline()
    assert ("ssm", "GetDefaultPatchBaseline") in journal.answered
