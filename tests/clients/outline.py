"""The outlines of replies: which members there are, and of what kind their values.

`outlines/` holds those of recorded and documented replies, written from a folder of samples by
`python outline.py FOLDER`. The samples themselves are the text of others and not part of this
repository; of values there are only those of enumerations. `outline_sources.py` says where each
sample is from.
"""

import datetime
import json
import pathlib
import re
import sys
from dataclasses import dataclass

from outline_sources import SOURCES

HERE = pathlib.Path(__file__).parent / "outlines"

# Objects whose keys are data.
MAPS = {"tags"}
# What a sample says of itself.
NOTES = {"_note", "description", "operationId", "title"}
# Members whose values are of a fixed list, the spelling of which clients rely on.
ENUMERATIONS = {
    "assessmentState",
    "AgentType",
    "ComplianceType",
    "ExecutionType",
    "hyperVGeneration",
    "installationState",
    "InstanceStatus",
    "level",
    "maintenanceScope",
    "NonCompliantSeverity",
    "OperatingSystem",
    "Operation",
    "OperationType",
    "osType",
    "OverallSeverity",
    "PatchSeverity",
    "PatchState",
    "PingStatus",
    "PlatformType",
    "rebootBehavior",
    "RebootOption",
    "rebootSetting",
    "rebootStatus",
    "ResourceType",
    "resultTruncated",
    "Severity",
    "SourceType",
    "startedBy",
    "State",
    "status",
    "Status",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# Members whose texts may be a number by chance.
TEXTS = {"code", "kbId", "PlatformVersion", "version"}
# The kinds that a text may be of beside its own: an example is not all that there can be.
OF_TEXT = {"digits", "empty", "text", "truth"}
SOMETIMES = "sometimes"


@dataclass
class Outline:
    """The members of a reply by their paths, each with the kinds of its values.

    A member that not every object of its path has is there `sometimes`. A value of an enumeration
    is written behind `=`. The key is of an object of a lake, with gaps for what differs.
    """

    members: dict
    key: str = ""

    def at(self, path):
        """The outline of a part."""
        start = f"$.{path}"
        part = {
            f"${name[len(start) :]}": kinds
            for name, kinds in self.members.items()
            if name == start or name.startswith((f"{start}.", f"{start}["))
        }
        assert part, f"the outline has no {path}"
        return Outline(part)

    def names(self):
        """The names of the members of the object itself."""
        return {name[2:] for name in self.members if re.fullmatch(r"\$\.[^.\[]+", name)}


def of(*values):
    """The outline of values of the same form."""
    kinds, objects, holders = {}, {}, {}
    for value in values:
        _walk(value, "$", "", kinds, objects, holders)
    members = {}
    for path in sorted(kinds):
        rare = path in holders and holders[path] < objects[path.rpartition(".")[0]]
        members[path] = sorted(kinds[path]) + ([SOMETIMES] if rare else [])
    return Outline(members)


def _walk(value, path, name, kinds, objects, holders):
    kinds.setdefault(path, set()).add(kind(value, name))
    if isinstance(value, dict):
        objects[path] = objects.get(path, 0) + 1
        for key in value.keys() - NOTES:
            free = name in MAPS
            under = f"{path}.*" if free else f"{path}.{key.replace('.', '·')}"
            if not free:
                holders[under] = holders.get(under, 0) + 1
            _walk(value[key], under, key, kinds, objects, holders)
    elif isinstance(value, list):
        for it in value:
            _walk(it, f"{path}[]", name, kinds, objects, holders)


def kind(value, name):
    """What a value is, in a word."""
    if isinstance(value, datetime.datetime):
        return "time"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        # Services of JSON give times as numbers, which clients turn into times.
        return "time" if name.endswith("Time") else "number"
    if isinstance(value, str):
        return _kind_of_text(value, name)
    return {dict: "object", list: "list"}.get(type(value), "null")


def _kind_of_text(text, name):
    if not text:
        return "empty"
    if name in ENUMERATIONS:
        return f"={text}"
    if found := TIME.fullmatch(text):
        zone = "Z" if found.group(2) == "Z" else "offset"
        return f"time, {'fraction, ' if found.group(1) else ''}{zone}"
    if re.fullmatch(r"\d+", text) and name not in TEXTS:
        return "digits"
    return "truth" if text in ("true", "false") else "text"


def lacking(theirs, ours):
    """What an outline has that is not in ours, or is of another kind there."""
    for path, kinds in theirs.members.items():
        if path not in ours.members:
            yield f"{path}: missing"
        else:
            yield from _of_other_kind(path, kinds, ours.members[path])


def differences(theirs, ours, optional=()):
    """Yields where ours has other members, kinds or nesting, or lacks in some rows what all have.

    `optional` holds paths that a reply may have or lack. Where one side knows no more than null,
    every value fits.
    """
    optional = set(optional)
    open_ended = {path for path, kinds in theirs.members.items() if _plain(kinds) == {"null"}}
    for path, kinds in ours.members.items():
        if _within(path, optional) or any(_within(path, {it}) and path != it for it in open_ended):
            continue
        if path not in theirs.members:
            # What a missing object holds is told with the object.
            if path.rpartition(".")[0] in theirs.members or path.endswith("[]"):
                yield f"{path}: not in the sample"
        else:
            yield from _of_other_kind(path, theirs.members[path], kinds)
    for path, kinds in theirs.members.items():
        holder = path.rpartition(".")[0]
        if SOMETIMES in kinds or _within(path, optional) or path.endswith(("[]", ".*")):
            continue
        if "object" not in ours.members.get(holder, ()):
            continue
        if path not in ours.members:
            yield f"{path}: missing"
        elif SOMETIMES in ours.members[path]:
            yield f"{path}: missing in some rows"


def _within(path, roots):
    return any(path == it or path.startswith((f"{it}.", f"{it}[")) for it in roots)


def _plain(kinds):
    return {it for it in kinds if it != SOMETIMES}


def _of_other_kind(path, theirs, ours):
    theirs, ours = _plain(theirs), _plain(ours)
    if theirs == {"null"}:
        return
    allowed = theirs | {"null"} | {it.replace("fraction, ", "") for it in theirs}
    if theirs & {"empty", "text"}:
        allowed |= OF_TEXT
    if any(it.startswith("time") for it in theirs):
        # A client's time has lost its form.
        allowed |= {"empty", "time"}
    if theirs & {"digits", "truth"}:
        allowed.add("empty")
    spellings = {_spelling(it) for it in theirs if it.startswith("=")}
    if spellings:
        allowed.add("empty")
    for it in sorted(ours - allowed):
        if it.startswith("=") and (_spelling(it) in spellings or theirs == {"empty"}):
            continue
        yield f"{path}: {it} for {' or '.join(sorted(theirs))}"


def _spelling(value):
    """How the words of an enumeration are put together."""
    forms = {
        "UPPER_CASE": r"=[A-Z][A-Z0-9]*(_[A-Z0-9]+)*",
        "CamelCase": r"=[A-Z][a-z0-9]*([A-Z][a-z0-9]*)*",
        "lower-case": r"=[a-z0-9]+([-_][a-z0-9]+)*",
    }
    return next((name for name, form in forms.items() if re.fullmatch(form, value)), "free")


def sampled(folder, source):
    """The outline of a sample, read from the folder."""
    path = pathlib.Path(folder) / source.sample
    text = path.read_text(encoding="utf-8")
    if path.name.endswith(".rst.txt"):
        values = _printed(text)
    elif source.key:
        values = [json.loads(line) for line in text.splitlines()]
    else:
        whole = json.loads(text)
        values = [whole if source.item is None else whole[source.item]]
    assert values, f"{path} holds no reply"
    return of(*values)


def _printed(text):
    """The JSON objects in a page of examples, without the lines that stand for more."""
    text = re.sub(r"^\s*\.\.\.\s*$", "", text, flags=re.MULTILINE)
    # A comma before such a line is left over.
    text = re.sub(r",(\s*[\]}])", r"\1", text)
    found, end, decoder = [], 0, json.JSONDecoder()
    for start in re.finditer(r"^[ \t]*(?=\{)", text, flags=re.MULTILINE):
        if start.end() < end:
            continue
        try:
            value, end = decoder.raw_decode(text, start.end())
        except ValueError:
            continue
        found.append(value)
    return found


def committed(name):
    """The outline of this name."""
    whole = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return Outline(whole["members"], whole.get("key", ""))


def written(source, outline):
    """The file of an outline: a line for each member."""
    head = {"source": source.where, **({"key": source.key} if source.key else {})}
    lines = [f"  {json.dumps(name)}: {json.dumps(text)}," for name, text in head.items()]
    members = [f"    {json.dumps(path)}: {json.dumps(it)}" for path, it in outline.members.items()]
    body = ",\n".join(members)
    return "\n".join(["{", *lines, '  "members": {', body, "  }", "}", ""])


def main(folder):
    for source in SOURCES:
        path = HERE / f"{source.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(source, sampled(folder, source)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
