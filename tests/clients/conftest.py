"""What the tests of both clouds share: the running simulators."""

import pytest

import sim as simulator


def started(**options):
    if simulator.binary() is None:
        pytest.skip("SIM_CLOUD does not name the sim-cloud binary")
    return simulator.start(**options)


@pytest.fixture(scope="session")
def sim():
    """The simulator, in which ten minutes pass in a second."""
    running = started()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def slow_sim():
    """A small simulator on the wall clock: for what is over too soon in the fast one."""
    running = started(nodes=60, speed=1)
    yield running
    running.stop()


@pytest.fixture
def another_sim():
    """Starts simulators with options of the test's own, and stops them after it."""
    running = []

    def start(**options):
        running.append(started(**options))
        return running[-1]

    yield start
    for it in running:
        it.stop()
