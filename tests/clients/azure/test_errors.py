"""What is not served or not right answers in ARM's error format, never otherwise."""

from __future__ import annotations

import uuid

import pytest

from azure_sim import COMPUTE_VERSION, Clients, Machines, group_of
from azure_strict import Exchange


def code(answer: Exchange) -> str:
    """Returns the code of an error; its envelope was checked when it came."""
    return answer.json()["error"]["code"]


@pytest.fixture(scope="module")
def group(azure: Clients) -> str:
    """Returns the path of a resource group with machines."""
    name = group_of(next(azure.compute.virtual_machines.list_all()).id)
    return f"/subscriptions/{azure.subscription}/resourceGroups/{name}"


def test_an_api_version_is_required(azure: Clients, group: str) -> None:
    for path in (
        f"{group}/providers/Microsoft.Compute/virtualMachines",
        f"{group}/providers/Microsoft.HybridCompute/machines",
        f"{group}/providers/Microsoft.Maintenance/maintenanceConfigurations",
    ):
        answer = azure.raw("GET", path, version=None)
        assert answer.status == 400
        assert code(answer) == "MissingApiVersionParameter"
    answer = azure.raw(
        "POST", "/providers/Microsoft.ResourceGraph/resources", version=None, json={}
    )
    assert (answer.status, code(answer)) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize("version", ["latest", "2024", "2024-13-99", ""])
def test_a_misformed_api_version_is_refused(azure: Clients, group: str, version: str) -> None:
    answer = azure.raw(
        "GET", f"{group}/providers/Microsoft.Compute/virtualMachines", version=version
    )
    assert answer.status == 400
    assert code(answer) in ("InvalidApiVersionParameter", "MissingApiVersionParameter")


@pytest.mark.parametrize("version", ["2024-07-01", "2024-11-01", "2026-04-01"])
def test_the_api_versions_in_use_give_one_machine_alike(
    azure: Clients, machines: Machines, version: str
) -> None:
    vm = machines.plain()
    answer = vm.clients.raw("GET", vm.id, version=version)
    assert answer.status == 200
    assert answer.json()["properties"]["vmId"] == vm.model.properties.vm_id


def test_an_unknown_subscription_is_not_found(azure: Clients) -> None:
    answer = azure.raw(
        "GET",
        "/subscriptions/00000000-0000-4000-8000-00000000dead"
        "/providers/Microsoft.Compute/virtualMachines",
    )
    assert (answer.status, code(answer)) == (404, "SubscriptionNotFound")


def test_an_unknown_resource_is_not_found_by_its_name(azure: Clients, group: str) -> None:
    answer = azure.raw("GET", f"{group}/providers/Microsoft.Compute/virtualMachines/none")
    assert (answer.status, code(answer)) == (404, "ResourceNotFound")
    assert "Microsoft.Compute/virtualMachines/none" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "{group}/providers/Microsoft.Compute/disks"),
        ("GET", "{group}/providers/Microsoft.Sql/servers"),
        ("GET", "{group}/providers/No.Such/things"),
        ("POST", "{vm}/redeploy"),
        ("POST", "{vm}/noSuchAction"),
        ("PUT", "{vm}"),
        ("DELETE", "{vm}"),
        ("OPTIONS", "{vm}/instanceView"),
        ("GET", "/"),
        ("GET", "/favicon.ico"),
        ("GET", "/subscriptions"),
        ("GET", "/subscriptions/../../etc/passwd"),
        ("GET", "/%00"),
    ],
)
def test_what_is_not_served_says_so_in_arms_format(
    azure: Clients, group: str, machines: Machines, method: str, path: str
) -> None:
    vm = next(azure.compute.virtual_machines.list_all())
    answer = azure.raw(method, path.format(group=group, vm=vm.id))
    # Some of these the simulation may come to serve; none may answer in another form.
    assert answer.status < 300 or answer.status in (400, 404, 405, 501)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xfe", b'"text"'])
def test_a_body_that_is_no_object_is_refused(machines: Machines, body: bytes) -> None:
    vm = machines.plain()
    answer = vm.clients.raw(
        "POST",
        f"{vm.id}/installPatches",
        version=COMPUTE_VERSION,
        data=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 400
    assert code(answer)


def test_each_answer_has_an_id_of_its_own(azure: Clients, group: str) -> None:
    path = f"{group}/providers/Microsoft.Compute/virtualMachines"
    answers = [azure.raw("GET", path) for _ in range(3)]
    assert len({answer.header("x-ms-request-id") for answer in answers}) == 3


def test_the_callers_correlation_id_comes_back(azure: Clients, group: str) -> None:
    mine = str(uuid.uuid4())
    answer = azure.raw(
        "GET",
        f"{group}/providers/Microsoft.Compute/virtualMachines",
        headers={"x-ms-correlation-request-id": mine},
    )
    assert answer.header("x-ms-correlation-request-id") == mine


def test_reads_and_writes_tell_what_is_left(azure: Clients, machines: Machines) -> None:
    vm = machines.plain()
    read = vm.clients.raw("GET", vm.id)
    assert int(read.header("x-ms-ratelimit-remaining-subscription-reads")) >= 0
    write = vm.clients.raw("POST", f"{vm.id}/start")
    assert int(write.header("x-ms-ratelimit-remaining-subscription-writes")) >= 0


def test_the_resource_groups_are_those_of_the_machines(azure: Clients) -> None:
    listed = {g.name.lower() for g in azure.resources.resource_groups.list()}
    assert {group_of(v.id).lower() for v in azure.compute.virtual_machines.list_all()} <= listed
