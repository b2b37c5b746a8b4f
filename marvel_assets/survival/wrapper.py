"""The custom model: the basic one, answering in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow.pyfunc

from marvel_assets.survival.signature import ANSWER

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc.context import Context
    from mlflow.pyfunc.model import PythonModelContext

ARTIFACT = "lightgbm-pipeline"
"""The name under which the wrapper carries the basic model."""

WORDS = {1: "alive", 0: "dead"}


class MarvelModelWrapper(mlflow.pyfunc.PythonModel):
    """Wraps the basic model, so that it answers ``{"Survival prediction": ["alive", "dead", …]}``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the basic model that was logged with this one."""
        self.model = mlflow.sklearn.load_model(context.artifacts[ARTIFACT])

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> dict[str, list[str]]:
        """Say of each character whether it is alive.

        Args:
            context: unused; the model is there since ``load_context``.
            model_input: one row for each character, with the features by name; other columns are ignored.
            params: unused.
        """
        features = list(self.model.feature_names_in_)
        return {ANSWER: [WORDS[int(label)] for label in self.model.predict(model_input[features])]}
