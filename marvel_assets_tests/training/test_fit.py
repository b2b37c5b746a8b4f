"""Early stopping: the best number of trees is found on held-out training rows, and all of them are fitted with it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from marvel_assets.config import EarlyStopping, ProjectConfig
from marvel_assets.model.estimators import HistGradientBoosting, LightGBM
from marvel_assets.model.estimators.base import Estimator
from marvel_assets.training.fit import fit_from_config, is_held_out
from marvel_assets_tests.fitted_rows import FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET, split_of

SETTINGS = EarlyStopping(rounds=20, share=0.2)


@pytest.fixture(scope="module")
def train(sets: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Training rows, indexed by id."""
    return sets["train"].set_axis([f"character {number}" for number in range(len(sets["train"]))])


@pytest.mark.parametrize(
    "model",
    [
        LightGBM(learning_rate=0.1, n_estimators=120, max_depth=6),
        HistGradientBoosting(learning_rate=0.2, max_iter=120),
    ],
    ids=lambda model: model.kind,
)
def test_all_rows_are_fitted_with_the_number_of_trees_that_has_the_smallest_log_loss_on_those_held_out(
    train: pd.DataFrame, sets: dict[str, pd.DataFrame], way: ProjectConfig, model: Estimator
):
    # given: the log loss on the rows held out after each number of trees
    held_out = is_held_out(train.index, SETTINGS.share)
    config = way.model_copy(update={"model": model})
    fitted = fit_from_config(config, train[~held_out], 1)
    unseen = fitted[:-1].transform(train[held_out][FEATURE_NAMES])
    stages = model.staged_probabilities(fitted[-1], range(1, model.max_trees + 1), unseen).T
    losses = [log_loss(train[held_out][TARGET], stage) for stage in stages]

    # when
    fitted = fit_from_config(config.model_copy(update={"early_stopping": SETTINGS}), train, 1)

    # then: it is the fit of all rows with as many trees
    trees = fitted[-1].n_iter_
    assert trees == int(np.argmin(losses)) + 1 < model.max_trees
    again = fit_from_config(config.with_parameters({model.trees_argument: trees}), train, 1)
    test = sets["test"][FEATURE_NAMES]
    np.testing.assert_array_equal(fitted.predict_proba(test), again.predict_proba(test))


def test_a_feature_that_is_missing_everywhere_is_named_where_the_kind_does_not_take_it(
    train: pd.DataFrame, way: ProjectConfig
):
    # given
    rows = train.assign(Height=np.nan)

    # then
    fit_from_config(way, rows, 1)
    with pytest.raises(ValueError, match=r"^column Height: missing in all .* Remove it from the features"):
        fit_from_config(way.model_copy(update={"model": HistGradientBoosting(max_iter=5)}), rows, 1)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_configured_share_of_training_rows_is_held_out(share: float):
    # given: training ids alone, whose plain hashes all lie above a bound
    training = [name for name in (f"character {number}" for number in range(25_000)) if split_of(name) == "train"]

    # then
    assert is_held_out(training, share).mean() == pytest.approx(share, abs=0.01)


def test_too_few_rows_are_refused_with_the_key_and_what_to_change(train: pd.DataFrame, way: ProjectConfig):
    with pytest.raises(ValueError, match=r"Alive: early_stopping.share 0.2 must leave both classes .*; found \d rows"):
        fit_from_config(way.model_copy(update={"early_stopping": SETTINGS}), train.head(3), 1)
