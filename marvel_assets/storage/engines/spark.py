"""Spark SQL computes the rows, and Spark writes them: as many as a cluster can hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.base import (
    ROW_DIGEST,
    TABLE_PROPERTIES,
    ChangesNotKeptError,
    Content,
    Engine,
    EngineSession,
    TablePath,
)
from marvel_assets.utils.files import temporary_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

    from marvel_assets.sources.base import Source


class SparkEngine(Engine):
    """The engine on a Spark session, local or remote."""

    spark: Spark
    scratch: str | None = Field(
        default=None,
        description=(
            "Folder that this process and Spark share, for staging sources. Default: none, and the rows are sent "
            "through the session."
        ),
    )

    def problems(self) -> list[str]:
        """What the Spark session still lacks."""
        return self.spark.problems()

    @contextmanager
    def session(self) -> Iterator[EngineSession]:
        """The run's Spark session; its relations end with the step."""
        with ExitStack() as stack:
            shared = None
            if self.scratch is not None:
                shared = stack.enter_context(temporary_folder(Path(self.scratch)))
            at_work = SparkEngineSession(self.spark.session(), shared)
            stack.callback(at_work.close)
            yield at_work


class SparkEngineSession(EngineSession):
    """Relations are temporary views over rows that Spark persists in memory, and on disk where they don't fit."""

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
        """Read the source batch by batch, as every engine does: Spark's own CSV reader has other quoting rules."""
        if self._shared is not None:
            self._view(self._staged(source, self._shared / "source.parquet"), into)
        else:
            self._keep(self._sent(source), into)  # otherwise they would be sent again at each read

    def read_table(self, location: TablePath, version: int, into: str) -> None:
        """Read the version; rows are persisted, since later steps read them more than once."""
        self._keep(at(self._spark.read.option("versionAsOf", str(version)), location), into)

    def read_changes(self, location: TablePath, first: int, last: int, into: str) -> None:
        """Read the feed, and count it: only that shows whether Delta still has it."""
        from pyspark.errors import PySparkException

        reader = self._spark.read.option("readChangeFeed", "true")
        reader = reader.option("startingVersion", str(first)).option("endingVersion", str(last))
        try:
            changes = at(reader, location)
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
            self._score_here(relation, model, into)
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

    def _score_here(self, relation: str, model: Path, into: str) -> None:
        """Fetch the distinct rows part by part, and send their answers back.

        MLflow's function for workers needs an environment on Databricks, which can be built only there.
        """
        from marvel_assets.storage.engines.local_model import BATCH_ROWS, LocalModel

        served = LocalModel(model)
        self.create_table_as(served.asked_sql(relation), "asked")
        asked = self._spark.table("asked")
        rows = asked.count()
        dg.get_dagster_logger().info(
            f"{rows:,} distinct rows are scored on this machine, in parts of {BATCH_ROWS:,}: on Databricks, MLflow "
            "runs models on workers only in an environment that was built there."
        )
        parts = -(-rows // BATCH_ROWS)
        answered = self._spark.sql(served.unanswered_sql("asked"))
        for part in range(parts):
            batch = asked.where(f"pmod(xxhash64({', '.join(asked.columns)}), {parts}) = {part}").toArrow()
            if batch.num_rows:
                answered = answered.unionByName(self._spark.createDataFrame(served.answer(batch)))
        self._keep(answered, "answered")
        self.create_table_as(served.answered_sql(relation, "answered"), into)

    def create_table_as(self, statement: str, into: str) -> None:
        """Compute the rows once, and persist them until the session ends."""
        self._keep(self._spark.sql(statement), into)

    def create_view(self, statement: str, into: str) -> None:
        """Register the SELECT as a temporary view; Spark runs it where the view is read."""
        self._view(self._spark.sql(statement), into)

    def fetchall(self, statement: str) -> list[tuple[object, ...]]:
        """Run the SELECT and collect all its rows."""
        return [tuple(row) for row in self._spark.sql(statement).collect()]

    def fingerprint(self, relation: str) -> Content:
        """Sum the digests' four 32-bit words; they leave Spark as strings, since the sums may exceed 64 bits."""
        words = ", ".join(
            f"CAST(coalesce(sum(CAST(conv(substr({ROW_DIGEST}, {start}, 8), 16, 10) AS DECIMAL(38, 0))), 0) AS STRING)"
            for start in (1, 9, 17, 25)
        )
        [(rows, *sums)] = self.fetchall(f"SELECT count(*), {words} FROM {relation}")  # noqa: S608
        columns = self._spark.table(relation).columns
        return Content.of(columns, int(str(rows)), tuple(int(str(number)) for number in sums))

    def write(self, relation: str, location: TablePath, metadata: str) -> None:
        """Let Spark write the rows."""
        writer = (
            self._spark.table(relation)
            .drop(ROW_DIGEST)
            .write.format("delta")
            .mode("overwrite")
            .option("overwriteSchema", "true")
            .options(**TABLE_PROPERTIES)
            .option("userMetadata", metadata)
        )
        if isinstance(location, Path):
            writer.save(str(location))
        else:
            writer.saveAsTable(location)

    def _staged(self, source: Source, file: Path) -> DataFrame:
        """Write the batches to a Parquet file that Spark reads in parallel."""
        import pyarrow.parquet

        batches = source.batches()
        first = next(batches)
        with pyarrow.parquet.ParquetWriter(file, first.schema) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)
        return self._spark.read.parquet(str(file))

    def _sent(self, source: Source) -> DataFrame:
        """Send the batches to the server one by one."""
        import pyarrow as pa

        frames = [self._spark.createDataFrame(pa.Table.from_batches([batch])) for batch in source.batches()]
        together = frames[0]
        for frame in frames[1:]:
            together = together.unionByName(frame)
        return together

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


def at(reader: DataFrameReader, location: TablePath) -> DataFrame:
    """The Delta table in a folder, or with that name in the session's catalog."""
    reader = reader.format("delta")
    return reader.load(str(location)) if isinstance(location, Path) else reader.table(location)
