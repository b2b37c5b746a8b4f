"""The custom model: the basic one, answering in words."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from marvel_assets.model.batching import predict_unique_rows
from marvel_assets.model.explanation import explain
from marvel_assets.model.safe_loading import load_trusted

ARTIFACT = "lightgbm-pipeline"
"""The name under which the wrapper carries the basic model."""

PROBABILITY, EXPLAIN = "probability", "explain"
"""The parameters of ``predict``: whether the answer holds more than the words."""


def adjust_predictions(classes: Iterable[int], answer: str, labels: Sequence[str]) -> dict[str, list[Any]]:
    """Predicted classes in words.

    >>> adjust_predictions([1, 0], "Survival prediction", ["dead", "alive"])
    {'Survival prediction': ['alive', 'dead']}
    """
    return {answer: [labels[int(each)] for each in classes]}


class MarvelModelWrapper(PythonModel):
    """Wraps the basic model, so that it answers in words, such as ``{"Survival prediction": ["alive", "dead", …]}``.

    The key and the words are those of the model's configuration: ``answer``, and ``labels`` by class.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the basic model that was logged with this one."""
        self.model = load_trusted(Path(context.artifacts[ARTIFACT]))
        self.answer: str = context.model_config["answer"]
        self.labels: list[str] = context.model_config["labels"]

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        """Say of each row which class it is in.

        Args:
            context: unused; the model is there since ``load_context``.
            model_input: a table with the features by name. Other columns are ignored; those of numbers may be absent
                where a missing one stays missing.
            params: ``probability`` adds that of the second label; ``explain`` adds ``base_value``, ``contributions``
                and ``why``, as ``explanation.explain`` describes them. Others are ignored.

        Raises:
            ValueError: naming the column that is absent, or holds what the model can't take.
        """
        features = self.model.named_steps["coerce"].transform(model_input)
        if features.empty:  # LightGBM wants a row
            return {self.answer: []}
        if params and params.get(PROBABILITY):
            probabilities = predict_unique_rows(self.model, features)  # and no second look for the class
            answer = adjust_predictions(probabilities.argmax(axis=1), self.answer, self.labels)
            answer[PROBABILITY] = probabilities[:, 1].tolist()
        else:
            classes = predict_unique_rows(self.model, features, self.model[-1].predict)
            answer = adjust_predictions(classes, self.answer, self.labels)
        if params and params.get(EXPLAIN):
            answer |= explain(self.model, features, self.labels)
        return answer
