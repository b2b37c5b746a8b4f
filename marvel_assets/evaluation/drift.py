"""Drift: whether the rows that are scored now still resemble the test rows.

The population stability index (PSI) of two distributions over the same bins is the sum of (a - e) ln(a / e), the
divergence of Jeffreys (1946). Usually, below 0.1 counts as no shift and above 0.25 as a large one (Siddiqi, Credit Risk
Scorecards, 2006). In small samples it is above zero by chance, so a column counts as drifted only if a chi-square test
of the same counts finds a difference, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import rel_entr
from scipy.stats import chi2_contingency

from marvel_assets.evaluation.plots import BLUE, RED, new_figure

if TYPE_CHECKING:
    from marvel_assets.config import Drift

Counts = npt.NDArray[np.float64]

BINS = 10
PRIOR_COUNT = 0.5
"""Added to every bin, so that the logarithm of an empty one exists (Jeffreys' prior)."""

MIN_EXPECTED_COUNT = 5
"""Of a bin in both samples; rarer values share one bin (Cochran, 1954). Otherwise hundreds of rare values would add up
to a shift by chance."""

PREDICTION = "prediction"


class Shift(NamedTuple):
    """How far a feature or the prediction has moved; it has drifted if PSI and p-value exceed their thresholds."""

    column: str
    psi: float
    p_value: float
    drifted: bool


def shifts(reference: pd.DataFrame, window: pd.DataFrame, columns: Sequence[str], thresholds: Drift) -> list[Shift]:
    """Compare a window with the reference, column by column; the most shifted column first."""
    found = []
    for column in columns:
        expected, actual = _counts(reference[column], window[column])
        # A chi-square test needs two bins.
        p_value = float(chi2_contingency(np.vstack([expected, actual])).pvalue) if len(expected) > 1 else 1.0
        psi = population_stability_index(expected, actual)
        found.append(Shift(column, psi, p_value, psi >= thresholds.psi and p_value < thresholds.p_value))
    return sorted(found, key=lambda shift: -shift.psi)


def population_stability_index(expected: Counts, actual: Counts) -> float:
    """Of two samples' counts over the same bins; 0 if the shares are equal."""
    e, a = ((counts + PRIOR_COUNT) / (counts + PRIOR_COUNT).sum() for counts in (expected, actual))
    return float((rel_entr(a, e) + rel_entr(e, a)).sum())


def _counts(reference: pd.Series, window: pd.Series) -> tuple[Counts, Counts]:
    """Counts of both samples in the same bins: deciles of the reference for floats, else a bin per value.

    Missing cells have a bin. Values that are rare or absent in the reference share one.
    """
    if reference.dtype.kind == "f":
        tenths = np.linspace(0, 1, BINS + 1)[1:-1]
        edges = np.unique(np.nanquantile(reference, tenths)) if reference.notna().any() else np.empty(0)
        bins = len(edges) + 2  # below and above all edges, and missing
        places = (np.where(values.isna(), bins - 1, np.searchsorted(edges, values)) for values in (reference, window))
        expected, actual = (np.bincount(place, minlength=bins) for place in places)
    else:
        counts, of_window = (values.value_counts(dropna=False) for values in (reference, window))
        share = counts / max(len(reference), 1)
        frequent = share.index[share * min(len(reference), len(window)) >= MIN_EXPECTED_COUNT]
        kept = (each.reindex(frequent, fill_value=0) for each in (counts, of_window))
        totals = len(reference), len(window)
        expected, actual = (np.append(each, total - each.sum()) for each, total in zip(kept, totals, strict=True))
    found = (expected + actual) > 0
    return expected[found].astype(np.float64), actual[found].astype(np.float64)


def drift_plot(found: Sequence[Shift], threshold: float) -> Figure:
    """A bar for each column's index, and the threshold."""
    figure, axes = new_figure("Population stability index (dashed: the threshold)")
    colors = [RED if shift.drifted else BLUE for shift in found]
    axes.barh([shift.column for shift in found], [shift.psi for shift in found], color=colors)
    axes.invert_yaxis()
    axes.axvline(threshold, linestyle="--", color="grey")
    return figure
