"""Systems Manager: which baseline is for which group."""

import pytest

from aws.cloud import every, refused
from aws.fleet import fresh

UNKNOWN = "pb-0fffffffffffffff0"


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def made(ssm):
    ids = []

    def make(os):
        reply = ssm.create_patch_baseline(Name=fresh(), OperatingSystem=os)
        ids.append(reply["BaselineId"])
        return ids[-1]

    yield make
    for one in ids:
        ssm.delete_patch_baseline(BaselineId=one)


def mappings(ssm, size=None, **filters):
    filters = [{"Key": key, "Values": [value]} for key, value in filters.items()]
    return every(ssm, "describe_patch_groups", "Mappings", size, Filters=filters)


def baseline(ssm, group, os):
    found = ssm.get_patch_baseline_for_patch_group(PatchGroup=group, OperatingSystem=os)
    assert found["PatchGroup"] == group
    return found["BaselineId"]


def test_a_group_has_a_baseline_from_its_registration_to_its_end(ssm, made):
    one, group = made("AMAZON_LINUX_2"), fresh("group")
    default = ssm.get_default_patch_baseline(OperatingSystem="AMAZON_LINUX_2")["BaselineId"]
    # A group that nobody registered has the default.
    assert baseline(ssm, group, "AMAZON_LINUX_2") == default
    reply = ssm.register_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)
    assert (reply["BaselineId"], reply["PatchGroup"]) == (one, group)
    assert baseline(ssm, group, "AMAZON_LINUX_2") == one
    assert baseline(ssm, group, "UBUNTU") != one
    assert group in ssm.get_patch_baseline(BaselineId=one)["PatchGroups"]
    ssm.deregister_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)
    assert baseline(ssm, group, "AMAZON_LINUX_2") == default


def test_a_group_has_one_baseline_per_system(ssm, made):
    group = fresh("group")
    linux, other, ubuntu = made("AMAZON_LINUX_2"), made("AMAZON_LINUX_2"), made("UBUNTU")
    register = ssm.register_patch_baseline_for_patch_group
    register(BaselineId=linux, PatchGroup=group)
    register(BaselineId=ubuntu, PatchGroup=group)
    reply = refused("AlreadyExistsException", register, BaselineId=other, PatchGroup=group)
    # As the service words it: cloudposse/terraform-aws-ssm-patch-manager#43.
    worded = (
        f"Patch Group {group} already has a baseline registered for OperatingSystem AMAZON_LINUX_2"
    )
    assert worded in reply["Error"]["Message"]
    held = {
        it["BaselineIdentity"]["BaselineId"] for it in mappings(ssm) if it["PatchGroup"] == group
    }
    assert held == {linux, ubuntu}
    for one in held:
        ssm.deregister_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)


def test_a_registered_baseline_is_not_deleted(ssm, made):
    one, group = made("SUSE"), fresh("group")
    ssm.register_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)
    refused("ResourceInUseException", ssm.delete_patch_baseline, BaselineId=one)
    ssm.deregister_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)


def test_every_mapping_is_listed_once(ssm, made):
    one, prefix = made("SUSE"), fresh("group")
    groups = [f"{prefix}-{at}" for at in range(5)]
    for group in groups:
        ssm.register_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)
    whole = [it["PatchGroup"] for it in mappings(ssm) if it["PatchGroup"].startswith(prefix)]
    assert sorted(whole) == groups
    paged = [it["PatchGroup"] for it in mappings(ssm, 2) if it["PatchGroup"].startswith(prefix)]
    assert sorted(paged) == groups
    named = mappings(ssm, NAME_PREFIX=prefix)
    assert sorted(it["PatchGroup"] for it in named) == groups
    for group in groups:
        ssm.deregister_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=group)


def test_a_baseline_has_twenty_five_groups_at_most(ssm, made):
    """General Reference, Systems Manager quotas: patch groups per patch baseline."""
    one, prefix = made("SUSE"), fresh("many")
    register = ssm.register_patch_baseline_for_patch_group
    for at in range(25):
        register(BaselineId=one, PatchGroup=f"{prefix}-{at}")
    refused("ResourceLimitExceededException", register, BaselineId=one, PatchGroup=prefix)
    for at in range(25):
        ssm.deregister_patch_baseline_for_patch_group(BaselineId=one, PatchGroup=f"{prefix}-{at}")


def test_an_unknown_baseline_takes_no_group(ssm):
    call = ssm.register_patch_baseline_for_patch_group
    refused("DoesNotExistException", call, BaselineId=UNKNOWN, PatchGroup="any")


def test_a_group_without_nodes_has_none(ssm):
    found = ssm.describe_patch_group_state(PatchGroup=fresh("empty"))
    assert found["Instances"] == 0


def test_a_groups_name_has_its_letters(aws):
    ssm = aws.client("ssm", checked=False)
    call = ssm.get_patch_baseline_for_patch_group
    for bad in ("", "x" * 257, "a!b"):
        refused("ValidationException", call, PatchGroup=bad)
