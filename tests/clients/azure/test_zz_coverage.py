"""What the run as a whole has proven: it is the last file in the order of names."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure_sim import Clients
from azure_strict import ROUTES, Strict

# Answered at once in the current service, later in some versions of it: either is right.
EITHER_WAY = {"tags: get or change"}


def test_every_operation_was_called_by_a_client_and_held_against_its_model(
    request: pytest.FixtureRequest, strict: Strict, azure: Clients
) -> None:
    here = Path(__file__).parent
    ran = {item.path for item in request.session.items}
    if not set(here.glob("test_*.py")) <= ran:
        pytest.skip("only a part of the tests was asked for")
    wanted = set()
    for route in ROUTES:
        wanted |= {f"{method} {route.name}" for method in route.method.split("|")}
        if route.result is not None and route.name not in EITHER_WAY:
            wanted.add(f"{route.name}, result")
        if route.has_output:
            wanted.add(f"{route.name}, output")
        if route.has_power:
            wanted.add(f"{route.name}, end")
    assert sorted(wanted - strict.checked.keys()) == []
