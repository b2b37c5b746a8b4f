"""A Delta table as a source, at the version that it had when it was looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marvel_assets.sources.errors import SourceError
from marvel_assets.survival.schema import SOURCE_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from deltalake import DeltaTable

LOG = "_delta_log"


@dataclass(frozen=True)
class DeltaSource:
    """One version of a Delta table; its columns have the delivered names, or those that ``raw_characters`` has."""

    path: Path
    version: int
    table_id: str
    scratch: Path

    @classmethod
    def newest(cls, path: Path, scratch: Path) -> DeltaSource:
        """The table's newest version.

        Raises:
            SourceError: the log can't be read.
        """
        table = open_table(path)
        return cls(path, int(table.version()), str(table.metadata().id), scratch)

    @property
    def label(self) -> str:
        """Path and version."""
        return f"{self.path}@v{self.version}"

    @property
    def digest(self) -> str:
        """A table's version never changes."""
        return f"delta:{self.table_id}@{self.version}"

    def files(self) -> list[Path]:
        """The rows as a Parquet file in the scratch folder, under the delivered names."""
        import pyarrow as pa
        from pyarrow import parquet

        delivered = {stored: name for name, stored in SOURCE_COLUMNS.items()}
        rows = pa.RecordBatchReader.from_stream(open_table(self.path, self.version).scan())
        fields = [
            field.with_name(delivered.get(field.name, field.name)).with_type(
                pa.string() if pa.types.is_string_view(field.type) else field.type
            )
            for field in rows.schema
        ]
        schema = pa.schema(fields)
        file = self.scratch / "delta.parquet"
        with parquet.ParquetWriter(file, schema) as writer:
            for batch in rows:
                columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        return [file]


def open_table(path: Path, version: int | None = None) -> DeltaTable:
    """The Delta table in a folder.

    Raises:
        SourceError: its log can't be read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(path, version=version)
    except (DeltaError, OSError) as error:
        raise SourceError(f"{path}: the folder has a {LOG} and can't be read as a Delta table: {error}") from error
