"""DuckDB computes the rows, delta-rs writes them: no JVM, no server."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pydantic import Field

from marvel_assets.storage.engines.base import (
    BATCH_ROWS,
    ROW_DIGEST,
    TABLE_PROPERTIES,
    ChangesNotKeptError,
    Engine,
    EngineSession,
    StorageError,
    TablePath,
)
from marvel_assets.storage.memory import available_bytes
from marvel_assets.storage.table_scan import named_when_unreadable
from marvel_assets.utils.files import temporary_folder

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from deltalake import DeltaTable

ALIKE_IN_FILES = frozenset({"string", "long", "integer", "double", "boolean"})
"""Column types that every Delta writer stores in Parquet in the same way."""

ROW_GROUP_SIZE = 32_768
"""Rows per group of a Parquet file. Readers work on as many groups at once as there are cores."""


class DuckDBEngine(Engine):
    """DuckDB computes the rows in this process, and delta-rs writes them."""

    scratch: str = Field(description="Folder for rows that do not fit into memory.")
    max_memory: int = Field(default=600, description="MB before DuckDB spills to that folder; at most half the free.")

    @contextmanager
    def session(self) -> Iterator[EngineSession]:
        import duckdb

        limit = f"{min(self.max_memory, available_bytes() // 2_000_000)}MB"
        with temporary_folder(Path(self.scratch)) as folder:
            try:
                with duckdb.connect(config={"memory_limit": limit, "temp_directory": str(folder)}) as connection:
                    yield DuckDBSession(connection)
            except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
                if isinstance(error, duckdb.IOException) and str(folder) not in str(error):
                    raise
                raise StorageError(
                    f"{self.scratch}: the rows fit neither into {limit} of memory nor on that disk: "
                    f"{str(error).splitlines()[0]} Free some space there, and run again."
                ) from error


class DuckDBSession(EngineSession):
    """An in-memory DuckDB database, for one step."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        connection.execute("SET TimeZone = 'UTC'")  # in which Delta stores instants
        # As in Spark; fingerprints need it for hexadecimal numbers.
        connection.execute("CREATE MACRO conv(digits, from_base, to_base) AS CAST('0x' || digits AS BIGINT)")

    def read_table(self, location: TablePath, version: int, into: str) -> None:
        import duckdb
        from deltalake import DeltaTable

        with named_when_unreadable(location, version, duckdb.IOException, duckdb.InvalidInputException):
            table = DeltaTable(location, version=version)
            if files := _files_that_are_the_rows(table):
                rows = self._connection.read_parquet(files, union_by_name=True)
                if rows.columns == [field.name for field in table.schema().fields]:
                    rows.create_view(into)
                    return  # otherwise a column was added after the first file
        # Not of an IOException, which reports a full disk here.
        with named_when_unreadable(location, version, duckdb.InvalidInputException):
            self._connection.from_arrow(table.scan()).create(into)

    def read_changes(self, location: TablePath, first: int, last: int, into: str) -> None:
        import pyarrow as pa
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            changes = pa.table(DeltaTable(location).load_cdf(starting_version=first, ending_version=last))
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise ChangesNotKeptError(f"{location}: no changes from version {first} to {last}: {error}") from error
        self._connection.from_arrow(changes).create(into)

    def create_table_as(self, statement: str, into: str) -> None:
        self._connection.execute(f"CREATE TABLE {into} AS {statement}")

    def create_view(self, statement: str, into: str) -> None:
        self._connection.execute(f"CREATE VIEW {into} AS {statement}")

    def fetchall(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    def write(self, relation: str, location: TablePath, metadata: str) -> None:
        from deltalake import CommitProperties, WriterProperties, write_deltalake
        from deltalake.exceptions import DeltaError

        rows = self._connection.sql(f"SELECT * EXCLUDE ({ROW_DIGEST}) FROM {relation}")  # noqa: S608
        try:
            Path(location).parent.mkdir(parents=True, exist_ok=True)
            write_deltalake(
                location,
                rows.to_arrow_reader(),
                mode="overwrite",
                schema_mode="overwrite",
                configuration=TABLE_PROPERTIES,
                writer_properties=WriterProperties(max_row_group_size=ROW_GROUP_SIZE),
                commit_properties=CommitProperties(custom_metadata={"userMetadata": metadata}),
            )
        except (DeltaError, OSError) as error:
            problem = f"{location}: the table can't be written: {error}. It is unchanged, and can be read."
            raise StorageError(problem) from error

    def _create_table(self, batches: Iterator[pa.RecordBatch], into: str) -> None:
        for number, batch in enumerate(batches):
            rows = self._connection.from_arrow(batch)
            if number:
                rows.insert_into(into)
            else:
                rows.create(into)

    def _fetch(self, relation: str) -> pa.RecordBatchReader:
        # With a cursor, what is fetched and what is stored don't interfere.
        return self._connection.cursor().sql(f"FROM {relation}").to_arrow_reader(BATCH_ROWS)


def _files_that_are_the_rows(table: DeltaTable) -> list[str]:
    """Patterns that each match one of the table's files; none if the files alone don't define the rows.

    The first version of Delta's reader protocol has neither deletion vectors nor mapped columns; values of partition
    columns are in no file; and Spark's timestamps aren't marked as UTC in the files.
    """
    from deltalake.schema import PrimitiveType

    types = [field.type for field in table.schema().fields]
    are_alike = all(isinstance(each, PrimitiveType) and each.type in ALIKE_IN_FILES for each in types)
    if not are_alike or table.protocol().min_reader_version > 1 or table.metadata().partition_columns:
        return []
    return [glob.escape(unquote(file)) for file in table.file_uris()]
