"""Columns of Parquet of any type as text, in pieces that fit into memory."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING

from marvel_assets.sources.base import SourceError, check_columns
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedReader

    import pyarrow as pa
    from pyarrow.parquet import ColumnChunkMetaData

ROWS_PER_BATCH = 65_536
PIECE_BYTES = 64 << 20
"""How much text is unpacked at once; a row must fit into it, or is a piece of its own."""

PREFIXED_BYTES = 1 << 30
"""The same where a cell may be as long as its whole column: with DELTA_BYTE_ARRAY each may repeat the one before."""

MAX_RATIO = 100
"""How many times its size a file may hold: characters have names of their own, which pack ten to twenty times.

The rest is for what repeats; a file that holds more was made to fill a machine.
"""

MIN_BUDGET = 256 << 20
MAX_FIXED_WIDTH = 1 << 10
"""Bytes of a cell in a column of fixed width; decimals, which are such columns, need 32."""

BYTES_PER_CELL = 8
"""What a cell takes at least, so that rows of nothing count as well."""

DICTIONARY_ENCODINGS = frozenset({"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"})
"""The encodings that Arrow can read as dictionaries."""


class DecompressionBudget:
    """How much may still come out of a packed file or table."""

    def __init__(self, packed_bytes: int, label: str) -> None:
        self._label = label
        self._packed = packed_bytes
        self._left = self._allowed = max(MAX_RATIO * packed_bytes, MIN_BUDGET)

    def spend(self, unpacked_bytes: int) -> None:
        """Count what came out, or would at least.

        Raises:
            SourceError: it is too much.
        """
        self._left -= unpacked_bytes
        if self._left < 0:
            raise SourceError(
                f"{self._label}: holds more than {self._allowed / 1e6:,.0f} MB in {self._packed / 1e6:,.1f} MB, more "
                f"than {MAX_RATIO} times its size, as only a file does that was made to fill a machine. If it is "
                "genuine, save it as CSV."
            )


def parquet_batches(content: BufferedReader, columns: list[str], label: str) -> Iterator[pa.RecordBatch]:
    """These columns of a Parquet file as text.

    Raises:
        SourceError: the file is broken, lacks a column, has one that can't be text, or unpacks to too much.
    """
    import pyarrow as pa
    from pyarrow import parquet

    size = os.fstat(content.fileno()).st_size
    try:
        described = parquet.ParquetFile(content)
        check_columns(described.schema_arrow.names, columns, label)
        check_castable(described.schema_arrow, columns, label)
        metadata = described.metadata
        groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
        chunks = [chunk for group in groups for chunk in map(group.column, range(group.num_columns))]
        chunks = [chunk for chunk in chunks if chunk.path_in_schema in columns]
        declared = sum(chunk.total_uncompressed_size for chunk in chunks)
        DecompressionBudget(size, label).spend(max(declared, metadata.num_rows * len(columns) * BYTES_PER_CELL))
        # Cells that repeat are kept once, where Arrow can do so, until they are unpacked piece by piece.
        others = {chunk.path_in_schema for chunk in chunks if not DICTIONARY_ENCODINGS.issuperset(chunk.encodings)}
        repeating = [column for column in columns if column not in others]
        file = parquet.ParquetFile(content, metadata=metadata, read_dictionary=repeating)
        rows = max(min([ROWS_PER_BATCH, *map(_rows_at_once, chunks)]), 1)
        budget = DecompressionBudget(size, label)
        for batch in file.iter_batches(rows, columns=columns, use_threads=False):
            yield from cast_to_strings(batch, columns, label, budget)
    except (pa.ArrowException, OSError) as error:
        reason = escape_control(str(error))
        raise SourceError(f"{label}: the file begins as Parquet and can't be read as such: {reason}") from error


def check_castable(schema: pa.Schema, columns: Sequence[str], label: str) -> None:
    """Refuse columns of lists and the like before any of it is unpacked.

    Raises:
        SourceError: naming the column and its type.
    """
    import pyarrow as pa

    for column in columns:
        kind = schema.field(column).type
        is_wide = pa.types.is_fixed_size_binary(kind) and kind.byte_width > MAX_FIXED_WIDTH
        if pa.types.is_nested(kind) or is_wide:
            raise SourceError(
                f"{label}: column {column!r} can't be read as text: its cells are {escape_control(str(kind))[:80]}; "
                "expected texts, numbers, dates or times."
            )


def cast_to_strings(
    batch: pa.RecordBatch, columns: Sequence[str], label: str, budget: DecompressionBudget
) -> Iterator[pa.RecordBatch]:
    """The columns of those names as text, in as many pieces as it takes.

    Raises:
        SourceError: naming the column whose cells are no texts, numbers or times, or no UTF-8; or there is too much.
    """
    import pyarrow as pa

    size = sum(_text_bytes(batch.column(column)) for column in columns)
    if size > PIECE_BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from cast_to_strings(batch.slice(0, half), columns, label, budget)
        yield from cast_to_strings(batch.slice(half), columns, label, budget)
        return
    budget.spend(size)
    texts = {}
    for column in columns:
        try:
            texts[column] = _cast_to_string(batch.column(column))
            texts[column].validate(full=True)  # a file may claim in vain that its texts are UTF-8
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = escape_control(str(error))
            raise SourceError(f"{label}: column {column!r} can't be read as text: {reason}") from error
    yield pa.RecordBatch.from_pydict(texts)


def _rows_at_once(chunk: ColumnChunkMetaData) -> int:
    """How many rows of a column may be read at once, by what the file says of itself."""
    size = max(int(chunk.total_uncompressed_size), 1)
    if "DELTA_BYTE_ARRAY" in chunk.encodings:
        return PREFIXED_BYTES // size
    return PIECE_BYTES * int(chunk.num_values) // size


def _text_bytes(cells: pa.Array) -> int:
    """About how long the cells are as text, before anything that repeats is written out."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    kind, least = cells.type, len(cells) * BYTES_PER_CELL
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        lengths = compute.take(compute.binary_length(cells.dictionary), cells.indices)
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        # The first four bytes of a view are its length (Arrow's columnar format); a null's are anything.
        views = np.frombuffer(cells.buffers()[1], np.int32).reshape(-1, 4)[cells.offset : cells.offset + len(cells)]
        lengths = pa.array(views[:, 0]).filter(cells.is_valid())
    elif _is_text(kind):
        lengths = compute.binary_length(cells)
    else:
        return least + (len(cells) * kind.byte_width if pa.types.is_fixed_size_binary(kind) else 0)
    return least + int(compute.sum(compute.cast(lengths, pa.int64())).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return any(
        is_it(kind) for is_it in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


def _cast_to_string(cells: pa.Array) -> pa.StringArray:
    """Cells as a person would write them: numbers without an exponent, UUIDs by their digits."""
    import pyarrow as pa
    from pyarrow import compute

    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if isinstance(kind, pa.UuidType):
        return pa.array([cell and str(cell) for cell in cells.to_pylist()], pa.string())
    texts = compute.cast(cells, pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        has_exponent = compute.fill_null(compute.match_substring(texts, "e", ignore_case=True), fill_value=False)
        plain = [format(Decimal(text), "f") for text in texts.filter(has_exponent).to_pylist()]
        return compute.replace_with_mask(texts, has_exponent, pa.array(plain, pa.string()))
    return texts
