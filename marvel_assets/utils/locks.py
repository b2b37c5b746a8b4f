"""Locks between processes on one machine, and heartbeats of runs: the system releases the locks of a dead process."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.utils.files import atomic_write

TIMEOUT_SECONDS = 3600  # how long to wait for another process, which may be fitting


@contextmanager
def file_lock(locks: Path, name: str) -> Iterator[None]:
    """Hold a lock that only one process can hold at a time: ``<name>.lock`` in the folder ``locks``.

    Raises:
        TimeoutError: another process has held the lock for an hour.
    """
    import filelock

    locks.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(locks / f"{name}.lock", timeout=TIMEOUT_SECONDS):
        yield


def home_id(locks: Path) -> str:
    """A random id of this ``MARVEL_HOME``, created at the first call."""
    file = locks / "home-id"
    with file_lock(locks, "home-id"):
        if not file.exists():
            with atomic_write(file) as unfinished:
                unfinished.write_text(str(uuid.uuid4()))
    return file.read_text()


@contextmanager
def heartbeat(locks: Path, run_id: str) -> Iterator[None]:
    """Mark a run as running until the outermost block ends or its process dies."""
    import filelock

    file = _heartbeat_file(locks, run_id)
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

    file = _heartbeat_file(locks, run_id)
    if not file.exists():
        return None
    try:
        with filelock.FileLock(file).acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True


def remove_stale_heartbeats(locks: Path) -> None:
    """Remove the heartbeats of runs that are dead."""
    for file in locks.glob("runs/*.lock"):
        if not is_running(locks, file.stem):
            file.unlink(missing_ok=True)


def _heartbeat_file(locks: Path, run_id: str) -> Path:
    return locks / "runs" / f"{run_id}.lock"
