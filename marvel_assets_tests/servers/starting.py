"""Waiting for a server that a test has started."""

import subprocess
import time
from collections.abc import Callable

import requests

SECONDS_TO_START = 300
"""A bound for what hangs: on cores that others hold, MLflow's imports alone take minutes."""


def wait_until_it_answers(server: subprocess.Popen[bytes], url: str, told: Callable[[], str]) -> None:
    """Return once a URL of the server answers with success.

    Args:
        server: the process; that it ends is a failure.
        url: where it tells that it is up.
        told: what it has said or is called, for the failure.
    """
    deadline = time.monotonic() + SECONDS_TO_START
    while not _is_up(url):
        assert server.poll() is None, f"ended with exit code {server.returncode}: {told()}"
        assert time.monotonic() < deadline, f"no answer of {url} after {SECONDS_TO_START} s: {told()}"
        time.sleep(0.2)


def _is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
