"""The project's own Spark Connect server, in a process of its own."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.pages import free_port
from marvel_assets_tests.servers.starting import marvel_server


@contextmanager
def spark_connect_server(home: ProjectPaths, workers: Path = Path(sys.executable)) -> Iterator[int]:
    """The port of `marvel spark-server`, once it listens. Functions that are sent to it run in `workers`."""
    port = free_port()

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    settings = {"MARVEL_HOME": str(home.root), "PYSPARK_PYTHON": str(workers)}
    with marvel_server(listens, "spark-server", "--port", str(port), **settings):
        yield port
