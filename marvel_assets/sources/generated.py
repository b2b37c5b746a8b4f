"""A data set's generator as a source, so that a first run needs no download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from marvel_assets.sources.base import SourceError, expected
from marvel_assets.sources.files import InputFile, read_files
from marvel_assets.utils.code_versions import code_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    import pyarrow as pa

    from marvel_assets.datasets.base import Dataset


@dataclass(frozen=True)
class GeneratedSource:
    """Rows of the seeded generator, written to a Parquet file when they are read.

    Raises:
        SourceError: on use, where the data set has no generator.
    """

    rows: int
    seed: int
    folder: Path
    dataset: Dataset
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The source's name in logs and metadata, with size and seed."""
        return f"generated ({self.rows:,} rows, seed {self.seed})"

    @property
    def digest(self) -> str:
        """Of size, seed and the code that the generator runs: together they decide every byte."""
        code = code_version(self._generator().__name__)
        return "generated:" + hashlib.sha256(f"{self.rows},{self.seed},{code}".encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Generate the rows, and read them like those of any other file."""
        path = self.folder / "generated.parquet"
        self._generator().generate(self.rows, self.seed).to_parquet(path, index=False)
        return read_files([InputFile(path, self.label)], self.dataset.source_columns)

    def _generator(self) -> ModuleType:
        module = f"{self.dataset.package}.generator"
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise SourceError(
                f"The data set {self.dataset.name} has no generator: set MARVEL_SOURCE to a file or URL with "
                f"{expected(self.dataset.source_columns)}."
            ) from error
