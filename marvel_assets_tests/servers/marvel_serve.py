"""`marvel serve` over a home, on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from marvel_assets.home import PROJECT_ROOT, Home
from marvel_assets_tests.pages import free_port

SECONDS_TO_START = 120


@contextmanager
def marvel_serve(home: Home, project: Path) -> Iterator[str]:
    """Its URL, once it answers. It is ended by its process id."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    server = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", "serve", "--port", str(port)],
        cwd=PROJECT_ROOT,
        env={**inherited, "MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(project)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _is_up(url):
            assert server.poll() is None, f"`marvel serve` ended with exit code {server.returncode}"
            assert time.monotonic() < deadline, f"no answer of `marvel serve` after {SECONDS_TO_START} s"
            time.sleep(0.3)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/ping", timeout=5).ok
    except requests.RequestException:
        return False
