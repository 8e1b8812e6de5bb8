"""Whether the body of a reply holds what the model says, and nothing else.

Botocore's parser passes over members that it does not know and reads numbers from strings, so that
a misspelt member is simply absent to its user. Here the bytes are walked beside the shape.
"""

import base64
import json
import re
from xml.etree import ElementTree

JSON_TYPES = {
    "blob": (str,),
    "boolean": (bool,),
    "double": (float, int),
    "float": (float, int),
    "integer": (int,),
    "list": (list,),
    "long": (int,),
    "map": (dict,),
    "string": (str,),
    "structure": (dict,),
}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def json_faults(body, shape):
    """The faults of a body in JSON; `shape` is None for an operation without output."""
    if not body.strip():
        return [] if shape is None else ["the body is empty"]
    try:
        value = json.loads(body)
    except ValueError as error:
        return [f"the body is not JSON: {error}"]
    if shape is None:
        return [] if value == {} else [f"the body is not empty: {value!r}"]
    if "payload" in shape.serialization:
        shape = shape.members[shape.serialization["payload"]]
    return list(of_json(value, shape, ""))


def of_json(value, shape, path):
    kind = shape.type_name
    if kind == "timestamp":
        yield from of_json_time(value, shape, path)
        return
    wanted = JSON_TYPES[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        yield f"{path}: {value!r} where the wire has a {kind}"
        return
    if kind == "structure":
        yield from unknown_members(value, shape, path)
        for name, member in shape.members.items():
            key = member.serialization.get("name", name)
            if key in value and "location" not in member.serialization:
                yield from of_json(value[key], member, f"{path}.{key}")
    elif kind == "list":
        for at, it in enumerate(value):
            yield from of_json(it, shape.member, f"{path}[{at}]")
    elif kind == "map":
        for key, it in value.items():
            yield from of_json(it, shape.value, f"{path}[{key!r}]")
    elif kind == "blob":
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            yield f"{path}: {value!r} is not base64"


def unknown_members(value, shape, path):
    known = {
        member.serialization.get("name", name)
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    for key in value.keys() - known:
        yield f"{path}.{key}: the model has no such member in {shape.name}"


def of_json_time(value, shape, path):
    how = shape.serialization.get("timestampFormat", "unixTimestamp")
    if how == "iso8601":
        if not (isinstance(value, str) and ISO.fullmatch(value)):
            yield f"{path}: {value!r} is not a time in ISO 8601"
    elif not isinstance(value, (int, float)) or isinstance(value, bool):
        yield f"{path}: {value!r} is not a time in seconds"


def query_faults(body, operation):
    """The faults of a body of the query protocol: `XResponse`, `XResult`, `ResponseMetadata`."""
    root, faults = parsed(body)
    if root is None:
        return faults
    namespace = operation.service_model.metadata.get("xmlNamespace", "")
    faults += tags(root, namespace)
    faults += called(root, f"{operation.name}Response")
    parts = {local(it): it for it in root}
    if len(parts) != len(root):
        faults.append("a part of the response is there twice")
    metadata = parts.pop("ResponseMetadata", None)
    if metadata is None or [local(it) for it in metadata] != ["RequestId"]:
        faults.append("ResponseMetadata does not hold a RequestId")
    shape = operation.output_shape
    wrapper = shape.serialization.get("resultWrapper") if shape else None
    result = parts.pop(wrapper or f"{operation.name}Result", None)
    faults += [f"{name}: not a part of a response" for name in parts]
    if result is None:
        return faults if shape is None else [*faults, f"{wrapper} is not there"]
    if shape is None:
        return faults + [f"{local(it)}: there is no output" for it in result]
    return faults + list(of_xml(result, shape, "", "member"))


def ec2_faults(body, operation):
    """The faults of a body of EC2's protocol: `XResponse` with the members and a `requestId`."""
    root, faults = parsed(body)
    if root is None:
        return faults
    faults += tags(root, operation.service_model.metadata.get("xmlNamespace", ""))
    faults += called(root, f"{operation.name}Response")
    ids = [it for it in root if local(it) == "requestId"]
    if len(ids) != 1 or not (ids[0].text or "").strip():
        faults.append("requestId is not there")
    for it in ids:
        root.remove(it)
    shape = operation.output_shape
    if shape is None:
        # The documented replies of operations without output are `<return>true</return>`.
        others = [it for it in root if (local(it), it.text) != ("return", "true")]
        return faults + [f"{local(it)}: there is no output" for it in others]
    return faults + list(of_xml(root, shape, "", "item"))


def of_xml(element, shape, path, item):
    kind = shape.type_name
    if kind not in ("list", "map", "structure"):
        yield from of_xml_text(element, shape, path)
        return
    if (element.text or "").strip():
        yield f"{path}: text {element.text!r} in a {kind}"
    if kind == "list":
        name = shape.member.serialization.get("name", item)
        for at, it in enumerate(element):
            if local(it) != name:
                yield f"{path}[{at}]: `{local(it)}` where items are `{name}`"
            yield from of_xml(it, shape.member, f"{path}[{at}]", item)
    elif kind == "map":
        for at, entry in enumerate(element):
            if local(entry) != "entry":
                yield f"{path}[{at}]: `{local(entry)}` where pairs are `entry`"
            yield from of_xml_pair(entry, shape, f"{path}[{at}]", item)
    else:
        yield from of_xml_members(element, shape, path, item)


def of_xml_members(element, shape, path, item):
    known = {}
    for name, member in shape.members.items():
        flat = member.type_name in ("list", "map") and member.serialization.get("flattened")
        key = member.serialization.get("name", name)
        if flat and member.type_name == "list":
            key = member.member.serialization.get("name", key)
        known[key] = (member, flat)
    seen = set()
    for it in element:
        key = local(it)
        if key not in known:
            yield f"{path}.{key}: the model has no such member in {shape.name}"
            continue
        member, flat = known[key]
        if flat and member.type_name == "list":
            yield from of_xml(it, member.member, f"{path}.{key}", item)
        elif flat:
            yield from of_xml_pair(it, member, f"{path}.{key}", item)
        else:
            if key in seen:
                yield f"{path}.{key}: there twice"
            yield from of_xml(it, member, f"{path}.{key}", item)
        seen.add(key)


def of_xml_pair(entry, shape, path, item):
    key = shape.key.serialization.get("name", "key")
    value = shape.value.serialization.get("name", "value")
    if [local(it) for it in entry] != [key, value]:
        yield f"{path}: a pair is `{key}`, `{value}`"
        return
    yield from of_xml(entry[0], shape.key, f"{path}.{key}", item)
    yield from of_xml(entry[1], shape.value, f"{path}.{value}", item)


def of_xml_text(element, shape, path):
    if len(element):
        yield f"{path}: elements in a {shape.type_name}"
        return
    text = element.text or ""
    wanted = {
        "boolean": r"true|false",
        "double": r"-?\d+(\.\d+)?([eE][+-]?\d+)?",
        "float": r"-?\d+(\.\d+)?([eE][+-]?\d+)?",
        "integer": r"-?\d+",
        "long": r"-?\d+",
        "timestamp": ISO.pattern,
    }.get(shape.type_name)
    if wanted and not re.fullmatch(wanted, text):
        yield f"{path}: {text!r} where the wire has a {shape.type_name}"


def parsed(body):
    try:
        return ElementTree.fromstring(body), []
    except ElementTree.ParseError as error:
        return None, [f"the body is not XML: {error}"]


def called(root, name):
    return [] if local(root) == name else [f"the root is `{local(root)}`, not `{name}`"]


def tags(root, namespace):
    # EC2 itself writes a slash at the end that its model does not have.
    wanted = namespace.rstrip("/")
    strange = {it.tag for it in root.iter() if it.tag[1:].rpartition("}")[0].rstrip("/") != wanted}
    return [f"{tag}: not in the service's namespace {namespace}" for tag in sorted(strange)]


def local(element):
    return element.tag.rpartition("}")[2]
