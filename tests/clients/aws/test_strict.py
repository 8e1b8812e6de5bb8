"""The checker itself: it has to fail on a reply that is not true."""

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from aws import strict

ID = "i-0123456789abcdef0"
REQUEST = "4f9a5c9e-0000-4000-8000-000000000001"
JSON = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": REQUEST}
XML = {"content-type": "text/xml;charset=UTF-8"}
EC2_NS = "http://ec2.amazonaws.com/doc/2016-11-15/"
EC2_MODEL_NS = "http://ec2.amazonaws.com/doc/2016-11-15"
STS_NS = "https://sts.amazonaws.com/doc/2011-06-15/"
SNS_NS = "http://sns.amazonaws.com/doc/2010-03-31/"


class Raw:
    """The body of a canned reply, as botocore reads it from a connection."""

    def __init__(self, body):
        self.body = body

    def stream(self, *_, **__):
        yield self.body


def asked(service, operation, body, headers, status=200, **arguments):
    """What a strict client makes of one canned reply."""
    client = boto3.session.Session().client(
        service,
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    reply = AWSResponse("http://127.0.0.1:9", status, headers, Raw(body.encode()))
    client.meta.events.register("before-send", lambda **_: reply)
    strict.watch(client, strict.Journal())
    return getattr(client, operation)(**arguments)


def states(body, headers=JSON, status=200):
    arguments = {"InstanceIds": [ID]}
    operation = "describe_instance_patch_states"
    return asked("ssm", operation, body, headers, status, **arguments)


GOOD_STATE = (
    f'{{"InstanceId":"{ID}","PatchGroup":"web","BaselineId":"pb-0123456789abcdef0",'
    '"OperationStartTime":1.5,"OperationEndTime":2,"Operation":"Scan","MissingCount":1}'
)


def test_a_true_reply_in_json_passes():
    reply = states(f'{{"InstancePatchStates":[{GOOD_STATE}]}}')
    assert reply["InstancePatchStates"][0]["MissingCount"] == 1


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ('"MissingCount":1', '"MisingCount":1', "no such member"),
        ('"MissingCount":1', '"MissingCount":"1"', "where the wire has a integer"),
        ('"MissingCount":1', '"MissingCount":true', "where the wire has a integer"),
        ('"MissingCount":1', '"MissingCount":1.5', "where the wire has a integer"),
        ('"MissingCount":1', '"MissingCount":null', "where the wire has a integer"),
        ('"Operation":"Scan",', "", "Operation: required, and not there"),
        ('"Operation":"Scan"', '"Operation":"Look"', "is no PatchOperationType"),
        ('"BaselineId":"pb-0123456789abcdef0"', '"BaselineId":"pb-1"', "characters"),
        ("pb-0123456789abcdef0", "pb-0123456789 abcdef0", "does not match"),
        ('"PatchGroup":"web"', '"PatchGroup":"a!b"', "does not match"),
        ('"OperationEndTime":2', '"OperationEndTime":"2026-01-01T00:00:00Z"', "not a time"),
        (f"[{GOOD_STATE}]", "null", "where the wire has a list"),
    ],
)
def test_an_untrue_member_in_json_is_found(good, bad, fault):
    body = f'{{"InstancePatchStates":[{GOOD_STATE}]}}'
    assert good in body
    with pytest.raises(strict.Untrue, match=fault):
        states(body.replace(good, bad))


@pytest.mark.parametrize(
    ("headers", "status", "fault"),
    [
        ({"content-type": JSON["content-type"]}, 200, "no request id"),
        ({**JSON, "content-type": "text/html"}, 200, "content-type"),
        (JSON, 201, "status 201"),
    ],
)
def test_an_untrue_envelope_is_found(headers, status, fault):
    with pytest.raises(strict.Untrue, match=fault):
        states('{"InstancePatchStates":[]}', headers, status)


def test_states_and_statuses_may_be_as_the_service_spells_them():
    patch = (
        '{"Title":"","KBId":"KB1","Classification":"","Severity":"","State":"%s",'
        '"InstalledTime":0.0}'
    )
    for state in ("Missing", "MISSING"):
        body = '{"Patches":[%s]}' % (patch % state)
        asked("ssm", "describe_instance_patches", body, JSON, InstanceId=ID)
    with pytest.raises(strict.Untrue, match="PatchComplianceDataState"):
        body = '{"Patches":[%s]}' % (patch % "Misssing")
        asked("ssm", "describe_instance_patches", body, JSON, InstanceId=ID)


def test_a_declared_error_and_a_common_one_pass():
    for code in ("InvalidNextToken", "com.amazonaws.ssm#ThrottlingException"):
        with pytest.raises(ClientError):
            states(f'{{"__type":"{code}","message":"Rate exceeded"}}', JSON, 400)


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        ("InvalidInstanceId", 400, "not an error of DescribeInstancePatchStates"),
        ("NoSuchThing", 400, "not an error"),
        ("InvalidNextToken", 404, "with status 404, not 400"),
        ("InternalServerError", 400, "with status 400, not 500"),
        ("InternalServerError", 500, "the server failed"),
    ],
)
def test_an_error_that_the_operation_does_not_have_is_found(code, status, fault):
    with pytest.raises(strict.Untrue, match=fault):
        states(f'{{"__type":"{code}","message":"no"}}', JSON, status)


def test_an_error_in_html_is_found():
    with pytest.raises(strict.Untrue, match="cannot be read"):
        states("<html><body>Bad gateway</body></html>", {**JSON, "content-type": "text/html"}, 502)


def regions(inner, namespace=EC2_MODEL_NS, tail=f"<requestId>{REQUEST}</requestId>"):
    body = f'<DescribeRegionsResponse xmlns="{namespace}">{tail}{inner}</DescribeRegionsResponse>'
    return asked("ec2", "describe_regions", body, XML)


GOOD_REGION = "<regionInfo><item><regionName>eu-central-1</regionName></item></regionInfo>"


def test_a_true_reply_of_ec2_passes():
    for namespace in (EC2_MODEL_NS, EC2_NS):
        reply = regions(GOOD_REGION, namespace)
        assert reply["Regions"] == [{"RegionName": "eu-central-1"}]


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("regionInfo", "regions", "regions: the model has no such member"),
        ("regionName", "RegionName", "RegionName: the model has no such member"),
        ("item", "member", "`member` where items are `item`"),
        (GOOD_REGION, GOOD_REGION * 2, "there twice"),
        (GOOD_REGION, "<regionInfo>none</regionInfo>", "text 'none' in a list"),
    ],
)
def test_an_untrue_element_of_ec2_is_found(good, bad, fault):
    with pytest.raises(strict.Untrue, match=fault):
        regions(GOOD_REGION.replace(good, bad))


def test_a_reply_of_ec2_without_its_id_or_namespace_is_found():
    with pytest.raises(strict.Untrue, match="requestId is not there"):
        regions(GOOD_REGION, tail="")
    with pytest.raises(strict.Untrue, match="not in the service's namespace"):
        regions(GOOD_REGION, "http://ec2.example.com/")


def test_an_untrue_leaf_of_ec2_is_found():
    def instances(launched):
        body = (
            f'<DescribeInstancesResponse xmlns="{EC2_MODEL_NS}"><requestId>{REQUEST}</requestId>'
            f"<reservationSet><item><instancesSet><item>{launched}</item></instancesSet></item>"
            "</reservationSet></DescribeInstancesResponse>"
        )
        return asked("ec2", "describe_instances", body, XML)

    instances("<launchTime>2026-01-01T00:00:00.000Z</launchTime><ebsOptimized>true</ebsOptimized>")
    for leaf in ("<launchTime>1767225600</launchTime>", "<ebsOptimized>True</ebsOptimized>"):
        with pytest.raises(strict.Untrue, match="where the wire has"):
            instances(leaf)


def test_an_error_of_ec2_has_its_own_form():
    def body(root, code, ids="RequestID"):
        return (
            f"<{root}><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors>"
            f"<{ids}>{REQUEST}</{ids}></{root}>"
        )

    with pytest.raises(ClientError):
        asked("ec2", "describe_regions", body("Response", "UnauthorizedOperation"), XML, 403)
    for bad in (body("ErrorResponse", "UnauthorizedOperation"), body("Response", "Nope")):
        with pytest.raises(strict.Untrue):
            asked("ec2", "describe_regions", bad, XML, 403)


def identity(
    result, metadata=f"<RequestId>{REQUEST}</RequestId>", root="GetCallerIdentityResponse"
):
    body = (
        f'<{root} xmlns="{STS_NS}"><GetCallerIdentityResult>{result}</GetCallerIdentityResult>'
        f"<ResponseMetadata>{metadata}</ResponseMetadata></{root}>"
    )
    return asked("sts", "get_caller_identity", body, XML)


def test_a_true_reply_of_the_query_protocol_passes():
    reply = identity("<Account>123456789012</Account>")
    assert reply["Account"] == "123456789012"


def test_an_untrue_reply_of_the_query_protocol_is_found():
    with pytest.raises(strict.Untrue, match="no such member"):
        identity("<AccountId>123456789012</AccountId>")
    with pytest.raises(strict.Untrue, match="RequestId"):
        identity("<Account>123456789012</Account>", metadata="")
    with pytest.raises(strict.Untrue, match="the root is"):
        identity("<Account>123456789012</Account>", root="GetCallerIdentity")


def test_maps_and_lists_of_the_query_protocol_have_their_names():
    def attributes(inner):
        body = (
            f'<GetTopicAttributesResponse xmlns="{SNS_NS}"><GetTopicAttributesResult><Attributes>'
            f"{inner}</Attributes></GetTopicAttributesResult><ResponseMetadata><RequestId>{REQUEST}"
            "</RequestId></ResponseMetadata></GetTopicAttributesResponse>"
        )
        topic = "arn:aws:sns:eu-central-1:123456789012:patches"
        return asked("sns", "get_topic_attributes", body, XML, TopicArn=topic)

    reply = attributes("<entry><key>DisplayName</key><value>x</value></entry>")
    assert reply["Attributes"] == {"DisplayName": "x"}
    with pytest.raises(strict.Untrue, match="a pair is `key`, `value`"):
        attributes("<entry><value>x</value><key>DisplayName</key></entry>")
    with pytest.raises(strict.Untrue, match="pairs are `entry`"):
        attributes("<item><key>DisplayName</key><value>x</value></item>")


def test_an_error_of_the_query_protocol_needs_its_modelled_code():
    def body(code):
        return (
            f'<ErrorResponse xmlns="{STS_NS}"><Error><Type>Sender</Type><Code>{code}</Code>'
            f"<Message>no</Message></Error><RequestId>{REQUEST}</RequestId></ErrorResponse>"
        )

    arguments = {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "s-1"}
    for code, status in (("MalformedPolicyDocument", 400), ("AccessDenied", 403)):
        with pytest.raises(ClientError):
            asked("sts", "assume_role", body(code), XML, status, **arguments)
    # The shape's name is not the code on the wire.
    with pytest.raises(strict.Untrue, match="not an error of AssumeRole"):
        asked("sts", "assume_role", body("MalformedPolicyDocumentException"), XML, 400, **arguments)


def test_members_in_the_path_of_rest_json_are_not_in_the_body():
    good = '{"GroupIdentifiers":[],"Groups":[]}'
    headers = {**JSON, "content-type": "application/json"}
    asked("resource-groups", "list_groups", good, headers)
    with pytest.raises(strict.Untrue, match="no such member"):
        asked("resource-groups", "list_groups", good.replace("Groups", "GroupList"), headers)
