"""MLflow's dataset source for a Delta table in a folder."""

import sys
from typing import Any

from mlflow.data.delta_dataset_source import DeltaDatasetSource


class DeltaFolderSource(DeltaDatasetSource):
    """A Delta table in a folder, whose rows can be loaded without Spark.

    An entry point registers it with MLflow, so that ``mlflow.data.get_source(run.inputs.dataset_inputs[0])`` finds it.
    It has its own source type: for MLflow's type, MLflow's class takes precedence.
    """

    @staticmethod
    def _get_source_type() -> str:
        return "delta_folder"

    def load(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """The rows of that version, as a pandas frame; as a Spark frame if a session is active."""
        spark = sys.modules.get("pyspark.sql")  # not imported: no session can be active
        if spark is not None and spark.SparkSession.getActiveSession() is not None:
            return super().load(**kwargs)  # type: ignore[no-untyped-call]
        from deltalake import DeltaTable

        return DeltaTable(str(self.path), version=int(str(self.delta_table_version))).to_pandas()
