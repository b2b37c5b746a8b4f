"""The pipeline: categories to integers, then LightGBM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from sklearn.pipeline import Pipeline

TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "marvel_assets.survival.encoder.CatToIntTransformer",
)
"""What skops may construct when it loads a pipeline, beyond what it trusts by itself."""


def default_threads() -> int:
    """One thread fewer than there are cores, at least one.

    LightGBM's threads spin while they wait: with all cores taken by them, one other process slows a fit by 3 to 60
    times; with one core left free it does not.
    """
    return max(1, (os.cpu_count() or 1) - 1)


def build_pipeline(cat_features: Sequence[str], parameters: Mapping[str, Any], threads: int) -> Pipeline:
    """The unfitted pipeline.

    Args:
        cat_features: columns that are encoded first; unknown and missing become -1. All others reach LightGBM as
            they are; missing values stay missing.
        parameters: arguments of ``LGBMClassifier``.
        threads: how many LightGBM uses. The fit is the same for any number.
    """
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    from marvel_assets.survival.encoder import CatToIntTransformer

    classifier = LGBMClassifier(
        **parameters,
        n_jobs=threads,
        deterministic=True,
        force_row_wise=True,  # the other way LightGBM times both and may choose differently in each run
        verbosity=-1,
    )
    encoder = CatToIntTransformer(columns=list(cat_features))
    return Pipeline([("encode", encoder), ("classify", classifier)])


def fit_pipeline(pipeline: Pipeline, rows: pd.DataFrame, features: Sequence[str], target: str) -> Pipeline:
    """Fit on training rows.

    Raises:
        ValueError: there are no rows, or all have one and the same target.
    """
    classes = sorted(set(rows[target]))
    if len(classes) < 2:  # noqa: PLR2004
        found = f"{len(rows)} rows, {target} always {classes[0]}" if classes else "no rows"
        raise ValueError(f"column {target}: a classifier needs both classes among the training rows; found {found}.")
    pipeline.fit(rows[list(features)], rows[target])
    return pipeline
