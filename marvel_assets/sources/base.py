"""The base class of sources, their error, and what they all do with their columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import SOURCE_ROW
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    import pyarrow as pa


class SourceError(ValueError):
    """The source can't be read; the text names the source, the column if there is one, and what to do."""


class Source(ABC):
    """Raw characters, wherever they come from."""

    label: str  # its name for people: a path, a URL, a data set's name
    columns: Mapping[str, str]  # as delivered, in order, with the names that they are stored under

    @property
    @abstractmethod
    def digest(self) -> str:
        """Equal digests mean equal rows, so that an unchanged source need not be read."""

    @abstractmethod
    def texts(self) -> Iterator[pa.RecordBatch]:
        """The columns as text, in their order. Cells are as delivered; other columns are left out."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as text, numbered by ``source_row`` from 1, under the columns' stored names."""
        import pyarrow as pa

        rows = 0
        for batch in self.texts():
            numbers = pa.array(range(rows + 1, rows + 1 + batch.num_rows), pa.int64())
            rows += batch.num_rows
            yield pa.RecordBatch.from_arrays([numbers, *batch.columns], names=[SOURCE_ROW, *self.columns.values()])
        if rows == 0:
            raise SourceError(f"{self.label}: there are no rows.")


def check_columns(found: list[str], columns: Iterable[str], label: str) -> None:
    """Raise a SourceError that names the columns of the data set that are missing, or there more than once."""
    if missing := [column for column in columns if column not in found]:
        raise SourceError(
            f"{label}: there is no column {' or '.join(map(repr, missing))}; expected the columns "
            f"{', '.join(columns)}; found {', '.join(repr(name[:40]) for name in found[:20]) or 'none'}."
        )
    if repeated := [column for column in columns if found.count(column) > 1]:
        raise SourceError(f"{label}: there is more than one column {' or '.join(map(repr, repeated))}; keep one.")


def cast_to_strings(batch: pa.RecordBatch, columns: Iterable[str], label: str) -> pa.RecordBatch:
    """The columns of those names as text; a SourceError names one that isn't text, numbers or times, or not UTF-8."""
    import pyarrow as pa
    from pyarrow import compute

    texts = {}
    for column in columns:
        cells = batch.column(column)
        try:
            text = cells.cast(pa.string())
            text.validate(full=True)  # writers may mark as UTF-8 what is not
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = escape_control(str(error))
            raise SourceError(f"{label}: column {column!r} can't be read as text: {reason}") from error
        if pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type):
            # Without an exponent, an id is the same text as an integer and as a float.
            has_exponent = compute.fill_null(compute.match_substring(text, "e", ignore_case=True), fill_value=False)
            plain = [format(Decimal(number), "f") for number in text.filter(has_exponent).to_pylist()]
            text = compute.replace_with_mask(text, has_exponent, pa.array(plain, pa.string()))
        texts[column] = text
    return pa.RecordBatch.from_pydict(texts)
