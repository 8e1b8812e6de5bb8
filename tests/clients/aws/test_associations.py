"""Systems Manager: State Manager's associations."""

import uuid

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import DOCUMENT, UNKNOWN, fresh, online

SCAN = {"Operation": ["Scan"]}


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def some(ssm):
    return [it["InstanceId"] for it in online(ssm)][:2]


@pytest.fixture
def made(ssm, some):
    """Makes associations with two nodes, and deletes them after the test."""
    ids = []

    def make(**arguments):
        arguments = {
            "Name": DOCUMENT,
            "AssociationName": fresh(),
            "Parameters": SCAN,
            "Targets": [{"Key": "InstanceIds", "Values": some}],
            "ScheduleExpression": "rate(30 days)",
            **arguments,
        }
        it = ssm.create_association(**arguments)["AssociationDescription"]
        ids.append(it["AssociationId"])
        return it

    yield make
    for one in ids:
        ssm.delete_association(AssociationId=one)


def executions(ssm, association, size=None, **arguments):
    operation, key = "describe_association_executions", "AssociationExecutions"
    return every(ssm, operation, key, size, AssociationId=association, **arguments)


def test_an_association_is_made_described_listed_changed_and_deleted(ssm, some):
    name = fresh()
    targets = [{"Key": "InstanceIds", "Values": some}]
    made = ssm.create_association(
        Name=DOCUMENT,
        AssociationName=name,
        Parameters=SCAN,
        Targets=targets,
        ScheduleExpression="rate(1 day)",
    )["AssociationDescription"]
    one = made["AssociationId"]
    assert (made["Name"], made["AssociationName"], made["Targets"]) == (DOCUMENT, name, targets)
    assert made["AssociationVersion"] == "1"
    found = ssm.describe_association(AssociationId=one)["AssociationDescription"]
    assert found["ScheduleExpression"] == "rate(1 day)"
    assert found["Parameters"] == SCAN

    # What an update does not name is gone (API reference, UpdateAssociation): so is the name.
    changed = ssm.update_association(
        AssociationId=one,
        AssociationName=name,
        ScheduleExpression="rate(7 days)",
        Targets=targets,
        Parameters=SCAN,
    )["AssociationDescription"]
    assert changed["AssociationVersion"] == "2"
    assert changed["ScheduleExpression"] == "rate(7 days)"
    named = [{"key": "AssociationName", "value": name}]
    operation, key = "list_associations", "Associations"
    listed = every(ssm, operation, key, AssociationFilterList=named)
    assert once(listed, "AssociationId") == {one}

    ssm.delete_association(AssociationId=one)
    refused("AssociationDoesNotExist", ssm.describe_association, AssociationId=one)
    assert every(ssm, operation, key, AssociationFilterList=named) == []


def test_every_association_is_listed_once(ssm, made):
    mine = {made()["AssociationId"] for _ in range(4)}
    whole = once(every(ssm, "list_associations", "Associations", 50), "AssociationId")
    assert mine <= whole
    assert once(every(ssm, "list_associations", "Associations", 2), "AssociationId") == whole


def test_an_association_runs_when_it_is_made_and_when_it_is_started(ssm, made):
    one = made()["AssociationId"]
    eventually(lambda: len(executions(ssm, one)) == 1)
    ssm.start_associations_once(AssociationIds=[one])
    found = eventually(lambda: executions(ssm, one), lambda it: len(it) == 2)
    assert once(executions(ssm, one, 1), "ExecutionId") == once(found, "ExecutionId")

    def ended():
        return {it["Status"] for it in executions(ssm, one)}

    eventually(ended, lambda it: it <= {"Success", "Failed"}, seconds=120)


def test_an_execution_names_what_it_reached(ssm, made, some):
    one = made()["AssociationId"]
    run = eventually(lambda: executions(ssm, one))[0]["ExecutionId"]
    operation, key = "describe_association_execution_targets", "AssociationExecutionTargets"
    arguments = {"AssociationId": one, "ExecutionId": run}

    def reached(size):
        return once(every(ssm, operation, key, size, **arguments), "ResourceId")

    eventually(lambda: reached(50), lambda it: it == set(some))
    assert reached(1) == set(some)
    call = ssm.describe_association_execution_targets
    unknown = str(uuid.uuid4())
    refused("AssociationExecutionDoesNotExist", call, AssociationId=one, ExecutionId=unknown)


def test_old_versions_are_kept(ssm, made):
    one = made(ScheduleExpression="rate(1 day)")["AssociationId"]
    ssm.update_association(AssociationId=one, ScheduleExpression="rate(7 days)", Parameters=SCAN)
    operation, key = "list_association_versions", "AssociationVersions"
    versions = every(ssm, operation, key, 1, AssociationId=one)
    told = [(it["AssociationVersion"], it["ScheduleExpression"]) for it in versions]
    assert told == [("2", "rate(7 days)"), ("1", "rate(1 day)")]
    old = ssm.describe_association(AssociationId=one, AssociationVersion="1")
    assert old["AssociationDescription"]["ScheduleExpression"] == "rate(1 day)"
    describe = ssm.describe_association
    refused("InvalidAssociationVersion", describe, AssociationId=one, AssociationVersion="3")
    unknown = "AssociationDoesNotExist"
    refused(unknown, ssm.list_association_versions, AssociationId=str(uuid.uuid4()))


def test_an_association_is_pending_before_it_runs(ssm, made, some):
    one = made(ApplyOnlyAtCronInterval=True)["AssociationId"]
    found = ssm.describe_association(AssociationId=one)["AssociationDescription"]
    assert found["Overview"]["Status"] == "Pending"
    assert found["Overview"]["AssociationStatusAggregatedCount"] == {"Pending": len(some)}
    operation, key = "describe_instance_associations_status", "InstanceAssociationStatusInfos"
    infos = every(ssm, operation, key, InstanceId=some[0])
    assert [it["Status"] for it in infos if it["AssociationId"] == one] == ["Pending"]


def test_a_node_knows_its_associations(ssm, made, some):
    mine = {made()["AssociationId"] for _ in range(3)}
    operation, key = "describe_instance_associations_status", "InstanceAssociationStatusInfos"

    def told():
        return once(every(ssm, operation, key, 1, InstanceId=some[0]), "AssociationId")

    eventually(told, lambda it: mine <= it)
    operation, key = "describe_effective_instance_associations", "Associations"
    found = every(ssm, operation, key, 2, InstanceId=some[0])
    assert mine <= once(found, "AssociationId")
    assert {it["InstanceId"] for it in found} == {some[0]}


def tag_by_ec2(aws, node, key):
    aws.client("ec2").create_tags(Resources=[node], Tags=[{"Key": key, "Value": "on"}])


def tag_by_tagging(aws, node, key):
    arn = f"arn:aws:ec2:{aws.region}:{aws.account}:instance/{node}"
    tagging = aws.client("resourcegroupstaggingapi")
    answer = tagging.tag_resources(ResourceARNList=[arn], Tags={key: "on"})
    assert answer["FailedResourcesMap"] == {}


@pytest.mark.parametrize("tag", [tag_by_ec2, tag_by_tagging])
def test_a_node_that_gets_the_tag_of_a_target_is_reached(aws, ssm, made, tag):
    key = fresh("meant")
    node = next(it["InstanceId"] for it in online(ssm) if it["InstanceId"].startswith("i-"))
    one = made(Targets=[{"Key": f"tag:{key}", "Values": ["on"]}])["AssociationId"]
    tag(aws, node, key)

    def reached():
        found = []
        for it in executions(ssm, one):
            found += ssm.describe_association_execution_targets(
                AssociationId=one, ExecutionId=it["ExecutionId"]
            )["AssociationExecutionTargets"]
        return [it["ResourceId"] for it in found if it["Status"] == "Success"]

    assert eventually(reached) == [node]


@pytest.mark.parametrize("schedule", ["rate(29 minutes)", "rate(32 days)", "cron(bad)", "often"])
def test_a_schedule_that_is_none_is_refused(ssm, some, schedule):
    """User guide, cron and rate expressions: associations run every 30 minutes to 31 days."""
    call = ssm.create_association
    targets = [{"Key": "InstanceIds", "Values": some}]
    arguments = {"Name": DOCUMENT, "Parameters": SCAN, "Targets": targets}
    codes = ("InvalidSchedule", "ValidationException")
    refused(codes, call, ScheduleExpression=schedule, **arguments)


def test_what_is_unknown_is_refused(ssm, some):
    unknown = str(uuid.uuid4())
    for call in (ssm.describe_association, ssm.update_association, ssm.delete_association):
        refused("AssociationDoesNotExist", call, AssociationId=unknown)
    refused("AssociationDoesNotExist", ssm.describe_association_executions, AssociationId=unknown)
    codes = ("AssociationDoesNotExist", "InvalidAssociation")
    refused(codes, ssm.start_associations_once, AssociationIds=[unknown])
    targets = [{"Key": "InstanceIds", "Values": some}]
    call = ssm.create_association
    refused("InvalidDocument", call, Name="AWS-NoSuch", Targets=targets)
    refused("InvalidParameters", call, Name=DOCUMENT, Targets=targets, Parameters={"A": ["b"]})
    for call in (
        ssm.describe_instance_associations_status,
        ssm.describe_effective_instance_associations,
    ):
        refused("InvalidInstanceId", call, InstanceId=UNKNOWN)


def test_ten_are_started_at_once_at_most(aws):
    ids = [str(uuid.uuid4()) for _ in range(11)]
    call = aws.client("ssm", checked=False).start_associations_once
    refused("ValidationException", call, AssociationIds=ids)
