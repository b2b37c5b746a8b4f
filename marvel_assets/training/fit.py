"""A fit as the configuration describes it.

With ``early_stopping``, the number of trees is found on held-out training rows, never on the test rows; then all
training rows are fitted. The rows are held out by a hash of their ids, like the test rows: it needs no seed, and a row
stays on its side when the table grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from marvel_assets.model.coercion import FeatureCoercer
from marvel_assets.model.encoder import CatToIntTransformer
from marvel_assets.utils.progress import Progress

if TYPE_CHECKING:
    from marvel_assets.config import EarlyStopping, ProjectConfig


def pipeline_from_config(config: ProjectConfig, threads: int) -> Pipeline:
    """The unfitted pipeline that a configuration describes: it coerces its input, encodes categories, classifies."""
    coercer = FeatureCoercer(**config.dataset.cell_rules)
    encoder = CatToIntTransformer(columns=list(config.cat_features), min_frequency=config.min_frequency)
    return Pipeline([("coerce", coercer), ("encode", encoder), ("classify", config.model.build(threads))])


def fit_from_config(
    config: ProjectConfig, rows: pd.DataFrame, threads: int, log: Callable[[str], object] | None = None
) -> Pipeline:
    """Build the pipeline that a configuration describes, and fit it on training rows.

    The fit is the same for any number of ``threads``. For early stopping, the rows' index must hold their ids. ``log``
    is called with lines of progress.
    """
    _check_classes(rows[config.target], "a classifier needs both classes among the training rows")
    empty = [name for name in config.features if rows[name].isna().all()]
    if empty and not config.model.takes_empty_columns:
        raise ValueError(
            f"column {', '.join(empty)}: missing in all {len(rows):,} training rows, which a model of kind "
            f"{config.model.kind} does not take. Remove it from the features, or choose kind lightgbm (model.kind)."
        )
    pipeline, trees = pipeline_from_config(config, threads), config.model.max_trees
    with threadpool_limits(threads, user_api="openmp"):  # scikit-learn's trees have no argument for it
        if config.early_stopping is not None:
            trees = _best_iteration(pipeline, rows, config, config.early_stopping)
            pipeline.set_params(**{f"classify__{config.model.trees_argument}": trees})
        native = config.cat_features if config.native_categories else ()
        arguments = config.model.fit_arguments(pipeline[-1], native)
        if log:
            arguments |= config.model.progress_arguments(Progress(log, "trees", trees))
        named = {f"classify__{name}": value for name, value in arguments.items()}
        pipeline.fit(rows[list(config.features)], rows[config.target], **named)
    if "n_jobs" in pipeline[-1].get_params():
        pipeline.set_params(classify__n_jobs=1)  # for small requests; predict_unique_rows scores others on all cores
    return pipeline


def _best_iteration(pipeline: Pipeline, rows: pd.DataFrame, config: ProjectConfig, settings: EarlyStopping) -> int:
    """The number of trees with the smallest log loss on the held-out rows; the pipeline's is the upper bound."""
    target, features = config.target, list(config.features)
    held_out = is_held_out(rows.index, settings.share)
    validation, train = rows[held_out], rows[~held_out]
    for part in (validation, train):
        needed = f"early_stopping.share {settings.share:g} must leave both classes on either side; change or remove it"
        _check_classes(part[target], needed)
    prepare, classifier = clone(pipeline[:-1]), clone(pipeline[-1])
    return config.model.find_best_iteration(
        classifier,
        (prepare.fit_transform(train[features]), train[target]),
        (prepare.transform(validation[features]), validation[target]),
        settings.rounds,
        config.cat_features if config.native_categories else (),
    )


def _check_classes(target: pd.Series, needed: str) -> None:
    if len(classes := target.unique()) < 2:  # noqa: PLR2004
        raise ValueError(f"column {target.name}: {needed}; found {len(target):,} rows with {classes.tolist()}.")


def is_held_out(ids: Iterable[str], share: float) -> npt.NDArray[np.bool_]:
    """Which rows are held out, by a hash of their ids that is independent of the train/test split."""
    bound = int(share * 2**32)
    digests = (hashlib.md5(f"held out{name}".encode(), usedforsecurity=False).digest() for name in ids)
    return np.fromiter((int.from_bytes(digest[:4]) < bound for digest in digests), dtype=bool)
