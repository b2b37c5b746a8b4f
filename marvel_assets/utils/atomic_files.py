"""Files that are there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.utils.temporary_folders import temporary_folder


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Write a file aside; it takes the target's place when the block ends well, and is gone when it doesn't.

    Raises:
        OSError: naming the target, which the system does not do where a write fails, as on a full disk.
    """
    with temporary_folder(target.parent) as folder:
        aside = folder / target.name
        try:
            yield aside
            aside.replace(target)
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(target)) from error
