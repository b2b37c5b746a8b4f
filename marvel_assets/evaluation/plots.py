"""Plots of a classifier."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marvel_assets.evaluation.metrics import THRESHOLD

if TYPE_CHECKING:
    from marvel_assets.evaluation.metrics import Labels, Probabilities

BLUE, RED = "#4a7fb5", "#b5574a"


def probability_plots(y_true: Labels, probability: Probabilities, names: Sequence[str]) -> dict[str, Figure]:
    """Plots by the names of their files; ``names`` are those of the classes 0 and 1."""
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

    figures = {}
    figures["roc_curve"], axes = new_figure("ROC curve")
    RocCurveDisplay.from_predictions(y_true, probability, ax=axes, name="model", plot_chance_level=True)
    figures["precision_recall_curve"], axes = new_figure("Precision and recall")
    PrecisionRecallDisplay.from_predictions(y_true, probability, ax=axes, name="model", plot_chance_level=True)
    figures["confusion_matrix"], axes = new_figure("Confusion matrix")
    classes = (probability > THRESHOLD).astype(int)
    style = {"cmap": "Blues", "values_format": ",", "colorbar": False}
    ConfusionMatrixDisplay.from_predictions(y_true, classes, labels=[0, 1], display_labels=names, ax=axes, **style)
    figures["calibration_curve"], axes = new_figure("Calibration")
    bins = {"n_bins": 10, "strategy": "quantile"}  # of equal size
    CalibrationDisplay.from_predictions(y_true, probability, ax=axes, name="model", **bins)
    return figures


def bar_plot(title: str, values: Mapping[str, float], label: str = "") -> Figure:
    """A bar for each feature, the longest on top; those of negative values are red."""
    order = sorted(values, key=lambda name: abs(values[name]))
    figure, axes = new_figure(title)
    axes.barh(order, [values[name] for name in order], color=[BLUE if values[name] > 0 else RED for name in order])
    axes.set_xlabel(label)
    return figure


def shap_summary(contributions: pd.DataFrame, values: pd.DataFrame, label: str) -> Figure:
    """What each feature contributes to the log odds of a label, on average and for each row; ``values`` colour it."""
    average = contributions.abs().mean().sort_values()
    figure = Figure(figsize=(11.0, 4.0), dpi=100, layout="constrained")
    bars, dots = figure.subplots(1, 2, sharey=True)
    bars.barh(average.index, average, color=BLUE)
    bars.set_title("Mean |SHAP value|")
    colors = mpl.colormaps["coolwarm"].with_extremes(bad="#999999")
    spread = np.linspace(-0.3, 0.3, len(contributions))  # so that the dots of a feature don't hide each other
    for place, name in enumerate(average.index):
        ranks = values[name].rank(pct=True)
        drawn = dots.scatter(
            contributions[name], place + spread, s=8, c=ranks, cmap=colors, vmin=0, vmax=1, plotnonfinite=True
        )
    dots.axvline(0, color="#cccccc", zorder=0)
    dots.set_title(f"SHAP values of {len(contributions):,} test rows")
    dots.set_xlabel(f"towards {label} (+) or away from it (-)")
    figure.colorbar(drawn, ax=dots, ticks=[], label="value (a text's code), low to high; grey: missing")
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def new_figure(title: str) -> tuple[Figure, Axes]:
    """A figure without pyplot: no global state, no GUI, quick to import."""
    figure = Figure(figsize=(5.5, 4.0), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes
