"""Starting and stopping `sim-cloud`."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field

READY_SECONDS = 60
STOP_SECONDS = 20


@dataclass
class Sim:
    """A running simulator: the fields of the line that it prints when it is ready."""

    process: subprocess.Popen
    aws_endpoint: str
    s3_endpoint: str
    azure_endpoint: str
    control_endpoint: str
    accounts: list
    regions: list
    subscriptions: list
    credentials: list
    log: object = field(repr=False)

    def stop(self):
        """Asks it to end, and fails unless it does so in good order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"no end {STOP_SECONDS} s after SIGTERM{self.said()}") from None
        # Killed by the signal would mean that it has no handler: nothing is written to its end.
        assert code == 0, f"ended with {code}{self.said()}"

    def said(self):
        """What it wrote to its standard error, as the tail of a message."""
        self.log.seek(0)
        return "; it said:\n" + self.log.read()[-4000:]


def binary():
    """The binary under test, or None."""
    return os.environ.get("SIM_CLOUD") or None


def start(*, seed=7, nodes=300, speed=600, more=()):
    """Starts the binary and waits until it is ready."""
    command = [binary(), "--seed", str(seed), "--nodes", str(nodes), "--speed", str(speed), *more]
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
    )
    watch = threading.Timer(READY_SECONDS, process.kill)
    watch.start()
    try:
        line = process.stdout.readline()
    finally:
        watch.cancel()
    try:
        said = json.loads(line)
        # Named one by one: a field that is missing or misspelt fails here, not in some test.
        return Sim(
            process,
            aws_endpoint=said["aws_endpoint"],
            s3_endpoint=said["s3_endpoint"],
            azure_endpoint=said["azure_endpoint"],
            control_endpoint=said["control_endpoint"],
            accounts=said["accounts"],
            regions=said["regions"],
            subscriptions=said["subscriptions"],
            credentials=said["credentials"],
            log=log,
        )
    except (KeyError, TypeError, ValueError) as error:
        process.kill()
        process.wait()
        log.seek(0)
        raise AssertionError(f"not ready: {error!r} in {line!r}\n{log.read()[-4000:]}") from None
