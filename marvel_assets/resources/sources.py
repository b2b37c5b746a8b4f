"""Where raw characters come from, as a resource."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from pydantic import Field

from marvel_assets.resources.temporary_folders import temporary_folder
from marvel_assets.sources.fingerprint import fingerprint
from marvel_assets.sources.limits import Limits
from marvel_assets.sources.locate import GENERATED, Source, locate


class SourceDigest(NamedTuple):
    """What a person calls the source, and the digest of what it holds."""

    label: str
    digest: str


class Sources(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Finds the source that a run asks for, else the default one."""

    default: str | None = Field(
        default=None,
        description=(
            "A CSV or Parquet file, a folder of such files or of a Delta table, an http(s) URL, "
            "kaggle:<owner>/<dataset>, or 'generated' for the built-in generator. Default: $MARVEL_SOURCE, which is "
            "not shown here since an address may hold secrets, else 'generated'."
        ),
    )
    scratch: str = Field(description="Folder for what is downloaded or generated, emptied afterwards.")

    @contextmanager
    def located(self, setting: str | None, *, generator_rows: int, generator_seed: int) -> Iterator[Source]:
        """The source named by the setting, or the default; what was brought here is deleted at the end.

        Raises:
            SourceError: there is nothing to read under that name.
        """
        with temporary_folder(Path(self.scratch)) as folder:
            yield locate(
                self._named(setting),
                folder,
                generator_rows=generator_rows,
                generator_seed=generator_seed,
                limits=Limits.from_environment(),
            )

    def fingerprint(self, setting: str | None, *, generator_rows: int, generator_seed: int) -> str | None:
        """A cheap look at the source named by the setting, or the default; equal where nothing points to a change.

        Returns:
            None where only ``digest`` can tell.

        Raises:
            SourceError: there is nothing under that name any more, or no answer in time.
        """
        return fingerprint(
            self._named(setting),
            generator_rows=generator_rows,
            generator_seed=generator_seed,
            limits=Limits.from_environment(),
        )

    def digest(self, setting: str | None, *, generator_rows: int, generator_seed: int) -> SourceDigest:
        """Bring the source here, tell its digest, which ``raw_characters`` records, and delete what was brought.

        Raises:
            SourceError: there is nothing to read under that name.
        """
        with self.located(setting, generator_rows=generator_rows, generator_seed=generator_seed) as source:
            return SourceDigest(source.label, source.digest)

    def _named(self, setting: str | None) -> str:
        return setting or self.default or os.environ.get("MARVEL_SOURCE") or GENERATED
