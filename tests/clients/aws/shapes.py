"""Whether a value that botocore has parsed is what its shape allows."""

import datetime
import functools

import regex

# Where the service itself answers what its model does not allow, and says so in its own words.
SPELT_OTHERWISE = {
    # AWS CLI reference, describe-instance-patches: the examples' states are `InstalledOther` and
    # so on, while the model's enum is upper case.
    "PatchComplianceDataState": {
        "Installed",
        "InstalledOther",
        "InstalledPendingReboot",
        "InstalledRejected",
        "Missing",
        "NotApplicable",
        "Failed",
        "AvailableSecurityUpdate",
    },
    # botocore ssm model, ComplianceItem.Status: "An empty string is returned for patches that
    # aren't applicable" to a Windows node.
    "ComplianceStatus": {""},
    # AWS CLI reference, get-command-invocation: of a command that has not begun, times are empty.
    "StringDateTime": {""},
    # Of a document with several steps of which none was asked for, no step is named.
    "CommandPluginName": {""},
    # AWS CLI reference, describe-instance-patch-states: a node without a group has an empty one.
    "PatchGroup": {""},
    # EC2 API reference, Instance.platform: "This value is `windows` for Windows instances".
    "PlatformValues": {"windows"},
    # AWS CLI reference, describe-vpc-endpoints: every example has states in lower case.
    "State": {"available", "pending", "pendingAcceptance", "deleting", "deleted", "failed"},
}

# Bounds that the service itself does not keep.
UNBOUNDED = {
    # AWS CLI reference, describe-activations: nobody has used it, and the count is 0.
    "RegistrationsCount",
    # AWS CLI reference, get-automation-execution: `"Outputs": {}`.
    "AutomationParameterMap",
    # At most 5, of an operation whose pages hold 10 at least.
    "InstancePatchStatesList",
}

# AWS CLI reference, get-command-invocation: the model's pattern has neither milliseconds
# (`2024-04-19T13:42:36.000Z`) nor durations (`PT0.003S`).
ALSO_MATCHED = {
    "StringDateTime": r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,3}Z)|(PT\d+(\.\d{1,3})?S)",
}


def faults(value, shape, path=""):
    """Says of each part that is not as the shape wants it where it is and why."""
    check = CHECKS.get(shape.type_name)
    if check is None:
        return [f"{path}: shape of type {shape.type_name}"]
    return list(check(value, shape, path))


def of_structure(value, shape, path):
    if not isinstance(value, dict):
        yield wrong(value, "a structure", path)
        return
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"{path}.{name}: required, and not there"
    for name, it in value.items():
        if name in shape.members:
            yield from faults(it, shape.members[name], f"{path}.{name}")
        elif (path, name) != ("", "ResponseMetadata"):
            yield f"{path}.{name}: not a member of {shape.name}"


def of_list(value, shape, path):
    if not isinstance(value, list):
        yield wrong(value, "a list", path)
        return
    yield from bounds(len(value), shape, path, "items")
    for at, it in enumerate(value):
        yield from faults(it, shape.member, f"{path}[{at}]")


def of_map(value, shape, path):
    if not isinstance(value, dict):
        yield wrong(value, "a map", path)
        return
    yield from bounds(len(value), shape, path, "entries")
    for key, it in value.items():
        yield from faults(key, shape.key, f"{path} key {key!r}")
        yield from faults(it, shape.value, f"{path}[{key!r}]")


def of_string(value, shape, path):
    if not isinstance(value, str):
        yield wrong(value, "a string", path)
        return
    if value in SPELT_OTHERWISE.get(shape.name, ()):
        return
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is no {shape.name}"
    yield from bounds(len(value), shape, path, "characters")
    wanted = shape.metadata.get("pattern")
    also = ALSO_MATCHED.get(shape.name)
    if also and compiled(also).fullmatch(value):
        return
    if wanted and not compiled(wanted).fullmatch(value):
        yield f"{path}: {value!r} does not match {shape.name}'s {wanted}"


def of_whole_number(value, shape, path):
    if not isinstance(value, int) or isinstance(value, bool):
        yield wrong(value, "a whole number", path)
        return
    yield from bounds(value, shape, path, "as a number")


def of_number(value, shape, path):
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        yield wrong(value, "a number", path)
        return
    yield from bounds(value, shape, path, "as a number")


def of_boolean(value, _, path):
    if not isinstance(value, bool):
        yield wrong(value, "a boolean", path)


def of_timestamp(value, _, path):
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        yield wrong(value, "a time with its zone", path)


def of_blob(value, shape, path):
    if not isinstance(value, bytes):
        yield wrong(value, "bytes", path)
        return
    yield from bounds(len(value), shape, path, "bytes")


def bounds(size, shape, path, what):
    if shape.name in UNBOUNDED:
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{path}: {size} {what}, {shape.name} wants {low} or more"
    if high is not None and size > high:
        yield f"{path}: {size} {what}, {shape.name} allows {high}"


def wrong(value, wanted, path):
    return f"{path}: {value!r} is not {wanted}"


@functools.lru_cache(maxsize=None)
def compiled(pattern):
    """The models' patterns are Java's: `regex` knows `\\p{L}`, the standard library does not."""
    return regex.compile(pattern)


CHECKS = {
    "blob": of_blob,
    "boolean": of_boolean,
    "double": of_number,
    "float": of_number,
    "integer": of_whole_number,
    "list": of_list,
    "long": of_whole_number,
    "map": of_map,
    "string": of_string,
    "structure": of_structure,
    "timestamp": of_timestamp,
}
