"""Fitted pipelines as skops files, found by the cache key of the fit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from marvel_assets.storage.references import FittedPipelineRef, ReferenceIOManager, TableVersion, not_materialised
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import file_lock

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted pipeline with what it was fitted on. The pipeline itself is loaded on first use.

    Attributes:
        cache_key: hash of everything that decides the fit: rows, features, parameters, code and library versions.
        rows: how many were fitted; ``sample`` is their share of the table.
        workers: processes of a distributed fit; 0 where there was only this one.
        parameters: what decided the fit besides rows and features, by name.
        threads: of each process that fitted it.
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

    @cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline."""
        import skops.io

        from marvel_assets.model.pipeline import TRUSTED_TYPES

        return skops.io.load(self.file, trusted=list(TRUSTED_TYPES))


_DESCRIPTIONS = TypeAdapter(FittedPipeline)


class PipelineCache(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Stores each fitted pipeline at ``<folder>/<cache_key>.skops``, with its description in a JSON file."""

    folder: str = Field(description="Folder of the fitted pipelines.")
    locks: str = Field(description="Folder of the lock files: of two concurrent runs with one key, only one fits.")

    def lock(self, cache_key: str) -> AbstractContextManager[None]:
        """Held while a pipeline is looked up and fitted: of two concurrent runs, the second finds the first's."""
        return file_lock(Path(self.locks), f"pipeline-{cache_key}")

    def find(self, cache_key: str) -> FittedPipeline | None:
        """The pipeline that was fitted with this cache key, or None."""
        file = self.file(cache_key)
        description = file.with_suffix(".json")
        if not (description.exists() and file.exists()):
            return None
        return replace(_DESCRIPTIONS.validate_json(description.read_bytes()), file=str(file))

    def store(self, pipeline: Pipeline, fitted: FittedPipeline) -> FittedPipeline:
        """Store a pipeline. Its description is written last: if it exists, the pipeline is complete."""
        import skops.io

        file = self.file(fitted.cache_key)
        stored = replace(fitted, file=str(file))
        with atomic_write(file) as unfinished:
            skops.io.dump(pipeline, unfinished)
        with atomic_write(file.with_suffix(".json")) as unfinished:
            unfinished.write_bytes(_DESCRIPTIONS.dump_json(stored, indent=2))
        return stored

    def file(self, cache_key: str) -> Path:
        """The skops file of the pipeline with this cache key."""
        return Path(self.folder, f"{cache_key}.skops")


class PipelineIOManager(ReferenceIOManager):
    """Passes the fitted pipeline between assets by its key in the cache."""

    cache: PipelineCache

    def handle_output(self, context: dg.OutputContext, obj: FittedPipeline) -> None:  # type: ignore[override]
        """Store the cache key of the pipeline that the asset returned."""
        self.store(context.asset_key, FittedPipelineRef(obj.cache_key))

    def load_input(self, context: dg.InputContext) -> FittedPipeline:  # type: ignore[override]
        """Find that pipeline in the cache."""
        cache_key = cast("FittedPipelineRef", super().load_input(context)).cache_key
        if fitted := self.cache.find(cache_key):
            return fitted
        raise not_materialised(context.asset_key, self.cache.file(cache_key))
