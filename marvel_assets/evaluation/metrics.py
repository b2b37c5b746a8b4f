"""How good a classifier is, in the figures that ``mlflow.models.evaluate`` gives, and two more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

THRESHOLD = 0.5
"""The probability from which a character is called alive, as LGBMClassifier.predict has it."""


def evaluate(alive: npt.NDArray[np.int_], probability: npt.NDArray[np.float64]) -> dict[str, float]:
    """Judge predicted probabilities against what is true.

    Names and definitions are those of MLflow's classifier evaluator (scikit-learn's metrics; ``precision_recall_auc``
    is the average precision), so that models logged by either compare. Added are ``balanced_accuracy_score`` and
    ``matthews_corrcoef``: they don't reward "everybody lives".

    Args:
        alive: 1 or 0, shape (n,).
        probability: of being alive, shape (n,).

    Raises:
        ValueError: only one class is there, so that no ranking can be judged.
    """
    from sklearn import metrics

    if len(set(alive.tolist())) < 2:  # noqa: PLR2004
        raise ValueError("The test rows hold one class only; no ROC AUC can be computed on them.")
    predicted = (probability > THRESHOLD).astype(int)
    negatives, false_positives, false_negatives, positives = metrics.confusion_matrix(alive, predicted).ravel()
    figures = {
        "accuracy_score": metrics.accuracy_score(alive, predicted),
        "balanced_accuracy_score": metrics.balanced_accuracy_score(alive, predicted),
        "example_count": len(alive),
        "f1_score": metrics.f1_score(alive, predicted),
        "false_negatives": false_negatives,
        "false_positives": false_positives,
        "log_loss": metrics.log_loss(alive, probability),
        "matthews_corrcoef": metrics.matthews_corrcoef(alive, predicted),
        "precision_recall_auc": metrics.average_precision_score(alive, probability),
        "precision_score": metrics.precision_score(alive, predicted, zero_division=0.0),
        "recall_score": metrics.recall_score(alive, predicted),
        "roc_auc": metrics.roc_auc_score(alive, probability),
        "true_negatives": negatives,
        "true_positives": positives,
    }
    return {name: float(value) for name, value in figures.items()}
