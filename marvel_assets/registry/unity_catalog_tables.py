"""The graph's Delta tables as external tables of an open-source Unity Catalog server.

The server stores the name, the columns and the folder; the rows stay where they are, and nothing here deletes them. It
has no request to change a table: if columns or comments have changed, the entry is deleted and created again. Two
simultaneous creations of one name break that name permanently, so a home creates tables under a lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marvel_assets.registry.unity_catalog_api import Json, UnityCatalogApi

SQL_TYPES = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
"""SQL's names of Delta's types, where they differ."""


def register_table(
    api: UnityCatalogApi, locks: Path, name: str, folder: Path, comment: str, column_comments: Mapping[str, str]
) -> str:
    """Make the server's entry match a Delta table; see ``UnityCatalog.register_table``."""
    catalog, schema, table = name.split(".")
    wanted = {"columns": _columns(folder, column_comments), "comment": comment}
    with exclusive(locks, f"external-table-{name}"):
        found = api.find(f"tables/{name}")
        if found is None:
            api.ensure_schema(catalog, schema)
        elif (place := _folder_of(found["storage_location"])) != folder:
            return (
                f"The table {name} on {api.url} is at {place}, not at {folder}, and was not changed. To register this "
                "one under that name, delete that table on the server, and run again."
            )
        elif _described(found) == _described(wanted):
            return ""
        else:
            api.call("DELETE", f"tables/{name}")
        stored = {"storage_location": folder.as_uri(), "table_type": "EXTERNAL", "data_source_format": "DELTA"}
        api.create("tables", {"name": table, "catalog_name": catalog, "schema_name": schema, **stored, **wanted})
    return ""


def _columns(folder: Path, comments: Mapping[str, str]) -> list[Json]:
    from deltalake import DeltaTable

    columns = []
    for position, field in enumerate(DeltaTable(folder).schema().fields):
        delta_type = str(field.type.type)
        columns.append(
            {
                "name": field.name,
                "type_name": "INT" if delta_type == "integer" else delta_type.partition("(")[0].upper(),
                "type_text": SQL_TYPES.get(delta_type, delta_type),
                "type_json": field.to_json(),
                "position": position,
                "nullable": field.nullable,
                "comment": comments.get(field.name, ""),
            }
        )
    return columns


def _described(table: Json) -> tuple[object, ...]:
    """A table's comment and columns, without what the server adds."""
    columns = sorted(table["columns"], key=lambda column: int(column["position"]))
    return table["comment"] or "", [(row["name"], row["type_text"], row["comment"] or "") for row in columns]


def _folder_of(location: str) -> Path | str:
    return Path(url2pathname(urlsplit(location).path)) if location.startswith("file:") else location
