"""Replies of the simulation against recorded and published ones, member by member.

Their outlines are kept: of traffic that the azure-cli test suite recorded, and of the examples of
Microsoft's API specifications.
"""

from __future__ import annotations

from typing import Any

import outline
import pytest

from azure_graph import page
from azure_patching import installed_well
from azure_sim import Clients, Machines, agent_ready, group_of

PREVIEW = "2023-10-01-preview"
INSTALLATION = {
    "maximumDuration": "PT2H",
    "rebootSetting": "IfRequired",
    "windowsParameters": {
        "classificationsToInclude": ["Security", "Updates"],
        "maxPatchPublishDate": "2035-01-01T00:00:00.0000000+00:00",
    },
}


def recorded(name: str) -> outline.Outline:
    """Returns the outline of a recorded answer, with its headers."""
    return outline.committed(f"azure/{name}").at("response")


def published(name: str) -> outline.Outline:
    """Returns the outline of the body that an example of the specification answers with."""
    return outline.committed(f"azure/{name}").at("responses.200.body")


def of_compute(name: str) -> outline.Outline:
    """Returns the outline of a published body, with times as the recorded traffic has them.

    There they have an offset and seven digits; the examples of the same operations write `Z`.
    """
    times = {"time, Z", "time, fraction, Z"}
    found = published(name).members.items()
    return outline.Outline(
        {path: ["time, fraction, offset" if it in times else it for it in of] for path, of in found}
    )


def asked(name: str, parameter: str) -> outline.Outline:
    """Returns the outline of the body that an example of the specification sends."""
    return outline.committed(f"azure/{name}").at(f"parameters.{parameter}")


def alike(theirs: outline.Outline, ours: Any, *optional: str) -> None:
    """Fails with every difference in members, kinds or nesting."""
    found = sorted(outline.differences(theirs, outline.of(ours), optional))
    assert not found, "\n".join(found)


def test_the_operation_of_an_installation_is_as_recorded(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Linux")
    polls = vm.clients.policy.since(0, "GET", "/operations/")
    # The first poll of the last operation, whose result is the last answer of all.
    number = polls[-1].path.rpartition("/")[2]
    running = next(p for p in polls if p.path.endswith(number))
    for poll, name in (
        (running, "recorded-installPatches-asyncop_InProgress"),
        (polls[-2], "recorded-installPatches-asyncop_Succeeded"),
    ):
        alike(recorded(name).at("body"), poll.json())
        missing = [it for it in recorded(name).at("headers").names() if not poll.header(it)]
        assert not missing, f"recorded on every poll: {missing}"


def test_the_final_result_of_an_installation_is_as_recorded(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Linux")
    final = vm.clients.policy.since(0, "GET", "/operations/")[-1]
    theirs = recorded("recorded-installPatches-final_Location_200")
    alike(theirs.at("body"), final.json())
    missing = [it for it in theirs.at("headers").names() if not final.header(it)]
    assert not missing, f"recorded on the final answer: {missing}"


def test_a_windows_installation_is_as_published(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Windows")
    final = vm.clients.policy.since(0, "GET", "/operations/")[-1].json()
    # The example is older than the recording, which has the run id.
    alike(
        of_compute("VirtualMachine_InstallPatches-2024-07-01"),
        final,
        "$.maintenanceRunId",
        "$.patches[].version",
    )


def test_an_assessment_is_as_published(machines: Machines) -> None:
    for vm in machines.vms(os="Windows"):
        operations = vm.clients.compute.virtual_machines
        operations.begin_assess_patches(vm.group, vm.name).result()
        final = vm.clients.policy.since(0, "GET", "/operations/")[-1].json()
        if final["availablePatches"]:
            break
    alike(
        of_compute("VirtualMachine_AssessPatches-2024-11-01"),
        final,
        "$.availablePatches[].version",
    )


def test_an_instance_view_is_as_published(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Windows")
    operations = vm.clients.compute.virtual_machines
    operations.begin_assess_patches(vm.group, vm.name).result()
    assert agent_ready(vm.view())
    alike(
        of_compute("VirtualMachine_Get_InstanceView-2024-07-01"),
        vm.clients.raw("GET", f"{vm.id}/instanceView").json(),
        # These depend on what a machine has, not on its patches.
        "$.platformUpdateDomain",
        "$.platformFaultDomain",
        "$.bootDiagnostics",
        "$.disks",
        "$.extensions",
        "$.isVMInStandbyPool",
        "$.vmAgent.extensionHandlers",
        "$.extensions[].statuses[].message",
        "$.statuses[].time",
        "$.statuses[].message",
        "$.disks[].statuses[].message",
        "$.vmAgent.statuses[].time",
        "$.vmAgent.statuses[].message",
        "$.patchStatus.configurationStatuses",
    )


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("assessPatches", "Machine_AssessPatches-2025-01-13"),
        ("installPatches", "Machine_InstallPatches-2024-07-10"),
    ],
)
def test_an_arc_operation_is_as_published(machines: Machines, action: str, name: str) -> None:
    for clients, machine in machines.arc(os="windows"):
        operations, group = clients.hybrid.machines, group_of(machine.id)
        if action == "assessPatches":
            poller = operations.begin_assess_patches(group, machine.name)
        else:
            alike(asked(name, "installPatchesInput"), INSTALLATION)
            poller = operations.begin_install_patches(group, machine.name, INSTALLATION)
        if poller.result().status == "Succeeded":
            break
    final = clients.policy.exchanges[-1].json()
    # `other` counts what Linux does not classify; `patchServiceUsed` came after the example.
    alike(
        published(name),
        final,
        "$.patchServiceUsed",
        "$.availablePatchCountByClassification.other",
    )


def test_a_configuration_is_as_published(azure: Clients) -> None:
    name = "MaintenanceConfigurations_GetForResource_GuestOSPatchLinux-2023-10-01-preview"
    group = group_of(next(azure.compute.virtual_machines.list_all()).id)
    path = (
        f"/subscriptions/{azure.subscription}/resourcegroups/{group}"
        "/providers/Microsoft.Maintenance/maintenanceConfigurations/sample"
    )
    properties = {
        "namespace": "Microsoft.Maintenance",
        "visibility": "Custom",
        "maintenanceScope": "InGuestPatch",
        "extensionProperties": {"InGuestPatchMode": "User"},
        "installPatches": {
            "rebootSetting": "IfRequired",
            "linuxParameters": {
                "classificationsToInclude": ["Security"],
                "packageNameMasksToInclude": ["openssl", "lib*"],
                "packageNameMasksToExclude": ["kernel*"],
            },
        },
        "maintenanceWindow": {
            "startDateTime": "2026-12-01 02:00",
            "expirationDateTime": "2036-12-01 00:00",
            "duration": "03:00",
            "timeZone": "UTC",
            "recurEvery": "2Weeks",
        },
    }
    body = {"location": "westeurope", "properties": properties}
    put = azure.raw("PUT", path, version=PREVIEW, json=body)
    assert put.status in (200, 201)
    ours = azure.raw("GET", path, version=PREVIEW).json()
    # The example is of a scope that needs no extension properties, and leaves out what every
    # resource has.
    optional = ["$.type", "$.tags", "$.systemData", "$.properties.extensionProperties"]
    alike(published(name), ours, *optional)
    assert ours["properties"] == properties
    azure.raw("DELETE", path, version=PREVIEW)


def test_a_dynamic_scope_is_as_published(azure: Clients) -> None:
    name = "ConfigurationAssignmentsForSubscriptions_UpdateForResource-2023-10-01-preview"
    vm = next(azure.compute.virtual_machines.list_all())
    group = group_of(vm.id)
    configuration = (
        f"/subscriptions/{azure.subscription}/resourcegroups/{group}"
        "/providers/Microsoft.Maintenance/maintenanceConfigurations/sample-scope"
    )
    window = {
        "startDateTime": "2026-12-01 02:00",
        "duration": "02:00",
        "timeZone": "UTC",
        "recurEvery": "Day",
    }
    made = azure.raw(
        "PUT",
        configuration,
        version="2023-04-01",
        json={
            "location": vm.location,
            "properties": {
                "maintenanceScope": "InGuestPatch",
                "extensionProperties": {"InGuestPatchMode": "User"},
                "installPatches": {"rebootSetting": "IfRequired"},
                "maintenanceWindow": window,
            },
        },
    )
    assert made.status in (200, 201)
    body = {
        "properties": {
            "filter": {
                "locations": ["westeurope", "northeurope"],
                "resourceGroups": [group],
                "resourceTypes": ["Microsoft.Compute/virtualMachines"],
                "tagSettings": {"filterOperator": "All", "tags": {"env": ["prod", "test"]}},
            },
            "maintenanceConfigurationId": configuration,
        }
    }
    alike(asked(name, "configurationAssignment"), body)
    path = (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.Maintenance"
        "/configurationAssignments/sample"
    )
    put = azure.raw("PUT", path, version=PREVIEW, json=body)
    assert put.status in (200, 201)
    ours = azure.raw("GET", path, version=PREVIEW).json()
    alike(published(name), ours, "$.location", "$.systemData")
    assert ours["properties"]["filter"] == body["properties"]["filter"]
    azure.raw("DELETE", path, version=PREVIEW)
    azure.raw("DELETE", configuration, version="2023-04-01")


def test_a_page_of_resource_graph_is_as_published(per_subscription: list[Clients]) -> None:
    clients = per_subscription[0]
    page(
        clients,
        "Resources | where name contains '' | project id, name, type, location",
        subscriptions=[c.subscription for c in per_subscription],
        top=3,
    )
    alike(published("ResourcesNextPageQuery-2024-04-01"), clients.policy.exchanges[-1].json())


def test_a_deallocation_is_as_published(machines: Machines) -> None:
    theirs = outline.committed("azure/VirtualMachine_Deallocate_MaximumSet_Gen-2024-07-01")
    vm = machines.plain()
    operations, policy = vm.clients.compute.virtual_machines, vm.clients.policy
    mark = len(policy.exchanges)
    operations.begin_deallocate(vm.group, vm.name).result()
    (accepted,) = policy.since(mark, "POST", "/deallocate")
    answers = theirs.at("responses")
    assert accepted.status == 202 and accepted.body == b""
    assert all(accepted.header(it) for it in answers.at("202").at("headers").names())
    # The example's other answer has nothing but its status.
    assert answers.at("200").names() == set()
    assert (policy.exchanges[-1].status, vm.power()) == (200, "deallocated")
    operations.begin_start(vm.group, vm.name).result()
