"""Rows as they are fitted, and their identity."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.training.dataset import rows_digest, sum_of_rows, to_frame
from marvel_assets_tests.commands import python, succeeded

TABLE = pa.table(
    {
        "Id": ["a", "b"],
        "Height": pa.array([1.8, None], pa.float64()),
        "Universe": ["Earth-616", "Other"],
        "Teams": pa.array([1, 0], pa.int32()),
        "Alive": pa.array([1, 0], pa.int32()),
    }
)
TARGET = "Alive"
FEATURES = ["Height", "Universe", "Teams"]


def frame_of(table: pa.Table = TABLE) -> pd.DataFrame:
    return to_frame(table, FEATURES, TARGET)


def digest_of(*frames: pd.DataFrame) -> str:
    return rows_digest(map(sum_of_rows, frames))


def test_measures_are_floats_flags_integers_and_all_else_text():
    # given: a number that is missing everywhere is still a float
    table = TABLE.set_column(1, "Height", pa.nulls(2, pa.float64()))

    # then
    for frame in (frame_of(), frame_of(table)):
        assert [*frame.dtypes.astype(str).items()] == [
            ("Height", "float64"), ("Universe", "object"), ("Teams", "int32"), ("Alive", "int32"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.assign(Teams=np.array([1, 1], np.int32)),
        lambda frame: frame.rename(columns={"Universe": "Universes"}),
        lambda frame: frame.astype({"Teams": "int64"}),
        lambda frame: frame.head(1),
        lambda frame: frame[["Universe", "Height", "Teams", "Alive"]],
        lambda frame: frame.drop(columns="Teams"),
        lambda frame: frame.assign(Height=[1.8, 0.0]),
        lambda frame: frame.assign(Height=[np.nextafter(1.8, 2), np.nan]),
        lambda frame: frame.assign(Universe=["Earth-616", "Other "]),
        lambda frame: frame.assign(Universe=["Other", "Earth-616"]),
        lambda frame: frame.assign(Teams=frame["Alive"].to_numpy()[::-1], Alive=frame["Teams"].to_numpy()[::-1]),
        lambda frame: pd.concat([frame, frame.tail(1)]),
    ],
    ids=[
        "value",
        "name",
        "type",
        "number of rows",
        "order of columns",
        "fewer columns",
        "missing to zero",
        "last bit",
        "blank",
        "values of two rows",
        "values of two columns",
        "repeated row",
    ],
)
def test_any_change_of_the_rows_changes_the_digest(changed):
    assert digest_of(changed(frame_of())) != digest_of(frame_of())


def test_the_digest_is_the_same_however_the_rows_are_ordered_divided_and_indexed():
    # given: enough rows for sums to pass 64 bits, some of them equal
    rows = pa.concat_tables([TABLE] * 50)
    whole = frame_of(rows)

    # then
    parts = [rows.slice(37), rows.slice(0, 0), rows.slice(10, 27), rows.slice(0, 10)]
    assert digest_of(*map(frame_of, parts)) == digest_of(whole)
    assert digest_of(whole.sample(frac=1, random_state=1)) == digest_of(whole)


def test_another_process_finds_the_same_digest():
    # given
    script = "from marvel_assets_tests.training.test_dataset import *; print(digest_of(frame_of()))"

    # when
    done = succeeded(python("-c", script, PYTHONHASHSEED="1"))

    # then
    assert done.stdout.strip() == digest_of(frame_of())
