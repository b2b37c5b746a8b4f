"""Rows that would not fit are refused before they are read."""

from collections.abc import Callable

import pytest

from marvel_assets.storage.memory import BYTES_PER_CELL, available_bytes, check_fits_in_memory


def test_rows_that_do_not_fit_are_refused_with_the_share_that_would(allow_memory: Callable[..., None]):
    # given: half of what is needed is free
    allow_memory(1_000_000 * 10 * BYTES_PER_CELL // 2)

    # then
    with pytest.raises(MemoryError, match=r"c.s.t: 1,000,000 rows of 10 columns .* at most 0.45\)"):
        check_fits_in_memory("c.s.t", rows=1_000_000, columns=10)


@pytest.mark.parametrize(
    ("limit", "cached", "expected"),
    [("5000", 0, 2000), ("5000", 800, 2800), ("max", 0, None)],
    ids=["a limit", "used in part by the cache of files", "no limit"],
)
def test_a_container_that_allows_less_than_the_machine_has_counts(
    allow_memory: Callable[..., None], limit: str, cached: int, expected: int | None
):
    # given
    allow_memory(limit, used=3000, cached=cached)

    # then
    assert available_bytes() == expected if expected else available_bytes() > 10_000_000
