"""Files and folders that are there whole or not at all, also where a process is killed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_PREFIX = ".unfinished-"


def list_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose names match a pattern, by name; none where there is no such folder.

    Raises:
        OSError: the folder can't be read; ``Path.glob`` would take it for an empty one.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.match(pattern))
    except FileNotFoundError:
        return []


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder of this process's own, gone when the block ends.

    The system releases the lock beside it when its owner dies; the next process to come along removes what it left.
    """
    import filelock

    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned_folders(parent)
    folder = parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    lock = folder.with_suffix(".lock")
    with filelock.FileLock(lock):
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def remove_abandoned_folders(parent: Path) -> None:
    """Remove the temporary folders in a folder whose owners have died."""
    import filelock

    for lock in list_files(parent, f"{TEMPORARY_PREFIX}*.lock"):
        # Whoever is about to hold a lock that is removed here notices, and makes it anew.
        with suppress(filelock.Timeout), filelock.FileLock(lock).acquire(timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A path to write to; it takes the target's place when the block ends well, and is gone when it doesn't.

    Raises:
        OSError: naming the target, which the system does not do where a write fails, as on a full disk.
    """
    with temporary_folder(target.parent) as folder:
        unfinished = folder / target.name
        try:
            yield unfinished
            unfinished.replace(target)
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(target)) from error
