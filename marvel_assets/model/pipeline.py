"""The pipeline: what callers send to numbers and text, categories to integers, then LightGBM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from sklearn.pipeline import Pipeline

    from marvel_assets.model.coercion import FeatureCoercer

TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "marvel_assets.model.coercion.FeatureCoercer",
    "marvel_assets.model.encoder.CatToIntTransformer",
)
"""What skops may construct when it loads a pipeline, beyond what it trusts by itself."""


def default_threads() -> int:
    """One thread fewer than there are cores, at least one.

    LightGBM's threads spin while they wait: with all cores taken by them, one other process slows a fit by 3 to 60
    times; with one core left free it does not.
    """
    return max(1, (os.cpu_count() or 1) - 1)


def build_pipeline(
    cat_features: Sequence[str],
    parameters: Mapping[str, Any],
    threads: int,
    *,
    min_frequency: int | None = None,
    coercer: FeatureCoercer | None = None,
) -> Pipeline:
    """The unfitted pipeline.

    Args:
        cat_features: columns that are encoded first. All others reach LightGBM as they are; missing values stay
            missing.
        parameters: arguments of ``LGBMClassifier``.
        threads: how many LightGBM uses. The fit is the same for any number.
        min_frequency: values of an encoded column that fewer training rows have share one code.
        coercer: the first step, unfitted. Default: one that fills nothing.
    """
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    from marvel_assets.model.coercion import FeatureCoercer
    from marvel_assets.model.encoder import CatToIntTransformer

    classifier = LGBMClassifier(
        **parameters,
        n_jobs=threads,
        deterministic=True,
        force_row_wise=True,  # the other way LightGBM times both and may choose differently in each run
        verbosity=-1,
    )
    encoder = CatToIntTransformer(columns=list(cat_features), min_frequency=min_frequency)
    return Pipeline([("coerce", coercer or FeatureCoercer()), ("encode", encoder), ("classify", classifier)])


def fit_pipeline(
    pipeline: Pipeline, rows: pd.DataFrame, features: Sequence[str], target: str, *, native_categories: bool = False
) -> Pipeline:
    """Fit on training rows.

    Args:
        pipeline: is fitted.
        rows: features and target.
        features: the model's columns, in order.
        target: the column to predict.
        native_categories: whether LightGBM takes the codes of the encoded columns for names, and splits any of them
            from the others, instead of for numbers; it takes -1 for missing then.

    Raises:
        ValueError: there are no rows, or all have one and the same target.
    """
    classes = sorted(set(rows[target]))
    if len(classes) < 2:  # noqa: PLR2004
        found = f"{len(rows)} rows, {target} always {classes[0]}" if classes else "no rows"
        raise ValueError(f"column {target}: a classifier needs both classes among the training rows; found {found}.")
    categorical = categorical_columns(pipeline, native_categories=native_categories)
    pipeline.fit(rows[list(features)], rows[target], classify__categorical_feature=categorical)
    return pipeline


def categorical_columns(pipeline: Pipeline, *, native_categories: bool) -> list[str] | Literal["auto"]:
    """The encoded columns that LightGBM treats as categories; none where codes count as numbers."""
    return list(pipeline.named_steps["encode"].columns) if native_categories else "auto"
