"""The flags of the binary: what they do, and what is said of a bad value."""

import json
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
import requests

import sim as simulator
from aws.cloud import eventually, every, of_sim

START = "2026-11-02T00:00:00Z"
PLACE = "accountid={}/region={}/resourcetype=ManagedInstanceInventory"


def told(sim, path):
    with urllib.request.urlopen(f"{sim.control_endpoint}{path}") as answer:
        return json.load(answer)


def managed(sim):
    """The nodes of each account and Region, by the folder that the lake has for them."""
    cloud = of_sim(sim, None)
    return {
        PLACE.format(account, region): {
            it["InstanceId"]
            for it in every(
                cloud.client("ssm", region, account),
                "describe_instance_information",
                "InstanceInformationList",
            )
        }
        for account, region in cloud.scopes()
    }


def objects(lake, kind="AWS:InstanceInformation"):
    """The nodes that a type of the lake has objects of, by their folder."""
    found = {}
    for path in (lake / kind).rglob("*.json"):
        if path.name != "test.json":
            place = path.parent.relative_to(lake / kind).as_posix()
            found.setdefault(place, set()).add(path.stem)
    return found


def test_the_lake_is_whole_when_the_process_has_ended_on_sigterm(another_sim, tmp_path):
    lake = tmp_path / "lake"
    sim = another_sim(nodes=600, speed=1, more=["--lake", str(lake)])
    want = managed(sim)
    sim.stop()
    found = objects(lake)
    assert found.keys() == {place for place, nodes in want.items() if nodes}
    for place, nodes in want.items():
        # Nodes that are not listed, stopped ones, have objects too.
        assert nodes <= found[place]
    for path in lake.rglob("*.json"):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert path.name == "test.json" or {it["resourceId"] for it in rows} <= {path.stem}
    # Nothing half written is left, there or beside it.
    assert [it for it in tmp_path.rglob("*") if it.is_file() and it.suffix != ".json"] == []
    assert [it.name for it in tmp_path.iterdir()] == ["lake"]


def test_the_lake_has_what_has_changed_until_the_end(another_sim, tmp_path):
    sim = another_sim(nodes=60, speed=1, more=["--lake", str(tmp_path)])
    want = managed(sim)
    place, node = next(
        (place, node) for place, nodes in want.items() for node in nodes if node.startswith("i-")
    )
    object_of = tmp_path / "AWS:Tag" / place / f"{node}.json"
    eventually(object_of.exists)
    account, region = (it.partition("=")[2] for it in place.split("/")[:2])
    ec2 = of_sim(sim, None).client("ec2", region, account)
    ec2.create_tags(Resources=[node], Tags=[{"Key": "Rack", "Value": "7"}])
    sim.stop()
    rows = [json.loads(line) for line in object_of.read_text(encoding="utf-8").splitlines()]
    assert ("Rack", "7") in {(it["Key"], it["Value"]) for it in rows}


def test_a_lake_that_is_not_empty_is_told_and_kept(another_sim, tmp_path):
    for seed, told_so in [(1, 0), (2, 1)]:
        sim = another_sim(seed=seed, nodes=20, speed=1, more=["--lake", str(tmp_path)])
        sim.stop()
        assert sim.said().count(f"{tmp_path} is not empty") == told_so


def test_what_the_lake_cannot_hold_is_told_once_with_its_path(another_sim, tmp_path):
    (tmp_path / "AWS:Tag").write_text("in the way")
    sim = another_sim(nodes=60, speed=1, more=["--lake", str(tmp_path)])
    sim.stop()
    said = sim.said()
    assert said.count("cannot be written") == 1
    assert str(tmp_path / "AWS:Tag") in said


def test_ports_follow_each_other(another_sim):
    port = free_ports(4)
    sim = another_sim(nodes=20, more=["--listen", f"127.0.0.1:{port}"])
    endpoints = [sim.aws_endpoint, sim.s3_endpoint, sim.azure_endpoint, sim.control_endpoint]
    assert endpoints == [f"http://127.0.0.1:{port + at}" for at in range(4)]
    assert told(sim, "/clock")["speed"] == 600


def free_ports(count):
    """The first of some ports that are free side by side."""
    for first in range(20_000, 60_000, 10):
        held = []
        try:
            for at in range(count):
                held.append(socket.create_server(("127.0.0.1", first + at)))
            return first
        except OSError:
            continue
        finally:
            for it in held:
                it.close()
    raise AssertionError("no ports are free")


def test_the_world_begins_when_it_is_told(another_sim):
    sim = another_sim(nodes=20, speed=0, more=["--start-at", START])
    assert told(sim, "/clock") == {"now": START, "speed": 0.0}


def test_one_seed_gives_one_world_and_another_one_another(another_sim):
    def world(seed):
        sim = another_sim(seed=seed, nodes=60, speed=0, more=["--start-at", START])
        ids = told(sim, "/nodes")
        return ids, [told(sim, f"/nodes/{it}") for it in ids if not it.startswith("/")]

    assert world(3) == world(3)
    assert not set(world(3)[0]) & set(world(4)[0])


@pytest.mark.parametrize(("throttles", "refused"), [("documented", True), ("off", False)])
def test_requests_are_limited_unless_limits_are_off(another_sim, throttles, refused):
    # Resource Graph takes 15 queries in 5 seconds: "Guidance for throttled requests in Azure
    # Resource Graph".
    sim = another_sim(nodes=20, speed=1, more=["--throttles", throttles])
    query = {"query": "resources | project id", "subscriptions": sim.subscriptions}
    url = f"{sim.azure_endpoint}/providers/Microsoft.ResourceGraph/resources"
    statuses = [
        requests.post(
            url,
            params={"api-version": "2022-10-01"},
            headers={"Authorization": "Bearer any"},
            json=query,
            timeout=30,
        ).status_code
        for _ in range(40)
    ]
    assert (429 in statuses) == refused
    assert statuses[0] == 200


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--seed", "seven"),
        ("--seed", "-1"),
        ("--nodes", "many"),
        ("--nodes", "-1"),
        ("--nodes", "18446744073709551615"),
        ("--patches", "1.5"),
        ("--patches", "18446744073709551615"),
        ("--speed", "-1"),
        ("--speed", "nan"),
        ("--start-at", "yesterday"),
        ("--start-at", "2026-11-02"),
        ("--throttles", "some"),
        ("--listen", "localhost"),
        ("--listen", "127.0.0.1:70000"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_flag(flag, value):
    code, said = refusal(flag, value)
    assert code == 2
    assert flag in said and value in said, said


def test_an_address_that_cannot_be_had_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refusal("--listen", f"127.0.0.1:{port}")
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in said
    code, said = refusal("--listen", "127.0.0.1:65534")
    assert code == 1
    assert "cannot listen on four ports from 127.0.0.1:65534" in said


def test_a_lake_that_cannot_be_is_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    for lake in (file, file / "below"):
        code, said = refusal("--lake", str(lake))
        assert code == 1
        assert f"no lake in {lake}" in said
    (tmp_path / "AWS:InstanceInformation").write_text("in the way")
    code, said = refusal("--lake", str(tmp_path))
    assert code == 1
    assert str(pathlib.Path(tmp_path, "AWS:InstanceInformation")) in said


def refusal(flag, value):
    """How the binary ends that does not start, and what it says."""
    if simulator.binary() is None:
        pytest.skip("SIM_CLOUD does not name the sim-cloud binary")
    command = [simulator.binary(), flag, value]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.stdout == ""
    assert "panicked" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stderr


def test_a_second_signal_does_not_wait_for_the_lake(tmp_path):
    if simulator.binary() is None:
        pytest.skip("SIM_CLOUD does not name the sim-cloud binary")
    sim = simulator.start(nodes=6000, speed=0, more=["--lake", str(tmp_path)])
    sim.process.send_signal(signal.SIGTERM)
    # Two signals at once would be one.
    time.sleep(0.3)
    sim.process.send_signal(signal.SIGTERM)
    code = sim.process.wait(simulator.STOP_SECONDS)
    # A machine may be so fast that all was written before the second.
    assert (code, "before all of the lake was written" in sim.said()) in ((1, True), (0, False))
