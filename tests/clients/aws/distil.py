"""Distils botocore's service models to what the simulator needs.

Writes one file per service: botocore's own format (`metadata`, `operations`, `shapes`) without
prose, restricted to the operations of `operations.py` and the shapes that they reach, and with the
`paginators` of these operations. Sorted, one line per operation, paginator and shape, so that a
newer botocore shows in review as the lines that it changes.

    cd tests/clients
    python -m aws.distil            # writes the files
    python -m aws.distil --check    # fails when they are not what this would write
"""

import argparse
import json
import pathlib
import sys

from botocore.loaders import Loader
from botocore.model import ServiceModel

from aws.operations import OPERATIONS

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL = ROOT / "patchkit-testkit" / "src" / "cloud" / "aws" / "model"

# A key in neither list stops the script: a new kind of constraint is to be looked at, not lost.
METADATA = {
    "apiVersion",
    "awsQueryCompatible",
    "endpointPrefix",
    "jsonVersion",
    "protocol",
    "protocols",
    "serviceId",
    "signatureVersion",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
}
OPERATION = {"authtype", "errors", "http", "idempotent", "input", "name", "output", "readonly"}
OPERATION_DROPPED = {
    "auth",
    "deprecated",
    "deprecatedMessage",
    "documentation",
    "documentationUrl",
    "endpoint",
    "operationContextParams",
    "staticContextParams",
}
SHAPE = {
    "box",
    "document",
    "enum",
    "error",
    "exception",
    "fault",
    "flattened",
    "hostLabel",
    "idempotencyToken",
    "jsonvalue",
    "key",
    "location",
    "locationName",
    "max",
    "member",
    "members",
    "min",
    "pattern",
    "payload",
    "queryName",
    "required",
    "resultWrapper",
    "retryable",
    "sensitive",
    "shape",
    "streaming",
    "synthetic",
    "timestampFormat",
    "type",
    "union",
    "value",
    "wrapper",
    "xmlAttribute",
    "xmlNamespace",
    "xmlOrder",
}
SHAPE_DROPPED = {
    "contextParam",
    "deprecated",
    "deprecatedMessage",
    "deprecatedSince",
    "documentation",
    "order",
}


def distilled(service, loader):
    """The model of one service, as plain data."""
    model = loader.load_service_model(service, "service-2")
    wanted = sorted(OPERATIONS[service])
    missing = [name for name in wanted if name not in model["operations"]]
    if missing:
        raise SystemExit(f"{service}: botocore has no {', '.join(missing)}")
    operations = {name: operation(model["operations"][name]) for name in wanted}
    shapes = {}
    for it in operations.values():
        for reference in [it.get("input"), it.get("output"), *it.get("errors", [])]:
            if reference:
                reach(reference["shape"], model["shapes"], shapes)
    paginators = loader.load_service_model(service, "paginators-1")["pagination"]
    metadata = {key: it for key, it in model["metadata"].items() if key in METADATA}
    # The tagging API's first protocol is CBOR, and no client prefers it to the JSON it also speaks.
    metadata["protocol"] = ServiceModel(model, service).resolved_protocol
    return {
        "metadata": metadata,
        "operations": operations,
        "paginators": {name: it for name, it in paginators.items() if name in operations},
        "shapes": shapes,
    }


def operation(model):
    kept = pruned(model, OPERATION, OPERATION_DROPPED)
    for side in ("input", "output"):
        if side in kept:
            kept[side] = pruned(kept[side], SHAPE, SHAPE_DROPPED)
    if "errors" in kept:
        kept["errors"] = [pruned(error, SHAPE, SHAPE_DROPPED) for error in kept["errors"]]
    return kept


def reach(name, all_shapes, found):
    """Adds a shape and all that it refers to."""
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        shape = found[name] = pruned(all_shapes[name], SHAPE, SHAPE_DROPPED)
        for part in ("key", "member", "value"):
            if part in shape:
                shape[part] = pruned(shape[part], SHAPE, SHAPE_DROPPED)
                waiting.append(shape[part]["shape"])
        if "members" in shape:
            # Members are names of the service's: one may well be called `documentation`.
            shape["members"] = {
                member: pruned(reference, SHAPE, SHAPE_DROPPED)
                for member, reference in shape["members"].items()
            }
            waiting.extend(reference["shape"] for reference in shape["members"].values())


def pruned(model, kept, dropped):
    unknown = model.keys() - kept - dropped
    if unknown:
        raise SystemExit(f"neither kept nor dropped: {', '.join(sorted(unknown))} in {model}")
    return {key: it for key, it in model.items() if key in kept}


def text(model):
    """JSON that a reviewer can read as a list: one line per named thing."""
    parts = []
    for part in ("metadata", "operations", "paginators", "shapes"):
        lines = [f"    {dumped(name)}: {dumped(it)}" for name, it in sorted(model[part].items())]
        body = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
        parts.append(f"  {dumped(part)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def dumped(it):
    return json.dumps(it, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def texts():
    """What the files are to hold, by name."""
    loader = Loader()
    return {f"{service}.json": text(distilled(service, loader)) for service in sorted(OPERATIONS)}


def differing():
    """The names of the files that are not what this script would write."""

    def held(name):
        path = MODEL / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    return [name for name, wanted in texts().items() if held(name) != wanted]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="compare, write nothing")
    if arguments.parse_args().check:
        names = differing()
        if names:
            sys.exit(f"not as distilled from the pinned botocore: {', '.join(names)}")
        return
    MODEL.mkdir(parents=True, exist_ok=True)
    for name, wanted in texts().items():
        (MODEL / name).write_text(wanted, encoding="utf-8")
        print(f"{name}: {len(wanted):,} bytes")


if __name__ == "__main__":
    main()
