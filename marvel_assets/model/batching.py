"""Asking a classifier once for each distinct row, on every core: most rows share what is known of them with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marvel_assets.model.estimators import kind_of
from marvel_assets.model.pipeline import default_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pandas as pd
    from sklearn.pipeline import Pipeline

MIN_ROWS = 256
"""Of fewer rows, finding the equal ones costs as much as asking for them all, and so does waking threads."""


def predict_unique_rows(
    pipeline: Pipeline, rows: pd.DataFrame, ask: Callable[..., npt.NDArray[Any]] | None = None
) -> npt.NDArray[Any]:
    """A fitted pipeline's answers, one for each row in the order of the rows.

    Rows are compared as the classifier gets them, so that values which share a code, as rare ones do, are one question.

    Args:
        pipeline: of ``build_pipeline``, fitted.
        rows: its input.
        ask: takes encoded rows and the arguments of ``predict``, and answers each by itself. Default: the classifier's
            ``predict_proba``.
    """
    import numpy as np

    ask = ask or pipeline[-1].predict_proba
    encoded = pipeline[:-1].transform(rows)
    if len(encoded) < MIN_ROWS:
        return np.asarray(ask(encoded))
    groups = encoded.groupby(list(encoded.columns), dropna=False, sort=False).ngroup().to_numpy()
    _, firsts = np.unique(groups, return_index=True)
    answers = ask(encoded.iloc[firsts], **kind_of(pipeline).predict_arguments(default_threads()))
    in_order: npt.NDArray[Any] = np.asarray(answers)[groups]
    return in_order
