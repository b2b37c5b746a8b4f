"""Searches for better parameters, each in a file of its own: one that was cut off goes on."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator


class StudyStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Keeps each study at ``<folder>/<cache_key>.db``."""

    folder: str = Field(description="Folder of the studies.")
    locks: str = Field(description="Folder of the lock files: one process at a time works on a study.")

    @contextmanager
    def study(self, cache_key: str) -> Iterator[Path]:
        """The file of the study of this cache key, which nobody else works on meanwhile."""
        with exclusive(Path(self.locks), f"study-{cache_key}"):
            yield Path(self.folder, f"{cache_key}.db")
