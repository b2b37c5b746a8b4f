"""Rows of one table version, described so that any process can read them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import IDENTIFIER

if TYPE_CHECKING:
    import pyarrow as pa

HASHES = 2**32
PART_HASH = f"md5(concat('part', {IDENTIFIER}))"
SAMPLE_HASH = f"md5(concat('sample', {IDENTIFIER}))"  # salted: the plain hash of the ids decides the split


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
    columns: tuple[str, ...]
    condition: str = "TRUE"

    def parts(self, number: int) -> list[TableScan]:
        """Split into ``number`` scans: each row is in exactly one of them, decided by its id."""
        bounds = [*(f"{part * HASHES // number:08x}" for part in range(number)), "g"]  # "g" is above all digits
        ranges = [f"{PART_HASH} >= '{low}' AND {PART_HASH} < '{high}'" for low, high in itertools.pairwise(bounds)]
        return [replace(self, condition=f"{self.condition} AND {hashes}") for hashes in ranges]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in no particular order, batch by batch."""
        with named_when_unreadable(self.location, self.version):
            yield from self._reader()

    def read(self) -> pa.Table:
        """Read all rows of the scan into memory, ordered by the identifier."""
        import pyarrow as pa

        with named_when_unreadable(self.location, self.version):
            rows = self._reader().read_all()
            # delta-rs returns string views, which Arrow can't sort by yet.
            types = [pa.string() if each == pa.string_view() else each for each in rows.schema.types]
            return rows.cast(pa.schema(list(zip(rows.column_names, types, strict=True)))).sort_by(IDENTIFIER)

    def _reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa
        from deltalake import DeltaTable

        table = DeltaTable(self.location, version=self.version)
        return pa.RecordBatchReader.from_stream(table.scan(list(self.columns), predicate=self.condition))


def sampled(sample: float) -> str:
    """The condition that a row belongs to the sample, for DataFusion and Spark."""
    return "TRUE" if sample >= 1.0 else f"{SAMPLE_HASH} < '{int(sample * HASHES):08x}'"
