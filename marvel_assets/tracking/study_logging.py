"""Logs a search for better parameters in the active MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marvel_assets.training.search import trials_table

if TYPE_CHECKING:
    from marvel_assets.tracking.model_logging import DataSet
    from marvel_assets.training.search import HoldoutComparison, SearchResult


def log_study(
    result: SearchResult, comparison: HoldoutComparison, rows: DataSet, settings: Mapping[str, object], block: str
) -> None:
    """Log a study under the active run.

    The trials' metrics have a step per trial, so that MLflow plots them; a table of all trials and the block of the
    best parameters are artifacts; the best parameters are also the run's parameters.

    Args:
        result: all trials.
        comparison: the best parameters compared with the configured ones.
        rows: the searched rows.
        settings: of the search.
        block: the best parameters as YAML for the project's configuration.
    """
    import mlflow

    for number, trial in enumerate(result.trials):
        course = {"log_loss": trial.log_loss, "roc_auc": trial.roc_auc, "seconds": trial.seconds}
        mlflow.log_metrics(course, step=number)
    mlflow.log_input(rows.as_mlflow(), context="tuning")
    mlflow.log_params({**settings, **result.best.config.fit_settings})
    metrics = {"holdout_rows": float(comparison.rows)}
    for kind, score in (("best", result.best), ("configured", result.configured)):
        metrics |= {f"{kind}_log_loss": score.log_loss, f"{kind}_roc_auc": score.roc_auc}
    for name, interval in (("log_loss", comparison.log_loss), ("roc_auc", comparison.roc_auc)):
        suffixes = ("difference", "difference_low", "difference_high")
        metrics |= {f"{name}_{suffix}": value for suffix, value in zip(suffixes, interval, strict=True)}
    mlflow.log_metrics(metrics)
    mlflow.log_table(trials_table(result), "trials.json")
    mlflow.log_text(block, "parameters.yml")
