"""Virtual machines: lists to their last page, one machine, its instance view."""

from __future__ import annotations

import re
import uuid
from itertools import islice

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from azure_sim import Clients, Machines, group_of, power_of

ID = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+"
    r"/providers/Microsoft\.Compute/virtualMachines/[^/]+"
)
POWER_STATES = {
    "starting",
    "running",
    "stopping",
    "stopped",
    "deallocating",
    "deallocated",
    "unknown",
}


def ids(vms) -> list[str]:
    """Returns the ids in the order of the list, in one case."""
    return [vm.id.lower() for vm in vms]


def test_a_long_list_has_several_pages_and_names_each_machine_once(
    slow_azure: list[Clients],
) -> None:
    pages = [
        [ids(page) for page in clients.compute.virtual_machines.list_all().by_page()]
        for clients in slow_azure
    ]
    assert max(len(of_one) for of_one in pages) > 1, "3,000 nodes in single pages"
    for of_one in pages:
        named = [vm for page in of_one for vm in page]
        assert len(named) == len(set(named))
        assert all(page for page in of_one), "an empty page"


def test_a_page_can_be_asked_again_by_its_link(slow_azure: list[Clients]) -> None:
    for clients in slow_azure:
        pager = clients.compute.virtual_machines.list_all().by_page()
        next(pager)
        if pager.continuation_token:
            break
    else:
        pytest.fail("no subscription has a second page")
    again = clients.compute.virtual_machines.list_all()
    second = ids(next(again.by_page(continuation_token=pager.continuation_token)))
    assert second == ids(next(pager))


def test_every_machine_has_its_identity(per_subscription: list[Clients]) -> None:
    seen: set[str] = set()
    for clients in per_subscription:
        for vm in clients.compute.virtual_machines.list_all():
            assert ID.fullmatch(vm.id)
            assert vm.id.split("/")[2] == clients.subscription
            assert vm.id.endswith(f"/{vm.name}")
            assert vm.type == "Microsoft.Compute/virtualMachines"
            assert vm.location
            assert vm.properties.provisioning_state
            assert vm.properties.os_profile.computer_name
            assert vm.properties.storage_profile.os_disk.os_type in ("Linux", "Windows")
            uuid.UUID(vm.properties.vm_id)
            assert vm.properties.vm_id not in seen
            seen.add(vm.properties.vm_id)
    assert seen


def test_the_lists_of_all_groups_are_the_list_of_the_subscription(azure: Clients) -> None:
    whole = list(azure.compute.virtual_machines.list_all())
    groups = {group_of(vm.id).lower() for vm in whole}
    listed = [vm for group in groups for vm in azure.compute.virtual_machines.list(group)]
    assert sorted(ids(listed)) == sorted(ids(whole))


def test_the_lists_of_all_locations_are_the_list_of_the_subscription(azure: Clients) -> None:
    whole = list(azure.compute.virtual_machines.list_all())
    listed = [
        vm
        for location in {vm.location for vm in whole}
        for vm in azure.compute.virtual_machines.list_by_location(location)
    ]
    assert sorted(ids(listed)) == sorted(ids(whole))


def test_the_status_list_has_every_machine_with_its_power_state(azure: Clients) -> None:
    # The thin body is not described further by Microsoft: only what its name says is asked.
    whole = ids(azure.compute.virtual_machines.list_all())
    status = list(azure.compute.virtual_machines.list_all(status_only="true"))
    assert sorted(ids(status)) == sorted(whole)
    assert {power_of(vm.properties.instance_view) for vm in status} <= POWER_STATES


def test_a_list_expands_the_instance_view_only_of_one_scale_set(azure: Clients) -> None:
    # azure-mgmt-compute, list_all: "The expand expression ... 'instanceView' ... only with
    # $filter 'virtualMachineScaleSet/id'".
    with pytest.raises(HttpResponseError) as caught:
        list(azure.compute.virtual_machines.list_all(expand="instanceView"))
    assert caught.value.status_code == 400


def test_a_machine_has_its_instance_view_only_when_asked(azure: Clients) -> None:
    for vm in islice(azure.compute.virtual_machines.list_all(), 5):
        group = group_of(vm.id)
        plain = azure.compute.virtual_machines.get(group, vm.name)
        whole = azure.compute.virtual_machines.get(group, vm.name, expand="instanceView")
        assert plain.properties.instance_view is None
        assert power_of(whole.properties.instance_view) in POWER_STATES
        assert plain.properties.vm_id == whole.properties.vm_id == vm.properties.vm_id
        assert (plain.tags or {}) == (vm.tags or {})


def test_a_running_machine_tells_its_system_and_its_patches(machines: Machines) -> None:
    vm = machines.vm()
    view = vm.view()
    assert view.computer_name == vm.model.properties.os_profile.computer_name
    assert view.os_name and view.os_version
    assert view.vm_agent.vm_agent_version
    codes = [status.code.lower() for status in view.statuses]
    assert "provisioningstate/succeeded" in codes
    if view.patch_status and view.patch_status.available_patch_summary:
        summary = view.patch_status.available_patch_summary
        assert summary.status
        assert summary.critical_and_security_patch_count >= 0
        assert summary.other_patch_count >= 0


def test_names_are_found_in_any_case(azure: Clients) -> None:
    vm = next(azure.compute.virtual_machines.list_all())
    got = azure.compute.virtual_machines.get(group_of(vm.id).upper(), vm.name.upper())
    assert got.properties.vm_id == vm.properties.vm_id


def test_an_unknown_machine_is_not_found(azure: Clients) -> None:
    group = group_of(next(azure.compute.virtual_machines.list_all()).id)
    with pytest.raises(ResourceNotFoundError) as caught:
        azure.compute.virtual_machines.get(group, "no-such-vm")
    assert caught.value.error.code == "ResourceNotFound"
    with pytest.raises(ResourceNotFoundError):
        azure.compute.virtual_machines.instance_view(group, "no-such-vm")
    with pytest.raises(ResourceNotFoundError):
        azure.compute.virtual_machines.begin_start(group, "no-such-vm")


def test_an_unknown_group_is_not_found(azure: Clients) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        list(azure.compute.virtual_machines.list("no-such-group"))
    assert caught.value.error.code == "ResourceGroupNotFound"
