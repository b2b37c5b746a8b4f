"""What the project's commands start is reached from this machine alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.faults.conftest import INPUTS
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.pages import free_port
from marvel_assets_tests.sockets import LOOPBACK, listening

SECONDS_TO_START = 120
Record = Callable[[str, object], None]

OPEN_TO_ALL = """
import socket, time
server = socket.create_server(("0.0.0.0", 0))
print("ready", flush=True)
time.sleep(60)
"""


def test_the_search_finds_a_server_that_anybody_reaches():
    # given
    with subprocess.Popen([sys.executable, "-c", OPEN_TO_ALL], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()

        # then
        found = listening()
        server.kill()
    assert not found <= LOOPBACK


@pytest.fixture
def spark_server(spark_home: ProjectPaths) -> Iterator[int]:
    """`marvel spark-server`, ended by its process id."""
    port = free_port()
    command = [sys.executable, "-c", "from marvel_assets.cli import main; main()", "spark-server", "--port", str(port)]
    server = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MARVEL_HOME": str(spark_home.root)},
    )
    deadline = time.monotonic() + SECONDS_TO_START
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.2)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


@pytest.mark.spark
@pytest.mark.skipif(amount(1, 0), reason="FAULTS=all: spark/test_local.py shows its settings")
def test_a_spark_connect_server(spark_server: int, record_property: Record):
    # then
    assert spark_server
    assert listening() <= LOOPBACK
    assert listening()
    record_property(INPUTS, 1)
