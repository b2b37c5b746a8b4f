"""Promises of the cleaned tables, each broken on purpose."""

import hashlib

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marvel_assets.survival.contract import CONTRACT_COLUMNS, broken_promises, split_of

TRAIN_IDS = [name for name in (f"c{number}" for number in range(40)) if split_of(name) == "train"][:3]
TEST_ID = next(name for name in (f"c{number}" for number in range(40)) if split_of(name) == "test")


def table(**columns: list[object]) -> pa.Table:
    good = pd.DataFrame(
        {
            "Id": TRAIN_IDS,
            "Universe": "Earth-616",
            "Identity": "Public",
            "Gender": "Male",
            "Marital_Status": "Single",
            "Origin": "Human",
            "Teams": 1,
            "Magic": 0,
            "Mutant": 0,
            "Alive": [1, 0, 1],
        }
    )
    return pa.Table.from_pandas(good.assign(**columns)[CONTRACT_COLUMNS], preserve_index=False)


def test_a_good_table_breaks_none():
    assert broken_promises(table(), "train") == []


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"Id": [TRAIN_IDS[0], TRAIN_IDS[0], TRAIN_IDS[1]]}, "Id is not unique: 1 rows"),
        ({"Id": [*TRAIN_IDS[:2], TEST_ID]}, "1 ids belong to the other table"),
        ({"Id": [*TRAIN_IDS[:2], None]}, "Id is missing in 1 rows"),
        ({"Universe": ["Earth-616", None, "Other"]}, "Universe is missing in 1 rows"),
        ({"Identity": ["Public", "Secret", "Known"]}, "Identity holds ['Known']"),
        ({"Gender": ["Male", "Female", "male"]}, "Gender holds ['male']"),
        ({"Marital_Status": ["Single", "Widow", "Married"]}, "Marital_Status holds ['Widow']"),
        ({"Origin": ["Human", "Demon", "Other"]}, "Origin holds ['Demon']"),
        ({"Teams": [0, 1, 2]}, "Teams holds [2]"),
        ({"Alive": [0, 1, -1]}, "Alive holds [-1]"),
    ],
)
def test_a_broken_promise_is_named_with_a_case(columns: dict[str, list[object]], said: str):
    # when
    [broken] = broken_promises(table(**columns), "train")

    # then
    assert said in broken


@given(identifier=st.text(min_size=1))
def test_the_split_is_decided_by_the_first_digits_of_the_md5(identifier: str):
    # when
    split = split_of(identifier)

    # then
    first_digits = int(hashlib.md5(identifier.encode()).hexdigest()[:8], 16)
    assert (split == "test") == (first_digits < 0x33333333)
