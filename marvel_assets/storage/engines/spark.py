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

    from marvel_assets.sources.base import Source


class SparkEngine(Engine):
    """The engine on a Spark session, local or remote."""

    spark: Spark
    scratch: str | None = Field(
        default=None, description="Folder that Spark shares, for staging sources. Default: none, and rows are sent."
    )

    def problems(self) -> list[str]:
        """What the Spark session still lacks."""
        return self.spark.problems()

    @contextmanager
    def session(self) -> Iterator[EngineSession]:
        """The run's Spark session; its relations end with the step."""
        folder = nullcontext() if self.scratch is None else temporary_folder(Path(self.scratch))
        with folder as shared, closing(SparkEngineSession(self.spark.session(), shared)) as session:
            yield session


class SparkEngineSession(EngineSession):
    """Relations are temporary views over rows that Spark persists in memory, and on disk where they don't fit."""

    hexadecimal = "CAST(conv({}, 16, 10) AS DECIMAL(38, 0))"

    def __init__(self, spark: SparkSession, shared: Path | None) -> None:
        self._spark = spark
        self._shared = shared
        self._views: dict[str, DataFrame] = {}
        self._can_persist = True

    def close(self) -> None:
        """Drop all relations, the latest first: a Connect server resolves a frame again from the views that it uses."""
        for name, frame in reversed(self._views.items()):
            if self._can_persist:
                frame.unpersist()
            self._spark.catalog.dropTempView(name)
        self._views.clear()

    def read_source(self, source: Source, into: str) -> None:
        """Read the source batch by batch, as every engine does: Spark's own CSV reader has other quoting rules.

        The batches become a Parquet file that Spark reads in parallel, or are sent one by one without a shared folder.
        """
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        batches = source.batches()
        if self._shared is None:
            sent = [self._spark.createDataFrame(pa.Table.from_batches([batch])) for batch in batches]
            self._keep(_union(sent), into)  # otherwise they would be sent again at each read
            return
        file, first = self._shared / "source.parquet", next(batches)
        with ParquetWriter(file, first.schema) as writer:
            for batch in chain([first], batches):
                writer.write_batch(batch)
        self._view(self._spark.read.parquet(str(file)), into)

    def read_table(self, location: TablePath, version: int, into: str) -> None:
        """Read the version; rows are persisted, since later steps read them more than once."""
        self._keep(_at(self._spark.read.option("versionAsOf", str(version)), location), into)

    def read_changes(self, location: TablePath, first: int, last: int, into: str) -> None:
        """Read the feed, and count it: only that shows whether Delta still has it."""
        from pyspark.errors import PySparkException

        reader = self._spark.read.options(readChangeFeed="true", startingVersion=str(first), endingVersion=str(last))
        try:
            changes = _at(reader, location)
            self._keep(changes, into)
            changes.count()
        except PySparkException as error:
            raise ChangesNotKeptError(f"{location}: no changes from version {first} to {last}: {error}") from error

    def score(self, relation: str, model: Path, into: str) -> None:
        """Score on the workers, each of which loads the model; on Databricks, in this process."""
        import mlflow
        from mlflow.utils.databricks_utils import is_databricks_connect
        from mlflow.utils.logging_utils import suppress_logs
        from pyspark.sql.functions import col
        from pyspark.sql.types import DoubleType, StringType, StructType

        from marvel_assets.model.wrapper import PROBABILITY

        if is_databricks_connect(self._spark):  # type: ignore[no-untyped-call]
            # MLflow's function for workers needs an environment on Databricks, which can be built only there.
            dg.get_dagster_logger().info("On Databricks, this machine scores: it fetches the distinct rows in parts.")
            super().score(relation, model, "scored_here")
            self.create_table_as("SELECT * FROM scored_here", into)
            return
        signature = mlflow.models.get_model_info(str(model)).signature
        [word] = signature.outputs.input_names()
        answered = StructType().add(word, StringType()).add(PROBABILITY, DoubleType())
        # MLflow recommends to install the model's environment in each task, which takes twelve times as long.
        with suppress_logs("mlflow.pyfunc", re.compile("does not recreate the same environment")):
            ask = mlflow.pyfunc.spark_udf(
                self._spark, str(model), result_type=answered, env_manager="local", params={PROBABILITY: True}
            )
        rows = self._spark.table(relation).withColumn("answer", ask(*signature.inputs.input_names()))
        answer = col("answer")
        rows = rows.withColumns({"prediction": answer.getField(word), "probability": answer.getField(PROBABILITY)})
        self._keep(rows.drop("answer"), into)

    def create_table_as(self, statement: str, into: str) -> None:
        """Compute the rows once, and persist them until the session ends."""
        self._keep(self._spark.sql(statement), into)

    def create_view(self, statement: str, into: str) -> None:
        """Register the SELECT as a temporary view; Spark runs it where the view is read."""
        self._view(self._spark.sql(statement), into)

    def fetchall(self, statement: str) -> list[tuple[Any, ...]]:
        """Run the SELECT and collect all its rows."""
        return [tuple(row) for row in self._spark.sql(statement).collect()]

    def write(self, relation: str, location: TablePath, metadata: str) -> None:
        """Let Spark write the rows."""
        writer = self._spark.table(relation).drop(ROW_DIGEST).write.format("delta").mode("overwrite")
        writer = writer.options(overwriteSchema="true", userMetadata=metadata, **TABLE_PROPERTIES)
        if isinstance(location, Path):
            writer.save(str(location))
        else:
            writer.saveAsTable(location)

    def _fetch_parts(self, relation: str, rows: int) -> Iterator[pa.Table]:
        frame, parts = self._spark.table(relation), -(-rows // BATCH_ROWS)
        for part in range(parts):
            fetched = frame.where(f"pmod(xxhash64({', '.join(frame.columns)}), {parts}) = {part}").toArrow()
            if fetched.num_rows:
                yield fetched

    def _append(self, parts: Iterator[pa.Table], relation: str) -> None:
        self._keep(_union([self._views[relation], *map(self._spark.createDataFrame, parts)]), relation)

    def _keep(self, frame: DataFrame, into: str) -> None:
        """Persist the rows; serverless compute can't, so that they are computed again at each read."""
        from pyspark import StorageLevel
        from pyspark.errors import PySparkException

        if self._can_persist:
            try:
                frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
            except PySparkException as error:
                if "NOT_SUPPORTED_WITH_SERVERLESS" not in str(error):
                    raise
                self._can_persist = False
        self._view(frame, into)

    def _view(self, frame: DataFrame, into: str) -> None:
        frame.createOrReplaceTempView(into)
        self._views[into] = frame


def _union(frames: list[DataFrame]) -> DataFrame:
    return reduce(lambda together, frame: together.unionByName(frame), frames)


def _at(reader: DataFrameReader, location: TablePath) -> DataFrame:
    """The Delta table in a folder, or with that name in the session's catalog."""
    reader = reader.format("delta")
    return reader.load(str(location)) if isinstance(location, Path) else reader.table(location)
