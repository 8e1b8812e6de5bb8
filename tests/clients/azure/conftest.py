"""Fixtures of the Azure side: the simulated cloud and Microsoft's clients.

`SIM_CLOUD` names the binary; without it the tests that need a server are skipped, and say so.
Test files are called `test_azure_*`, because pytest wants base names to differ between the
folders of one run and the AWS side has files of the same subjects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import pytest

from azure_sim import Clients, Machines, SimCredential, SimProcess
from azure_strict import Strict

HERE = Path(__file__).parent
TEST_TIMEOUT_S = 180


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives every test here a time limit, so that an operation that never ends is a failure."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


def _start(*arguments: str) -> Iterator[SimProcess]:
    if not os.environ.get("SIM_CLOUD"):
        pytest.skip("SIM_CLOUD does not name the sim-cloud binary")
    process = SimProcess(*arguments)
    yield process
    process.stop()


@pytest.fixture(scope="session")
def strict() -> Strict:
    """Returns the checks that every exchange of the session passes through."""
    return Strict()


@pytest.fixture(scope="session")
def sim() -> Iterator[SimProcess]:
    """Runs the world in which ten simulated minutes pass in one second."""
    yield from _start("--seed", "7", "--nodes", "300", "--speed", "600")


@pytest.fixture(scope="session")
def slow_sim() -> Iterator[SimProcess]:
    """Runs a larger and slower world: long lists, states in between, buckets that run dry."""
    yield from _start("--seed", "7", "--nodes", "3000", "--speed", "20")


def _per_subscription(sim: SimProcess, strict: Strict) -> list[Clients]:
    credential = SimCredential(sim.endpoint)
    return [Clients(sim.endpoint, s, strict, credential) for s in sim.subscriptions]


@pytest.fixture(scope="session")
def per_subscription(sim: SimProcess, strict: Strict) -> list[Clients]:
    """Returns the clients of every subscription."""
    return _per_subscription(sim, strict)


@pytest.fixture(scope="session")
def azure(per_subscription: list[Clients]) -> Clients:
    """Returns the clients of the subscription that holds most virtual machines."""
    return max(
        per_subscription, key=lambda c: sum(1 for _ in c.compute.virtual_machines.list_all())
    )


@pytest.fixture(scope="session")
def machines(per_subscription: list[Clients]) -> Machines:
    """Returns the dealer of machines of the fast world."""
    return Machines(per_subscription)


@pytest.fixture(scope="session")
def slow_azure(slow_sim: SimProcess, strict: Strict) -> list[Clients]:
    """Returns the clients of every subscription of the slow world."""
    return _per_subscription(slow_sim, strict)


@pytest.fixture(scope="session")
def slow_machines(slow_azure: list[Clients]) -> Machines:
    """Returns the dealer of machines of the slow world."""
    return Machines(slow_azure)
