"""The built-in generator: reproducible, shaped and soiled like the source, and worth learning from."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.kaggle import MISSING_TEXT, SOURCE_COLUMNS

ROWS = 50_000
SEED = 616


@pytest.fixture(scope="module")
def characters() -> pd.DataFrame:
    """A table that's large enough for every rare thing to occur; not to be changed."""
    return generate(ROWS, SEED)


def digest(frame: pd.DataFrame) -> str:
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def missing(cells: pd.Series) -> pd.Series:
    return cells.isin(MISSING_TEXT)


def usable(characters: pd.DataFrame) -> pd.DataFrame:
    return characters[characters["Alive"].isin(["Alive", "Dead"])]


def test_given_one_seed_when_generated_twice_then_the_frames_are_identical() -> None:
    # given
    rows, seed = 3_000, 7

    # when
    first, second = generate(rows, seed), generate(rows, seed)

    # then
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.integration
@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_given_another_hash_seed_when_generated_in_another_process_then_the_rows_are_the_same(hash_seed: str) -> None:
    # given
    program = (
        "import hashlib; from marvel_assets.datasets.marvel_kaggle.generator import generate as made;"
        "print(hashlib.sha256(made(3000, 7).to_csv(index=False).encode()).hexdigest())"
    )

    # when
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )

    # then
    assert finished.stdout.strip() == digest(generate(3_000, 7))


def test_given_numpys_global_generator_when_its_state_changes_then_the_rows_stay() -> None:
    # given
    np.random.seed(1)  # noqa: NPY002
    before = digest(generate(500, 7))

    # when
    np.random.seed(2)  # noqa: NPY002

    # then
    assert digest(generate(500, 7)) == before


def test_given_two_seeds_when_generated_then_names_and_fates_differ() -> None:
    # given
    one, other = generate(3_000, 7), generate(3_000, 8)

    # when
    differing = (one != other).mean()

    # then
    assert differing["Name"] > 0.9
    assert 0.2 < differing["Alive"] < 0.6


@pytest.mark.parametrize("rows", [1, 2, 49, 1_000])
def test_given_a_number_of_rows_when_generated_then_the_frame_has_as_many(rows: int) -> None:
    # when
    characters = generate(rows, SEED)

    # then
    assert len(characters) == rows
    assert list(characters.index) == list(range(rows))


def test_given_the_source_when_generated_then_the_columns_are_its_columns_in_its_order(
    characters: pd.DataFrame,
) -> None:
    # then
    assert list(characters.columns) == ["", *SOURCE_COLUMNS]


def test_given_the_source_when_generated_then_the_first_column_counts_rows_from_zero(characters: pd.DataFrame) -> None:
    # then
    assert list(characters[""]) == [str(number) for number in range(ROWS)]


def test_given_all_columns_when_generated_then_every_cell_is_text(characters: pd.DataFrame) -> None:
    # when
    types = {type(cell) for column in characters for cell in characters[column]}

    # then
    assert set(characters.dtypes) == {np.dtype(object)}
    assert types == {str}


def test_given_a_frame_when_written_as_csv_and_read_as_text_then_it_is_the_same(characters: pd.DataFrame) -> None:
    # given
    written = io.StringIO(characters.to_csv(index=False))

    # when
    read = pd.read_csv(written, dtype=str, keep_default_na=False)

    # then
    assert read.iloc[:, 1:].equals(characters.iloc[:, 1:])


@pytest.mark.parametrize(
    ("column", "share"),
    [
        ("Identity", 0.20),
        ("Gender", 0.04),
        ("Marital Status", 0.59),
        ("Teams", 0.48),
        ("Height (m)", 0.94),
        ("Weight (kg)", 0.95),
        ("Origin", 0.18),
    ],
)
def test_given_the_sources_gaps_when_generated_then_as_many_cells_are_missing(
    characters: pd.DataFrame, column: str, share: float
) -> None:
    # when
    found = missing(characters[column]).mean()

    # then
    assert found == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("seed", [1, 2, SEED])
def test_given_any_seed_when_generated_then_three_quarters_of_the_usable_rows_are_alive(seed: int) -> None:
    # when
    fates = usable(generate(20_000, seed))["Alive"]

    # then
    assert (fates == "Alive").mean() == pytest.approx(0.75, abs=0.015)


def test_given_the_sources_universes_when_generated_then_a_third_is_of_the_main_one(characters: pd.DataFrame) -> None:
    # then
    assert (characters["Universe"] == "Earth-616").mean() == pytest.approx(1 / 3, abs=0.01)


def test_given_a_table_of_full_size_when_generated_then_dozens_of_universes_are_frequent_and_thousands_rare() -> None:
    # given
    universe = generate(92_000, SEED)["Universe"]

    # when
    counts = universe[~missing(universe)].value_counts()

    # then
    assert 24 <= (counts >= 50).sum() <= 80
    assert (counts < 50).sum() > 2_000


@pytest.mark.parametrize("column", ["Universe", "PageID", "Creators"])
def test_given_columns_that_are_nearly_full_when_generated_then_a_few_cells_are_missing(
    characters: pd.DataFrame, column: str
) -> None:
    # then
    assert 0 < missing(characters[column]).mean() < 0.02


def test_given_odd_fates_when_generated_then_they_are_rare_and_some_add_to_alive(characters: pd.DataFrame) -> None:
    # when
    odd = characters.loc[~characters["Alive"].isin(["Alive", "Dead"]), "Alive"]

    # then
    assert 0.0015 < len(odd) / ROWS < 0.005
    assert odd.str.fullmatch(r"Alive \(.+\)").any()


@pytest.mark.parametrize(
    ("column", "accepted", "rejected"),
    [
        ("Identity", {"Public", "Secret"}, {"Known to Authorities"}),
        ("Marital Status", {"Single", "Married", "Widowed", "Engaged", "Widow"}, {"Divorced", "Separated"}),
    ],
)
def test_given_values_to_be_rejected_when_generated_then_they_occur_and_are_rare(
    characters: pd.DataFrame, column: str, accepted: set[str], rejected: set[str]
) -> None:
    # given
    present = characters.loc[~missing(characters[column]), column]

    # when
    outside = present[~present.isin(accepted)]

    # then
    assert accepted <= set(present)
    assert rejected <= set(outside)
    assert len(outside) / ROWS < 0.015


def test_given_free_text_when_generated_then_genders_beyond_male_and_female_occur(characters: pd.DataFrame) -> None:
    # given
    gender = characters.loc[~missing(characters["Gender"]), "Gender"]

    # when
    others = set(gender) - {"Male", "Female"}

    # then
    assert any("Male" in other for other in others)
    assert 0 < gender.isin(others).mean() < 0.05


@pytest.mark.parametrize(
    "text",
    [
        "Human",
        "Human Mutate",
        "Inhuman",
        "Mutant",
        "Asgardian",
        "Alien",
        "Symbiote",
        "Robot",
        "Cosmic Being",
        "Demon",
        "Human (magic user)",
    ],
)
def test_given_the_rules_of_origin_when_generated_then_each_has_rows_to_work_on(
    characters: pd.DataFrame, text: str
) -> None:
    # then
    assert (characters["Origin"] == text).sum() >= 50


def test_given_the_order_of_the_rules_when_generated_then_an_alien_human_and_a_magical_asgardian_occur(
    characters: pd.DataFrame,
) -> None:
    # when
    origin = characters["Origin"].str.lower()

    # then
    assert (origin.str.contains("mutant") & origin.str.contains("alien")).any()
    assert (origin.str.contains("magic") & origin.str.contains("asgardian")).any()


def test_given_measures_when_generated_then_giants_of_304_8_metres_occur(characters: pd.DataFrame) -> None:
    # then
    assert 10 < (characters["Height (m)"] == "304.8").sum() < 150


@pytest.mark.parametrize(("column", "low", "high"), [("Height (m)", 1.0, 2.5), ("Weight (kg)", 40, 160)])
def test_given_measures_when_generated_then_most_are_plausible_numbers_and_a_few_unparseable(
    characters: pd.DataFrame, column: str, low: float, high: float
) -> None:
    # given
    present = characters.loc[~missing(characters[column]), column]

    # when
    plain = present.str.fullmatch(r"[0-9]+(\.[0-9]+)?")

    # then
    assert 0 < (~plain).mean() < 0.05
    assert present[plain].astype(float).between(low, high).mean() > 0.95


def test_given_the_markers_of_read_csv_when_generated_then_several_stand_among_the_missing_cells(
    characters: pd.DataFrame,
) -> None:
    # given
    column = characters["Marital Status"]

    # when
    markers = column[missing(column) & (column != "")]

    # then
    assert set(markers) >= {"N/A", "None", "NULL", "nan"}
    assert len(markers) / missing(column).sum() < 0.05


def test_given_repeated_pages_when_generated_then_few_ids_repeat_and_their_rows_differ(
    characters: pd.DataFrame,
) -> None:
    # given
    with_id = characters[~missing(characters["PageID"])]

    # when
    repeated = with_id[with_id.duplicated("PageID", keep=False)]
    one_kind_of_row = repeated.drop_duplicates(["PageID", "Identity", "Gender", "Alive", "Teams", "Origin"])

    # then
    assert 0.001 < with_id.duplicated("PageID").mean() < 0.004
    assert one_kind_of_row.duplicated("PageID").any()


def test_given_names_when_generated_then_many_stand_under_several_ids(characters: pd.DataFrame) -> None:
    # when
    ids = characters.groupby("Name")["PageID"].nunique()

    # then
    assert (ids > 1).sum() > 1_000
    assert ids.max() > 30


@pytest.mark.parametrize("column", ["Name", "Teams", "Origin"])
@pytest.mark.parametrize("pattern", [r"[^\x00-\x7f]", ",", '"'], ids=["non-ASCII", "comma", "quote"])
def test_given_letters_that_parsers_stumble_over_when_generated_then_cells_hold_them(
    characters: pd.DataFrame, column: str, pattern: str
) -> None:
    # then
    assert characters[column].str.contains(pattern).any()


def test_given_pages_when_generated_then_urls_are_of_the_reserved_domain_and_tell_the_id(
    characters: pd.DataFrame,
) -> None:
    from urllib.parse import unquote

    # given
    with_id = characters[~missing(characters["PageID"])]

    # when
    urls = with_id["URL"]

    # then
    assert urls.str.fullmatch(r"[\x21-\x7e]+").all()
    assert [unquote(url) for url in urls] == list("https://example.org/wiki/" + with_id["PageID"])


def test_given_survival_when_a_model_learns_from_some_rows_then_it_ranks_the_others() -> None:
    from lightgbm import LGBMClassifier
    from sklearn.metrics import roc_auc_score

    # given
    rows = usable(generate(20_000, SEED)).reset_index(drop=True)
    frequent = rows["Universe"].map(rows["Universe"].value_counts()) >= 50
    features = pd.DataFrame(
        {
            "Universe": rows["Universe"].where(frequent, "Other"),
            **{column: rows[column] for column in ("Identity", "Gender", "Marital Status", "Origin")},
            "Teams": ~missing(rows["Teams"]),
            "Height": ~missing(rows["Height (m)"]),
        }
    ).apply(lambda column: pd.factorize(column, sort=True)[0])
    alive = rows["Alive"] == "Alive"
    held_out = rows.index % 5 == 0

    # when
    model = LGBMClassifier(n_estimators=150, learning_rate=0.05, max_depth=6, n_jobs=1, verbosity=-1)
    model.fit(features[~held_out], alive[~held_out])
    auc = roc_auc_score(alive[held_out], model.predict_proba(features[held_out])[:, 1])

    # then
    assert 0.65 < auc < 0.85


@pytest.mark.parametrize("column", ["Identity", "Gender", "Marital Status", "Teams", "Height (m)", "Origin"])
def test_given_a_column_when_cells_are_missing_then_survival_is_another(characters: pd.DataFrame, column: str) -> None:
    # given
    rows = usable(characters)
    gap = missing(rows[column])

    # when
    alive = (rows["Alive"] == "Alive").groupby(gap).mean()

    # then
    assert alive[True] - alive[False] > 0.03


@pytest.mark.parametrize("rows", [0, -1])
def test_given_no_rows_when_asked_for_then_the_error_names_the_number(rows: int) -> None:
    # then
    with pytest.raises(ValueError, match=rf"rows: expected at least 1, found {rows}"):
        generate(rows, SEED)


def test_given_a_negative_seed_when_asked_for_then_the_error_names_it() -> None:
    # then
    with pytest.raises(ValueError, match="seed: expected an integer from 0, found -1"):
        generate(10, -1)
