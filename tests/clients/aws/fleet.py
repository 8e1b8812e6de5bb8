"""Finding nodes to test with, and bringing them into a known state."""

import functools
import uuid

from aws.cloud import eventually, every, once, refused

ENDED = {"Success", "Failed", "TimedOut", "Cancelled"}
UNKNOWN = "i-0fffffffffffffff0"
DOCUMENT = "AWS-RunPatchBaseline"

COUNTS = {
    "AvailableSecurityUpdate": "AvailableSecurityUpdateCount",
    "Failed": "FailedCount",
    "Installed": "InstalledCount",
    "InstalledOther": "InstalledOtherCount",
    "InstalledPendingReboot": "InstalledPendingRebootCount",
    "InstalledRejected": "InstalledRejectedCount",
    "Missing": "MissingCount",
    "NotApplicable": "NotApplicableCount",
}
BAD = ("Failed", "InstalledPendingReboot", "InstalledRejected", "Missing")

SYSTEMS = {
    "AlmaLinux": "ALMA_LINUX",
    "Amazon Linux AMI": "AMAZON_LINUX",
    "CentOS": "CENTOS",
    "Debian": "DEBIAN",
    "Oracle Linux": "ORACLE_LINUX",
    "Raspbian": "RASPBIAN",
    "Red Hat": "REDHAT_ENTERPRISE_LINUX",
    "Rocky": "ROCKY_LINUX",
    "SLES": "SUSE",
    "SUSE": "SUSE",
    "Ubuntu": "UBUNTU",
    "mac": "MACOS",
    "Windows": "WINDOWS",
    "Microsoft Windows": "WINDOWS",
}


def nodes(ssm, **arguments):
    """Everything that DescribeInstanceInformation lists."""
    operation, key = "describe_instance_information", "InstanceInformationList"
    return every(ssm, operation, key, 50, **arguments)


def online(ssm, platform=None):
    """The nodes that can be sent a command to."""
    return [
        it
        for it in nodes(ssm)
        if it["PingStatus"] == "Online" and platform in (None, it["PlatformType"])
    ]


def system(node):
    """The name that baselines have for a node's operating system."""
    name = node["PlatformName"]
    if name == "Amazon Linux":
        version = node["PlatformVersion"].partition(".")[0]
        return f"AMAZON_LINUX_{version}" if version in ("2", "2022", "2023") else "AMAZON_LINUX"
    return next(it for start, it in SYSTEMS.items() if name.startswith(start))


def run(ssm, ids, operation="Scan", document=DOCUMENT, parameters=None, **more):
    """Sends a patch command and waits until each node has ended; gives the invocations by node."""
    parameters = {"Operation": [operation]} if parameters is None else parameters
    command = ssm.send_command(
        DocumentName=document, InstanceIds=list(ids), Parameters=parameters, **more
    )["Command"]
    return command["CommandId"], ended(ssm, command["CommandId"], len(ids))


def invocations(ssm, command, **arguments):
    operation, key = "list_command_invocations", "CommandInvocations"
    return every(ssm, operation, key, 50, CommandId=command, **arguments)


def ended(ssm, command, count, seconds=120):
    """The invocations of a command by node, when all of them have ended."""

    def done(found):
        return len(found) == count and all(it["Status"] in ENDED for it in found)

    found = eventually(lambda: invocations(ssm, command), done, seconds)
    once(found, "InstanceId")
    return {it["InstanceId"]: it for it in found}


@functools.lru_cache(maxsize=None)
def scanned(cloud):
    """Nodes of the first account and Region that a scan has succeeded on, with the command's id."""
    ssm = cloud.client("ssm")
    ids = [it["InstanceId"] for it in online(ssm)][:40]
    command, found = run(ssm, ids)
    good = [node for node, it in found.items() if it["Status"] == "Success"]
    assert good, {node: it["StatusDetails"] for node, it in found.items()}
    return command, good


def states(ssm, ids):
    """The patch states of nodes, by node."""
    found = []
    for at in range(0, len(ids), 50):
        some = ids[at : at + 50]
        operation, key = "describe_instance_patch_states", "InstancePatchStates"
        found += every(ssm, operation, key, 50, InstanceIds=some)
    once(found, "InstanceId")
    return {it["InstanceId"]: it for it in found}


def patches(ssm, node, size=50, **arguments):
    """The patches of one node."""
    operation, key = "describe_instance_patches", "Patches"
    return every(ssm, operation, key, size, InstanceId=node, **arguments)


def camel(state):
    """A patch state as the service's replies spell it, whichever of its spellings came."""
    if state.isupper():
        return "".join(word.capitalize() for word in state.split("_"))
    return state


def fresh(prefix="proof"):
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def grouped(cloud, nodes_, group):
    """Tags EC2 nodes with a patch group; gives what undoes it."""
    ec2 = cloud.client("ec2")
    held = ec2.describe_tags(
        Filters=[
            {"Name": "resource-id", "Values": nodes_},
            {"Name": "key", "Values": ["Patch Group", "PatchGroup"]},
        ]
    )["Tags"]
    for it in held:
        ec2.delete_tags(Resources=[it["ResourceId"]], Tags=[{"Key": it["Key"]}])
    ec2.create_tags(Resources=nodes_, Tags=[{"Key": "Patch Group", "Value": group}])

    def undo():
        ec2.delete_tags(Resources=nodes_, Tags=[{"Key": "Patch Group"}])
        for it in held:
            tag = {"Key": it["Key"], "Value": it["Value"]}
            ec2.create_tags(Resources=[it["ResourceId"]], Tags=[tag])

    return undo


def out_of_range(ssm_unchecked, operation, *sizes, **arguments):
    """Sizes of a page that the model does not allow are refused, not cut."""
    call = getattr(ssm_unchecked, operation)
    for size in sizes:
        refused("ValidationException", call, MaxResults=size, **arguments)
