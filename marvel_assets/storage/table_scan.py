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
PART_HASH = f"md5(concat('part', {IDENTIFIER}))"
"""Salted: the plain hash of the ids decides the split, and another salt the sample."""


class TableNotFoundError(LookupError):
    """There is no such table or version, or its rows can't be read; the text names it and the reason."""


@contextmanager
def named_when_unreadable(location: Path | str, version: int, *errors: type[Exception]) -> Iterator[None]:
    """Raise TableNotFoundError instead of the errors of delta-rs, Arrow and the system, and of those in ``errors``."""
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
    """Rows of a Delta table in a folder, read lazily and in any process. The condition is SQL; ``Id`` is a column."""

    location: Path
    version: int
    columns: tuple[str, ...] | None = None
    condition: str | None = None

    def parts(self, number: int) -> list[TableScan]:
        """Split into ``number`` scans: each row is in exactly one of them, decided by its id."""
        bounds = [*(f"{part * HASHES // number:08x}" for part in range(number)), "g"]  # "g" is above all digits
        ranges = [f"{PART_HASH} >= '{low}' AND {PART_HASH} < '{high}'" for low, high in itertools.pairwise(bounds)]
        return [replace(self, condition=all_of(self.condition, hashes)) for hashes in ranges]

    def count(self) -> int:
        """How many rows there are; without a condition, from the table's log."""
        if self.condition is None:
            with named_when_unreadable(self.location, self.version):
                return int(self._table().count())
        return sum(batch.num_rows for batch in replace(self, columns=(IDENTIFIER,)).batches())

    def schema(self) -> pa.Schema:
        """The schema of the whole table."""
        import pyarrow as pa

        return pa.schema(self._table().schema().to_arrow())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in no particular order, batch by batch.

        Raises:
            TableNotFoundError: naming the folder and the version.
        """
        with named_when_unreadable(self.location, self.version):
            yield from self._reader()

    def head(self, rows: int) -> pa.Table:
        """A few rows, of the first batch."""
        import pyarrow as pa

        with named_when_unreadable(self.location, self.version):
            reader = self._reader()
            return self._prepared(pa.Table.from_batches(itertools.islice(reader, 1), reader.schema)).slice(0, rows)

    def read(self) -> pa.Table:
        """Read all rows of the scan into memory, ordered by the identifier."""
        with named_when_unreadable(self.location, self.version):
            return self._prepared(self._reader().read_all()).sort_by(IDENTIFIER)

    def _reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        columns = None if self.columns is None else list(self.columns)
        return pa.RecordBatchReader.from_stream(self._table().scan(columns, predicate=self.condition))

    def _prepared(self, rows: pa.Table) -> pa.Table:
        """The columns in order, and plain strings: delta-rs returns string views, which Arrow can't sort by yet."""
        import pyarrow as pa

        rows = rows if self.columns is None else rows.select(list(self.columns))
        types = [pa.string() if each.type == pa.string_view() else each.type for each in rows.schema]
        return rows.cast(pa.schema(list(zip(rows.column_names, types, strict=True))))

    def _table(self) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self.location, version=self.version)


def sampled(sample: float) -> str | None:
    """The condition that a row belongs to the sample, for DataFusion and Spark; None if all rows do.

    The hash is salted: the plain hash of the ids decides the split.
    """
    if sample >= 1.0:
        return None
    return f"md5(concat('sample', {IDENTIFIER})) < '{int(sample * HASHES):08x}'"


def all_of(*conditions: str | None) -> str | None:
    """The conjunction of the conditions that are given, or None."""
    return " AND ".join(condition for condition in conditions if condition) or None
