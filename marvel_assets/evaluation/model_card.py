"""The model card, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marvel_assets.evaluation.metrics import labelled
from marvel_assets.utils.redaction import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from marvel_assets.datasets.base import Dataset
    from marvel_assets.evaluation.gate import GateResult

CARD_FILE = "model_card.md"

PICTURE = "get-artifact?path=plots%2F"
"""MLflow's URL of a file in a run's folder ``plots``."""

LIMITS = "It predicts what is usual among similar rows, not what is true of any one of them."


@dataclass(frozen=True)
class ModelCardData:
    """The content of a model card.

    Attributes:
        model_id: MLflow's id of the logged model.
        dataset: describes the prediction and its limits.
        trained_on: the table version of the fit, and how many rows.
        tested_on: the table version of the test rows.
        features: the model's columns.
        parameters: the kind of classifier, and its arguments.
        metrics: on the test rows.
        traces: commit, branch and run.
        plots: names of the images in the run's folder ``plots``.
        run_id: of that MLflow run.
    """

    model_id: str
    dataset: Dataset
    trained_on: str
    tested_on: str
    features: Sequence[str]
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    traces: Mapping[str, str]
    plots: Sequence[str]
    run_id: str


def model_card(facts: ModelCardData, result: GateResult | None = None) -> str:
    """The card: purpose, limits, metrics, data, and the gate's result if there is one.

    Images are links that only MLflow's pages resolve; see ``with_full_links`` for other pages.
    """
    figures = [f"| {label} | {value:.4f} |" for label, value in labelled(facts.metrics).items()]
    parts = [
        f"# {facts.dataset.target.answer}: model {facts.model_id}",
        facts.dataset.description,
        f"{LIMITS} {facts.dataset.limits}".rstrip(),
        "## Metrics on the test rows",
        "\n".join(["| metric | value |", "|---|---|", *figures]),
        "## Training",
        "\n".join(
            [
                f"- fitted on {facts.trained_on}, tested on {facts.tested_on}",
                f"- features: {', '.join(facts.features)}",
                f"- parameters: {', '.join(f'{name} {value}' for name, value in facts.parameters.items())}",
                *[f"- {name}: {escape_markdown(value)}" for name, value in facts.traces.items()],
            ]
        ),
    ]
    if result is not None:
        parts += ["## The gate", gate_report(result)]
    if facts.plots:
        parts += ["## Plots", picture_links(facts.plots, facts.run_id)]
    return "\n\n".join(parts) + "\n"


def picture_links(plots: Iterable[str], run_id: str) -> str:
    """Images of an MLflow run's plots, with links that only MLflow's pages resolve."""
    return "\n".join(f"![{name}]({PICTURE}{name}.png&run_uuid={run_id})" for name in plots)


def with_full_links(card: str, mlflow_pages: str) -> str:
    """The card with links that other pages than MLflow's resolve, too."""
    return card.replace(f"]({PICTURE}", f"]({mlflow_pages.rstrip('/')}/{PICTURE}")


def gate_report(result: GateResult) -> str:
    """The gate's result with its reasons, comparisons and weakest slices, as Markdown."""
    passed = "Passed, with a warning." if result.warnings else "Passed."
    lines = [
        f"**{passed if result.passed else 'Refused.'}**",
        *(f"- {escape_markdown(failure)}" for failure in result.failures),
    ]
    lines += [f"- {sentence}" for sentence in (*result.cleared, *result.other_comparisons)]
    lines += [f"- warning: {escape_markdown(warning)}" for warning in result.warnings]
    if result.note:
        lines.append(f"- {escape_markdown(result.note)}")
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
