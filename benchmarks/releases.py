"""What the gate lets through in 20 releases in a row, with and without its margin (``python -m benchmarks.releases``).

The models are simulated: what a model says of a row is the normal score of its class, noise that all models share
(0.9 of the variance, which gives the difference of two models the interval that retrained models show) and noise of its
own. So the true ROC AUC of each is known. A test row keeps its place in all releases, as in the graph.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from marvel_assets.config import Gate
from marvel_assets.evaluation.gate import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from marvel_assets.evaluation.gate import Comparison
    from marvel_assets.evaluation.metrics import Probabilities

RELEASES = 20
START = 0.73
ALIVE = 0.75
SHARED = 0.9
GATE = Gate()
SCENARIOS = {"each 0.003 worse": -0.003, "each as good": 0.0, "each 0.019 worse": -0.019}


def without_margin(comparison: Comparison) -> bool:
    """The gate before: refused where the whole interval is below zero."""
    return comparison.high >= 0


def with_margin(comparison: Comparison) -> bool:
    """The gate as it is."""
    return comparison.failure(GATE.max_roc_auc_loss) is None


def series(
    rows: int, step: float, seed: int, passes: Callable[[Comparison], bool], *, compare_best: bool
) -> tuple[float, int]:
    """The true ROC AUC that is lost after all releases, and how many of these passed.

    Each challenger is truly better than the champion by ``step``.
    """
    random = np.random.default_rng(seed)
    alive = (random.random(rows) < ALIVE).astype(int)
    shared = random.normal(size=rows)

    def model(roc_auc: float) -> Probabilities:
        noise = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * random.normal(size=rows)
        scores: Probabilities = norm.cdf(np.sqrt(2) * norm.ppf(roc_auc) * alive + noise)
        return scores

    truth = START
    champion = best = model(truth)
    passed = 0
    for _ in range(RELEASES):
        challenger = model(truth + step)
        comparison = compare(alive, challenger, champion, GATE)
        if not passes(comparison):
            continue
        if compare_best and best is not champion:
            comparison = compare(alive, challenger, best, GATE)
            if not passes(comparison):
                continue
        best = best if comparison.difference < 0 else challenger
        champion, truth, passed = challenger, truth + step, passed + 1
    return START - truth, passed


def main() -> None:
    """Print a table in Markdown: the mean over the series."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs="*", default=[300, 1_000, 18_000])
    arguments = parser.parse_args()
    repeats = arguments.series
    print("| 20 releases | test rows | passed before | true loss before | passed now | true loss now |")
    print("|---|---|---|---|---|---|")
    for rows in arguments.rows:
        for scenario, step in SCENARIOS.items():
            before, now = (
                np.mean([series(rows, step, seed, passes, compare_best=best) for seed in range(repeats)], axis=0)
                for passes, best in ((without_margin, False), (with_margin, True))
            )
            cells = [
                f"{figure:.{digits}f}"
                for figures in (before, now)
                for figure, digits in zip(figures[::-1], (1, 3), strict=True)
            ]
            print(f"| {scenario} | {rows:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
