"""The search for parameters: seeded, bounded in time, and the same whether or not it is cut off."""

from pathlib import Path
from statistics import fmean

import optuna
import pandas as pd
import pytest
import yaml
from sklearn.metrics import log_loss, roc_auc_score

from marvel_assets.config import EarlyStopping, ProjectConfig
from marvel_assets.evaluation.metrics import Interval
from marvel_assets.model.estimators import HistGradientBoosting
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.training.cross_validation import TrainingRows, folds, scores
from marvel_assets.training.fit import fit_from_config
from marvel_assets.training.search import (
    HoldoutComparison,
    SearchBudget,
    SearchResult,
    compare_on_holdout,
    search,
    split_holdout,
    suggested,
    to_yaml,
    trials_table,
)

EFFORT = SearchBudget(trials=12, minutes=60, splits=2, seed=5, threads=1)
FEWER = 4


@pytest.fixture(scope="module")
def training(sets: dict[str, pd.DataFrame]) -> TrainingRows:
    rows = sets["train"].head(300).reset_index(drop=True)
    return TrainingRows(rows, pd.Series([f"character {number}" for number in rows.index]))


@pytest.fixture(scope="module")
def result(way: ProjectConfig, training: TrainingRows, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Of a study that went through without a break."""
    return search(way, training, EFFORT, tmp_path_factory.mktemp("study") / "study.db", print)


def without_seconds(result: SearchResult) -> pd.DataFrame:
    return trials_table(result).drop(columns="seconds")


def test_a_study_finds_the_same_when_its_time_was_up_and_a_kill_left_a_trial_running(
    way: ProjectConfig, training: TrainingRows, result: SearchResult, tmp_path: Path
):
    # given: more trials follow than are drawn by chance, so that the later ones depend on those before
    file, lines = tmp_path / "study.db", []
    search(way, training, EFFORT._replace(trials=FEWER), file, lines.append)
    cut = search(way, training, EFFORT._replace(minutes=1e-9), file, lines.append)
    pd.testing.assert_frame_equal(without_seconds(cut), without_seconds(result).head(FEWER))
    assert lines[-1].startswith("Time is up")
    study = optuna.load_study(study_name="parameters", storage=f"sqlite:///{file}")
    suggested(study.ask(), way, [False, True])

    # when
    whole = search(way, training, EFFORT, file, print)

    # then
    pd.testing.assert_frame_equal(without_seconds(whole), without_seconds(result))


def test_a_trials_figures_are_those_of_its_written_parameters(
    result: SearchResult, way: ProjectConfig, training: TrainingRows, tmp_path: Path
):
    # given: the parameters as a person would paste them
    nothing = Interval(0, 0, 0)
    pasted = yaml.safe_load(to_yaml(result, HoldoutComparison(0, nothing, nothing), "rows"))
    settings = yaml.safe_load((PROJECT_ROOT / "config" / "project.yml").read_text()) | pasted

    # when
    (tmp_path / "project.yml").write_text(yaml.safe_dump(settings))
    config = ProjectConfig.from_yaml(tmp_path / "project.yml")
    judged = list(scores(config, training, folds(training, way.target, EFFORT.splits, 1, EFFORT.seed), 1))

    # then
    assert fmean(score.log_loss for score in judged) == result.best.log_loss


def test_with_early_stopping_the_number_of_trees_is_no_part_of_the_search(way: ProjectConfig):
    # given
    trial = optuna.create_study().ask()

    # when
    suggested(trial, way.model_copy(update={"early_stopping": EarlyStopping()}), [False, True])

    # then
    assert {*trial.params} >= {"learning_rate", "native_categories"}
    assert "n_estimators" not in trial.params


@pytest.mark.parametrize(("universes", "tried"), [(255, {False, True}), (256, {False})])
def test_native_categories_are_tried_where_the_classifier_takes_so_many(
    way: ProjectConfig, tmp_path: Path, universes: int, tried: set[bool]
):
    # given: scikit-learn's trees take 255 categories of a column
    rows = pd.DataFrame({"Universe": [f"Earth-{row % universes}" for row in range(1024)], "Alive": [0, 1] * 512})
    training = TrainingRows(rows, rows["Universe"])
    features = {"num_features": (), "cat_features": ("Universe",), "min_frequency": 1}
    few_trees = {"model": HistGradientBoosting(max_iter=2), "early_stopping": EarlyStopping()}
    config = way.model_copy(update={**features, **few_trees})

    # when
    found = search(config, training, EFFORT._replace(trials=6), tmp_path / "study.db", print)

    # then
    assert {trial.config.native_categories for trial in found.trials} == tried


def test_the_best_is_compared_with_the_configured_parameters_on_rows_that_the_search_did_not_see(
    result: SearchResult, way: ProjectConfig, training: TrainingRows
):
    # given
    searched, holdout = split_holdout(training, way.target, 0.3)
    assert sorted([*searched.ids, *holdout.ids]) == sorted(training.ids)

    # when
    compared = compare_on_holdout(way, result.best.config, searched, holdout, threads=1)

    # then: worked out by hand
    losses, areas = [], []
    for config in (result.best.config, way):
        fitted = fit_from_config(config, searched.rows, searched.ids, 1)
        probability = fitted.predict_proba(holdout.rows[list(config.features)])[:, 1]
        losses.append(log_loss(holdout.rows[way.target], probability))
        areas.append(roc_auc_score(holdout.rows[way.target], probability))
    assert compared.log_loss.estimate == pytest.approx(losses[0] - losses[1])
    assert compared.roc_auc.estimate == pytest.approx(areas[0] - areas[1])
    assert compared.log_loss.low < compared.log_loss.estimate < compared.log_loss.high


def test_a_holdout_without_both_classes_says_what_to_change(way: ProjectConfig, training: TrainingRows):
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
