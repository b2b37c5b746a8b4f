"""Cells of any type as text, in pieces that fit into memory."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from marvel_assets.sources.errors import SourceError
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

PIECE_BYTES = 64 << 20
"""How much text is unpacked at once; a row must fit into it, or is a piece of its own."""

MOST_TIMES = 100
"""How many times its size a packed file may hold: characters have names of their own, which pack ten to twenty times.

The rest is room for what repeats; a file that holds more was made to fill a machine.
"""

ALWAYS_ALLOWED = 256 << 20

WIDEST_BINARY = 1 << 10
"""Bytes of a cell in a column of fixed width; decimals, which are such columns, need 32."""

BYTES_A_CELL = 8
"""What a cell takes at least, so that rows of nothing count as well."""


class Allowance:
    """How much may still come out of a packed file or table."""

    def __init__(self, packed_bytes: int, label: str) -> None:
        self._label = label
        self._packed = packed_bytes
        self._left = self._allowed = max(MOST_TIMES * packed_bytes, ALWAYS_ALLOWED)

    def check(self, unpacked_bytes: int) -> None:
        """Refuse what is too much at once, such as what a file says of itself.

        Raises:
            SourceError: it is too much.
        """
        if unpacked_bytes > self._left:
            raise SourceError(
                f"{self._label}: holds more than {self._allowed / 1e6:,.0f} MB in {self._packed / 1e6:,.1f} MB, more "
                f"than {MOST_TIMES} times its size, as only a file does that was made to fill a machine. If it is "
                "genuine, save it as CSV."
            )

    def take(self, unpacked_bytes: int) -> None:
        """Count what came out.

        Raises:
            SourceError: it is too much.
        """
        self.check(unpacked_bytes)
        self._left -= unpacked_bytes


def check_types(schema: pa.Schema, columns: Sequence[str], label: str) -> None:
    """Refuse columns of lists and the like before any of it is unpacked.

    Raises:
        SourceError: naming the column and its type.
    """
    import pyarrow as pa

    for column in columns:
        kind = schema.field(column).type
        is_wide = pa.types.is_fixed_size_binary(kind) and kind.byte_width > WIDEST_BINARY
        if pa.types.is_nested(kind) or is_wide:
            raise SourceError(
                f"{label}: column {column!r} can't be read as text: its cells are {escape_control(str(kind))[:80]}; "
                "expected texts, numbers, dates or times."
            )


def as_texts(
    batch: pa.RecordBatch, columns: Sequence[str], label: str, allowance: Allowance
) -> Iterator[pa.RecordBatch]:
    """The columns of those names as text.

    Raises:
        SourceError: naming the column whose cells are no texts, numbers or times, or no UTF-8; or there is too much.
    """
    import numpy as np

    sizes = sum((_text_bytes(batch.column(column)) for column in columns), np.zeros(batch.num_rows, np.int64))
    allowance.take(int(sizes.sum()))
    ends = np.cumsum(sizes)
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + PIECE_BYTES, side="right")), start + 1)
        yield _cast(batch.slice(start, end - start), columns, label)
        start = end


def _text_bytes(cells: pa.Array) -> npt.NDArray[np.int64]:
    """About how long each cell's text is."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    kind = cells.type
    if pa.types.is_dictionary(kind):
        words = _text_bytes(cells.dictionary)
        places = compute.fill_null(cells.indices, 0).to_numpy(zero_copy_only=False)
        return words.take(places) if len(words) else np.full(len(cells), BYTES_A_CELL, np.int64)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        # The first four bytes of a view are its length (Arrow's columnar format); a null's are anything.
        views = np.frombuffer(cells.buffers()[1], np.int32).reshape(-1, 4)[cells.offset : cells.offset + len(cells)]
        lengths = np.where(cells.is_valid().to_numpy(zero_copy_only=False), views[:, 0], 0)
        return np.asarray(lengths, np.int64) + BYTES_A_CELL
    if any(is_it(kind) for is_it in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary,
                                     pa.types.is_large_binary)):  # fmt: skip
        lengths = compute.fill_null(compute.binary_length(cells), 0).to_numpy(zero_copy_only=False)
        return np.asarray(lengths, np.int64) + BYTES_A_CELL
    width = kind.byte_width if pa.types.is_fixed_size_binary(kind) else 0
    return np.full(len(cells), BYTES_A_CELL + width, np.int64)


def _cast(batch: pa.RecordBatch, columns: Sequence[str], label: str) -> pa.RecordBatch:
    import pyarrow as pa

    texts = {}
    for column in columns:
        try:
            texts[column] = _text(batch.column(column))
            texts[column].validate(full=True)  # a file's word for its texts being UTF-8 is not enough
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(
                f"{label}: column {column!r} can't be read as text: {escape_control(str(error))}"
            ) from error
    return pa.RecordBatch.from_pydict(texts)


def _text(cells: pa.Array) -> pa.StringArray:
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
