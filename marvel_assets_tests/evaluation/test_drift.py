"""How far a window has moved: none where nothing moved, plain where something did."""

import numpy as np
import pandas as pd
import pytest

from marvel_assets.config import Drift
from marvel_assets.evaluation.drift import population_stability_index, shifts

COLUMNS = ["Height", "Gender", "prediction"]


def sample(seed: int, rows: int, men: float = 0.6, taller: float = 0.0, measured: float = 0.3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    height = random.normal(1.8 + taller, 0.1, rows)
    height[random.random(rows) > measured] = np.nan
    return pd.DataFrame(
        {
            "Height": height,
            "Gender": random.choice(["Male", "Female"], rows, p=[men, 1 - men]),
            "prediction": random.choice(["alive", "dead"], rows, p=[0.9, 0.1]),
        }
    )


def drifted(reference: pd.DataFrame, window: pd.DataFrame) -> list[str]:
    return [shift.column for shift in shifts(reference, window, COLUMNS, Drift()) if shift.drifted]


@pytest.mark.parametrize("measured", [0.3, 0.0], ids=["some", "none"])
def test_more_of_the_same_has_not_drifted_even_if_a_measure_is_missing_everywhere(measured: float):
    # given
    windows = [sample(100 + seed, 300, measured=measured) for seed in range(20)]

    # then
    assert [drifted(sample(0, 5000, measured=measured), window) for window in windows] == [[]] * 20


@pytest.mark.parametrize(
    ("moved", "column"),
    [
        (sample(1, 500, men=0.2), "Gender"),
        (sample(1, 500, taller=0.3), "Height"),
        (sample(1, 500, measured=0.9), "Height"),
        (sample(1, 500).assign(Gender="Other"), "Gender"),  # never seen before
    ],
)
def test_what_was_moved_has_drifted_and_comes_first(moved: pd.DataFrame, column: str):
    # when
    found = shifts(sample(0, 5000), moved, COLUMNS, Drift())

    # then
    assert [shift.column for shift in found if shift.drifted] == [found[0].column] == [column]


@pytest.mark.parametrize("seed", range(5))
def test_hundreds_of_rare_values_are_no_shift_by_chance_and_many_new_ones_are(seed: int):
    # given: half of the characters live in one universe, the others in 2,000 that nobody names twice
    random = np.random.default_rng(seed)

    def universes(rows: int, others: float = 0.5) -> pd.DataFrame:
        names = [f"Earth-{number}" for number in random.integers(2000, size=rows)]
        return pd.DataFrame({"Universe": np.where(random.random(rows) < others, names, "Earth-616")})

    # when
    [same], [moved] = (
        shifts(universes(5000), window, ["Universe"], Drift()) for window in (universes(300), universes(300, 0.9))
    )

    # then
    assert same.psi < 0.05
    assert moved.drifted


def test_the_index_is_that_of_the_definition():
    # given: 40 and 60 against 60 and 40, each with a half added
    e, a = np.array([40.5, 60.5]) / 101, np.array([60.5, 40.5]) / 101

    # then
    expected = sum((a - e) * np.log(a / e))
    assert population_stability_index(np.array([40.0, 60.0]), np.array([60.0, 40.0])) == pytest.approx(expected)
