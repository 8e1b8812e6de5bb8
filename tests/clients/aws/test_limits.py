"""The sizes of pages and lists, as the service models have them, for every operation."""

import botocore.session
import pytest

from aws.cloud import refused
from aws.operations import OPERATIONS

# Of the operations that page: what else they have to be given.
NEEDED = {
    "DescribeAssociationExecutionTargets": {
        "AssociationId": "00000000-0000-4000-8000-000000000000",
        "ExecutionId": "00000000-0000-4000-8000-000000000000",
    },
    "DescribeAssociationExecutions": {"AssociationId": "00000000-0000-4000-8000-000000000000"},
    "DescribeAutomationStepExecutions": {
        "AutomationExecutionId": "00000000-0000-4000-8000-000000000000"
    },
    "DescribeEffectiveInstanceAssociations": {"InstanceId": "i-0fffffffffffffff0"},
    "DescribeEffectivePatchesForPatchBaseline": {"BaselineId": "pb-0fffffffffffffff0"},
    "DescribeInstanceAssociationsStatus": {"InstanceId": "i-0fffffffffffffff0"},
    "DescribeInstancePatchStates": {"InstanceIds": ["i-0fffffffffffffff0"]},
    "DescribeInstancePatchStatesForPatchGroup": {"PatchGroup": "any"},
    "DescribeInstancePatches": {"InstanceId": "i-0fffffffffffffff0"},
    "DescribeMaintenanceWindowExecutionTaskInvocations": {
        "TaskId": "00000000-0000-4000-8000-000000000000",
        "WindowExecutionId": "00000000-0000-4000-8000-000000000000",
    },
    "DescribeMaintenanceWindowExecutionTasks": {
        "WindowExecutionId": "00000000-0000-4000-8000-000000000000"
    },
    "DescribeMaintenanceWindowExecutions": {"WindowId": "mw-0fffffffffffffff0"},
    "DescribeMaintenanceWindowTargets": {"WindowId": "mw-0fffffffffffffff0"},
    "DescribeMaintenanceWindowTasks": {"WindowId": "mw-0fffffffffffffff0"},
    "DescribeMaintenanceWindowsForTarget": {
        "ResourceType": "INSTANCE",
        "Targets": [{"Key": "InstanceIds", "Values": ["i-0fffffffffffffff0"]}],
    },
    "DescribePatchProperties": {"OperatingSystem": "WINDOWS", "Property": "PRODUCT"},
    "ListInventoryEntries": {
        "InstanceId": "i-0fffffffffffffff0",
        "TypeName": "AWS:InstanceInformation",
    },
}
MODEL = botocore.session.get_session().get_service_model("ssm")


def bounded():
    """Each operation of Systems Manager that has bounds for its page, with sizes outside them."""
    for name in OPERATIONS["ssm"]:
        shape = MODEL.operation_model(name).input_shape
        size = shape.members.get("MaxResults") if shape else None
        if size is None:
            continue
        for bound, step in (("min", -1), ("max", 1)):
            if bound in size.metadata:
                yield pytest.param(name, size.metadata[bound] + step, id=f"{name}-{bound}")


@pytest.mark.parametrize(("operation", "size"), list(bounded()))
def test_a_page_outside_its_bounds_is_refused(aws, operation, size):
    ssm = aws.client("ssm", checked=False)
    call = getattr(ssm, botocore.xform_name(operation))
    reply = refused("ValidationException", call, MaxResults=size, **NEEDED.get(operation, {}))
    message = reply["Error"]["Message"]
    # flanksource/config-db#35 quotes the service: "Value '100' at 'maxResults' failed to satisfy".
    assert f"'{size}'" in message and "maxResults" in message


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("describe_instance_patch_states", {"InstanceIds": [f"i-{at:017x}" for at in range(51)]}),
        ("describe_patch_groups", {"Filters": [{"Key": "NAME_PREFIX", "Values": ["x"]}] * 6}),
        ("describe_available_patches", {"Filters": [{"Key": "PRODUCT", "Values": ["x"]}] * 6}),
        (
            "cancel_command",
            {
                "CommandId": "00000000-0000-4000-8000-000000000000",
                "InstanceIds": [f"i-{at:017x}" for at in range(51)],
            },
        ),
        ("list_commands", {"Filters": [{"key": "Status", "value": "Success"}] * 6}),
        ("list_commands", {"Filters": []}),
        ("get_inventory", {"ResultAttributes": [{"TypeName": "AWS:PatchSummary"}] * 2}),
        ("get_inventory", {"Aggregators": []}),
        ("put_inventory", {"InstanceId": "i-0fffffffffffffff0", "Items": []}),
        ("list_compliance_items", {"ResourceIds": []}),
        ("get_patch_baseline", {"BaselineId": "pb-1"}),
        ("get_command_invocation", {"CommandId": "short", "InstanceId": "i-0fffffffffffffff0"}),
        ("describe_instance_patches", {"InstanceId": "not-an-id"}),
        ("get_maintenance_window", {"WindowId": "mw-1"}),
        ("get_automation_execution", {"AutomationExecutionId": "short"}),
        ("describe_patch_properties", {"OperatingSystem": "BEOS", "Property": "PRODUCT"}),
        ("describe_patch_properties", {"OperatingSystem": "WINDOWS"}),
        ("send_command", {}),
    ],
)
def test_an_input_that_the_model_does_not_allow_is_refused(aws, operation, arguments):
    call = getattr(aws.client("ssm", checked=False), operation)
    refused("ValidationException", call, **arguments)


def test_the_documented_rates_are_kept(slow):
    """General Reference, Systems Manager quotas: one call a second for this operation."""
    ssm = slow.client("ssm", tries=1)
    node = ssm.describe_instance_information()["InstanceInformationList"][0]["InstanceId"]
    codes = []
    for _ in range(30):
        try:
            ssm.describe_effective_instance_associations(InstanceId=node)
        except ssm.exceptions.ClientError as error:
            codes.append(error.response["Error"]["Code"])
            assert error.response["Error"]["Message"] == "Rate exceeded"
    assert codes and set(codes) == {"ThrottlingException"}
    # A patient client gets through.
    patient = slow.client("ssm", tries=8)
    patient.describe_effective_instance_associations(InstanceId=node)
