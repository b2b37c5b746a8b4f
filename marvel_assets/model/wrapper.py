"""The custom model: the basic one, answering in words."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from marvel_assets.model.batching import asked_once_each
from marvel_assets.model.safe_loading import load_trusted
from marvel_assets.model.signature import ANSWER
from marvel_assets.survival.schema import MEASURES

ARTIFACT = "lightgbm-pipeline"
"""The name under which the wrapper carries the basic model."""

WORDS = {1: "alive", 0: "dead"}


class MarvelModelWrapper(PythonModel):
    """Wraps the basic model, so that it answers ``{"Survival prediction": ["alive", "dead", …]}``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the basic model that was logged with this one."""
        self.model = load_trusted(Path(context.artifacts[ARTIFACT]))

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> dict[str, list[str]]:
        """Say of each character whether it is alive.

        Args:
            context: unused; the model is there since ``load_context``.
            model_input: one row for each character, with the features by name. Other columns are ignored; those of
                measures may be absent.
            params: unused.

        Raises:
            ValueError: naming the features that are absent.
        """
        features = self._features(model_input)
        labels = asked_once_each(features, self.model.predict) if len(features) else []  # LightGBM wants a row
        return {ANSWER: [WORDS[int(label)] for label in labels]}

    def _features(self, model_input: pd.DataFrame) -> pd.DataFrame:
        features = list(self.model.feature_names_in_)
        absent = [name for name in features if name not in model_input.columns and name not in MEASURES]
        if absent:
            raise ValueError(
                f"column {', '.join(absent)} is missing; expected {', '.join(features)}, of which "
                f"{' and '.join(MEASURES)} may be left out."
            )
        # MLflow has put the columns in order; to do it again costs as much as to ask for one row.
        return model_input if list(model_input.columns) == features else model_input.reindex(columns=features)
