"""The service models that the simulator carries."""

import json

import pytest

from aws import distil, shapes
from aws.operations import OPERATIONS


def test_the_committed_models_are_distilled_from_the_pinned_botocore():
    assert distil.differing() == []


@pytest.mark.parametrize("service", sorted(OPERATIONS))
def test_a_model_holds_all_that_its_operations_refer_to(service):
    model = json.loads((distil.MODEL / f"{service}.json").read_text(encoding="utf-8"))
    referred = set()
    for it in [*model["operations"].values(), *model["shapes"].values()]:
        referred |= set(references(it))
    assert referred == set(model["shapes"])
    assert sorted(model["operations"]) == sorted(OPERATIONS[service])
    assert model["paginators"].keys() <= model["operations"].keys()


@pytest.mark.parametrize("service", sorted(OPERATIONS))
def test_the_checker_reads_every_pattern_of_a_model(service):
    model = json.loads((distil.MODEL / f"{service}.json").read_text(encoding="utf-8"))
    for shape in model["shapes"].values():
        if "pattern" in shape:
            shapes.compiled(shape["pattern"])


def references(it):
    """The names of shapes that a part of a model refers to."""
    if isinstance(it, dict):
        if isinstance(it.get("shape"), str):
            yield it["shape"]
        for part in it.values():
            yield from references(part)
    elif isinstance(it, list):
        for part in it:
            yield from references(part)
