"""Servers that a test starts, each in its own process on loopback, and ended with its process group."""

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
from typing import NamedTuple

import psutil
import requests

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import MARVEL, users_environment

SECONDS_TO_START = 400
"""A bound for what hangs: on busy cores, MLflow's imports alone take minutes."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
SPARK_CONNECT_PORT = 15002


class Pages(NamedTuple):
    """URLs of Dagster's and MLflow's pages."""

    dagster: str
    mlflow: str


class TrackingServer(NamedTuple):
    """A tracking server's URL, and the folder of its artifacts."""

    url: str
    artifacts: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening_addresses() -> set[str]:
    """The hosts that descendants of this process listen on."""
    return {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _server(command: list[str], is_up: Callable[[], bool], **environment: str) -> Iterator[None]:
    """A command that serves, once it is up."""
    settings = {**users_environment(), **environment}
    with Path(os.devnull).open("w") as output:
        server = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=settings, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + SECONDS_TO_START
    try:
        while not is_up():
            assert server.poll() is None, f"{command} ended with exit code {server.returncode}"
            assert time.monotonic() < deadline, f"{command} is not up after {SECONDS_TO_START} s"
            time.sleep(0.2)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


@contextmanager
def marvel_serve(home: ProjectPaths, project: Path) -> Iterator[str]:
    """The URL of `marvel serve` over a home, once it answers."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {"MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(project)}
    with _server([*MARVEL, "serve", "--port", str(port)], partial(_answers, f"{url}/ping"), **settings):
        yield url


@contextmanager
def marvel_ui(home: ProjectPaths, **environment: str) -> Iterator[Pages]:
    """The pages of `marvel ui` over a home, once they answer."""
    ports = str(free_port()), str(free_port())
    pages = Pages(*(f"http://127.0.0.1:{port}" for port in ports))
    command = [*MARVEL, "ui", "--port", ports[0], "--mlflow-port", ports[1]]
    with _server(command, lambda: all(map(_answers, pages)), MARVEL_HOME=str(home.root), **environment):
        yield pages


@contextmanager
def spark_connect_server(home: ProjectPaths, *arguments: str, **environment: str) -> Iterator[None]:
    """`make spark-server`, once it listens, at `PORT=…` or the port of docs/deployment.md."""
    [port] = [int(given.removeprefix("PORT=")) for given in arguments] or [SPARK_CONNECT_PORT]
    settings = {"MARVEL_HOME": str(home.root), "PYTHON": str(Path(sys.executable).resolve()), **environment}
    with _server(["make", "spark-server", *arguments], partial(_listens, port), **settings):
        yield


@contextmanager
def mlflow_server(folder: Path) -> Iterator[TrackingServer]:
    """A real `mlflow server`, with its own database and artifact store, through which artifacts go."""
    server = TrackingServer(f"http://127.0.0.1:{(port := free_port())}", folder / "artifacts")
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(server.artifacts),
    ]  # fmt: skip
    with _server(command, partial(_answers, f"{server.url}/health"), MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"):
        yield server
