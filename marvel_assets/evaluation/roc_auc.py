"""ROC AUC with intervals: of one model, and of the difference between two models on the same rows.

The interval of a difference is a percentile interval of a paired bootstrap: both models are evaluated on the same
resamples (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). That of a single ROC AUC is
DeLong's (1988), which needs no resampling and is cheap for many slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.int_]
    Probabilities = npt.NDArray[np.float64]

BATCH = 50
"""Resamples that are in memory at once."""


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.low:+.4f}, {self.high:+.4f}]".replace("-", "\N{MINUS SIGN}")


class Ranking:
    """Rows sorted once by a model's predictions, for the ROC AUC of many resamples.

    ROC AUC is the share of pairs, one alive and one dead, in which the one alive has the higher prediction; ties count
    half (Mann and Whitney).
    """

    def __init__(self, alive: Labels, probability: Probabilities) -> None:
        import numpy as np

        self._order = np.argsort(probability, kind="stable")
        self._alive = alive[self._order]
        ordered = probability[self._order]
        self._ties_begin = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def roc_auc(self, counts: npt.NDArray[np.int_]) -> float:
        """ROC AUC with each row counted ``counts`` times, shape (n,); 0.5 if a class is missing."""
        import numpy as np

        times = counts[self._order]
        alive = np.add.reduceat(times * self._alive, self._ties_begin)
        dead = np.add.reduceat(times, self._ties_begin) - alive
        pairs = float(alive.sum()) * float(dead.sum())
        return float((alive * (np.cumsum(dead) - dead / 2)).sum() / pairs) if pairs else 0.5


def paired_difference(
    alive: Labels,
    candidate: Probabilities,
    baseline: Probabilities,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float, Interval]:
    """Both ROC AUCs, and the bootstrap interval of the candidate's minus the baseline's.

    Args:
        alive: 1 or 0, shape (n,).
        candidate: probabilities of being alive, shape (n,).
        baseline: another model's, shape (n,).
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the resampling.
    """
    import numpy as np
    from scipy.stats import bootstrap

    rankings = Ranking(alive, candidate), Ranking(alive, baseline)

    def difference(places: npt.NDArray[np.int_]) -> float:
        counts = np.bincount(places, minlength=len(alive))
        return rankings[0].roc_auc(counts) - rankings[1].roc_auc(counts)

    result = bootstrap(
        (np.arange(len(alive)),),
        difference,
        vectorized=False,
        method="percentile",
        n_resamples=resamples,
        confidence_level=confidence,
        batch=BATCH,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    once = np.ones(len(alive), dtype=int)
    first, second = (ranking.roc_auc(once) for ranking in rankings)
    return first, second, Interval(first - second, float(result.low), float(result.high))


def delong_interval(alive: Labels, probability: Probabilities, confidence: float) -> Interval:
    """ROC AUC with DeLong's interval; each class needs at least two rows.

    A row's placement is the share of the other class that it is ranked correctly against; the variance of the mean
    placement is that of ROC AUC (computed from ranks, after Sun and Xu, 2014).
    """
    import numpy as np
    from scipy.stats import norm, rankdata

    positive, negative = probability[alive == 1], probability[alive == 0]
    ranks = rankdata(np.r_[positive, negative])
    of_positive = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    of_negative = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    error = np.sqrt(of_positive.var(ddof=1) / len(positive) + of_negative.var(ddof=1) / len(negative))
    estimate, reach = float(of_positive.mean()), float(norm.ppf((1 + confidence) / 2) * error)
    return Interval(estimate, estimate - reach, estimate + reach)
