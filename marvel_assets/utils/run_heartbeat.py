"""Heartbeats of the runs on this machine: each run holds a lock, which the system releases when its process dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def heartbeat(locks: Path, run_id: str) -> Iterator[None]:
    """Mark a run as running until the outermost block ends or its process dies."""
    import filelock

    file = _file(locks, run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(file, is_singleton=True, thread_local=False) as lock:
        try:
            yield
        finally:
            if lock.lock_counter == 1:
                file.unlink(missing_ok=True)


def is_running(locks: Path, run_id: str) -> bool | None:
    """Whether the process of a run is alive; None if the run has no heartbeat."""
    import filelock

    file = _file(locks, run_id)
    if not file.exists():
        return None
    try:
        with filelock.FileLock(file).acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True


def remove_stale(locks: Path) -> None:
    """Remove the heartbeats of runs that are dead."""
    for file in locks.glob("runs/*.lock"):
        if not is_running(locks, file.stem):
            file.unlink(missing_ok=True)


def _file(locks: Path, run_id: str) -> Path:
    return locks / "runs" / f"{run_id}.lock"
