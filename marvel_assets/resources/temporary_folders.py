"""Folders for what is under way. What a killed process leaves behind goes with the next one that is made beside it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".unfinished-"


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder of this process's own, gone when the block ends.

    A lock beside it tells that its owner lives; the system releases it when the owner dies.
    """
    import filelock

    parent.mkdir(parents=True, exist_ok=True)
    _remove_those_of_the_dead(parent)
    folder = parent / f"{PREFIX}{uuid.uuid4().hex}"
    lock = _lock_of(folder)
    with filelock.FileLock(lock):
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _remove_those_of_the_dead(parent: Path) -> None:
    import filelock

    for lock in parent.glob(f"{PREFIX}*.lock"):
        try:
            # Whoever is about to hold a lock that is removed here notices, and makes it anew.
            with filelock.FileLock(lock).acquire(timeout=0):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
        except filelock.Timeout:
            continue


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")
