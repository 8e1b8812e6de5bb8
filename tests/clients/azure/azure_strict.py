"""Checks of every raw answer, before Microsoft's clients soften it.

`check` holds one exchange against what Azure Resource Manager promises for all services:
content type, request ids, the form of errors, links that stay on the host that was asked, and
the wire shape of the model of the operation. `StrictPolicy` runs it inside the clients' own
pipelines, behind the retry policy, so that retried answers are seen too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy
from azure.mgmt.compute import models as compute
from azure.mgmt.hybridcompute import models as hybrid
from azure.mgmt.maintenance import models as maintenance
from azure.mgmt.resource.resources import models as resources
from azure.mgmt.resourcegraph import models as graph

from azure_schema import Fault, Schema, page_of, schema_of


class StrictFault(AssertionError):
    """An answer that no real service would have given."""


@dataclass(frozen=True)
class Exchange:
    """One request and its raw answer."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Returns the path of the request, in lower case: ARM ignores case."""
        return urlsplit(self.url).path.lower()

    def header(self, name: str) -> str | None:
        """Returns a header of the answer, whatever its case."""
        return next((v for k, v in self.headers.items() if k.lower() == name.lower()), None)

    def json(self) -> Any:
        """Returns the parsed body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Route:
    """One operation: the requests that are it, and the shape of what it answers."""

    name: str
    method: str
    path: re.Pattern[str]
    answer: Schema | None
    # The result of the long-running operation that an accepted request starts.
    result: Schema | None = None

    @property
    def has_output(self) -> bool:
        """Tells whether the status of the operation carries the result too: recorded of compute."""
        return self.result is not None and self.name.startswith("virtual machines")

    @property
    def has_power(self) -> bool:
        """Tells whether it changes the power of a machine, and answers nothing but its end."""
        return self.name.partition(": ")[2] in _POWER.values()

    def takes(self, exchange: Exchange) -> bool:
        """Tells whether a request is of this operation."""
        return exchange.method in self.method.split("|") and bool(
            self.path.fullmatch(exchange.path)
        )


_POWER = {
    "start": "start",
    "poweroff": "power off",
    "restart": "restart",
    "deallocate": "deallocate",
}
_NAME = r"[^/]+"
_SUBSCRIPTION = rf"/subscriptions/{_NAME}"
_GROUP = rf"{_SUBSCRIPTION}/resourcegroups/{_NAME}"
_COMPUTE = r"/providers/microsoft\.compute"
_VM = rf"{_GROUP}{_COMPUTE}/virtualmachines/{_NAME}"
_SET = rf"{_GROUP}{_COMPUTE}/virtualmachinescalesets/{_NAME}"
_ARC = r"/providers/microsoft\.hybridcompute/machines"
_MAINTENANCE = r"/providers/microsoft\.maintenance"


def _route(
    name: str,
    method: str,
    path: str,
    answer: type | None,
    *,
    listed: type | None = None,
    result: type | None = None,
) -> Route:
    shape = page_of(schema_of(listed)) if listed else schema_of(answer) if answer else None
    return Route(
        name, method, re.compile(path), shape, schema_of(result) if result else None
    )


ROUTES: tuple[Route, ...] = (
    _route(
        "virtual machines: list",
        "GET",
        rf"{_SUBSCRIPTION}(/resourcegroups/{_NAME})?{_COMPUTE}(/locations/{_NAME})?/virtualmachines",
        None,
        listed=compute.VirtualMachine,
    ),
    _route("virtual machines: get", "GET", _VM, compute.VirtualMachine),
    _route("virtual machines: update", "PATCH", _VM, compute.VirtualMachine),
    _route(
        "virtual machines: instance view",
        "GET",
        rf"{_VM}/instanceview",
        compute.VirtualMachineInstanceView,
    ),
    _route(
        "virtual machines: assess patches",
        "POST",
        rf"{_VM}/assesspatches",
        compute.VirtualMachineAssessPatchesResult,
        result=compute.VirtualMachineAssessPatchesResult,
    ),
    _route(
        "virtual machines: install patches",
        "POST",
        rf"{_VM}/installpatches",
        compute.VirtualMachineInstallPatchesResult,
        result=compute.VirtualMachineInstallPatchesResult,
    ),
    _route(
        "scale sets: list",
        "GET",
        rf"{_SUBSCRIPTION}(/resourcegroups/{_NAME})?{_COMPUTE}/virtualmachinescalesets",
        None,
        listed=compute.VirtualMachineScaleSet,
    ),
    _route("scale sets: get", "GET", _SET, compute.VirtualMachineScaleSet),
    _route(
        "scale sets: instance view",
        "GET",
        rf"{_SET}/instanceview",
        compute.VirtualMachineScaleSetInstanceView,
    ),
    _route(
        "scale set machines: list",
        "GET",
        rf"{_SET}/virtualmachines",
        None,
        listed=compute.VirtualMachineScaleSetVM,
    ),
    _route(
        "scale set machines: get",
        "GET",
        rf"{_SET}/virtualmachines/{_NAME}",
        compute.VirtualMachineScaleSetVM,
    ),
    _route(
        "scale set machines: instance view",
        "GET",
        rf"{_SET}/virtualmachines/{_NAME}/instanceview",
        compute.VirtualMachineScaleSetVMInstanceView,
    ),
    _route(
        "machines: list",
        "GET",
        rf"{_SUBSCRIPTION}(/resourcegroups/{_NAME})?{_ARC}",
        None,
        listed=hybrid.Machine,
    ),
    _route("machines: get", "GET", rf"{_GROUP}{_ARC}/{_NAME}", hybrid.Machine),
    _route(
        "machines: assess patches",
        "POST",
        rf"{_GROUP}{_ARC}/{_NAME}/assesspatches",
        hybrid.MachineAssessPatchesResult,
        result=hybrid.MachineAssessPatchesResult,
    ),
    _route(
        "machines: install patches",
        "POST",
        rf"{_GROUP}{_ARC}/{_NAME}/installpatches",
        hybrid.MachineInstallPatchesResult,
        result=hybrid.MachineInstallPatchesResult,
    ),
    _route(
        "tags: get or change",
        "GET|PUT|PATCH|DELETE",
        r"/.+/providers/microsoft\.resources/tags/default",
        resources.TagsResource,
        result=resources.TagsResource,
    ),
    _route(
        "resource groups: list",
        "GET",
        rf"{_SUBSCRIPTION}/resourcegroups",
        None,
        listed=resources.ResourceGroup,
    ),
    _route("resource groups: get", "GET", _GROUP, resources.ResourceGroup),
    _route(
        "providers: list",
        "GET",
        rf"{_SUBSCRIPTION}/providers",
        None,
        listed=resources.Provider,
    ),
    _route(
        "resource graph: query",
        "POST",
        r"/providers/microsoft\.resourcegraph/resources",
        graph.QueryResponse,
    ),
    _route(
        "maintenance configurations: list",
        "GET",
        rf"{_SUBSCRIPTION}(/resourcegroups/{_NAME})?{_MAINTENANCE}/maintenanceconfigurations",
        None,
        listed=maintenance.MaintenanceConfiguration,
    ),
    _route(
        "maintenance configurations: one",
        "GET|PUT|PATCH|DELETE",
        rf"{_GROUP}{_MAINTENANCE}/maintenanceconfigurations/{_NAME}",
        maintenance.MaintenanceConfiguration,
    ),
    _route(
        "configuration assignments: list",
        "GET",
        rf"{_SUBSCRIPTION}/(.+/)?providers/microsoft\.maintenance/configurationassignments",
        None,
        listed=maintenance.ConfigurationAssignment,
    ),
    _route(
        "configuration assignments: one",
        "GET|PUT|PATCH|DELETE",
        rf"{_SUBSCRIPTION}/(.+/)?providers/microsoft\.maintenance/configurationassignments/{_NAME}",
        maintenance.ConfigurationAssignment,
    ),
    _route(
        "public maintenance configurations: list",
        "GET",
        rf"{_SUBSCRIPTION}{_MAINTENANCE}/publicmaintenanceconfigurations",
        None,
        listed=maintenance.MaintenanceConfiguration,
    ),
    _route(
        "apply updates: list",
        "GET",
        rf"{_SUBSCRIPTION}(/resourcegroups/{_NAME})?{_MAINTENANCE}/applyupdates",
        None,
        listed=maintenance.ApplyUpdate,
    ),
    *(
        _route(f"{of}: {name}", "POST", f"{machine}/{action}", None)
        for of, machine in (
            ("virtual machines", _VM),
            ("scale set machines", rf"{_SET}/virtualmachines/{_NAME}"),
        )
        for action, name in _POWER.items()
    ),
)

_OPERATION_STATES = {"inprogress", "succeeded", "failed", "canceled"}


class Strict:
    """Checks exchanges; remembers which operation a status address belongs to."""

    def __init__(self) -> None:
        self._monitors: dict[str, Route] = {}
        # How many answers of each operation to Microsoft's clients were held against its model.
        self.checked: dict[str, int] = {}

    def check_client(self, exchange: Exchange) -> None:
        """Checks an exchange of one of Microsoft's clients, and counts what it has proven."""
        for name in self.check(exchange):
            self.checked[name] = self.checked.get(name, 0) + 1

    def check(self, exchange: Exchange) -> list[str]:
        """Raises `StrictFault` with every difference, or returns what was held against a model."""
        seen: list[str] = []
        faults = [*self._envelope(exchange), *self._body(exchange, seen)]
        if faults:
            listed = "\n  ".join(str(fault) for fault in faults)
            raise StrictFault(
                f"{exchange.method} {exchange.url} -> {exchange.status}\n  {listed}"
            )
        return seen

    def _envelope(self, exchange: Exchange) -> Iterable[Fault]:
        for name in ("x-ms-request-id", "x-ms-correlation-request-id", "date"):
            if not exchange.header(name):
                yield Fault(name, "missing")
        if b"<html" in exchange.body[:512].lower() or b"<!doctype" in exchange.body[:512].lower():
            yield Fault("body", "HTML")
        kind = (exchange.header("content-type") or "").lower()
        if exchange.body and not kind.startswith("application/json"):
            yield Fault("content-type", f"{kind!r} with a body")
        for name in ("location", "azure-asyncoperation"):
            link = exchange.header(name)
            if link is not None:
                yield from _same_host(name, exchange.url, link)
        wait = exchange.header("retry-after")
        if wait is not None and not wait.isdigit():
            yield Fault("retry-after", f"{wait!r} is no number of seconds")
        if exchange.status == 429 and not (wait or "").isdigit():
            yield Fault("retry-after", "missing on 429")

    def _body(self, exchange: Exchange, seen: list[str]) -> Iterable[Fault]:
        if not exchange.body:
            yield from self._empty(exchange, seen)
            return
        try:
            body = exchange.json()
        except ValueError as error:
            yield Fault("body", f"is no JSON: {error}")
            return
        if exchange.status >= 400:
            yield from arm_error_faults(body)
            return
        if isinstance(body, dict) and body.get("nextLink"):
            yield from _next_link_faults(exchange.url, body["nextLink"])
        monitored = self._monitors.get(_monitor_key(exchange.url))
        if monitored:
            yield from self._monitor(monitored, body, seen)
            return
        route = next((it for it in ROUTES if it.takes(exchange)), None)
        if route is not None:
            self._remember(exchange, route)
            seen.append(f"{exchange.method} {route.name}")
            if route.answer:
                yield from route.answer.faults(body)

    def _empty(self, exchange: Exchange, seen: list[str]) -> Iterable[Fault]:
        if exchange.status >= 400 and exchange.method != "HEAD":
            yield Fault("body", "an error without a body")
        if exchange.status == 202:
            if not (exchange.header("location") or exchange.header("azure-asyncoperation")):
                if _monitor_key(exchange.url) not in self._monitors:
                    yield Fault("headers", "202 without Location or Azure-AsyncOperation")
        route = next((it for it in ROUTES if it.takes(exchange)), None)
        if route is not None and exchange.status < 400:
            seen.append(f"{exchange.method} {route.name}")
        if exchange.status == 202:
            # What is of no route has no result that could be held against a model.
            unknown = Route("operation", exchange.method, re.compile(""), None)
            self._remember(exchange, route or unknown)

    def _remember(self, exchange: Exchange, route: Route) -> None:
        if exchange.method == "GET":
            return
        for name in ("location", "azure-asyncoperation"):
            link = exchange.header(name)
            if link:
                self._monitors[_monitor_key(link)] = route

    def _monitor(self, route: Route, body: Any, seen: list[str]) -> Iterable[Fault]:
        if not isinstance(body, dict):
            yield Fault("$", "the status of an operation is no object")
            return
        # Only a status address speaks of `status` and `name` side by side; the final address
        # of a patch operation holds the plain result, which has a `status` too.
        if "name" not in body or "startTime" not in body:
            if route.result is not None:
                seen.append(f"{route.name}, result")
                yield from route.result.faults(body)
            return
        state = str(body.get("status"))
        if state.lower() not in _OPERATION_STATES:
            yield Fault("$.status", f"{state!r} is no state of an operation")
        known = {"startTime", "endTime", "status", "name", "properties", "error", "percentComplete"}
        for key in sorted(body.keys() - known):
            yield Fault("$", f"the status of an operation has no {key!r}")
        running = state.lower() == "inprogress"
        if running == ("endTime" in body):
            yield Fault("$.endTime", f"{'present' if running else 'missing'} while {state}")
        if state.lower() == "failed":
            yield from arm_error_faults(body)
        if state.lower() == "succeeded":
            seen.append(f"{route.name}, end")
        if state.lower() == "succeeded" and route.has_output:
            seen.append(f"{route.name}, output")
            output = (body.get("properties") or {}).get("output")
            yield from route.result.faults(output, "$.properties.output")


def arm_error_faults(body: Any) -> Iterable[Fault]:
    """Yields what keeps `body` from being Azure Resource Manager's error envelope."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        yield Fault("$.error", "missing")
        return
    for key in ("code", "message"):
        if not isinstance(error.get(key), str) or not error[key]:
            yield Fault(f"$.error.{key}", "missing")
    known = {"code", "message", "target", "details", "innererror", "additionalInfo"}
    for key in sorted(error.keys() - known):
        yield Fault("$.error", f"an error has no {key!r}")
    for index, detail in enumerate(error.get("details") or []):
        for key in ("code", "message"):
            if not isinstance(detail.get(key), str):
                yield Fault(f"$.error.details[{index}].{key}", "missing")


def _next_link_faults(asked: str, link: str) -> Iterable[Fault]:
    yield from _same_host("nextLink", asked, link)
    # The compute client sends the link as it stands.
    if "api-version" not in parse_qs(urlsplit(link).query):
        yield Fault("nextLink", "without api-version")


def _same_host(name: str, asked: str, link: str) -> Iterable[Fault]:
    here, there = urlsplit(asked), urlsplit(link)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        yield Fault(name, f"{link} leaves {here.scheme}://{here.netloc}")


def _monitor_key(url: str) -> str:
    # Both addresses of an operation have one path on compute and differ in the query.
    return urlsplit(url).path.lower()


class StrictPolicy(HTTPPolicy):
    """Holds every answer of a client against `Strict`, and keeps it for the test."""

    def __init__(self, strict: Strict) -> None:
        super().__init__()
        self._strict = strict
        self.exchanges: list[Exchange] = []

    def for_another(self) -> "StrictPolicy":
        """Returns a policy for one more client: a pipeline chains its own copy of it."""
        other = StrictPolicy(self._strict)
        other.exchanges = self.exchanges
        return other

    def send(self, request: PipelineRequest) -> PipelineResponse:
        """Sends the request and checks its raw answer."""
        answer = self.next.send(request)
        raw = answer.http_response
        # The first answer of a long-running operation is streamed; reading it is harmless.
        body = raw.read() if hasattr(raw, "read") else raw.body()
        exchange = Exchange(
            request.http_request.method,
            request.http_request.url,
            raw.status_code,
            dict(raw.headers),
            body,
        )
        self.exchanges.append(exchange)
        self._strict.check_client(exchange)
        return answer

    def since(self, mark: int, method: str, contains: str = "") -> list[Exchange]:
        """Returns the exchanges after the first `mark` that are of this method and path."""
        wanted = contains.lower()
        return [e for e in self.exchanges[mark:] if e.method == method and wanted in e.path]
