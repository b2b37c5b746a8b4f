"""Whether a cleaned table keeps what the data contract promises."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from marvel_assets.survival.schema import CATEGORIES, FLAGS, IDENTIFIER, TARGET, TEST_BELOW

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 3

CONTRACT_COLUMNS = [IDENTIFIER, "Universe", *CATEGORIES, *FLAGS, TARGET]


def broken_promises(table: pa.Table, split: Literal["train", "test"]) -> list[str]:
    """What is wrong with a cleaned table; empty where nothing is.

    Args:
        table: the columns of CONTRACT_COLUMNS.
        split: which of the two tables it is; each id belongs to one of them by its MD5 alone.

    Returns:
        A sentence for each promise that is broken, naming the column and some of the cases.
    """
    import pyarrow.compute as pc

    broken = [
        f"{name} is missing in {table[name].null_count} rows" for name in CONTRACT_COLUMNS if table[name].null_count
    ]
    repeated = len(table[IDENTIFIER].drop_null()) - pc.count_distinct(table[IDENTIFIER]).as_py()
    if repeated:
        broken.append(f"{IDENTIFIER} is not unique: {repeated} rows repeat an id")
    allowed = {**CATEGORIES, **dict.fromkeys((*FLAGS, TARGET), (0, 1))}
    for name, values in allowed.items():
        others = [value for value in pc.unique(table[name]).to_pylist() if value is not None and value not in values]
        if others:
            broken.append(f"{name} holds {others[:SHOWN]}, expected one of {list(values)}")
    misplaced = [
        identifier
        for identifier in table[IDENTIFIER].to_pylist()
        if identifier is not None and split_of(identifier) != split
    ]
    if misplaced:
        broken.append(f"{len(misplaced)} ids belong to the other table, such as {misplaced[:SHOWN]}")
    return broken


def split_of(identifier: str) -> Literal["train", "test"]:
    """The table that an id belongs to."""
    digest = hashlib.md5(identifier.encode(), usedforsecurity=False).hexdigest()
    return "test" if digest < TEST_BELOW else "train"
