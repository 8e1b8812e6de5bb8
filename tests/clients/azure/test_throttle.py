"""Throttles of the compute provider: buckets per machine that refill by the minute."""

from __future__ import annotations

import json
import time

import pytest
from azure.core.exceptions import HttpResponseError

from azure_sim import COMPUTE_VERSION, Machines

# Microsoft's compute throttling limits, policy "VM guest patch": 2 a minute, at most 6 saved.
CAPACITY = 6
REFILL_S = 30
SLOW_SPEED = 20


def test_a_seventh_patch_operation_is_throttled_until_the_bucket_refills(
    slow_machines: Machines,
) -> None:
    vm = slow_machines.vm()
    # The azure-cli test suite recorded that a refused request takes its token too, so that the
    # bucket can be emptied without running anything.
    refused = {"rebootSetting": "No"}
    path = f"{vm.id}/installPatches"
    left = []
    for _ in range(CAPACITY):
        answer = vm.clients.raw("POST", path, version=COMPUTE_VERSION, json=refused)
        assert answer.status == 400
        limits = answer.header("x-ms-ratelimit-remaining-resource")
        left.append(int(limits.rpartition("VMGuestPatchOperationResource;")[2]))
    assert left[0] == CAPACITY - 1
    assert left == sorted(left, reverse=True)

    # Time goes on while the bucket is emptied, so that one more may have dripped in.
    for _ in range(3):
        answer = vm.clients.raw("POST", path, version=COMPUTE_VERSION, json=refused)
        if answer.status == 429:
            break
    assert answer.status == 429
    wait = int(answer.header("retry-after"))
    assert 1 <= wait <= REFILL_S
    error = answer.json()["error"]
    assert error["code"] in ("OperationNotAllowed", "TooManyRequests")
    [detail] = [d for d in error["details"] if d["code"] == "TooManyRequests"]
    assert detail["target"].startswith("VMGuestPatch")
    told = json.loads(detail["message"])
    assert told["operationGroup"] == detail["target"]
    assert told["measuredRequestCount"] > told["allowedRequestCount"]

    operations = vm.clients.compute_once.virtual_machines
    with pytest.raises(HttpResponseError) as caught:
        operations.begin_assess_patches(vm.group, vm.name)
    assert caught.value.status_code == 429
    assert caught.value.error.code == error["code"]

    # Other machines and other operations of this one are not held back.
    assert vm.power() == "running"
    time.sleep(wait / SLOW_SPEED + 0.5)
    assert operations.begin_assess_patches(vm.group, vm.name).result().status


def test_the_client_waits_as_told_and_gets_through(slow_machines: Machines) -> None:
    vm = slow_machines.vm()
    for _ in range(CAPACITY + 3):
        answer = vm.clients.raw(
            "POST", f"{vm.id}/installPatches", version=COMPUTE_VERSION, json={"rebootSetting": "No"}
        )
        if answer.status == 429:
            break
    assert answer.status == 429
    # The client waits by its own clock, not the simulated one: let most of the time go first.
    time.sleep(max(0, int(answer.header("retry-after")) - 4) / SLOW_SPEED)
    mark = len(vm.clients.policy.exchanges)
    operations = vm.clients.compute.virtual_machines
    poller = operations.begin_assess_patches(vm.group, vm.name)
    sent = [e.status for e in vm.clients.policy.since(mark, "POST", "/assesspatches")]
    assert sent[-1] == 202
    assert set(sent[:-1]) <= {429}
    assert poller.result().assessment_activity_id
