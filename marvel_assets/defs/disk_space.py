"""Whether a run can keep what it makes: the home can be written to, and its disk has space."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marvel_assets.paths import ProjectPaths

FREE_BYTES = 100 << 20
"""What must be free before a run starts: four times what a run of 92,000 characters writes."""

DISK_ERROR = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full|disk I/O error|max_temp_directory_size"
)
"""How the system, SQLite and DuckDB report a full disk; an I/O error is SQLite's where it can't even read."""

WHAT_TO_DO = (
    "Free some space, or set MARVEL_HOME to a folder on another disk, and run again: what was there is as it was, and "
    "what was completed is not made twice."
)


def check(home: ProjectPaths) -> list[str]:
    """What keeps a run from writing into the home; nothing where it is ready."""
    problems = unwritable_paths(home)
    if (free := _free_bytes(home.root)) < FREE_BYTES:
        problems.append(
            f"The disk is full, or nearly: {home.root} has {free / 2**20:,.1f} MB free, and a run starts where there "
            f"are {FREE_BYTES >> 20} MB or more. {WHAT_TO_DO}"
        )
    return problems


def unreadable_home(home: ProjectPaths) -> list[str]:
    """Why the home can't be read; one that was not made yet holds nothing."""
    if not os.path.lexists(home.root):
        return []
    if not home.root.is_dir():
        return [f"MARVEL_HOME is {str(home.root)!r}, which is not a folder; name another."]
    if not os.access(home.root, os.R_OK | os.X_OK):
        return [f"{home.root} can't be read: user {os.geteuid()} has no permission. Give this user the right to."]
    return []


def unwritable_paths(home: ProjectPaths) -> list[str]:
    """The first folder or database of the home that this user may not write to, with the reason."""
    if problems := unreadable_home(home):
        return problems
    databases = (home.mlflow_database, home.dagster / "history" / "runs.db")
    for path in (_existing(home.root), *sorted(home.root.glob("*/")), *filter(Path.exists, databases)):
        if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
            is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
            why = "its file system is mounted read-only" if is_read_only else f"user {os.geteuid()} has no permission"
            what_to_do = "Give this user the right to write there, or set MARVEL_HOME to another folder."
            return [f"{path} can't be written to: {why}. {what_to_do} Nothing was changed."]
    return []


def add_disk_hint(message: str, home: ProjectPaths) -> str:
    """An error's text; where it may report a full disk, also how full the disks are, and what to do."""
    if not DISK_ERROR.search(message):
        return message
    places = " and ".join(
        f"{folder} has {_free_bytes(folder) / 2**20:,.1f} MB free"
        for folder in (home.root, Path(tempfile.gettempdir()))
    )
    return f"{message.rstrip('. ')}. The disk may be full: {places}. {WHAT_TO_DO}"


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _existing(path: Path) -> Path:
    """The path itself, else the folder in which it would be created."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))
