"""Rows in the order of a column, without sorting what is in order already but for its pieces."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

MOST_PIECES = 1_000
"""Rows in more pieces are sorted: looking at each piece would cost as much."""


def ordered_by(rows: pa.Table, column: str) -> pa.Table:
    """The rows in the order of a text column, by code point.

    Tables are written in this order, but delta-rs commits the pieces that it writes side by side in any. A few sorted
    runs are merged, in slices that copy nothing; else all rows are sorted.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    if len(rows) == 0:
        return rows
    texts = rows.column(column).combine_chunks()
    falls = ~compute.less_equal(texts[:-1], texts[1:]).to_numpy(zero_copy_only=False)
    runs = list(pairwise([0, *(np.flatnonzero(falls) + 1).tolist(), len(rows)]))
    if len(runs) <= MOST_PIECES:
        slices = []
        for begin, end in _merged(texts, runs):
            slices.append(rows.slice(begin, end - begin))
            if len(slices) > MOST_PIECES:
                break
        else:
            return pa.concat_tables(slices)
    return rows.sort_by(column)


def _merged(texts: pa.Array, runs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where the slices of sorted runs begin and end, in the order of their texts: each as long as can be."""
    heads = [(texts[begin].as_py(), begin, end) for begin, end in runs]
    heapq.heapify(heads)
    while heads:
        _, begin, end = heapq.heappop(heads)
        cut = end
        if heads:
            cut = bisect_right(range(end), heads[0][0], lo=begin, key=lambda place: texts[place].as_py())
        yield begin, cut
        if cut < end:
            heapq.heappush(heads, (texts[cut].as_py(), cut, end))
