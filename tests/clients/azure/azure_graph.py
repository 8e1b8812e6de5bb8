"""What the tests of Resource Graph share: paged queries and the documented ones."""

from __future__ import annotations

from typing import Any

from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

from azure_sim import Clients

# The classes that the summary of an assessment counts.
CLASSES = [
    "updateRollup",
    "featurePack",
    "servicePack",
    "definition",
    "security",
    "critical",
    "updates",
    "tools",
    "other",
]
INSTALLATION_COUNTS = [
    "installedPatchCount",
    "failedPatchCount",
    "pendingPatchCount",
    "excludedPatchCount",
    "notSelectedPatchCount",
]

# The constructs of the following are those of "Sample queries" in Microsoft's documentation of
# Azure Update Manager: the same tables, operators and columns, named arguments of `tostring`
# and all.
_WHERE_FROM = (
    'extend machineName = tostring(split(id, "/", 8)), resourceType = tostring(split(type, "/", 0)),'
    ' tostring(rgName = split(id, "/", 4))'
)


def _counts_of(names: list[str], holder: str) -> str:
    return ", ".join(f"{name}Count = {holder}.{name}" for name in names)


AVAILABLE_UPDATES = f"""
patchassessmentresources
| where type !has "softwarepatches"
| extend prop = parse_json(properties)
| extend lastTime = properties.lastModifiedDateTime
| extend {_counts_of(CLASSES, "prop.availablePatchCountByClassification")}, OS = prop.osType
| project lastTime, id, OS, {", ".join(f"{name}Count" for name in CLASSES)}
"""

UPDATE_INSTALLATIONS = f"""
patchinstallationresources
| where type !has "softwarepatches"
| {_WHERE_FROM}
| extend prop = parse_json(properties)
| extend lTime = todatetime(prop.lastModifiedDateTime), OS = tostring(prop.osType),
  {", ".join(f"{name} = tostring(prop.{name})" for name in INSTALLATION_COUNTS)}
| where lTime > ago(7d)
| project lTime, RunID=name,machineName, rgName, resourceType, OS, {", ".join(INSTALLATION_COUNTS)}
"""


def installed_patches(os: str) -> str:
    """Returns the documented query of the single updates of one system's installations."""
    has, column = ("!has", "kbId") if os == "Windows" else ("has", "version")
    return f"""
patchinstallationresources
| where type has "softwarepatches" and properties {has} "version"
| {_WHERE_FROM}, tostring(RunID = split(id, "/", 10))
| extend prop = parse_json(properties)
| extend lTime = todatetime(prop.lastModifiedDateTime), patchName = tostring(prop.patchName),
  {column} = tostring(prop.{column}), installationState = tostring(prop.installationState),
  classifications = tostring(prop.classifications)
| where lTime > ago(7d)
| project lTime, RunID, machineName, rgName, resourceType, patchName, {column}, classifications, installationState
| sort by RunID
"""


def maintenance_runs(machine: str) -> str:
    """Returns the documented query of the maintenance runs of one machine."""
    return f"""
maintenanceresources
| where ['id'] contains "{machine}" //the machine's id
| where ['type'] == "microsoft.maintenance/applyupdates"
| where properties.maintenanceScope == "InGuestPatch"
"""


def page(
    clients: Clients, query: str, *, subscriptions: list[str] | None = None, **options: Any
) -> Any:
    """Returns one answer of Resource Graph."""
    return clients.graph.resources(
        QueryRequest(
            subscriptions=[clients.subscription] if subscriptions is None else subscriptions,
            query=query,
            options=QueryRequestOptions(**options) if options else None,
        )
    )


def rows(
    clients: Clients, query: str, *, subscriptions: list[str] | None = None, top: int | None = None
) -> list[dict[str, Any]]:
    """Returns all rows, page after page."""
    found: list[dict[str, Any]] = []
    token, total = None, None
    while True:
        options = {k: v for k, v in {"top": top, "skip_token": token}.items() if v is not None}
        answer = page(clients, query, subscriptions=subscriptions, **options)
        assert answer.count == len(answer.data) <= (top or 1000)
        assert answer.facets in (None, [])
        if total is not None:
            assert answer.total_records == total, "the whole count changes between pages"
        total = answer.total_records
        found.extend(answer.data)
        token = answer.skip_token
        if token is None:
            assert answer.result_truncated == "false" and len(found) == total
            return found
        assert answer.data, "a page without rows but with a token"
