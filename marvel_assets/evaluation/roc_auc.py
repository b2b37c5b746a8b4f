"""ROC AUC with DeLong's intervals: of one model, and of the difference between two models on the same rows.

DeLong, DeLong and Clarke-Pearson, Comparing the Areas under Two or More Correlated Receiver Operating Characteristic
Curves (1988); computed from ranks, after Sun and Xu (2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.int_]
    Probabilities = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.low:+.4f}, {self.high:+.4f}]".replace("-", "\N{MINUS SIGN}")


def roc_auc_interval(y_true: Labels, probability: Probabilities, confidence: float) -> Interval:
    """ROC AUC with its interval; each class needs at least two rows.

    Args:
        y_true: 1 or 0, shape (n,).
        probability: of 1, shape (n,).
        confidence: of the interval, such as 0.95.
    """
    estimate, low, high = _interval(*_placements(y_true, probability), confidence)
    return Interval(estimate, max(low, 0.0), min(high, 1.0))


def paired_difference(
    y_true: Labels, candidate: Probabilities, baseline: Probabilities, confidence: float
) -> tuple[float, float, Interval]:
    """Both ROC AUCs, and the interval of the candidate's minus the baseline's; each class needs at least two rows.

    Args:
        y_true: 1 or 0, shape (n,).
        candidate: probabilities of 1, shape (n,).
        baseline: another model's, shape (n,).
        confidence: of the interval, such as 0.95.
    """
    of_candidate, of_baseline = _placements(y_true, candidate), _placements(y_true, baseline)
    differences = [one - other for one, other in zip(of_candidate, of_baseline, strict=True)]
    return (
        float(of_candidate[0].mean()),
        float(of_baseline[0].mean()),
        _interval(differences[0], differences[1], confidence),
    )


def _placements(y_true: Labels, probability: Probabilities) -> tuple[Probabilities, Probabilities]:
    """For each positive, the share of negatives ranked below it, and for each negative, of positives ranked above."""
    import numpy as np
    from scipy.stats import rankdata

    positive, negative = probability[y_true == 1], probability[y_true == 0]
    ranks = rankdata(np.r_[positive, negative])
    below = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    above = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    return below, above


def _interval(positive: Probabilities, negative: Probabilities, confidence: float) -> Interval:
    """The mean placement, which is the ROC AUC or the difference of two, with its normal interval."""
    import numpy as np
    from scipy.stats import norm

    standard_error = np.sqrt(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative))
    estimate, margin = float(positive.mean()), float(norm.ppf((1 + confidence) / 2) * standard_error)
    return Interval(estimate, estimate - margin, estimate + margin)
