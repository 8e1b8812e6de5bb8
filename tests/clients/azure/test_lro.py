"""The protocol of long-running operations, by plain HTTP."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from azure_sim import COMPUTE_VERSION, Machines, Vm, eventually
from azure_strict import Exchange

ADDRESS = re.compile(
    r"/subscriptions/[0-9a-f-]+/providers/Microsoft\.Compute/locations/[^/]+/operations/[0-9a-f-]{36}"
)
# The azure-cli test suite recorded these on the answer to installPatches and on its polls.
PATCH_LIMIT = re.compile(
    r"Microsoft\.Compute/VMGuestPatchOperationSubscriptionMaximum;\d+,"
    r"Microsoft\.Compute/VMGuestPatchOperationResource;\d+"
)
POLL_LIMIT = re.compile(r"Microsoft\.Compute/GetOperation\w+;\d+(,Microsoft\.Compute/\w+;\d+)*")


def accepted(vm: Vm, action: str, **more) -> Exchange:
    """Starts an operation and returns the answer that accepted it."""
    answer = vm.clients.raw("POST", f"{vm.id}/{action}", version=COMPUTE_VERSION, **more)
    assert answer.status == 202, answer.body
    assert answer.body == b""
    return answer


def poll(vm: Vm, answer: Exchange, header: str = "azure-asyncoperation") -> Exchange:
    """Reads one of the two addresses, followed as it stands."""
    return vm.clients.raw("GET", answer.header(header), version=None)


def test_an_accepted_assessment_answers_nothing_but_two_addresses(machines: Machines) -> None:
    vm = machines.vm()
    answer = accepted(vm, "assessPatches")
    assert answer.header("content-type") is None
    assert answer.header("retry-after") is None
    assert answer.header("azure-asyncnotification") == "Enabled"
    assert PATCH_LIMIT.fullmatch(answer.header("x-ms-ratelimit-remaining-resource"))
    assert int(answer.header("x-ms-ratelimit-remaining-subscription-writes")) >= 0
    status, location = answer.header("azure-asyncoperation"), answer.header("location")
    for address in (status, location):
        assert ADDRESS.fullmatch(urlsplit(address).path)
        assert parse_qs(urlsplit(address).query)["api-version"] == [COMPUTE_VERSION]
    assert urlsplit(status).path == urlsplit(location).path
    assert "monitor=true" in location
    assert "monitor=true" not in status


def test_an_assessment_goes_from_in_progress_to_one_result_on_both_addresses(
    slow_machines: Machines,
) -> None:
    vm = slow_machines.vm()
    answer = accepted(vm, "assessPatches")

    running = poll(vm, answer)
    assert running.status == 200
    assert running.header("retry-after") is None
    assert POLL_LIMIT.fullmatch(running.header("x-ms-ratelimit-remaining-resource"))
    body = running.json()
    assert body.keys() == {"startTime", "status", "name"}
    assert body["status"] == "InProgress"
    assert urlsplit(answer.header("azure-asyncoperation")).path.endswith(body["name"])

    unfinished = poll(vm, answer, "location")
    assert (unfinished.status, unfinished.body) == (202, b"")

    ended = eventually(
        lambda: poll(vm, answer).json(), lambda body: body["status"] != "InProgress", 60
    )
    assert ended["status"] == "Succeeded"
    assert ended["name"] == body["name"]
    assert ended["startTime"] == body["startTime"] < ended["endTime"]
    output = ended["properties"]["output"]
    assert output["assessmentActivityId"] == ended["name"]

    final = poll(vm, answer, "location")
    assert final.status == 200
    assert final.json() == output
    # The addresses are read as often as a client likes.
    assert poll(vm, answer, "location").json() == output
    assert poll(vm, answer).json() == ended


@pytest.mark.parametrize("action", ["powerOff", "start", "restart", "deallocate"])
def test_a_power_operation_ends_without_a_result(machines: Machines, action: str) -> None:
    vm = machines.plain()
    if action == "start":
        vm.clients.compute.virtual_machines.begin_deallocate(vm.group, vm.name).result()
    answer = accepted(vm, action)
    ended = eventually(
        lambda: poll(vm, answer).json(), lambda body: body["status"] != "InProgress"
    )
    assert ended["status"] == "Succeeded"
    assert not (ended.get("properties") or {}).get("output")
    final = poll(vm, answer, "location")
    assert final.status in (200, 204)
    assert final.body == b""


def test_an_operation_without_its_subscription_or_number_is_not_found(machines: Machines) -> None:
    vm = machines.vm()
    answer = accepted(vm, "assessPatches")
    address = answer.header("azure-asyncoperation")
    number = urlsplit(address).path.rpartition("/")[2]
    unknown = address.replace(number, "00000000-0000-4000-8000-000000000000")
    assert vm.clients.raw("GET", unknown, version=None).status == 404


def test_a_refused_installation_starts_nothing(machines: Machines) -> None:
    vm = machines.vm()
    answer = vm.clients.raw(
        "POST", f"{vm.id}/installPatches", version=COMPUTE_VERSION, json={"rebootSetting": "No"}
    )
    assert answer.status == 400
    assert answer.header("azure-asyncoperation") is None
    # Nothing runs, so that the next one is accepted.
    accepted(vm, "assessPatches")
