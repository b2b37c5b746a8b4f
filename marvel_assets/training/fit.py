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
from marvel_assets.model.pipeline import build_pipeline, fit_pipeline
from marvel_assets.utils.progress import Progress

if TYPE_CHECKING:
    from marvel_assets.config import EarlyStopping, ProjectConfig


def pipeline_from_config(config: ProjectConfig, threads: int) -> Pipeline:
    """The unfitted pipeline that a configuration describes."""
    coercer = FeatureCoercer(**config.dataset.cell_rules)
    return build_pipeline(
        config.cat_features, config.model, threads, min_frequency=config.min_frequency, coercer=coercer
    )


def fit_from_config(
    config: ProjectConfig, rows: pd.DataFrame, threads: int, log: Callable[[str], object] | None = None
) -> Pipeline:
    """Build the pipeline that a configuration describes, and fit it on training rows.

    For early stopping, the rows' index must hold their ids. ``log`` is called with lines of progress.
    """
    pipeline, trees = pipeline_from_config(config, threads), config.model.max_trees
    with threadpool_limits(threads, user_api="openmp"):  # scikit-learn's trees have no argument for it
        if config.early_stopping is not None:
            trees = _best_iteration(pipeline, rows, config, config.early_stopping)
            pipeline.set_params(**{f"classify__{config.model.trees_argument}": trees})
        progress = Progress(log, "trees", trees) if log else None
        native = config.native_categories
        features, target = config.features, config.target
        return fit_pipeline(pipeline, rows, features, target, native_categories=native, on_iteration=progress)


def _best_iteration(pipeline: Pipeline, rows: pd.DataFrame, config: ProjectConfig, settings: EarlyStopping) -> int:
    """The number of trees with the smallest log loss on the held-out rows; the pipeline's is the upper bound."""
    target, features = config.target, list(config.features)
    held_out = is_held_out(rows.index, settings.share)
    validation, train = rows[held_out], rows[~held_out]
    for part, which in ((validation, "held out"), (train, "left")):
        if part[target].nunique() < 2:  # noqa: PLR2004
            raise ValueError(
                f"early_stopping.share is {settings.share:g}: of {len(rows):,} training rows, the {len(part):,} "
                f"{which} don't hold both classes of {target}. Choose another share, fit on more rows, or remove "
                "early_stopping."
            )
    prepare, classifier = clone(pipeline[:-1]), clone(pipeline[-1])
    return config.model.find_best_iteration(
        classifier,
        (prepare.fit_transform(train[features]), train[target]),
        (prepare.transform(validation[features]), validation[target]),
        settings.rounds,
        config.cat_features if config.native_categories else (),
    )


def is_held_out(ids: Iterable[str], share: float) -> npt.NDArray[np.bool_]:
    """Which rows are held out, by a hash of their ids that is independent of the train/test split."""
    bound = int(share * 2**32)
    digests = (hashlib.md5(f"held out{name}".encode(), usedforsecurity=False).digest() for name in ids)
    return np.fromiter((int.from_bytes(digest[:4]) < bound for digest in digests), dtype=bool)
