"""The estate of `main.rs` as Microsoft's clients for Python read it.

One line of JSON comes in and says where the estate is, one goes out with the totals; then the process
stays until its input ends, so that it can be looked at.

It is written to be quick and small: one client for each service, the largest pages, and of a page nothing
is kept but what a row has.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

VM = "microsoft.compute/virtualmachines"
ARC = "microsoft.hybridcompute/machines"
SET = "microsoft.compute/virtualmachinescalesets"

MACHINES = f"""resources
| where type =~ '{VM}' or type =~ '{ARC}'
    or (type =~ '{SET}' and tostring(properties.orchestrationMode) !~ 'Flexible')
| project id, name, type, location, tags, vmId = properties.vmId, vmUuid = properties.vmUuid,
    priority = properties.priority, scaleSet = properties.virtualMachineScaleSet.id,
    osType = properties.storageProfile.osDisk.osType, image = properties.storageProfile.imageReference,
    windows = properties.osProfile.windowsConfiguration.patchSettings,
    linux = properties.osProfile.linuxConfiguration.patchSettings,
    view = properties.extended.instanceView, displayName = properties.displayName,
    arcStatus = properties.status, agentVersion = properties.agentVersion,
    since = properties.lastStatusChange, arcOsType = properties.osType, arcOsName = properties.osName,
    arcOsVersion = properties.osVersion
| extend key = tolower(id)
| join kind=leftouter (patchassessmentresources
  | where type in~ ('{VM}/patchassessmentresults', '{ARC}/patchassessmentresults')
  | project key = tostring(split(tolower(id), '/patchassessmentresults/')[0]),
      assessedAt = properties.lastModifiedDateTime, assessment = properties.status,
      rebootPending = properties.rebootPending,
      available = properties.availablePatchCountByClassification) on key
| project-away key, key1
| order by id asc"""

INSTALLATIONS = f"""patchinstallationresources
| where type in~ ('{VM}/patchinstallationresults', '{ARC}/patchinstallationresults')
| extend machine = tostring(split(tolower(id), '/patchinstallationresults/')[0]),
    began = todatetime(properties.startDateTime)
| summarize arg_max(began, id, properties) by machine
| project id, machine, began, reboot = properties.rebootStatus
| order by machine asc"""

URGENT = ("critical", "security")
WHOLE = ("succeeded", "completedwithwarnings")
KEPT = timedelta(days=7)


class Row:
    """What is kept of a machine."""

    __slots__ = ("id", "kind", "system", "power", "name", "group", "status", "missing", "others")

    def __init__(self, id, kind, system, power, name, tags):
        self.id = id
        self.kind = kind
        self.system = system
        self.power = power
        self.name = name
        tags = tags or {}
        groups = {tags[key] for key in ("Patch Group", "PatchGroup") if tags.get(key)}
        self.group = groups.pop() if len(groups) == 1 else None
        self.status = "unknown"
        self.missing = self.others = 0

    def judge(self, row, installation, now):
        """Says whether it is behind, by its last assessment."""
        if row["assessedAt"] is None:
            return
        at = datetime.fromisoformat(row["assessedAt"].replace("Z", "+00:00"))
        if now - at > KEPT:
            return
        for name, count in (row["available"] or {}).items():
            if name in URGENT:
                self.missing += count or 0
            else:
                self.others += count or 0
        waits = row["rebootPending"] or (installation or {}).get("reboot") == "Required"
        if self.missing or waits:
            self.status = "non_compliant"
        elif (row["assessment"] or "").lower() in WHOLE and row["available"] is not None:
            self.status = "compliant"


class Anyone:
    """The clients want a credential; the policy below takes its place."""

    def get_token(self, *_scopes, **_options):
        raise NotImplementedError


class Bearer(SansIOHTTPPolicy):
    """Puts a token on requests to loopback, where the stock policy refuses plain http."""

    def on_request(self, request):
        request.http_request.headers["Authorization"] = "Bearer bench"


def options(endpoint):
    return {
        "base_url": endpoint,
        "credential_scopes": ["https://management.azure.com/.default"],
        "authentication_policy": Bearer(),
    }


def pages(client, query, subscriptions):
    """Yields the rows of each page."""
    token = None
    while True:
        page = client.resources(
            QueryRequest(
                subscriptions=subscriptions,
                query=query,
                options=QueryRequestOptions(
                    top=1000, skip_token=token, result_format="objectArray"
                ),
            )
        )
        yield page.data
        token = page.skip_token
        if token is None:
            return


def instances(compute, row):
    """Yields the machines of a uniform scale set."""
    parts = row["id"].split("/")
    listing = compute.virtual_machine_scale_set_vms.list(parts[4], parts[8], expand="instanceView")
    for machine in listing:
        codes = [it.code for it in machine.instance_view.statuses]
        power = next((it for it in codes if it.startswith("PowerState/")), "")
        system = machine.storage_profile.os_disk.os_type
        yield Row(machine.id, "instance", str(system), power, machine.name, machine.tags)


def read(endpoint, subscriptions):
    graph = ResourceGraphClient(Anyone(), **options(endpoint))
    compute = {
        it: ComputeManagementClient(Anyone(), it, **options(endpoint)) for it in subscriptions
    }
    now = datetime.now(timezone.utc)
    done = {}
    for page in pages(graph, INSTALLATIONS, subscriptions):
        for row in page:
            done[row["machine"]] = row
    rows = []
    for page in pages(graph, MACHINES, subscriptions):
        for row in page:
            kind = row["type"].lower()
            if kind == SET:
                rows.extend(instances(compute[row["id"].split("/")[2]], row))
                continue
            arc = kind == ARC
            power = None if arc else (row["view"] or {}).get("powerState", {}).get("code")
            system = row["arcOsType"] if arc else row["osType"]
            name = row["displayName"] or row["name"]
            kind = "arc" if arc else "vm"
            machine = Row(row["id"], kind, system or "", power or "", name, row["tags"])
            machine.judge(row, done.get(row["id"].lower()), now)
            rows.append(machine)
    return rows


def totals(rows):
    off = ("PowerState/stopped", "PowerState/deallocated")
    return {
        "machines": len(rows),
        "arc": sum(row.kind == "arc" for row in rows),
        "instances": sum(row.kind == "instance" for row in rows),
        "windows": sum("windows" in row.system.lower() for row in rows),
        "off": sum(row.power in off for row in rows),
        "named": sum(row.name is not None for row in rows),
        "grouped": sum(row.group is not None for row in rows),
        "compliant": sum(row.status == "compliant" for row in rows),
        "non_compliant": sum(row.status == "non_compliant" for row in rows),
        "unknown": sum(row.status == "unknown" for row in rows),
        "missing": sum(row.missing for row in rows),
        "others": sum(row.others for row in rows),
    }


def main():
    task = json.loads(sys.stdin.readline())
    estate = read(task["endpoint"], task["subscriptions"])
    print(json.dumps(totals(estate)), flush=True)
    sys.stdin.read()


main()
