"""How a fitted pipeline predicts, and what may be constructed when one is loaded."""

from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from marvel_assets.model.coercion import FeatureCoercer
from marvel_assets.model.encoder import CatToIntTransformer
from marvel_assets.model.estimators import KINDS, estimator_class

TRUSTED_TYPES = (
    *(f"{step.__module__}.{step.__name__}" for step in (FeatureCoercer, CatToIntTransformer)),
    *(name for kind in KINDS for name in kind.trusted_types),
)
"""Types that skops may construct when it loads a pipeline, besides those it trusts by default."""

DEDUPLICATE_FROM = 256  # with fewer rows to predict, finding duplicates and starting threads cost more than they save


def default_threads() -> int:
    """One for each core that this process may use."""
    return int(joblib.cpu_count())


def predict_unique_rows(
    pipeline: Pipeline, rows: pd.DataFrame, predict: Callable[..., npt.NDArray[Any]] | None = None
) -> npt.NDArray[Any]:
    """A fitted pipeline's predictions, one for each row in the order of the rows.

    Rows are compared after encoding, so that values with a shared code, such as rare ones, count as equal.
    ``predict`` predicts encoded rows, independently of each other. Default: the classifier's ``predict_proba``.
    """
    predict = predict or pipeline[-1].predict_proba
    encoded = pipeline[:-1].transform(rows)
    if encoded.empty:  # LightGBM needs a row
        return np.asarray(predict(encoded.reindex([0])))[:0]
    if len(encoded) < DEDUPLICATE_FROM:
        return np.asarray(predict(encoded))
    # Without the caller's index, whose name may be that of a column.
    groups = encoded.reset_index(drop=True).groupby(list(encoded.columns), dropna=False, sort=False).ngroup().to_numpy()
    _, firsts = np.unique(groups, return_index=True)
    threads_argument = estimator_class(pipeline).threads_argument
    threads = {threads_argument: default_threads()} if threads_argument else {}
    in_order: npt.NDArray[Any] = np.asarray(predict(encoded.iloc[firsts], **threads))[groups]
    return in_order
