"""Replies of the simulator beside recorded and documented ones, member by member.

What a sample has, one of our items has to have too, with a value of the same kind; what the service
writes itself, messages and the objects of a lake, has to have those members and no others.
"""

import json
import string
import urllib.request

import pytest

import outline
from aws.cloud import eventually, every
from aws.fleet import fresh, nodes, online, patches, run, scanned, states

INVENTORY = "AWS:InstanceDetailedInformation"


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def agree(name, key, ours):
    """Holds the items of a listing against a sample of it."""
    assert ours, f"we have no {key}"
    found = outline.lacking(outline.committed(f"aws/{name}").at(key), outline.of(ours))
    assert sorted(found) == []


def same(name, ours, *optional):
    """Holds documents against a sample in both directions."""
    found = outline.differences(outline.committed(f"aws/{name}"), outline.of(*ours), optional)
    assert sorted(found) == []


def test_a_hybrid_node(aws):
    ours = []
    for account, region in aws.scopes():
        ours += nodes(aws.client("ssm", region, account))
    ours = [it for it in ours if it["InstanceId"].startswith("mi-")]
    agree("describe-instance-information-hybrid", "InstanceInformationList", ours)


def test_the_details_of_an_inventory(ssm):
    node = online(ssm, "Linux")[0]["InstanceId"]
    ours = ssm.list_inventory_entries(InstanceId=node, TypeName=INVENTORY)
    theirs = outline.committed("aws/list-inventory-entries-InstanceDetailedInformation")
    assert sorted(outline.lacking(theirs, outline.of(ours))) == []


def test_a_patch_that_is_not_applicable(aws, ssm):
    windows = {it["InstanceId"] for it in online(ssm, "Windows")} & set(scanned(aws)[1])
    filters = [{"Key": "State", "Values": ["NotApplicable"]}]
    ours = [it for node in sorted(windows) for it in patches(ssm, node, Filters=filters)]
    agree("describe-instance-patches-notapplicable", "Patches", ours)
    for it in ours:
        assert (it["Title"], it["Classification"], it["Severity"]) == ("", "", "")
        assert it["InstalledTime"].timestamp() == 0


def test_the_states_of_patches(aws, ssm):
    # Only who was patched without a reboot has the time of the last such operation.
    parameters = {"Operation": ["Install"], "RebootOption": ["NoReboot"]}
    _, ended = run(ssm, scanned(aws)[1][:5], parameters=parameters)
    ours = states(ssm, [node for node, it in ended.items() if it["Status"] == "Success"])
    agree("describe-instance-patch-states", "InstancePatchStates", list(ours.values()))


def test_the_patches_of_a_node(aws, ssm):
    ours = [it for node in scanned(aws)[1][:5] for it in patches(ssm, node)]
    agree("describe-instance-patches", "Patches", ours)


def test_patch_baselines(ssm):
    ours = every(ssm, "describe_patch_baselines", "BaselineIdentities")
    agree("describe-patch-baselines", "BaselineIdentities", ours)


def test_compliance_items(aws, ssm):
    """The example's are of associations."""
    node = scanned(aws)[1][0]
    made = ssm.create_association(
        Name="AWS-GatherSoftwareInventory",
        Targets=[{"Key": "InstanceIds", "Values": [node]}],
        AssociationName=fresh("inventory"),
    )["AssociationDescription"]["AssociationId"]
    of_it = [{"Key": "Id", "Values": [made], "Type": "EQUAL"}]
    arguments = {"ResourceIds": [node], "ResourceTypes": ["ManagedInstance"], "Filters": of_it}

    def reported():
        return every(ssm, "list_compliance_items", "ComplianceItems", 50, **arguments)

    agree("list-compliance-items", "ComplianceItems", eventually(reported))
    ssm.delete_association(AssociationId=made)


def test_resource_compliance_summaries(aws, ssm):
    scanned(aws)
    operation, key = "list_resource_compliance_summaries", "ResourceComplianceSummaryItems"
    agree("list-resource-compliance-summaries", key, every(ssm, operation, key, 50))


@pytest.fixture
def told(aws, sim):
    """Sends a command of which a topic is told, and gives what the topic was told."""
    sns = aws.client("sns")
    topic = sns.create_topic(Name=fresh("told"))["TopicArn"]

    def send(of, node):
        notified = {
            "NotificationArn": topic,
            "NotificationEvents": ["All"],
            "NotificationType": of,
        }
        run(
            aws.client("ssm"),
            [node],
            ServiceRoleArn=f"arn:aws:iam::{aws.account}:role/patchkit-notifications",
            NotificationConfig=notified,
            OutputS3BucketName="outputs",
            OutputS3KeyPrefix="told",
        )
        with urllib.request.urlopen(f"{sim.control_endpoint}/messages") as answer:
            return [it for it in json.load(answer) if it["topic"] == topic]

    yield send
    sns.delete_topic(TopicArn=topic)


@pytest.mark.parametrize(
    ("of", "name"), [("Command", "sns-command"), ("Invocation", "sns-invocation")]
)
def test_a_topic_is_told_of_a_command(aws, told, of, name):
    heard = told(of, scanned(aws)[1][0])
    messages = [json.loads(it["message"]) for it in heard]
    assert {"InProgress", "Success"} <= {it["status"] for it in messages}
    same(name, messages)


@pytest.mark.parametrize(
    ("name", "optional"),
    [
        # Attributes of the types' schemas (user guide, "Metadata collected by inventory"; the reply
        # of GetInventorySchema) that the samples, made by hand of one node each, leave out.
        ("data-sync-InstanceInformation", ["$.AgentStatus", "$.IamRole"]),
        ("data-sync-Tag", []),
        (
            "data-sync-PatchSummary",
            [
                "$.AvailableSecurityUpdateCount",
                "$.InstallOverrideList",
                "$.LastNoRebootInstallOperationTime",
                # Of a node that lacks nothing there is no severity.
                "$.NonCompliantSeverity",
                "$.OwnerInformation",
                "$.UnreportedNotApplicableCount",
            ],
        ),
        ("data-sync-ComplianceItem", []),
    ],
)
def test_an_object_of_a_lake(aws, lake, name, optional):
    layout = outline.committed(f"aws/{name}").key
    gaps = {it for _, it, _, _ in string.Formatter().parse(layout) if it}
    assert gaps == {"account", "region", "node"}
    lines = []
    for node in scanned(aws)[1]:
        key = layout.format(account=aws.account, region=aws.region, node=node)
        lines += [json.loads(line) for line in aws.s3_get(lake, key).splitlines()]
    same(name, lines, *optional)


@pytest.fixture(scope="module")
def lake(aws):
    """The bucket of a resource data sync that is through with its first nodes."""
    scanned(aws)
    ssm, bucket = aws.client("ssm"), fresh("lake")
    aws.client("s3").create_bucket(Bucket=bucket)
    destination = {"BucketName": bucket, "SyncFormat": "JsonSerDe", "Region": aws.region}
    ssm.create_resource_data_sync(SyncName=bucket, S3Destination=destination)

    def status():
        syncs = every(ssm, "list_resource_data_sync", "ResourceDataSyncItems")
        return {it["SyncName"]: it.get("LastStatus") for it in syncs}[bucket]

    eventually(status, lambda it: it == "Successful")
    yield bucket
    ssm.delete_resource_data_sync(SyncName=bucket)
