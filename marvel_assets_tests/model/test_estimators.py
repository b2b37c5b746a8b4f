"""Each kind of classifier fits the same trees again, can be stored, and says what it knows of itself."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from marvel_assets.config import EarlyStopping, ProjectConfig
from marvel_assets.model.estimators import KINDS, HistGradientBoosting, LightGBM, kind_of
from marvel_assets.model.estimators.base import Estimator
from marvel_assets.model.pipeline import TRUSTED_TYPES, build_pipeline, fit_pipeline
from marvel_assets.model.wrapper import explain
from marvel_assets.training.fit import fit_from_config, is_held_out
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET

FEW = {
    LightGBM: LightGBM(learning_rate=0.1, n_estimators=20, max_depth=4),
    HistGradientBoosting: HistGradientBoosting(max_iter=20, max_depth=4),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """OpenMP's threads wait by spinning, which takes minutes beside another worker's."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def estimator(request: pytest.FixtureRequest) -> Estimator:
    return FEW[request.param]


@pytest.fixture(scope="module")
def fitted(estimator: Estimator, sets: dict[str, pd.DataFrame]) -> Pipeline:
    pipeline = build_pipeline(CATEGORICAL, estimator, 1, min_frequency=50)
    return fit_pipeline(pipeline, sets["train"], FEATURE_NAMES, TARGET, native_categories=True)


def encoded(pipeline: Pipeline, rows: pd.DataFrame) -> pd.DataFrame:
    return pipeline[:-1].transform(rows[FEATURE_NAMES])


def test_it_is_stored_with_types_that_are_trusted_and_predicts_the_same(
    fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    stored = skops.io.dumps(fitted)
    back = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))

    # then: what is trusted is the pipeline's own and its kind's, and all of that is needed
    of_kinds = {name for kind in KINDS for name in kind.trusted_types}
    needed = set(TRUSTED_TYPES) - of_kinds | set(kind_of(fitted).trusted_types)
    assert set(skops.io.get_untrusted_types(data=stored)) == needed
    rows = sets["test"][FEATURE_NAMES]
    np.testing.assert_array_equal(back.predict_proba(rows), fitted.predict_proba(rows))


def test_its_trees_are_the_same_for_any_number_of_threads(
    estimator: Estimator, sets: dict[str, pd.DataFrame], way: ProjectConfig
):
    # when
    first, second = (
        fit_from_config(way.model_copy(update={"model": estimator}), sets["train"], None, threads) for threads in (1, 2)
    )

    # then
    rows = sets["test"][FEATURE_NAMES]
    np.testing.assert_array_equal(first.predict_proba(rows), second.predict_proba(rows))
    assert kind_of(first).count_trees(first[-1]) == estimator.max_trees == 20


def test_early_stopping_of_scikit_learns_trees_finds_the_smallest_log_loss_on_the_rows_held_out(
    sets: dict[str, pd.DataFrame], way: ProjectConfig
):
    # given
    train = sets["train"]
    ids = pd.Series([f"character {number}" for number in range(len(train))], index=train.index)
    held_out = is_held_out(ids, 0.2)
    config = way.model_copy(update={"model": HistGradientBoosting(max_iter=120, learning_rate=0.2)})
    alone = fit_from_config(config, train[~held_out], None, 1)
    validation = encoded(alone, train[held_out])
    losses = [log_loss(train[held_out][TARGET], stage) for stage in alone[-1].staged_predict_proba(validation)]

    # when
    stopping = config.model_copy(update={"early_stopping": EarlyStopping(rounds=20, share=0.2)})
    fitted = fit_from_config(stopping, train, ids, 1)

    # then
    assert kind_of(fitted).count_trees(fitted[-1]) == int(np.argmin(losses)) + 1 < 120


def test_a_feature_that_decides_everything_is_the_most_important(estimator: Estimator):
    # given
    rows = pd.DataFrame({"noise": np.arange(2000) % 7, "signal": np.arange(2000) % 2 * 1.0})
    pipeline = fit_pipeline(
        build_pipeline([], estimator, 1), rows.assign(Alive=rows["signal"].astype(int)), list(rows), "Alive"
    )

    # when
    importances = type(estimator).importances(pipeline[-1], rows, rows["signal"].astype(int))

    # then
    assert list(importances) == ["noise", "signal"]
    assert importances["signal"] > 0.1 > abs(importances["noise"])


def test_importances_of_a_model_that_never_splits_are_nothing(sets: dict[str, pd.DataFrame]):
    # given: fewer rows than a leaf takes
    few = sets["train"].groupby(TARGET).head(5)
    for estimator in FEW.values():
        pipeline = fit_pipeline(build_pipeline(CATEGORICAL, estimator, 1), few, CATEGORICAL, TARGET)

        # then
        assert set(
            type(estimator).importances(pipeline[-1], pipeline[:-1].transform(few[CATEGORICAL]), few[TARGET]).values()
        ) == {0}


def test_a_feature_that_is_missing_everywhere_is_named_where_the_kind_does_not_take_it(sets: dict[str, pd.DataFrame]):
    # given
    rows = sets["train"].assign(Height=np.nan)

    # then
    fit_pipeline(build_pipeline(CATEGORICAL, FEW[LightGBM], 1), rows, FEATURE_NAMES, TARGET)
    with pytest.raises(ValueError, match=r"^Height: missing in all .* Remove it from the features"):
        fit_pipeline(build_pipeline(CATEGORICAL, FEW[HistGradientBoosting], 1), rows, FEATURE_NAMES, TARGET)


def test_contributions_and_base_value_add_up_to_the_raw_score_where_there_are_any(
    fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given
    rows = sets["test"][FEATURE_NAMES].head(20)
    answer = partial(explain, fitted, rows, ("dead", "alive"))

    # then
    if not kind_of(fitted).explains:
        with pytest.raises(ValueError, match="does not explain its answers; a model of kind lightgbm does"):
            answer()
        return
    said = answer()
    sums = [sum(each.values()) + base for each, base in zip(said["contributions"], said["base_value"], strict=True)]
    np.testing.assert_allclose(sums, fitted.predict(rows, raw_score=True))


def test_staged_probabilities_are_those_of_fewer_trees(
    estimator: Estimator, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    rows = encoded(fitted, sets["test"])
    few, all_of_them = estimator.staged_probabilities(fitted[-1], [3, 20], rows).T

    # then
    np.testing.assert_allclose(all_of_them, fitted.predict_proba(sets["test"][FEATURE_NAMES])[:, 1])
    assert log_loss(sets["test"][TARGET], few) > log_loss(sets["test"][TARGET], all_of_them)


def test_a_fit_of_lightgbm_reports_each_tree(sets: dict[str, pd.DataFrame]):
    # given
    grown: list[int] = []

    # when
    pipeline = build_pipeline(CATEGORICAL, FEW[LightGBM], 1)
    fit_pipeline(pipeline, sets["train"], FEATURE_NAMES, TARGET, report=grown.append)

    # then
    assert grown == list(range(1, 21))
