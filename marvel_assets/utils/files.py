"""Files in folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def list_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose names match a pattern, by name; none where there is no such folder.

    ``Path.glob`` takes a folder that can't be read for an empty one.

    Raises:
        OSError: the folder can't be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.match(pattern))
    except FileNotFoundError:
        return []
