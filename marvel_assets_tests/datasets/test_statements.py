"""The statements of a data set of one flag, and what a file to be scored must have."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from marvel_assets.datasets.base import Dataset, Feature, Target
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.scoring import required_columns
from marvel_assets.datasets.statements import cleaning_sql

RULES = "SELECT source_row, id AS Id, card, died FROM cells"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Of a data set, as a package for this test alone."""
    folder = tmp_path / f"flags_{abs(hash(request.node.name))}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def cleaned(folder: Path, cells: list[str | None], missing: int | None = 0, rules: str = RULES) -> pd.Series:
    """The flags of rows with these cells, cleaned by these rules."""
    (folder / "cleaning.sql").write_text(rules)
    flag = Feature(name="card", kind="flag", source="card", description="", examples=(1, 0), missing=missing)
    dataset = Dataset(
        package=folder.name,
        schema_name=folder.name,
        source_columns={column: column for column in ("id", "card", "died")},
        identifier="id",
        display_name="id",
        description="",
        features=(flag,),
        target=Target(name="died", source="died", values=("0", "1"), labels=("0", "1"), answer="died"),
    )
    rows = {"source_row": range(len(cells)), "id": [str(place) for place in range(len(cells))]}
    raw = pd.DataFrame(rows | {"card": pd.Series(cells, dtype="string"), "died": "1"})
    with duckdb.connect() as connection:
        connection.register("raw_characters", raw)
        return connection.sql(cleaning_sql(dataset)).order("source_row").to_arrow_table().to_pandas()["card"]


@pytest.mark.parametrize(
    ("missing", "flags"), [(0, [1, 0, 1, 0, 0]), (None, [1, 0, 1, None, None])], ids=["a value for missing", "none"]
)
def test_a_plain_column_of_zeros_and_ones_can_be_a_flag(folder: Path, missing: int | None, flags: list[int | None]):
    # when: as pandas writes ones and zeros, alone and beside missing cells
    found = cleaned(folder, ["1", "0", "1.0", None, "x"], missing)

    # then
    assert found.astype("Int64").tolist() == [pd.NA if flag is None else flag for flag in flags]


def test_the_rules_may_end_with_a_semicolon_and_a_comment(folder: Path):
    assert cleaned(folder, ["1"], rules=f"{RULES}\n;\n-- The end.\n").tolist() == [1]


def test_a_file_to_score_has_the_columns_that_rules_use_also_where_no_feature_comes_from_them():
    # given: the rules name the height still
    without = replace(DATASET, features=tuple(each for each in DATASET.features if each.name != "Height"))

    # then
    assert required_columns(without) == [
        *("PageID", "Name", "Universe", "Identity", "Gender", "Marital_Status", "Teams"),
        *("Height_m", "Weight_kg", "Origin"),
    ]
