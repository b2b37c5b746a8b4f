"""The commits of a Delta table: which ones change its rows, and the metadata that this project records in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from marvel_assets.storage.references import TableVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def commits_by_version(name: str, history: Iterable[Mapping[str, Any]]) -> dict[int, Commit]:
    """For each version of a table, oldest first, the commit that made its rows.

    Args:
        name: of the table.
        history: its log as Delta describes it, in any order.
    """
    found: dict[int, Commit] = {}
    commit = None
    for entry in sorted(history, key=lambda entry: entry["version"]):
        if entry.get("operation") not in OPERATIONS_THAT_KEEP_ROWS:
            recorded = _recorded(entry.get("userMetadata"))
            table = TableVersion(name, entry["version"], recorded.get("rows", -1), recorded.get("content", ""))
            commit = Commit(table, recorded.get("provenance", {}))
        if commit is not None:
            found[entry["version"]] = commit
    return found


def _recorded(user_metadata: str | None) -> dict[str, Any]:
    """The metadata that this project recorded; {} for another writer's."""
    try:
        recorded = json.loads(user_metadata or "{}")
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}
