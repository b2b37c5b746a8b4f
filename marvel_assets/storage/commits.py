"""The commits of a Delta table: which change its rows, and what this project recorded with them."""

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
"""Delta operations after which a table holds the rows that it held; after any other it may hold others."""


@dataclass(frozen=True)
class Commit:
    """A version of a table, and what its commit says of it.

    ``provenance`` is what the asset recorded: of which versions and by which code the rows were made.
    """

    table: TableVersion
    provenance: dict[str, Any]


def newest_of_equal_content(history: Sequence[Mapping[str, Any]], version: int) -> int | None:
    """The newest other version with the content that a version's commit recorded; none where it recorded none."""
    contents = contents_of(history)
    wanted = contents.pop(version, "")
    return max((other for other, held in contents.items() if held == wanted), default=None) if wanted else None


def contents_of(history: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The content of each version, '' where another writer made it."""
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
    """Our own record; another writer's metadata is none."""
    try:
        recorded = json.loads(user_metadata or "{}")
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}
