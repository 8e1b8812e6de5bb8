"""Systems Manager: compliance, of patches and of the account's own kinds."""

import datetime

import pytest

from aws.cloud import every, once, refused
from aws.fleet import BAD, COUNTS, UNKNOWN, camel, fresh, nodes, scanned, states

SUMMARIES = ("list_resource_compliance_summaries", "ResourceComplianceSummaryItems")
SEVERITIES = ("Critical", "High", "Medium", "Low", "Informational", "Unspecified")


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def equal(key, *values):
    return {"Key": key, "Values": list(values), "Type": "EQUAL"}


def items(ssm, node, *filters, size=50):
    arguments = {"ResourceIds": [node], "ResourceTypes": ["ManagedInstance"]}
    operation, key = "list_compliance_items", "ComplianceItems"
    return every(ssm, operation, key, size, Filters=list(filters), **arguments)


def put(ssm, node, kind, *contents, **more):
    return ssm.put_compliance_items(
        ResourceId=node,
        ResourceType="ManagedInstance",
        ComplianceType=kind,
        ExecutionSummary={"ExecutionTime": datetime.datetime.now(datetime.timezone.utc)},
        Items=list(contents),
        **more,
    )


def item(name, status="NON_COMPLIANT", severity="HIGH"):
    return {"Id": name, "Title": f"of {name}", "Severity": severity, "Status": status}


def test_the_items_of_a_node_are_its_patches_by_their_states(aws, ssm):
    for node in scanned(aws)[1][:8]:
        held = {}
        for it in items(ssm, node, equal("ComplianceType", "Patch")):
            assert it["ComplianceType"] == "Patch"
            assert it["ResourceId"] == node
            state = camel(it["Details"]["PatchState"])
            held[state] = held.get(state, 0) + 1
            if state in ("Installed", "InstalledOther"):
                assert it["Status"] == "COMPLIANT"
            elif state in BAD:
                assert it["Status"] == "NON_COMPLIANT"
        state = states(ssm, [node])[node]
        for name in (*BAD, "Installed"):
            assert held.get(name, 0) == state[COUNTS[name]], (node, name)


def test_items_are_paged_and_filtered(aws, ssm):
    node = scanned(aws)[1][0]
    kind = equal("ComplianceType", "Patch")
    whole = once(items(ssm, node, kind), "Id")
    assert once(items(ssm, node, kind, size=7), "Id") == whole
    bad = items(ssm, node, kind, equal("Status", "NON_COMPLIANT"))
    assert {it["Status"] for it in bad} <= {"NON_COMPLIANT"}
    good = items(ssm, node, kind, equal("Status", "COMPLIANT"))
    assert once(bad, "Id") | once(good, "Id") <= whole


def test_every_node_is_summed_up_once(aws, ssm):
    kind = [equal("ComplianceType", "Patch")]
    whole = every(ssm, *SUMMARIES, 50, Filters=kind)
    ids = once(whole, "ResourceId")
    assert set(scanned(aws)[1]) <= ids
    assert once(every(ssm, *SUMMARIES, 7, Filters=kind), "ResourceId") == ids


def test_a_node_is_non_compliant_when_something_is_bad(aws, ssm):
    kind = [equal("ComplianceType", "Patch")]
    summed = {it["ResourceId"]: it for it in every(ssm, *SUMMARIES, 50, Filters=kind)}
    linux = {it["InstanceId"] for it in nodes(ssm) if it["PlatformType"] == "Linux"}
    for node, state in states(ssm, [it for it in scanned(aws)[1] if it in linux]).items():
        bad = sum(state[COUNTS[name]] for name in BAD)
        found = summed[node]
        assert found["Status"] == ("NON_COMPLIANT" if bad else "COMPLIANT"), node
        assert found["NonCompliantSummary"]["NonCompliantCount"] == bad
        by_severity = found["NonCompliantSummary"]["SeveritySummary"]
        assert sum(by_severity[f"{name}Count"] for name in SEVERITIES) == bad


def test_a_nodes_severity_is_the_highest_of_what_is_bad(aws, ssm):
    scanned(aws)
    for it in every(ssm, *SUMMARIES, 50, Filters=[equal("Status", "NON_COMPLIANT")]):
        by_severity = it["NonCompliantSummary"]["SeveritySummary"]
        highest = next(name for name in SEVERITIES if by_severity[f"{name}Count"])
        assert it["OverallSeverity"] == highest.upper()


def test_the_summary_of_a_kind_counts_its_resources(aws, ssm):
    scanned(aws)
    kind = [equal("ComplianceType", "Patch")]
    operation, key = "list_compliance_summaries", "ComplianceSummaryItems"
    found = every(ssm, operation, key, Filters=kind)
    assert [it["ComplianceType"] for it in found] == ["Patch"]
    nodes_ = every(ssm, *SUMMARIES, 50, Filters=kind)
    for name, member in (("COMPLIANT", "Compliant"), ("NON_COMPLIANT", "NonCompliant")):
        want = sum(1 for it in nodes_ if it["Status"] == name)
        assert found[0][f"{member}Summary"][f"{member}Count"] == want


def test_items_of_ones_own_are_put_and_replaced(ssm):
    node, kind = nodes(ssm)[0]["InstanceId"], "Custom:Proof"
    put(ssm, node, kind, item("a"), item("b", "COMPLIANT"))
    held = {it["Id"]: it["Status"] for it in items(ssm, node, equal("ComplianceType", kind))}
    assert held == {"a": "NON_COMPLIANT", "b": "COMPLIANT"}
    summed = every(ssm, *SUMMARIES, 50, Filters=[equal("ComplianceType", kind)])
    assert [(it["ResourceId"], it["Status"]) for it in summed] == [(node, "NON_COMPLIANT")]
    # What is put replaces all items of its kind.
    put(ssm, node, kind, item("a", "COMPLIANT"))
    held = {it["Id"]: it["Status"] for it in items(ssm, node, equal("ComplianceType", kind))}
    assert held == {"a": "COMPLIANT"}
    put(ssm, node, kind)
    assert items(ssm, node, equal("ComplianceType", kind)) == []


def test_a_node_has_ten_kinds_of_ones_own_at_most(ssm):
    """General Reference, Systems Manager quotas: custom compliance types per node."""
    node = nodes(ssm)[1]["InstanceId"]
    kinds = [f"Custom:Proof{at}" for at in range(11)]
    for kind in kinds[:10]:
        put(ssm, node, kind, item("a"))
    refused(
        "ComplianceTypeCountLimitExceededException",
        lambda: put(ssm, node, kinds[10], item("a")),
    )
    for kind in kinds[:10]:
        put(ssm, node, kind)


def test_what_is_unknown_is_refused(aws, ssm):
    refused("InvalidResourceId", lambda: put(ssm, UNKNOWN, "Custom:Proof", item("a")))
    call = ssm.list_compliance_items
    node = scanned(aws)[1][0]
    arguments = {"ResourceIds": [node], "ResourceTypes": ["ManagedInstance"]}
    refused("InvalidFilter", call, Filters=[equal("Colour", "red")], **arguments)
    refused("InvalidResourceType", call, ResourceIds=[node], ResourceTypes=[fresh("Kind")])
    for call in (ssm.list_compliance_summaries, ssm.list_resource_compliance_summaries):
        refused("InvalidFilter", call, Filters=[equal("Colour", "red")])
        refused("InvalidNextToken", call, NextToken="no")
