"""The built-in generator: reproducible, and shaped and soiled like the source."""

import hashlib
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.kaggle import MISSING_TEXT

ROWS = 50_000
SEED = 616
SHARES = [("Identity", 0.20), ("Gender", 0.04), ("Marital Status", 0.59), ("Teams", 0.48), ("Height (m)", 0.94),
          ("Weight (kg)", 0.95), ("Origin", 0.18)]  # fmt: skip
"""Of missing cells in the source."""


@pytest.fixture(scope="module")
def characters() -> pd.DataFrame:
    """A table that's large enough for every rare thing to occur; not to be changed."""
    return generate(ROWS, SEED)


def missing(cells: Any) -> Any:
    return cells.isin(MISSING_TEXT)


def test_the_rows_are_the_same_in_any_process_and_on_any_machine_and_others_with_another_seed():
    # given
    rows = generate(3000, 7)

    # then
    digest = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
    assert digest == "23045b8b8b34f6a7781420788475ca067d1259c2935319944e5b5f742d03fc1c"
    differing = (rows != generate(3000, 8)).mean()
    assert differing["Name"] > 0.9
    assert 0.2 < differing["Alive"] < 0.6
    assert [len(generate(number, SEED)) for number in (1, 2, 49)] == [1, 2, 49]


@pytest.mark.parametrize(("column", "share"), SHARES)
def test_as_many_cells_are_missing_as_in_the_source_and_survival_is_another_there(
    characters: pd.DataFrame, column: str, share: float
):
    # when
    usable = characters[characters["Alive"].isin(["Alive", "Dead"])]
    alive = (usable["Alive"] == "Alive").groupby(missing(usable[column])).mean()

    # then
    assert missing(characters[column]).mean() == pytest.approx(share, abs=0.01)
    assert alive[True] - alive[False] > 0.03
    assert (usable["Alive"] == "Alive").mean() == pytest.approx(0.75, abs=0.015)


def test_a_third_is_of_the_main_universe_dozens_are_frequent_and_thousands_rare(characters: pd.DataFrame):
    # when
    counts = characters.loc[~missing(characters["Universe"]), "Universe"].value_counts()

    # then
    assert counts["Earth-616"] / ROWS == pytest.approx(1 / 3, abs=0.01)
    assert 24 <= (counts >= 50).sum() <= 80
    assert (counts < 50).sum() > 2_000


ORIGINS = ("Human", "Human Mutate", "Inhuman", "Mutant", "Asgardian", "Alien", "Symbiote", "Robot", "Cosmic Being")


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("Identity", ("Public", "Secret", "Known to Authorities")),
        ("Marital Status", ("Single", "Married", "Widowed", "Engaged", "Widow", "Divorced", "Separated")),
        ("Gender", ("Male", "Female", "Agender", "Male, formerly Female")),
        ("Origin", (*ORIGINS, "Demon", "Mutant / Alien hybrid", "Asgardian, schooled in MAGIC")),
        ("Alive", ("Alive (in exile)",)),
        ("Height (m)", ("304.8",)),
    ],
)
def test_each_rule_has_rows_to_work_on(characters: pd.DataFrame, column: str, cells: tuple[str, ...]):
    assert (characters[column].value_counts()[[*cells]] >= 50).all()


def test_ids_repeat_with_other_cells_and_names_stand_under_several_ids(characters: pd.DataFrame):
    # when
    with_id = characters[~missing(characters["PageID"])]
    repeated = with_id[with_id.duplicated("PageID", keep=False)]
    ids_of_a_name = with_id.groupby("Name")["PageID"].nunique()

    # then
    assert 0.001 < with_id.duplicated("PageID").mean() < 0.004
    assert repeated.drop_duplicates(["PageID", "Identity", "Gender", "Alive", "Teams"]).duplicated("PageID").any()
    assert (ids_of_a_name > 1).sum() > 1_000
    assert [unquote(url) for url in with_id["URL"]] == list("https://example.org/wiki/" + with_id["PageID"])
