"""Whether these tests leave an operation out. It runs last."""

import pathlib
import re

import botocore
import botocore.exceptions
import botocore.session
import pytest

from aws.operations import LOOPED_S3, OPERATIONS

HERE = pathlib.Path(__file__).parent


def test_every_operation_is_written_in_some_test():
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in [*HERE.glob("test_*.py"), HERE / "fleet.py"]
    )
    words = set(re.findall(r"[a-z0-9_]+", text))
    missing = [
        f"{service} {name}"
        for service, names in OPERATIONS.items()
        for name in names
        if botocore.xform_name(name) not in words
    ]
    assert missing == []


@pytest.fixture
def all_ran(request):
    ran = {item.path.name for item in request.session.items}
    whole = {path.name for path in HERE.glob("test_*.py")}
    if not whole <= ran or request.config.option.keyword:
        pytest.skip("only some of the tests were asked for")


@pytest.mark.usefixtures("aws", "all_ran")
def test_every_operation_has_answered(journal):
    """What was refused only does not count, nor what only moto has answered."""
    missing = [
        f"{service} {name}"
        for service, names in OPERATIONS.items()
        for name in names
        if (service, name) not in journal.answered
    ]
    assert missing == []


@pytest.mark.usefixtures("aws", "all_ran")
def test_every_waiter_and_paginator_was_driven(journal):
    """Those that botocore has for the operations that we serve."""
    session, waiters, paginators = botocore.session.get_session(), set(), set()
    for service, names in {**OPERATIONS, "s3": LOOPED_S3}.items():
        for model, kind in ((waiters, "waiters-2"), (paginators, "paginators-1")):
            found = looped(session, service, kind)
            model |= {(service, botocore.xform_name(it)) for it, of in found if of in names}
    assert waiters and paginators
    assert sorted(waiters - journal.waited) == []
    assert sorted(paginators - journal.paged) == []


def looped(session, service, kind):
    """The waiters or paginators of a service, each with its operation."""
    try:
        model = session.get_component("data_loader").load_service_model(service, kind)
    except botocore.exceptions.UnknownServiceError:
        # It has none.
        return []
    if kind == "paginators-1":
        return [(it, it) for it in model["pagination"]]
    return [(name, it["operation"]) for name, it in model["waiters"].items()]


def test_no_reply_was_untrue(aws, journal):
    """A reply that the checker objected to, even where the test itself went on."""
    assert journal.untrue == []
