"""EC2: instances, their power and their tags."""

import pytest

from aws.cloud import eventually, every, once, refused

QUICK = {"Delay": 1, "MaxAttempts": 60}
UNKNOWN = "i-0fffffffffffffff0"


def instances(ec2, size=None, **arguments):
    found = every(ec2, "describe_instances", "Reservations", size, **arguments)
    return [it for reservation in found for it in reservation["Instances"]]


def in_state(ec2, name):
    return [it["InstanceId"] for it in instances(ec2) if it["State"]["Name"] == name]


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2")


def test_every_instance_is_listed_once_whatever_the_size_of_the_page(ec2):
    whole = once(instances(ec2), "InstanceId")
    assert whole
    assert once(instances(ec2, 5), "InstanceId") == whole


def test_instances_are_of_one_account_and_region(cloud):
    seen = {}
    for account, region in cloud.scopes():
        ec2 = cloud.client("ec2", region, account)
        reservations = every(ec2, "describe_instances", "Reservations")
        assert {it["OwnerId"] for it in reservations} == {account}
        zones = {it["Placement"]["AvailabilityZone"] for it in instances(ec2)}
        assert all(zone.startswith(region) for zone in zones)
        for it in instances(ec2):
            assert seen.setdefault(it["InstanceId"], (account, region)) == (account, region)


def test_every_account_and_region_holds_a_stopped_instance(cloud):
    for account, region in cloud.scopes():
        ec2 = cloud.client("ec2", region, account)
        assert in_state(ec2, "stopped"), (account, region)


def test_filters_are_joined_by_and_their_values_by_or(ec2):
    stopped, running = in_state(ec2, "stopped"), in_state(ec2, "running")
    state = {"Name": "instance-state-name", "Values": ["stopped"]}
    either = {"Name": "instance-state-name", "Values": ["stopped", "running"]}
    ids = {"Name": "instance-id", "Values": [stopped[0], running[0]]}
    assert once(instances(ec2, Filters=[state]), "InstanceId") == set(stopped)
    assert once(instances(ec2, Filters=[either]), "InstanceId") == {*stopped, *running}
    assert once(instances(ec2, Filters=[state, ids]), "InstanceId") == {stopped[0]}


def test_an_instance_stops_and_starts_and_says_what_it_was(ec2):
    one = in_state(ec2, "running")[0]
    change = ec2.stop_instances(InstanceIds=[one])["StoppingInstances"]
    assert [it["InstanceId"] for it in change] == [one]
    assert change[0]["PreviousState"] == {"Code": 16, "Name": "running"}
    assert change[0]["CurrentState"]["Name"] in ("stopping", "stopped")
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig=QUICK)
    change = ec2.start_instances(InstanceIds=[one])["StartingInstances"]
    assert change[0]["PreviousState"] == {"Code": 80, "Name": "stopped"}
    assert change[0]["CurrentState"]["Name"] in ("pending", "running")
    ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig=QUICK)


def test_starting_what_runs_changes_nothing(aws):
    ec2 = aws.client("ec2")
    one = in_state(ec2, "running")[0]
    change = ec2.start_instances(InstanceIds=[one])["StartingInstances"][0]
    assert change["PreviousState"]["Name"] == change["CurrentState"]["Name"] == "running"


def test_a_rebooted_instance_keeps_running(ec2):
    one = in_state(ec2, "running")[0]
    ec2.reboot_instances(InstanceIds=[one])
    ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig=QUICK)


def test_an_unknown_instance_is_not_found_and_nothing_else_is_touched(ec2):
    one = in_state(ec2, "running")[0]
    for call in (ec2.stop_instances, ec2.start_instances, ec2.reboot_instances):
        refused("InvalidInstanceID.NotFound", call, InstanceIds=[one, UNKNOWN])
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[UNKNOWN])
    assert one in in_state(ec2, "running")


def test_a_malformed_id_is_told_from_an_unknown_one(aws):
    ec2 = aws.client("ec2")
    refused("InvalidInstanceID.Malformed", ec2.describe_instances, InstanceIds=["i-nonsense"])
    refused("InvalidInstanceID.Malformed", ec2.start_instances, InstanceIds=["mi-1"])


def test_a_dry_run_says_so_and_changes_nothing(aws):
    ec2 = aws.client("ec2")
    one = in_state(ec2, "running")[0]
    reply = refused("DryRunOperation", ec2.stop_instances, InstanceIds=[one], DryRun=True)
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert one in in_state(ec2, "running")


def test_page_sizes_of_instances_are_bounded_and_exclude_ids(aws):
    ec2 = aws.client("ec2", checked=False)
    one = in_state(ec2, "running")[0]
    refused(("InvalidParameterValue",), ec2.describe_instances, MaxResults=4)
    refused(("InvalidParameterValue",), ec2.describe_instances, MaxResults=1001)
    refused("InvalidParameterCombination", ec2.describe_instances, MaxResults=5, InstanceIds=[one])
    refused(("InvalidParameterValue", "InvalidNextToken"), ec2.describe_instances, NextToken="no")


def test_the_status_is_of_running_instances_unless_all_are_asked_for(ec2):
    running, stopped = in_state(ec2, "running"), in_state(ec2, "stopped")
    told = once(every(ec2, "describe_instance_status", "InstanceStatuses", 5), "InstanceId")
    assert told == set(running)
    everything = ec2.describe_instance_status(InstanceIds=[stopped[0]], IncludeAllInstances=True)
    status = everything["InstanceStatuses"][0]
    assert status["InstanceState"]["Name"] == "stopped"
    assert status["InstanceStatus"]["Status"] == "not-applicable"


def test_a_tag_is_set_found_overwritten_and_taken_away(ec2):
    one, two = in_state(ec2, "running")[:2]
    of_key = [{"Name": "key", "Values": ["proof"]}]
    ec2.create_tags(Resources=[one, two], Tags=[{"Key": "proof", "Value": "a"}])
    ec2.create_tags(Resources=[two], Tags=[{"Key": "proof", "Value": "b"}])
    tags = every(ec2, "describe_tags", "Tags", 5, Filters=of_key)
    assert {it["ResourceId"]: it["Value"] for it in tags} == {one: "a", two: "b"}
    assert {it["ResourceType"] for it in tags} == {"instance"}
    tagged = instances(ec2, Filters=[{"Name": "tag:proof", "Values": ["b"]}])
    assert once(tagged, "InstanceId") == {two}
    # A tag is only deleted where its value is the one that was named.
    ec2.delete_tags(Resources=[one, two], Tags=[{"Key": "proof", "Value": "a"}])
    tags = every(ec2, "describe_tags", "Tags", 5, Filters=of_key)
    assert {it["ResourceId"] for it in tags} == {two}
    ec2.delete_tags(Resources=[two], Tags=[{"Key": "proof"}])
    assert every(ec2, "describe_tags", "Tags", 5, Filters=of_key) == []


def test_tags_page_through_every_tag_once(ec2):
    whole = [(it["ResourceId"], it["Key"]) for it in every(ec2, "describe_tags", "Tags")]
    paged = [(it["ResourceId"], it["Key"]) for it in every(ec2, "describe_tags", "Tags", 7)]
    assert len(set(paged)) == len(paged)
    assert set(paged) == set(whole)


def test_an_instance_takes_fifty_tags_and_no_more(ec2):
    one = in_state(ec2, "running")[-1]
    tags = [{"Key": f"many-{at}", "Value": "x"} for at in range(51)]
    refused("TagLimitExceeded", ec2.create_tags, Resources=[one], Tags=tags)
    # Refused as a whole: none of them is there.
    held = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [one]}])["Tags"]
    assert not [it for it in held if it["Key"].startswith("many-")]


def test_an_unknown_resource_takes_no_tag(aws):
    ec2 = aws.client("ec2")
    tags = [{"Key": "proof", "Value": "a"}]
    refused("InvalidInstanceID.NotFound", ec2.create_tags, Resources=[UNKNOWN], Tags=tags)


def test_the_regions_of_the_world_are_described(cloud):
    found = {it["RegionName"] for it in cloud.client("ec2").describe_regions()["Regions"]}
    assert set(cloud.regions) <= found


def test_networks_are_described_and_instances_are_in_them(ec2):
    subnets = every(ec2, "describe_subnets", "Subnets", 5)
    vpcs = once(every(ec2, "describe_vpcs", "Vpcs", 5), "VpcId")
    assert {it["VpcId"] for it in subnets} <= vpcs
    groups = once(every(ec2, "describe_security_groups", "SecurityGroups", 5), "GroupId")
    some = instances(ec2)[:5]
    assert {it["SubnetId"] for it in some} <= once(subnets, "SubnetId")
    assert {group["GroupId"] for it in some for group in it["SecurityGroups"]} <= groups


def test_endpoints_of_a_vpc_are_described(ec2):
    endpoints = every(ec2, "describe_vpc_endpoints", "VpcEndpoints", 5)
    vpcs = once(every(ec2, "describe_vpcs", "Vpcs"), "VpcId")
    assert {it["VpcId"] for it in endpoints} <= vpcs


def test_a_started_instance_becomes_a_managed_node_after_its_boot(aws):
    ec2, ssm = aws.client("ec2"), aws.client("ssm")
    known = {it["Id"] for it in every(ssm, "get_inventory", "Entities")}
    # Not every stopped instance has an agent: those that the inventory knows had one.
    stopped = [it for it in in_state(ec2, "stopped") if it in known]
    if not stopped:
        pytest.skip("no stopped instance of this scope was ever managed")
    ec2.start_instances(InstanceIds=stopped)
    ec2.get_waiter("instance_running").wait(InstanceIds=stopped, WaiterConfig=QUICK)

    def online():
        listed = every(ssm, "describe_instance_information", "InstanceInformationList")
        return {it["InstanceId"] for it in listed if it["PingStatus"] == "Online"} & set(stopped)

    assert eventually(online)
    ec2.stop_instances(InstanceIds=stopped)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=stopped, WaiterConfig=QUICK)
    eventually(online, lambda it: not it)
