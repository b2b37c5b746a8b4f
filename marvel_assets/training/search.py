"""A seeded search for better parameters, on the training rows. It proposes; you decide.

Optuna's tree-structured Parzen estimator (Bergstra et al., 2011) chooses each trial. Its seed is the study's seed plus
the number of trials, so that a choice depends only on the stored trials: a study that was killed or ran out of time
continues as if it had not been interrupted.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from marvel_assets.training.cross_validation import Score, folds, scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import optuna
    import pandas as pd

    from marvel_assets.config import ProjectConfig
    from marvel_assets.training.cross_validation import TrainingRows
    from marvel_assets.training.holdout import HoldoutComparison

SCORE, CONFIGURED = "score", "configured"
"""Optuna attributes: a trial's scores, and the study's scores of the configured parameters."""

N_STARTUP_TRIALS = 10
"""Random trials before the estimator chooses."""


@dataclass(frozen=True)
class SearchBudget:
    """The limits and settings of a search.

    Attributes:
        trials: sets of parameters to try, including those of earlier runs of the same study.
        minutes: after which no further trial starts.
        splits: folds of the cross-validation.
        seed: of the folds and of the search.
        threads: how many a fit uses.
    """

    trials: int
    minutes: float
    splits: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Trial:
    """A set of parameters and its mean scores over the folds."""

    config: ProjectConfig
    roc_auc: float
    log_loss: float
    seconds: float


@dataclass(frozen=True)
class SearchResult:
    """All completed trials of a study, in order, and the configured parameters' scores on the same folds."""

    trials: tuple[Trial, ...]
    configured: Score

    @property
    def best(self) -> Trial:
        """The trial with the smallest log loss."""
        return min(self.trials, key=lambda trial: trial.log_loss)


def search(
    config: ProjectConfig,
    training: TrainingRows,
    budget: SearchBudget,
    storage: Path,
    log: Callable[[str], None],
) -> SearchResult:
    """Try parameters until the budget is used up; at least one set.

    Args:
        config: features, and the parameters to compare with; with early stopping, the number of trees is not searched.
        training: the rows to cross-validate on.
        budget: trials and time.
        storage: SQLite file of the study; an earlier study of the same rows and settings is continued.
        log: called with a line for each trial.

    Raises:
        ValueError: there are too few rows for the folds.
    """
    import optuna

    parts = folds(training, config.target, budget.splits, 1, budget.seed)
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
        study.set_user_attr(CONFIGURED, asdict(cross_validate(config)))
    while len(done := _finished(study)) < budget.trials:
        if done and time.monotonic() > end:
            log(f"Time is up after {budget.minutes:g} minutes; run it again to continue from here")
            break
        # Only one process works on a study: a trial that is RUNNING was killed, and must not count.
        study.sampler = optuna.samplers.TPESampler(
            seed=budget.seed + len(done), n_startup_trials=N_STARTUP_TRIALS, constant_liar=False
        )
        trial = study.ask()
        score = cross_validate(suggested(trial, config))
        trial.set_user_attr(SCORE, asdict(score))
        study.tell(trial, score.log_loss)
        log(f"Trial {len(done) + 1} of {budget.trials}: log loss {score.log_loss:.4f}")
    trials = [
        Trial(
            suggested(optuna.trial.FixedTrial(stored.params), config),  # type: ignore[arg-type]
            **stored.user_attrs[SCORE],
            seconds=stored.duration.total_seconds() if stored.duration else 0.0,
        )
        for stored in _finished(study)
    ]
    return SearchResult(tuple(trials), Score(**study.user_attrs[CONFIGURED]))


def suggested(trial: optuna.Trial, config: ProjectConfig) -> ProjectConfig:
    """The configuration with the parameters that the trial suggests; the others stay as configured."""
    model = config.model.suggest(trial, trees=config.early_stopping is None)
    native = trial.suggest_categorical("native_categories", [False, True])
    return config.model_copy(update={"model": model, "native_categories": native})


def to_yaml(result: SearchResult, comparison: HoldoutComparison, rows: str) -> str:
    """The best parameters as a block for the project's configuration; ``rows`` describes the searched rows."""
    import yaml

    advice = (
        "Better beyond the interval."
        if comparison.is_better
        else "Not better beyond the interval: keep the parameters that are configured."
    )
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
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "trial": number,
                "log_loss": trial.log_loss,
                "roc_auc": trial.roc_auc,
                "seconds": round(trial.seconds, 2),
                **trial.config.model.parameters,
                "native_categories": trial.config.native_categories,
            }
            for number, trial in enumerate(result.trials)
        ]
    )


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The completed trials, in order; one that was killed stays RUNNING, and doesn't count."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
