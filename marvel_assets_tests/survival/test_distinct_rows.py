"""A model is asked once for each distinct row, and every row gets its own answer."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.survival.distinct_rows import FEWEST_ROWS, asked_once_each
from marvel_assets_tests.survival.conftest import FEATURE_NAMES


class Recorder:
    """Answers with the text of each row, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, rows: pd.DataFrame) -> list[str]:
        self.asked += len(rows)
        return [str(row) for row in rows.itertuples(index=False, name=None)]


def many(*kinds: tuple[object, ...], rows: int = 4 * FEWEST_ROWS) -> pd.DataFrame:
    """Rows of these kinds, in an order of chance."""
    drawn = np.random.default_rng(7).integers(0, len(kinds), rows)
    return pd.DataFrame([kinds[kind] for kind in drawn], columns=["Height", "Universe", "Teams"])


KINDS = ((1.8, "Earth-616", 1), (np.nan, "Earth-616", 1), (np.nan, None, 0), (1.8, "", 0), (-0.5, "Earth-616", 1))


def test_every_row_gets_the_answer_to_itself():
    # given
    rows = many(*KINDS)

    # then
    assert list(asked_once_each(rows, Recorder())) == Recorder()(rows)


def test_equal_rows_are_asked_once_missing_cells_included():
    # given
    model = Recorder()

    # when
    asked_once_each(many(*KINDS), model)

    # then
    assert model.asked == len(KINDS)


def test_few_rows_are_asked_as_they_are():
    # given
    model = Recorder()

    # when
    asked_once_each(many(*KINDS, rows=FEWEST_ROWS - 1), model)

    # then
    assert model.asked == FEWEST_ROWS - 1


@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row_are_answered(rows: int):
    assert len(asked_once_each(many(*KINDS).head(rows), Recorder())) == rows


def test_a_fitted_pipelines_probabilities_are_the_same_to_the_last_bit(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # given
    rows = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES]
    assert len(rows) > FEWEST_ROWS

    # then
    assert (asked_once_each(rows, fitted.predict_proba) == fitted.predict_proba(rows)).all()


def test_cells_that_no_model_takes_are_told_by_the_model(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # given
    rows = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES].astype({"Universe": object})
    rows["Universe"] = [["Earth-616"]] * len(rows)

    # then
    with pytest.raises(TypeError, match="Column 'Universe' holds cells that can't be encoded"):
        asked_once_each(rows, fitted.predict_proba)
