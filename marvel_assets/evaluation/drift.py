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
PRIOR_COUNT = 0.5  # added to every bin, so that the logarithm of an empty one exists (Jeffreys' prior)
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
        p_value = float(chi2_contingency(np.vstack([expected, actual])).pvalue)
        psi = population_stability_index(expected, actual)
        found.append(Shift(column, psi, p_value, psi >= thresholds.psi and p_value < thresholds.p_value))
    return sorted(found, key=lambda shift: -shift.psi)


def population_stability_index(expected: Counts, actual: Counts) -> float:
    """Of two samples' counts over the same bins; 0 if the shares are equal."""
    e, a = ((counts + PRIOR_COUNT) / (counts + PRIOR_COUNT).sum() for counts in (expected, actual))
    return float((rel_entr(a, e) + rel_entr(e, a)).sum())


def _counts(reference: pd.Series, window: pd.Series) -> tuple[Counts, Counts]:
    """Counts of both samples in the same bins: deciles of the reference for floats, else a bin per value.

    Missing cells have a bin. Bins that are rare or absent in the reference are one.
    """
    if reference.dtype.kind == "f":
        edges = reference.quantile(np.linspace(0, 1, BINS + 1)[1:-1]).unique()
        deciles = (np.where(values.isna(), -1, np.searchsorted(edges, values)) for values in (reference, window))
        reference, window = map(pd.Series, deciles)
    counts = reference.value_counts(dropna=False)
    expected_counts = counts / len(reference) * min(len(reference), len(window))
    frequent = counts.index[expected_counts >= MIN_EXPECTED_COUNT]
    places = (frequent.get_indexer(pd.Index(values)) + 1 for values in (reference, window))  # 0: not frequent
    expected, actual = (np.bincount(place, minlength=len(frequent) + 1).astype(np.float64) for place in places)
    found = (expected + actual) > 0
    return expected[found], actual[found]


def drift_plot(found: Sequence[Shift], threshold: float) -> Figure:
    """A bar for each column's index, and the threshold."""
    figure, axes = new_figure("Population stability index (dashed: the threshold)")
    colors = [RED if shift.drifted else BLUE for shift in found]
    axes.barh([shift.column for shift in found], [shift.psi for shift in found], color=colors)
    axes.invert_yaxis()
    axes.axvline(threshold, linestyle="--", color="grey")
    return figure
