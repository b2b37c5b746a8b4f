"""Each kind of classifier fits the same trees again, can be stored, and explains itself."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from marvel_assets.config import ProjectConfig
from marvel_assets.model.estimators import KINDS, HistGradientBoosting, LightGBM, estimator_class
from marvel_assets.model.estimators.base import Estimator
from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.model.wrapper import explain
from marvel_assets.training.fit import fit_from_config
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET

LIGHTGBM = LightGBM(learning_rate=0.1, n_estimators=20, max_depth=4)
HIST = HistGradientBoosting(max_iter=20, max_depth=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """OpenMP's threads wait by spinning, which takes minutes beside another worker's."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.fixture(scope="module", params=[LIGHTGBM, HIST], ids=lambda estimator: estimator.kind)
def estimator(request: pytest.FixtureRequest) -> Estimator:
    return request.param


@pytest.fixture(scope="module")
def config(way: ProjectConfig, estimator: Estimator) -> ProjectConfig:
    return way.model_copy(update={"model": estimator})


@pytest.fixture(scope="module")
def fitted(config: ProjectConfig, sets: dict[str, pd.DataFrame]) -> Pipeline:
    return fit_from_config(config.model_copy(update={"native_categories": True}), sets["train"], 1)


def test_it_is_stored_with_trusted_types_and_predicts_the_same(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # when
    stored = skops.io.dumps(fitted)
    loaded = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))

    # then: what is trusted is the pipeline's own and its kind's, and all of that is needed
    of_kinds = {name for kind in KINDS for name in kind.trusted_types}
    needed = set(TRUSTED_TYPES) - of_kinds | set(estimator_class(fitted).trusted_types)
    assert set(skops.io.get_untrusted_types(data=stored)) == needed
    rows = sets["test"][FEATURE_NAMES]
    np.testing.assert_array_equal(loaded.predict_proba(rows), fitted.predict_proba(rows))


def test_its_trees_are_the_same_for_any_number_of_threads(config: ProjectConfig, sets: dict[str, pd.DataFrame]):
    # when
    first, second = (fit_from_config(config, sets["train"], threads) for threads in (1, 2))

    # then
    rows = sets["test"][FEATURE_NAMES]
    np.testing.assert_array_equal(first.predict_proba(rows), second.predict_proba(rows))
    assert first[-1].n_iter_ == config.model.max_trees == 20


def test_a_feature_that_decides_everything_is_the_most_important(config: ProjectConfig, estimator: Estimator):
    # given
    rows = pd.DataFrame({"noise": np.arange(2000) % 7, "signal": np.arange(2000) % 2 * 1.0})
    target = rows["signal"].astype(int)
    config = config.model_copy(update={"num_features": tuple(rows), "cat_features": ()})
    pipeline = fit_from_config(config, rows.assign(Alive=target), 1)

    # when
    importances = estimator.importances(pipeline[-1], rows, target)

    # then
    assert list(importances) == ["noise", "signal"]
    assert importances["signal"] > 0.1 > abs(importances["noise"])


def test_importances_of_a_model_that_never_splits_are_zero(
    config: ProjectConfig, estimator: Estimator, sets: dict[str, pd.DataFrame]
):
    # given: fewer rows than a leaf takes
    few = sets["train"].groupby(TARGET).head(5)
    pipeline = fit_from_config(config.model_copy(update={"num_features": ()}), few, 1)

    # when
    importances = estimator.importances(pipeline[-1], pipeline[:-1].transform(few[CATEGORICAL]), few[TARGET])

    # then
    assert set(importances.values()) == {0}


def test_contributions_and_base_value_add_up_to_the_raw_score_where_there_are_any(
    fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given
    rows = sets["test"][FEATURE_NAMES].head(20)
    explanation = partial(explain, fitted, rows, ("dead", "alive"))

    # then
    if not estimator_class(fitted).explains:
        with pytest.raises(ValueError, match="does not explain its answers; a model of kind lightgbm does"):
            explanation()
        return
    found = explanation()
    sums = [sum(each.values()) + base for each, base in zip(found["contributions"], found["base_value"], strict=True)]
    np.testing.assert_allclose(sums, fitted.predict(rows, raw_score=True))


def test_a_fit_of_lightgbm_reports_each_tree(sets: dict[str, pd.DataFrame]):
    # given
    trees: list[int] = []

    # when
    LIGHTGBM.build(1).fit(sets["train"][["Height"]], sets["train"][TARGET], **LIGHTGBM.progress_arguments(trees.append))

    # then
    assert trees == list(range(1, 21))
