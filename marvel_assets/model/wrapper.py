"""The custom model: wraps the basic model and answers with labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from marvel_assets.model.batching import predict_unique_rows
from marvel_assets.model.explanation import explain
from marvel_assets.model.safe_loading import load_trusted

ARTIFACT = "lightgbm-pipeline"
"""The artifact name of the basic model."""

PROBABILITY, EXPLAIN = "probability", "explain"
"""The parameters of ``predict`` that add to the answer."""

ADDED = {PROBABILITY: (PROBABILITY,), EXPLAIN: ("base_value", "contributions", "why")}
"""The keys that each of them adds."""


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
        context: PythonModelContext | None,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        """Predict the label of each row.

        Args:
            context: unused; ``load_context`` has loaded the model.
            model_input: a table with the features by name. Other columns are ignored; optional numeric ones may be
                absent.
            params: ``probability`` adds that of the second label; ``explain`` adds ``base_value``, ``contributions``
                and ``why``, as ``explanation.explain`` describes them. Others are ignored.

        Raises:
            ValueError: naming the column that is absent, or holds unusable values.
        """
        features = self.model.named_steps["coerce"].transform(model_input)
        asked = {name for name, is_asked in (params or {}).items() if is_asked}
        if features.empty:  # LightGBM needs a row
            added = [key for name, keys in ADDED.items() if name in asked for key in keys]
            return {key: [] for key in (self.answer, *added)}
        if PROBABILITY in asked:
            probabilities = predict_unique_rows(self.model, features)
            answer = adjust_predictions(probabilities.argmax(axis=1), self.answer, self.labels)
            answer[PROBABILITY] = probabilities[:, 1].tolist()
        else:
            classes = predict_unique_rows(self.model, features, self.model[-1].predict)
            answer = adjust_predictions(classes, self.answer, self.labels)
        if EXPLAIN in asked:
            answer |= explain(self.model, features, self.labels)
        return answer
