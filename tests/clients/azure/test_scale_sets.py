"""Scale sets: uniform machines live under their set, flexible ones are ordinary machines."""

from __future__ import annotations

import re

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.models import VirtualMachineScaleSet

from azure_sim import COMPUTE_VERSION, Clients, group_of, power_of


@pytest.fixture(scope="session")
def sets(per_subscription: list[Clients]) -> list[tuple[Clients, VirtualMachineScaleSet]]:
    """Returns every scale set of the world."""
    found = [
        (clients, one)
        for clients in per_subscription
        for one in clients.compute.virtual_machine_scale_sets.list_all()
    ]
    assert found, "the world has no scale set"
    return found


def of_mode(sets, mode: str) -> tuple[Clients, VirtualMachineScaleSet]:
    """Returns one scale set of this orchestration mode."""
    for clients, one in sets:
        if one.properties.orchestration_mode == mode:
            return clients, one
    pytest.fail(f"the world has no {mode} scale set")


class Machine:
    """One machine of a uniform set, and what can be done with it."""

    def __init__(self, sets) -> None:
        self.clients, one = of_mode(sets, "Uniform")
        self.operations = self.clients.compute.virtual_machine_scale_set_vms
        self.place = (group_of(one.id), one.name)
        self.one = next(self.operations.list(*self.place))
        self.place += (self.one.instance_id,)

    def power(self) -> str:
        return power_of(self.operations.get_instance_view(*self.place))


@pytest.fixture
def machine(sets) -> Machine:
    return Machine(sets)


def test_a_set_is_the_same_from_every_list(sets) -> None:
    for clients, one in sets:
        operations = clients.compute.virtual_machine_scale_sets
        got = operations.get(group_of(one.id), one.name)
        assert got.id == one.id
        assert got.properties.orchestration_mode in ("Uniform", "Flexible")
        assert one.id in {other.id for other in operations.list(group_of(one.id))}
        assert got.sku.capacity >= 1


def test_a_uniform_set_counts_its_machines(sets) -> None:
    clients, one = of_mode(sets, "Uniform")
    group = group_of(one.id)
    members = list(clients.compute.virtual_machine_scale_set_vms.list(group, one.name))
    assert len(members) == one.sku.capacity
    for member in members:
        assert member.instance_id.isdecimal()
        assert member.name == f"{one.name}_{member.instance_id}"
        assert member.type == "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"
    view = clients.compute.virtual_machine_scale_sets.get_instance_view(group, one.name)
    assert sum(s.count for s in view.virtual_machine.statuses_summary) >= len(members)


def test_a_uniform_machine_has_its_own_instance_view(sets) -> None:
    clients, one = of_mode(sets, "Uniform")
    group = group_of(one.id)
    operations = clients.compute.virtual_machine_scale_set_vms
    listed = list(operations.list(group, one.name, expand="instanceView"))
    for member in listed:
        view = operations.get_instance_view(group, one.name, member.instance_id)
        assert power_of(view) == power_of(member.properties.instance_view)
        assert operations.get(group, one.name, member.instance_id).id == member.id


def test_a_uniform_machine_is_stopped_and_started(machine) -> None:
    machine.operations.begin_deallocate(*machine.place).result()
    assert machine.power() == "deallocated"
    machine.operations.begin_start(*machine.place).result()
    assert machine.power() == "running"


def test_a_uniform_machine_is_powered_off_and_restarted(machine) -> None:
    for skip in (False, True):
        machine.operations.begin_power_off(*machine.place, skip_shutdown=skip).result()
        assert machine.power() == "stopped"
        machine.operations.begin_start(*machine.place).result()
        assert machine.power() == "running"
    machine.operations.begin_restart(*machine.place).result()
    assert machine.power() == "running"


def test_a_uniform_machine_that_is_deallocated_is_not_restarted(machine) -> None:
    # As an ordinary machine: Microsoft's list of VM error codes, OperationNotAllowed.
    machine.operations.begin_deallocate(*machine.place).result()
    with pytest.raises(HttpResponseError) as caught:
        machine.operations.begin_restart(*machine.place)
    assert (caught.value.status_code, caught.value.error.code) == (409, "OperationNotAllowed")
    machine.operations.begin_start(*machine.place).result()


def test_a_uniform_machine_has_no_patch_operations(machine) -> None:
    answer = machine.clients.raw("POST", f"{machine.one.id}/assessPatches", version=COMPUTE_VERSION)
    assert 400 <= answer.status < 500


def test_a_uniform_machine_is_in_no_list_of_virtual_machines(sets) -> None:
    clients, one = of_mode(sets, "Uniform")
    operations = clients.compute.virtual_machine_scale_set_vms
    names = {m.name.lower() for m in operations.list(group_of(one.id), one.name)}
    assert not names & {vm.name.lower() for vm in clients.compute.virtual_machines.list_all()}


def test_a_flexible_machine_is_an_ordinary_one_that_names_its_set(sets) -> None:
    clients, one = of_mode(sets, "Flexible")
    members = [
        vm
        for vm in clients.compute.virtual_machines.list_all()
        if vm.properties.virtual_machine_scale_set
        and vm.properties.virtual_machine_scale_set.id.lower() == one.id.lower()
    ]
    assert members
    for member in members:
        assert re.fullmatch(rf"{re.escape(one.name)}_[0-9a-f]{{8}}", member.name)
        assert member.type == "Microsoft.Compute/virtualMachines"


def test_the_machines_of_one_set_are_listed_by_the_filter_with_their_views(sets) -> None:
    clients, one = of_mode(sets, "Flexible")
    operations = clients.compute.virtual_machines
    wanted = f"'virtualMachineScaleSet/id' eq '{one.id}'"
    members = list(operations.list_all(filter=wanted, expand="instanceView"))
    assert members
    for member in members:
        assert member.properties.virtual_machine_scale_set.id.lower() == one.id.lower()
        assert power_of(member.properties.instance_view)
    in_group = list(operations.list(group_of(one.id), filter=wanted))
    assert {m.id for m in in_group} == {m.id for m in members}
