"""Predicts each distinct row once, on every core: most characters share their features with others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from marvel_assets.model.estimators import kind_of
from marvel_assets.model.pipeline import default_threads

MIN_ROWS = 256
"""With fewer rows, finding duplicates and starting threads cost more than they save."""


def predict_unique_rows(
    pipeline: Pipeline, rows: pd.DataFrame, ask: Callable[..., npt.NDArray[Any]] | None = None
) -> npt.NDArray[Any]:
    """A fitted pipeline's predictions, one for each row in the order of the rows.

    Rows are compared after encoding, so that values with a shared code, such as rare ones, count as equal.
    ``ask`` predicts encoded rows, independently of each other; it takes the arguments of ``predict``. Default: the
    classifier's ``predict_proba``.
    """
    ask = ask or pipeline[-1].predict_proba
    encoded = pipeline[:-1].transform(rows)
    if len(encoded) < MIN_ROWS:
        return np.asarray(ask(encoded))
    # Without the caller's index, whose name may be that of a column.
    groups = encoded.reset_index(drop=True).groupby(list(encoded.columns), dropna=False, sort=False).ngroup().to_numpy()
    _, firsts = np.unique(groups, return_index=True)
    answers = ask(encoded.iloc[firsts], **kind_of(pipeline).predict_arguments(default_threads()))
    in_order: npt.NDArray[Any] = np.asarray(answers)[groups]
    return in_order
