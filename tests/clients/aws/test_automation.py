"""Systems Manager: automation executions."""

import json
import uuid

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import fresh

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


def over(ssm, one):
    return eventually(
        lambda: execution(ssm, one), lambda it: it["AutomationExecutionStatus"] in ENDED
    )


def elsewhere(cloud, **more):
    """A location of all accounts and Regions."""
    return {"Accounts": cloud.accounts, "Regions": cloud.regions, **more}


@pytest.fixture
def sleeping(ssm):
    """A runbook that waits a moment, of the first account alone."""
    name = fresh("runbook")
    steps = [{"name": "wait", "action": "aws:sleep", "inputs": {"Duration": "PT5S"}}]
    content = json.dumps({"schemaVersion": "0.3", "mainSteps": steps})
    ssm.create_document(Name=name, DocumentType="Automation", Content=content)
    yield name
    ssm.delete_document(Name=name)


def test_an_execution_in_many_accounts_and_regions_has_a_child_in_each(aws, ssm, sleeping):
    one = ssm.start_automation_execution(
        DocumentName=sleeping,
        TargetLocations=[elsewhere(aws, TargetLocationMaxConcurrency="2")],
    )["AutomationExecutionId"]
    found = over(ssm, one)
    assert found["AutomationExecutionStatus"] == "Success"
    assert found["TargetLocations"][0]["Regions"] == aws.regions
    assert found["ProgressCounters"]["SuccessSteps"] == len(aws.scopes())
    operation, key = "describe_automation_step_executions", "StepExecutions"
    steps = every(ssm, operation, key, 1, AutomationExecutionId=one)
    places = {
        (it["TargetLocation"]["Accounts"][0], it["TargetLocation"]["Regions"][0]) for it in steps
    }
    assert places == set(aws.scopes())
    listing = "describe_automation_executions", "AutomationExecutionMetadataList"
    filters = [{"Key": "AutomationType", "Values": ["CrossAccount"]}]
    assert one in once(every(ssm, *listing, Filters=filters), "AutomationExecutionId")
    for account, region in aws.scopes():
        filters = [{"Key": "ParentExecutionId", "Values": [one]}]
        there = aws.client("ssm", region, account)
        children = every(there, *listing, Filters=filters)
        assert [it["AutomationExecutionStatus"] for it in children] == ["Success"]
        assert {it["AutomationType"] for it in children} == {"Local"}
        child = execution(there, children[0]["AutomationExecutionId"])
        assert [it["StepName"] for it in child["StepExecutions"]] == ["wait"]


def test_targets_are_looked_for_in_each_account_and_region(aws, ssm):
    one = ssm.start_automation_execution(
        DocumentName=DOCUMENT,
        TargetParameterName="InstanceId",
        Targets=[{"Key": "tag:no-instance-has-this", "Values": ["tag"]}],
        TargetLocations=[elsewhere(aws)],
    )["AutomationExecutionId"]
    assert over(ssm, one)["AutomationExecutionStatus"] == "Success"


def test_an_account_that_is_not_there_fails_alone(aws, ssm, sleeping):
    accounts = [aws.account, "999999999999"]
    location = {"Accounts": accounts, "Regions": [aws.region], "TargetLocationMaxErrors": "1"}
    one = ssm.start_automation_execution(DocumentName=sleeping, TargetLocations=[location])
    found = eventually(
        lambda: execution(ssm, one["AutomationExecutionId"]),
        lambda it: it["AutomationExecutionStatus"] not in ("InProgress", "Pending"),
    )
    assert found["AutomationExecutionStatus"] == "CompletedWithFailure"
    statuses = {
        it["TargetLocation"]["Accounts"][0]: it["StepStatus"] for it in found["StepExecutions"]
    }
    assert statuses == {aws.account: "Success", "999999999999": "Failed"}


def test_a_place_that_is_given_twice_is_refused(aws, ssm):
    location = {"Accounts": [aws.account], "Regions": [aws.region]}
    refused(
        "InvalidAutomationExecutionParametersException",
        ssm.start_automation_execution,
        DocumentName=DOCUMENT,
        Parameters={"InstanceId": ["i-0fffffffffffffff0"]},
        TargetLocations=[location, location],
    )


def test_stopping_one_in_many_places_stops_it_in_each(slow):
    ssm = slow.client("ssm")
    one = ssm.start_automation_execution(
        DocumentName=DOCUMENT,
        Parameters={"InstanceId": [stopped(slow)]},
        TargetLocations=[{"Accounts": [slow.account], "Regions": [slow.region]}],
    )["AutomationExecutionId"]
    ssm.stop_automation_execution(AutomationExecutionId=one, Type="Cancel")
    assert over(ssm, one)["AutomationExecutionStatus"] == "Cancelled"
    steps = execution(ssm, one)["StepExecutions"]
    assert [it["StepStatus"] for it in steps] == ["Cancelled"]


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
