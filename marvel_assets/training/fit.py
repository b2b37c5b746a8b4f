"""A fit as the configuration describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marvel_assets.datasets.base import BLANKS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from sklearn.pipeline import Pipeline

    from marvel_assets.config import ProjectConfig


def pipeline_from_config(config: ProjectConfig, threads: int) -> Pipeline:
    """The unfitted pipeline that a configuration describes."""
    from marvel_assets.model.coercion import FeatureCoercer
    from marvel_assets.model.pipeline import build_pipeline

    dataset = config.dataset
    coercer = FeatureCoercer(
        {name: value for name, value in dataset.fill_values.items() if name in config.features},
        blanks=BLANKS,
        missing_texts=list(dataset.missing_texts),
        spellings={name: values for name, values in dataset.spellings.items() if name in config.features},
        required=[name for name in dataset.required_numbers if name in config.features],
        known_values={name: values for name, values in dataset.known_values.items() if name in config.features},
        unknown_as_missing=[name for name in dataset.unknown_as_missing if name in config.features],
    )
    return build_pipeline(
        config.cat_features, config.model, threads, min_frequency=config.min_frequency, coercer=coercer
    )


def fit_from_config(
    config: ProjectConfig,
    rows: pd.DataFrame,
    ids: pd.Series | None,
    threads: int,
    report: Callable[[str], object] | None = None,
) -> Pipeline:
    """Build the pipeline that a configuration describes, and fit it on training rows.

    Args:
        config: features, model, how categories are handled, and early stopping.
        rows: features and target.
        ids: of the rows; needed only for early stopping.
        threads: how many the fit uses.
        report: called with lines of progress.

    Raises:
        ValueError: the rows can't be fitted; the text names the column or key.
    """
    from threadpoolctl import threadpool_limits

    from marvel_assets.model.pipeline import fit_pipeline
    from marvel_assets.training.early_stopping import find_best_iteration
    from marvel_assets.utils.progress import Progress

    pipeline = pipeline_from_config(config, threads)
    with threadpool_limits(threads, user_api="openmp"):  # scikit-learn's trees have no argument for it
        if config.early_stopping is not None:
            assert ids is not None, "early_stopping needs the ids of the training rows"  # noqa: S101
            trees = find_best_iteration(pipeline, rows, ids, config, config.early_stopping)
            pipeline.set_params(**{f"classify__{config.model.trees_argument}": trees})
        trees = pipeline[-1].get_params()[config.model.trees_argument]
        return fit_pipeline(
            pipeline, rows, config.features, config.target,
            native_categories=config.native_categories,
            report=Progress(report, "trees", trees) if report else None,
        )  # fmt: skip
