"""Arc machines: lists, one machine, assessment and installation that give counts only."""

from __future__ import annotations

from itertools import islice

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.hybridcompute.models import (
    LinuxParameters,
    MachineInstallPatchesParameters,
    WindowsParameters,
)

from azure_patching import MAXIMUM, TRIES
from azure_sim import Clients, Machines, group_of


def wanted(os: str) -> MachineInstallPatchesParameters:
    """Returns the parameters of an installation of all urgent patches."""
    classes = ["Critical", "Security"]
    parameters = (
        {"windows_parameters": WindowsParameters(classifications_to_include=classes)}
        if os == "windows"
        else {"linux_parameters": LinuxParameters(classifications_to_include=classes)}
    )
    return MachineInstallPatchesParameters(
        maximum_duration=MAXIMUM, reboot_setting="IfRequired", **parameters
    )


def test_every_arc_machine_has_its_identity(per_subscription: list[Clients]) -> None:
    seen: set[str] = set()
    for clients in per_subscription:
        for machine in clients.hybrid.machines.list_by_subscription():
            assert machine.type.lower() == "microsoft.hybridcompute/machines"
            assert machine.id.split("/")[2] == clients.subscription
            properties = machine.properties
            assert properties.status
            assert properties.vm_id and properties.vm_uuid
            assert properties.os_type.lower() in ("linux", "windows")
            assert properties.agent_version and properties.last_status_change
            assert machine.id.lower() not in seen
            seen.add(machine.id.lower())
    assert seen, "the world has no Arc machine"


def test_the_lists_of_all_groups_are_the_list_of_the_subscription(
    per_subscription: list[Clients],
) -> None:
    for clients in per_subscription:
        operations = clients.hybrid.machines
        whole = {m.id.lower() for m in operations.list_by_subscription()}
        groups = {group_of(i) for i in whole}
        assert {
            m.id.lower() for g in groups for m in operations.list_by_resource_group(g)
        } == whole


def test_one_machine_is_as_it_is_listed(machines: Machines) -> None:
    clients, machine = next(machines.arc())
    got = clients.hybrid.machines.get(group_of(machine.id), machine.name)
    assert got.properties.vm_uuid == machine.properties.vm_uuid
    assert (got.tags or {}) == (machine.tags or {})


@pytest.mark.parametrize("os", ["linux", "windows"])
def test_an_assessment_gives_counts(machines: Machines, os: str) -> None:
    for clients, machine in islice(machines.arc(os=os), TRIES):
        operations = clients.hybrid.machines
        group = group_of(machine.id)
        result = operations.begin_assess_patches(group, machine.name).result()
        if result.status == "Succeeded":
            break
    else:
        pytest.fail(f"no {os} machine was assessed")
    assert result.assessment_activity_id
    assert result.os_type.lower() == os
    assert result.started_by == "User"
    assert result.reboot_pending in (True, False)
    assert result.start_date_time <= result.last_modified_date_time
    counts = result.available_patch_count_by_classification
    assert counts.security >= 0 and counts.critical >= 0
    assert "availablePatches" not in clients.policy.exchanges[-1].json()


@pytest.mark.parametrize("os", ["linux", "windows"])
def test_an_installation_gives_counts(machines: Machines, os: str) -> None:
    ended = []
    for clients, machine in islice(machines.arc(os=os), TRIES):
        operations = clients.hybrid.machines
        group = group_of(machine.id)
        try:
            result = operations.begin_install_patches(group, machine.name, wanted(os)).result()
        except HttpResponseError as error:
            ended.append(error.error.code)
            continue
        ended.append(result.status)
        if result.status == "Succeeded":
            break
    else:
        pytest.fail(f"no {os} machine took its patches well: {ended}")
    assert result.installation_activity_id
    assert result.os_type.lower() == os
    assert result.failed_patch_count == 0
    assert result.reboot_status in ("NotNeeded", "Completed")
    assert result.maintenance_window_exceeded is False
    after = operations.begin_assess_patches(group, machine.name).result()
    counts = after.available_patch_count_by_classification
    assert (counts.security or 0) + (counts.critical or 0) == 0


def test_a_machine_that_lost_its_connection_is_not_assessed(machines: Machines) -> None:
    clients, machine = next(machines.arc(status="Disconnected"))
    with pytest.raises(HttpResponseError) as caught:
        clients.hybrid.machines.begin_assess_patches(group_of(machine.id), machine.name).result()
    assert caught.value.error is not None and caught.value.error.code


def test_a_duration_and_a_reboot_setting_are_required(machines: Machines) -> None:
    # azure-mgmt-hybridcompute: MachineInstallPatchesParameters requires both.
    clients, machine = next(machines.arc())
    for body in ({"rebootSetting": "Never"}, {"maximumDuration": "PT1H"}):
        answer = clients.raw(
            "POST", f"{machine.id}/installPatches", version="2025-01-13", json=body
        )
        assert answer.status == 400


def test_an_unknown_machine_is_not_found(machines: Machines) -> None:
    clients, machine = next(machines.arc())
    with pytest.raises(ResourceNotFoundError) as caught:
        clients.hybrid.machines.get(group_of(machine.id), "no-such-machine")
    assert caught.value.error.code == "ResourceNotFound"
