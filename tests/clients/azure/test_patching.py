"""Assessing and installing patches on virtual machines, to the end of the operation."""

from __future__ import annotations

import datetime as dt

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.mgmt.compute.models import VirtualMachineInstallPatchesParameters

from azure_patching import counts_match, has_no_error, install, installed_well, wanted
from azure_sim import COMPUTE_VERSION, Clients, Machines, Vm


def assess(vm: Vm):
    """Assesses and waits for the result."""
    operations = vm.clients.compute.virtual_machines
    return operations.begin_assess_patches(vm.group, vm.name).result()


def deallocated(machines: Machines) -> Vm:
    """Returns a machine that is off."""
    vm = machines.plain()
    vm.clients.compute.virtual_machines.begin_deallocate(vm.group, vm.name).result()
    return vm


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_an_assessment_lists_what_it_counts(machines: Machines, os: str) -> None:
    for vm in machines.vms(os=os):
        result = assess(vm)
        if result.available_patches:
            break
    else:
        pytest.fail(f"no {os} machine lacks a patch")
    assert result.status == "Succeeded"
    assert has_no_error(result)
    counted = result.critical_and_security_patch_count + result.other_patch_count
    assert counted == len(result.available_patches)
    urgent = [
        patch
        for patch in result.available_patches
        if any("critical" in c.lower() or "security" in c.lower() for c in patch.classifications)
    ]
    assert len(urgent) == result.critical_and_security_patch_count
    for patch in result.available_patches:
        assert patch.patch_id and patch.name and patch.classifications
        assert patch.assessment_state == "Available"
        assert patch.activity_id == result.assessment_activity_id
        if os == "Windows":
            assert patch.kb_id
        else:
            assert patch.version and patch.kb_id is None


def test_an_assessment_shows_in_the_instance_view(machines: Machines) -> None:
    vm = machines.vm()
    result = assess(vm)
    summary = vm.view().patch_status.available_patch_summary
    assert summary.assessment_activity_id == result.assessment_activity_id
    assert summary.critical_and_security_patch_count == result.critical_and_security_patch_count
    assert summary.other_patch_count == result.other_patch_count
    assert summary.reboot_pending == result.reboot_pending
    assert summary.status == result.status


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_an_installation_ends_with_the_state_of_every_patch(machines: Machines, os: str) -> None:
    vm, result = installed_well(machines, os)
    assert has_no_error(result)
    assert result.maintenance_window_exceeded is False
    assert result.reboot_status in ("NotNeeded", "Completed")
    for patch in result.patches:
        assert patch.patch_id and patch.name and patch.classifications
        assert (patch.kb_id is not None) == (os == "Windows")
        assert patch.version if os == "Linux" else patch.version in (None, "")
    last = vm.view().patch_status.last_patch_installation_summary
    assert last.installation_activity_id == result.installation_activity_id
    assert last.installed_patch_count == result.installed_patch_count
    assert last.status == "Succeeded"


def test_a_success_carries_the_error_code_0(machines: Machines) -> None:
    # Recorded by the azure-cli test suite (test_vm_install_patches): the error object is there
    # on success, with code "0" and an empty list of details.
    vm, _ = installed_well(machines, "Linux")
    polls = vm.clients.policy.since(0, "GET", "/operations/")
    output = polls[-2].json()["properties"]["output"]
    assert output["error"] == {"details": [], "code": "0", "message": "0 error/s reported."}


def test_the_output_of_the_operation_is_the_final_result(machines: Machines) -> None:
    vm, result = installed_well(machines, "Linux")
    polls = vm.clients.policy.since(0, "GET", "/operations/")
    final, ended = polls[-1].json(), polls[-2].json()
    assert ended["status"] == "Succeeded"
    assert ended["name"] == result.installation_activity_id
    assert ended["properties"]["output"] == final


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_what_is_installed_is_no_longer_available(machines: Machines, os: str) -> None:
    vm, result = installed_well(machines, os)
    gone = {p.patch_id for p in result.patches if p.installation_state == "Installed"}
    left = assess(vm)
    assert not gone & {p.patch_id for p in left.available_patches or []}
    assert left.reboot_pending is False


def test_a_class_that_is_not_included_is_not_selected(machines: Machines) -> None:
    _, result = installed_well(machines, "Linux", wanted("Linux", classes=["Critical", "Security"]))
    for patch in result.patches:
        if patch.classifications == ["Other"]:
            assert patch.installation_state == "NotSelected"
        else:
            assert patch.installation_state in ("Installed", "Excluded")


def test_an_excluded_package_stays_out_though_its_class_is_included(machines: Machines) -> None:
    # Microsoft's guide to managing VMs by program: exclusion wins over inclusion.
    for vm in machines.vms(os="Linux"):
        available = assess(vm).available_patches or []
        if len(available) < 2:
            continue
        name = available[0].name
        result = install(vm, wanted("Linux", package_name_masks_to_exclude=[name]))
        if result.status == "Succeeded":
            break
    else:
        pytest.fail("no machine to exclude a package on")
    states = {p.name: p.installation_state for p in result.patches}
    assert states[name] == "Excluded"
    assert result.excluded_patch_count >= 1
    assert result.installed_patch_count >= 1


def test_an_excluded_kb_stays_out_though_its_class_is_included(machines: Machines) -> None:
    for vm in machines.vms(os="Windows"):
        available = assess(vm).available_patches or []
        if not available:
            continue
        kb = available[0].kb_id.upper().removeprefix("KB")
        result = install(vm, wanted("Windows", kb_numbers_to_exclude=[f"KB{kb}"]))
        states = {p.kb_id.upper().removeprefix("KB"): p.installation_state for p in result.patches}
        assert states[kb] == "Excluded"
        return
    pytest.fail("no Windows machine lacks a patch")


def test_a_named_kb_is_added_to_the_classes(machines: Machines) -> None:
    for vm in machines.vms(os="Windows"):
        available = assess(vm).available_patches or []
        if len(available) < 2:
            continue
        kb = available[0].kb_id.upper().removeprefix("KB")
        result = install(vm, wanted("Windows", classes=[], kb_numbers_to_include=[f"KB{kb}"]))
        states = {p.kb_id.upper().removeprefix("KB"): p.installation_state for p in result.patches}
        assert states.pop(kb) in ("Installed", "Failed", "Pending")
        assert set(states.values()) <= {"NotSelected"}
        return
    pytest.fail("no Windows machine lacks two patches")


def test_a_patch_of_after_the_last_date_is_not_installed(machines: Machines) -> None:
    for vm in machines.vms(os="Windows"):
        dates = {p.patch_id: p.published_date for p in assess(vm).available_patches or []}
        known = sorted(date for date in dates.values() if date)
        if len(known) < 2 or known[0] == known[-1]:
            continue
        result = install(vm, wanted("Windows", max_patch_publish_date=known[0]))
        for patch in result.patches:
            if dates.get(patch.patch_id, known[0]) > known[0] + dt.timedelta(days=1):
                assert patch.installation_state in ("NotSelected", "Excluded"), patch.name
        return
    pytest.fail("no Windows machine lacks two patches of different dates")


def test_never_reboots_leaves_the_reboot_required(machines: Machines) -> None:
    for vm in machines.vms():
        available = assess(vm).available_patches or []
        if not any(p.reboot_behavior == "AlwaysRequiresReboot" for p in available):
            continue
        result = install(vm, wanted(vm.os, reboot="Never"))
        if result.status == "Succeeded":
            break
    else:
        pytest.skip("no machine lacks a patch that always needs a reboot")
    assert result.reboot_status == "Required"
    assert assess(vm).reboot_pending is True


def test_a_misformed_kb_is_refused_with_its_place(machines: Machines) -> None:
    # Recorded by the azure-cli test suite (test_vm_install_patches).
    vm = machines.plain(os="Windows")
    with pytest.raises(HttpResponseError) as caught:
        vm.clients.compute.virtual_machines.begin_install_patches(
            vm.group, vm.name, wanted("Windows", kb_numbers_to_include=["1111"])
        )
    error = caught.value
    assert error.status_code == 400
    assert error.error.code == "InvalidParameter"
    assert error.error.target == "windowsParameters.kbNumbersToInclude"


@pytest.mark.parametrize(
    "body",
    [
        {"maximumDuration": "PT1H"},
        {"maximumDuration": "PT1H", "rebootSetting": "NeverReboot"},
        {"maximumDuration": "an hour", "rebootSetting": "Never"},
        {
            "maximumDuration": "PT1H",
            "rebootSetting": "Never",
            "linuxParameters": {"classificationsToInclude": ["Urgent"]},
        },
    ],
)
def test_a_body_out_of_the_model_is_refused(machines: Machines, body: dict) -> None:
    # Microsoft's how-to pages say `NeverReboot`; the API knows IfRequired, Never, Always.
    vm = machines.plain(os="Linux")
    answer = vm.clients.raw("POST", f"{vm.id}/installPatches", version=COMPUTE_VERSION, json=body)
    assert answer.status == 400


def test_a_machine_that_is_off_is_neither_assessed_nor_patched(machines: Machines) -> None:
    # Microsoft's list of VM error codes has "The operation requires the VM to be running (or
    # set to run)." under OperationNotAllowed, which the service gives as 409 for a restart.
    # For the patch operations the code is not documented; the simulation gives the same.
    vm = deallocated(machines)
    operations = vm.clients.compute.virtual_machines
    for begin in (
        lambda: operations.begin_assess_patches(vm.group, vm.name),
        lambda: operations.begin_install_patches(vm.group, vm.name, wanted(vm.os)),
    ):
        with pytest.raises(HttpResponseError) as caught:
            begin()
        assert caught.value.status_code == 409
        assert caught.value.error.code == "OperationNotAllowed"


def test_two_installations_at_once_conflict(slow_machines: Machines) -> None:
    # The text that the service gives is in Azure/azure-cli#15765.
    vm = slow_machines.vm()
    operations = vm.clients.compute.virtual_machines
    operations.begin_install_patches(vm.group, vm.name, wanted(vm.os), polling=False)
    with pytest.raises(ResourceExistsError) as caught:
        operations.begin_install_patches(vm.group, vm.name, wanted(vm.os))
    assert caught.value.status_code == 409
    assert caught.value.error.code == "Conflict"


def test_an_operation_can_be_taken_up_from_its_token(machines: Machines) -> None:
    vm = machines.vm()
    operations = vm.clients.compute.virtual_machines
    token = operations.begin_assess_patches(vm.group, vm.name).continuation_token()
    again = operations.begin_assess_patches(vm.group, vm.name, continuation_token=token)
    assert again.result().assessment_activity_id


def test_every_ended_installation_adds_up(machines: Machines, azure: Clients) -> None:
    """A sweep over machines of every nature: all end, and each in a modelled way."""
    ended = []
    for vm, _ in zip(machines.vms(), range(12)):
        parameters: VirtualMachineInstallPatchesParameters = wanted(vm.os)
        try:
            result = install(vm, parameters)
        except HttpResponseError as error:
            assert error.error is not None and error.error.code
            ended.append(error.error.code)
            continue
        counts_match(result)
        ended.append(result.status)
        if result.status == "Succeeded":
            assert result.failed_patch_count == 0 and has_no_error(result)
    assert "Succeeded" in ended
