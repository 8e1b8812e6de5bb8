"""Systems Manager: the inventory."""

import pytest

from aws.cloud import every, once, refused
from aws.fleet import UNKNOWN, nodes, online, scanned, states

INFORMATION = "AWS:InstanceInformation"
SUMMARY = "AWS:PatchSummary"
GET = ("get_inventory", "Entities")


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def entries(ssm, node, kind, **arguments):
    """All entries of one type, page by page: the model has no paginator for it."""
    found, more = [], {}
    while True:
        page = ssm.list_inventory_entries(InstanceId=node, TypeName=kind, **arguments, **more)
        found += page.get("Entries", [])
        if "NextToken" not in page:
            return found
        more = {"NextToken": page["NextToken"]}


def test_every_node_is_in_the_inventory_once(aws):
    for account, region in aws.scopes():
        ssm = aws.client("ssm", region, account)
        whole = once(every(ssm, *GET, 50), "Id")
        assert once(nodes(ssm), "InstanceId") <= whole
        assert once(every(ssm, *GET, 5), "Id") == whole


def test_the_patch_summary_says_what_the_patch_states_say_in_strings(aws, ssm):
    _, ids = scanned(aws)
    wanted = [{"TypeName": SUMMARY}]
    found = {it["Id"]: it["Data"] for it in every(ssm, *GET, 50, ResultAttributes=wanted)}
    for node, state in states(ssm, ids).items():
        content = found[node][SUMMARY]["Content"][0]
        assert all(isinstance(value, str) for value in content.values())
        assert content["OperationType"] == state["Operation"]
        assert content["BaselineId"] == state["BaselineId"]
        for count in ("Installed", "InstalledOther", "Missing", "Failed"):
            assert int(content[f"{count}Count"]) == state[f"{count}Count"], (node, count)


def test_only_two_types_can_be_asked_for(ssm):
    """The service's own text, in aws/aws-sdk#640: InstanceInformation and PatchSummary."""
    wanted = [{"TypeName": "AWS:Application"}]
    codes = ("InvalidResultAttributeException", "InvalidTypeNameException")
    refused(codes, ssm.get_inventory, ResultAttributes=wanted)


def test_nodes_are_found_by_what_the_inventory_says(ssm):
    key = f"{INFORMATION}.PlatformType"
    filters = [{"Key": key, "Values": ["Windows"], "Type": "Equal"}]
    found = every(ssm, *GET, 50, Filters=filters)
    kinds = {it["Data"][INFORMATION]["Content"][0]["PlatformType"] for it in found}
    assert kinds <= {"Windows"}
    want = {it["InstanceId"] for it in nodes(ssm) if it["PlatformType"] == "Windows"}
    assert want <= once(found, "Id")
    filters[0]["Type"] = "NotEqual"
    assert not want & once(every(ssm, *GET, 50, Filters=filters), "Id")


def test_an_aggregator_counts_by_an_attribute(ssm):
    wanted = [{"Expression": f"{INFORMATION}.PlatformType"}]
    found = every(ssm, *GET, Aggregators=wanted)
    counted = {}
    for entity in found:
        for data in entity["Data"].values():
            for row in data["Content"]:
                counted[row["PlatformType"]] = int(row["Count"])
    assert sum(counted.values()) == len(every(ssm, *GET, 50))


def test_the_entries_of_a_node_have_the_fields_of_their_type(ssm):
    node = online(ssm, "Linux")[0]
    found = entries(ssm, node["InstanceId"], INFORMATION)
    assert len(found) == 1
    assert found[0]["InstanceId"] == node["InstanceId"]
    assert found[0]["ComputerName"] == node["ComputerName"]
    detail = entries(ssm, node["InstanceId"], "AWS:InstanceDetailedInformation")[0]
    # Numbers and booleans are strings: aws/aws-sdk#640.
    assert detail["CPUs"].isdigit()
    assert detail["CPUHyperThreadEnabled"] in ("true", "false")


def test_the_applications_of_a_node_page_through_once(ssm):
    node = online(ssm)[0]["InstanceId"]
    whole = entries(ssm, node, "AWS:Application", MaxResults=50)
    assert whole
    assert {"Name", "Version"} <= whole[0].keys()
    paged = entries(ssm, node, "AWS:Application", MaxResults=3)
    key = [tuple(sorted(it.items())) for it in whole]
    assert sorted(tuple(sorted(it.items())) for it in paged) == sorted(key)


def test_an_inventory_of_ones_own_is_put_and_read(ssm):
    node = online(ssm)[0]["InstanceId"]
    ssm.put_inventory(
        InstanceId=node,
        Items=[
            {
                "TypeName": "Custom:Rack",
                "SchemaVersion": "1.0",
                "CaptureTime": "2026-01-01T00:00:00Z",
                "Content": [{"Row": "7", "Slot": "12"}],
            }
        ],
    )
    page = ssm.list_inventory_entries(InstanceId=node, TypeName="Custom:Rack")
    assert page["CaptureTime"] == "2026-01-01T00:00:00Z"
    assert page["SchemaVersion"] == "1.0"
    assert page["Entries"] == [{"Row": "7", "Slot": "12"}]


def test_the_schemas_name_their_attributes(ssm):
    found = every(ssm, "get_inventory_schema", "Schemas", 50)
    names = once(found, "TypeName")
    assert {INFORMATION, SUMMARY, "AWS:Application", "AWS:ComplianceItem"} <= names
    summary = next(it for it in found if it["TypeName"] == SUMMARY)
    attributes = {it["Name"]: it["DataType"] for it in summary["Attributes"]}
    assert attributes["BaselineId"] == "string"
    assert attributes["MissingCount"] == "number"
    one = every(ssm, "get_inventory_schema", "Schemas", TypeName="AWS:Network")
    assert once(one, "TypeName") == {"AWS:Network"}


def test_what_is_unknown_is_refused(ssm):
    node = online(ssm)[0]["InstanceId"]
    call = ssm.list_inventory_entries
    refused("InvalidInstanceId", call, InstanceId=UNKNOWN, TypeName=INFORMATION)
    refused("InvalidTypeNameException", call, InstanceId=node, TypeName="AWS:Weather")
    refused("InvalidNextToken", ssm.get_inventory, NextToken="no")
    bad = {"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "CaptureTime": "2026-01-01T00:00:00Z"}
    refused("InvalidInstanceId", ssm.put_inventory, InstanceId=UNKNOWN, Items=[bad])


def test_the_time_of_a_capture_has_its_form(aws):
    ssm = aws.client("ssm", checked=False)
    node = online(aws.client("ssm"))[0]["InstanceId"]
    bad = {"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "CaptureTime": "yesterday"}
    refused("ValidationException", ssm.put_inventory, InstanceId=node, Items=[bad])
