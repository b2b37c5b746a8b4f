"""Cross-validation: the same folds for both ways to fit, and an interval that is honest about shared rows."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.predictions import difference
from marvel_assets.config import ProjectConfig
from marvel_assets.training.cross_validation import TrainingRows, folds, scores
from marvel_assets_tests.kaggle import TARGET


@pytest.fixture(scope="module")
def training(sets: dict[str, pd.DataFrame]) -> TrainingRows:
    rows = sets["train"].head(900).reset_index(drop=True)
    return TrainingRows(rows, pd.Series([f"character {number}" for number in rows.index]))


def test_too_few_rows_of_a_class_are_refused_by_name(training: TrainingRows):
    # given
    dead = np.flatnonzero(training.rows[TARGET] == 0)
    alive = np.flatnonzero(training.rows[TARGET] == 1)

    # then
    with pytest.raises(ValueError, match=r"column Alive: 5 folds need 5 rows of each class; of 103 training rows 3 "):
        # when
        folds(training.at(np.concatenate([dead[:3], alive[:100]])), TARGET, 5, 1, 1)


def test_a_fold_is_judged_by_a_fit_that_has_not_seen_it(training: TrainingRows, way: ProjectConfig):
    # given: a target that no feature predicts, so that only who has seen the rows can know it
    drawn = np.random.default_rng(3).integers(0, 2, len(training.ids))
    guessing = TrainingRows(training.rows.assign(Alive=drawn), training.ids)

    # when
    found = list(scores(way, guessing, folds(guessing, TARGET, 3, 1, 1), 1))

    # then
    assert np.mean([score.roc_auc for score in found]) == pytest.approx(0.5, abs=0.08)


def test_the_interval_is_the_corrected_one():
    # given: Nadeau and Bengio's variance, worked out by hand for five folds
    ours, theirs = [0.71, 0.72, 0.74, 0.70, 0.73], [0.70, 0.70, 0.70, 0.70, 0.70]
    variance = (1 / 5 + 1 / 4) * 0.00025
    reach = 2.7764451051977987 * variance**0.5

    # when
    found = difference(ours, theirs, splits=5)

    # then
    assert (found.estimate, found.low, found.high) == pytest.approx((0.02, 0.02 - reach, 0.02 + reach))
