"""Replies of the simulator beside recorded or documented ones, field by field.

`PATCHKIT_SAMPLES` names a folder of samples, which are not part of this repository. A member that a
sample has, one of our items has to have too, with a value of the same kind.
"""

import datetime
import json
import os
import pathlib
import re

import pytest

from aws.cloud import every
from aws.fleet import nodes, online, scanned, states

# Members of the samples that this world has no reason to produce.
NOT_OURS = {"NextToken"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def samples():
    folder = os.environ.get("PATCHKIT_SAMPLES")
    if not folder:
        pytest.skip("PATCHKIT_SAMPLES names no folder of samples")
    folder = pathlib.Path(folder)
    return folder / "aws" if (folder / "aws").is_dir() else folder


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def whole(samples, name):
    return json.loads((samples / name).read_text(encoding="utf-8"))


def printed(samples, name):
    """The JSON objects in a page of examples, without the lines that stand for more."""
    text = (samples / name).read_text(encoding="utf-8")
    text = re.sub(r"^\s*\.\.\.\s*$", "", text, flags=re.MULTILINE)
    found, at, decoder = [], 0, json.JSONDecoder()
    while (at := text.find("\n", at)) != -1:
        at += 1
        start = re.compile(r"[ \t]*(?=\{)").match(text, at)
        if not start:
            continue
        # A comma before a line that stood for more items is left over.
        rest = re.sub(r",(\s*[\]}])", r"\1", text[start.end() :])
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError:
            continue
        found.append(value)
        at = text.index("\n", start.end()) if end < 2 else start.end() + end
        if at >= len(text):
            break
    return found


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, datetime.datetime) or (isinstance(value, str) and TIME.match(value)):
        return "time"
    if isinstance(value, (int, float)):
        return "number"
    return type(value).__name__


def lacking(sample, ours, path=""):
    """What a sample has that none of our items has in the same form."""
    if isinstance(sample, list):
        items = [it for one in ours if isinstance(one, list) for it in one]
        for it in sample[:20]:
            if items:
                yield from lacking(it, items, f"{path}[]")
        return
    if isinstance(sample, dict):
        for name in sorted(sample.keys() - NOT_OURS):
            held = [one[name] for one in ours if isinstance(one, dict) and name in one]
            if not held:
                yield f"{path}.{name} is not there"
            else:
                yield from lacking(sample[name], held, f"{path}.{name}")
        return
    kinds = {kind(one) for one in ours}
    # A number in JSON may be a time: the client has made one of ours.
    same = kind(sample) in kinds or (kind(sample) == "number" and "time" in kinds)
    if not same:
        yield f"{path} is a {kind(sample)}, ours {sorted(kinds)}"


def agree(sample, key, ours):
    found = sorted(set(lacking(sample[key], [ours])))
    assert ours, f"we have no {key}"
    assert not found, found


def test_a_hybrid_node(aws, samples):
    ours = []
    for account, region in aws.scopes():
        ours += nodes(aws.client("ssm", region, account))
    ours = [it for it in ours if it["InstanceId"].startswith("mi-")]
    sample = whole(samples, "describe-instance-information.hybrid.json")
    agree(sample, "InstanceInformationList", ours)


def test_the_details_of_an_inventory(ssm, samples):
    sample = whole(samples, "list-inventory-entries.InstanceDetailedInformation.json")
    node = online(ssm, "Linux")[0]["InstanceId"]
    ours = ssm.list_inventory_entries(InstanceId=node, TypeName="AWS:InstanceDetailedInformation")
    assert not sorted(lacking(sample, [ours]))


def test_a_patch_that_is_not_applicable(aws, ssm, samples):
    sample = whole(samples, "describe-instance-patches.notapplicable.json")
    windows = {it["InstanceId"] for it in online(ssm, "Windows")} & set(scanned(aws)[1])
    filters = [{"Key": "State", "Values": ["NotApplicable"]}]
    for node in sorted(windows):
        operation, key = "describe_instance_patches", "Patches"
        ours = every(ssm, operation, key, 50, InstanceId=node, Filters=filters)
        if ours:
            agree(sample, "Patches", ours)
            it = ours[0]
            assert (it["Title"], it["Classification"], it["Severity"]) == ("", "", "")
            assert it["InstalledTime"].timestamp() == 0
            return
    pytest.skip("no scanned Windows node has an inapplicable patch")


def test_the_states_of_patches(aws, ssm, samples):
    ours = list(states(ssm, scanned(aws)[1]).values())
    for sample in printed(samples, "cli-describe-instance-patch-states.rst.txt"):
        # Only where a node was patched without a reboot; every other member is each node's.
        it = sample["InstancePatchStates"][0]
        it.pop("LastNoRebootInstallOperationTime", None)
        agree(sample, "InstancePatchStates", ours)


def test_the_patches_of_a_node(aws, ssm, samples):
    ours = []
    for node in scanned(aws)[1][:5]:
        ours += every(ssm, "describe_instance_patches", "Patches", 50, InstanceId=node)
    found = printed(samples, "cli-describe-instance-patches.rst.txt")
    assert found
    for sample in found:
        agree(sample, "Patches", ours)


def test_patch_baselines(ssm, samples):
    ours = every(ssm, "describe_patch_baselines", "BaselineIdentities")
    found = printed(samples, "cli-describe-patch-baselines.rst.txt")
    assert found
    for sample in found:
        agree(sample, "BaselineIdentities", ours)


def test_compliance_items(aws, ssm, samples):
    node = scanned(aws)[1][0]
    arguments = {"ResourceIds": [node], "ResourceTypes": ["ManagedInstance"]}
    ours = every(ssm, "list_compliance_items", "ComplianceItems", 50, **arguments)
    for sample in printed(samples, "cli-list-compliance-items.rst.txt"):
        # The example's items are of associations: their details are another kind's.
        for it in sample["ComplianceItems"]:
            it.pop("Details")
        agree(sample, "ComplianceItems", ours)


def test_resource_compliance_summaries(aws, ssm, samples):
    scanned(aws)
    operation, key = "list_resource_compliance_summaries", "ResourceComplianceSummaryItems"
    ours = every(ssm, operation, key, 50)
    found = printed(samples, "cli-list-resource-compliance-summaries.rst.txt")
    assert found
    for sample in found:
        agree(sample, "ResourceComplianceSummaryItems", ours)
