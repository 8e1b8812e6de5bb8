"""The estate of `main.rs` as boto3 reads it: paginators, and a thread for each scope under way.

One line of JSON comes in and says where the estate is, one goes out with the totals; then the process
stays until its input ends, so that it can be looked at.

It is written to be quick and small: one session, so that each service's model is loaded once; the
largest pages; as many ids in a call as go; and of a page nothing is kept but what a row has.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

CONFIG = Config(retries={"mode": "standard"})
ALIVE = ["pending", "running", "stopping", "stopped"]

# What makes a node non-compliant.
COUNTS = [
    "MissingCount",
    "FailedCount",
    "InstalledRejectedCount",
    "InstalledPendingRebootCount",
    "CriticalNonCompliantCount",
    "SecurityNonCompliantCount",
    "OtherNonCompliantCount",
]


class Row:
    """What is kept of a node."""

    __slots__ = ("name", "system", "hybrid", "power", "agent", "group", "status", "missing")

    def __init__(self, hybrid, power):
        self.hybrid = hybrid
        self.power = power
        self.name = self.system = self.agent = self.group = None
        self.status = "unknown"
        self.missing = 0

    def tag(self, tags):
        for tag in tags:
            key, value = tag["Key"], tag["Value"]
            if key in ("Patch Group", "PatchGroup"):
                self.group = value
            elif key == "Name":
                self.name = value


class Clients:
    """Makes clients. A session does so for one thread at a time."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.session = boto3.Session()
        self.lock = threading.Lock()

    def client(self, service, region, keys):
        with self.lock:
            return self.session.client(
                service, region_name=region, endpoint_url=self.endpoint, config=CONFIG, **keys
            )


def assume(sts, account):
    role = f"arn:aws:iam::{account}:role/patchkit"
    keys = sts.assume_role(RoleArn=role, RoleSessionName="bench")["Credentials"]
    return {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }


def chunks(items, size):
    for at in range(0, len(items), size):
        yield items[at : at + size]


def read_instances(ec2, rows):
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": ALIVE}],
        PaginationConfig={"PageSize": 1000},
    )
    for page in pages:
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                row = Row(False, instance["State"]["Name"])
                row.system = instance["PlatformDetails"]
                row.tag(instance.get("Tags", ()))
                rows[instance["InstanceId"]] = row


def read_information(ssm, rows):
    """Tells what agents say of their nodes; adds the hybrid ones and returns their ids."""
    hybrid = []
    pages = ssm.get_paginator("describe_instance_information").paginate(
        PaginationConfig={"PageSize": 50}
    )
    for page in pages:
        for info in page["InstanceInformationList"]:
            node = info["InstanceId"]
            row = rows.get(node)
            if row is None:
                row = rows[node] = Row(True, "unknown")
                hybrid.append(node)
            row.name = row.name or info.get("ComputerName")
            row.system = info["PlatformName"]
            row.agent = info["AgentVersion"]
    return hybrid


def read_memory(ssm, rows):
    """Tells what the agents of stopped instances said last."""
    pages = ssm.get_paginator("get_inventory").paginate(
        Filters=[
            {
                "Key": "AWS:InstanceInformation.InstanceStatus",
                "Values": ["Stopped"],
                "Type": "Equal",
            }
        ],
        PaginationConfig={"PageSize": 50},
    )
    for page in pages:
        for entity in page["Entities"]:
            row = rows.get(entity["Id"])
            said = entity["Data"].get("AWS:InstanceInformation", {}).get("Content")
            if row and said:
                row.system = said[0]["PlatformName"]
                row.agent = said[0]["AgentVersion"]


def read_tags(tagging, prefix, ids, rows):
    for chunk in chunks(ids, 100):
        page = tagging.get_resources(ResourceARNList=[prefix + node for node in chunk])
        for mapping in page["ResourceTagMappingList"]:
            rows[mapping["ResourceARN"].rpartition("/")[2]].tag(mapping["Tags"])


def read_states(ssm, rows):
    paginator = ssm.get_paginator("describe_instance_patch_states")
    for chunk in chunks(list(rows), 50):
        for page in paginator.paginate(InstanceIds=chunk, PaginationConfig={"PageSize": 50}):
            for state in page["InstancePatchStates"]:
                row = rows[state["InstanceId"]]
                bad = any(state.get(name) for name in COUNTS)
                row.status = "non_compliant" if bad else "compliant"
                row.missing = state["MissingCount"]


def read_scope(clients, account, region, keys):
    rows = {}
    read_instances(clients.client("ec2", region, keys), rows)
    ssm = clients.client("ssm", region, keys)
    hybrid = read_information(ssm, rows)
    read_memory(ssm, rows)
    tagging = clients.client("resourcegroupstaggingapi", region, keys)
    read_tags(tagging, f"arn:aws:ssm:{region}:{account}:managed-instance/", hybrid, rows)
    read_states(ssm, rows)
    return rows


def totals(estate):
    rows = [row for rows in estate for row in rows.values()]
    return {
        "nodes": len(rows),
        "hybrid": sum(row.hybrid for row in rows),
        "named": sum(row.name is not None for row in rows),
        "windows": sum("windows" in row.system.lower() for row in rows),
        "stopped": sum(row.power == "stopped" for row in rows),
        "agents": sum(row.agent is not None for row in rows),
        "grouped": sum(row.group is not None for row in rows),
        "compliant": sum(row.status == "compliant" for row in rows),
        "non_compliant": sum(row.status == "non_compliant" for row in rows),
        "unknown": sum(row.status == "unknown" for row in rows),
        "missing": sum(row.missing for row in rows),
    }


def main():
    task = json.loads(sys.stdin.readline())
    own, *others = task["accounts"]
    mine = {
        "aws_access_key_id": task["access_key_id"],
        "aws_secret_access_key": task["secret_access_key"],
    }
    clients = Clients(task["endpoint"])
    sts = clients.client("sts", task["regions"][0], mine)
    with ThreadPoolExecutor(task["parallel"]) as pool:
        keys = dict(zip(others, pool.map(lambda account: assume(sts, account), others)))
        keys[own] = mine
        scopes = [
            pool.submit(read_scope, clients, account, region, keys[account])
            for account in task["accounts"]
            for region in task["regions"]
        ]
        estate = [scope.result() for scope in scopes]
    print(json.dumps(totals(estate)), flush=True)
    sys.stdin.read()


main()
