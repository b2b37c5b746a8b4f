"""A folder of CSV and Parquet files as one source."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from marvel_assets.sources.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = {".csv", ".parquet"}


@dataclass(frozen=True)
class FolderSource:
    """The rows of all files of a folder, one file after the other in the order of their names."""

    label: str
    path: Path

    @cached_property
    def digest(self) -> str:
        """SHA-256 over each file's name and content."""
        whole = hashlib.sha256()
        for file in self.files():
            with file.open("rb") as content:
                whole.update(f"{file.name}:{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
        return f"sha256:{whole.hexdigest()}"

    def files(self) -> list[Path]:
        """The files of the folder itself, without hidden ones.

        Raises:
            SourceError: there are none.
        """
        found = sorted(
            file
            for file in self.path.iterdir()
            if file.is_file() and file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not found:
            raise SourceError(f"{self.label}: the folder holds no CSV or Parquet file; put some there, or name a file.")
        return found
