"""Resource groups and providers: what there is in a subscription, and who is asked for it."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceNotFoundError

from azure_sim import Clients, group_of


def test_a_resource_group_is_the_same_from_the_list_and_by_its_name(azure: Clients) -> None:
    operations = azure.resources.resource_groups
    listed = {group.name: group for group in operations.list()}
    assert {group_of(vm.id) for vm in azure.compute.virtual_machines.list_all()} <= listed.keys()
    for name, group in listed.items():
        got = operations.get(name.upper())
        assert (got.id, got.name, got.location) == (group.id, name, group.location)
    with pytest.raises(ResourceNotFoundError) as caught:
        operations.get("no-such-group")
    assert caught.value.error.code == "ResourceGroupNotFound"


def test_the_providers_are_those_that_are_asked(azure: Clients) -> None:
    found = {it.namespace: it for it in azure.resources.providers.list()}
    assert {"Microsoft.Compute", "Microsoft.HybridCompute", "Microsoft.Maintenance"} <= found.keys()
    assert {it.registration_state for it in found.values()} == {"Registered"}
    types = {it.resource_type for it in found["Microsoft.Compute"].resource_types}
    assert {"virtualMachines", "virtualMachineScaleSets"} <= types
