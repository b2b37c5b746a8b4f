"""Folders for what is under way. What a killed process leaves behind is cleared up by the next one, or the next run."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.utils.files import list_files

PREFIX = ".unfinished-"


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder of this process's own, gone when the block ends.

    A lock beside it tells that its owner lives; the system releases it when the owner dies.
    """
    import filelock

    parent.mkdir(parents=True, exist_ok=True)
    clear_up(parent)
    folder = parent / f"{PREFIX}{uuid.uuid4().hex}"
    lock = _lock_of(folder)
    with filelock.FileLock(lock):
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def clear_up(parent: Path) -> None:
    """Remove the temporary folders in a folder whose owners have died."""
    import filelock

    for lock in list_files(parent, f"{PREFIX}*.lock"):
        try:
            # Whoever is about to hold a lock that is removed here notices, and makes it anew.
            with filelock.FileLock(lock).acquire(timeout=0):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
        except filelock.Timeout:
            continue


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")
