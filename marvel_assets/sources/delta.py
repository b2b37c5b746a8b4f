"""A Delta table as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.sources.base import Source, SourceError, cast_to_strings, check_columns
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    import pyarrow as pa


class DeltaSource(Source):
    """The version of a Delta table that was its newest when it was opened. Sorting its rows may take scratch space."""

    def __init__(self, label: str, path: Path, columns: Mapping[str, str], scratch: Path) -> None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            self.table = DeltaTable(path)
        except (DeltaError, OSError) as error:
            raise SourceError(f"{label}: the Delta table can't be opened: {error}") from error
        self.label = f"{label}@v{self.table.version()}"
        self.columns = columns
        self.scratch = scratch

    @property
    def digest(self) -> str:
        """Of the table's identity and the version."""
        return f"delta:{self.table.metadata().id}@{self.table.version()}"

    def texts(self) -> Iterator[pa.RecordBatch]:
        """The version's rows, sorted by their texts.

        A Delta table keeps no order, and delta-rs returns the rows in a different one each time. Since the first row
        of an id counts, equal versions must be numbered equally.
        """
        import duckdb
        import pyarrow as pa

        # Sorting takes this much memory before it spills to the scratch folder.
        with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(self.scratch)}) as connection:
            connection.from_arrow(pa.table(dict.fromkeys(self.columns, pa.array([], pa.string())))).create("delivered")
            for batch in self._unsorted():
                connection.from_arrow(pa.Table.from_batches([batch])).insert_into("delivered")
            yield from connection.sql("FROM delivered ORDER BY ALL").to_arrow_reader(50_000)

    def _unsorted(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from deltalake.exceptions import DeltaError

        try:
            # As delivered, or as stored where Delta allowed no blanks.
            delivered = dict(zip(self.columns.values(), self.columns, strict=True))
            found = {delivered.get(field.name, field.name): field.name for field in self.table.schema().fields}
            check_columns(list(found), self.columns, self.label)
            columns = [found[column] for column in self.columns]
            for batch in pa.RecordBatchReader.from_stream(self.table.scan(columns=columns)):
                yield cast_to_strings(batch, columns, self.label)
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise SourceError(f"{self.label}: the Delta table can't be read: {escape_control(str(error))}") from error
