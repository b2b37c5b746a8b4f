"""The gate: whether a challenger may take the champion's place.

Three questions, all on the test rows: is it better than calling everybody alive, is it good enough on every slice that
is large enough to tell, and is it not worse than the champion? The last is answered by a paired bootstrap: rows are
drawn with replacement, both models are judged on the same draw, and the interval of the difference is taken between
percentiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). A challenger is worse where the
whole interval lies below zero, so that one as good as the champion is refused in (1 - confidence) / 2 of all cases.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from marvel_assets.survival.inert import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from marvel_assets.config import Gate

    Labels = npt.NDArray[np.int_]
    Probabilities = npt.NDArray[np.float64]

MINUS = "\N{MINUS SIGN}"
SLICED_BY = ("Gender", "Identity", "Universe")
WEAKEST_TOLD = 10
"""How many slices a verdict keeps: a table may have hundreds of universes."""

DRAWS_AT_ONCE = 50
"""Draws of the bootstrap that stand in memory together."""


class BrokenModelError(ValueError):
    """The model's predictions are no probabilities; it is broken, and not merely worse."""


@dataclass(frozen=True)
class Comparison:
    """ROC AUC of both models on the same rows, and the bootstrap interval of the difference."""

    challenger: float
    champion: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high < 0

    def __str__(self) -> str:
        difference = f"{self.challenger - self.champion:+.3f} [{self.low:+.3f}, {self.high:+.3f}]".replace("-", MINUS)
        return f"ROC AUC {self.challenger:.3f}, champion {self.champion:.3f}, difference {difference}"


@dataclass(frozen=True)
class Slice:
    """The test rows that share a value, and how well the challenger ranks them."""

    column: str
    value: str
    rows: int
    roc_auc: float


@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Attributes:
        refusals: one sentence for each reason to refuse the challenger; none where it passed.
        comparison: with the champion, where there is one that could be scored.
        slices: the weakest ones.
        note: what else a person should know, such as that there was no champion.
    """

    refusals: tuple[str, ...]
    comparison: Comparison | None = None
    slices: tuple[Slice, ...] = ()
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing stands against the challenger."""
        return not self.refusals

    @property
    def reason(self) -> str:
        """The verdict in a line or two."""
        told = list(self.refusals)
        if self.comparison is not None and str(self.comparison) not in told:
            told.append(str(self.comparison))
        if self.note:
            told.append(self.note)
        return "; ".join(told)

    def to_json(self) -> str:
        """The verdict as a text that a tag can hold."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """The verdict that ``to_json`` wrote."""
        content: dict[str, Any] = json.loads(text)
        comparison = content["comparison"]
        return cls(
            refusals=tuple(content["refusals"]),
            comparison=Comparison(**comparison) if comparison else None,
            slices=tuple(Slice(**part) for part in content["slices"]),
            note=content["note"],
        )


def judge(
    rows: pd.DataFrame,
    alive: Labels,
    challenger: Probabilities,
    champion: Probabilities | None,
    thresholds: Gate,
    *,
    note: str = "",
) -> Verdict:
    """Judge a challenger.

    Args:
        rows: the test rows, with the columns that slices are made of.
        alive: 1 or 0, shape (n,).
        challenger: its probabilities of being alive, shape (n,).
        champion: the champion's; None where there is no champion, or none that could be scored.
        thresholds: what has to be reached.
        note: told with the verdict.

    Raises:
        BrokenModelError: the challenger's predictions are no probabilities.
        ValueError: the rows hold one class only.
    """
    from marvel_assets.survival.evaluation import evaluate

    check_probabilities(challenger, len(alive), "the challenger")
    figures = evaluate(alive, challenger)
    slices = sorted(_slices(rows, alive, challenger, thresholds.smallest_slice), key=_roc_auc)
    refusals = [*_floors_missed(figures, alive, thresholds), *_weak(slices, thresholds.minimum_slice_roc_auc)]
    comparison = None
    if champion is not None:
        comparison = compare(alive, challenger, champion, thresholds)
        if comparison.is_worse:
            refusals.insert(0, str(comparison))
    return Verdict(tuple(refusals), comparison, tuple(slices[:WEAKEST_TOLD]), note)


def check_probabilities(probability: Probabilities, rows: int, whose: str) -> None:
    """Let pass what can be a model's answer.

    Raises:
        BrokenModelError: telling what is wrong with it.
    """
    import numpy as np

    if probability.shape != (rows,):
        raise BrokenModelError(
            f"{whose} gives {probability.shape} predictions for {rows:,} rows; one each is expected."
        )
    unusable = int((~((probability >= 0) & (probability <= 1))).sum())
    if unusable:
        first = probability[np.argmax(~((probability >= 0) & (probability <= 1)))]
        raise BrokenModelError(
            f"{whose} predicts {unusable:,} times what is no probability between 0 and 1, such as {first}."
        )


def compare(alive: Labels, challenger: Probabilities, champion: Probabilities, thresholds: Gate) -> Comparison:
    """Both ROC AUCs, and the interval of their difference over draws of the same rows for both."""
    import numpy as np
    from scipy.stats import bootstrap

    ranked = _Ranking(alive, challenger), _Ranking(alive, champion)

    def difference(places: npt.NDArray[np.int_]) -> float:
        drawn = np.bincount(places, minlength=len(alive))
        return ranked[0].roc_auc(drawn) - ranked[1].roc_auc(drawn)

    drawn = bootstrap(
        (np.arange(len(alive)),),
        difference,
        vectorized=False,
        method="percentile",
        n_resamples=thresholds.resamples,
        confidence_level=thresholds.confidence,
        batch=DRAWS_AT_ONCE,
        rng=np.random.default_rng(thresholds.seed),
    )
    once = np.ones(len(alive), dtype=int)
    interval = drawn.confidence_interval
    return Comparison(ranked[0].roc_auc(once), ranked[1].roc_auc(once), float(interval.low), float(interval.high))


class _Ranking:
    """Rows in the order of a model's predictions: ROC AUC of any draw of them, without sorting again.

    ROC AUC is the share of pairs, one alive and one dead, in which the one alive has the higher prediction; ties count
    half (Mann and Whitney).
    """

    def __init__(self, alive: Labels, probability: Probabilities) -> None:
        import numpy as np

        self._order = np.argsort(probability, kind="stable")
        self._alive = alive[self._order]
        ordered = probability[self._order]
        self._ties_begin = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def roc_auc(self, drawn: npt.NDArray[np.int_]) -> float:
        import numpy as np

        times = drawn[self._order]
        alive = np.add.reduceat(times * self._alive, self._ties_begin)
        dead = np.add.reduceat(times, self._ties_begin) - alive
        pairs = float(alive.sum()) * float(dead.sum())
        return float((alive * (np.cumsum(dead) - dead / 2)).sum() / pairs) if pairs else 0.5


def _floors_missed(figures: Mapping[str, float], alive: Labels, thresholds: Gate) -> list[str]:
    """The absolute floors, looked at by MLflow's own validation."""
    import mlflow
    from mlflow.models import MetricThreshold
    from mlflow.models.evaluation import EvaluationResult
    from mlflow.models.evaluation.validation import ModelValidationFailedException

    judged = {**figures, "log_loss_gain": log_loss_gain(figures["log_loss"], alive)}
    floors = {
        "roc_auc": thresholds.minimum_roc_auc,
        "balanced_accuracy_score": thresholds.minimum_balanced_accuracy,
        "log_loss_gain": thresholds.minimum_log_loss_gain,
    }
    missed = []
    for name, floor in floors.items():
        least = MetricThreshold(threshold=floor, greater_is_better=True)  # type: ignore[no-untyped-call]
        found = EvaluationResult(judged, {})  # type: ignore[no-untyped-call]
        try:
            mlflow.validate_evaluation_results(
                validation_thresholds={name: least},
                candidate_result=found,
            )
        except ModelValidationFailedException:
            missed.append(f"{name} {judged[name]:.4f} is below the floor of {floor:g}")
    return missed


def log_loss_gain(log_loss: float, alive: Labels) -> float:
    """How much better than the base rate a model is, in nats: the log loss of answering the share of those alive."""
    import numpy as np

    share = float(np.mean(alive))
    base_rate = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    return float(base_rate - log_loss)


def _slices(rows: pd.DataFrame, alive: Labels, probability: Probabilities, smallest: int) -> Iterator[Slice]:
    """The slices that are large enough and hold both classes: of others no ranking can be told."""
    import numpy as np

    for column in (name for name in SLICED_BY if name in rows.columns):
        values = rows[column].to_numpy()
        for value, size in rows[column].value_counts().items():
            if size < smallest:
                break
            inside = values == value
            if 0 < alive[inside].sum() < size:
                ranking = _Ranking(alive[inside], probability[inside])
                yield Slice(column, str(value), int(size), ranking.roc_auc(np.ones(size, dtype=int)))


def _weak(slices: list[Slice], floor: float) -> list[str]:
    return [
        f"ROC AUC {part.roc_auc:.3f} where {part.column} is {in_words(part.value)} ({part.rows:,} rows) is below the "
        f"floor of {floor:g}"
        for part in slices
        if part.roc_auc < floor
    ]


def _roc_auc(part: Slice) -> float:
    return part.roc_auc
