"""A version of a Delta table as MLflow records it."""

from __future__ import annotations

import sys
from typing import Any

from mlflow.data.delta_dataset_source import DeltaDatasetSource


class DeltaFolderSource(DeltaDatasetSource):
    """A Delta table in a folder, whose rows can be had without Spark, too.

    It is registered with MLflow as an entry point, so that ``mlflow.data.get_source(run.inputs.dataset_inputs[0])``
    finds it. The type is its own: for MLflow's, MLflow's class comes first.
    """

    @staticmethod
    def _get_source_type() -> str:
        return "delta_folder"

    def load(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """The rows of that version, as a pandas frame; as a Spark frame where a session is active."""
        spark = sys.modules.get("pyspark.sql")  # no session can be active where nothing has imported it
        if spark is not None and spark.SparkSession.getActiveSession() is not None:
            return super().load(**kwargs)  # type: ignore[no-untyped-call]
        from deltalake import DeltaTable

        return DeltaTable(str(self.path), version=int(str(self.delta_table_version))).to_pandas()
