"""The built-in generator as a source, so that a first run needs no download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.datasets.marvel_kaggle import generator as synthetic
from marvel_assets.sources.files import InputFile, read_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


@dataclass(frozen=True)
class GeneratedSource:
    """Rows of the seeded generator, written to a Parquet file when they are asked for."""

    rows: int
    seed: int
    folder: Path
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The source's name in logs and metadata, with size and seed."""
        return f"generated ({self.rows:,} rows, seed {self.seed})"

    @property
    def digest(self) -> str:
        """Of size, seed and the generator's own source: together they decide every byte."""
        code = Path(synthetic.__file__).read_bytes()
        return "generated:" + hashlib.sha256(f"{self.rows},{self.seed},".encode() + code).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Generate the rows, and read them as those of any other file."""
        path = self.folder / "generated.parquet"
        synthetic.synthetic_characters(self.rows, self.seed).to_parquet(path, index=False)
        return read_files([InputFile(path, self.label)])
