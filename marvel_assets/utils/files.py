"""Atomic files, and temporary folders that are removed even if their process is killed."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_PREFIX = ".unfinished-"


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder, removed when the block ends.

    If the process is killed, the system releases the lock beside the folder, and the next caller removes both.
    """
    import filelock

    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned_folders(parent)
    folder = parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    lock_file = folder.with_suffix(".lock")
    with filelock.FileLock(lock_file):
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock_file.unlink(missing_ok=True)


def remove_abandoned_folders(parent: Path) -> None:
    """Remove the temporary folders in a folder whose owners have died."""
    import filelock

    for lock_file in parent.glob(f"{TEMPORARY_PREFIX}*.lock"):
        # A process that waits for a lock file which is removed here creates it again.
        with suppress(filelock.Timeout), filelock.FileLock(lock_file).acquire(timeout=0):
            shutil.rmtree(lock_file.with_suffix(""), ignore_errors=True)
            lock_file.unlink(missing_ok=True)


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A path to write to; it replaces the target if the block succeeds, and is removed if it fails.

    Raises:
        OSError: naming the target where the system names no file, as on a full disk.
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
