"""A Delta table as a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marvel_assets.sources.base import SourceError, cast_to_strings, check_columns, number_rows
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from deltalake import DeltaTable

    from marvel_assets.datasets.base import Dataset


@dataclass(frozen=True)
class DeltaSource:
    """The version of a Delta table that was its newest when it was opened. Sorting its rows may take scratch space."""

    label: str
    table: DeltaTable
    scratch: Path
    dataset: Dataset

    @classmethod
    def newest(cls, label: str, path: Path, scratch: Path, dataset: Dataset) -> DeltaSource:
        """The newest version now."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            table = DeltaTable(path)
        except (DeltaError, OSError) as error:
            raise SourceError(f"{label}: the Delta table can't be opened: {error}") from error
        return cls(f"{label}@v{table.version()}", table, scratch, dataset)

    @property
    def digest(self) -> str:
        """Of the table's identity and the version."""
        return f"delta:{self.table.metadata().id}@{self.table.version()}"

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The version's rows, sorted by their texts.

        A Delta table keeps no order, and delta-rs returns the rows in a different one each time. Since the first row
        of an id counts, equal versions must be numbered equally.
        """
        import duckdb
        import pyarrow as pa

        columns = self.dataset.source_columns
        # Sorting takes this much memory before it spills to the scratch folder.
        with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(self.scratch)}) as connection:
            connection.from_arrow(pa.table(dict.fromkeys(columns, pa.array([], pa.string())))).create("delivered")
            for batch in self._texts():
                connection.from_arrow(pa.Table.from_batches([batch])).insert_into("delivered")
            ordered = connection.sql("FROM delivered ORDER BY ALL").to_arrow_reader(50_000)
            yield from number_rows(ordered, columns, self.label)

    def _texts(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from deltalake.exceptions import DeltaError

        try:
            found = [field.name for field in self.table.schema().fields]
            # As delivered, or as stored where Delta allowed no blanks.
            names = [self.dataset.delivered_names.get(name, name) for name in found]
            check_columns(names, self.dataset.source_columns, self.label)
            columns = [found[names.index(column)] for column in self.dataset.source_columns]
            for batch in pa.RecordBatchReader.from_stream(self.table.scan(columns=columns)):
                yield cast_to_strings(batch, columns, self.label)
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise SourceError(f"{self.label}: the Delta table can't be read: {escape_control(str(error))}") from error
