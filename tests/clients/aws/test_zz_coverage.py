"""Whether these tests leave an operation out. It runs last."""

import pathlib
import re

import botocore
import pytest

from aws.operations import OPERATIONS

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


def test_every_operation_has_answered(aws, journal, request):
    """What was refused only does not count, nor what only moto has answered."""
    ran = {item.path.name for item in request.session.items}
    whole = {path.name for path in HERE.glob("test_*.py")}
    if not whole <= ran or request.config.option.keyword:
        pytest.skip("only some of the tests were asked for")
    missing = [
        f"{service} {name}"
        for service, names in OPERATIONS.items()
        for name in names
        if (service, name) not in journal.answered
    ]
    assert missing == []


def test_no_reply_was_untrue(aws, journal):
    """A reply that the checker objected to, even where the test itself went on."""
    assert journal.untrue == []
