"""Whether a run can keep what it makes: the home can be written to, and its disk has room."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from marvel_assets.paths import ProjectPaths

FREE_BYTES = 100 << 20
"""What must be free before a run starts: four times what a run of 92,000 characters writes."""

FULL = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full|max_temp_directory_size")
"""How the system, SQLite and DuckDB say that a disk is full."""

PERHAPS_FULL = re.compile(r"disk I/O error")
"""SQLite's words where it can't even read on a full disk, and on a broken one."""

WHAT_TO_DO = (
    "Free some space, or set MARVEL_HOME to a folder on another disk, and run again: what was there is as it was, and "
    "what was completed is not made twice."
)


def problems(home: ProjectPaths) -> list[str]:
    """What keeps a run from writing into the home; nothing where it is ready."""
    return [*refusals(home), *_shortage(home)]


def refusals(home: ProjectPaths) -> list[str]:
    """The folders and files of the home that this user may not write to."""
    there = [path for path in _written(home) if os.path.lexists(path)] or [_first_that_exists(home.root)]
    return unreadable(home) or [_refusal(path) for path in there if not _is_writable(path)][:1]


def unreadable(home: ProjectPaths) -> list[str]:
    """Why what is in the home can't be read; a home that was not made yet holds nothing."""
    if not os.path.lexists(home.root):
        return []
    if not home.root.is_dir():
        return [f"MARVEL_HOME is {str(home.root)!r}, which is not a folder; name another."]
    if not os.access(home.root, os.R_OK | os.X_OK):
        return [f"{home.root} can't be read: user {os.geteuid()} has no permission. Give this user the right to."]
    return []


def with_advice(message: str, home: ProjectPaths) -> str:
    """An error's text; where it tells of a full disk, also which disks it may be, and what to do."""
    if not (FULL.search(message) or (PERHAPS_FULL.search(message) and _free(home.root) < FREE_BYTES)):
        return message
    scratch = tempfile.gettempdir()
    return (
        f"{message.rstrip('. ')}. The disk is full: of the places that are written to, {home.root} now has "
        f"{_in_words(home.root)} and {scratch} has {_in_words(Path(scratch))}. {WHAT_TO_DO}"
    )


def _shortage(home: ProjectPaths) -> Iterator[str]:
    if _free(home.root) < FREE_BYTES:
        yield (
            f"The disk is full, or nearly: {home.root} has {_in_words(home.root)}, and a run starts where there are "
            f"{FREE_BYTES >> 20} MB or more. {WHAT_TO_DO}"
        )


def _free(folder: Path) -> int:
    return shutil.disk_usage(_first_that_exists(folder)).free


def _in_words(folder: Path) -> str:
    return f"{_free(folder) / (1 << 20):,.1f} MB free"


def _written(home: ProjectPaths) -> Iterator[Path]:
    """What a run writes to, the folders before what is in them."""
    yield home.root
    yield from (home.warehouse, home.references, home.provenance, home.pipelines, home.wheels, home.scratch, home.locks)
    yield from (home.mlflow_database.parent, home.mlflow_database, home.mlflow_artifacts)
    yield from (home.dagster, home.dagster / "history", home.dagster / "history" / "runs.db")


def _first_that_exists(path: Path) -> Path:
    """The path itself, else the folder in which it would be created."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def _is_writable(path: Path) -> bool:
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, needed)


def _refusal(path: Path) -> str:
    is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    why = "its file system is mounted read-only" if is_read_only else f"user {os.geteuid()} has no permission"
    return (
        f"{path} can't be written to: {why}. Give this user the right to write there, or set MARVEL_HOME to another "
        "folder. Nothing was changed."
    )
