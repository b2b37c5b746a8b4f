"""Rows of one table version, described so that any process can read them."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from deltalake import DeltaTable

HASHES = 2**32
EXCERPT = 1000
PART_HASH = f"md5(concat('part', {IDENTIFIER}))"
"""The ids are hashed anew: their plain hash has chosen between train and test, another the sample."""


class TableNotFoundError(LookupError):
    """There is no such table or version, or its rows can't be read; the text names it and the reason."""


@contextmanager
def named_when_unreadable(location: Path | str, version: int, *errors: type[Exception]) -> Iterator[None]:
    """Raise TableNotFoundError in place of what delta-rs, Arrow and the system raise, and of further errors."""
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, pa.ArrowException, *errors) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise TableNotFoundError(
            f"{location} has no readable version {version}: {reason}. VACUUM removes the files of earlier versions, "
            "and another machine may not see that folder. Materialise the table again."
        ) from error


@dataclass(frozen=True)
class TableScan:
    """Rows of a Delta table in a folder. It reads nothing until it is asked to, in whatever process that is.

    Attributes:
        location: the table's folder.
        version: of the table.
        columns: those to read; ``Id`` is one of them. None for all.
        condition: what holds of the rows, in SQL; None for all rows.
    """

    location: Path
    version: int
    columns: tuple[str, ...] | None = None
    condition: str | None = None

    def parts(self, number: int) -> list[TableScan]:
        """As many scans that share the rows: each row is in exactly one of them, decided by its id."""
        bounds = [f"{part * HASHES // number:08x}" for part in range(1, number)]
        return [
            replace(
                self,
                condition=all_of(self.condition, low and f"{PART_HASH} >= '{low}'", high and f"{PART_HASH} < '{high}'"),
            )
            for low, high in itertools.pairwise([None, *bounds, None])
        ]

    def count(self) -> int:
        """How many rows there are; without a condition the table's log says so."""
        if self.condition is None:
            with named_when_unreadable(self.location, self.version):
                return int(self._table().count())
        return sum(batch.num_rows for batch in replace(self, columns=(IDENTIFIER,)).batches())

    def schema(self) -> pa.Schema:
        """The table's columns, those that are not asked for as well."""
        import pyarrow as pa

        return pa.schema(self._table().schema().to_arrow())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in no particular order, a few at a time.

        Raises:
            TableNotFoundError: naming the folder and the version.
        """
        import pyarrow as pa

        with named_when_unreadable(self.location, self.version):
            columns = None if self.columns is None else list(self.columns)
            yield from pa.RecordBatchReader.from_stream(self._table().scan(columns, predicate=self.condition))

    def excerpt(self) -> pa.Table:
        """A few rows, whichever come first."""
        first = next(self.batches(), None)
        return self._sorted([] if first is None else [first.slice(length=EXCERPT)])

    def read(self) -> pa.Table:
        """Read all rows of the scan into memory, ordered by the identifier."""
        return self._sorted(list(self.batches()))

    def _sorted(self, batches: list[pa.RecordBatch]) -> pa.Table:
        import pyarrow as pa

        rows = pa.Table.from_batches(batches, batches[0].schema if batches else self.schema())
        rows = rows if self.columns is None else rows.select(list(self.columns))
        # delta-rs hands out string views, which Arrow can't sort by yet.
        plain = [
            field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field for field in rows.schema
        ]
        return rows.cast(pa.schema(plain)).sort_by(IDENTIFIER)

    def _table(self) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self.location, version=self.version)


def sampled(sample: float) -> str:
    """The condition that a row belongs to the sample, for DuckDB, DataFusion and Spark.

    The ids are hashed anew for it: their plain hash has chosen the split already.
    """
    return f"md5(concat('sample', {IDENTIFIER})) < '{min(int(sample * HASHES), HASHES - 1):08x}'"


def all_of(*conditions: str | None) -> str | None:
    """The condition that all of some conditions hold, where there are any."""
    return " AND ".join(condition for condition in conditions if condition) or None
