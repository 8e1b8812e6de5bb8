"""Power operations: pollers to their end, states in between, what changes nothing."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError

from azure_sim import Machines, Vm, agent_ready, eventually


def wait(poller) -> None:
    """Waits for an operation that has no result."""
    assert poller.result() is None
    assert poller.status().lower() == "succeeded"


def deallocate(vm: Vm) -> None:
    """Deallocates a machine and waits for it."""
    wait(vm.clients.compute.virtual_machines.begin_deallocate(vm.group, vm.name))


def test_a_machine_is_deallocated_and_started_again(machines: Machines) -> None:
    vm = machines.plain()
    operations = vm.clients.compute.virtual_machines
    deallocate(vm)
    view = vm.view()
    assert vm.power() == "deallocated"
    assert not agent_ready(view), "the agent of a machine that is off"
    wait(operations.begin_start(vm.group, vm.name))
    assert vm.power() == "running"
    eventually(vm.view, agent_ready)


def test_power_off_keeps_the_machine_allocated(machines: Machines) -> None:
    vm = machines.plain()
    operations = vm.clients.compute.virtual_machines
    wait(operations.begin_power_off(vm.group, vm.name))
    assert vm.power() == "stopped"
    wait(operations.begin_start(vm.group, vm.name))
    assert vm.power() == "running"


def test_power_off_can_skip_the_shutdown(machines: Machines) -> None:
    vm = machines.plain()
    wait(vm.clients.compute.virtual_machines.begin_power_off(vm.group, vm.name, skip_shutdown=True))
    assert vm.power() == "stopped"


def test_a_stopped_machine_can_be_deallocated(machines: Machines) -> None:
    vm = machines.plain()
    wait(vm.clients.compute.virtual_machines.begin_power_off(vm.group, vm.name))
    deallocate(vm)
    assert vm.power() == "deallocated"


def test_a_restart_ends_running(machines: Machines) -> None:
    vm = machines.plain()
    wait(vm.clients.compute.virtual_machines.begin_restart(vm.group, vm.name))
    assert vm.power() == "running"
    eventually(vm.view, agent_ready)


def test_starting_a_running_machine_changes_nothing(slow_machines: Machines) -> None:
    vm = slow_machines.vm()
    poller = vm.clients.compute.virtual_machines.begin_start(vm.group, vm.name)
    assert vm.power() == "running"
    wait(poller)
    assert vm.power() == "running"


def test_deallocating_twice_changes_nothing(machines: Machines) -> None:
    vm = machines.plain()
    deallocate(vm)
    deallocate(vm)
    assert vm.power() == "deallocated"


def test_the_states_in_between_show(slow_machines: Machines) -> None:
    vm = slow_machines.vm()
    operations = vm.clients.compute.virtual_machines
    stopping = operations.begin_deallocate(vm.group, vm.name)
    assert vm.power() == "deallocating"
    wait(stopping)
    starting = operations.begin_start(vm.group, vm.name)
    assert vm.power() == "starting"
    wait(starting)
    assert vm.power() == "running"


def test_restarting_a_deallocated_machine_is_not_allowed(machines: Machines) -> None:
    # Microsoft's list of VM error codes: OperationNotAllowed, "The operation requires the VM
    # to be running (or set to run)."; the service answers 409.
    vm = machines.plain()
    deallocate(vm)
    with pytest.raises(HttpResponseError) as caught:
        vm.clients.compute.virtual_machines.begin_restart(vm.group, vm.name)
    assert caught.value.status_code == 409
    assert caught.value.error.code == "OperationNotAllowed"
    assert vm.power() == "deallocated"
