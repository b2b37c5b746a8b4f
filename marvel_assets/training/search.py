"""A seeded search for better parameters, on the training rows. It proposes; you decide.

Optuna's tree-structured Parzen estimator (Bergstra et al., 2011) chooses each trial. Its seed is the study's seed plus
the number of trials, so that a choice depends only on the stored trials: a study that was killed or ran out of time
continues as if it had not been interrupted.

The best of many trials is partly lucky with the rows it was chosen on, and new folds of the same rows share that luck.
So it is compared with the configured parameters on rows that were held out before the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import optuna
import pandas as pd
import yaml
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from scipy.stats import ttest_rel

from marvel_assets.evaluation.metrics import Interval, paired_difference, minority_count
from marvel_assets.training.cross_validation import Score, TrainingRows, folds, scores
from marvel_assets.training.fit import fit_from_config, is_held_out, pipeline_from_config

if TYPE_CHECKING:
    from marvel_assets.config import ProjectConfig

SCORE, CONFIGURED = "score", "configured"
"""Optuna attributes: a trial's scores, and the study's scores of the configured parameters."""

CONFIDENCE = 0.95


class SearchBudget(NamedTuple):
    """The limits and settings of a search: no trial starts after ``minutes``, and ``trials`` include earlier runs'."""

    trials: int
    minutes: float
    splits: int
    seed: int
    threads: int


class Trial(NamedTuple):
    """A set of parameters and its mean scores over the folds."""

    config: ProjectConfig
    roc_auc: float
    log_loss: float
    seconds: float


class SearchResult(NamedTuple):
    """All completed trials of a study, in order, and the configured parameters' scores on the same folds."""

    trials: tuple[Trial, ...]
    configured: Score

    @property
    def best(self) -> Trial:
        """The trial with the smallest log loss."""
        return min(self.trials, key=lambda trial: trial.log_loss)


class HoldoutComparison(NamedTuple):
    """The best parameters' metrics minus the configured ones', on rows that the search did not use."""

    rows: int
    roc_auc: Interval
    log_loss: Interval


def split_holdout(training: TrainingRows, target: str, share: float) -> tuple[TrainingRows, TrainingRows]:
    """Rows to search on, and rows held out before the search, by a hash of their ids.

    Raises:
        ValueError: the held-out rows have fewer than two rows of a class.
    """
    # Salted: the plain ids decide what early stopping holds out.
    held_out = is_held_out((f"tuning {name}" for name in training.ids), share)
    searched, holdout = (training.at(np.flatnonzero(part)) for part in (~held_out, held_out))
    if minority_count(holdout.rows[target]) < 2:  # noqa: PLR2004
        raise ValueError(
            f"column {target}: the {len(holdout.ids):,} of {len(training.ids):,} training rows that are held out don't "
            "have two rows of each class. Use a larger holdout or more rows."
        )
    return searched, holdout


def search(
    config: ProjectConfig, training: TrainingRows, budget: SearchBudget, storage: Path, log: Callable[[str], None]
) -> SearchResult:
    """Try parameters until the budget is used up; at least one set.

    Args:
        config: features, and the parameters to compare with; with early stopping, the number of trees is not searched.
        training: the rows to cross-validate on.
        budget: trials and time.
        storage: SQLite file of the study, which is continued if it is there.
        log: called with a line for each trial.

    Raises:
        ValueError: there are too few rows for the folds.
    """
    parts = folds(training, config.target, budget.splits, 1, budget.seed)
    native = _native_choices(config, training)
    end = time.monotonic() + budget.minutes * 60

    def cross_validate(candidate: ProjectConfig) -> Score:
        each = list(scores(candidate, training, parts, budget.threads))
        return Score(fmean(score.roc_auc for score in each), fmean(score.log_loss for score in each))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{storage}", study_name="parameters", direction="minimize", load_if_exists=True
    )
    if CONFIGURED not in study.user_attrs:
        study.set_user_attr(CONFIGURED, cross_validate(config)._asdict())
    while len(done := _finished(study)) < budget.trials:
        if done and time.monotonic() > end:
            log(f"Time is up after {budget.minutes:g} minutes; run it again to continue from here")
            break
        # Only one process works on a study: a trial that is RUNNING was killed, and must not count.
        study.sampler = optuna.samplers.TPESampler(seed=budget.seed + len(done), constant_liar=False)
        trial = study.ask()
        score = cross_validate(suggested(trial, config, native))
        trial.set_user_attr(SCORE, score._asdict())
        study.tell(trial, score.log_loss)
        log(f"Trial {len(done) + 1} of {budget.trials}: log loss {score.log_loss:.4f}")
    trials = (
        Trial(
            suggested(FixedTrial(stored.params), config, native),
            **stored.user_attrs[SCORE],
            seconds=stored.duration.total_seconds() if stored.duration else 0.0,
        )
        for stored in _finished(study)
    )
    return SearchResult(tuple(trials), Score(**study.user_attrs[CONFIGURED]))


def suggested(trial: optuna.trial.BaseTrial, config: ProjectConfig, native: Sequence[bool]) -> ProjectConfig:
    """The configuration with the parameters that the trial suggests; the others stay as configured."""
    model = config.model.suggest(trial, trees=config.early_stopping is None)
    native_categories = trial.suggest_categorical("native_categories", native)
    return config.model_copy(update={"model": model, "native_categories": native_categories})


def _native_choices(config: ProjectConfig, training: TrainingRows) -> list[bool]:
    """Whether codes may be categories: some classifiers can't be fitted on many categories of one column."""
    if config.model.max_categories is not None:
        prepare = pipeline_from_config(config, 1)[:-1]
        codes = prepare.fit_transform(training.rows[list(config.features)])[list(config.cat_features)]
        if codes.nunique().max() > config.model.max_categories:
            return [False]
    return [False, True]


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """The completed trials, in order; one that was killed stays RUNNING, and doesn't count."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def compare_on_holdout(
    config: ProjectConfig, best: ProjectConfig, searched: TrainingRows, holdout: TrainingRows, threads: int
) -> HoldoutComparison:
    """Fit the best and the configured parameters on the search's rows, and compare them on the held-out ones."""
    y_true = holdout.rows[config.target].to_numpy()
    rows = holdout.rows[list(config.features)]
    candidate, baseline = (
        fit_from_config(settings, searched.rows, searched.ids, threads).predict_proba(rows)[:, 1]
        for settings in (best, config)
    )
    _, _, roc_auc = paired_difference(y_true, candidate, baseline, CONFIDENCE)
    losses = [-np.log(np.where(y_true == 1, probability, 1 - probability)) for probability in (candidate, baseline)]
    interval = ttest_rel(*losses).confidence_interval(CONFIDENCE)
    log_loss = Interval(float((losses[0] - losses[1]).mean()), float(interval.low), float(interval.high))
    return HoldoutComparison(len(y_true), roc_auc, log_loss)


def to_yaml(result: SearchResult, comparison: HoldoutComparison, rows: str) -> str:
    """The best parameters as a block for the project's configuration; ``rows`` describes the searched rows."""
    advice = "Not better beyond the interval: keep the parameters that are configured."
    if comparison.log_loss.high < 0:
        advice = "Better beyond the interval."
    lines = [
        f"# Best of {len(result.trials)} trials by cross-validation on {rows}:",
        f"# log loss {result.best.log_loss:.4f}, as configured {result.configured.log_loss:.4f}.",
        f"# On {comparison.rows:,} rows held out before: log loss {comparison.log_loss}, ROC AUC {comparison.roc_auc}.",
        f"# {advice}",
    ]
    best = result.best.config
    proposed = {"model": best.model.model_dump(exclude_none=True), "native_categories": best.native_categories}
    return "\n".join(lines) + "\n" + yaml.safe_dump(proposed, sort_keys=False)


def trials_table(result: SearchResult) -> pd.DataFrame:
    """All finished trials: one row each, with scores, seconds and parameters."""
    scores = pd.DataFrame(result.trials, columns=Trial._fields)[["log_loss", "roc_auc", "seconds"]].round(
        {"seconds": 2}
    )
    parameters = pd.DataFrame(
        {**trial.config.model.parameters, "native_categories": trial.config.native_categories}
        for trial in result.trials
    )
    return pd.concat([scores, parameters], axis=1).rename_axis("trial").reset_index()
