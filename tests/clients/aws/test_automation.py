"""Systems Manager: automation executions."""

import uuid

import pytest

from aws.cloud import eventually, every, once, refused

DOCUMENT = "AWS-StartEC2Instance"
ENDED = {"Success", "Failed", "TimedOut", "Cancelled"}


def stopped(cloud):
    """The id of a stopped instance."""
    state = [{"Name": "instance-state-name", "Values": ["stopped"]}]
    found = every(cloud.client("ec2"), "describe_instances", "Reservations", Filters=state)
    return found[0]["Instances"][0]["InstanceId"]


def start(ssm, instance, **more):
    parameters = {"InstanceId": [instance]}
    reply = ssm.start_automation_execution(DocumentName=DOCUMENT, Parameters=parameters, **more)
    return reply["AutomationExecutionId"]


def execution(ssm, one):
    return ssm.get_automation_execution(AutomationExecutionId=one)["AutomationExecution"]


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def test_an_execution_does_what_its_document_says(aws, ssm):
    instance, ec2 = stopped(aws), aws.client("ec2")
    one = start(ssm, instance)
    found = eventually(
        lambda: execution(ssm, one), lambda it: it["AutomationExecutionStatus"] in ENDED
    )
    assert found["AutomationExecutionStatus"] == "Success"
    assert found["DocumentName"] == DOCUMENT
    assert found["Parameters"]["InstanceId"] == [instance]
    assert found["ExecutionStartTime"] <= found["ExecutionEndTime"]
    states = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    assert states[0]["State"]["Name"] == "running"

    operation, key = "describe_automation_step_executions", "StepExecutions"
    arguments = {"AutomationExecutionId": one}
    whole = every(ssm, operation, key, 50, **arguments)
    assert {it["StepStatus"] for it in whole} == {"Success"}
    paged = every(ssm, operation, key, 1, **arguments)
    assert once(paged, "StepExecutionId") == once(whole, "StepExecutionId")
    ec2.stop_instances(InstanceIds=[instance])
    waiter = ec2.get_waiter("instance_stopped")
    waiter.wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_executions_are_listed_once_and_filtered(aws, ssm):
    mine = {start(ssm, "i-0fffffffffffffff0") for _ in range(3)}
    operation, key = "describe_automation_executions", "AutomationExecutionMetadataList"
    whole = once(every(ssm, operation, key, 50), "AutomationExecutionId")
    assert mine <= whole
    assert once(every(ssm, operation, key, 1), "AutomationExecutionId") == whole
    one = next(iter(mine))
    filters = [{"Key": "ExecutionId", "Values": [one]}]
    assert once(every(ssm, operation, key, Filters=filters), "AutomationExecutionId") == {one}
    # On an instance that is not there, it fails and says why.
    found = eventually(
        lambda: execution(ssm, one), lambda it: it["AutomationExecutionStatus"] in ENDED
    )
    assert found["AutomationExecutionStatus"] == "Failed"
    assert found["FailureMessage"]


def test_the_same_token_starts_one_execution(ssm):
    token = str(uuid.uuid4())
    one = start(ssm, "i-0fffffffffffffff0", ClientToken=token)
    assert start(ssm, "i-0fffffffffffffff0", ClientToken=token) == one


def test_an_execution_is_stopped(slow):
    ssm = slow.client("ssm")
    one = start(ssm, stopped(slow))
    ssm.stop_automation_execution(AutomationExecutionId=one, Type="Cancel")
    found = eventually(
        lambda: execution(ssm, one), lambda it: it["AutomationExecutionStatus"] in ENDED
    )
    assert found["AutomationExecutionStatus"] == "Cancelled"


def test_what_is_unknown_is_refused(ssm):
    unknown = str(uuid.uuid4())
    for call in (
        ssm.get_automation_execution,
        ssm.describe_automation_step_executions,
        ssm.stop_automation_execution,
    ):
        refused("AutomationExecutionNotFoundException", call, AutomationExecutionId=unknown)
    call = ssm.start_automation_execution
    refused("AutomationDefinitionNotFoundException", call, DocumentName="AWS-NoSuch")
    bad = {"Colour": ["red"]}
    code = "InvalidAutomationExecutionParametersException"
    refused(code, call, DocumentName=DOCUMENT, Parameters=bad)
    call = ssm.describe_automation_executions
    refused("ValidationException", call, Filters=[{"Key": "Colour", "Values": ["red"]}])
    refused("InvalidNextToken", call, NextToken="no")
