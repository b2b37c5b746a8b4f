"""Parquet columns of any type as text."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from marvel_assets.sources.base import SourceError, check_columns
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedReader

    import pyarrow as pa

ROWS_PER_BATCH = 65_536


def parquet_names(content: BufferedReader, label: str) -> list[str]:
    """The names of a Parquet file's columns.

    Raises:
        SourceError: the file is broken.
    """
    from pyarrow import parquet

    with _plain_errors(label):
        return list(parquet.ParquetFile(content).schema_arrow.names)


def parquet_batches(content: BufferedReader, columns: list[str], label: str) -> Iterator[pa.RecordBatch]:
    """These columns of a Parquet file as text.

    Raises:
        SourceError: the file is broken, lacks a column, or has one that can't be text.
    """
    from pyarrow import parquet

    with _plain_errors(label):
        file = parquet.ParquetFile(content)
        check_columns(file.schema_arrow.names, columns, label)
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=columns, use_threads=False):
            yield cast_to_strings(batch, columns, label)


@contextmanager
def _plain_errors(label: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = escape_control(str(error))
        raise SourceError(f"{label}: the file begins as Parquet and can't be read as such: {reason}") from error


def cast_to_strings(batch: pa.RecordBatch, columns: Sequence[str], label: str) -> pa.RecordBatch:
    """The columns of those names as text.

    Raises:
        SourceError: naming the column whose cells are not text, numbers or times, or not UTF-8.
    """
    import pyarrow as pa

    texts = {}
    for column in columns:
        try:
            texts[column] = _cast_to_string(batch.column(column))
            texts[column].validate(full=True)  # writers may mark as UTF-8 what is not
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = escape_control(str(error))
            raise SourceError(f"{label}: column {column!r} can't be read as text: {reason}") from error
    return pa.RecordBatch.from_pydict(texts)


def _cast_to_string(cells: pa.Array) -> pa.StringArray:
    """Cells as a person would write them: numbers without an exponent."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(cells, pa.string())
    if pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type):
        has_exponent = compute.fill_null(compute.match_substring(texts, "e", ignore_case=True), fill_value=False)
        plain = [format(Decimal(text), "f") for text in texts.filter(has_exponent).to_pylist()]
        return compute.replace_with_mask(texts, has_exponent, pa.array(plain, pa.string()))
    return texts
