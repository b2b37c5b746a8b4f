"""A classifier is asked once for each distinct row, on every core, and every row gets its own answer."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.model.batching import MIN_ROWS, predict_unique_rows
from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import build_pipeline, default_threads, fit_pipeline
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.fitted_rows import FEATURE_NAMES

COLUMNS = ["Height", "Universe", "Teams"]
KINDS = (
    (1.8, "Earth-616", 1),
    (np.nan, "Earth-616", 1),
    (np.nan, None, 0),
    (1.8, "Earth-1", 0),
    (-0.5, "Earth-616", 1),
)


class Recorder:
    """Answers each row with what it is, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.arguments: dict[str, Any] = {}

    def __call__(self, rows: pd.DataFrame, **arguments: Any) -> npt.NDArray[np.float64]:
        self.asked += len(rows)
        self.arguments = arguments
        return rows.to_numpy(np.float64)


def many(*kinds: tuple[object, ...], rows: int = 4 * MIN_ROWS) -> pd.DataFrame:
    """Rows of these kinds, in an order of chance."""
    drawn = np.random.default_rng(7).integers(0, len(kinds), rows)
    return pd.DataFrame([kinds[kind] for kind in drawn], columns=COLUMNS)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """Knows the universes of KINDS, and calls all others rare."""
    rare = [(1.8, f"Earth-{number}", 0) for number in range(100, 120)]
    rows = pd.concat([many(*KINDS), many(*rare, rows=20)], ignore_index=True)
    unfitted = build_pipeline(["Universe"], LightGBM(**FEW_TREES), 1, min_frequency=20)
    return fit_pipeline(unfitted, rows.assign(Alive=np.arange(len(rows)) % 2), COLUMNS, "Alive")


def test_every_row_gets_its_own_answer_and_equal_rows_are_asked_once_on_every_core(pipeline: Pipeline):
    # given: missing cells among them
    ask, rows = Recorder(), many(*KINDS)

    # when
    answers = predict_unique_rows(pipeline, rows, ask)

    # then
    np.testing.assert_array_equal(answers, pipeline[:-1].transform(rows).to_numpy(np.float64))
    assert ask.asked == len(KINDS)
    assert ask.arguments == {"num_threads": default_threads()}


def test_rare_values_that_share_a_code_are_one_question(pipeline: Pipeline):
    # given
    ask = Recorder()

    # when
    predict_unique_rows(pipeline, many(*((1.8, f"Earth-{number}", 0) for number in range(1000, 1500))), ask)

    # then
    assert ask.asked == 1


@pytest.mark.parametrize("rows", [0, 1, MIN_ROWS - 1])
def test_few_rows_are_asked_as_they_are(pipeline: Pipeline, rows: int):
    # given
    ask = Recorder()

    # when
    answers = predict_unique_rows(pipeline, many(*KINDS).head(rows), ask)

    # then
    assert (len(answers), ask.asked, ask.arguments) == (rows, rows, {})


def test_a_fitted_pipelines_probabilities_are_the_same_to_the_last_bit(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # given
    rows = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES]
    assert len(rows) > MIN_ROWS

    # then
    assert (predict_unique_rows(fitted, rows) == fitted.predict_proba(rows)).all()


def test_the_callers_index_may_have_the_name_of_a_column(pipeline: Pipeline):
    # given
    rows = many(*KINDS)

    # when
    indexed = predict_unique_rows(pipeline, rows.set_index("Universe", drop=False))

    # then
    assert indexed.tolist() == predict_unique_rows(pipeline, rows).tolist()
