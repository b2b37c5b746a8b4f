"""Pictures of a classifier's behaviour."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Labels = npt.NDArray[np.int_]
    Probabilities = npt.NDArray[np.float64]

CALIBRATION_BINS = 10


def roc_curve(alive: Labels, probability: Probabilities) -> Figure:
    """True positive rate over false positive rate."""
    from sklearn.metrics import RocCurveDisplay

    figure, axes = canvas("ROC curve")
    RocCurveDisplay.from_predictions(alive, probability, ax=axes, name="model", plot_chance_level=True)
    return figure


def precision_recall_curve(alive: Labels, probability: Probabilities) -> Figure:
    """Precision against recall over all thresholds, with the average precision."""
    from sklearn.metrics import PrecisionRecallDisplay

    figure, axes = canvas("Precision and recall")
    PrecisionRecallDisplay.from_predictions(alive, probability, ax=axes, name="model", plot_chance_level=True)
    return figure


def confusion_matrix(alive: Labels, probability: Probabilities, names: Sequence[str]) -> Figure:
    """Counts of true and predicted classes, by the names of 0 and 1."""
    from sklearn.metrics import ConfusionMatrixDisplay

    from marvel_assets.evaluation.metrics import THRESHOLD

    figure, axes = canvas("Confusion matrix")
    ConfusionMatrixDisplay.from_predictions(
        alive,
        (probability > THRESHOLD).astype(int),
        labels=[0, 1],
        display_labels=names,
        ax=axes,
        cmap="Blues",
        values_format=",",
        colorbar=False,
    )
    return figure


def calibration_curve(alive: Labels, probability: Probabilities) -> Figure:
    """How often characters live, over how probable the model holds it; bins of equal size."""
    from sklearn.calibration import CalibrationDisplay

    figure, axes = canvas("Calibration")
    CalibrationDisplay.from_predictions(
        alive, probability, n_bins=CALIBRATION_BINS, strategy="quantile", ax=axes, name="model"
    )
    return figure


def feature_importance(importances: Mapping[str, float], label: str) -> Figure:
    """How much each feature matters, the most important on top."""
    order = sorted(importances, key=importances.__getitem__)
    figure, axes = canvas(f"Feature importance ({label})")
    axes.barh(order, [importances[name] for name in order], color="#4a7fb5")
    return figure


def contributions(title: str, values: Mapping[str, float], label: str) -> Figure:
    """What each feature adds to the logarithm of the odds of a label, for one row."""
    order = sorted(values, key=lambda name: abs(values[name]))
    figure, axes = canvas(title)
    colors = ["#4a7fb5" if values[name] > 0 else "#b5574a" for name in order]
    axes.barh(order, [values[name] for name in order], color=colors)
    axes.set_xlabel(f"towards {label} (+) or away from it (-): logarithm of the odds")
    return figure


def shap_summary(contributions: pd.DataFrame, values: pd.DataFrame, label: str) -> Figure:
    """What each feature adds to the logarithm of the odds of a label: on average, and row by row.

    Args:
        contributions: a row for each row that was explained, a column for each feature.
        values: of the same features and rows; their ranks colour the dots.
        label: whose odds they are.
    """
    import matplotlib as mpl
    import numpy as np
    from matplotlib.figure import Figure

    average = contributions.abs().mean().sort_values()
    figure = Figure(figsize=(11.0, 4.0), dpi=100, layout="constrained")
    bars, dots = figure.subplots(1, 2, sharey=True)
    bars.barh(average.index, average, color="#4a7fb5")
    bars.set_title("Mean |SHAP value|")
    colors = mpl.colormaps["coolwarm"].with_extremes(bad="#999999")
    spread = np.linspace(-0.3, 0.3, len(contributions))  # else dots of one feature would hide each other
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
    """A figure without pyplot: no global state, no window system, quick to import."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.0), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes
