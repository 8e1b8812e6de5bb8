"""Replies of the simulation against recorded and published ones, field by field.

`PATCHKIT_SAMPLES` names a folder whose `azure/` holds the samples: traffic that the azure-cli
test suite recorded and the examples of Microsoft's API specifications. They are not part of
this repository, so that without the variable these tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterator

import pytest

from azure_graph import page
from azure_patching import installed_well
from azure_sim import Clients, Machines, agent_ready, group_of

pytestmark = pytest.mark.skipif(
    not os.environ.get("PATCHKIT_SAMPLES"), reason="PATCHKIT_SAMPLES does not name the samples"
)


def sample(name: str) -> dict[str, Any]:
    """Returns one sample file."""
    path = Path(os.environ["PATCHKIT_SAMPLES"]) / "azure" / name
    return json.loads(path.read_text(encoding="utf-8"))


def published(name: str) -> Any:
    """Returns the body that an example of the specification answers with."""
    return sample(name)["responses"]["200"]["body"]


def kind(value: Any) -> str:
    """Returns the JSON type of a value."""
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), "null")


def differences(
    theirs: Any, ours: Any, path: str = "$", *, optional: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yields where our reply has other keys, types or nesting than theirs.

    `optional` holds the paths that a reply may have or lack. A null on one side fits every type.
    """
    if "null" in (kind(theirs), kind(ours)):
        return
    if kind(theirs) != kind(ours):
        yield f"{path}: {kind(ours)} for {kind(theirs)}"
    elif isinstance(theirs, dict):
        for key in sorted(theirs.keys() ^ ours.keys()):
            if f"{path}.{key}" not in optional:
                yield f"{path}.{key}: {'missing' if key in theirs else 'not in the sample'}"
        for key in sorted(theirs.keys() & ours.keys()):
            yield from differences(theirs[key], ours[key], f"{path}.{key}", optional=optional)
    elif isinstance(theirs, list) and theirs:
        # Every row of ours is held against some row of theirs.
        for index, item in enumerate(ours):
            found = [
                list(differences(one, item, f"{path}[]", optional=optional)) for one in theirs
            ]
            best = min(found, key=len)
            yield from (f"row {index}: {line}" for line in best)


def alike(theirs: Any, ours: Any, *optional: str) -> None:
    """Fails with every difference."""
    found = list(differences(theirs, ours, optional=frozenset(optional)))
    assert not found, "\n".join(found)


def test_the_comparison_sees_what_differs() -> None:
    theirs = {"a": 1, "b": [{"c": "x"}], "d": None}
    assert not list(differences(theirs, {"a": 2, "b": [], "d": {"e": 1}}))
    assert list(differences(theirs, {"a": "2", "b": [{"C": "x"}]})) == [
        "$.d: missing",
        "$.a: string for number",
        "row 0: $.b[].C: not in the sample",
        "row 0: $.b[].c: missing",
    ]


def test_the_operation_of_an_installation_is_as_recorded(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Linux")
    polls = vm.clients.policy.since(0, "GET", "/operations/")
    # The first poll of the last operation, whose result is the last answer of all.
    number = polls[-1].path.rpartition("/")[2]
    running = next(p for p in polls if p.path.endswith(number))
    recorded = sample("RECORDED_azure-cli_installPatches_asyncop_InProgress.json")["response"]
    alike(recorded["body"], running.json())
    ended = polls[-2]
    recorded = sample("RECORDED_azure-cli_installPatches_asyncop_Succeeded.json")["response"]
    alike(recorded["body"], ended.json())
    for name in recorded["headers"]:
        assert ended.header(name), f"{name} is recorded on every poll"


def test_the_final_result_of_an_installation_is_as_recorded(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Linux")
    final = vm.clients.policy.since(0, "GET", "/operations/")[-1]
    recorded = sample("RECORDED_azure-cli_installPatches_final_Location_200.json")["response"]
    alike(recorded["body"], final.json())
    for name in recorded["headers"]:
        assert final.header(name), f"{name} is recorded on the final answer"


def test_a_windows_installation_is_as_published(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Windows")
    final = vm.clients.policy.since(0, "GET", "/operations/")[-1].json()
    # The example is older than the recording, which has the run id.
    alike(
        published("compute_2024-07-01_VirtualMachine_InstallPatches.json"),
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
        published("compute_2024-11-01_VirtualMachine_AssessPatches.json"),
        final,
        "$.availablePatches[].version",
    )


def test_an_instance_view_is_as_published(machines: Machines) -> None:
    vm, _ = installed_well(machines, "Windows")
    operations = vm.clients.compute.virtual_machines
    operations.begin_assess_patches(vm.group, vm.name).result()
    assert agent_ready(vm.view())
    alike(
        published("compute_2024-07-01_VirtualMachine_Get_InstanceView.json"),
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
        ("assessPatches", "hybridcompute_2025-01-13_Machine_AssessPatches.json"),
        ("installPatches", "hybridcompute_2024-07-10_Machine_InstallPatches.json"),
    ],
)
def test_an_arc_operation_is_as_published(machines: Machines, action: str, name: str) -> None:
    for clients, machine in machines.arc(os="windows"):
        operations, group = clients.hybrid.machines, group_of(machine.id)
        if action == "assessPatches":
            poller = operations.begin_assess_patches(group, machine.name)
        else:
            body = sample(name)["parameters"]["installPatchesInput"]
            poller = operations.begin_install_patches(group, machine.name, body)
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


def test_a_configuration_of_the_example_is_as_published(azure: Clients) -> None:
    theirs = published(
        "maintenance_2023-10-01-preview_MaintenanceConfigurations_GetForResource_GuestOSPatchLinux.json"
    )
    group = group_of(next(azure.compute.virtual_machines.list_all()).id)
    path = (
        f"/subscriptions/{azure.subscription}/resourcegroups/{group}"
        "/providers/Microsoft.Maintenance/maintenanceConfigurations/sample"
    )
    properties = json.loads(json.dumps(theirs["properties"]))
    # The guest-patching limit is 03:55 in Microsoft's guide; the example has more.
    properties["maintenanceWindow"]["duration"] = "03:00"
    properties["extensionProperties"] = {"InGuestPatchMode": "User"}
    body = {"location": theirs["location"], "properties": properties}
    put = azure.raw("PUT", path, version="2023-10-01-preview", json=body)
    assert put.status in (200, 201)
    ours = azure.raw("GET", path, version="2023-10-01-preview").json()
    alike(
        theirs, ours, "$.type", "$.tags", "$.systemData", "$.properties.extensionProperties"
    )
    assert ours["properties"] == properties
    azure.raw("DELETE", path, version="2023-10-01-preview")


def test_a_dynamic_scope_of_the_example_is_as_published(azure: Clients) -> None:
    name = "maintenance_2023-10-01-preview_ConfigurationAssignmentsForSubscriptions_UpdateForResource.json"
    theirs = published(name)
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
    body = json.loads(json.dumps(sample(name)["parameters"]["configurationAssignment"]))
    body["properties"]["maintenanceConfigurationId"] = configuration
    path = (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.Maintenance"
        "/configurationAssignments/sample"
    )
    put = azure.raw("PUT", path, version="2023-10-01-preview", json=body)
    assert put.status in (200, 201)
    ours = azure.raw("GET", path, version="2023-10-01-preview").json()
    alike(theirs, ours, "$.location", "$.systemData", "$.properties.filter.osTypes")
    assert ours["properties"]["filter"] == body["properties"]["filter"]
    azure.raw("DELETE", path, version="2023-10-01-preview")
    azure.raw("DELETE", configuration, version="2023-04-01")


def test_a_page_of_resource_graph_is_as_published(per_subscription: list[Clients]) -> None:
    theirs = published("resourcegraph_2024-04-01_ResourcesNextPageQuery.json")
    clients = per_subscription[0]
    page(
        clients,
        "Resources | where name contains '' | project id, name, type, location",
        subscriptions=[c.subscription for c in per_subscription],
        top=3,
    )
    alike(theirs, clients.policy.exchanges[-1].json())
