"""The search for parameters: seeded, bounded in time, and the same whether or not it is cut off."""

from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from marvel_assets.config import EarlyStopping, ProjectConfig
from marvel_assets.evaluation.metrics import Interval
from marvel_assets.model.estimators import HistGradientBoosting
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.training.fit import fit_from_config
from marvel_assets.training.search import (
    HoldoutComparison,
    SearchBudget,
    SearchResult,
    compare_on_holdout,
    fold_scores,
    search,
    split_holdout,
    suggested_config,
    to_yaml,
)
from marvel_assets_tests.kaggle import TARGET

BUDGET = SearchBudget(trials=12, minutes=60, splits=2, seed=5, threads=1)
FEWER = 4


@pytest.fixture(scope="module")
def training(sets: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return sets["train"].head(300).set_axis([f"character {number}" for number in range(300)])


@pytest.fixture(scope="module")
def result(way: ProjectConfig, training: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Of a study that went through without a break."""
    return search(way, training, BUDGET, tmp_path_factory.mktemp("study") / "study.db", print)


def without_seconds(result: SearchResult) -> pd.DataFrame:
    return result.table().drop(columns="seconds")


def test_a_study_finds_the_same_when_its_time_was_up_and_a_kill_left_a_trial_running(
    way: ProjectConfig, training: pd.DataFrame, result: SearchResult, tmp_path: Path
):
    # given: more trials follow than are drawn by chance, so that the later ones depend on those before
    file, lines = tmp_path / "study.db", []
    search(way, training, BUDGET._replace(trials=FEWER), file, lines.append)
    cut = search(way, training, BUDGET._replace(minutes=1e-9), file, lines.append)
    pd.testing.assert_frame_equal(without_seconds(cut), without_seconds(result).head(FEWER))
    assert lines[-1].startswith("Time is up")
    study = optuna.load_study(study_name="parameters", storage=f"sqlite:///{file}")
    suggested_config(study.ask(), way)

    # when
    whole = search(way, training, BUDGET, file, print)

    # then
    pd.testing.assert_frame_equal(without_seconds(whole), without_seconds(result))


def test_a_trials_score_is_that_of_the_parameters_that_are_printed(
    result: SearchResult, way: ProjectConfig, training: pd.DataFrame, tmp_path: Path
):
    # given: the parameters as a person would paste them
    nothing = Interval(0, 0, 0)
    pasted = yaml.safe_load(to_yaml(result, HoldoutComparison(0, nothing, nothing), "rows"))
    settings = yaml.safe_load((PROJECT_ROOT / "config" / "project.yml").read_text()) | pasted
    (tmp_path / "project.yml").write_text(yaml.safe_dump(settings))

    # when
    config = ProjectConfig.from_yaml(tmp_path / "project.yml")
    splitter = StratifiedKFold(BUDGET.splits, shuffle=True, random_state=BUDGET.seed)
    scores = fold_scores(config, training, list(splitter.split(training, training[way.target])), 1)

    # then
    assert scores["log_loss"].mean() == result.best.log_loss


def test_native_categories_are_tried_and_early_stopping_decides_the_trees(
    way: ProjectConfig, training: pd.DataFrame, tmp_path: Path
):
    # given
    few_trees = {"model": HistGradientBoosting(max_iter=2), "early_stopping": EarlyStopping()}
    config = way.model_copy(update=few_trees)

    # when
    found = search(config, training, BUDGET._replace(trials=6), tmp_path / "study.db", print)

    # then
    assert {trial.config.native_categories for trial in found.trials} == {False, True}
    assert {trial.config.model.max_iter for trial in found.trials} == {2}


def test_the_best_is_compared_with_the_configured_parameters_on_rows_that_the_search_did_not_see(
    result: SearchResult, way: ProjectConfig, training: pd.DataFrame
):
    # given
    searched, holdout = split_holdout(training, way.target, 0.3)
    assert sorted([*searched.index, *holdout.index]) == sorted(training.index)

    # when
    compared = compare_on_holdout(way, result.best.config, searched, holdout, threads=1)

    # then: worked out by hand
    losses, areas = [], []
    for config in (result.best.config, way):
        probability = fit_from_config(config, searched, 1).predict_proba(holdout[list(config.features)])[:, 1]
        losses.append(log_loss(holdout[TARGET], probability))
        areas.append(roc_auc_score(holdout[TARGET], probability))
    assert compared.log_loss.estimate == pytest.approx(losses[0] - losses[1])
    assert compared.roc_auc.estimate == pytest.approx(areas[0] - areas[1])
    assert compared.log_loss.low < compared.log_loss.estimate < compared.log_loss.high


def test_too_few_rows_of_a_class_say_what_to_change(way: ProjectConfig, training: pd.DataFrame):
    with pytest.raises(ValueError, match=r"column Alive: the 0 of 300 training rows .* Use a larger holdout"):
        split_holdout(training, way.target, 1e-9)


@pytest.mark.parametrize(
    ("high", "advice"), [(-0.001, "# Better beyond the interval."), (0.001, "keep the parameters that are configured")]
)
def test_the_block_says_whether_it_is_worth_it(result: SearchResult, high: float, advice: str):
    # when
    loss = Interval(high - 0.01, high - 0.02, high)
    text = to_yaml(result, HoldoutComparison(60, Interval(0, 0, 0), loss), "300 rows")

    # then
    assert advice in text
    assert "on 300 rows" in text
