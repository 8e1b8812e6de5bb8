"""Systems Manager: maintenance windows."""

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import DOCUMENT, fresh, online

UNKNOWN = "mw-0fffffffffffffff0"
RUN = {"RunCommand": {"Parameters": {"Operation": ["Scan"]}}}


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def made(ssm):
    """Makes windows, and deletes them after the test."""
    ids = []

    def make(**arguments):
        arguments = {
            "Name": fresh(),
            "Schedule": "cron(0 2 ? * TUE#2 *)",
            "Duration": 4,
            "Cutoff": 1,
            "AllowUnassociatedTargets": False,
            **arguments,
        }
        ids.append(ssm.create_maintenance_window(**arguments)["WindowId"])
        return ids[-1]

    yield make
    for one in ids:
        ssm.delete_maintenance_window(WindowId=one)


def target(ssm, window, *ids):
    return ssm.register_target_with_maintenance_window(
        WindowId=window,
        ResourceType="INSTANCE",
        Targets=[{"Key": "InstanceIds", "Values": list(ids)}],
    )["WindowTargetId"]


def task(ssm, window, target, **arguments):
    arguments = {
        "TaskArn": DOCUMENT,
        "TaskType": "RUN_COMMAND",
        "MaxConcurrency": "10",
        "MaxErrors": "1",
        "Priority": 1,
        "TaskInvocationParameters": RUN,
        **arguments,
    }
    targets = [{"Key": "WindowTargetIds", "Values": [target]}]
    return ssm.register_task_with_maintenance_window(WindowId=window, Targets=targets, **arguments)[
        "WindowTaskId"
    ]


def windows(ssm, size=None, **arguments):
    return every(ssm, "describe_maintenance_windows", "WindowIdentities", size, **arguments)


def test_a_window_is_made_read_changed_and_deleted(ssm):
    name = fresh()
    one = ssm.create_maintenance_window(
        Name=name,
        Schedule="cron(0 2 ? * TUE#2 *)",
        ScheduleTimezone="Europe/Berlin",
        ScheduleOffset=3,
        Duration=4,
        Cutoff=1,
        AllowUnassociatedTargets=False,
    )["WindowId"]
    found = ssm.get_maintenance_window(WindowId=one)
    assert (found["Name"], found["Duration"], found["Cutoff"]) == (name, 4, 1)
    assert (found["ScheduleTimezone"], found["ScheduleOffset"]) == ("Europe/Berlin", 3)
    assert found["Enabled"] is True
    changed = ssm.update_maintenance_window(WindowId=one, Enabled=False, Duration=6)
    assert (changed["Enabled"], changed["Duration"], changed["Cutoff"]) == (False, 6, 1)
    named = [{"Key": "Name", "Values": [name]}]
    listed = windows(ssm, Filters=named)
    assert [(it["WindowId"], it["Enabled"], it["Duration"]) for it in listed] == [(one, False, 6)]
    assert ssm.delete_maintenance_window(WindowId=one)["WindowId"] == one
    refused("DoesNotExistException", ssm.get_maintenance_window, WindowId=one)
    assert windows(ssm, Filters=named) == []


def test_every_window_is_listed_once(ssm, made):
    mine = {made() for _ in range(12)}
    whole = once(windows(ssm, 100), "WindowId")
    assert mine <= whole
    assert once(windows(ssm, 10), "WindowId") == whole


@pytest.mark.parametrize(
    "bad",
    [
        {"Schedule": "cron(bad)"},
        {"Schedule": "cron(0 2 * * TUE *)"},
        {"Schedule": "rate(1 hours"},
        {"Schedule": "at(tomorrow)"},
        {"Duration": 0},
        {"Duration": 25},
        {"Cutoff": 24},
        {"Duration": 2, "Cutoff": 2},
        {"Schedule": "rate(1 day)", "ScheduleOffset": 2},
        {"ScheduleOffset": 7},
        {"ScheduleTimezone": "Mars/Olympus"},
        {"Name": "no"},
    ],
)
def test_a_window_that_cannot_be_is_refused(aws, bad):
    arguments = {
        "Name": fresh(),
        "Schedule": "cron(0 2 ? * TUE#2 *)",
        "Duration": 4,
        "Cutoff": 1,
        "AllowUnassociatedTargets": False,
        **bad,
    }
    call = aws.client("ssm", checked=False).create_maintenance_window
    refused("ValidationException", call, **arguments)


def test_targets_are_registered_listed_and_taken_away(ssm, made):
    ids = [it["InstanceId"] for it in online(ssm)]
    window = made()
    mine = {target(ssm, window, ids[at % len(ids)]) for at in range(11)}
    operation, key = "describe_maintenance_window_targets", "Targets"
    for size in (10, 100):
        found = every(ssm, operation, key, size, WindowId=window)
        assert once(found, "WindowTargetId") == mine
    gone = mine.pop()
    ssm.deregister_target_from_maintenance_window(WindowId=window, WindowTargetId=gone)
    found = every(ssm, operation, key, WindowId=window)
    assert once(found, "WindowTargetId") == mine


def test_tasks_are_registered_listed_read_and_taken_away(ssm, made):
    node = online(ssm)[0]["InstanceId"]
    window = made()
    whom = target(ssm, window, node)
    mine = {task(ssm, window, whom, Priority=at) for at in range(11)}
    operation, key = "describe_maintenance_window_tasks", "Tasks"
    for size in (10, 100):
        found = every(ssm, operation, key, size, WindowId=window)
        assert once(found, "WindowTaskId") == mine
    assert {it["TaskArn"] for it in found} == {DOCUMENT}
    one = found[0]
    read = ssm.get_maintenance_window_task(WindowId=window, WindowTaskId=one["WindowTaskId"])
    assert read["Priority"] == one["Priority"]
    assert read["TaskInvocationParameters"] == RUN
    call = ssm.deregister_target_from_maintenance_window
    safe = {"WindowId": window, "WindowTargetId": whom, "Safe": True}
    refused("TargetInUseException", call, **safe)
    gone = mine.pop()
    ssm.deregister_task_from_maintenance_window(WindowId=window, WindowTaskId=gone)
    found = every(ssm, operation, key, WindowId=window)
    assert once(found, "WindowTaskId") == mine


def test_targets_and_tasks_are_changed_in_part_and_replaced(ssm, made):
    one = made()
    of = target(ssm, one, online(ssm)[0]["InstanceId"])
    named = {"WindowId": one, "WindowTargetId": of}
    told = ssm.update_maintenance_window_target(**named, Name="web", OwnerInformation="us")
    assert (told["Name"], told["Targets"][0]["Key"]) == ("web", "InstanceIds")
    tagged = [{"Key": "tag:Role", "Values": ["web"]}]
    ssm.update_maintenance_window_target(**named, Targets=tagged, Replace=True)
    found = ssm.describe_maintenance_window_targets(WindowId=one)["Targets"][0]
    assert (found["Targets"], found["ResourceType"]) == (tagged, "INSTANCE")
    assert "Name" not in found
    codes = {"ValidationException"}
    refused(codes, ssm.update_maintenance_window_target, **named, Replace=True)

    named = {"WindowId": one, "WindowTaskId": task(ssm, one, of, Name="scan")}
    told = ssm.update_maintenance_window_task(**named, Priority=7)
    assert (told["Priority"], told["Name"], told["TaskArn"]) == (7, "scan", DOCUMENT)
    ssm.update_maintenance_window_task(
        **named,
        Replace=True,
        TaskArn="AWS-Noop",
        Targets=[{"Key": "WindowTargetIds", "Values": [of]}],
        MaxConcurrency="1",
        MaxErrors="1",
    )
    found = ssm.get_maintenance_window_task(**named)
    assert (found["TaskArn"], found["TaskType"]) == ("AWS-Noop", "RUN_COMMAND")
    assert "Name" not in found
    unknown = "00000000-0000-0000-0000-000000000000"
    for call, name in (
        (ssm.update_maintenance_window_target, "WindowTargetId"),
        (ssm.update_maintenance_window_task, "WindowTaskId"),
    ):
        refused("DoesNotExistException", call, **{"WindowId": one, name: unknown})


def test_the_coming_executions_follow_the_schedule(ssm, made):
    window = made(ScheduleOffset=2)
    operation, key = "describe_maintenance_window_schedule", "ScheduledWindowExecutions"
    pages = ssm.get_paginator(operation).paginate(
        WindowId=window, PaginationConfig={"PageSize": 2, "MaxItems": 5}
    )
    found = [it for page in pages for it in page[key]]
    assert {it["WindowId"] for it in found} == {window}
    times = [it["ExecutionTime"] for it in found]
    assert times == sorted(set(times)) and len(times) >= 3
    # Two days after the second Tuesday.
    for time in times:
        day = int(time[8:10])
        assert 10 <= day <= 16


def test_the_windows_of_a_node_are_found(ssm, made):
    node = online(ssm)[0]["InstanceId"]
    mine = set()
    for _ in range(3):
        window = made()
        target(ssm, window, node)
        mine.add(window)
    operation, key = "describe_maintenance_windows_for_target", "WindowIdentities"
    targets = [{"Key": "InstanceIds", "Values": [node]}]
    arguments = {"Targets": targets, "ResourceType": "INSTANCE"}
    whole = once(every(ssm, operation, key, **arguments), "WindowId")
    assert mine <= whole
    assert once(every(ssm, operation, key, 1, **arguments), "WindowId") == whole


def test_a_window_that_opens_runs_its_task(ssm, made):
    """Five minutes are half a second of the simulator's."""
    nodes = [it["InstanceId"] for it in online(ssm)][:2]
    window = made(Schedule="rate(5 minutes)", Duration=1, Cutoff=0)
    whom = target(ssm, window, *nodes)
    mine = task(ssm, window, whom)
    arguments = {"WindowId": window}
    operation, key = "describe_maintenance_window_executions", "WindowExecutions"

    def executions(size=None):
        return every(ssm, operation, key, size, **arguments)

    run = eventually(executions)[-1]["WindowExecutionId"]
    # No second one while the test looks at it.
    ssm.update_maintenance_window(WindowId=window, Enabled=False)
    assert run in once(executions(10), "WindowExecutionId")
    read = ssm.get_maintenance_window_execution(WindowExecutionId=run)
    assert read["WindowExecutionId"] == run
    operation = "describe_maintenance_window_execution_tasks"
    key = "WindowExecutionTaskIdentities"

    def tasks():
        return every(ssm, operation, key, 10, WindowExecutionId=run)

    found = eventually(tasks)
    assert {it["TaskArn"] for it in found} == {DOCUMENT}
    assert len(read["TaskIds"]) in (0, 1)
    operation = "describe_maintenance_window_execution_task_invocations"
    key = "WindowExecutionTaskInvocationIdentities"
    arguments = {"WindowExecutionId": run, "TaskId": found[0]["TaskExecutionId"]}
    told = eventually(lambda: every(ssm, operation, key, 10, **arguments))
    assert {it["WindowTargetId"] for it in told} <= {whom}
    assert {it["TaskType"] for it in told} == {"RUN_COMMAND"}
    # The id of the command that the task has sent.
    command = told[0]["ExecutionId"]
    sent = eventually(lambda: ssm.list_commands(CommandId=command)["Commands"])
    assert sent[0]["DocumentName"] == DOCUMENT
    ssm.deregister_task_from_maintenance_window(WindowId=window, WindowTaskId=mine)


def test_an_unknown_window_does_not_exist(ssm):
    for call in (
        ssm.get_maintenance_window,
        ssm.update_maintenance_window,
        ssm.describe_maintenance_window_targets,
        ssm.describe_maintenance_window_tasks,
        ssm.describe_maintenance_window_schedule,
    ):
        refused("DoesNotExistException", call, WindowId=UNKNOWN)
    unknown = "00000000-0000-4000-8000-000000000000"
    call = ssm.get_maintenance_window_execution
    refused("DoesNotExistException", call, WindowExecutionId=unknown)
    call = ssm.get_maintenance_window_task
    refused("DoesNotExistException", call, WindowId=UNKNOWN, WindowTaskId=unknown)


def test_there_are_fifty_windows_at_most(ssm, made):
    """General Reference, Systems Manager quotas: maintenance windows per account and Region."""
    held = len(windows(ssm, 100))
    for _ in range(50 - held):
        made()
    refused(
        "ResourceLimitExceededException",
        ssm.create_maintenance_window,
        Name=fresh(),
        Schedule="rate(1 day)",
        Duration=4,
        Cutoff=1,
        AllowUnassociatedTargets=False,
    )
