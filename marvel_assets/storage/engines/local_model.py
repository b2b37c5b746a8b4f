"""The custom model in this process, for engines that score batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

BATCH_ROWS = 100_000
"""How many distinct rows are scored at once."""


class LocalModel:
    """The custom model, called with the distinct rows of its features: most characters share theirs with others."""

    def __init__(self, folder: Path) -> None:
        import mlflow

        loaded = mlflow.pyfunc.load_model(str(folder))
        self._features = loaded.metadata.get_input_schema().input_names()
        # Unwrapped: MLflow's check of every cell takes longer than the predictions.
        self._wrapper = loaded.unwrap_python_model()

    def asked_sql(self, relation: str) -> str:
        """The SELECT of a relation's distinct features."""
        return f"SELECT DISTINCT {', '.join(self._features)} FROM {relation}"  # noqa: S608 - names of the project

    def unanswered_sql(self, asked: str) -> str:
        """The SELECT of an empty relation with the columns that ``answer`` returns."""
        return f"SELECT *, '' AS prediction, CAST(0 AS DOUBLE) AS probability FROM {asked} LIMIT 0"  # noqa: S608

    def answer(self, asked: pa.Table) -> pa.Table:
        """The rows with the columns ``prediction`` and ``probability``."""
        import pyarrow as pa

        from marvel_assets.model.wrapper import PROBABILITY

        words, probabilities = self._wrapper.predict(None, asked.to_pandas(), {PROBABILITY: True}).values()
        rows = asked.append_column("prediction", pa.array(words, pa.string()))
        return rows.append_column("probability", pa.array(probabilities, pa.float64()))

    def answered_sql(self, relation: str, answered: str) -> str:
        """The SELECT of the relation's rows, each with the answer for its features."""
        is_asked = " AND ".join(f"{relation}.{name} IS NOT DISTINCT FROM {answered}.{name}" for name in self._features)
        return f"SELECT {relation}.*, prediction, probability FROM {relation} JOIN {answered} ON {is_asked}"  # noqa: S608
