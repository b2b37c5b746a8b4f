"""What a person should know of a model before using it, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marvel_assets.survival.inert import as_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from marvel_assets.survival.gate import Verdict

CARD_FILE = "model_card.md"

FIGURES = {
    "roc_auc": "ROC AUC",
    "precision_recall_auc": "PR AUC",
    "balanced_accuracy_score": "balanced accuracy",
    "matthews_corrcoef": "Matthews correlation",
    "log_loss": "log loss",
    "accuracy_score": "accuracy",
    "f1_score": "F1",
}
LIMITS = (
    "It tells what is usual among characters that are alike, not what is true of one of them. Measures are missing for "
    "most characters, three of four are alive, and F1 alone rewards calling everybody alive: look at ROC AUC, balanced "
    "accuracy and log loss. It knows fiction only; it says nothing about people."
)


@dataclass(frozen=True)
class Facts:
    """What a card is made of.

    Attributes:
        model_id: MLflow's id of the logged model.
        trained_on: the table version of the fit, and how many rows.
        tested_on: the table version of the judgement.
        features: the model's columns.
        parameters: arguments of the classifier.
        metrics: on the test rows.
        traces: commit, branch and run.
        plots: names of the pictures in the run's folder ``plots``.
    """

    model_id: str
    trained_on: str
    tested_on: str
    features: Sequence[str]
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    traces: Mapping[str, str]
    plots: Sequence[str]


def model_card(facts: Facts, verdict: Verdict | None = None) -> str:
    """The card: purpose, limits, data, figures, and the gate's verdict where there is one.

    Pictures are linked to beside it, in the folder ``plots`` of the same run.
    """
    figures = [f"| {label} | {facts.metrics[name]:.4f} |" for name, label in FIGURES.items() if name in facts.metrics]
    parts = [
        f"# Is a Marvel character alive? Model {facts.model_id}",
        "Takes what the Marvel Database tells of a character, answers alive or dead.",
        LIMITS,
        "## Figures on the test rows",
        "\n".join(["| metric | value |", "|---|---|", *figures]),
        "## Made of",
        "\n".join(
            [
                f"- fitted on {facts.trained_on}, judged on {facts.tested_on}",
                f"- features: {', '.join(facts.features)}",
                f"- LightGBM: {', '.join(f'{name} {value}' for name, value in facts.parameters.items())}",
                *[f"- {name}: {as_markdown(value)}" for name, value in facts.traces.items()],
            ]
        ),
    ]
    if verdict is not None:
        parts += ["## The gate", gate_report(verdict)]
    if facts.plots:
        parts += ["## Pictures", "\n".join(f"![{name}](plots/{name}.png)" for name in facts.plots)]
    return "\n\n".join(parts) + "\n"


def gate_report(verdict: Verdict) -> str:
    """The gate's verdict with its reasons, the comparison, and the weakest slices."""
    refusals = [f"- {as_markdown(reason)}" for reason in verdict.refusals]
    lines = ["**Passed.**" if verdict.passed else "**Refused.**", *refusals]
    if verdict.comparison is not None and verdict.passed:
        lines.append(f"- {verdict.comparison}")
    if verdict.note:
        lines.append(f"- {as_markdown(verdict.note)}")
    if verdict.slices:
        lines += ["", "| weakest slices | rows | ROC AUC |", "|---|---|---|"]
        lines += [
            f"| {part.column} {as_markdown(part.value)} | {part.rows:,} | {part.roc_auc:.3f} |"
            for part in verdict.slices
        ]
    return "\n".join(lines)
