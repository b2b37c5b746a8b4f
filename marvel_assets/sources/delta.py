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

    from marvel_assets.datasets.base import Dataset


@dataclass(frozen=True)
class DeltaSource:
    """One version of a Delta table; later ones are ignored. Its digest is of the table's identity and the version."""

    label: str
    digest: str
    path: Path
    version: int
    scratch: Path
    dataset: Dataset
    notes: tuple[str, ...] = ()

    @classmethod
    def newest(cls, setting: str, path: Path, scratch: Path, dataset: Dataset) -> DeltaSource:
        """The newest version now."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            table = DeltaTable(path)
            digest, version = f"delta:{table.metadata().id}@{table.version()}", table.version()
        except (DeltaError, OSError) as error:
            raise SourceError(f"{setting}: the Delta table can't be opened: {error}") from error
        return cls(f"{setting}@v{version}", digest, path, version, scratch, dataset)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The version's rows, sorted by their texts.

        A Delta table keeps no order, and delta-rs returns the rows in a different one each time. Since the first row
        of an id counts, equal versions must be numbered equally.
        """
        import duckdb

        # Sorting takes this much memory before it spills to the scratch folder.
        with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(self.scratch)}) as sorting:
            create, rows = "CREATE TABLE delivered AS", 0
            for batch in self._texts():
                sorting.register("batch", batch)
                sorting.execute(f"{create} SELECT * FROM batch")  # noqa: S608
                create, rows = "INSERT INTO delivered", rows + batch.num_rows
            if rows == 0:
                raise SourceError(f"{self.label}: the table has columns and no rows.")
            ordered = sorting.sql("SELECT * FROM delivered ORDER BY ALL").to_arrow_reader(50_000)
            yield from number_rows(ordered, self.dataset.source_columns)

    def _texts(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            table = DeltaTable(self.path, version=self.version)
            found = [field.name for field in table.schema().fields]
            # As delivered, or as stored where Delta allowed no blanks.
            names = [self.dataset.delivered_names.get(name, name) for name in found]
            check_columns(names, self.dataset.source_columns, self.label)
            columns = [found[names.index(column)] for column in self.dataset.source_columns]
            for batch in pa.RecordBatchReader.from_stream(table.scan(columns=columns)):
                yield cast_to_strings(batch, columns, self.label)
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise SourceError(f"{self.label}: the Delta table can't be read: {escape_control(str(error))}") from error
