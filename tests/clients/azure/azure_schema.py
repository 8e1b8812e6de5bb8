"""Shapes of Microsoft's models, to hold a raw JSON body against.

The clients are lenient: a key they do not know is dropped and an enum member they do not know
becomes a string, so a misspelt property passes every test that only reads attributes. Here the
models' own declarations become a schema, and a body is walked key by key against it.

Two generations of models are installed: the one that declares `rest_field` (compute, hybrid
compute, resources) and the one with an `_attribute_map` (maintenance, resource graph).
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import re
import sys
import typing
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Iterator

import isodate

# Sent by the service but in no published model: recorded by the azure-cli test suite
# (test_vm_install_patches, November 2024).
RECORDED_EXTRAS = {"VirtualMachineInstallPatchesResult": {"maintenanceRunId": "str"}}

# The SDK itself says of this enum that it is deprecated and does not hold all sizes.
OPEN_ENUMS = {"VirtualMachineSizeTypes"}

_PRIMITIVES = {
    str: "str",
    bool: "bool",
    int: "int",
    float: "float",
    dt.datetime: "datetime",
    dt.timedelta: "duration",
    dt.date: "date",
    dt.time: "time",
    bytes: "bytes",
}

# One timestamp with date, time and zone; Azure writes up to seven digits of a second.
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.IGNORECASE
)


@dataclass(frozen=True)
class Fault:
    """One place where a body differs from the model."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


class Schema:
    """A shape that a JSON value can be held against."""

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        """Yields every difference between `value` and this shape."""
        raise NotImplementedError


class Anything(Schema):
    """Accepts every value: the model says `Any` or `JSON`."""

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        return iter(())


@dataclass
class Scalar(Schema):
    """Accepts one kind of leaf."""

    kind: str

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        if not _is_kind(self.kind, value):
            yield Fault(path, f"{value!r} is no {self.kind}")


@dataclass
class Enumeration(Schema):
    """Accepts the members of an enum, in any case where the SDK's enum takes any case."""

    name: str
    members: frozenset[str]
    any_case: bool

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        if not isinstance(value, str):
            yield Fault(path, f"{value!r} is no string of {self.name}")
            return
        known = self.members
        if self.any_case:
            known, value = frozenset(m.lower() for m in known), value.lower()
        if value not in known:
            yield Fault(path, f"{value!r} is no member of {self.name} {sorted(self.members)}")


@dataclass
class Sequence(Schema):
    """Accepts a list of one shape."""

    item: Schema

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        if not isinstance(value, list):
            yield Fault(path, f"{_name(value)} where a list belongs")
            return
        for index, item in enumerate(value):
            if item is None:
                yield Fault(f"{path}[{index}]", "null in a list")
            else:
                yield from self.item.faults(item, f"{path}[{index}]")


@dataclass
class Mapping(Schema):
    """Accepts an object with free keys and one shape of value."""

    item: Schema

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield Fault(path, f"{_name(value)} where an object belongs")
            return
        for key, item in value.items():
            if item is not None:
                yield from self.item.faults(item, f"{path}.{key}")


@dataclass
class Object(Schema):
    """Accepts an object with the model's keys."""

    name: str
    fields: dict[str, Schema] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)

    def faults(self, value: Any, path: str = "$") -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield Fault(path, f"{_name(value)} where {self.name} belongs")
            return
        for key in sorted(self.required - value.keys()):
            yield Fault(path, f"{self.name} lacks its required {key!r}")
        for key, item in value.items():
            schema = self.fields.get(key)
            if schema is None:
                yield Fault(path, f"{self.name} has no {key!r}{_likely(key, self.fields)}")
            elif item is not None:
                yield from schema.faults(item, f"{path}.{key}")
            elif key in self.required:
                yield Fault(f"{path}.{key}", "null in a required property")


def page_of(item: Schema) -> Object:
    """Returns the shape of one page of a list operation."""
    return Object("page", {"value": Sequence(item), "nextLink": Scalar("str")}, {"value"})


def schema_of(model: type) -> Object:
    """Returns the shape that `model` declares, whichever generation it is of."""
    if model not in _KNOWN:
        # Known before it is filled, so that a model that holds itself finds its own shape.
        _KNOWN[model] = Object(model.__name__)
        fill = _fill_mapped if hasattr(model, "_attribute_map") else _fill_hybrid
        fill(_KNOWN[model], model)
    return _KNOWN[model]


_KNOWN: dict[type, Object] = {}


def _fill_hybrid(shape: Object, model: type) -> None:
    models = _models_of(model)
    hints = typing.get_type_hints(model, localns={"_models": models, **_unions_of(models)})
    for parent in reversed(model.__mro__):
        for attribute, declared in vars(parent).items():
            if type(declared).__name__ != "_RestField":
                continue
            key = declared._rest_name_input or attribute
            hint = hints[attribute]
            shape.fields[key] = _of_annotation(hint)
            if not _optional(hint):
                shape.required.add(key)
    for key, kind in RECORDED_EXTRAS.get(model.__name__, {}).items():
        shape.fields[key] = Scalar(kind)


def _of_annotation(hint: Any) -> Schema:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        arguments = tuple(a for a in arguments if a is not type(None))
        enums = [a for a in arguments if isinstance(a, type) and issubclass(a, enum.Enum)]
        if enums:
            return _of_enum(enums[0])
        return _of_annotation(arguments[0]) if len(arguments) == 1 else Anything()
    if origin in (list, tuple, set):
        return Sequence(_of_annotation(arguments[0]))
    if origin is dict:
        return Mapping(_of_annotation(arguments[1]))
    if hint in _PRIMITIVES:
        return Scalar(_PRIMITIVES[hint])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _of_enum(hint)
    if isinstance(hint, type) and hasattr(hint, "_deserialize"):
        return schema_of(hint)
    return Anything()


def _of_enum(members: type[enum.Enum]) -> Schema:
    if members.__name__ in OPEN_ENUMS:
        return Scalar("str")
    # azure-core's metaclass looks members up without case; a plain Enum does not.
    any_case = "CaseInsensitive" in type(members).__name__
    return Enumeration(members.__name__, frozenset(m.value for m in members), any_case)


def _fill_mapped(shape: Object, model: type) -> None:
    for attribute, entry in model._attribute_map.items():
        if not entry["key"]:
            continue
        # `properties.filter` is a nested property; `odata\.type` is one key with a dot in it.
        *outer, last = re.split(r"(?<!\\)\.", entry["key"])
        holder = shape
        for key in outer:
            holder = holder.fields.setdefault(key, Object(f"{model.__name__}.{key}"))
        key = last.replace("\\.", ".")
        holder.fields[key] = _of_mapped_type(model, attribute, entry["type"])
        if not outer and model._validation.get(attribute, {}).get("required"):
            shape.required.add(key)


def _of_mapped_type(model: type, attribute: str, kind: str) -> Schema:
    if kind.startswith("["):
        return Sequence(_of_mapped_type(model, attribute, kind[1:-1]))
    if kind.startswith("{"):
        return Mapping(_of_mapped_type(model, attribute, kind[1:-1]))
    simple = {"iso-8601": "datetime", "bool": "bool", "int": "int", "float": "float"}
    if kind in simple:
        return Scalar(simple[kind])
    if kind == "str":
        # This generation names the enum of a string only in the docstring.
        found = re.search(rf":vartype {attribute}: str or\s+~([\w.]+)", _docs(model))
        if found is None:
            return Scalar("str")
        return _of_enum(getattr(_models_of(model), found.group(1).rpartition(".")[2]))
    if kind == "object":
        return Anything()
    return schema_of(getattr(_models_of(model), kind))


def _docs(model: type) -> str:
    return "\n".join(parent.__doc__ or "" for parent in model.__mro__)


def _models_of(model: type) -> ModuleType:
    package, _, _ = model.__module__.rpartition(".models")
    return sys.modules[f"{package}.models"]


def _unions_of(models: ModuleType) -> dict[str, Any]:
    unions = sys.modules.get(f"{models.__name__.rpartition('.')[0]}._unions")
    return {"_unions": unions} if unions else {}


def _optional(hint: Any) -> bool:
    return type(None) in typing.get_args(hint) or hint is Any


def _is_kind(kind: str, value: Any) -> bool:
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "bool":
        return isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if kind == "datetime":
        return bool(_TIMESTAMP.fullmatch(value))
    if kind == "duration":
        return _parses(isodate.parse_duration, value)
    if kind == "date":
        return _parses(dt.date.fromisoformat, value)
    if kind == "time":
        return _parses(dt.time.fromisoformat, value)
    if kind == "bytes":
        return _parses(lambda text: base64.b64decode(text, validate=True), value)
    return True


def _parses(parser: typing.Callable[[str], Any], text: str) -> bool:
    try:
        parser(text)
    except (ValueError, isodate.ISO8601Error):
        return False
    return True


def _name(value: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "null"}.get(type(value), repr(value))


def _likely(key: str, known: typing.Iterable[str]) -> str:
    same = [k for k in known if k.lower() == key.lower()]
    return f" (did it mean {same[0]!r}?)" if same else ""
