"""Servers that a test starts, each in a process of its own on loopback, and ended by its process id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import requests

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import users_environment

SECONDS_TO_START = 400
"""A bound for what hangs: on cores that others hold, MLflow's imports alone take minutes."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a URL answers with success."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(is_up: Callable[[], bool], server: subprocess.Popen[bytes], name: str) -> None:
    """Return once the server is up; that it ends is a failure."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_up():
        assert server.poll() is None, f"{name} ended with exit code {server.returncode}"
        assert time.monotonic() < deadline, f"{name} is not up after {SECONDS_TO_START} s"
        time.sleep(0.2)


@contextmanager
def marvel_server(is_up: Callable[[], bool], *arguments: str, **environment: str) -> Iterator[None]:
    """A command of the project that serves, once it is up."""
    server = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", *arguments],
        cwd=PROJECT_ROOT,
        env={**users_environment(), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until(is_up, server, f"`marvel {arguments[0]}`")
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


@contextmanager
def marvel_serve(home: ProjectPaths, project: Path) -> Iterator[str]:
    """The URL of `marvel serve` over a home, once it answers."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {"MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(project)}
    with marvel_server(partial(answers, f"{url}/ping"), "serve", "--port", str(port), **settings):
        yield url


@contextmanager
def spark_connect_server(home: ProjectPaths, workers: Path = Path(sys.executable)) -> Iterator[int]:
    """The port of `marvel spark-server`, once it listens. Functions that are sent to it run in `workers`."""
    port, settings = free_port(), {"MARVEL_HOME": str(home.root), "PYSPARK_PYTHON": str(workers)}
    with marvel_server(partial(_listens, port), "spark-server", "--port", str(port), **settings):
        yield port


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The URL of a real `mlflow server`, with a database and an artifact store of its own, through which artifacts go.

    It is ended by its process group's id.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DATABRICKS_"))}
    environment = {**inherited, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until(partial(answers, f"{url}/health"), server, f"MLflow, see {folder / 'server.log'},")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
