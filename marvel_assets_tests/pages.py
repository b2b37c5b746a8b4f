"""Dagster's and MLflow's pages as `marvel ui` serves them, over a home of the test's own."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import users_environment

START_SECONDS = 400
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "marvel_assets"}


@dataclass(frozen=True)
class Pages:
    """Where the pages are."""

    dagster: str
    mlflow: str


@contextmanager
def served(home: ProjectPaths, **environment: str) -> Iterator[Pages]:
    """Start `marvel ui`, and end it by its process id."""
    ports = free_port(), free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", "ui",
         "--port", str(ports[0]), "--mlflow-port", str(ports[1])],
        cwd=PROJECT_ROOT,
        env={**users_environment(), "MARVEL_HOME": str(home.root), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pages = Pages(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
    try:
        for url in (pages.dagster, pages.mlflow):
            _wait_until_it_answers(url, server)
        yield pages
    finally:
        server.terminate()
        server.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"`marvel ui` ended with exit code {server.returncode}"
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"{url} did not answer within {START_SECONDS} s")
