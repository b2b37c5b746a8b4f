"""The list of metrics: logged with each model, shown in summary and card, and available to thresholds of the gate.

Names and definitions are those of MLflow's classifier evaluator (scikit-learn's metrics; ``precision_recall_auc`` is
the average precision), so that models logged by either can be compared. The metrics that MLflow lacks don't reward
giving every row the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.int_]
    Probabilities = npt.NDArray[np.float64]

THRESHOLD = 0.5
"""The probability above which the class is 1, as in LGBMClassifier.predict."""


class Metric(NamedTuple):
    """A metric of a binary classifier.

    Attributes:
        function: of the true classes (1 or 0) and the probabilities of 1, both of shape (n,).
        label: its name in summary and card; '' if it is only logged.
        higher_is_better: whether the gate requires more than the threshold, or less.
    """

    function: Callable[[Labels, Probabilities], float]
    label: str = ""
    higher_is_better: bool = True


def evaluate(y_true: Labels, probability: Probabilities) -> dict[str, float]:
    """All metrics, by name.

    Args:
        y_true: 1 or 0, shape (n,).
        probability: of 1, shape (n,).

    Raises:
        ValueError: a class has fewer than two rows, for which ROC AUC has no interval.
    """
    ones = int((y_true == 1).sum())
    if min(ones, len(y_true) - ones) < 2:  # noqa: PLR2004
        raise ValueError(
            f"The test rows hold {len(y_true) - ones:,} of class 0 and {ones:,} of class 1; metrics need at least two "
            "of each. Add rows: a fifth of all ids are test ids."
        )
    return {name: float(metric.function(y_true, probability)) for name, metric in METRICS.items()}


def labelled(values: Mapping[str, float]) -> dict[str, float]:
    """The metrics that have a label, by label, in the list's order."""
    return {metric.label: values[name] for name, metric in METRICS.items() if metric.label and name in values}


def log_loss_gain(y_true: Labels, probability: Probabilities) -> float:
    """How much lower the log loss is than that of always predicting the share of 1, in nats."""
    import numpy as np

    share = float(np.mean(y_true))
    base_rate = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    return float(base_rate - _sklearn("log_loss")(y_true, probability))


def _sklearn(name: str, *, of_classes: bool = False, **settings: float) -> Callable[[Labels, Probabilities], float]:
    """A metric of scikit-learn, which takes probabilities or predicted classes."""

    def function(y_true: Labels, probability: Probabilities) -> float:
        from sklearn import metrics

        predicted = (probability > THRESHOLD).astype(int) if of_classes else probability
        return float(getattr(metrics, name)(y_true, predicted, **settings))

    return function


def _count(true_class: int, predicted: int) -> Callable[[Labels, Probabilities], float]:
    """How many rows of a class get this prediction."""
    return lambda y_true, probability: float(((y_true == true_class) & ((probability > THRESHOLD) == predicted)).sum())


METRICS = {
    "roc_auc": Metric(_sklearn("roc_auc_score"), "ROC AUC"),
    "precision_recall_auc": Metric(_sklearn("average_precision_score"), "PR AUC"),
    "balanced_accuracy_score": Metric(_sklearn("balanced_accuracy_score", of_classes=True), "balanced accuracy"),
    "matthews_corrcoef": Metric(_sklearn("matthews_corrcoef", of_classes=True), "MCC"),
    "log_loss": Metric(_sklearn("log_loss"), "log loss", higher_is_better=False),
    "brier_score_loss": Metric(_sklearn("brier_score_loss"), "Brier score", higher_is_better=False),
    "accuracy_score": Metric(_sklearn("accuracy_score", of_classes=True), "accuracy"),
    "f1_score": Metric(_sklearn("f1_score", of_classes=True), "F1"),
    "precision_score": Metric(_sklearn("precision_score", of_classes=True, zero_division=0.0), "precision"),
    "recall_score": Metric(_sklearn("recall_score", of_classes=True), "recall"),
    "log_loss_gain": Metric(log_loss_gain),
    "example_count": Metric(lambda y_true, _: float(len(y_true))),
    "true_positives": Metric(_count(1, 1)),
    "false_negatives": Metric(_count(1, 0), higher_is_better=False),
    "true_negatives": Metric(_count(0, 0)),
    "false_positives": Metric(_count(0, 1), higher_is_better=False),
}
