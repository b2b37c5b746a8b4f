"""Which runs are at work on this machine: each holds a lock under its id, which the system releases when it dies."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from marvel_assets.utils.files import list_files
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def heartbeat(locks: Path, run_id: str) -> Iterator[None]:
    """Show all processes of this machine that a run is at work, until the block ends or the process dies.

    Several processes of a run may do so at once.
    """
    file = _file(locks, run_id)
    with exclusive(locks, "run-heartbeats"):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a")
        fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield
    finally:
        with exclusive(locks, "run-heartbeats"), lock:
            if _is_free(lock):
                file.unlink(missing_ok=True)


def is_running(locks: Path, run_id: str) -> bool | None:
    """Whether a process of a run is alive; None where the run has left no heartbeat, or it was removed."""
    with exclusive(locks, "run-heartbeats"):
        try:
            lock = _file(locks, run_id).open()
        except FileNotFoundError:
            return None
        with lock:
            return not _is_free(lock)


def remove_stale(locks: Path) -> None:
    """Remove the heartbeats of runs that are dead."""
    with exclusive(locks, "run-heartbeats"):
        for file in list_files(locks / "runs", "*.lock"):
            with file.open() as lock:
                if _is_free(lock):
                    file.unlink()


def _file(locks: Path, run_id: str) -> Path:
    return locks / "runs" / f"{run_id}.lock"


def _is_free(lock: IO[str]) -> bool:
    """Whether nobody else holds a lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
