"""Resource Graph: the tables, paging, the queries of Update Manager, what is refused."""

from __future__ import annotations

import re

import pytest
from azure.core.exceptions import HttpResponseError

from azure_graph import (
    AVAILABLE_UPDATES,
    CLASSES,
    INSTALLATION_COUNTS,
    UPDATE_INSTALLATIONS,
    installed_patches,
    page,
    rows,
)
from azure_patching import installed_well
from azure_sim import Clients, Machines, Vm, eventually, power_of

VM = "microsoft.compute/virtualmachines"
ARC = "microsoft.hybridcompute/machines"
COLUMNS = {
    "id",
    "name",
    "type",
    "tenantId",
    "kind",
    "location",
    "resourceGroup",
    "subscriptionId",
    "managedBy",
    "sku",
    "plan",
    "properties",
    "tags",
    "identity",
    "zones",
    "extendedLocation",
}


def assessed(vm: Vm):
    """Assesses a machine and returns the result."""
    operations = vm.clients.compute.virtual_machines
    return operations.begin_assess_patches(vm.group, vm.name).result()


def of(vm: Vm, found: list[dict]) -> list[dict]:
    """Returns the rows that lie under a machine; ids come back in any case."""
    return [row for row in found if row["id"].lower().startswith(f"{vm.id.lower()}/")]


def test_every_listed_machine_is_in_the_graph(per_subscription: list[Clients]) -> None:
    for clients in per_subscription:
        listed = {vm.id.lower() for vm in clients.compute.virtual_machines.list_all()}
        listed |= {m.id.lower() for m in clients.hybrid.machines.list_by_subscription()}
        query = f"resources | where type in~ ('{VM}', '{ARC}') | project id"
        assert {row["id"].lower() for row in rows(clients, query)} == listed


def test_count_counts_all_rows_in_one(azure: Clients) -> None:
    listed = sum(1 for _ in azure.compute.virtual_machines.list_all())
    answer = page(azure, f"Resources | where type =~ '{VM}' | count")
    assert answer.data == [{"Count": listed}]


def test_pages_by_token_name_each_row_once(per_subscription: list[Clients]) -> None:
    subscriptions = [clients.subscription for clients in per_subscription]
    query = f"resources | where type =~ '{VM}' | project id, name | order by id asc"
    clients = per_subscription[0]
    whole = [row["id"] for row in rows(clients, query, subscriptions=subscriptions)]
    by_seven = [row["id"] for row in rows(clients, query, subscriptions=subscriptions, top=7)]
    assert len(whole) > 7, "too few machines to page"
    assert by_seven == whole
    assert len(set(whole)) == len(whole)


def test_a_long_answer_is_cut_at_a_thousand_rows(slow_azure: list[Clients]) -> None:
    subscriptions = [clients.subscription for clients in slow_azure]
    query = "patchassessmentresources | where type has 'softwarepatches' | project id"
    answer = page(slow_azure[0], query, subscriptions=subscriptions)
    assert answer.total_records > 1000, "the slow world has too few patches to cut"
    assert answer.count == len(answer.data) == 1000
    assert answer.skip_token
    found = rows(slow_azure[0], query, subscriptions=subscriptions)
    assert len({row["id"] for row in found}) == answer.total_records


def test_without_subscriptions_all_are_asked(per_subscription: list[Clients]) -> None:
    query = f"resources | where type =~ '{VM}' | summarize machines = count() by subscriptionId"
    found = page(per_subscription[0], query, subscriptions=[]).data
    counts = {
        c.subscription: sum(1 for _ in c.compute.virtual_machines.list_all())
        for c in per_subscription
    }
    expected = {subscription: n for subscription, n in counts.items() if n}
    assert {row["subscriptionId"]: row["machines"] for row in found} == expected


def test_only_the_named_subscription_answers(per_subscription: list[Clients]) -> None:
    for clients in per_subscription:
        found = rows(clients, f"resources | where type =~ '{VM}' | project id, subscriptionId")
        assert {row["subscriptionId"] for row in found} <= {clients.subscription}


def test_a_row_of_a_machine_has_the_documented_columns(machines: Machines) -> None:
    vm = machines.vm()
    query = f"resources | where type =~ '{VM}' and name =~ '{vm.name}'"
    row = next(
        row for row in page(vm.clients, query).data if row["id"].lower() == vm.id.lower()
    )
    assert row.keys() == COLUMNS
    assert row["type"] == VM
    assert row["resourceGroup"] == vm.group.lower()
    assert row["subscriptionId"] == vm.clients.subscription
    assert row["properties"]["vmId"] == vm.model.properties.vm_id
    assert row["properties"]["storageProfile"]["osDisk"]["osType"] == vm.os
    power = row["properties"]["extended"]["instanceView"]["powerState"]
    assert power["code"] == f"PowerState/{power_of(vm.view())}"


def test_a_table_has_typed_columns(azure: Clients) -> None:
    query = f"resources | where type =~ '{VM}' | project id, name, tags | take 3"
    answer = page(azure, query, result_format="table")
    assert [(c["name"], c["type"]) for c in answer.data["columns"]] == [
        ("id", "string"),
        ("name", "string"),
        ("tags", "object"),
    ]
    assert len(answer.data["rows"]) == answer.count == 3
    assert all(len(row) == 3 for row in answer.data["rows"])


def test_the_quota_is_told_with_every_answer(azure: Clients) -> None:
    page(azure, "resources | take 1")
    answer = azure.policy.exchanges[-1]
    assert answer.header("x-ms-user-quota-remaining").isdigit()
    assert re.fullmatch(r"\d\d:\d\d:\d\d", answer.header("x-ms-user-quota-resets-after"))


def test_the_updates_available_by_class_are_those_of_the_assessment(machines: Machines) -> None:
    for vm in machines.vms():
        result = assessed(vm)
        if result.available_patches:
            break
    else:
        pytest.fail("no machine lacks a patch")
    summary = "patchassessmentresources | where type !has 'softwarepatches'"

    def own() -> list[dict]:
        return of(vm, rows(vm.clients, summary))

    found = eventually(
        own, lambda found: [r["name"] for r in found] == [result.assessment_activity_id]
    )
    [row] = found
    assert row["id"].lower() == f"{vm.id}/patchassessmentresults/latest".lower()
    assert row["type"] == f"{VM}/patchassessmentresults"
    properties = row["properties"]
    assert properties["osType"] == vm.os
    assert properties["status"] == "Succeeded"
    assert properties["rebootPending"] == result.reboot_pending
    counts = properties["availablePatchCountByClassification"]
    assert sum(counts.values()) == len(result.available_patches)

    [listed] = of(vm, rows(vm.clients, AVAILABLE_UPDATES))
    assert listed["OS"] == vm.os
    assert {name: listed[f"{name}Count"] for name in CLASSES} == {
        name: counts.get(name) for name in CLASSES
    }


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_each_missing_patch_is_a_row(machines: Machines, os: str) -> None:
    for vm in machines.vms(os=os):
        result = assessed(vm)
        if result.available_patches:
            break
    else:
        pytest.fail(f"no {os} machine lacks a patch")
    query = "patchassessmentresources | where type has 'softwarepatches'"
    found = eventually(
        lambda: of(vm, rows(vm.clients, query)),
        lambda found: len(found) == len(result.available_patches),
    )
    names = {patch.name for patch in result.available_patches}
    for row in found:
        properties = row["properties"]
        assert row["type"] == f"{VM}/patchassessmentresults/softwarepatches"
        assert "/patchassessmentresults/latest/softwarepatches/" in row["id"].lower()
        assert properties["patchName"] in names
        assert properties["classifications"]
        if os == "Windows":
            assert properties["kbId"] and "version" not in properties
            assert properties["publishedDateTime"]
        else:
            assert properties["version"] and not properties.get("publishedDateTime")


@pytest.mark.parametrize("os", ["Linux", "Windows"])
def test_an_installation_is_a_row_and_each_of_its_patches_too(machines: Machines, os: str) -> None:
    vm, result = installed_well(machines, os)
    run = result.installation_activity_id
    found = eventually(
        lambda: [r for r in rows(vm.clients, UPDATE_INSTALLATIONS) if r["RunID"] == run],
        lambda found: len(found) == 1,
    )
    [row] = found
    # `split(id, "/", 8)` is a list of one, so that its text has brackets.
    assert row["machineName"].lower() == f'["{vm.name}"]'.lower()
    assert row["rgName"].lower() == f'["{vm.group}"]'.lower()
    assert row["OS"] == os
    assert [row[name] for name in INSTALLATION_COUNTS] == [
        str(result.installed_patch_count),
        str(result.failed_patch_count),
        str(result.pending_patch_count),
        str(result.excluded_patch_count),
        str(result.not_selected_patch_count),
    ]
    patches = [r for r in page(vm.clients, installed_patches(os)).data if run in r["RunID"]]
    assert sorted((p["patchName"], p["installationState"]) for p in patches) == sorted(
        (p.name, p.installation_state) for p in result.patches
    )


def test_machines_join_their_assessments(per_subscription: list[Clients]) -> None:
    query = f"""
    resources
    | where type in~ ('{VM}', '{ARC}')
    | project id = tolower(id), name, tags,
        power = tostring(properties.extended.instanceView.powerState.code)
    | join kind=leftouter (
        patchassessmentresources
        | where type !has 'softwarepatches'
        | extend machine = tolower(tostring(split(tolower(id), '/patchassessmentresults')[0]))
        | project machine, rebootPending = tobool(properties.rebootPending),
            critical = toint(properties.availablePatchCountByClassification.critical)
      ) on $left.id == $right.machine
    | project id, name, power, rebootPending, critical
    """
    for clients in per_subscription:
        listed = {vm.id.lower() for vm in clients.compute.virtual_machines.list_all()}
        listed |= {m.id.lower() for m in clients.hybrid.machines.list_by_subscription()}
        found = rows(clients, query)
        assert {row["id"] for row in found} == listed
        assert len(found) == len(listed)
    joined = [row for c in per_subscription for row in rows(c, query)]
    assert any(row["rebootPending"] is not None for row in joined)


def refused(clients: Clients, query: str, **options) -> list[dict]:
    """Returns the details of a refused query."""
    with pytest.raises(HttpResponseError) as caught:
        page(clients, query, **options)
    assert caught.value.status_code == 400
    body = clients.policy.exchanges[-1].json()["error"]
    assert body["code"] == "BadRequest"
    assert re.fullmatch(
        r"Please provide below info when asking for support: timestamp = \S+, "
        r"correlationId = [0-9a-f-]{36}\.",
        body["message"],
    )
    assert body["details"]
    return body["details"]


def test_an_unknown_table_is_refused_by_its_name(azure: Clients) -> None:
    # Azure/azqr#847 shows the service's words.
    details = refused(azure, "nosuchresources | take 1")
    assert details == [
        {
            "code": "DisallowedLogicalTableName",
            "message": "Table nosuchresources is invalid, unsupported or disallowed.",
        }
    ]


@pytest.mark.parametrize(
    "query",
    [
        "resources | where",
        "resources | evaluate bag_unpack(properties)",
        "resources | where name == nosuchfunction(1)",
        "resources | | take 1",
        "resources | where name == 'open",
        "resources | take many",
    ],
)
def test_a_query_out_of_the_language_is_refused(azure: Clients, query: str) -> None:
    # Azure/azure-powershell#13762 shows the service's words.
    details = refused(azure, query)
    assert details[0]["code"] == "InvalidQuery"
    assert details[0]["message"] == (
        "Query is invalid. Please refer to the documentation for the Azure Resource Graph "
        "service and fix the error before retrying."
    )


def test_an_unknown_column_is_refused_not_answered(azure: Clients) -> None:
    refused(azure, "resources | project nosuchcolumn")


@pytest.mark.parametrize("options", [{"top": 1001}, {"top": 0}, {"skip_token": "no token"}])
def test_an_option_out_of_bounds_is_refused(azure: Clients, options: dict) -> None:
    with pytest.raises(HttpResponseError) as caught:
        page(azure, "resources | project id", **options)
    assert caught.value.status_code == 400
    assert caught.value.error.code


def test_a_request_without_a_query_is_refused(azure: Clients) -> None:
    for body in ({}, {"query": ""}, {"query": 7}):
        answer = azure.raw(
            "POST", "/providers/Microsoft.ResourceGraph/resources", version="2021-03-01", json=body
        )
        assert answer.status == 400
