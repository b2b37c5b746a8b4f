"""Fitted pipelines as skops files, found by the cache key of the fit."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from marvel_assets.storage.io_managers import ReferenceIOManager, not_materialised
from marvel_assets.storage.references import FittedPipelineRef, TableVersion
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted pipeline with what it was fitted on. The pipeline itself is loaded on first use.

    Attributes:
        cache_key: hash of everything that decides the fit: rows, features, parameters, code and library versions.
        trained_on: the table version whose rows were fitted.
        rows_digest: hash of the fitted rows.
        rows: how many were fitted.
        sample: their share of the table.
        workers: processes of a distributed fit; 0 where there was only this one.
        parameters: what decided the fit besides rows and features, by name.
        seconds: duration of the fit.
        threads: of each process that fitted it.
        file: the skops file, once it is stored.
        sha256: of that file.
    """

    cache_key: str
    trained_on: TableVersion
    rows_digest: str
    rows: int
    sample: float
    workers: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    threads: int = 0
    file: str = ""
    sha256: str = ""

    @cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline.

        Raises:
            dagster.Failure: the file isn't the one that was written.
        """
        import skops.io

        from marvel_assets.model.pipeline import TRUSTED_TYPES

        content = Path(self.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise dg.Failure(
                f"{self.file} has changed since it was written; delete it and materialise fitted_pipeline again.",
                allow_retries=False,
            )
        return skops.io.loads(content, trusted=list(TRUSTED_TYPES))


class PipelineCache(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Stores each fitted pipeline at ``<folder>/<cache_key>.skops``, with its description in a JSON file."""

    folder: str = Field(description="Folder of the fitted pipelines.")
    locks: str = Field(description="Folder of the lock files: of two concurrent runs with one key, only one fits.")

    def lock(self, cache_key: str) -> AbstractContextManager[None]:
        """Held while a pipeline is looked up and fitted: of two concurrent runs, the second finds the first's."""
        return exclusive(Path(self.locks), f"pipeline-{cache_key}")

    def find(self, cache_key: str) -> FittedPipeline | None:
        """The pipeline that was fitted with this cache key, or None."""
        description = Path(self.folder, f"{cache_key}.json")
        file = description.with_suffix(".skops")
        if not (description.exists() and file.exists()):
            return None
        content = json.loads(description.read_text(encoding="utf-8"))
        trained_on = TableVersion(**content.pop("trained_on"))
        return FittedPipeline(**content, trained_on=trained_on, file=str(file))

    def keep(self, pipeline: Pipeline, fitted: FittedPipeline) -> FittedPipeline:
        """Store a pipeline. Its description is written last: if it exists, the pipeline is complete."""
        import skops.io

        content = skops.io.dumps(pipeline)
        file = Path(self.folder, f"{fitted.cache_key}.skops")
        with atomic_write(file) as aside:
            aside.write_bytes(content)
        kept = replace(fitted, file=str(file), sha256=hashlib.sha256(content).hexdigest())
        description = asdict(kept)
        del description["file"]
        with atomic_write(file.with_suffix(".json")) as aside:
            aside.write_text(json.dumps(description, indent=2), encoding="utf-8")
        return kept


class PipelineIOManager(ReferenceIOManager):
    """Passes the fitted pipeline between assets by its key in the cache."""

    cache: PipelineCache

    def handle_output(self, context: dg.OutputContext, obj: FittedPipeline) -> None:  # type: ignore[override]
        """Store the cache key of the pipeline that the asset returned."""
        self.store(context.asset_key, FittedPipelineRef(obj.cache_key))

    def load_input(self, context: dg.InputContext) -> FittedPipeline:  # type: ignore[override]
        """Find that pipeline in the cache.

        Raises:
            dagster.Failure: the asset has not been materialised, or its pipeline is gone.
        """
        reference = super().load_input(context)
        found = self.cache.find(reference.cache_key) if isinstance(reference, FittedPipelineRef) else None
        if found is None:
            raise not_materialised(context.asset_key, Path(self.cache.folder, f"{reference.data_version}.skops"))
        return found
