"""Rows of one table version, described so that any process can read them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

HASHES = 2**32
EXCERPT = 1000
PART_HASH = f"md5(concat('part', {IDENTIFIER}))"
"""The ids are hashed anew: their plain hash has chosen between train and test, another the sample."""


class UnreadableTableError(LookupError):
    """A table, or the version of it that is asked for, can't be read."""


@dataclass(frozen=True)
class TableScan:
    """Rows of a Delta table in a folder. It reads nothing until it is asked to, in whatever process that is.

    Attributes:
        location: the table's folder.
        version: of the table.
        columns: those to read; ``Id`` is one of them.
        condition: what holds of the rows, in SQL; None for all rows.
    """

    location: Path
    version: int
    columns: tuple[str, ...]
    condition: str | None = None

    def parts(self, number: int) -> list[TableScan]:
        """As many scans that share the rows: each row is in exactly one of them, decided by its id."""
        bounds = [f"{part * HASHES // number:08x}" for part in range(1, number)]
        return [
            replace(
                self,
                condition=all_of(
                    self.condition,
                    low and f"{PART_HASH} >= '{low}'",
                    high and f"{PART_HASH} < '{high}'",
                ),
            )
            for low, high in itertools.pairwise([None, *bounds, None])
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in no particular order, a few at a time.

        Raises:
            UnreadableTableError: naming the folder and the version.
        """
        import pyarrow as pa
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            table = DeltaTable(self.location, version=self.version)
            yield from pa.RecordBatchReader.from_stream(table.scan(list(self.columns), predicate=self.condition))
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise UnreadableTableError(
                f"{self.location} has no version {self.version} that can be read here: {error}. Materialise the table "
                "again; where the reader is another machine, let it see the same folder."
            ) from error

    def excerpt(self) -> pa.Table:
        """A few rows, whichever come first."""
        import pyarrow as pa

        for batch in self.batches():
            return with_plain_texts(pa.Table.from_batches([batch])).slice(length=EXCERPT)
        return self._empty()

    def read(self) -> pa.Table:
        """Read all rows of the scan into memory, ordered by the identifier."""
        import pyarrow as pa

        batches = list(self.batches())
        table = pa.Table.from_batches(batches) if batches else self._empty()
        return with_plain_texts(table).sort_by(IDENTIFIER)

    def _empty(self) -> pa.Table:
        import pyarrow as pa
        from deltalake import DeltaTable

        schema = pa.schema(DeltaTable(self.location, version=self.version).schema().to_arrow())
        return schema.empty_table().select(list(self.columns))


def sampled(sample: float) -> str:
    """The condition that a row belongs to the sample, for DuckDB, DataFusion and Spark.

    The ids are hashed anew for it: their plain hash has chosen the split already.
    """
    return f"md5(concat('sample', {IDENTIFIER})) < '{min(int(sample * HASHES), HASHES - 1):08x}'"


def with_plain_texts(rows: pa.Table) -> pa.Table:
    """delta-rs hands out string views, which Arrow can't sort by yet."""
    import pyarrow as pa

    fields = [field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field for field in rows.schema]
    return rows.cast(pa.schema(fields))


def all_of(*conditions: str | None) -> str | None:
    """The condition that all of some conditions hold, where there are any."""
    return " AND ".join(condition for condition in conditions if condition) or None
