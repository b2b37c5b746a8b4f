"""The commits of a Delta table: which ones change its rows, and the metadata that this project records in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marvel_assets.storage.references import TableVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OPERATIONS_THAT_KEEP_ROWS = frozenset(
    {
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "ADD CONSTRAINT",
        "DROP CONSTRAINT",
        "ADD FEATURE",
        "UPGRADE PROTOCOL",
        "UPDATE TABLE METADATA",
        "UPDATE FIELD METADATA",
        "ANALYZE TABLE",
        "COMPUTE STATS",
        "CLUSTER BY",
    }
)
"""Delta operations that leave a table's rows as they were; any other may change them."""


@dataclass(frozen=True)
class Commit:
    """A version of a table and its ``provenance``: the versions and the code that the rows were made from."""

    table: TableVersion
    provenance: dict[str, Any]


def newest_of_equal_content(history: Sequence[Mapping[str, Any]], version: int) -> int | None:
    """The newest other version with the same recorded content, or None."""
    contents = contents_of(history)
    wanted = contents.pop(version, "")
    return max((other for other, held in contents.items() if held == wanted), default=None) if wanted else None


def contents_of(history: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The content hash of each version, '' where another writer made it."""
    contents, content = dict[int, str](), ""
    for entry in reversed(history):
        if entry.get("operation") not in OPERATIONS_THAT_KEEP_ROWS:
            content = _recorded(entry.get("userMetadata")).get("content", "")
        contents[entry["version"]] = content
    return contents


def newest_commit(name: str, history: Iterable[Mapping[str, Any]]) -> Commit | None:
    """The newest commit that changed the table's rows."""
    for entry in history:
        if entry.get("operation") not in OPERATIONS_THAT_KEEP_ROWS:
            recorded = _recorded(entry.get("userMetadata"))
            table = TableVersion(name, entry["version"], recorded.get("rows", -1), recorded.get("content", ""))
            return Commit(table, recorded.get("provenance", {}))
    return None


def _recorded(user_metadata: str | None) -> dict[str, Any]:
    """The metadata that this project recorded; {} for another writer's."""
    try:
        recorded = json.loads(user_metadata or "{}")
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}
