"""The encoder keeps scikit-learn's contract, and gives every value the code that it was fitted with."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from marvel_assets.model.encoder import CatToIntTransformer

FLAG_TYPES = ["int64", "uint8", "float64", "float32", "bool", "Int64", "Float64", "boolean", "object", "category"]


@parametrize_with_checks([CatToIntTransformer(), CatToIntTransformer(columns=["x0"], min_frequency=2)])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("fitted", FLAG_TYPES)
def test_flags_agree_whatever_type_stores_them(fitted: str):
    # given
    flags = pd.DataFrame({"Magic": [0, 1, 1, 0]})

    # when
    encoder = CatToIntTransformer().fit(flags.astype(fitted))

    # then
    assert encoder.categories_ == {"Magic": [0, 1]}
    for scored in FLAG_TYPES:
        assert encoder.transform(flags.astype(scored))["Magic"].tolist() == [0, 1, 1, 0], scored


def test_values_that_are_rarer_than_the_least_frequency_share_one_code():
    # given
    frame = pd.DataFrame({"Universe": ["Earth-9"] * 4 + ["Earth-2"] * 3 + ["Earth-1"] * 2 + ["Earth-5"]})

    # when
    encoder = CatToIntTransformer(min_frequency=3).fit(frame)

    # then
    assert encoder.categories_ == {"Universe": ["Earth-2", "Earth-9"]}
    scored = pd.DataFrame({"Universe": ["Earth-9", "Earth-2", "Earth-1", "Earth-5", "never seen", None]})
    assert encoder.transform(scored)["Universe"].tolist() == [1, 0, 2, 2, 2, -1]


def test_other_columns_and_the_input_stay_as_they_are():
    # given
    numbers = {"Height": [1.8, np.nan, 2.5], "PageCount": np.array([3, 2**53 + 1, 1])}
    frame = pd.DataFrame({"Universe": ["Earth-616", "Other", None], **numbers}, index=[7, 7, 3])
    before = frame.copy(deep=True)

    # when
    encoded = CatToIntTransformer(columns=["Universe"]).fit_transform(frame)
    others = encoded.drop(columns="Universe")
    encoded.iloc[:, :] = 0

    # then
    pd.testing.assert_frame_equal(others, before.drop(columns="Universe"))
    pd.testing.assert_frame_equal(frame, before)


numbers = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.0**53, 2**53 + 1]),
)
texts = st.text(st.characters(exclude_characters="\0"), max_size=3)  # pandas takes "a" and "a\0" for one value
values = st.one_of(st.sampled_from(["", "0", "1", "a", "Earth-616"]), texts, numbers)
missing_cells = st.sampled_from([None, math.nan, pd.NA])
cells = st.lists(st.one_of(values, missing_cells), min_size=1, max_size=25)


def frame_of(column: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"Origin": pd.Series(column, dtype=object)})


def codes_by_dictionary(fitted: list[Any], scored: list[Any]) -> list[int]:
    """The plain reading of the rule: one dictionary, one look-up a cell."""
    seen = {value for value in fitted if not pd.isna(value)}
    ordered = sorted(value for value in seen if not isinstance(value, str))
    ordered += sorted(value for value in seen if isinstance(value, str))
    code_of = {value: code for code, value in enumerate(ordered)}
    return [-1 if pd.isna(value) else code_of.get(value, -1) for value in scored]


@given(fitted=cells, scored=cells)
def test_frame_gets_the_codes_of_a_dictionary(fitted: list[Any], scored: list[Any]):
    # when
    codes = CatToIntTransformer().fit(frame_of(fitted)).transform(frame_of(scored))

    # then
    assert codes["Origin"].tolist() == codes_by_dictionary(fitted, scored)
