"""The clouds that the tests of AWS run against."""

import pytest

from aws import cloud as clouds
from aws import motoworld, strict

LAST = "test_zz_coverage.py"


@pytest.fixture(scope="session")
def journal():
    """What all strict clients have seen."""
    return strict.Journal()


@pytest.fixture(scope="session")
def sim_cloud(sim, journal):
    return clouds.of_sim(sim, journal)


@pytest.fixture(scope="session")
def moto_cloud():
    server, cloud = motoworld.started()
    yield cloud
    server.stop()


@pytest.fixture(scope="session")
def aws(sim_cloud):
    """The simulator alone: for what nobody else serves."""
    return sim_cloud


@pytest.fixture(scope="session")
def slow(slow_sim, journal):
    """The simulator on the wall clock."""
    return clouds.of_sim(slow_sim, journal)


@pytest.fixture(scope="session", params=["sim", "moto"])
def cloud(request):
    """Both, one after the other."""
    return request.getfixturevalue(f"{request.param}_cloud")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    # What was exercised is known at the end.
    items.sort(key=lambda item: item.path.name == LAST)
