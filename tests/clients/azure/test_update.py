"""PATCH of a machine: the patch settings that decide who may patch it."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.models import VirtualMachineUpdate

from azure_settings import customer_managed
from azure_sim import COMPUTE_VERSION, Machines, Vm


def settings_of(vm: Vm, model):
    """Returns the patch settings of a machine."""
    profile = model.properties.os_profile
    both = {"Windows": profile.windows_configuration, "Linux": profile.linux_configuration}
    return both[vm.os].patch_settings


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_the_schedule_becomes_the_customers(machines: Machines, os: str) -> None:
    vm = machines.plain(os=os)
    operations = vm.clients.compute.virtual_machines
    updated = operations.begin_update(vm.group, vm.name, customer_managed(vm)).result()
    for model in (updated, operations.get(vm.group, vm.name)):
        settings = settings_of(vm, model)
        assert settings.patch_mode == "AutomaticByPlatform"
        assert settings.assessment_mode == "AutomaticByPlatform"
        by_platform = settings.automatic_by_platform_settings
        assert by_platform.bypass_platform_safety_checks_on_user_schedule is True
        assert model.properties.provisioning_state == "Succeeded"


def test_what_an_update_leaves_out_stays(machines: Machines) -> None:
    vm = machines.plain(os="Linux")
    operations = vm.clients.compute.virtual_machines
    before = operations.get(vm.group, vm.name)
    operations.begin_update(vm.group, vm.name, customer_managed(vm)).result()
    after = operations.get(vm.group, vm.name)
    assert (after.tags or {}) == (before.tags or {})
    assert after.properties.vm_id == before.properties.vm_id
    assert after.properties.hardware_profile == before.properties.hardware_profile
    assert (
        after.properties.os_profile.computer_name == before.properties.os_profile.computer_name
    )


def test_an_update_replaces_the_tags_that_it_names(machines: Machines) -> None:
    vm = machines.plain()
    operations = vm.clients.compute.virtual_machines
    tags = {"PatchGroup": "late", "owner": "ops"}
    operations.begin_update(vm.group, vm.name, VirtualMachineUpdate(tags=tags)).result()
    assert operations.get(vm.group, vm.name).tags == tags


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_a_patch_mode_of_the_other_system_is_refused(machines: Machines, os: str) -> None:
    vm = machines.plain(os=os)
    other = {"Linux": "AutomaticByOS", "Windows": "ImageDefault"}[os]
    key = f"{os.lower()}Configuration"
    body = {"properties": {"osProfile": {key: {"patchSettings": {"patchMode": other}}}}}
    answer = vm.clients.raw("PATCH", vm.id, version=COMPUTE_VERSION, json=body)
    assert answer.status == 400


def test_an_update_of_the_identity_is_refused_or_ignored(machines: Machines) -> None:
    vm = machines.plain()
    operations = vm.clients.compute.virtual_machines
    before = operations.get(vm.group, vm.name).properties.vm_id
    body = {"properties": {"vmId": "00000000-0000-0000-0000-000000000000"}}
    try:
        operations.begin_update(vm.group, vm.name, body).result()
    except HttpResponseError as error:
        assert error.status_code == 400
    assert operations.get(vm.group, vm.name).properties.vm_id == before
