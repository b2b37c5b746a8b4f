"""Early stopping: how many trees help is found on training rows, and all of them are fitted with so many."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from marvel_assets.config import EarlyStopping, ProjectConfig
from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import build_pipeline, fit_pipeline
from marvel_assets.training.fit import fit_from_config, is_held_out
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET, split_of

TOO_MANY = {"learning_rate": 0.1, "n_estimators": 120, "max_depth": 6}
SETTINGS = EarlyStopping(rounds=20, share=0.2)


@pytest.fixture(scope="module")
def ids(sets: dict[str, pd.DataFrame]) -> pd.Series:
    return pd.Series([f"character {number}" for number in range(len(sets["train"]))], index=sets["train"].index)


def configured(parameters: dict[str, Any]) -> Pipeline:
    return build_pipeline(CATEGORICAL, LightGBM(**parameters), 1, min_frequency=50)


@pytest.fixture
def config(way: ProjectConfig) -> ProjectConfig:
    return way.model_copy(update={"model": LightGBM(**TOO_MANY), "early_stopping": SETTINGS})


def test_all_rows_are_fitted_with_the_number_of_trees_that_has_the_smallest_log_loss_on_those_held_out(
    sets: dict[str, pd.DataFrame], ids: pd.Series, config: ProjectConfig
):
    # given: the log loss on the rows held out after each number of trees
    train, held_out = sets["train"], is_held_out(ids, SETTINGS.share)
    alone = fit_pipeline(configured(TOO_MANY), train[~held_out], FEATURE_NAMES, TARGET)
    unseen = alone[:-1].transform(train[held_out][FEATURE_NAMES])
    losses = [
        log_loss(train[held_out][TARGET], alone[-1].predict_proba(unseen, num_iteration=trees)[:, 1])
        for trees in range(1, TOO_MANY["n_estimators"] + 1)
    ]

    # when
    fitted = fit_from_config(config, train, ids, 1)

    # then
    trees = fitted.named_steps["classify"].booster_.num_trees()
    assert trees == int(np.argmin(losses)) + 1 < TOO_MANY["n_estimators"]

    # and: it is the fit of all rows with as many trees
    again = fit_pipeline(configured(TOO_MANY | {"n_estimators": trees}), train, FEATURE_NAMES, TARGET)
    test = sets["test"][FEATURE_NAMES]
    np.testing.assert_array_equal(fitted.predict_proba(test), again.predict_proba(test))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_as_many_training_rows_as_asked_for_are_held_out(share: float):
    # given: training ids alone, whose plain hashes all lie above a bound
    training = [name for name in (f"character {number}" for number in range(25_000)) if split_of(name) == "train"]

    # then
    assert is_held_out(training, share).mean() == pytest.approx(share, abs=0.01)


def test_rows_that_do_not_do_are_refused_with_the_key_and_what_to_change(
    sets: dict[str, pd.DataFrame], ids: pd.Series, config: ProjectConfig
):
    # given
    few, names = sets["train"].head(3), ids.head(3)

    # then
    with pytest.raises(ValueError, match=r"early_stopping.share is 0.2: of 3 training rows.*Choose another share"):
        # when
        fit_from_config(config, few, names, 1)
