"""Rows as they are fitted, and their identity."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.training.dataset import rows_digest, sum_of_rows, to_frame

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
    return rows_digest([sum_of_rows(frame) for frame in frames])


def test_measures_are_floats_flags_integers_and_all_else_text():
    # given: a number that is missing everywhere is still a float
    table = TABLE.set_column(1, "Height", pa.nulls(2, pa.float64()))

    # then
    for frame in (frame_of(), frame_of(table)):
        assert [*frame.dtypes.astype(str).items()] == [
            ("Height", "float64"), ("Universe", "object"), ("Teams", "int32"), ("Alive", "int32"),
        ]  # fmt: skip


CHANGES = {
    "value": lambda frame: frame.assign(Teams=np.array([1, 1], np.int32)),
    "name": lambda frame: frame.rename(columns={"Universe": "Universes"}),
    "type": lambda frame: frame.astype({"Teams": "int64"}),
    "number of rows": lambda frame: frame.head(1),
    "order of columns": lambda frame: frame[["Universe", "Height", "Teams", "Alive"]],
    "missing to zero": lambda frame: frame.assign(Height=[1.8, 0.0]),
    "last bit": lambda frame: frame.assign(Height=[np.nextafter(1.8, 2), np.nan]),
    "values of two rows": lambda frame: frame.assign(Universe=["Other", "Earth-616"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_rows_changes_the_digest(change: str):
    assert digest_of(CHANGES[change](frame_of())) != digest_of(frame_of())


def test_the_digest_is_the_same_however_the_rows_are_ordered_divided_and_indexed():
    # given: enough rows for sums to pass 64 bits, some of them equal
    rows = pa.concat_tables([TABLE] * 50)
    whole = frame_of(rows)

    # then
    parts = [rows.slice(37), rows.slice(0, 0), rows.slice(10, 27), rows.slice(0, 10)]
    assert digest_of(*map(frame_of, parts)) == digest_of(whole)
    assert digest_of(whole.sample(frac=1, random_state=1)) == digest_of(whole)


def test_the_digest_is_the_same_in_any_process():
    assert digest_of(frame_of()) == "9f5d3128acada8870369d5b4f36a11ab"
