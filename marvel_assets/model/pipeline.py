"""The pipeline: coercion of the input, encoding of categories, and a classifier; how it is fitted, and predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from marvel_assets.model.coercion import FeatureCoercer
from marvel_assets.model.encoder import CatToIntTransformer
from marvel_assets.model.estimators import KINDS, estimator_class
from marvel_assets.model.estimators.base import Estimator

TRUSTED_TYPES = (
    "marvel_assets.model.coercion.FeatureCoercer",
    "marvel_assets.model.encoder.CatToIntTransformer",
    *(name for kind in KINDS for name in kind.trusted_types),
)
"""Types that skops may construct when it loads a pipeline, besides those it trusts by default."""

DEDUPLICATE_FROM = 256
"""With fewer rows to predict, finding duplicates and starting threads cost more than they save."""


def default_threads() -> int:
    """One for each core that this process may use."""
    return int(joblib.cpu_count())


def build_pipeline(
    cat_features: Sequence[str],
    estimator: Estimator,
    threads: int,
    *,
    min_frequency: int | None = None,
    coercer: FeatureCoercer | None = None,
) -> Pipeline:
    """The unfitted pipeline.

    Columns other than ``cat_features`` reach the classifier unchanged. Values of these that occur in fewer than
    ``min_frequency`` training rows share one code. The fit is the same for any number of ``threads``.
    """
    encoder = CatToIntTransformer(columns=list(cat_features), min_frequency=min_frequency)
    steps = [("coerce", coercer or FeatureCoercer()), ("encode", encoder), ("classify", estimator.build(threads))]
    return Pipeline(steps)


def fit_pipeline(
    pipeline: Pipeline,
    rows: pd.DataFrame,
    features: Sequence[str],
    target: str,
    *,
    native_categories: bool = False,
    on_iteration: Callable[[int], None] | None = None,
) -> Pipeline:
    """Fit a pipeline in place on training rows.

    With ``native_categories``, the classifier treats the codes as categories, with -1 as missing. ``on_iteration`` is
    called with the number of trees grown so far, if the classifier supports it.
    """
    classes = sorted(set(rows[target]))
    if len(classes) < 2:  # noqa: PLR2004
        found = f"{len(rows)} rows, {target} always {classes[0]}" if classes else "no rows"
        raise ValueError(f"column {target}: a classifier needs both classes among the training rows; found {found}.")
    kind, classifier = estimator_class(pipeline), pipeline[-1]
    empty = [name for name in features if rows[name].isna().all()]
    if empty and not kind.takes_empty_columns:
        raise ValueError(
            f"{', '.join(empty)}: missing in all {len(rows):,} training rows, which {kind.classifier_name} does not "
            "allow. Remove it from the features, or choose a model of kind lightgbm (model.kind)."
        )
    arguments = kind.fit_arguments(classifier, pipeline.named_steps["encode"].columns if native_categories else ())
    if on_iteration is not None:
        arguments |= kind.progress_arguments(on_iteration)
    named = {f"classify__{name}": value for name, value in arguments.items()}
    pipeline.fit(rows[list(features)], rows[target], **named)
    if "n_jobs" in classifier.get_params():
        classifier.set_params(n_jobs=1)  # for small requests; predict_unique_rows scores large ones on every core
    return pipeline


def predict_unique_rows(
    pipeline: Pipeline, rows: pd.DataFrame, predict: Callable[..., npt.NDArray[Any]] | None = None
) -> npt.NDArray[Any]:
    """A fitted pipeline's predictions, one for each row in the order of the rows.

    Rows are compared after encoding, so that values with a shared code, such as rare ones, count as equal.
    ``predict`` predicts encoded rows, independently of each other. Default: the classifier's ``predict_proba``.
    """
    predict = predict or pipeline[-1].predict_proba
    encoded = pipeline[:-1].transform(rows)
    if len(encoded) < DEDUPLICATE_FROM:
        return np.asarray(predict(encoded))
    # Without the caller's index, whose name may be that of a column.
    groups = encoded.reset_index(drop=True).groupby(list(encoded.columns), dropna=False, sort=False).ngroup().to_numpy()
    _, firsts = np.unique(groups, return_index=True)
    threads_argument = estimator_class(pipeline).threads_argument
    threads = {threads_argument: default_threads()} if threads_argument else {}
    in_order: npt.NDArray[Any] = np.asarray(predict(encoded.iloc[firsts], **threads))[groups]
    return in_order
