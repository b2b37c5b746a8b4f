"""A model is asked once for each distinct row, on every core, and every row gets its own answer."""

import os
import threading
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.model.batching import MIN_ROWS, predict_in_threads, predict_unique_rows
from marvel_assets_tests.fitted_rows import FEATURE_NAMES


class Recorder:
    """Answers with the text of each row, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, rows: pd.DataFrame) -> list[str]:
        self.asked += len(rows)
        return [str(row) for row in rows.itertuples(index=False, name=None)]


def many(*kinds: tuple[object, ...], rows: int = 4 * MIN_ROWS) -> pd.DataFrame:
    """Rows of these kinds, in an order of chance."""
    drawn = np.random.default_rng(7).integers(0, len(kinds), rows)
    return pd.DataFrame([kinds[kind] for kind in drawn], columns=["Height", "Universe", "Teams"])


KINDS = ((1.8, "Earth-616", 1), (np.nan, "Earth-616", 1), (np.nan, None, 0), (1.8, "", 0), (-0.5, "Earth-616", 1))


def test_every_row_gets_the_answer_to_itself():
    # given
    rows = many(*KINDS)

    # then
    assert list(predict_unique_rows(rows, Recorder())) == Recorder()(rows)


def test_equal_rows_are_asked_once_missing_cells_included():
    # given
    model = Recorder()

    # when
    predict_unique_rows(many(*KINDS), model)

    # then
    assert model.asked == len(KINDS)


def test_few_rows_are_asked_as_they_are():
    # given
    model = Recorder()

    # when
    predict_unique_rows(many(*KINDS, rows=MIN_ROWS - 1), model)

    # then
    assert model.asked == MIN_ROWS - 1


@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row_are_answered(rows: int):
    assert len(predict_unique_rows(many(*KINDS).head(rows), Recorder())) == rows


def test_a_fitted_pipelines_probabilities_are_the_same_to_the_last_bit(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # given
    rows = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES]
    assert len(rows) > MIN_ROWS

    # then
    assert (predict_unique_rows(rows, fitted.predict_proba) == fitted.predict_proba(rows)).all()


def test_cells_that_no_model_takes_are_told_by_the_model(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # given
    rows = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES].astype({"Universe": object})
    rows["Universe"] = [["Earth-616"]] * len(rows)

    # then
    with pytest.raises(ValueError, match="column Universe: expected text"):
        predict_unique_rows(rows, fitted.predict_proba)


def test_parts_of_the_rows_are_asked_on_every_core_and_answered_in_the_order_of_the_rows():
    # given
    threads = set()
    rows = many(*KINDS).assign(Teams=range(4 * MIN_ROWS))

    def ask(part: pd.DataFrame) -> list[int]:
        threads.add(threading.get_ident())
        time.sleep(0.05)  # for a thread that is done takes the next part
        return list(part["Teams"])

    # when
    answers = predict_in_threads(ask)(rows)

    # then
    assert list(answers) == list(rows["Teams"])
    assert len(threads) == min(os.cpu_count() or 1, 4)


@pytest.mark.parametrize("rows", [1, MIN_ROWS, 2 * MIN_ROWS + 1])
def test_every_core_answers_to_the_last_bit_as_one_does(fitted: Pipeline, sets: dict[str, pd.DataFrame], rows: int):
    # given
    asked = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES].head(rows)

    # then
    assert (predict_in_threads(fitted.predict_proba)(asked) == fitted.predict_proba(asked)).all()


def test_what_a_part_fails_with_is_told_as_it_is():
    # given
    def ask(part: pd.DataFrame) -> list[int]:
        raise ValueError(f"column Teams: {part['Teams'].iloc[0]}")

    # then
    with pytest.raises(ValueError, match="column Teams: "):
        predict_in_threads(ask)(many(*KINDS))
