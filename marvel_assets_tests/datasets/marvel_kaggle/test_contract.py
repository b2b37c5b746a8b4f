"""The contract of the cleaned tables, each part violated on purpose."""

import duckdb
import pandas as pd
import pytest

from marvel_assets_tests.kaggle import CONTRACT_COLUMNS, contract_violations, split_of

TRAIN_IDS = [name for name in (f"c{number}" for number in range(40)) if split_of(name) == "train"][:3]
TEST_ID = next(name for name in (f"c{number}" for number in range(40)) if split_of(name) == "test")
GOOD = {"Id": TRAIN_IDS, "Universe": "Earth-616", "Identity": "Public", "Gender": "Male", "Marital_Status": "Single"}
GOOD |= {"Origin": "Human", "Teams": 1, "Magic": 0, "Mutant": 0, "Alive": [1, 0, 1]}
ORIGINS = "['Human', 'Mutant', 'Asgardian', 'Alien', 'Symbiote', 'Robot', 'Cosmic Being', 'Other']"


@pytest.mark.parametrize(
    ("columns", "problems"),
    [
        ({}, []),
        ({"Id": [TRAIN_IDS[0], TRAIN_IDS[0], TRAIN_IDS[1]]}, ["Id is not unique: 1 rows repeat an id"]),
        ({"Id": [*TRAIN_IDS[:2], TEST_ID]}, [f"Id belongs to the other table in 1 rows, such as {TEST_ID!r}"]),
        ({"Id": [*TRAIN_IDS[:2], None]}, ["Id is missing in 1 rows"]),
        ({"Universe": [None] * 3}, ["Universe is missing in 3 rows"]),
        (
            {"Identity": ["Public", "Secret", "Known"]},
            ["Identity is not one of ['Public', 'Secret', 'Unknown'] in 1 rows, such as 'Known'"],
        ),
        ({"Origin": ["c", "a", "b"]}, [f"Origin is not one of {ORIGINS} in 3 rows, such as 'a'"]),
        (
            {"Teams": [0, 1, 2], "Alive": [0, 1, -1]},
            ["Teams is not one of [0, 1] in 1 rows, such as 2", "Alive is not one of [0, 1] in 1 rows, such as -1"],
        ),
        ({"split": "test"}, [f"Id belongs to the other table in 3 rows, such as {min(TRAIN_IDS)!r}"]),
    ],
)
def test_each_violation_is_named_with_a_case(columns: dict[str, list[object]], problems: list[str]):
    # given
    split = columns.pop("split", "train")
    cleaned = pd.DataFrame(GOOD).assign(**columns)[CONTRACT_COLUMNS]

    # then
    with duckdb.connect() as connection:
        connection.register("cleaned", cleaned.astype({"Universe": "string"}))
        found = contract_violations(lambda statement: connection.execute(statement).fetchall(), "cleaned", split)
    assert found == problems
