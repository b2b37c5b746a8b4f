"""The gate: whether a candidate may take the champion's place.

It asks three questions, all on the test rows: does the model clear the floors, does it rank every large slice of the
characters well enough, and is it no worse than the baselines, which are the champion and the best model served so far?
A candidate is worse than a baseline where its ROC AUC is lower by more than a margin, or where the whole interval of
the difference is below zero. The champion alone would not do: releases that each lose less than the margin add up.

A slice fails only where the whole interval of its ROC AUC is below the floor. The intervals are widened for the number
of slices (Bonferroni), so that a dozen of them don't refuse a sound model by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from marvel_assets.utils.redaction import sanitize_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import pandas as pd

    from marvel_assets.config import Gate
    from marvel_assets.evaluation.roc_auc import Labels, Probabilities

MINUS = "\N{MINUS SIGN}"
CHAMPION = "champion"
MAX_SLICES_REPORTED = 10
"""The weakest slices that a result keeps: a table may have hundreds of universes."""


@dataclass(frozen=True)
class Comparison:
    """ROC AUC of the candidate and a baseline on the same rows, with the interval of the difference."""

    candidate: float
    baseline: float
    low: float
    high: float
    rows: int
    baseline_name: str = CHAMPION

    @property
    def difference(self) -> float:
        """The candidate's ROC AUC less the baseline's."""
        return self.candidate - self.baseline

    def failure(self, max_loss: float) -> str | None:
        """Why the candidate counts as worse than the baseline, if it does."""
        if self.high < 0:
            return f"{self}: the whole interval is below zero"
        if self.difference < -max_loss:
            return f"{self}: a loss of more than {max_loss:g} (gate.max_roc_auc_loss)"
        return None

    def warning(self, max_loss: float) -> str | None:
        """What the interval leaves open: a loss beyond the margin, and how many rows would exclude it.

        The interval narrows with the square root of the rows; the candidate is taken to be as good as the baseline.
        """
        if self.low >= -max_loss:
            return None
        needed = float(f"{self.rows * ((self.difference - self.low) / max_loss) ** 2:.2g}")
        return (
            f"{self.rows:,} test rows can't rule out a loss of more than {max_loss:g} against the "
            f"{self.baseline_name}; about {needed:,.0f} could"
        )

    def __str__(self) -> str:
        difference = f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]".replace("-", MINUS)
        return f"ROC AUC {self.candidate:.3f}, {self.baseline_name} {self.baseline:.3f}, difference {difference}"


@dataclass(frozen=True)
class Slice:
    """The test rows that share a value of a column, and how well the candidate ranks them, with its interval."""

    column: str
    value: str
    rows: int
    roc_auc: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"ROC AUC {self.roc_auc:.3f} [{self.low:.3f}, {self.high:.3f}] where {self.column} is "
            f"{sanitize_label(self.value)} ({self.rows:,} rows)"
        )


@dataclass(frozen=True)
class GateResult:
    """What the gate found.

    Attributes:
        failures: one sentence for each reason to refuse the candidate; none where it passed.
        warnings: what the test rows leave open.
        comparisons: with the champion first, where there is one, then with the best model served so far.
        slices: the weakest ones.
        note: what else a person should know, such as that there was no champion.
        advice: what a person can do about a refusal.
        cleared: one sentence for each threshold that the candidate exceeds.
    """

    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[Slice, ...] = ()
    note: str = ""
    advice: str = ""
    cleared: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing stands against the candidate."""
        return not self.failures

    @property
    def other_comparisons(self) -> list[str]:
        """The comparisons that no failure has named."""
        named = "\n".join(self.failures)
        return [str(comparison) for comparison in self.comparisons if str(comparison) not in named]

    @property
    def reason(self) -> str:
        """The result in a line or two: what stands against the candidate, or the thresholds that it exceeds."""
        warnings = [f"warning: {text}" for text in self.warnings]
        parts = [*(self.failures or self.cleared), *self.other_comparisons, *warnings, self.note]
        text = "; ".join(filter(None, parts))
        return f"{text}. {self.advice}" if self.advice else text

    def to_json(self) -> str:
        """The result as a text that a tag can hold."""
        return _RESULT.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> GateResult:
        """The result that ``to_json`` wrote."""
        return _RESULT.validate_json(text)


_RESULT = TypeAdapter(GateResult)


def evaluate_gate(
    rows: pd.DataFrame,
    alive: Labels,
    candidate: Probabilities,
    baselines: Mapping[str, Probabilities],
    thresholds: Gate,
    *,
    note: str = "",
) -> GateResult:
    """Evaluate a candidate on the test rows.

    Args:
        rows: of the test rows, the columns that slices are made of.
        alive: 1 or 0, shape (n,).
        candidate: its probabilities of being alive, shape (n,).
        baselines: those of the models that it must not be worse than, by what a person calls them.
        thresholds: what has to be reached.
        note: reported with the result.

    Raises:
        ValueError: the rows hold one class only.
    """
    comparisons = [compare(alive, candidate, scores, thresholds, name) for name, scores in baselines.items()]
    slices = sorted(_slices(rows, alive, candidate, thresholds), key=attrgetter("roc_auc"))
    margin, floor = thresholds.max_roc_auc_loss, thresholds.minimum_slice_roc_auc
    failures = [comparison.failure(margin) for comparison in comparisons]
    judged = list(_judged_by_thresholds(alive, candidate, thresholds))
    failures += [sentence for is_cleared, sentence in judged if not is_cleared]
    failures += [
        f"{part}: the whole interval is below {floor:g} (gate.minimum_slice_roc_auc)"
        for part in slices
        if part.high < floor
    ]
    warnings = [comparison.warning(margin) for comparison in comparisons if comparison.failure(margin) is None]
    warnings += [
        f"{part}: below {floor:g}, but its interval is not" for part in slices if part.roc_auc < floor <= part.high
    ]
    return GateResult(
        tuple(filter(None, failures)),
        tuple(filter(None, warnings)),
        tuple(comparisons),
        tuple(slices[:MAX_SLICES_REPORTED]),
        note,
        cleared=tuple(sentence for is_cleared, sentence in judged if is_cleared),
    )


def compare(
    alive: Labels, candidate: Probabilities, baseline: Probabilities, thresholds: Gate, name: str = CHAMPION
) -> Comparison:
    """Both ROC AUCs, and the interval of their difference over draws of the same rows for both."""
    from marvel_assets.evaluation.roc_auc import paired_difference

    first, second, interval = paired_difference(
        alive,
        candidate,
        baseline,
        confidence=thresholds.confidence,
        resamples=thresholds.resamples,
        seed=thresholds.seed,
    )
    return Comparison(first, second, interval.low, interval.high, len(alive), name)


def _judged_by_thresholds(true: Labels, candidate: Probabilities, thresholds: Gate) -> Iterator[tuple[bool, str]]:
    """Whether each metric exceeds its threshold, in words. On the threshold it does not: there guessing stands."""
    from marvel_assets.evaluation.metrics import METRICS, THRESHOLD, evaluate

    metrics = evaluate(true, candidate)
    for name, threshold in thresholds.thresholds.items():
        is_higher = METRICS[name].higher_is_better
        side = "above" if is_higher else "below"
        if metrics[name] > threshold if is_higher else metrics[name] < threshold:
            yield True, f"{name} {metrics[name]:.4f} is {side} {threshold:g}"
            continue
        failure = f"{name} {metrics[name]:.4f} must be {side} {threshold:g} (gate.thresholds.{name})"
        if name == "balanced_accuracy_score" and len(set((candidate > THRESHOLD).tolist())) == 1:
            failure += ": it gives every test row the same answer"
        yield False, failure


def _slices(rows: pd.DataFrame, alive: Labels, probability: Probabilities, thresholds: Gate) -> list[Slice]:
    """The slices that are large enough and hold both classes: others can't be ranked."""
    from marvel_assets.evaluation.roc_auc import delong_interval

    masks: list[tuple[str, object, np.ndarray]] = []
    for column in rows.columns:
        values = rows[column].to_numpy()
        sizes = rows[column].value_counts()
        for value, size in sizes[sizes >= thresholds.min_slice_rows].items():
            inside = values == value
            if 1 < alive[inside].sum() < size - 1:
                masks.append((column, value, inside))
    confidence = 1 - (1 - thresholds.confidence) / max(1, len(masks))
    found = []
    for column, value, inside in masks:
        interval = delong_interval(alive[inside], probability[inside], confidence)
        found.append(Slice(column, str(value), int(inside.sum()), *interval))
    return found
