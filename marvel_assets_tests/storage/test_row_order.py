"""Rows in order, however their pieces were shuffled."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marvel_assets.storage.row_order import MOST_PIECES, ordered_by

sorted_runs = st.lists(st.lists(st.text(max_size=3)).map(sorted), max_size=5)


def table(ids: list[str]) -> pa.Table:
    return pa.table({"Id": pa.array(ids, pa.string()), "place": pa.array(range(len(ids)), pa.int64())})


@given(runs=sorted_runs)
def test_sorted_runs_are_merged_and_each_row_stays_whole(runs: list[list[str]]):
    # given
    ids = [text for run in runs for text in run]

    # when
    ordered = ordered_by(table(ids), "Id")

    # then
    assert ordered["Id"].to_pylist() == sorted(ids)
    assert [ids[place] for place in ordered["place"].to_pylist()] == sorted(ids)
    assert sorted(ordered["place"].to_pylist()) == list(range(len(ids)))


@pytest.mark.parametrize("interleaved", [2, 3])
def test_runs_that_are_interleaved_row_by_row_are_sorted(interleaved: int):
    # given: two or three sorted runs, of which no two neighbours in the order stand in one run
    ids = [f"{number:06d}" for number in range(4 * MOST_PIECES)]
    runs = [text for first in range(interleaved) for text in ids[first::interleaved]]

    # then
    assert ordered_by(table(runs), "Id")["Id"].to_pylist() == ids


def test_rows_in_the_opposite_order_are_sorted():
    # given
    ids = [f"{number:06d}" for number in range(2 * MOST_PIECES)]

    # then
    assert ordered_by(table(ids[::-1]), "Id")["Id"].to_pylist() == ids


def test_rows_in_order_are_not_copied():
    # given
    rows = table([f"{number:06d}" for number in range(100)])

    # when
    ordered = ordered_by(rows, "Id")

    # then
    assert ordered["place"].chunk(0).buffers()[1].address == rows["place"].chunk(0).buffers()[1].address
