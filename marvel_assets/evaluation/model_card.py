"""The model card, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.evaluation.metrics import metrics_by_label
from marvel_assets.utils.redaction import escape_markdown

if TYPE_CHECKING:
    from marvel_assets.datasets.base import Dataset
    from marvel_assets.evaluation.gate import GateResult

CARD_FILE = "model_card.md"

PLOT_URL_PREFIX = "get-artifact?path=plots%2F"
"""MLflow's URL of a file in a run's folder ``plots``."""

LIMITS = "The model predicts what is usual among similar rows, not what is true of any one of them."


class ModelCardData(NamedTuple):
    """The content of a model card."""

    model_id: str
    dataset: Dataset
    trained_on: str
    """The table version, and how many rows."""
    tested_on: str
    features: Sequence[str]
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    run_tags: Mapping[str, str]
    """Commit, branch and run."""
    plots: Sequence[str]
    run_id: str


def model_card(data: ModelCardData, result: GateResult) -> str:
    """The card, with images that only MLflow's pages resolve; see ``with_full_links`` for other pages."""
    metrics = [f"| {label} | {value:.4f} |" for label, value in metrics_by_label(data.metrics).items()]
    training = [
        f"- fitted on {data.trained_on}, tested on {data.tested_on}",
        f"- features: {', '.join(data.features)}",
        f"- parameters: {', '.join(f'{name} {value}' for name, value in data.parameters.items())}",
        *[f"- {name}: {escape_markdown(value)}" for name, value in data.run_tags.items()],
    ]
    parts = [
        f"# {data.dataset.target.answer}: model {data.model_id}",
        data.dataset.description,
        f"{LIMITS} {data.dataset.limits}".rstrip(),
        "## Metrics on the test rows",
        "\n".join(["| metric | value |", "|---|---|", *metrics]),
        "## Training",
        "\n".join(training),
        "## Gate",
        gate_report(result),
        "## Plots",
        plot_links(data.plots, data.run_id),
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
