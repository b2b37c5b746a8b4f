"""A run in another process that waits, as far as a test lets it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths

SECONDS_TO_WAIT = 120


def mark(name: str) -> Path:
    """A file by which processes signal how far they are."""
    return ProjectPaths.from_environment().root / f"{name}.mark"


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(file)
        time.sleep(0.05)


@contextmanager
def waiting_run(module: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run at the command line that has come to the module's asset ``waiting``; what is left of it is killed."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-f", str(module), "--select", "waiting"]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(mark("waiting"))
        yield process
    finally:
        process.kill()
        process.wait()
