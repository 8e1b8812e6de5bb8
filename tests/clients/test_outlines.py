"""The outlines of samples: they are those of the samples, and all are compared with."""

import os
import pathlib

import pytest

import outline
from outline_sources import SOURCES

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("source", SOURCES, ids=lambda it: it.name)
def test_an_outline_is_that_of_its_sample(source):
    folder = os.environ.get("PATCHKIT_SAMPLES")
    if not folder:
        pytest.skip("PATCHKIT_SAMPLES names no folder of samples")
    found = (outline.HERE / f"{source.name}.json").read_text(encoding="utf-8")
    assert found == outline.written(source, outline.sampled(folder, source))


def test_every_outline_is_of_a_sample():
    files = outline.HERE.rglob("*.json")
    found = {it.relative_to(outline.HERE).with_suffix("").as_posix() for it in files}
    assert found == {it.name for it in SOURCES}


def test_every_outline_is_compared_with():
    texts = {
        cloud: "".join(it.read_text(encoding="utf-8") for it in (HERE / cloud).glob("test_*.py"))
        for cloud in ("aws", "azure")
    }
    names = [it.name.partition("/") for it in SOURCES]
    assert [name for cloud, _, name in names if f'{name}"' not in texts[cloud]] == []


def test_an_outline_tells_kinds_and_which_rows_lack_a_member():
    value = {
        "a": 1,
        "at": "2026-11-02T00:00:00.17Z",
        "status": "Succeeded",
        "rows": [{"b": "7"}, {"b": "", "c": None}],
        "tags": {"one": "x", "two": "true"},
    }
    assert outline.of(value).members == {
        "$": ["object"],
        "$.a": ["number"],
        "$.at": ["time, fraction, Z"],
        "$.rows": ["list"],
        "$.rows[]": ["object"],
        "$.rows[].b": ["digits", "empty"],
        "$.rows[].c": ["null", "sometimes"],
        "$.status": ["=Succeeded"],
        "$.tags": ["object"],
        "$.tags.*": ["text", "truth"],
    }


def test_the_comparison_sees_what_differs():
    theirs = outline.of({"a": 1, "b": [{"c": "x"}, {"c": "x", "e": 1}], "d": None})
    assert differing(theirs, {"a": 2, "b": [], "d": {"e": 1}}) == []
    assert differing(theirs, {"a": "2", "b": [{"C": "x"}]}) == [
        "$.a: digits for number",
        "$.b[].C: not in the sample",
        "$.b[].c: missing",
        "$.d: missing",
    ]
    assert differing(theirs, {"a": 2, "b": [{"c": "x"}, {"e": 1}], "d": 1}) == [
        "$.b[].c: missing in some rows"
    ]
    assert differing(theirs, {"a": 2, "b": [], "f": {"g": 1}}, {"$.d", "$.f"}) == []


@pytest.mark.parametrize(
    ("theirs", "good", "bad"),
    [
        ({"status": "Succeeded"}, "InProgress", "IN_PROGRESS"),
        ({"Severity": "NON_COMPLIANT"}, "HIGH", "High"),
        ({"count": "12"}, "7", "many"),
        ({"at": "2026-11-02T00:00:00.17Z"}, "2026-11-02T00:00:00Z", "2026-11-02T00:00:00.17+00:00"),
        ({"at": "2026-11-02T00:00:00Z"}, "2026-11-03T00:00:00Z", "2026-11-02T00:00:00.17Z"),
        ({"name": "x"}, "17", 17),
        ({"name": "x"}, "", "2026-11-02T00:00:00Z"),
    ],
)
def test_a_value_is_of_the_kind_and_the_spelling_of_the_sample(theirs, good, bad):
    (name,) = theirs
    assert differing(outline.of(theirs), {name: good}) == []
    assert differing(outline.of(theirs), {name: bad})
    assert list(outline.lacking(outline.of(theirs), outline.of({name: good}))) == []
    assert list(outline.lacking(outline.of(theirs), outline.of({name: bad})))


def test_what_we_have_besides_is_not_lacking():
    theirs = outline.of({"a": [{"b": 1}]})
    assert list(outline.lacking(theirs, outline.of({"a": [{"b": 1, "c": 1}], "d": 1}))) == []
    assert list(outline.lacking(theirs, outline.of({"a": []}))) == [
        "$.a[]: missing",
        "$.a[].b: missing",
    ]


def differing(theirs, ours, optional=()):
    return sorted(outline.differences(theirs, outline.of(ours), optional))
