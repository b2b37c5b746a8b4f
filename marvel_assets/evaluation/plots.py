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

TITLES = {
    "roc_curve": "ROC curve",
    "precision_recall_curve": "Precision and recall",
    "confusion_matrix": "Confusion matrix",
    "calibration_curve": "Calibration",
}


def probability_plots(y_true: Labels, probability: Probabilities, names: Sequence[str]) -> dict[str, Figure]:
    """ROC curve, precision against recall, confusion matrix and calibration, by the names of their files.

    ``names`` are those of the classes 0 and 1.
    """
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

    drawn = {name: canvas(title) for name, title in TITLES.items()}
    roc, precision, confusion, calibration = (axes for _, axes in drawn.values())
    RocCurveDisplay.from_predictions(y_true, probability, ax=roc, name="model", plot_chance_level=True)
    PrecisionRecallDisplay.from_predictions(y_true, probability, ax=precision, name="model", plot_chance_level=True)
    classes = (probability > THRESHOLD).astype(int)
    style = {"cmap": "Blues", "values_format": ",", "colorbar": False}
    ConfusionMatrixDisplay.from_predictions(y_true, classes, labels=[0, 1], display_labels=names, ax=confusion, **style)
    bins = {"n_bins": 10, "strategy": "quantile"}  # of equal size
    CalibrationDisplay.from_predictions(y_true, probability, ax=calibration, name="model", **bins)
    return {name: figure for name, (figure, _) in drawn.items()}


def feature_importance(importances: Mapping[str, float], label: str) -> Figure:
    """Bars of feature importances, the most important on top."""
    order = sorted(importances, key=importances.__getitem__)
    figure, axes = canvas(f"Feature importance ({label})")
    axes.barh(order, [importances[name] for name in order], color="#4a7fb5")
    return figure


def contributions(title: str, values: Mapping[str, float], label: str) -> Figure:
    """What each feature contributes to the log odds of a label, for one row."""
    order = sorted(values, key=lambda name: abs(values[name]))
    figure, axes = canvas(title)
    colors = ["#4a7fb5" if values[name] > 0 else "#b5574a" for name in order]
    axes.barh(order, [values[name] for name in order], color=colors)
    axes.set_xlabel(f"towards {label} (+) or away from it (-), log odds")
    return figure


def shap_summary(contributions: pd.DataFrame, values: pd.DataFrame, label: str) -> Figure:
    """What each feature contributes to the log odds of a label: on average, and for each row.

    Both frames have a row per explained row and a column per feature; the ranks of ``values`` colour the dots.
    """
    average = contributions.abs().mean().sort_values()
    figure = Figure(figsize=(11.0, 4.0), dpi=100, layout="constrained")
    bars, dots = figure.subplots(1, 2, sharey=True)
    bars.barh(average.index, average, color="#4a7fb5")
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


def canvas(title: str) -> tuple[Figure, Axes]:
    """A figure without pyplot: no global state, no GUI, quick to import."""
    figure = Figure(figsize=(5.5, 4.0), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes
