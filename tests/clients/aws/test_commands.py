"""Systems Manager: Run Command."""

import uuid

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import DOCUMENT, ENDED, UNKNOWN, ended, fresh, invocations, nodes, online, run

SCAN = {"Operation": ["Scan"]}
QUICK = {"Delay": 1, "MaxAttempts": 100}


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def some(ssm):
    """Three nodes that are online."""
    return [it["InstanceId"] for it in online(ssm)][:3]


def send(ssm, **arguments):
    arguments = {"DocumentName": DOCUMENT, "Parameters": SCAN, **arguments}
    return ssm.send_command(**arguments)["Command"]


def commands(ssm, size=None, **arguments):
    return every(ssm, "list_commands", "Commands", size, **arguments)


def test_a_command_reaches_the_named_nodes_and_no_other(ssm, some):
    other = next(it["InstanceId"] for it in online(ssm) if it["InstanceId"] not in some)
    command = send(ssm, InstanceIds=some, Comment="of a test")
    assert command["InstanceIds"] == some
    assert command["DocumentName"] == DOCUMENT
    assert command["Parameters"] == SCAN
    assert command["Status"] in ("Pending", "InProgress")
    found = ended(ssm, command["CommandId"], len(some))
    assert set(found) == set(some)
    assert invocations(ssm, command["CommandId"], InstanceId=other) == []


def test_the_command_ends_with_its_invocations(ssm, some):
    command, found = run(ssm, some)
    listed = eventually(
        lambda: commands(ssm, CommandId=command)[0], lambda it: it["Status"] in ENDED
    )
    assert (listed["TargetCount"], listed["CompletedCount"]) == (len(some), len(some))
    failed = sum(1 for it in found.values() if it["Status"] == "Failed")
    assert listed["ErrorCount"] >= failed
    assert listed["Status"] == ("Success" if not failed else "Failed") or listed["ErrorCount"]


def test_the_waiter_sees_the_end_of_an_invocation(ssm, some):
    _, found = run(ssm, some)
    good = next(node for node, it in found.items() if it["Status"] == "Success")
    command = send(ssm, InstanceIds=[good])["CommandId"]
    waiter = ssm.get_waiter("command_executed")
    waiter.wait(CommandId=command, InstanceId=good, WaiterConfig=QUICK)
    it = ssm.get_command_invocation(CommandId=command, InstanceId=good)
    assert (it["Status"], it["StatusDetails"], it["ResponseCode"]) == ("Success", "Success", 0)
    assert it["DocumentName"] == DOCUMENT
    assert it["ExecutionStartDateTime"] <= it["ExecutionEndDateTime"]
    assert len(it["StandardOutputContent"]) <= 24_000
    assert len(it["StandardErrorContent"]) <= 8_000


def test_an_invocation_shows_its_plugins_when_asked(ssm, some):
    command, _ = run(ssm, some[:1])
    plain = invocations(ssm, command)[0]
    assert plain["CommandPlugins"] == []
    detailed = invocations(ssm, command, Details=True)[0]
    names = {it["Name"] for it in detailed["CommandPlugins"]}
    # A step that the node's platform skips reports too.
    assert {"PatchLinux", "PatchWindows"} & names
    for name in names:
        it = ssm.get_command_invocation(CommandId=command, InstanceId=some[0], PluginName=name)
        assert it["PluginName"] == name
    refused(
        "InvalidPluginName",
        ssm.get_command_invocation,
        CommandId=command,
        InstanceId=some[0],
        PluginName="NoSuchPlugin",
    )


def test_invocations_are_paged_and_each_is_there_once(ssm):
    ids = [it["InstanceId"] for it in online(ssm)][:12]
    command, _ = run(ssm, ids)
    operation, key = "list_command_invocations", "CommandInvocations"
    for size in (1, 5, 50):
        assert once(every(ssm, operation, key, size, CommandId=command), "InstanceId") == set(ids)


def test_commands_are_listed_once_and_filtered(ssm, some):
    mine = {run(ssm, some[:1])[0] for _ in range(3)}
    whole = once(commands(ssm, 50), "CommandId")
    assert mine <= whole
    assert once(commands(ssm, 2), "CommandId") == whole
    of_node = once(commands(ssm, InstanceId=some[0]), "CommandId")
    assert mine <= of_node
    named = [{"key": "DocumentName", "value": DOCUMENT}]
    assert mine <= once(commands(ssm, Filters=named), "CommandId")
    other = [{"key": "DocumentName", "value": "AWS-UpdateSSMAgent"}]
    assert not mine & once(commands(ssm, Filters=other), "CommandId")
    later = [{"key": "InvokedAfter", "value": "2100-01-01T00:00:00Z"}]
    assert commands(ssm, Filters=later) == []


def test_fifty_nodes_are_named_at_most(aws):
    """boto/botocore#993 is about 51."""
    ids = [f"i-{at:017x}" for at in range(51)]
    call = aws.client("ssm", checked=False).send_command
    refused("ValidationException", call, DocumentName=DOCUMENT, InstanceIds=ids, Parameters=SCAN)


@pytest.mark.parametrize(
    "bad",
    [
        {"TimeoutSeconds": 29},
        {"TimeoutSeconds": 2_592_001},
        {"Comment": "x" * 101},
        {"MaxConcurrency": "many"},
        {"MaxErrors": "101%%"},
        {"OutputS3KeyPrefix": "x" * 501},
        {"Targets": [{"Key": f"tag:{at}", "Values": ["x"]} for at in range(6)]},
        {"Targets": [{"Key": "tag:x", "Values": [f"{at}" for at in range(51)]}]},
    ],
)
def test_a_command_past_a_limit_is_refused(aws, some, bad):
    ssm = aws.client("ssm", checked=False)
    whom = {} if "Targets" in bad else {"InstanceIds": some}
    refused("ValidationException", lambda: send(ssm, **whom, **bad))


def test_what_is_unknown_is_refused_and_no_node_is_reached(ssm, some):
    before = once(commands(ssm, 50), "CommandId")
    refused("InvalidInstanceId", lambda: send(ssm, InstanceIds=[*some, UNKNOWN]))
    refused("DuplicateInstanceId", lambda: send(ssm, InstanceIds=[some[0], some[0]]))
    refused("InvalidDocument", lambda: send(ssm, InstanceIds=some, DocumentName="AWS-NoSuch"))
    for parameters in (
        {},
        {"Operation": ["Look"]},
        {"Operation": ["Scan"], "Colour": ["red"]},
        {"Operation": ["Scan"], "RebootOption": ["Perhaps"]},
        {"Operation": ["Scan"], "SnapshotId": ["not-a-guid"]},
    ):
        refused(
            "InvalidParameters", lambda it=parameters: send(ssm, InstanceIds=some, Parameters=it)
        )
    assert once(commands(ssm, 50), "CommandId") == before


def test_a_stopped_instance_takes_no_command(aws, ssm):
    state = [{"Name": "instance-state-name", "Values": ["stopped"]}]
    found = every(aws.client("ec2"), "describe_instances", "Reservations", Filters=state)
    stopped = found[0]["Instances"][0]["InstanceId"]
    refused("InvalidInstanceId", lambda: send(ssm, InstanceIds=[stopped]))


def test_an_unknown_command_is_told(ssm, some):
    unknown = str(uuid.uuid4())
    codes = ("InvocationDoesNotExist", "InvalidCommandId")
    refused(codes, ssm.get_command_invocation, CommandId=unknown, InstanceId=some[0])
    refused("InvalidCommandId", ssm.cancel_command, CommandId=unknown)
    refused("InvalidNextToken", ssm.list_commands, NextToken="no")
    refused("InvalidNextToken", ssm.list_command_invocations, NextToken="no")


def test_tags_pick_the_nodes_that_have_them(aws, ssm, some):
    ec2, name = aws.client("ec2"), fresh()
    some = [it for it in some if it.startswith("i-")]
    ec2.create_tags(Resources=some, Tags=[{"Key": name, "Value": "yes"}])
    command = send(ssm, Targets=[{"Key": f"tag:{name}", "Values": ["yes", "perhaps"]}])
    assert command["InstanceIds"] == []
    found = ended(ssm, command["CommandId"], len(some))
    assert set(found) == set(some)
    # Keys are joined by and.
    both = [{"Key": f"tag:{name}", "Values": ["yes"]}, {"Key": "InstanceIds", "Values": some[:1]}]
    command = send(ssm, Targets=both)
    assert set(ended(ssm, command["CommandId"], 1)) == set(some[:1])
    ec2.delete_tags(Resources=some, Tags=[{"Key": name}])


def test_a_tag_that_no_node_has_ends_well_and_says_so(ssm):
    command = send(ssm, Targets=[{"Key": f"tag:{fresh()}", "Values": ["yes"]}])

    def ask():
        return commands(ssm, CommandId=command["CommandId"])[0]

    found = eventually(ask, lambda it: it["Status"] in ENDED)
    assert (found["Status"], found["StatusDetails"]) == ("Success", "NoInstancesInTag")
    assert found["TargetCount"] == 0
    assert invocations(ssm, command["CommandId"]) == []


def test_output_is_written_to_the_bucket_under_command_node_and_step(aws, ssm, some):
    bucket = fresh("output")
    aws.client("s3").create_bucket(Bucket=bucket)
    linux = [it["InstanceId"] for it in online(ssm, "Linux")][:2]
    command, found = run(ssm, linux, OutputS3BucketName=bucket, OutputS3KeyPrefix="runs/one")
    for node, it in found.items():
        if it["Status"] != "Success":
            continue
        base = f"runs/one/{command}/{node}/awsrunShellScript/PatchLinux/"
        keys = eventually(lambda at=base: aws.s3_keys(bucket, at))
        assert base + "stdout" in keys
        written = aws.s3_get(bucket, base + "stdout")
        told = ssm.get_command_invocation(
            CommandId=command, InstanceId=node, PluginName="PatchLinux"
        )
        assert written.startswith(told["StandardOutputContent"][:100])


def test_the_agent_is_updated(ssm, some):
    _, found = run(ssm, some, document="AWS-UpdateSSMAgent", parameters={})
    done = {node for node, it in found.items() if it["Status"] == "Success"}
    assert done

    def latest():
        return {it["InstanceId"] for it in nodes(ssm) if it["IsLatestVersion"]}

    eventually(latest, lambda it: done <= it)


def test_associations_are_refreshed(ssm, some):
    _, found = run(ssm, some[:1], document="AWS-RefreshAssociation", parameters={})
    assert {it["Status"] for it in found.values()} == {"Success"}


def test_hooks_run_around_a_patch_run(ssm, some):
    document = "AWS-RunPatchBaselineWithHooks"
    _, found = run(ssm, some[:1], document=document, parameters=SCAN)
    assert {it["Status"] for it in found.values()} <= ENDED
    # It has no list that overrides the baseline.
    bad = {"Operation": ["Install"], "InstallOverrideList": ["s3://bucket/list.yaml"]}
    call = ssm.send_command
    refused("InvalidParameters", call, DocumentName=document, InstanceIds=some, Parameters=bad)


def test_invocations_appear_late(slow):
    """botocore ssm model, GetCommandInvocation: "eventual consistency"."""
    ssm = slow.client("ssm")
    node = online(ssm)[0]["InstanceId"]
    command = send(ssm, InstanceIds=[node])["CommandId"]
    arguments = {"CommandId": command, "InstanceId": node}
    refused("InvocationDoesNotExist", ssm.get_command_invocation, **arguments)
    assert eventually(lambda: invocations(ssm, command), seconds=30)
    assert ssm.get_command_invocation(**arguments)["Status"] in ("Pending", "InProgress")
    ssm.cancel_command(CommandId=command)


def test_a_running_command_is_cancelled(slow):
    ssm = slow.client("ssm")
    ids = [it["InstanceId"] for it in online(ssm)][:2]
    command = send(ssm, InstanceIds=ids, Parameters={"Operation": ["Install"]})["CommandId"]
    eventually(lambda: len(invocations(ssm, command)) == len(ids), seconds=30)
    ssm.cancel_command(CommandId=command, InstanceIds=ids[:1])

    def cancelled(one):
        return next(iter(invocations(ssm, command, InstanceId=one)))["Status"]

    eventually(lambda: cancelled(ids[0]), lambda it: it in ("Cancelled", "Cancelling"))
    if len(ids) > 1:
        assert cancelled(ids[1]) not in ("Cancelled", "Cancelling")
    ssm.cancel_command(CommandId=command)
    eventually(lambda: {cancelled(it) for it in ids} <= {"Cancelled", "Cancelling"})
