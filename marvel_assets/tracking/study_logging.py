"""Logs a search for better parameters in the active MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import mlflow

if TYPE_CHECKING:
    from marvel_assets.tracking.model_logging import DataSet
    from marvel_assets.training.search import HoldoutComparison, SearchResult


def log_study(
    result: SearchResult, comparison: HoldoutComparison, rows: DataSet, settings: Mapping[str, object], proposal: str
) -> None:
    """Log a study in the active run: a table of all trials, the best parameters, and metrics with a step per trial."""
    for number, trial in enumerate(result.trials):
        scores = {"log_loss": trial.log_loss, "roc_auc": trial.roc_auc, "seconds": trial.seconds}
        mlflow.log_metrics(scores, step=number)
    mlflow.log_input(rows.as_mlflow(), context="tuning")
    mlflow.log_params({**settings, **result.best.config.fit_settings})
    metrics = {"holdout_rows": float(comparison.rows)}
    for kind, score in (("best", result.best), ("configured", result.configured)):
        metrics |= {f"{kind}_log_loss": score.log_loss, f"{kind}_roc_auc": score.roc_auc}
    for name, (difference, low, high) in (("log_loss", comparison.log_loss), ("roc_auc", comparison.roc_auc)):
        metrics |= {f"{name}_difference": difference, f"{name}_difference_low": low, f"{name}_difference_high": high}
    mlflow.log_metrics(metrics)
    mlflow.log_table(result.table(), "trials.json")
    mlflow.log_text(proposal, "parameters.yml")
