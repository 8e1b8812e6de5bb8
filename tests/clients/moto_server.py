"""Moto as a server of its own, for clients that are not Python's.

Prints where it listens, and ends when its standard input does: it does not outlive who started it.
"""

import logging
import os
import sys


def main():
    # Read when the modules are imported: AWS's own policies are off by default.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    from moto.server import ThreadedMotoServer

    # A line for each request is of no use to anyone; what goes wrong is.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
