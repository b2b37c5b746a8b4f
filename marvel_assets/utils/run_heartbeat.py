"""Which runs go on: each holds a lock under its id, which the system releases when the run's process dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from marvel_assets.utils.files import list_files
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def giving_a_sign(locks: Path, run_id: str) -> Iterator[None]:
    """Show, to all processes of this machine, that a run goes on; as many may do so for it as like."""
    import filelock

    sign = _folder(locks, run_id) / f"{os.getpid()}-{uuid.uuid4().hex}.lock"
    lock = filelock.FileLock(sign)
    with _at_rest(locks):
        sign.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        with _at_rest(locks):
            lock.release()
            sign.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another sign of the run is in it
                sign.parent.rmdir()


def goes_on(locks: Path, run_id: str) -> bool | None:
    """Whether a run's process lives.

    Returns:
        None where the run has never given a sign, or its signs were forgotten.
    """
    import filelock

    with _at_rest(locks):
        signs = list_files(_folder(locks, run_id), "*.lock")
        for sign in signs:
            try:
                with filelock.FileLock(sign).acquire(timeout=0):
                    pass
            except filelock.Timeout:
                return True
    return False if signs else None


def known_runs(locks: Path) -> list[str]:
    """The runs of which there are signs, of the living and of the dead."""
    folder = _folder(locks, "")
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def forget(locks: Path, run_id: str) -> None:
    """Remove the signs of a run that is over."""
    with _at_rest(locks):
        shutil.rmtree(_folder(locks, run_id), ignore_errors=True)


def _folder(locks: Path, run_id: str) -> Path:
    return locks / "runs" / run_id


def _at_rest(locks: Path) -> contextlib.AbstractContextManager[None]:
    """No sign is between being made and being held while this is."""
    return exclusive(locks, "life-signs")
