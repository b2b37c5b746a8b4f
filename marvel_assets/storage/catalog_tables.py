"""Delta tables by name, in the catalog of the Spark session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from marvel_assets.datasets.base import IDENTIFIER
from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.base import TablePath
from marvel_assets.storage.memory import check_fits_in_memory
from marvel_assets.storage.table_scan import named_when_unreadable
from marvel_assets.storage.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from marvel_assets.storage.references import TableVersion


class CatalogTables(Tables):
    """Tables under three-level names in Unity Catalog, read through Spark and Arrow."""

    spark: Spark

    def location(self, name: str) -> TablePath:
        """The three-level name, quoted for Spark SQL."""
        return quoted(name)

    def preview(self, table: TableVersion, rows: int) -> pa.Table:
        """Let Spark fetch the rows."""
        return self._version(self.location(table.name), table.version).limit(rows).toArrow()

    def count_at(self, location: TablePath, version: int) -> int:
        """Count the rows of a version where they are."""
        return self._version(location, version).count()

    def table_id(self, name: str) -> str:
        """Delta's id; a table that was dropped and created again has a new one."""
        return "".join(row["id"] for row in self._described("DETAIL", self.location(name)))

    def history(self, location: TablePath) -> Sequence[Mapping[str, Any]]:
        """Delta's log; empty for a folder, which another home may have recorded and the catalog doesn't have."""
        return [] if isinstance(location, Path) else self._described("HISTORY", location)

    def _read_version(
        self, location: TablePath, version: int, columns: tuple[str, ...] | None, predicate: str | None
    ) -> pa.Table:
        """Count the rows before they are fetched."""
        from pyspark.errors import PySparkException

        with named_when_unreadable(location, version, PySparkException):
            rows = self._version(location, version)
            rows = rows if predicate is None else rows.where(predicate)
            rows = rows if columns is None else rows.select(*columns)
            check_fits_in_memory(str(location), rows.count(), len(rows.columns))
            return rows.toArrow().sort_by(IDENTIFIER)

    def _version(self, location: TablePath, version: int) -> DataFrame:
        return self.spark.session().read.format("delta").option("versionAsOf", str(version)).table(str(location))

    def _described(self, what: str, location: TablePath) -> list[dict[str, Any]]:
        """What Delta says about a table; nothing if there is none."""
        session = self.spark.session()
        if not session.catalog.tableExists(str(location)):
            return []
        return [row.asDict() for row in session.sql(f"DESCRIBE {what} {location}").collect()]


def quoted(name: str) -> str:
    """A three-level name quoted for Spark SQL."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in name.split("."))
