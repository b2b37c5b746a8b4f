"""The model card, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from marvel_assets.evaluation.metrics import metrics_by_label
from marvel_assets.tracking.artifacts import PLOTS_FOLDER, dataset_source, metrics_of
from marvel_assets.tracking.run_tags import RUN_TAGS
from marvel_assets.utils.redaction import escape_markdown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

    from marvel_assets.datasets.base import Dataset
    from marvel_assets.evaluation.gate import GateResult

CARD_FILE = "model_card.md"

PLOT_URL_PREFIX = f"get-artifact?path={PLOTS_FOLDER}%2F"  # MLflow's URL of a file in a run's folder of plots
LIMITS = "The model predicts what is usual among similar rows, not what is true of any one of them."


def model_card(client: MlflowClient, model: LoggedModel, dataset: Dataset, result: GateResult) -> str:
    """The card of a logged model; only MLflow's pages resolve its images, see ``with_full_links`` for other pages."""
    run, parameters = client.get_run(str(model.source_run_id)), dict(model.params or {})
    features, run_id = parameters.pop("features").split(","), run.info.run_id
    plots = sorted(PurePosixPath(file.path).stem for file in client.list_artifacts(run_id, PLOTS_FOLDER))
    metrics = [f"| {label} | {value:.4f} |" for label, value in metrics_by_label(metrics_of(model)).items()]
    trained_on = f"{dataset_source(run, 'training')} ({model.tags['training_rows']} rows)"
    training = [
        f"- fitted on {trained_on}, tested on {dataset_source(run, 'testing')}",
        f"- features: {', '.join(features)}",
        f"- parameters: {', '.join(f'{name} {value}' for name, value in parameters.items())}",
        *[f"- {name}: {escape_markdown(model.tags[name])}" for name in RUN_TAGS if name in model.tags],
    ]
    parts = [
        f"# {dataset.target.answer}: model {model.model_id}",
        dataset.description,
        f"{LIMITS} {dataset.limits}".rstrip(),
        "## Metrics on the test rows",
        "\n".join(["| metric | value |", "|---|---|", *metrics]),
        "## Training",
        "\n".join(training),
        "## Gate",
        gate_report(result),
        "## Plots",
        plot_links(plots, run_id),
    ]
    return "\n\n".join(parts) + "\n"


def plot_links(plots: Iterable[str], run_id: str) -> str:
    """Images of an MLflow run's plots, with links that only MLflow's pages resolve."""
    return "\n".join(f"![{name}]({PLOT_URL_PREFIX}{name}.png&run_uuid={run_id})" for name in plots)


def with_full_links(card: str, mlflow_pages: str) -> str:
    """The card with links that other pages than MLflow's resolve, too."""
    return card.replace(f"]({PLOT_URL_PREFIX}", f"]({mlflow_pages.rstrip('/')}/{PLOT_URL_PREFIX}")


def gate_report(result: GateResult) -> str:
    """The gate's result with its reasons, comparisons and weakest slices, as Markdown."""
    passed = "Passed, with a warning." if result.warnings else "Passed."
    lines = [f"**{passed if result.passed else 'Refused.'}**"]
    lines += [f"- {escape_markdown(sentence)}" for sentence in (*result.failures, *result.cleared, *result.remarks)]
    if result.advice:
        lines += ["", escape_markdown(result.advice)]
    if result.slices:
        lines += ["", "| weakest slices | rows | ROC AUC | interval |", "|---|---|---|---|"]
    lines += [
        f"| {part.column} {escape_markdown(part.value)} | {part.rows:,} | {part.roc_auc:.3f} | "
        f"{part.low:.3f} to {part.high:.3f} |"
        for part in result.slices
    ]
    return "\n".join(lines)
