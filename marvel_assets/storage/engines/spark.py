"""Spark SQL computes the rows, and Spark writes them: as many as a cluster can hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.base import (
    BATCH_ROWS,
    ROW_DIGEST,
    TABLE_PROPERTIES,
    ChangesNotKeptError,
    Engine,
    EngineSession,
    TablePath,
)
from marvel_assets.utils.files import temporary_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession


class SparkEngine(Engine):
    """The engine on a Spark session, local or remote."""

    spark: Spark
    scratch: str | None = Field(
        default=None, description="Folder that Spark shares, for staging sources. Default: none, and rows are sent."
    )

    def problems(self) -> list[str]:
        return self.spark.problems()

    @contextmanager
    def session(self) -> Iterator[EngineSession]:
        with (
            temporary_folder(Path(self.scratch)) if self.scratch else nullcontext() as shared,
            closing(SparkEngineSession(self.spark.session(), shared)) as session,
        ):
            yield session


class SparkEngineSession(EngineSession):
    """Relations are temporary views over rows that Spark persists in memory, and on disk where they don't fit."""

    def __init__(self, spark: SparkSession, shared: Path | None) -> None:
        self._spark = spark
        self._shared = shared
        self._persisted: list[DataFrame] = []

    def close(self) -> None:
        """Release the rows, the latest first: a Connect server resolves a frame again from the views that it uses.

        The first failure ends it: each call to a dead server takes ten minutes.
        """
        for frame in reversed(self._persisted):
            frame.unpersist()

    def read_table(self, location: TablePath, version: int, into: str) -> None:
        """Read the version; rows are persisted, since later steps read them more than once."""
        self._persist(_at(self._spark.read.option("versionAsOf", str(version)), location), into)

    def read_changes(self, location: TablePath, first: int, last: int, into: str) -> None:
        """Read the feed, and count it: only that shows whether Delta still has it."""
        from pyspark.errors import PySparkException

        reader = self._spark.read.options(readChangeFeed="true", startingVersion=str(first), endingVersion=str(last))
        try:
            changes = _at(reader, location)
            self._persist(changes, into)
            changes.count()
        except PySparkException as error:
            raise ChangesNotKeptError(f"{location}: no changes from version {first} to {last}: {error}") from error

    def score(self, relation: str, model: Path, into: str) -> None:
        """Score on the workers, each of which loads the model; on Databricks, in this process."""
        import mlflow
        from mlflow.utils.databricks_utils import is_databricks_connect
        from mlflow.utils.logging_utils import suppress_logs
        from pyspark.sql.types import DoubleType, StringType, StructType

        from marvel_assets.model.wrapper import PROBABILITY

        if is_databricks_connect(self._spark):  # type: ignore[no-untyped-call]
            # MLflow's function for workers needs an environment on Databricks, which can be built only there.
            dg.get_dagster_logger().info("On Databricks, this machine scores: it fetches the distinct rows.")
            super().score(relation, model, "scored_here")
            self.create_table_as("SELECT * FROM scored_here", into)
            return
        signature = mlflow.models.get_model_info(str(model)).signature
        [label] = signature.outputs.input_names()
        answer = StructType().add(label, StringType()).add(PROBABILITY, DoubleType())
        # MLflow recommends to install the model's environment in each task, which takes twelve times as long.
        with suppress_logs("mlflow.pyfunc", re.compile("does not recreate the same environment")):
            predict = mlflow.pyfunc.spark_udf(
                self._spark, str(model), result_type=answer, env_manager="local", params={PROBABILITY: True}
            )
        rows = self._spark.table(relation).withColumn("answer", predict(*signature.inputs.input_names()))
        answered = f"answer.`{label}` AS prediction", f"answer.{PROBABILITY} AS probability"
        self._persist(rows.selectExpr("* EXCEPT (answer)", *answered), into)

    def create_table_as(self, statement: str, into: str) -> None:
        self._persist(self._spark.sql(statement), into)

    def create_view(self, statement: str, into: str) -> None:
        self._spark.sql(statement).createOrReplaceTempView(into)

    def fetchall(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._spark.sql(statement).collect()]

    def write(self, relation: str, location: TablePath, metadata: str) -> None:
        writer = self._spark.table(relation).drop(ROW_DIGEST).write.format("delta").mode("overwrite")
        writer = writer.options(overwriteSchema="true", userMetadata=metadata, **TABLE_PROPERTIES)
        if isinstance(location, Path):
            writer.save(str(location))
        else:
            writer.saveAsTable(location)

    def _create_table(self, batches: Iterator[pa.RecordBatch], into: str) -> None:
        """Write the batches to a Parquet file that Spark reads in parallel; without a shared folder, send each."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
        from pyspark.sql import DataFrame

        if self._shared is None:
            sent = [self._spark.createDataFrame(pa.Table.from_batches([batch])) for batch in batches]
            self._persist(reduce(DataFrame.unionByName, sent), into)  # otherwise they are sent again at each read
            return
        file, first = self._shared / f"{into}.parquet", next(batches)
        with ParquetWriter(file, first.schema) as writer:
            for batch in chain([first], batches):
                writer.write_batch(batch)
        self._spark.read.parquet(str(file)).createOrReplaceTempView(into)

    def _fetch(self, relation: str) -> pa.RecordBatchReader:
        # Combined: Spark's own batches are ten times smaller, and each is sent back as a frame of its union.
        return self._spark.table(relation).toArrow().combine_chunks().to_reader(BATCH_ROWS)

    def _persist(self, frame: DataFrame, into: str) -> None:
        """Persist the rows; serverless compute can't, so that they are computed again at each read."""
        from pyspark.errors import PySparkException

        try:
            self._persisted.append(frame.persist())
        except PySparkException as error:
            if "NOT_SUPPORTED_WITH_SERVERLESS" not in str(error):
                raise
        frame.createOrReplaceTempView(into)


def _at(reader: DataFrameReader, location: TablePath) -> DataFrame:
    reader = reader.format("delta")
    return reader.load(str(location)) if isinstance(location, Path) else reader.table(location)
