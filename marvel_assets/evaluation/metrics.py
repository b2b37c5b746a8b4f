"""The list of metrics: logged with each model, shown in summary and card, and available to thresholds of the gate.

Names and definitions are those of MLflow's classifier evaluator (``precision_recall_auc`` is the average precision), so
that models logged by either can be compared. Of those that MLflow lacks, balanced accuracy, MCC and ``log_loss_gain``
don't reward giving every row the same answer.

The intervals of ROC AUC, of one model and of the difference between two models on the same rows, are those of DeLong,
DeLong and Clarke-Pearson (1988), computed from ranks, after Sun and Xu (2014).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.int_]
    """1 or 0, shape (n,)."""
    Probabilities = npt.NDArray[np.float64]
    """Of 1, shape (n,)."""

THRESHOLD = 0.5  # the probability above which the class is 1, as in LGBMClassifier.predict


class Metric(NamedTuple):
    """A metric of a binary classifier."""

    function: str | Callable[[Labels, Any], float]
    """Of labels and probabilities, or of labels and classes; a name is that of a function of ``sklearn.metrics``."""
    label: str = ""
    """In summary and card; '' if it is only logged."""
    higher_is_better: bool = True
    of_classes: bool = False


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.low:+.4f}, {self.high:+.4f}]".replace("-", "\N{MINUS SIGN}")


def evaluate(y_true: Labels, probability: Probabilities) -> dict[str, float]:
    """All metrics, by name."""
    from sklearn import metrics

    if (rows := minority_count(y_true)) < 2:  # noqa: PLR2004 - the intervals of ROC AUC need two
        raise ValueError(
            f"{rows} of {len(y_true):,} test rows are of the rarer class; metrics need at least two of each. Add rows: "
            "about one row in five becomes a test row."
        )
    classes, values = (probability > THRESHOLD).astype(int), {}
    for name, metric in METRICS.items():
        function = getattr(metrics, metric.function) if isinstance(metric.function, str) else metric.function
        values[name] = float(function(y_true, classes if metric.of_classes else probability))
    return values


def minority_count(y_true: npt.ArrayLike) -> int:
    """How many rows the rarer class has."""
    import numpy as np

    return int(np.bincount(y_true, minlength=2).min())


def metrics_by_label(values: Mapping[str, float]) -> dict[str, float]:
    """The metrics that have a label, by label, in the list's order."""
    return {metric.label: values[name] for name, metric in METRICS.items() if metric.label and name in values}


def roc_auc_interval(y_true: Labels, probability: Probabilities, confidence: float) -> Interval:
    """ROC AUC with its interval; each class needs at least two rows."""
    estimate, low, high = _interval(*_placements(y_true, probability), confidence)
    return Interval(estimate, max(low, 0.0), min(high, 1.0))


def paired_difference(
    y_true: Labels, candidate: Probabilities, baseline: Probabilities, confidence: float
) -> tuple[float, float, Interval]:
    """Both ROC AUCs, and the interval of the candidate's minus the baseline's; each class needs at least two rows."""
    of_candidate, of_baseline = _placements(y_true, candidate), _placements(y_true, baseline)
    difference = _interval(of_candidate[0] - of_baseline[0], of_candidate[1] - of_baseline[1], confidence)
    return float(of_candidate[0].mean()), float(of_baseline[0].mean()), difference


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
    from scipy.stats import norm

    standard_error = (positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative)) ** 0.5
    estimate, margin = float(positive.mean()), float(norm.ppf((1 + confidence) / 2) * standard_error)
    return Interval(estimate, estimate - margin, estimate + margin)


def _log_loss_gain(y_true: Labels, probability: Probabilities) -> float:
    """How much lower the log loss is than that of always predicting the share of 1, in nats."""
    import numpy as np
    from sklearn.metrics import log_loss

    return float(log_loss(y_true, np.full(len(y_true), y_true.mean())) - log_loss(y_true, probability))


def _count(true_class: int, predicted: int) -> Callable[[Labels, Labels], float]:
    return lambda y_true, classes: float(((y_true == true_class) & (classes == predicted)).sum())


METRICS = {
    "roc_auc": Metric("roc_auc_score", "ROC AUC"),
    "precision_recall_auc": Metric("average_precision_score", "PR AUC"),
    "balanced_accuracy_score": Metric("balanced_accuracy_score", "balanced accuracy", of_classes=True),
    "matthews_corrcoef": Metric("matthews_corrcoef", "MCC", of_classes=True),
    "log_loss": Metric("log_loss", "log loss", higher_is_better=False),
    "brier_score_loss": Metric("brier_score_loss", "Brier score", higher_is_better=False),
    "accuracy_score": Metric("accuracy_score", "accuracy", of_classes=True),
    "f1_score": Metric("f1_score", "F1", of_classes=True),
    "precision_score": Metric("precision_score", "precision", of_classes=True),
    "recall_score": Metric("recall_score", "recall", of_classes=True),
    "log_loss_gain": Metric(_log_loss_gain),
    "example_count": Metric(lambda y_true, _: len(y_true)),
    "true_positives": Metric(_count(1, 1), of_classes=True),
    "false_negatives": Metric(_count(1, 0), higher_is_better=False, of_classes=True),
    "true_negatives": Metric(_count(0, 0), of_classes=True),
    "false_positives": Metric(_count(0, 1), higher_is_better=False, of_classes=True),
}
