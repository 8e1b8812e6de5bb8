"""Maintenance configurations, their assignments to machines, and dynamic scopes."""

from __future__ import annotations

import json
from typing import Iterator

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.maintenance.models import (
    ConfigurationAssignment,
    ConfigurationAssignmentFilterProperties,
    InputLinuxParameters,
    InputPatchConfiguration,
    InputWindowsParameters,
    MaintenanceConfiguration,
    TagSettingsProperties,
)

from azure_graph import maintenance_runs, page, rows
from azure_settings import customer_managed
from azure_sim import Clients, Machines, SimCredential, eventually, group_of
from azure_strict import Strict


def schedule(location: str, **changes) -> MaintenanceConfiguration:
    """Returns a schedule of guest patching: every second Tuesday night."""
    values = {
        "location": location,
        "tags": {"made": "by test"},
        "extension_properties": {"InGuestPatchMode": "User"},
        "maintenance_scope": "InGuestPatch",
        "visibility": "Custom",
        "install_patches": InputPatchConfiguration(
            reboot_setting="IfRequired",
            windows_parameters=InputWindowsParameters(
                classifications_to_include=["Critical", "Security"],
                kb_numbers_to_exclude=["KB4512508"],
            ),
            linux_parameters=InputLinuxParameters(
                classifications_to_include=["Critical", "Security"],
                package_name_masks_to_exclude=["kernel*"],
            ),
        ),
        "start_date_time": "2026-12-01 02:00",
        "expiration_date_time": "9999-12-31 23:59",
        "duration": "03:00",
        "time_zone": "W. Europe Standard Time",
        "recur_every": "Month Second Tuesday",
    }
    return MaintenanceConfiguration(**{**values, **changes})


class Place:
    """A subscription and one of its groups, to put configurations into."""

    def __init__(self, clients: Clients) -> None:
        vm = next(clients.compute.virtual_machines.list_all())
        self.clients = clients
        self.group = group_of(vm.id)
        self.location = vm.location
        self.configurations = clients.maintenance.maintenance_configurations

    def create(self, name: str, **changes) -> MaintenanceConfiguration:
        """Puts one configuration."""
        return self.configurations.create_or_update(
            self.group, name, schedule(self.location, **changes)
        )


@pytest.fixture(scope="module")
def place(azure: Clients) -> Place:
    """Returns where configurations are made."""
    return Place(azure)


@pytest.fixture
def configuration(
    place: Place, request: pytest.FixtureRequest
) -> Iterator[MaintenanceConfiguration]:
    """Returns a configuration of the test's own, gone afterwards."""
    name = f"c{abs(hash(request.node.name)) % 10**8}"
    yield place.create(name)
    place.configurations.delete(place.group, name)


def assignment(configuration: MaintenanceConfiguration, **more) -> ConfigurationAssignment:
    """Returns an assignment of a configuration."""
    return ConfigurationAssignment(
        location=configuration.location, maintenance_configuration_id=configuration.id, **more
    )


def same(one: MaintenanceConfiguration, other: MaintenanceConfiguration) -> bool:
    """Tells whether two configurations are one, whatever the case of their ids."""
    left, right = one.as_dict(), other.as_dict()
    for values in (left, right):
        values.pop("system_data", None)
        values["id"] = values["id"].lower()
    return left == right


def test_a_configuration_comes_back_as_it_was_put(place: Place) -> None:
    made = place.create("round-trip")
    assert made.id.lower().endswith(
        "/providers/microsoft.maintenance/maintenanceconfigurations/round-trip"
    )
    assert made.name == "round-trip"
    assert made.type.lower() == "microsoft.maintenance/maintenanceconfigurations"
    asked = schedule(place.location).as_dict()
    got = place.configurations.get(place.group, "round-trip")
    assert {key: got.as_dict().get(key) for key in asked} == asked
    assert same(got, made)
    place.configurations.delete(place.group, "round-trip")


def test_the_first_put_creates_and_the_second_replaces(place: Place) -> None:
    place.create("twice")
    place.create("twice", duration="02:00")
    puts = place.clients.policy.since(0, "PUT", "/maintenanceconfigurations/twice")
    assert [put.status for put in puts] == [201, 200]
    assert place.configurations.get(place.group, "twice").duration == "02:00"
    place.configurations.delete(place.group, "twice")


def test_a_configuration_is_in_the_lists(place: Place, configuration) -> None:
    of_subscription = list(place.configurations.list())
    of_group = list(
        place.clients.maintenance.maintenance_configurations_for_resource_group.list(place.group)
    )
    for listed in (of_subscription, of_group):
        assert [c for c in listed if same(c, configuration)]


def test_an_update_changes_what_it_names(place: Place, configuration) -> None:
    updated = place.configurations.update(
        place.group, configuration.name, MaintenanceConfiguration(duration="01:30")
    )
    assert updated.duration == "01:30"
    got = place.configurations.get(place.group, configuration.name)
    assert got.duration == "01:30"
    assert got.recur_every == "Month Second Tuesday"
    assert got.install_patches.reboot_setting == "IfRequired"


def test_a_deleted_configuration_is_gone(place: Place) -> None:
    place.create("short-lived")
    place.configurations.delete(place.group, "short-lived")
    with pytest.raises(ResourceNotFoundError) as caught:
        place.configurations.get(place.group, "short-lived")
    assert caught.value.error.code
    # A second delete finds nothing to do: 204.
    place.configurations.delete(place.group, "short-lived")
    assert place.clients.policy.exchanges[-1].status == 204


@pytest.mark.parametrize(
    "changes",
    [
        # Azure/bicep#8959: guest patching needs InGuestPatchMode in extensionProperties.
        {"extension_properties": None},
        {"maintenance_scope": "Guest"},
        {"duration": "three hours"},
        {"recur_every": "Sometimes"},
        {"time_zone": "Europe/Berlin"},
        {"start_date_time": "tomorrow"},
    ],
)
def test_a_configuration_that_could_not_run_is_refused(place: Place, changes: dict) -> None:
    with pytest.raises(HttpResponseError) as caught:
        place.create("refused", **changes)
    assert caught.value.status_code == 400
    assert caught.value.error.code


@pytest.mark.parametrize(
    "recur_every",
    [
        "Day",
        "3Days",
        "Week Saturday,Sunday",
        "2Weeks Monday",
        "Month day23,day24",
        "Month Fourth Monday",
        "Month Third Sunday Offset6",
    ],
)
def test_every_documented_recurrence_is_taken(place: Place, recur_every: str) -> None:
    made = place.create("recurrence", recur_every=recur_every)
    assert made.recur_every == recur_every
    place.configurations.delete(place.group, "recurrence")


def test_a_machine_is_assigned_and_shows_in_the_graph(
    place: Place, configuration, machines: Machines
) -> None:
    vm = next(v for v in machines.vms() if v.clients is place.clients)
    vm.clients.compute.virtual_machines.begin_update(
        vm.group, vm.name, customer_managed(vm)
    ).result()
    operations = vm.clients.maintenance.configuration_assignments
    machine = (vm.group, "Microsoft.Compute", "virtualMachines", vm.name)
    made = operations.create_or_update(
        *machine, "nightly", assignment(configuration, resource_id=vm.id)
    )
    assert made.name == "nightly"
    assert made.maintenance_configuration_id.lower() == configuration.id.lower()
    assert made.resource_id.lower() == vm.id.lower()
    got = operations.get(*machine, "nightly")
    assert got.id.lower() == made.id.lower()
    assert [a.name for a in operations.list(*machine)] == ["nightly"]

    query = (
        "maintenanceresources | where type =~ 'microsoft.maintenance/configurationassignments'"
        f" | where tostring(properties.resourceId) =~ '{vm.id}'"
        " | project id, name, configuration = tostring(properties.maintenanceConfigurationId)"
    )
    [row] = eventually(lambda: rows(vm.clients, query), lambda found: len(found) == 1)
    assert row["configuration"].lower() == configuration.id.lower()

    # No run yet: the documented query is answered, by nothing.
    assert page(vm.clients, maintenance_runs(vm.id)).data == []

    operations.delete(*machine, "nightly")
    assert list(operations.list(*machine)) == []
    with pytest.raises(ResourceNotFoundError):
        operations.get(*machine, "nightly")


def test_an_arc_machine_is_assigned(place: Place, configuration, machines: Machines) -> None:
    clients, machine = next(machines.arc())
    if clients is not place.clients:
        pytest.skip("the Arc machine is in another subscription than the configuration")
    operations = clients.maintenance.configuration_assignments
    address = (group_of(machine.id), "Microsoft.HybridCompute", "machines", machine.name)
    made = operations.create_or_update(*address, "arc", assignment(configuration))
    assert made.maintenance_configuration_id.lower() == configuration.id.lower()
    assert operations.get(*address, "arc").name == "arc"
    operations.delete(*address, "arc")


def test_an_assignment_of_an_unknown_configuration_is_refused(
    place: Place, machines: Machines
) -> None:
    vm = next(v for v in machines.vms() if v.clients is place.clients)
    missing = ConfigurationAssignment(
        location=vm.model.location,
        maintenance_configuration_id=(
            f"/subscriptions/{place.clients.subscription}/resourceGroups/{place.group}"
            "/providers/Microsoft.Maintenance/maintenanceConfigurations/none"
        ),
    )
    with pytest.raises(HttpResponseError) as caught:
        place.clients.maintenance.configuration_assignments.create_or_update(
            vm.group, "Microsoft.Compute", "virtualMachines", vm.name, "missing", missing
        )
    assert 400 <= caught.value.status_code < 500


def filtered(place: Place, **more) -> ConfigurationAssignmentFilterProperties:
    """Returns the filter of a dynamic scope: by system, place and tag."""
    return ConfigurationAssignmentFilterProperties(
        resource_types=["Microsoft.Compute/virtualMachines", "Microsoft.HybridCompute/machines"],
        os_types=["Linux"],
        locations=[place.location],
        tag_settings=TagSettingsProperties(
            filter_operator="All", tags={"PatchGroup": ["linux", "appa"]}
        ),
        **more,
    )


def test_a_dynamic_scope_of_a_subscription(place: Place, configuration) -> None:
    operations = place.clients.maintenance.configuration_assignments_for_subscriptions
    wanted = filtered(place, resource_groups=[place.group])
    made = operations.create_or_update("dynamic", assignment(configuration, filter=wanted))
    assert made.filter.as_dict() == wanted.as_dict()
    assert made.resource_id.lower() == f"/subscriptions/{place.clients.subscription}".lower()
    got = operations.get("dynamic")
    assert got.filter.as_dict() == wanted.as_dict()
    everything = place.clients.maintenance.configuration_assignments_within_subscription
    assert "dynamic" in [a.name for a in everything.list()]

    wanted.os_types = ["Windows"]
    updated = operations.update("dynamic", assignment(configuration, filter=wanted))
    assert updated.filter.os_types == ["Windows"]
    operations.delete("dynamic")
    with pytest.raises(ResourceNotFoundError):
        operations.get("dynamic")


def test_a_dynamic_scope_of_a_group(place: Place, configuration) -> None:
    operations = place.clients.maintenance.configuration_assignments_for_resource_group
    wanted = filtered(place)
    made = operations.create_or_update(
        place.group, "dynamic", assignment(configuration, filter=wanted)
    )
    assert made.filter.as_dict() == wanted.as_dict()
    assert group_of(made.resource_id).lower() == place.group.lower()
    assert operations.get(place.group, "dynamic").filter.tag_settings.filter_operator == "All"
    operations.delete(place.group, "dynamic")
    with pytest.raises(ResourceNotFoundError):
        operations.get(place.group, "dynamic")


def test_no_configuration_is_public(place: Place) -> None:
    # Public ones are of scopes that the platform itself serves, which are not simulated.
    assert list(place.clients.maintenance.public_maintenance_configurations.list()) == []


def test_a_run_of_a_configuration_is_listed_and_shows_in_the_graph(
    another_sim, strict: Strict
) -> None:
    sim = another_sim(nodes=60)
    endpoint = sim.azure_endpoint.rstrip("/")
    credential = SimCredential(endpoint)
    clients = Clients(endpoint, sim.subscriptions[0], strict, credential)
    place, vm = Place(clients), Machines([clients]).vm()
    vm.clients.compute.virtual_machines.begin_update(
        vm.group, vm.name, customer_managed(vm)
    ).result()
    daily = place.create("daily", recur_every="Day", start_date_time="2020-01-01 02:00")
    vm.clients.maintenance.configuration_assignments.create_or_update(
        vm.group,
        "Microsoft.Compute",
        "virtualMachines",
        vm.name,
        "daily",
        assignment(daily, resource_id=vm.id),
    )
    assert list(clients.maintenance.apply_updates.list()) == []

    # A day holds one window at least.
    body = json.dumps({"advance_seconds": 86_400}).encode()
    requests.post(f"{sim.control_endpoint}/clock", body, timeout=60).raise_for_status()
    runs = list(clients.maintenance.apply_updates.list())
    assert runs
    assert {run.resource_id.lower() for run in runs} == {vm.id.lower()}
    of_group = clients.maintenance.apply_update_for_resource_group.list(vm.group)
    assert {run.id for run in of_group} == {run.id for run in runs}
    shown = page(clients, maintenance_runs(vm.id.lower())).data
    assert {row["name"] for row in shown} == {run.name for run in runs}
