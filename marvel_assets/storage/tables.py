"""The one place that knows how ``catalog.schema.table`` is stored, versioned and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
from pydantic import Field

from marvel_assets.storage.engines.base import TablePath
from marvel_assets.storage.memory import check_fits_in_memory
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError, TableScan, all_of, sampled
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from marvel_assets.storage.engines.base import EngineSession

    Columns = Iterable[str] | None


OPERATIONS_THAT_KEEP_ROWS = {
    *("OPTIMIZE", "VACUUM START", "VACUUM END", "ANALYZE TABLE", "COMPUTE STATS", "CLUSTER BY"),
    *("SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT", "DROP CONSTRAINT"),
    *("ADD FEATURE", "UPGRADE PROTOCOL", "UPDATE TABLE METADATA", "UPDATE FIELD METADATA"),
}
"""Delta operations that leave a table's rows as they were; any other may change them."""


class Commit(NamedTuple):
    """A version of a table and its ``provenance``: the versions and the code that the rows were made from."""

    table: TableVersion
    provenance: dict[str, Any]


class WriteResult(NamedTuple):
    """The version that now holds the rows, and whether this write created it."""

    commit: Commit
    is_new: bool


class Tables(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Delta tables in folders, at ``<warehouse>/<catalog>/<schema>/<table>``, read with delta-rs."""

    warehouse: str = Field(description="Folder of the Delta tables.")
    locks: str = Field(description="Folder of the lock files that prevent concurrent commits to a table.")
    provenance: str = Field(description="Folder of the latest provenance of tables whose rows came out equal.")

    def location(self, name: str) -> TablePath:
        """Where ``catalog.schema.table`` is stored."""
        return Path(self.warehouse, *name.split("."))

    def latest(self, name: str) -> Commit | None:
        """The newest commit that changed the table's rows, or None where there is no table.

        If another writer changed the rows since, it has no content hash, so that the next write replaces them. If equal
        rows were made again from other inputs, its provenance is the latest.
        """
        commits = self._commits(self.location(name), name)
        if not commits:
            return None
        commit, file = commits[max(commits)], self._latest_provenance(name)
        latest = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        is_of_these_rows = (latest.get("version"), latest.get("content")) == (
            commit.table.version,
            commit.table.content,
        )
        return Commit(commit.table, latest["provenance"]) if is_of_these_rows else commit

    def write_if_changed(
        self, session: EngineSession, relation: str, name: str, provenance: dict[str, Any]
    ) -> WriteResult:
        """Make the table hold the relation's rows, unless it holds them already.

        Equal rows make no commit, but their provenance is stored: the next run finds that its inputs are unchanged.
        The comparison and the commit share one lock, so that two concurrent runs make one version.
        """
        content = session.fingerprint(relation)
        with exclusive(Path(self.locks), f"table-{name}"):
            latest = self.latest(name)
            if latest is not None and (latest.table.rows, latest.table.content) == (content.rows, content.digest):
                if latest.provenance != provenance:
                    kept = {"version": latest.table.version, "content": content.digest, "provenance": provenance}
                    with atomic_write(self._latest_provenance(name)) as aside:
                        aside.write_text(json.dumps(kept, indent=2), encoding="utf-8")
                return WriteResult(Commit(latest.table, provenance), is_new=False)
            recorded = {"rows": content.rows, "content": content.digest, "provenance": provenance}
            session.write(relation, self.location(name), json.dumps(recorded))
            written = self.latest(name)
        if written is None or written.table.content != content.digest:
            raise RuntimeError(f"{name}: another writer committed at the same moment; run again.")
        return WriteResult(written, is_new=True)

    def read(
        self, table: TableVersion, columns: Columns = None, sample: float = 1.0, condition: str | None = None
    ) -> pa.Table:
        """Read one version, ordered by ``Id``. A sample's rows are chosen by a hash of the id, the same at every call.

        Raises:
            TableNotFoundError: naming the table and version that can't be read.
            TooManyRowsError: the rows would not fit into memory.
        """
        return self._read(self.location(table.name), table.version, columns, all_of(sampled(sample), condition))

    def read_at(self, location: TablePath, version: int, columns: Columns = None, sample: float = 1.0) -> pa.Table:
        """Read one version of the table at a location, as ``read`` does."""
        return self._read(location, version, columns, sampled(sample))

    def _read(self, location: TablePath, version: int, columns: Columns, predicate: str | None) -> pa.Table:
        """If its files are gone, as after VACUUM, another version with the same content is read."""
        wanted = None if columns is None else tuple(columns)
        try:
            return self._read_version(location, version, wanted, predicate)
        except TableNotFoundError:
            contents = self._contents(location)
            content = contents.pop(version, "")
            equal = [other for other, held in contents.items() if content and held == content]
            if not equal:
                raise
            return self._read_version(location, max(equal), wanted, predicate)

    def find_content(self, locations: Iterable[TablePath], version: int, content: str) -> tuple[TablePath, int]:
        """Find rows by their content: the first location that holds them, and the version.

        Args:
            locations: where to look. Another home's folder may be gone, or hold other rows under the same version.
            version: preferred, where several have the content.
            content: hash of the rows, or the beginning of it.

        Raises:
            TableNotFoundError: no location holds them.
        """
        places = list(dict.fromkeys(locations))
        for location in places:
            contents = self._contents(location).items()
            if versions := [number for number, held in contents if content and held.startswith(content)]:
                return location, version if version in versions else max(versions)
        raise TableNotFoundError(f"the rows with content {content} are not at {' or '.join(map(str, places))}.")

    def preview(self, table: TableVersion, rows: int) -> pa.Table:
        """A few rows of a version, in no order."""
        return TableScan(Path(self.location(table.name)), table.version).excerpt(rows)

    def count_at(self, location: TablePath, version: int) -> int:
        """How many rows a version has."""
        return TableScan(Path(location), version).count()

    def _read_version(
        self, location: TablePath, version: int, columns: tuple[str, ...] | None, predicate: str | None
    ) -> pa.Table:
        scan = TableScan(Path(location), version, columns, predicate)
        check_fits_in_memory(str(location), scan.count(), len(columns or scan.schema()))
        return scan.read()

    def scan_at(self, location: TablePath, version: int, columns: Iterable[str], sample: float = 1.0) -> TableScan:
        """A lazy scan of the same rows, for this process or others.

        Raises:
            TableNotFoundError: the table is in the catalog of a Spark session, and other processes can't read it.
        """
        if not isinstance(location, Path):
            raise TableNotFoundError(
                f"{location} is a table in the catalog of a Spark session, which other processes can't read: fit in "
                "one process (no `distribution`), on a `sample` if the rows don't fit."
            )
        return TableScan(location, version, tuple(columns), sampled(sample))

    def commit_of(self, table: TableVersion) -> Commit:
        """The commit of this version.

        Raises:
            TableNotFoundError: naming the table and version that can't be found.
        """
        commit = self._commits(self.location(table.name), table.name).get(table.version)
        if commit is None:
            raise TableNotFoundError(f"{table}: its commit is not in the table's log. Materialise the table again.")
        return commit

    def table_id(self, name: str) -> str:
        """Delta's id of the table, '' if there is none. A table that was dropped and created again has a new one."""
        from deltalake import DeltaTable

        location = str(self.location(name))
        return str(DeltaTable(location).metadata().id) if DeltaTable.is_deltatable(location) else ""

    def history(self, location: TablePath) -> Sequence[Mapping[str, Any]]:
        """The commits of a table as Delta describes them; empty if there is no table."""
        from deltalake import DeltaTable

        # From the newest version: loaded at an earlier one, delta-rs numbers the history wrong.
        return DeltaTable(location).history() if DeltaTable.is_deltatable(str(location)) else []

    def _commits(self, location: TablePath, name: str = "") -> dict[int, Commit]:
        """For each version of a table, oldest first, the commit that made its rows."""
        found: dict[int, Commit] = {}
        commit = None
        for entry in sorted(self.history(location), key=lambda entry: entry["version"]):
            if entry.get("operation") not in OPERATIONS_THAT_KEEP_ROWS:
                recorded = _recorded(entry.get("userMetadata"))
                table = TableVersion(name, entry["version"], recorded.get("rows", -1), recorded.get("content", ""))
                commit = Commit(table, recorded.get("provenance", {}))
            if commit is not None:
                found[entry["version"]] = commit
        return found

    def _contents(self, location: TablePath) -> dict[int, str]:
        """The content hash of each version, '' where another writer made it."""
        return {version: commit.table.content for version, commit in self._commits(location).items()}

    def _latest_provenance(self, name: str) -> Path:
        return Path(self.provenance, f"{name}.json")


def _recorded(user_metadata: str | None) -> dict[str, Any]:
    """The metadata that this project recorded in a commit; {} for another writer's."""
    try:
        recorded = json.loads(user_metadata or "{}")
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}
