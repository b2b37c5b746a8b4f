"""Locks between processes on one machine. The system releases the locks of a process that died."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from marvel_assets.utils.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_SECONDS = 3600
"""How long to wait for another process, which may be fitting."""


@contextmanager
def exclusive(locks: Path, name: str) -> Iterator[None]:
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
    if not file.exists():
        with exclusive(locks, "home-id"):
            if not file.exists():
                with atomic_write(file) as unfinished:
                    unfinished.write_text(str(uuid.uuid4()))
    return file.read_text()
