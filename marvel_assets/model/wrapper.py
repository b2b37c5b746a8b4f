"""The custom model: wraps the basic model, and answers with labels, probabilities and reasons."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from sklearn.pipeline import Pipeline

from marvel_assets.model.estimators import estimator_class
from marvel_assets.model.pipeline import predict_unique_rows
from marvel_assets.model.safe_loading import load_trusted

ARTIFACT = "lightgbm-pipeline"

PROBABILITY, EXPLAIN = "probability", "explain"  # the parameters of `predict` that add to the answer
MAX_REASONS = 3  # how many features `why` names


def adjust_predictions(classes: Iterable[int], answer: str, labels: Sequence[str]) -> dict[str, list[Any]]:
    """Predicted classes as labels.

    >>> adjust_predictions([1, 0], "Survival prediction", ["dead", "alive"])
    {'Survival prediction': ['alive', 'dead']}
    """
    return {answer: [labels[int(each)] for each in classes]}


class MarvelModelWrapper(PythonModel):
    """Wraps the basic model and answers with labels, such as ``{"Survival prediction": ["alive", "dead", …]}``.

    The model's configuration holds the key, ``answer``, and the ``labels`` by class.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the basic model that was logged with this one."""
        self.model = load_trusted(Path(context.artifacts[ARTIFACT]))
        self.answer: str = context.model_config["answer"]
        self.labels: list[str] = context.model_config["labels"]

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002 - load_context has loaded the model
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        """Predict the label of each row of a table with the features by name, as ``FeatureCoercer`` takes it.

        Of the ``params``, ``probability`` adds the probability of the second label; ``explain`` adds ``base_value``,
        ``contributions`` and ``why``; others are ignored.
        """
        features, wanted = self.model.named_steps["coerce"].transform(model_input), params or {}
        probabilities = predict_unique_rows(self.model, features)
        answer = adjust_predictions(probabilities.argmax(axis=1), self.answer, self.labels)
        if wanted.get(PROBABILITY):
            answer[PROBABILITY] = probabilities[:, 1].tolist()
        if wanted.get(EXPLAIN):
            answer |= explain(self.model, features, self.labels)
        return answer


def explain(pipeline: Pipeline, features: pd.DataFrame, labels: Sequence[str]) -> dict[str, list[Any]]:
    """What each feature contributes to the raw score of each row, the log odds of the second label.

    A row's ``contributions`` and ``base_value``, the same for all rows, add up to it; ``why`` names the strongest.
    """
    values = predict_unique_rows(pipeline, features, partial(estimator_class(pipeline).contributions, pipeline[-1]))
    contributions = [dict(zip(features.columns, row, strict=True)) for row in values[:, :-1].tolist()]
    cells = features.astype(object).where(features.notna(), "missing").to_dict("records")
    return {
        "base_value": values[:, -1].tolist(),
        "contributions": contributions,
        "why": [_in_words(*each, labels) for each in zip(contributions, cells, strict=True)],
    }


def rank_contributions(contributions: dict[str, float]) -> list[str]:
    """The features with a contribution other than 0, the strongest first."""
    return sorted(
        (name for name, amount in contributions.items() if amount), key=lambda name: -abs(contributions[name])
    )


def _in_words(contributions: dict[str, float], cells: Mapping[Any, object], labels: Sequence[str]) -> str:
    """Such as ``Identity=Secret (dead), Teams=1 (alive), Height=missing (alive)``."""
    strongest = rank_contributions(contributions)[:MAX_REASONS]
    return ", ".join(f"{name}={_shown(cells[name])} ({labels[int(contributions[name] > 0)]})" for name in strongest)


def _shown(cell: object) -> str:
    return f"{cell:.10g}" if isinstance(cell, float) else str(cell)
