"""Rows as they are fitted, and their identity."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.survival.training_rows import columns_for_training, rows_digest, to_frame

TABLE = pa.table(
    {
        "Id": ["a", "b"],
        "Height": pa.array([1.8, None], pa.float64()),
        "Universe": ["Earth-616", "Other"],
        "Teams": pa.array([1, 0], pa.int32()),
        "Alive": pa.array([1, 0], pa.int32()),
    }
)
FEATURES = ["Height", "Universe", "Teams"]


def test_measures_are_floats_flags_integers_and_all_else_text():
    # when
    frame = to_frame(TABLE, FEATURES)

    # then
    assert list(frame.columns) == [*FEATURES, "Alive"]
    assert frame.dtypes.astype(str).to_dict() == {
        "Height": "float64",
        "Universe": "object",
        "Teams": "int32",
        "Alive": "int32",
    }
    assert np.isnan(frame["Height"][1])


def test_a_measure_that_is_missing_everywhere_is_still_a_float():
    # given
    table = TABLE.set_column(1, "Height", pa.nulls(2, pa.float64()))

    # then
    assert to_frame(table, FEATURES)["Height"].dtype == "float64"


def test_the_columns_to_read_are_id_features_and_target():
    assert columns_for_training(FEATURES) == ["Id", *FEATURES, "Alive"]


def test_equal_rows_have_equal_digests():
    assert rows_digest(to_frame(TABLE, FEATURES)) == rows_digest(to_frame(TABLE, FEATURES))


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.assign(Teams=[1, 1]),
        lambda frame: frame.iloc[::-1],
        lambda frame: frame.rename(columns={"Universe": "Universes"}),
        lambda frame: frame.astype({"Teams": "int64"}),
        lambda frame: frame.head(1),
        lambda frame: frame[["Universe", "Height", "Teams", "Alive"]],
    ],
    ids=["value", "order of rows", "name", "type", "number of rows", "order of columns"],
)
def test_any_change_changes_the_digest(changed):
    # given
    frame: pd.DataFrame = to_frame(TABLE, FEATURES)

    # then
    assert rows_digest(changed(frame)) != rows_digest(frame)
