"""Where the samples are from whose outlines are kept."""

from dataclasses import dataclass

GUIDE = "AWS Systems Manager user guide"
CLI = "aws/aws-cli at 07c4fe36, awscli/examples/ssm"
RECORDED = (
    "recorded by the tests of azure-cli: Azure/azure-cli at 040d1995, src/azure-cli/azure/cli/"
    "command_modules/vm/tests/latest/recordings/test_vm_install_patches.yaml"
)
LAKE = (
    "made by hand from what AWS's own code on Linux nodes uploads (patch_common, "
    "package_compliance.py) and from the columns of AWS's templates; not captured"
)
PROVIDERS = {
    "compute": "Microsoft.Compute",
    "hybridcompute": "Microsoft.HybridCompute",
    "maintenance": "Microsoft.Maintenance",
    "resourcegraph": "Microsoft.ResourceGraph",
}
PLACE = "accountid={account}/region={region}/resourcetype=ManagedInstanceInventory/{node}.json"


@dataclass(frozen=True)
class Source:
    """A sample: its place in the folder of samples, and where it was found."""

    name: str
    sample: str
    where: str
    # One of several replies in the file.
    item: int | None = None
    # The layout of the key, where it is an object of a lake: lines of JSON.
    key: str = ""


def _documented(operation):
    """An example of AWS's own command line."""
    return Source(
        f"aws/{operation}", f"aws/cli-{operation}.rst.txt", f"{CLI}/{operation}.rst"
    )


def _synced(kind):
    """An object of a resource data sync."""
    key = f"AWS:{kind}/{PLACE}"
    sample = key.format(
        account="123456789012", region="us-east-2", node="i-0123456789abcdef0"
    )
    return Source(f"aws/data-sync-{kind}", f"aws/data-sync/{sample}", LAKE, key=key)


def _published(service, version, name):
    """An example of Microsoft's API specifications."""
    file = f"{service}_{version}_{name}.json"
    where = f"Azure/azure-rest-api-specs, {PROVIDERS[service]} {version}, {name}.json"
    return Source(f"azure/{name}-{version}", f"azure/{file}", where)


def _recorded(name):
    """A part of the traffic of an installation."""
    file = f"RECORDED_azure-cli_installPatches_{name}.json"
    return Source(f"azure/recorded-installPatches-{name}", f"azure/{file}", RECORDED)


SOURCES = (
    Source(
        "aws/describe-instance-information-hybrid",
        "aws/describe-instance-information.hybrid.json",
        "output printed in the guide of a public repository",
    ),
    Source(
        "aws/list-inventory-entries-InstanceDetailedInformation",
        "aws/list-inventory-entries.InstanceDetailedInformation.json",
        "output in aws/aws-sdk issue 640, 2023-11-06",
    ),
    Source(
        "aws/describe-instance-patches-notapplicable",
        "aws/describe-instance-patches.notapplicable.json",
        "output in turbot/steampipe-mod-aws-compliance issue 759, 2024-02-13",
    ),
    _documented("describe-instance-patch-states"),
    _documented("describe-instance-patches"),
    _documented("describe-patch-baselines"),
    _documented("list-compliance-items"),
    _documented("list-resource-compliance-summaries"),
    Source(
        "aws/sns-command",
        "aws/sns-command.json",
        f"{GUIDE}, monitoring-sns-examples.md at dd495cc",
        item=0,
    ),
    Source(
        "aws/sns-invocation",
        "aws/sns-command.json",
        f"{GUIDE}, monitoring-sns-examples.md at dd495cc",
        item=1,
    ),
    _synced("InstanceInformation"),
    _synced("Tag"),
    _synced("PatchSummary"),
    _synced("ComplianceItem"),
    _recorded("asyncop_InProgress"),
    _recorded("asyncop_Succeeded"),
    _recorded("final_Location_200"),
    _published("compute", "2024-07-01", "VirtualMachine_Deallocate_MaximumSet_Gen"),
    _published("compute", "2024-07-01", "VirtualMachine_Get_InstanceView"),
    _published("compute", "2024-07-01", "VirtualMachine_InstallPatches"),
    _published("compute", "2024-11-01", "VirtualMachine_AssessPatches"),
    _published("hybridcompute", "2024-07-10", "Machine_InstallPatches"),
    _published("hybridcompute", "2025-01-13", "Machine_AssessPatches"),
    _published(
        "maintenance",
        "2023-10-01-preview",
        "ConfigurationAssignmentsForSubscriptions_UpdateForResource",
    ),
    _published(
        "maintenance",
        "2023-10-01-preview",
        "MaintenanceConfigurations_GetForResource_GuestOSPatchLinux",
    ),
    _published("resourcegraph", "2024-04-01", "ResourcesNextPageQuery"),
)
