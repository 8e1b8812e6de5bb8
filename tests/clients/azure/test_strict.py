"""The strict layer itself: what it lets pass and what it catches."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any, Callable

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.compute import models as compute
from azure.mgmt.maintenance import models as maintenance
from azure.mgmt.resourcegraph import models as graph
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from azure_schema import page_of, schema_of
from azure_sim import Clients
from azure_strict import Exchange, Strict, StrictFault

HOST = "http://127.0.0.1:8080"
SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
VM = (
    f"{HOST}/subscriptions/{SUBSCRIPTION}/resourceGroups/apps/providers"
    "/Microsoft.Compute/virtualMachines/web-1"
)
OPERATION = "0f3b1d52-9b1f-4a53-8f0e-3f9a1d7c2b11"
OPERATIONS = (
    f"{HOST}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope"
    f"/operations/{OPERATION}?p=1"
)
HEADERS = {
    "x-ms-request-id": "a",
    "x-ms-correlation-request-id": "b",
    "Date": "Tue, 24 Nov 2026 00:00:00 GMT",
}
JSON = {**HEADERS, "Content-Type": "application/json; charset=utf-8"}


def result(**changes: Any) -> dict[str, Any]:
    """Returns an installation result in the form that the service gives."""
    return {
        "status": "Succeeded",
        "installationActivityId": OPERATION,
        "rebootStatus": "NotNeeded",
        "maintenanceWindowExceeded": False,
        "excludedPatchCount": 0,
        "notSelectedPatchCount": 0,
        "pendingPatchCount": 0,
        "installedPatchCount": 1,
        "failedPatchCount": 0,
        "patches": [
            {
                "patchId": "curl_7.81.0_Ubuntu_22.04",
                "name": "curl",
                "version": "7.81.0",
                "classifications": ["Security"],
                "installationState": "Installed",
            }
        ],
        "startDateTime": "2026-11-24T01:35:07.2163321+00:00",
        "maintenanceRunId": "",
        "error": {"details": [], "code": "0", "message": "0 error/s reported."},
        **changes,
    }


def exchange(
    body: Any = None,
    *,
    method: str = "GET",
    url: str = f"{VM}/instanceView?api-version=2026-04-01",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Exchange:
    """Returns an exchange with this answer."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(method, url, status, JSON if headers is None else headers, raw)


def says(bad: Exchange, strict: Strict | None = None) -> str:
    """Returns what the strict layer says of a bad exchange."""
    with pytest.raises(StrictFault) as caught:
        (strict or Strict()).check(bad)
    return str(caught.value)


@pytest.mark.parametrize("name", ["x-ms-request-id", "x-ms-correlation-request-id", "Date"])
def test_an_answer_without_an_id_or_a_date_is_caught(name: str) -> None:
    headers = {key: value for key, value in JSON.items() if key != name}
    assert name.lower() in says(exchange({}, headers=headers))


def test_html_is_caught_whatever_its_content_type() -> None:
    assert "HTML" in says(exchange(b"<!DOCTYPE html><html></html>"))


def test_a_body_of_another_type_is_caught() -> None:
    headers = {**HEADERS, "Content-Type": "text/plain"}
    assert "text/plain" in says(exchange({}, headers=headers))


@pytest.mark.parametrize(
    "body",
    [
        {"message": "no envelope"},
        {"error": "a string"},
        {"error": {"code": "NotFound"}},
        {"error": {"code": "", "message": "no code"}},
        {"error": {"Code": "X", "code": "X", "message": "two cases"}},
        {"error": {"code": "X", "message": "y", "details": [{"code": "Z"}]}},
    ],
)
def test_an_error_out_of_its_envelope_is_caught(body: Any) -> None:
    assert "$.error" in says(exchange(body, status=404))


def test_an_error_in_its_envelope_passes() -> None:
    Strict().check(
        exchange(
            {"error": {"code": "NotFound", "message": "gone", "target": "vm", "details": []}},
            status=404,
        )
    )


def test_an_error_without_a_body_is_caught() -> None:
    assert "without a body" in says(exchange(status=500, headers=HEADERS))


def test_a_throttle_without_retry_after_is_caught() -> None:
    body = {"error": {"code": "TooManyRequests", "message": "later"}}
    assert "retry-after" in says(exchange(body, status=429))


def test_a_next_link_to_another_host_is_caught() -> None:
    listed = f"{HOST}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    body = {"value": [], "nextLink": "https://management.azure.com/x?api-version=1"}
    assert "leaves" in says(exchange(body, url=listed))


def test_a_next_link_without_a_version_is_caught() -> None:
    listed = f"{HOST}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    body = {"value": [], "nextLink": f"{listed}?$skiptoken=2"}
    assert "api-version" in says(exchange(body, url=listed))


def test_an_accepted_request_without_an_address_is_caught() -> None:
    bad = exchange(method="POST", url=f"{VM}/start", status=202, headers=HEADERS)
    assert "202 without" in says(bad)


def test_a_misspelt_property_is_caught_and_the_right_one_named() -> None:
    said = says(exchange({"computername": "web-1"}))
    assert "did it mean 'computerName'" in said


def test_a_property_of_a_wrong_type_is_caught_at_its_place() -> None:
    said = says(exchange({"vmAgent": {"statuses": [{"code": 7}]}}))
    assert "$.vmAgent.statuses[0].code" in said


def test_an_unknown_member_of_an_enum_is_caught_but_not_another_case() -> None:
    Strict().check(exchange({"statuses": [{"code": "a", "level": "info"}]}))
    assert "StatusLevelTypes" in says(exchange({"statuses": [{"code": "a", "level": "Fine"}]}))


def test_an_empty_timestamp_is_caught() -> None:
    assert "datetime" in says(exchange({"statuses": [{"code": "a", "time": ""}]}))


def test_null_is_allowed_where_the_model_has_an_option_and_only_there() -> None:
    schema = schema_of(compute.VirtualMachine)
    assert not list(schema.faults({"location": "westeurope", "tags": None}))
    assert [f.path for f in schema.faults({"location": None})] == ["$.location"]


def test_a_missing_required_property_is_caught() -> None:
    faults = list(page_of(schema_of(compute.VirtualMachine)).faults({"value": [{"id": "x"}]}))
    assert "lacks its required 'location'" in str(faults[0])


def test_the_older_generation_of_models_is_walked_into_its_nested_keys() -> None:
    schema = schema_of(maintenance.MaintenanceConfiguration)
    good = {
        "properties": {
            "maintenanceScope": "InGuestPatch",
            "maintenanceWindow": {"startDateTime": "2026-11-24 00:00", "recurEvery": "Day"},
        }
    }
    assert not list(schema.faults(good))
    flat = {"properties": {"startDateTime": "2026-11-24 00:00", "maintenanceScope": "Guest"}}
    said = [str(fault) for fault in schema.faults(flat)]
    assert any("has no 'startDateTime'" in s for s in said)
    assert any("MaintenanceScope" in s for s in said)


def test_resource_graph_says_whether_it_truncated_as_a_string() -> None:
    answer = {"totalRecords": 1, "count": 1, "data": [{}], "facets": [], "resultTruncated": False}
    assert ["$.resultTruncated"] == [f.path for f in schema_of(graph.QueryResponse).faults(answer)]


class Canned(BaseAdapter):
    """Plays a service: answers in the order given, or by the address that is asked."""

    def __init__(self, answer: Callable[[requests.PreparedRequest], tuple[int, dict, Any]]):
        super().__init__()
        self._answer = answer
        self.asked: list[tuple[str, str]] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        self.asked.append((request.method, request.url))
        status, headers, body = self._answer(request)
        raw = b"" if body is None else json.dumps(body).encode()
        answer = requests.Response()
        answer.status_code = status
        answer.url = request.url
        answer.request = request
        answer.headers.update({**(JSON if raw else HEADERS), **headers})
        answer.raw = HTTPResponse(
            io.BytesIO(raw), headers=answer.headers, status=status, preload_content=False
        )
        return answer

    def close(self) -> None:
        pass


class AnyToken:
    """A credential that needs no endpoint."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("token", 1 << 40)


def played(adapter: Canned) -> Clients:
    """Returns Microsoft's clients with `adapter` for a network."""
    session = requests.Session()
    session.mount("http://", adapter)
    transport = RequestsTransport(session=session, session_owner=False)
    return Clients(HOST, SUBSCRIPTION, Strict(), AnyToken(), transport=transport)


def installation(polls: list[dict[str, Any]], final: Any) -> Canned:
    """Plays one installPatches: the 202, the polls in order, the final address."""
    left = iter(polls)

    def answer(request: requests.PreparedRequest) -> tuple[int, dict, Any]:
        if request.method == "POST":
            monitor = {
                "Azure-AsyncOperation": f"{OPERATIONS}&api-version=2026-04-01",
                "Location": f"{OPERATIONS}&monitor=true&api-version=2026-04-01",
            }
            return 202, monitor, None
        return (200, {}, final) if "monitor=true" in request.url else (200, {}, next(left))

    return Canned(answer)


STARTED = {"startTime": "2026-11-24T01:35:06.1694431+00:00", "name": OPERATION}
RUNNING = {**STARTED, "status": "InProgress"}
ENDED = {**STARTED, "endTime": "2026-11-24T01:55:32.2637578+00:00"}
WANTED = compute.VirtualMachineInstallPatchesParameters(reboot_setting="IfRequired")


def done(output: Any) -> dict[str, Any]:
    """Returns the last poll of an operation that succeeded."""
    return {**ENDED, "status": "Succeeded", "properties": {"output": output}}


def test_the_recorded_protocol_takes_the_client_to_its_result() -> None:
    adapter = installation([RUNNING, RUNNING, done(result())], result())
    clients = played(adapter)
    poller = clients.compute.virtual_machines.begin_install_patches("apps", "web-1", WANTED)
    got = poller.result()
    assert got.installed_patch_count == 1
    assert got.patches[0].installation_state == "Installed"
    assert [method for method, _ in adapter.asked] == ["POST", "GET", "GET", "GET", "GET"]
    checked = clients.strict.checked
    assert checked["virtual machines: install patches, output"] == 1
    assert checked["virtual machines: install patches, result"] == 1


def test_only_what_a_client_of_microsoft_called_is_proven() -> None:
    strict = Strict()
    answer = Exchange("GET", f"{HOST}/subscriptions/{SUBSCRIPTION}/resourceGroups", 200, JSON, b"{}")
    listed = dataclasses.replace(answer, body=b'{"value": []}')
    assert strict.check(listed) == ["GET resource groups: list"]
    assert strict.checked == {}
    strict.check_client(listed)
    assert strict.checked == {"GET resource groups: list": 1}
    with pytest.raises(StrictFault):
        strict.check_client(answer)
    assert strict.checked == {"GET resource groups: list": 1}


def test_a_misspelt_count_in_the_output_is_caught_though_the_client_takes_it() -> None:
    bad = result()
    bad["installedpatchcount"] = bad.pop("installedPatchCount")
    clients = played(installation([done(bad)], result()))
    poller = clients.compute.virtual_machines.begin_install_patches("apps", "web-1", WANTED)
    with pytest.raises(StrictFault, match="installedpatchcount"):
        poller.result()


def test_a_wrong_final_result_is_caught() -> None:
    clients = played(installation([done(result())], result(status="Done")))
    poller = clients.compute.virtual_machines.begin_install_patches("apps", "web-1", WANTED)
    with pytest.raises(StrictFault, match="PatchOperationStatus"):
        poller.result()


def test_a_running_operation_with_an_end_is_caught() -> None:
    clients = played(installation([{**ENDED, "status": "InProgress"}], result()))
    poller = clients.compute.virtual_machines.begin_install_patches("apps", "web-1", WANTED)
    with pytest.raises(StrictFault, match="endTime"):
        poller.result()


def test_a_failed_operation_reaches_the_caller_with_its_code() -> None:
    failed = {
        **ENDED,
        "status": "Failed",
        "error": {"code": "VMGuestPatchInternalError", "message": "Please retry later."},
    }
    clients = played(installation([RUNNING, failed], result()))
    poller = clients.compute.virtual_machines.begin_install_patches("apps", "web-1", WANTED)
    with pytest.raises(HttpResponseError) as caught:
        poller.result()
    assert caught.value.error.code == "VMGuestPatchInternalError"


def test_a_second_page_with_a_fault_is_seen_through_the_pager() -> None:
    listed = f"{HOST}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    item = {"id": VM.removeprefix(HOST), "name": "web-1", "location": "westeurope"}

    def answer(request: requests.PreparedRequest) -> tuple[int, dict, Any]:
        if "skiptoken" in request.url:
            return 200, {}, {"value": [{**item, "Location": "x"}]}
        return 200, {}, {
            "value": [item],
            "nextLink": f"{listed}?api-version=2026-04-01&$skiptoken=2",
        }

    pages = played(Canned(answer)).compute.virtual_machines.list_all()
    assert next(pages).name == "web-1"
    with pytest.raises(StrictFault, match="'Location'"):
        next(pages)
