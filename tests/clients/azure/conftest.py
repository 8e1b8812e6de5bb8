"""Fixtures of the Azure side: Microsoft's clients against the running simulator.

The simulator itself is started by the fixtures of the folder above. Helper modules are called
`azure_*` and imported from this folder: the folder's own name is the one of the namespace
package of Microsoft's SDK.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest
import sim as simulator

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from azure_sim import Clients, Machines, SimCredential  # noqa: E402
from azure_strict import Strict  # noqa: E402

# In the fast world of `sim`, ten simulated minutes pass in one second. This one is larger and
# slower: long lists, states in between, buckets that run dry.
SLOW = {"nodes": 3000, "speed": 20}

_RUNNING: list[simulator.Sim] = []


def pytest_runtest_setup() -> None:
    """Ends the run when a simulator is gone, which no test after that could survive."""
    for running in _RUNNING:
        if running.process.poll() is not None:
            pytest.exit(f"the simulator ended by itself{running.said()}", returncode=1)


@pytest.fixture(scope="session")
def endpoint(sim: simulator.Sim) -> str:
    """Returns the address of the simulated Azure Resource Manager."""
    return _watched(sim)


@pytest.fixture(scope="session")
def strict() -> Strict:
    """Returns the checks that every exchange of the session passes through."""
    return Strict()


@pytest.fixture(scope="session")
def per_subscription(sim: simulator.Sim, endpoint: str, strict: Strict) -> list[Clients]:
    """Returns the clients of every subscription."""
    return _clients(sim, endpoint, strict)


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
def slow_azure(strict: Strict) -> Iterator[list[Clients]]:
    """Returns the clients of every subscription of the slow world."""
    if simulator.binary() is None:
        pytest.skip("SIM_CLOUD does not name the sim-cloud binary")
    slow = simulator.start(**SLOW)
    yield _clients(slow, _watched(slow), strict)
    _RUNNING.remove(slow)
    slow.stop()


@pytest.fixture(scope="session")
def slow_machines(slow_azure: list[Clients]) -> Machines:
    """Returns the dealer of machines of the slow world."""
    return Machines(slow_azure)


def _watched(sim: simulator.Sim) -> str:
    _RUNNING.append(sim)
    return sim.azure_endpoint.rstrip("/")


def _clients(sim: simulator.Sim, endpoint: str, strict: Strict) -> list[Clients]:
    credential = SimCredential(endpoint)
    return [Clients(endpoint, each, strict, credential) for each in sim.subscriptions]
