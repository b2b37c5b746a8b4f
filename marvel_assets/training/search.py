"""A seeded search for better parameters, by cross-validation on the training rows. It proposes; you decide.

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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optuna
import pandas as pd
import yaml
from optuna.trial import BaseTrial, FrozenTrial, TrialState
from scipy.stats import ttest_rel
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from marvel_assets.evaluation.metrics import Interval, minority_count, paired_difference
from marvel_assets.training.fit import fit_from_config, is_held_out

if TYPE_CHECKING:
    from marvel_assets.config import ProjectConfig

CONFIDENCE = 0.95


class SearchBudget(NamedTuple):
    """The limits and settings of a search: no trial starts after ``minutes``, and ``trials`` include earlier runs'."""

    trials: int
    minutes: float
    splits: int
    seed: int
    threads: int


class Trial(NamedTuple):
    """A set of parameters, its mean scores over the folds, and how long they took."""

    config: ProjectConfig
    log_loss: float
    roc_auc: float
    seconds: float


class SearchResult(NamedTuple):
    """All completed trials of a study, in order, and the configured parameters on the same folds."""

    trials: tuple[Trial, ...]
    configured: Trial

    @property
    def best(self) -> Trial:
        """The trial with the smallest log loss."""
        return min(self.trials, key=lambda trial: trial.log_loss)

    def table(self) -> pd.DataFrame:
        """One row for each trial, with scores, seconds and parameters."""
        parameters = [
            {**trial.config.model.parameters, "native_categories": trial.config.native_categories}
            for trial in self.trials
        ]
        scores = pd.DataFrame(self.trials).drop(columns="config").round({"seconds": 2})
        return scores.join(pd.DataFrame(parameters)).rename_axis("trial").reset_index()


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


def fold_scores(
    config: ProjectConfig, rows: pd.DataFrame, folds: Sequence[tuple[Any, Any]], threads: int
) -> pd.DataFrame:
    """ROC AUC and log loss, one row for each fold: the positions of the rows to fit on, and of the rows to score."""
    scores = []
    for fitted, held_out in folds:
        test = rows.iloc[held_out]
        pipeline = fit_from_config(config, rows.iloc[fitted], threads)
        probability = pipeline.predict_proba(test[list(config.features)])[:, 1]
        y_true = test[config.target]
        scores.append({"roc_auc": roc_auc_score(y_true, probability), "log_loss": log_loss(y_true, probability)})
    return pd.DataFrame(scores)


def search(
    config: ProjectConfig, rows: pd.DataFrame, budget: SearchBudget, storage: Path, log: Callable[[str], None]
) -> SearchResult:
    """Try parameters on training rows, indexed by their ids, until the budget is used up; at least one set.

    With early stopping, the number of trees is not searched. ``storage`` is the SQLite file of the study, which is
    continued if it is there; ``log`` is called with a line for each trial.
    """
    end = time.monotonic() + budget.minutes * 60
    splitter = StratifiedKFold(budget.splits, shuffle=True, random_state=budget.seed)
    folds = list(splitter.split(rows, rows[config.target]))

    def score(candidate: ProjectConfig) -> dict[str, float]:
        started = time.monotonic()
        means = fold_scores(candidate, rows, folds, budget.threads).mean()
        seconds = time.monotonic() - started
        return {"roc_auc": float(means["roc_auc"]), "log_loss": float(means["log_loss"]), "seconds": seconds}

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(storage=f"sqlite:///{storage}", study_name="parameters", load_if_exists=True)
    if "configured" not in study.user_attrs:
        study.set_user_attr("configured", score(config))
    while len(done := _completed(study)) < budget.trials:
        if done and time.monotonic() > end:
            log(f"Time is up after {budget.minutes:g} minutes; run it again to continue from here")
            break
        # Only one process works on a study: a trial that is RUNNING was killed, and must not count.
        study.sampler = optuna.samplers.TPESampler(seed=budget.seed + len(done), constant_liar=False)
        trial = study.ask()
        scores = score(suggested_config(trial, config))
        trial.set_user_attr("scores", scores)
        study.tell(trial, scores["log_loss"])
        log(f"Trial {len(done) + 1} of {budget.trials}: log loss {scores['log_loss']:.4f}")
    found = (Trial(suggested_config(each, config), **each.user_attrs["scores"]) for each in _completed(study))
    return SearchResult(tuple(found), Trial(config, **study.user_attrs["configured"]))


def suggested_config(trial: BaseTrial, config: ProjectConfig) -> ProjectConfig:
    """The configuration with the parameters that the trial suggests; the others stay as configured."""
    suggested: dict[str, float] = {}
    for name, low, high, log in config.model.search_ranges:
        if name == config.model.trees_argument and config.early_stopping is not None:
            continue
        if isinstance(low, int):
            suggested[name] = trial.suggest_int(name, low, int(high), log=log)
        else:  # rounded, so that the value that is tried is the one that is written down
            suggested[name] = float(f"{trial.suggest_float(name, low, high, log=log):.3g}")
    model = config.model.model_copy(update=suggested)
    native_categories = trial.suggest_categorical("native_categories", [False, True])
    return config.model_copy(update={"model": model, "native_categories": native_categories})


def _completed(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE,))


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
