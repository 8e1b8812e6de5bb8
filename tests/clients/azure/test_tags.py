"""Tags at a scope: read, merge, replace, delete, and the limit of fifty."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.resource.resources.models import Tags, TagsPatchResource, TagsResource

from azure_sim import Machines, Vm

LIMIT = 50


class Scope:
    """The tags of one machine."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._operations = vm.clients.resources.tags
        # The client puts the slash in front itself.
        self._scope = vm.id.lstrip("/")

    def read(self) -> dict[str, str]:
        """Returns the tags, from the tags resource and the machine alike."""
        tags = self._operations.get_at_scope(self._scope).properties.tags or {}
        machine = self._vm.clients.compute.virtual_machines.get(self._vm.group, self._vm.name)
        assert (machine.tags or {}) == tags
        return tags

    def patch(self, operation: str, tags: dict[str, str]) -> dict[str, str]:
        """Changes the tags; returns what the answer says they are."""
        body = TagsPatchResource(operation=operation, properties=Tags(tags=tags))
        answer = self._operations.begin_update_at_scope(self._scope, body).result()
        return answer.properties.tags or {}

    def put(self, tags: dict[str, str]) -> dict[str, str]:
        """Sets the tags; returns what the answer says they are."""
        body = TagsResource(properties=Tags(tags=tags))
        answer = self._operations.begin_create_or_update_at_scope(self._scope, body).result()
        return answer.properties.tags or {}

    def delete(self) -> None:
        """Removes all tags."""
        self._operations.begin_delete_at_scope(self._scope).result()


@pytest.fixture
def scope(machines: Machines) -> Scope:
    """Returns the tags of one machine, set to two."""
    scope = Scope(machines.plain())
    scope.put({"app": "shop", "stage": "test"})
    return scope


def test_the_tags_resource_has_its_own_id(machines: Machines) -> None:
    vm = machines.plain()
    got = vm.clients.resources.tags.get_at_scope(vm.id.lstrip("/"))
    assert got.id.lower() == f"{vm.id}/providers/Microsoft.Resources/tags/default".lower()
    assert (got.name, got.type) == ("default", "Microsoft.Resources/tags")


def test_merge_adds_and_overwrites(scope: Scope) -> None:
    merged = {"app": "shop", "stage": "live", "PatchGroup": "linux"}
    assert scope.patch("Merge", {"stage": "live", "PatchGroup": "linux"}) == merged
    assert scope.read() == merged


def test_replace_leaves_only_what_it_names(scope: Scope) -> None:
    assert scope.patch("Replace", {"PatchGroup": "linux"}) == {"PatchGroup": "linux"}
    assert scope.read() == {"PatchGroup": "linux"}


def test_delete_removes_what_it_names(scope: Scope) -> None:
    assert scope.patch("Delete", {"stage": "test"}) == {"app": "shop"}
    assert scope.read() == {"app": "shop"}


def test_put_sets_all_tags(scope: Scope) -> None:
    assert scope.put({"one": "1"}) == {"one": "1"}
    assert scope.read() == {"one": "1"}


def test_all_tags_are_removed_by_one_delete(scope: Scope) -> None:
    scope.delete()
    assert scope.read() == {}


def test_a_tag_name_is_one_in_every_case(scope: Scope) -> None:
    # Microsoft: tag names are case-insensitive for operations, tag values are not.
    merged = scope.patch("Merge", {"APP": "bank"})
    assert {name.lower(): value for name, value in merged.items()} == {
        "app": "bank",
        "stage": "test",
    }
    assert len(merged) == 2


def test_fifty_tags_are_taken_and_the_fifty_first_is_refused(scope: Scope) -> None:
    fifty = {f"tag{n:02}": str(n) for n in range(LIMIT)}
    assert scope.put(fifty) == fifty
    with pytest.raises(HttpResponseError) as caught:
        scope.patch("Merge", {"tag50": "50"})
    assert caught.value.status_code == 400
    assert caught.value.error.code
    assert scope.read() == fifty
    with pytest.raises(HttpResponseError):
        scope.put({**fifty, "tag50": "50"})
    assert scope.read() == fifty


@pytest.mark.parametrize("tags", [{"k" * 513: "v"}, {"k": "v" * 257}, {"a<b": "v"}])
def test_a_name_or_value_out_of_bounds_is_refused(scope: Scope, tags: dict[str, str]) -> None:
    # Microsoft's guide to tags: names to 512 characters and without < > % & \\ ? /, values to 256.
    with pytest.raises(HttpResponseError) as caught:
        scope.patch("Merge", tags)
    assert caught.value.status_code == 400
    assert scope.read() == {"app": "shop", "stage": "test"}


def test_an_unknown_operation_is_refused(scope: Scope) -> None:
    with pytest.raises(HttpResponseError) as caught:
        scope.patch("Add", {"a": "b"})
    assert caught.value.status_code == 400


def test_the_tags_of_an_unknown_machine_are_not_found(machines: Machines) -> None:
    vm = machines.plain()
    with pytest.raises(ResourceNotFoundError):
        vm.clients.resources.tags.get_at_scope(vm.id.lstrip("/") + "-gone")


def test_an_arc_machine_has_tags_too(machines: Machines) -> None:
    clients, machine = next(machines.arc())
    operations = clients.resources.tags
    body = TagsPatchResource(operation="Merge", properties=Tags(tags={"PatchGroup": "arc"}))
    operations.begin_update_at_scope(machine.id.lstrip("/"), body).result()
    got = clients.hybrid.machines.get(machine.id.split("/")[4], machine.name)
    assert got.tags["PatchGroup"] == "arc"
