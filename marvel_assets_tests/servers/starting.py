"""Servers that a test starts, each in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets_tests.commands import users_environment

SECONDS_TO_START = 400
"""A bound for what hangs: on cores that others hold, MLflow's imports alone take minutes."""


@contextmanager
def marvel_server(is_up: Callable[[], bool], *arguments: str, **environment: str) -> Iterator[None]:
    """A command of the project that serves, once it is up. It is ended by its process id."""
    server = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", *arguments],
        cwd=PROJECT_ROOT,
        env={**users_environment(), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(is_up, server, f"`marvel {arguments[0]}`")
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_until(is_up: Callable[[], bool], server: subprocess.Popen[bytes], name: str) -> None:
    """Return once the server is up; that it ends is a failure."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_up():
        assert server.poll() is None, f"{name} ended with exit code {server.returncode}"
        assert time.monotonic() < deadline, f"{name} is not up after {SECONDS_TO_START} s"
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether a URL answers with success."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
