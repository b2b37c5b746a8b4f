"""Cross-validation on the training rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold

from marvel_assets.evaluation.metrics import minority_count
from marvel_assets.training.fit import fit_from_config

if TYPE_CHECKING:
    from marvel_assets.config import ProjectConfig

Places = npt.NDArray[np.int_]


class TrainingRows(NamedTuple):
    """Features and target, and the ids of the same rows in the same order."""

    rows: pd.DataFrame
    ids: pd.Series

    def at(self, places: Places) -> TrainingRows:
        """The rows and ids at these positions, in their order."""
        return TrainingRows(self.rows.iloc[places], self.ids.iloc[places])


class Score(NamedTuple):
    """A fit's metrics on its held-out fold."""

    roc_auc: float
    log_loss: float


def folds(training: TrainingRows, target: str, splits: int, repeats: int, seed: int) -> list[tuple[Places, Places]]:
    """Positions of fitted and of held-out rows: stratified, each row is held out once per repeat.

    Raises:
        ValueError: a class has fewer rows than there are folds.
    """
    y_true = training.rows[target]
    if (rarest := minority_count(y_true)) < splits:
        raise ValueError(
            f"column {target}: {splits} folds need {splits} rows of each class; of {len(y_true):,} training rows "
            f"{rarest} are of the rarer one. Use fewer folds or more rows."
        )
    splitter = RepeatedStratifiedKFold(n_splits=splits, n_repeats=repeats, random_state=seed)
    return list(splitter.split(training.rows, y_true))


def scores(
    config: ProjectConfig, training: TrainingRows, parts: Sequence[tuple[Places, Places]], threads: int
) -> Iterator[Score]:
    """Fit as configured on each of the ``folds``, and score it on the held-out rows."""
    for fitted, held_out in parts:
        train, test = training.at(fitted), training.at(held_out)
        pipeline = fit_from_config(config, train.rows, train.ids, threads)
        probability = pipeline.predict_proba(test.rows[list(config.features)])[:, 1]
        y_true = test.rows[config.target]
        yield Score(float(roc_auc_score(y_true, probability)), float(log_loss(y_true, probability)))
