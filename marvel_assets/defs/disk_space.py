"""Checks that the home is writable and its disk has space."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from marvel_assets.paths import ProjectPaths

FREE_BYTES = 100 << 20
"""Free space that a run needs: four times what a run with 92,000 characters writes."""

# How the system, SQLite and DuckDB report a full disk; SQLite may also report a disk I/O error.
DISK_ERROR = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full|disk I/O error|max_temp_directory_size"
)
WHAT_TO_DO = (
    "Free some space, or set MARVEL_HOME to a folder on another disk, and run again: existing data is intact, and "
    "finished work is reused."
)


def check(home: ProjectPaths) -> list[str]:
    """What prevents a run from writing into the home; empty if it is ready."""
    problems = check_access(home)
    if (free := _free_bytes(home.root)) < FREE_BYTES:
        needed = f"{home.root} has {free / 2**20:,.1f} MB free, and a run needs at least {FREE_BYTES >> 20} MB"
        problems.append(f"The disk is full, or nearly: {needed}. {WHAT_TO_DO}")
    return problems


def check_access(home: ProjectPaths, mode: int = os.R_OK | os.W_OK) -> list[str]:
    """The first folder or database of the home that this user may not read (or write to, by default)."""
    if home.root.exists() and not home.root.is_dir():
        return [f"MARVEL_HOME is {str(home.root)!r}, which is not a folder; name another."]
    databases = (home.mlflow_database, home.dagster / "history" / "runs.db")
    there = [path for path in databases if os.access(path, os.F_OK)]
    # In this order: what is inside an unreadable folder can't be checked.
    for path in (_existing(home.root), *sorted(home.root.glob("*/")), *there):
        if not os.access(path, mode | (os.X_OK if path.is_dir() else 0)):
            what = "written to" if mode & os.W_OK else "read"
            reason = f"user {os.geteuid()} has no permission, or its file system is mounted read-only"
            what_to_do = "Grant this user access, or set MARVEL_HOME to another folder."
            return [f"{path} can't be {what}: {reason}. {what_to_do} Nothing was changed."]
    return []


def add_disk_hint(message: str, home: ProjectPaths) -> str:
    """An error's text; if it may report a full disk, with the free space and what to do."""
    if not DISK_ERROR.search(message):
        return message
    folders = home.root, Path(tempfile.gettempdir())
    places = " and ".join(f"{folder} has {_free_bytes(folder) / 2**20:,.1f} MB free" for folder in folders)
    return f"{message.rstrip('. ')}. The disk may be full: {places}. {WHAT_TO_DO}"


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _existing(path: Path) -> Path:
    """The path itself, else the folder in which it would be created."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))
