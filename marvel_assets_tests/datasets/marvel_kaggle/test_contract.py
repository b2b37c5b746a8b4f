"""Promises of the cleaned tables, each broken on purpose."""

import hashlib
from typing import Literal

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.kaggle import (
    CONTRACT_COLUMNS,
    SOURCE_COLUMNS,
    SOURCE_ROW,
    cleaning_sql,
    contract_violations,
    split_of,
    split_sql,
)

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


def broken(cleaned: pa.Table, split: Literal["train", "test"]) -> list[str]:
    """The broken promises of a table, asked of DuckDB."""
    with duckdb.connect() as connection:
        connection.register("cleaned", cleaned)
        return contract_violations(lambda statement: connection.execute(statement).fetchall(), "cleaned", split)


def test_a_good_table_breaks_none():
    assert broken(table(), "train") == []


ORIGINS = "['Human', 'Mutant', 'Asgardian', 'Alien', 'Symbiote', 'Robot', 'Cosmic Being', 'Other']"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"Id": [TRAIN_IDS[0], TRAIN_IDS[0], TRAIN_IDS[1]]}, "Id is not unique: 1 rows repeat an id"),
        ({"Id": [*TRAIN_IDS[:2], TEST_ID]}, f"Id belongs to the other table in 1 rows, such as {TEST_ID!r}"),
        ({"Id": [*TRAIN_IDS[:2], None]}, "Id is missing in 1 rows"),
        ({"Universe": [None] * 3}, "Universe is missing in 3 rows"),
        (
            {"Identity": ["Public", "Secret", "Known"]},
            "Identity is not one of ['Public', 'Secret', 'Unknown'] in 1 rows, such as 'Known'",
        ),
        ({"Origin": ["c", "a", "b"]}, f"Origin is not one of {ORIGINS} in 3 rows, such as 'a'"),
        ({"Teams": [0, 1, 2]}, "Teams is not one of [0, 1] in 1 rows, such as 2"),
        ({"Alive": [0, 1, -1]}, "Alive is not one of [0, 1] in 1 rows, such as -1"),
    ],
)
def test_a_broken_promise_is_named_with_a_case(columns: dict[str, list[object]], problem: str):
    assert broken(table(**columns), "train") == [problem]


def test_each_broken_promise_is_told():
    # when
    sentences = broken(table(Id=[TRAIN_IDS[0], TRAIN_IDS[0], TEST_ID], Gender="?", Teams=7), "train")

    # then
    assert [sentence.split()[0] for sentence in sentences] == ["Id", "Gender", "Teams", "Id"]


def test_a_table_of_the_other_split_is_all_misplaced():
    assert broken(table(), "test") == [f"Id belongs to the other table in 3 rows, such as {min(TRAIN_IDS)!r}"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_the_cleaning_makes_keeps_every_promise(split: str):
    # given
    with duckdb.connect() as database:
        delivered = generate(1000, 7)[list(SOURCE_COLUMNS)].rename(columns=SOURCE_COLUMNS)
        delivered[SOURCE_ROW] = range(1, len(delivered) + 1)
        database.register("raw_characters", pa.Table.from_pandas(delivered, preserve_index=False))
        database.execute(f"CREATE TABLE cleaned_characters AS {cleaning_sql()}")

        # when
        made = database.sql(split_sql(split)).to_arrow_table()

    # then
    assert len(made) > 50
    assert broken(made.select(CONTRACT_COLUMNS), split) == []


@given(identifier=st.text(min_size=1))
def test_the_split_is_decided_by_the_first_digits_of_the_md5(identifier: str):
    # when
    split = split_of(identifier)

    # then
    first_digits = int(hashlib.md5(identifier.encode()).hexdigest()[:8], 16)
    assert (split == "test") == (first_digits < 0x33333333)
