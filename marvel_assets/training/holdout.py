"""Compares a search's best parameters with the configured ones, on rows held out before the search.

The best of many trials is partly lucky with the rows it was chosen on, and new folds of the same rows share that luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marvel_assets.evaluation.roc_auc import Interval, paired_difference
from marvel_assets.training.early_stopping import is_held_out

if TYPE_CHECKING:
    from marvel_assets.config import ProjectConfig
    from marvel_assets.training.cross_validation import TrainingRows

CONFIDENCE = 0.95


@dataclass(frozen=True)
class HoldoutComparison:
    """The best parameters' metrics minus the configured ones', on rows that the search did not use."""

    rows: int
    roc_auc: Interval
    log_loss: Interval

    @property
    def is_better(self) -> bool:
        """Whether the whole interval of the log loss difference is below 0."""
        return self.log_loss.high < 0


def split_holdout(training: TrainingRows, target: str, share: float) -> tuple[TrainingRows, TrainingRows]:
    """Rows to search on, and rows held out before the search, by a hash of their ids.

    Raises:
        ValueError: the held-out rows have fewer than two rows of a class.
    """
    import numpy as np

    # Salted: the plain ids decide what early stopping holds out.
    held_out = is_held_out((f"tuning {name}" for name in training.ids), share)
    searched, holdout = (training.at(np.flatnonzero(part)) for part in (~held_out, held_out))
    if min(int((holdout.rows[target] == value).sum()) for value in (0, 1)) < 2:  # noqa: PLR2004
        raise ValueError(
            f"column {target}: the {len(holdout.ids):,} of {len(training.ids):,} training rows that are held out don't "
            "have two rows of each class. Use a larger holdout or more rows."
        )
    return searched, holdout


def compare_on_holdout(
    config: ProjectConfig, best: ProjectConfig, searched: TrainingRows, holdout: TrainingRows, threads: int
) -> HoldoutComparison:
    """Fit the best and the configured parameters on the search's rows, and compare them on the held-out ones."""
    import numpy as np
    from scipy.stats import ttest_rel

    from marvel_assets.training.fit import fit_from_config

    y_true = holdout.rows[config.target].to_numpy()
    candidate, baseline = (
        fit_from_config(settings, searched.rows, searched.ids, threads).predict_proba(
            holdout.rows[list(config.features)]
        )[:, 1]
        for settings in (best, config)
    )
    _, _, roc_auc = paired_difference(y_true, candidate, baseline, CONFIDENCE)
    losses = [-np.log(np.where(y_true == 1, probability, 1 - probability)) for probability in (candidate, baseline)]
    interval = ttest_rel(*losses).confidence_interval(CONFIDENCE)
    log_loss = Interval(float((losses[0] - losses[1]).mean()), float(interval.low), float(interval.high))
    return HoldoutComparison(len(y_true), roc_auc, log_loss)
