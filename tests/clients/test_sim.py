"""Starting and stopping, with a stand-in for the binary."""

import sys

import pytest

import sim as simulator

READY = """{"aws_endpoint": "a", "s3_endpoint": "s", "azure_endpoint": "z",
 "control_endpoint": "c", "accounts": ["1"], "regions": ["r"], "subscriptions": [],
 "credentials": []}""".replace("\n", "")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Makes a program out of lines of Python the binary under test."""

    def make(*lines):
        program = tmp_path / "sim-cloud"
        program.write_text("\n".join([f"#!{sys.executable}", "import signal, sys, time", *lines]))
        program.chmod(0o755)
        monkeypatch.setenv("SIM_CLOUD", str(program))

    return make


def test_the_line_of_a_ready_simulator_is_read_and_it_ends_on_sigterm(stand_in):
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit())"
    stand_in(handler, f"print({READY!r}, flush=True)", "time.sleep(60)")
    running = simulator.start(seed=1, nodes=2, speed=3)
    assert running.process.args[1:] == ["--seed", "1", "--nodes", "2", "--speed", "3"]
    assert (running.aws_endpoint, running.accounts) == ("a", ["1"])
    running.stop()
    assert running.process.poll() is not None


@pytest.mark.parametrize(
    "line", ["print('listening')", "print('{}')", "sys.exit('no address')", "print('[]')"]
)
def test_a_simulator_that_does_not_get_ready_is_told_with_what_it_said(stand_in, line):
    stand_in(line)
    with pytest.raises(AssertionError, match="not ready"):
        simulator.start()


def test_a_simulator_that_does_not_know_sigterm_is_told(stand_in):
    stand_in(f"print({READY!r}, flush=True)", "time.sleep(60)")
    running = simulator.start()
    with pytest.raises(AssertionError, match="ended with -15"):
        running.stop()


def test_a_simulator_that_ends_badly_is_told(stand_in):
    stand_in(f"print({READY!r}, flush=True)", "sys.exit('lost its mind')")
    running = simulator.start()
    running.process.wait()
    with pytest.raises(AssertionError, match="lost its mind"):
        running.stop()
