"""Rows as they are fitted, and their identity."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.training.dataset import (
    dataset_columns,
    rows_digest,
    sum_of_rows,
    to_frame,
    unordered_digest,
)
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


def test_measures_are_floats_flags_integers_and_all_else_text():
    # when
    frame = to_frame(TABLE, FEATURES, TARGET)

    # then
    assert list(frame.columns) == [*FEATURES, "Alive"]
    assert frame.dtypes.astype(str).to_dict() == {
        "Height": "float64",
        "Universe": "object",
        "Teams": "int32",
        "Alive": "int32",
    }
    assert np.isnan(frame["Height"][1])


def test_a_number_that_is_missing_everywhere_is_still_a_float():
    # given
    table = TABLE.set_column(1, "Height", pa.nulls(2, pa.float64()))

    # then
    assert to_frame(table, FEATURES, TARGET)["Height"].dtype == "float64"


def test_the_columns_to_read_are_id_features_and_target():
    assert dataset_columns(FEATURES, "Alive") == ["Id", *FEATURES, "Alive"]


def test_equal_rows_have_equal_digests():
    assert rows_digest(to_frame(TABLE, FEATURES, TARGET)) == rows_digest(to_frame(TABLE, FEATURES, TARGET))


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.assign(Teams=[1, 1]),
        lambda frame: frame.iloc[::-1],
        lambda frame: frame.rename(columns={"Universe": "Universes"}),
        lambda frame: frame.astype({"Teams": "int64"}),
        lambda frame: frame.head(1),
        lambda frame: frame[["Universe", "Height", "Teams", "Alive"]],
        lambda frame: frame.drop(columns="Teams"),
        lambda frame: frame.assign(Height=[1.8, 0.0]),
        lambda frame: frame.assign(Height=[np.nextafter(1.8, 2), np.nan]),
        lambda frame: frame.assign(Universe=["Earth-616", "Other "]),
        lambda frame: frame.assign(Teams=frame["Alive"].to_numpy()[::-1], Alive=frame["Teams"].to_numpy()[::-1]),
        lambda frame: pd.concat([frame, frame.tail(1)]),
    ],
    ids=[
        "value",
        "order of rows",
        "name",
        "type",
        "number of rows",
        "order of columns",
        "fewer columns",
        "missing to zero",
        "last bit",
        "blank",
        "values of one column",
        "repeated row",
    ],
)
def test_any_change_changes_the_digest(changed):
    # given
    frame: pd.DataFrame = to_frame(TABLE, FEATURES, TARGET)

    # then
    assert rows_digest(changed(frame)) != rows_digest(frame)


def test_rows_have_one_digest_however_they_are_indexed_and_however_they_came():
    # given
    frame = to_frame(TABLE, FEATURES, TARGET)
    in_pieces = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
    with_more_columns = TABLE.append_column("update_timestamp_utc", pa.array([1, 2], pa.timestamp("us", "UTC")))

    # then
    assert rows_digest(frame.set_index(pd.Index([7, 3]))) == rows_digest(frame)
    assert rows_digest(to_frame(in_pieces, FEATURES, "Alive")) == rows_digest(frame)
    assert rows_digest(to_frame(with_more_columns, FEATURES, "Alive")) == rows_digest(frame)


def test_another_process_finds_the_same_digest():
    # given
    script = (
        "from marvel_assets_tests.training.test_dataset import *; print(rows_digest(to_frame(TABLE, FEATURES, TARGET)))"
    )

    # when
    done = succeeded(python("-c", script, PYTHONHASHSEED="1"))

    # then
    assert done.stdout.strip() == rows_digest(to_frame(TABLE, FEATURES, TARGET))


def test_only_the_features_and_the_target_are_taken_in_the_order_asked_for():
    assert list(to_frame(TABLE, ["Teams", "Universe"], "Alive").columns) == ["Teams", "Universe", "Alive"]


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.assign(Teams=np.array([1, 1], np.int32)),
        lambda frame: frame.rename(columns={"Universe": "Universes"}),
        lambda frame: frame.astype({"Teams": "int64"}),
        lambda frame: frame.head(1),
        lambda frame: frame[["Universe", "Height", "Teams", "Alive"]],
        lambda frame: frame.assign(Height=[1.8, 0.0]),
        lambda frame: frame.assign(Height=[np.nextafter(1.8, 2), np.nan]),
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
        "missing to zero",
        "last bit",
        "values of two rows",
        "values of two columns",
        "repeated row",
    ],
)
def test_any_change_but_of_the_order_changes_the_unordered_digest(changed):
    # given
    frame: pd.DataFrame = to_frame(TABLE, FEATURES, TARGET)

    # then
    assert unordered_digest([sum_of_rows(changed(frame))]) != unordered_digest([sum_of_rows(frame)])


def test_the_unordered_digest_is_the_same_however_the_rows_are_divided():
    # given: enough rows for sums to pass 64 bits, some of them equal
    rows = pa.concat_tables([TABLE] * 50)
    whole = unordered_digest([sum_of_rows(to_frame(rows, FEATURES, "Alive"))])

    # when
    parts = [rows.slice(37), rows.slice(0, 0), rows.slice(10, 27), rows.slice(0, 10)]

    # then
    assert unordered_digest(sum_of_rows(to_frame(part, FEATURES, "Alive")) for part in parts) == whole
