"""The interface that DuckDB and Spark share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from marvel_assets.utils.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from marvel_assets.sources.base import Source

TablePath = Path | str
"""A Delta table's folder or, as a string, its three-level name in the catalog of the Spark session."""

TABLE_PROPERTIES = {"delta.enableChangeDataFeed": "true", "delta.enableExpiredLogCleanup": "false"}
"""Set on every new table. By default Delta deletes commits that are a month old by the clock, and with them the
versions that models were fitted on; with a clock that is set forward, much earlier."""

ROW_DIGEST = "row_digest"  # the column that a relation's fingerprint is computed from; it is never written to a table
BATCH_ROWS = 100_000  # how many distinct rows are scored at once


class ChangesNotKeptError(LookupError):
    """A table's change data feed does not reach back to the requested version."""


class StorageError(RuntimeError):
    """A step's rows don't fit into memory and scratch folder, or a commit failed; the text names the folder."""


class EngineSession(ABC):
    """A session of one engine. Relations have names, and last as long as the session."""

    def read_source(self, source: Source, into: str) -> None:
        """Read a source's columns as text, numbered by ``source_row``."""

        def batches() -> Iterator[pa.RecordBatch]:
            progress, rows = Progress(dg.get_dagster_logger().info, "rows read"), 0
            for batch in source.batches():
                yield batch
                progress(rows := rows + batch.num_rows)

        self._create_table(batches(), into)

    @abstractmethod
    def read_table(self, location: TablePath, version: int, into: str) -> None:
        """Give one version of a Delta table a name.

        Raises:
            TableNotFoundError: there is no such version, or a file of it is missing or broken.
        """

    @abstractmethod
    def read_changes(self, location: TablePath, first: int, last: int, into: str) -> None:
        """Give the change data feed of a table's versions ``first`` to ``last`` a name, with ``_change_type``.

        Raises:
            ChangesNotKeptError: the table has no such feed, or no longer for these versions.
        """

    @abstractmethod
    def create_table_as(self, statement: str, into: str) -> None:
        """Run a SELECT once, and store its rows under a name."""

    @abstractmethod
    def create_view(self, statement: str, into: str) -> None:
        """Give a SELECT a name. It runs each time the name is read: for results that are read once, or are cheap."""

    @abstractmethod
    def fetchall(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a SELECT and fetch all its rows; for results that fit into memory."""

    @abstractmethod
    def write(self, relation: str, location: TablePath, metadata: str) -> None:
        """Replace a Delta table's rows by a relation's, without its ``row_digest``, in one commit.

        A missing table is created with ``TABLE_PROPERTIES``; ``metadata`` becomes the commit's ``userMetadata``.
        """

    def fingerprint(self, relation: str) -> tuple[int, str]:
        """The number of rows, and a hash of columns and rows whatever their order.

        It adds up the four 32-bit words of each ``row_digest``: equal rows count as often as they occur.
        """
        words = (f"conv(substr({ROW_DIGEST}, {start}, 8), 16, 10)" for start in (1, 9, 17, 25))
        sums = ", ".join(f"coalesce(sum(CAST({word} AS DECIMAL(38, 0))), 0)" for word in words)
        [counted] = self.fetchall(f"SELECT count(*), {sums} FROM {relation}")  # noqa: S608
        rows, *totals = (int(str(number)) for number in counted)
        columns = [column[0] for column in self.fetchall(f"DESCRIBE {relation}")]
        text = ",".join(str(part) for part in (*columns, rows, *totals))
        return rows, hashlib.sha256(text.encode()).hexdigest()[:32]

    def score(self, relation: str, model: Path, into: str) -> None:
        """Add the custom model's answer for each row: ``prediction``, its label, and ``probability``.

        The model, a folder of verified files, answers once for each combination of its features: most characters share
        theirs with others.
        """
        import mlflow
        import pyarrow as pa

        from marvel_assets.model.wrapper import PROBABILITY

        loaded = mlflow.pyfunc.load_model(str(model))
        # Unwrapped: MLflow's check of every cell takes longer than the predictions.
        wrapper, features = loaded.unwrap_python_model(), loaded.metadata.get_input_schema().input_names()
        self.create_table_as(f"SELECT DISTINCT {', '.join(features)} FROM {relation}", "distinct_rows")  # noqa: S608
        [(rows,)] = self.fetchall("SELECT count(*) FROM distinct_rows")
        if not rows:
            self.create_view(f"SELECT *, '' AS prediction, CAST(0 AS DOUBLE) AS probability FROM {relation}", into)  # noqa: S608
            return

        def answered() -> Iterator[pa.RecordBatch]:
            progress, done = Progress(dg.get_dagster_logger().info, "distinct rows scored", rows), 0
            for batch in self._fetch("distinct_rows"):
                labels, probabilities = wrapper.predict(None, batch.to_pandas(), {PROBABILITY: True}).values()
                labelled = batch.append_column("prediction", pa.array(labels, pa.string()))
                yield labelled.append_column("probability", pa.array(probabilities, pa.float64()))
                progress(done := done + batch.num_rows)

        self._create_table(answered(), "answered")
        is_same = " AND ".join(f"{relation}.{name} IS NOT DISTINCT FROM answered.{name}" for name in features)
        answers = f"SELECT {relation}.*, prediction, probability FROM {relation} JOIN answered ON {is_same}"  # noqa: S608
        self.create_view(answers, into)

    @abstractmethod
    def _create_table(self, batches: Iterator[pa.RecordBatch], into: str) -> None:
        """Store batches under a name."""

    @abstractmethod
    def _fetch(self, relation: str) -> pa.RecordBatchReader:
        """Fetch a relation in batches of ``BATCH_ROWS``."""


class Engine(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """A resource that opens sessions of DuckDB or Spark."""

    def problems(self) -> list[str]:
        """What a session still lacks, one sentence each; nothing for an engine in this process."""
        return []

    @abstractmethod
    def session(self) -> AbstractContextManager[EngineSession]:
        """A new session, one per step."""
