"""A seeded search for better parameters, by cross-validation on the training rows. It proposes; you decide.

Optuna's tree-structured Parzen estimator (Bergstra et al., 2011) chooses each trial. Its seed is the study's seed plus
the number of trials, so that a choice depends only on the stored trials: a study that was killed or ran out of time
continues as if it had not been interrupted.

The best of many trials is partly lucky with the rows it was chosen on, and new folds of the same rows share that luck.
So it is compared with the configured parameters on rows that were held out before the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
import yaml
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, TrialState
from scipy.stats import ttest_rel
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from marvel_assets.evaluation.metrics import Interval, minority_count, paired_difference
from marvel_assets.training.fit import fit_from_config, is_held_out, pipeline_from_config

if TYPE_CHECKING:
    from marvel_assets.config import ProjectConfig

Fold = tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]
"""Positions of the fitted and of the held-out rows."""

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


class Score(NamedTuple):
    """Metrics on held-out folds."""

    roc_auc: float
    log_loss: float


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


def split_holdout(rows: pd.DataFrame, target: str, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to search on, and rows held out before the search, by a hash of their ids in the index."""
    # Salted: the plain ids decide what early stopping holds out.
    held_out = is_held_out((f"tuning {name}" for name in rows.index), share)
    searched, holdout = rows[~held_out], rows[held_out]
    if minority_count(holdout[target]) < 2:  # noqa: PLR2004
        raise ValueError(
            f"column {target}: the {len(holdout):,} of {len(rows):,} training rows that are held out don't have two "
            "rows of each class. Use a larger holdout or more rows."
        )
    return searched, holdout


def stratified_folds(rows: pd.DataFrame, target: str, splits: int, seed: int) -> list[Fold]:
    """Folds with equal shares of the classes; each row is held out once."""
    y_true = rows[target]
    if (rarest := minority_count(y_true)) < splits:
        raise ValueError(
            f"column {target}: {splits} folds need {splits} rows of each class; of {len(y_true):,} training rows "
            f"{rarest} are of the rarer one. Use fewer folds or more rows."
        )
    return list(StratifiedKFold(splits, shuffle=True, random_state=seed).split(rows, y_true))


def fold_scores(config: ProjectConfig, rows: pd.DataFrame, folds: Sequence[Fold], threads: int) -> Iterator[Score]:
    """Fit as configured on each fold, and score its held-out rows."""
    for fitted, held_out in folds:
        test = rows.iloc[held_out]
        pipeline = fit_from_config(config, rows.iloc[fitted], threads)
        probability = pipeline.predict_proba(test[list(config.features)])[:, 1]
        y_true = test[config.target]
        yield Score(float(roc_auc_score(y_true, probability)), float(log_loss(y_true, probability)))


def search(
    config: ProjectConfig, rows: pd.DataFrame, budget: SearchBudget, storage: Path, log: Callable[[str], None]
) -> SearchResult:
    """Try parameters on training rows, indexed by their ids, until the budget is used up; at least one set.

    With early stopping, the number of trees is not searched. ``storage`` is the SQLite file of the study, which is
    continued if it is there; ``log`` is called with a line for each trial.
    """
    folds = stratified_folds(rows, config.target, budget.splits, budget.seed)
    native = _native_choices(config, rows)
    end = time.monotonic() + budget.minutes * 60

    def cross_validate(candidate: ProjectConfig) -> Score:
        scores = list(fold_scores(candidate, rows, folds, budget.threads))
        return Score(fmean(score.roc_auc for score in scores), fmean(score.log_loss for score in scores))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{storage}", study_name="parameters", direction="minimize", load_if_exists=True
    )
    if CONFIGURED not in study.user_attrs:
        study.set_user_attr(CONFIGURED, cross_validate(config)._asdict())
    while len(done := _completed(study)) < budget.trials:
        if done and time.monotonic() > end:
            log(f"Time is up after {budget.minutes:g} minutes; run it again to continue from here")
            break
        # Only one process works on a study: a trial that is RUNNING was killed, and must not count.
        study.sampler = optuna.samplers.TPESampler(seed=budget.seed + len(done), constant_liar=False)
        trial = study.ask()
        score = cross_validate(suggested_config(trial, config, native))
        trial.set_user_attr(SCORE, score._asdict())
        study.tell(trial, score.log_loss)
        log(f"Trial {len(done) + 1} of {budget.trials}: log loss {score.log_loss:.4f}")
    trials = (
        Trial(
            suggested_config(FixedTrial(stored.params), config, native),
            **stored.user_attrs[SCORE],
            seconds=stored.duration.total_seconds() if stored.duration else 0.0,
        )
        for stored in _completed(study)
    )
    return SearchResult(tuple(trials), Score(**study.user_attrs[CONFIGURED]))


def suggested_config(trial: BaseTrial, config: ProjectConfig, native: Sequence[bool]) -> ProjectConfig:
    """The configuration with the parameters that the trial suggests; the others stay as configured."""
    model = config.model.suggest(trial, trees=config.early_stopping is None)
    native_categories = trial.suggest_categorical("native_categories", native)
    return config.model_copy(update={"model": model, "native_categories": native_categories})


def _native_choices(config: ProjectConfig, rows: pd.DataFrame) -> list[bool]:
    """Whether codes may be categories: some classifiers can't be fitted on many categories of one column."""
    codes = pipeline_from_config(config, 1)[:-1].fit_transform(rows[list(config.features)])
    most = codes[list(config.cat_features)].nunique().max()
    return [False] if most > config.model.max_categories else [False, True]


def _completed(study: optuna.Study) -> list[FrozenTrial]:
    """The completed trials, in order; one that was killed stays RUNNING, and doesn't count."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def compare_on_holdout(
    config: ProjectConfig, best: ProjectConfig, searched: pd.DataFrame, holdout: pd.DataFrame, threads: int
) -> HoldoutComparison:
    """Fit the best and the configured parameters on the search's rows, and compare them on the held-out ones."""
    y_true, rows = holdout[config.target].to_numpy(), holdout[list(config.features)]
    candidate, baseline = (
        fit_from_config(each, searched, threads).predict_proba(rows)[:, 1] for each in (best, config)
    )
    _, _, roc_auc = paired_difference(y_true, candidate, baseline, CONFIDENCE)
    losses = [-np.log(np.where(y_true == 1, probability, 1 - probability)) for probability in (candidate, baseline)]
    interval = ttest_rel(*losses).confidence_interval(CONFIDENCE)
    difference = Interval(float((losses[0] - losses[1]).mean()), float(interval.low), float(interval.high))
    return HoldoutComparison(len(y_true), roc_auc, difference)


def to_yaml(result: SearchResult, comparison: HoldoutComparison, rows: str) -> str:
    """The best parameters as a block for the project's configuration; ``rows`` describes the searched rows."""
    advice = "Not better beyond the interval: keep the parameters that are configured."
    if comparison.log_loss.high < 0:
        advice = "Better beyond the interval."
    best = result.best.config
    proposed = {"model": best.model.model_dump(exclude_none=True), "native_categories": best.native_categories}
    lines = [
        f"# Best of {len(result.trials)} trials by cross-validation on {rows}:",
        f"# log loss {result.best.log_loss:.4f}, as configured {result.configured.log_loss:.4f}.",
        f"# On {comparison.rows:,} rows held out before: log loss {comparison.log_loss}, ROC AUC {comparison.roc_auc}.",
        f"# {advice}",
    ]
    return "\n".join([*lines, yaml.safe_dump(proposed, sort_keys=False)])


def trials_table(result: SearchResult) -> pd.DataFrame:
    """All completed trials: one row each, with scores, seconds and parameters."""
    return pd.DataFrame(
        {
            "trial": number,
            "log_loss": trial.log_loss,
            "roc_auc": trial.roc_auc,
            "seconds": round(trial.seconds, 2),
            **trial.config.model.parameters,
            "native_categories": trial.config.native_categories,
        }
        for number, trial in enumerate(result.trials)
    )
