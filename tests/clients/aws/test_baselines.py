"""Systems Manager: patch baselines and what they approve."""

import uuid

import pytest

from aws.cloud import every, once, refused
from aws.fleet import camel, fresh, grouped, nodes, patches, run, scanned, states, system

UNKNOWN = "pb-0fffffffffffffff0"
EVERYTHING = {
    "PatchRules": [
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
            "ApproveAfterDays": 0,
            "EnableNonSecurity": True,
        }
    ]
}
DEFAULTS = {
    "AMAZON_LINUX": "AWS-AmazonLinuxDefaultPatchBaseline",
    "AMAZON_LINUX_2": "AWS-AmazonLinux2DefaultPatchBaseline",
    "CENTOS": "AWS-CentOSDefaultPatchBaseline",
    "DEBIAN": "AWS-DebianDefaultPatchBaseline",
    "ORACLE_LINUX": "AWS-OracleLinuxDefaultPatchBaseline",
    "RASPBIAN": "AWS-DefaultRaspbianPatchBaseline",
    "REDHAT_ENTERPRISE_LINUX": "AWS-RedHatDefaultPatchBaseline",
    "SUSE": "AWS-SuseDefaultPatchBaseline",
    "UBUNTU": "AWS-UbuntuDefaultPatchBaseline",
    "WINDOWS": "AWS-DefaultPatchBaseline",
}


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def unchecked(aws):
    return aws.client("ssm", checked=False)


@pytest.fixture
def made(ssm):
    """Makes baselines, and deletes them after the test."""
    ids = []

    def make(**arguments):
        arguments.setdefault("Name", fresh())
        ids.append(ssm.create_patch_baseline(**arguments)["BaselineId"])
        return ids[-1]

    yield make
    for one in ids:
        ssm.delete_patch_baseline(BaselineId=one)


def listed(ssm, size=None, **filters):
    filters = [{"Key": key, "Values": [value]} for key, value in filters.items()]
    return every(ssm, "describe_patch_baselines", "BaselineIdentities", size, Filters=filters)


def short(baseline):
    """The part of an id that is the same whether it is an ARN or not."""
    return baseline.rpartition("/")[2]


def test_a_baseline_is_made_read_changed_and_deleted(ssm):
    name = fresh()
    one = ssm.create_patch_baseline(
        Name=name,
        OperatingSystem="AMAZON_LINUX_2023",
        Description="of a test",
        ApprovalRules=EVERYTHING,
        ApprovedPatches=["CVE-2024-26585", "kernel*"],
        ApprovedPatchesComplianceLevel="HIGH",
        RejectedPatches=["telnet*"],
        RejectedPatchesAction="BLOCK",
        GlobalFilters={"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
        Sources=[{"Name": "extra", "Products": ["*"], "Configuration": "[extra]\nenabled=1"}],
        Tags=[{"Key": "owner", "Value": "proof"}],
    )["BaselineId"]
    assert one.startswith("pb-") and len(one) == 20
    found = ssm.get_patch_baseline(BaselineId=one)
    assert found["Name"] == name
    assert found["OperatingSystem"] == "AMAZON_LINUX_2023"
    rule = found["ApprovalRules"]["PatchRules"][0]
    assert rule["ApproveAfterDays"] == 0
    assert rule["EnableNonSecurity"] is True
    assert rule["PatchFilterGroup"] == EVERYTHING["PatchRules"][0]["PatchFilterGroup"]
    assert found["ApprovedPatches"] == ["CVE-2024-26585", "kernel*"]
    assert found["ApprovedPatchesComplianceLevel"] == "HIGH"
    assert found["RejectedPatches"] == ["telnet*"]
    assert found["RejectedPatchesAction"] == "BLOCK"
    assert found["Sources"][0]["Name"] == "extra"
    assert found["CreatedDate"] <= found["ModifiedDate"]
    tags = ssm.list_tags_for_resource(ResourceType="PatchBaseline", ResourceId=one)["TagList"]
    assert tags == [{"Key": "owner", "Value": "proof"}]

    changed = ssm.update_patch_baseline(BaselineId=one, Description="changed", RejectedPatches=[])
    assert changed["Description"] == "changed"
    found = ssm.get_patch_baseline(BaselineId=one)
    assert found["RejectedPatches"] == []
    # What was not named stays, unless all is to be replaced.
    assert found["ApprovedPatches"] == ["CVE-2024-26585", "kernel*"]
    ssm.update_patch_baseline(BaselineId=one, Name=name, Replace=True)
    assert ssm.get_patch_baseline(BaselineId=one)["ApprovedPatches"] == []

    assert ssm.delete_patch_baseline(BaselineId=one)["BaselineId"] == one
    refused("DoesNotExistException", ssm.get_patch_baseline, BaselineId=one)
    assert one not in once(listed(ssm), "BaselineId")


def test_a_baseline_is_for_windows_unless_it_says_otherwise(ssm, made):
    found = ssm.get_patch_baseline(BaselineId=made())
    assert found["OperatingSystem"] == "WINDOWS"
    assert found["ApprovedPatchesComplianceLevel"] == "UNSPECIFIED"
    assert found["RejectedPatchesAction"] == "ALLOW_AS_DEPENDENCY"


def test_the_same_token_makes_one_baseline(ssm):
    token, name = str(uuid.uuid4()), fresh()
    one = ssm.create_patch_baseline(Name=name, ClientToken=token)["BaselineId"]
    assert ssm.create_patch_baseline(Name=name, ClientToken=token)["BaselineId"] == one
    call = ssm.create_patch_baseline
    refused("IdempotentParameterMismatch", call, Name=fresh(), ClientToken=token)
    ssm.delete_patch_baseline(BaselineId=one)


def test_every_baseline_is_listed_once_by_owner_system_and_prefix(ssm, made):
    prefix = fresh("prefix")
    mine = {made(Name=f"{prefix}-{at}", OperatingSystem="SUSE") for at in range(3)}
    whole = once(listed(ssm), "BaselineId")
    assert once(listed(ssm, 2), "BaselineId") == whole
    theirs = once(listed(ssm, OWNER="AWS"), "BaselineId")
    own = once(listed(ssm, OWNER="Self"), "BaselineId")
    assert mine <= own and not own & theirs and own | theirs == whole
    assert once(listed(ssm, NAME_PREFIX=prefix), "BaselineId") == mine
    suse = once(listed(ssm, OWNER="AWS", OPERATING_SYSTEM="SUSE"), "BaselineName")
    assert suse == {"AWS-SuseDefaultPatchBaseline"}


def test_the_services_own_baselines_have_arns_and_their_names(aws, ssm):
    theirs = listed(ssm, OWNER="AWS")
    names = {it["BaselineName"]: it for it in theirs}
    for os, name in DEFAULTS.items():
        assert names[name]["OperatingSystem"] == os
        assert names[name]["BaselineId"].startswith(f"arn:aws:ssm:{aws.region}:")
        assert short(names[name]["BaselineId"]).startswith("pb-")
    for name in ("OS", "OS-Applications"):
        assert f"AWS-WindowsPredefinedPatchBaseline-{name}" in names
    default = [it for it in theirs if it["DefaultBaseline"]]
    assert len({it["OperatingSystem"] for it in default}) == len(default)


def test_the_default_of_a_system_is_registered_and_given_back(ssm, made):
    for os in ("AMAZON_LINUX_2", "UBUNTU"):
        before = ssm.get_default_patch_baseline(OperatingSystem=os)["BaselineId"]
        assert ssm.get_patch_baseline(BaselineId=before)["Name"] == DEFAULTS[os]
        one = made(OperatingSystem=os)
        assert ssm.register_default_patch_baseline(BaselineId=one)["BaselineId"] == one
        assert ssm.get_default_patch_baseline(OperatingSystem=os)["BaselineId"] == one
        flags = {it["BaselineId"]: it["DefaultBaseline"] for it in listed(ssm, OPERATING_SYSTEM=os)}
        assert [it for it, flag in flags.items() if flag] == [one]
        ssm.register_default_patch_baseline(BaselineId=before)
        assert ssm.get_default_patch_baseline(OperatingSystem=os)["BaselineId"] == before


def test_the_default_without_a_system_is_that_of_windows(ssm):
    found = ssm.get_default_patch_baseline()
    assert found["OperatingSystem"] == "WINDOWS"
    assert ssm.get_patch_baseline(BaselineId=found["BaselineId"])["Name"] == DEFAULTS["WINDOWS"]


def test_an_unknown_baseline_does_not_exist(ssm):
    for call in (
        ssm.get_patch_baseline,
        ssm.update_patch_baseline,
        ssm.register_default_patch_baseline,
        ssm.describe_effective_patches_for_patch_baseline,
    ):
        refused("DoesNotExistException", call, BaselineId=UNKNOWN)


@pytest.mark.parametrize(
    "bad",
    [
        {"Name": "no"},
        {"Name": "with space"},
        {"Name": "x" * 129},
        {"ApprovedPatches": [f"KB{at}" for at in range(51)]},
        {"RejectedPatches": [f"KB{at}" for at in range(51)]},
        {"RejectedPatches": ["x" * 101]},
        {"OperatingSystem": "BEOS"},
        {"ApprovedPatchesComplianceLevel": "SEVERE"},
        {"ApprovalRules": {"PatchRules": EVERYTHING["PatchRules"] * 11}},
        {
            "ApprovalRules": {
                "PatchRules": [{**EVERYTHING["PatchRules"][0], "ApproveAfterDays": 361}]
            }
        },
        {
            "GlobalFilters": {
                "PatchFilters": [{"Key": "PRODUCT", "Values": [f"{at}" for at in range(21)]}]
            }
        },
    ],
)
def test_a_baseline_past_a_limit_is_refused(unchecked, bad):
    refused("ValidationException", unchecked.create_patch_baseline, **{"Name": fresh(), **bad})


def test_the_patches_there_are_come_in_pages(ssm):
    operation, key = "describe_available_patches", "Patches"
    pages = ssm.get_paginator(operation).paginate(PaginationConfig={"PageSize": 20})
    first, second = (page[key] for page, _ in zip(pages, range(2), strict=False))
    assert len(first) == 20
    assert not {it["Id"] for it in first} & {it["Id"] for it in second}


def test_available_patches_are_filtered(ssm):
    filters = [
        {"Key": "CLASSIFICATION", "Values": ["SecurityUpdates"]},
        {"Key": "MSRC_SEVERITY", "Values": ["Critical"]},
    ]
    found = every(ssm, "describe_available_patches", "Patches", 100, Filters=filters)
    assert found
    assert {it["Classification"] for it in found} == {"SecurityUpdates"}
    assert {it["MsrcSeverity"] for it in found} == {"Critical"}
    once(found, "Id")


def test_effective_patches_are_of_windows_only(ssm, made):
    """botocore ssm model: "Currently applies to Windows patch baselines only"."""
    operation, key = "describe_effective_patches_for_patch_baseline", "EffectivePatches"
    # Updates that are not of security are a matter of Linux.
    rule = {**EVERYTHING["PatchRules"][0]}
    del rule["EnableNonSecurity"]
    one = made(ApprovalRules={"PatchRules": [rule]})
    found = every(ssm, operation, key, 100, BaselineId=one)
    assert found
    assert {it["PatchStatus"]["DeploymentStatus"] for it in found} <= {
        "APPROVED",
        "PENDING_APPROVAL",
        "EXPLICIT_APPROVED",
        "EXPLICIT_REJECTED",
    }
    kb = next(it["Patch"]["KbNumber"] for it in found if it["Patch"].get("KbNumber"))
    ssm.update_patch_baseline(BaselineId=one, RejectedPatches=[kb])
    again = every(ssm, operation, key, 100, BaselineId=one)
    of_kb = [it for it in again if it["Patch"].get("KbNumber") == kb]
    assert {it["PatchStatus"]["DeploymentStatus"] for it in of_kb} == {"EXPLICIT_REJECTED"}
    linux = made(OperatingSystem="AMAZON_LINUX_2")
    call = ssm.describe_effective_patches_for_patch_baseline
    refused("UnsupportedOperatingSystem", call, BaselineId=linux)


def test_the_values_of_a_property_are_listed(ssm):
    operation, key = "describe_patch_properties", "Properties"

    def values(os, name):
        return every(ssm, operation, key, 50, OperatingSystem=os, Property=name)

    assert values("WINDOWS", "PRODUCT")
    assert values("WINDOWS", "MSRC_SEVERITY")
    assert values("AMAZON_LINUX_2", "SEVERITY")
    assert values("UBUNTU", "PRIORITY")
    paged = every(ssm, operation, key, 2, OperatingSystem="WINDOWS", Property="CLASSIFICATION")
    assert len(paged) == len(values("WINDOWS", "CLASSIFICATION"))


def test_a_node_is_judged_by_the_baseline_of_its_group(aws, ssm, made):
    """A rejected patch that is there is InstalledRejected, and the node not compliant."""
    good = set(scanned(aws)[1])
    candidates = [
        it
        for it in nodes(ssm)
        if it["InstanceId"] in good
        and it["ResourceType"] == "EC2Instance"
        and it["PlatformType"] == "Linux"
    ]
    for it in candidates:
        node = it["InstanceId"]
        there = [one for one in patches(ssm, node) if camel(one["State"]) == "Installed"]
        if there:
            break
    else:
        pytest.fail("no scanned Linux node has an installed patch")
    # Of a package, the name: that is the form every Linux system takes.
    name = there[0]["KBId"].partition(".")[0]
    group = fresh("group")
    one = made(
        OperatingSystem=system(it),
        ApprovalRules=EVERYTHING,
        RejectedPatches=[name + "*"] if system(it) not in ("UBUNTU", "DEBIAN") else [name],
        RejectedPatchesAction="BLOCK",
    )
    ssm.register_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)
    undo = grouped(aws, [node], group)
    _, found = run(ssm, [node])
    assert found[node]["Status"] == "Success"
    state = states(ssm, [node])[node]
    assert state["BaselineId"] == one
    assert state["PatchGroup"] == group
    assert state["InstalledRejectedCount"] >= 1
    rejected = [it for it in patches(ssm, node) if camel(it["State"]) == "InstalledRejected"]
    assert name in {it["KBId"].partition(".")[0] for it in rejected}
    summary = every(
        ssm,
        "list_resource_compliance_summaries",
        "ResourceComplianceSummaryItems",
        Filters=[{"Key": "ComplianceType", "Values": ["Patch"], "Type": "EQUAL"}],
    )
    assert {it["ResourceId"]: it["Status"] for it in summary}[node] == "NON_COMPLIANT"
    undo()
    ssm.deregister_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)
    run(ssm, [node])
