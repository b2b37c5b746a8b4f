"""The gate: whether a candidate may replace the champion. docs/gate.md says what it checks.

The champion is not enough as a baseline: small losses of several releases would add up. The intervals of slices are
widened for their number (Bonferroni), so that a dozen of them don't refuse a sound model by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from pydantic import RootModel

from marvel_assets.evaluation.metrics import METRICS, evaluate, minority_count, paired_difference, roc_auc_interval
from marvel_assets.utils.redaction import sanitize_label

if TYPE_CHECKING:
    import pandas as pd

    from marvel_assets.config import Gate
    from marvel_assets.evaluation.metrics import Labels, Probabilities

CHAMPION = "champion"
MAX_SLICES_REPORTED = 10  # the weakest: there may be hundreds of universes


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
        """The candidate's minus the baseline's."""
        return self.candidate - self.baseline

    def failure(self, max_loss: float) -> str | None:
        """Why the candidate counts as worse than the baseline; None if it doesn't."""
        if self.high < 0:
            return f"{self}: the whole interval is below zero"
        if self.difference < -max_loss:
            return f"{self}: a loss of more than {max_loss:g} (gate.max_roc_auc_loss)"
        return None

    def warning(self, max_loss: float) -> str | None:
        """A greater loss that the interval can't exclude, and how many rows could; None if it can."""
        if self.low >= -max_loss:
            return None
        loss = f"a loss of more than {max_loss:g} against the {self.baseline_name}"
        text = f"{self.rows:,} test rows can't rule out {loss}"
        if (margin := max_loss + min(self.difference, 0)) <= 0:
            return text
        # The interval narrows with the square root of the rows.
        needed = float(f"{self.rows * ((self.difference - self.low) / margin) ** 2:.2g}")
        return f"{text}; about {needed:,.0f} could"

    def __str__(self) -> str:
        difference = f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]".replace("-", "\N{MINUS SIGN}")
        return f"ROC AUC {self.candidate:.3f}, {self.baseline_name} {self.baseline:.3f}, difference {difference}"


@dataclass(frozen=True)
class Slice:
    """The test rows that share a value of a column, and the candidate's ROC AUC on them with its interval."""

    column: str
    value: str
    rows: int
    roc_auc: float
    low: float
    high: float

    def __str__(self) -> str:
        rows = f"where {self.column} is {sanitize_label(self.value)} ({self.rows:,} rows)"
        return f"ROC AUC {self.roc_auc:.3f} [{self.low:.3f}, {self.high:.3f}] {rows}"


@dataclass(frozen=True)
class GateResult:
    """The gate's result; failures, warnings and cleared thresholds as sentences."""

    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()  # with the champion first, if there is one
    slices: tuple[Slice, ...] = ()  # the weakest ones
    note: str = ""  # such as that there was no champion
    advice: str = ""  # what to do about a refusal
    cleared: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there are no failures."""
        return not self.failures

    @property
    def remarks(self) -> list[str]:
        """The comparisons that no failure mentions, the warnings, and the note."""
        others = [str(each) for each in self.comparisons if str(each) not in "\n".join(self.failures)]
        return [*others, *(f"warning: {text}" for text in self.warnings), *filter(None, [self.note])]

    @property
    def reason(self) -> str:
        """The result in a line or two: the failures, or the thresholds that the candidate exceeds."""
        text = "; ".join([*(self.failures or self.cleared), *self.remarks])
        return f"{text}. {self.advice}" if self.advice else text

    def to_json(self) -> str:
        """The result as JSON, for a tag."""
        return RootModel[GateResult](self).model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> GateResult:
        """The result that ``to_json`` wrote."""
        return RootModel[GateResult].model_validate_json(text).root


def evaluate_gate(
    rows: pd.DataFrame,
    y_true: Labels,
    candidate: Probabilities,
    baselines: Mapping[str, Probabilities],
    thresholds: Gate,
    *,
    note: str = "",
) -> GateResult:
    """Evaluate a candidate's probabilities on the test rows, whose slice columns are ``rows``.

    It must not be worse than the ``baselines``: the probabilities of other models, by their names in sentences.
    """
    max_loss, floor = thresholds.max_roc_auc_loss, thresholds.minimum_slice_roc_auc
    failures, warnings, cleared = [], [], []
    comparisons = [compare(y_true, candidate, scores, thresholds, name) for name, scores in baselines.items()]
    for comparison in comparisons:
        if failure := comparison.failure(max_loss):
            failures.append(failure)
        elif warning := comparison.warning(max_loss):
            warnings.append(warning)
    metrics = evaluate(y_true, candidate)
    for name, threshold in thresholds.thresholds.items():
        is_higher_better, value = METRICS[name].higher_is_better, metrics[name]
        side = "above" if is_higher_better else "below"
        if value > threshold if is_higher_better else value < threshold:  # guessing reaches equality
            cleared.append(f"{name} {value:.4f} is {side} {threshold:g}")
        else:
            failures.append(f"{name} {value:.4f} must be {side} {threshold:g} (gate.thresholds.{name})")
    slices = sorted(_slices(rows, y_true, candidate, thresholds), key=attrgetter("roc_auc"))
    for part in slices:
        if part.high < floor:
            failures.append(f"{part}: the whole interval is below {floor:g} (gate.minimum_slice_roc_auc)")
        elif part.roc_auc < floor:
            warnings.append(f"{part}: below {floor:g}, but its interval is not")
    weakest = tuple(slices[:MAX_SLICES_REPORTED])
    return GateResult(tuple(failures), tuple(warnings), tuple(comparisons), weakest, note, cleared=tuple(cleared))


def compare(
    y_true: Labels, candidate: Probabilities, baseline: Probabilities, thresholds: Gate, name: str = CHAMPION
) -> Comparison:
    """Both ROC AUCs, and the interval of their difference as DeLong's."""
    first, second, interval = paired_difference(y_true, candidate, baseline, thresholds.confidence)
    return Comparison(first, second, interval.low, interval.high, len(y_true), name)


def _slices(rows: pd.DataFrame, y_true: Labels, probability: Probabilities, thresholds: Gate) -> list[Slice]:
    """The slices that are large enough and have both classes: others have no ROC AUC."""
    masks = {}
    for column in rows.columns:
        sizes = rows[column].value_counts()
        for value in sizes.index[sizes >= thresholds.min_slice_rows]:
            inside = (rows[column] == value).to_numpy()
            if minority_count(y_true[inside]) > 1:
                masks[column, value] = inside
    confidence = 1 - (1 - thresholds.confidence) / max(1, len(masks))
    return [
        Slice(column, str(value), int(inside.sum()), *roc_auc_interval(y_true[inside], probability[inside], confidence))
        for (column, value), inside in masks.items()
    ]
