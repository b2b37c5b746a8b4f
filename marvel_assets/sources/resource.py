"""Where raw characters come from, as a resource."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from pydantic import Field

from marvel_assets.config import ProjectConfig
from marvel_assets.sources.base import Source, SourceError
from marvel_assets.sources.locate import fingerprint, is_address, locate, path_of, redact_source
from marvel_assets.utils.files import atomic_write, temporary_folder


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Finds the source that a run asks for, else the default one."""

    default: str | None = Field(
        default=None,
        description=(
            "A CSV or Parquet file, a folder of such files or of a Delta table, an http(s) URL, "
            "kaggle:<owner>/<dataset>, a short name that the data set declares, or 'generated' for its generator. "
            "Default: $MARVEL_SOURCE, which is not shown here since an address may hold secrets, else the source that "
            "was last read, else the data set's default."
        ),
    )
    scratch: str = Field(description="Folder for what is downloaded or sorted, emptied afterwards.")
    last_read: str | None = Field(
        default=None, description="File that keeps which source was last read: it is read again where none is named."
    )

    @contextmanager
    def located(self, setting: str | None, config: ProjectConfig) -> Iterator[Source]:
        """The source named by the setting, or the default; downloads are deleted at the end.

        A source that was read without an error is the default of later runs that name none.
        """
        with temporary_folder(Path(self.scratch)) as folder:
            named = self._named(setting, config)
            source = locate(named, folder, config.dataset, config.generator)
            for note in source.notes:
                dg.get_dagster_logger().warning(note)
            yield source
            self._keep(named, config)

    def fingerprint(self, setting: str | None, config: ProjectConfig) -> str:
        """A cheap look at the source named by the setting, or the default; equal where nothing points to a change.

        Where only reading could show a change (the server reports neither a version nor a time), it differs each day.
        """
        named = self._named(setting, config)
        found = fingerprint(named, config.dataset, config.generator)
        return found or hashlib.sha256(f"{named} {datetime.now(UTC):%Y-%m-%d}".encode()).hexdigest()

    def label(self, setting: str | None, config: ProjectConfig) -> str:
        """The source named by the setting, or the default, as pages may show it."""
        return redact_source(self._named(setting, config))

    def _named(self, setting: str | None, config: ProjectConfig) -> str:
        dataset = config.dataset
        named = (
            setting or self.default or os.environ.get("MARVEL_SOURCE") or self._last_read() or dataset.default_source
        )
        if named is None:
            raise SourceError(
                f"MARVEL_SOURCE is not set, and the data set {dataset.name} has no default source; set it to a CSV or "
                "Parquet file, a folder, an address or a Delta table."
            )
        return named

    def _last_read(self) -> str | None:
        """The source that was last read, so that a forgotten MARVEL_SOURCE doesn't train on synthetic rows."""
        if self.last_read is None or not Path(self.last_read).exists():
            return None
        kept: dict[str, str | None] = json.loads(Path(self.last_read).read_text(encoding="utf-8"))
        if kept["setting"] is None:
            raise SourceError(
                f"{kept['label']}: this home's rows come from there, and its address is not stored since it may "
                "hold a secret. Set MARVEL_SOURCE to it again, or to 'generated' for synthetic characters."
            )
        return kept["setting"]

    def _keep(self, named: str, config: ProjectConfig) -> None:
        """Store which source was read: absolute paths, and addresses only where they hold no secret."""
        if self.last_read is None:
            return
        label = redact_source(named)
        setting = named if is_address(named) or named in config.dataset.sources else str(path_of(named).absolute())
        kept = {"label": label, "setting": None if "://" in named and label != named else setting}
        with atomic_write(Path(self.last_read)) as aside:
            aside.write_text(json.dumps(kept), encoding="utf-8")
