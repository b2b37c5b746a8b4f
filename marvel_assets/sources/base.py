"""The protocol of sources, the check of their columns, and their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from marvel_assets.datasets.base import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa


class SourceError(ValueError):
    """The source can't be read; the text names the source, the column if there is one, and what to do."""


class NoRowsError(SourceError):
    """A file can be read, and holds no rows."""


class Source(Protocol):
    """Raw characters, wherever they come from."""

    @property
    def label(self) -> str:
        """Its name for people: a path, a URL, a data set's name."""

    @property
    def digest(self) -> str:
        """Equal digests mean equal rows, so that an unchanged source need not be read."""

    @property
    def notes(self) -> Sequence[str]:
        """Warnings for the log, such as a file that is left out."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as text, numbered by ``source_row``, as ``read_files`` describes them."""


def check_columns(found: list[str], columns: Iterable[str], label: str) -> None:
    """Check that each column of the data set is there once.

    Raises:
        SourceError: naming the columns that are missing or repeated.
    """
    missing = [column for column in columns if column not in found]
    if missing:
        raise SourceError(
            f"{label}: {_named(missing)} missing; expected {expected(columns)}; "
            f"found {', '.join(repr(name[:40]) for name in found[:20]) or 'none'}."
        )
    repeated = [column for column in columns if found.count(column) > 1]
    if repeated:
        raise SourceError(f"{label}: {_named(repeated)} there more than once; keep one.")


def expected(columns: Iterable[str]) -> str:
    """The columns, as errors list them."""
    return "the columns " + (", ".join(columns) or "with their names")


def number_rows(batches: Iterable[pa.RecordBatch], columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Put ``source_row`` before the columns, which come in the data set's order, and name them as they are stored."""
    import pyarrow as pa

    rows = 0
    for batch in batches:
        numbers = pa.array(range(rows + 1, rows + 1 + batch.num_rows), pa.int64())
        rows += batch.num_rows
        yield pa.RecordBatch.from_arrays([numbers, *batch.columns], names=[SOURCE_ROW, *columns.values()])


def _named(columns: list[str]) -> str:
    names = ", ".join(repr(column) for column in columns)
    return f"column {names} is" if len(columns) == 1 else f"columns {names} are"
