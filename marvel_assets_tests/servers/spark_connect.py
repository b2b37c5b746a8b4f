"""The project's own Spark Connect server, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.pages import free_port

SECONDS_TO_START = 120


@contextmanager
def spark_connect_server(home: ProjectPaths, workers: Path = Path(sys.executable)) -> Iterator[int]:
    """`marvel spark-server`, ended by its process id; its port. Functions that are sent to it run in `workers`."""
    port = free_port()
    command = [sys.executable, "-c", "from marvel_assets.cli import main; main()", "spark-server", "--port", str(port)]
    settings = {**os.environ, "MARVEL_HOME": str(home.root), "PYSPARK_PYTHON": str(workers)}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=settings)
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
