"""The one place that knows how ``catalog.schema.table`` is stored, versioned and read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import dagster as dg
from pydantic import Field

from marvel_assets.datasets.base import IDENTIFIER
from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.base import EngineSession, TablePath
from marvel_assets.storage.memory import check_fits_in_memory
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError, TableScan, named_when_unreadable, sampled
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import file_lock

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

MAINTENANCE = {"OPTIMIZE", "VACUUM START", "VACUUM END", "ANALYZE TABLE", "COMPUTE STATS", "SET TBLPROPERTIES"}
"""Delta operations that leave a table's rows as they were; any other may change them."""


class Commit(NamedTuple):
    """A version of a table, and its ``provenance``: the versions and the code that the rows were made from."""

    table: TableVersion
    provenance: dict[str, Any]
    is_new: bool = False
    """Whether this write created the version; False if the table held these rows already."""


class Tables(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Delta tables in folders, at ``<warehouse>/<catalog>/<schema>/<table>``, read with delta-rs."""

    warehouse: str = Field(description="Folder of the Delta tables.")
    locks: str = Field(description="Folder of the lock files that prevent concurrent commits to a table.")
    provenance: str = Field(description="Folder of the latest provenance of tables made again with equal rows.")

    def location(self, name: str) -> TablePath:
        """Where ``catalog.schema.table`` is stored; a table of another home is named by its folder."""
        folder = Path(name)
        return folder if folder.is_absolute() else Path(self.warehouse, *name.split("."))

    def latest(self, name: str) -> Commit | None:
        """The newest version of a table, or None where there is no table.

        If another writer has changed the rows, it has no content hash, so that the next write replaces them. If equal
        rows were made again from other inputs, it has the latest provenance.
        """
        commits, file = self._commits(name), self._provenance_file(name)
        if not commits:
            return None
        latest = commits[max(commits)]
        if not file.exists():
            return latest
        remade = json.loads(file.read_text(encoding="utf-8"))
        since = {commit.table.content for version, commit in commits.items() if version >= remade["version"]}
        return latest._replace(provenance=remade["provenance"]) if since == {remade["content"]} else latest

    def find(self, names: Iterable[str], content: str) -> Commit:
        """The newest version whose rows have this hash, or one that begins so, of the first table that has one.

        Raises:
            TableNotFoundError: no table has; another home's folder may be gone, or hold other rows.
        """
        tables = {self.location(name): name for name in names}
        for name in tables.values():
            for commit in reversed(self._commits(name).values()):
                if content and commit.table.content.startswith(content):
                    return commit
        raise TableNotFoundError(f"the rows with content {content} are not at {' or '.join(map(str, tables))}.")

    def write_if_changed(self, session: EngineSession, relation: str, name: str, provenance: dict[str, Any]) -> Commit:
        """Make the table hold the relation's rows, unless it holds them already.

        Equal rows make no commit, but their provenance is stored: the next run finds that its inputs are unchanged.
        The comparison and the commit share one lock, so that two concurrent runs make one version.
        """
        rows, content = session.fingerprint(relation)
        with file_lock(Path(self.locks), f"table-{name}"):
            latest = self.latest(name)
            if latest is not None and latest.table.content == content:
                if latest.provenance != provenance:
                    remade = {"version": latest.table.version, "content": content, "provenance": provenance}
                    with atomic_write(self._provenance_file(name)) as file:
                        file.write_text(json.dumps(remade, indent=2), encoding="utf-8")
                return Commit(latest.table, provenance)
            recorded = {"rows": rows, "content": content, "provenance": provenance}
            session.write(relation, self.location(name), json.dumps(recorded))
            return self.find([name], content)._replace(is_new=True)

    def read(self, table: TableVersion, columns: Sequence[str], sample: float = 1.0, condition: str = "") -> pa.Table:
        """Read one version, ordered by ``Id``. A sample's rows are chosen by a hash of the id, the same at every call.

        If its files are gone, as after VACUUM, another version with the same content is read.

        Raises:
            TableNotFoundError: naming the table and version that can't be read.
            MemoryError: the rows would not fit; the text names the share that would.
        """
        chosen = sampled(sample)
        if condition:  # the caller knows how many rows it chooses
            chosen = f"{chosen} AND {condition}"
        else:
            check_fits_in_memory(str(table), round(table.rows * sample), len(columns))
        location = self.location(table.name)
        try:
            return self._read(location, table.version, columns, chosen)
        except TableNotFoundError:
            commits = self._commits(table.name).items()
            others = {version for version, commit in commits if commit.table.content == table.content} - {table.version}
            if not (table.content and others):
                raise
            return self._read(location, max(others), columns, chosen)

    def scan(self, table: TableVersion, columns: Iterable[str], sample: float = 1.0) -> TableScan:
        """A lazy scan of the rows that ``read`` returns, for this process or others; not of a table in a catalog."""
        location = self.location(table.name)
        if not isinstance(location, Path):
            raise TableNotFoundError(
                f"{location} is a table in the catalog of a Spark session, which other processes can't read: fit in "
                "one process (no `distribution`), on a `sample` if the rows don't fit."
            )
        return TableScan(location, table.version, tuple(columns), sampled(sample))

    def preview(self, table: TableVersion, rows: int) -> pa.Table:
        """A few rows of a version, in no order."""
        import pyarrow as pa
        from deltalake import DeltaTable

        location = self.location(table.name)
        with named_when_unreadable(location, table.version):
            reader = pa.RecordBatchReader.from_stream(DeltaTable(location, version=table.version).scan())
            return pa.Table.from_batches(islice(reader, 1), reader.schema).slice(0, rows)

    def table_id(self, name: str) -> str:
        """Delta's id of the table, '' if there is none. A table that was dropped and created again has a new one."""
        return "".join(detail["id"] for detail in self._describe("DETAIL", name))

    def _read(self, location: TablePath, version: int, columns: Sequence[str], condition: str) -> pa.Table:
        return TableScan(Path(location), version, tuple(columns), condition).read()

    def _describe(self, what: Literal["DETAIL", "HISTORY"], name: str) -> Sequence[Mapping[str, Any]]:
        """What Delta says about a table; nothing if there is none."""
        from deltalake import DeltaTable

        location = str(self.location(name))
        if not DeltaTable.is_deltatable(location):
            return []
        # The newest version: loaded at an earlier one, delta-rs numbers the history wrong.
        table = DeltaTable(location)
        return [{"id": table.metadata().id}] if what == "DETAIL" else table.history()

    def _commits(self, name: str) -> dict[int, Commit]:
        """All versions of a table, oldest first. After maintenance a version has the rows of the one before."""
        found: dict[int, Commit] = {}
        recorded: dict[str, Any] = {}
        for entry in sorted(self._describe("HISTORY", name), key=lambda entry: entry["version"]):
            if entry.get("operation") not in MAINTENANCE:
                recorded = _recorded(entry.get("userMetadata"))
            table = TableVersion(name, entry["version"], recorded.get("rows", -1), recorded.get("content", ""))
            found[table.version] = Commit(table, recorded.get("provenance", {}))
        return found

    def _provenance_file(self, name: str) -> Path:
        return Path(self.provenance, f"{name}.json")


class CatalogTables(Tables):
    """Tables under three-level names in Unity Catalog, read through Spark and Arrow."""

    spark: Spark

    def location(self, name: str) -> TablePath:
        """The three-level name, quoted for Spark SQL."""
        folder = Path(name)
        return folder if folder.is_absolute() else ".".join(f"`{part.replace('`', '``')}`" for part in name.split("."))

    def preview(self, table: TableVersion, rows: int) -> pa.Table:
        """Let Spark fetch the rows."""
        return self._frame(self.location(table.name), table.version).limit(rows).toArrow()

    def _read(self, location: TablePath, version: int, columns: Sequence[str], condition: str) -> pa.Table:
        from pyspark.errors import PySparkException

        with named_when_unreadable(location, version, PySparkException):
            return self._frame(location, version).where(condition).select(*columns).toArrow().sort_by(IDENTIFIER)

    def _frame(self, location: TablePath, version: int) -> DataFrame:
        return self.spark.session().read.format("delta").option("versionAsOf", str(version)).table(str(location))

    def _describe(self, what: Literal["DETAIL", "HISTORY"], name: str) -> Sequence[Mapping[str, Any]]:
        location = self.location(name)
        # The catalog does not have another home's folder.
        if isinstance(location, Path) or not (session := self.spark.session()).catalog.tableExists(location):
            return []
        return [row.asDict() for row in session.sql(f"DESCRIBE {what} {location}").collect()]


def _recorded(user_metadata: str | None) -> dict[str, Any]:
    """The metadata that this project recorded in a commit; {} for another writer's."""
    try:
        recorded = json.loads(user_metadata or "{}")
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}
