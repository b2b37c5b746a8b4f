"""Whether a cleaned table keeps what the data contract promises, asked in the SQL that DuckDB and Spark share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from marvel_assets.datasets.marvel_kaggle.columns import (
    BINARY_FEATURES,
    CATEGORY_LEVELS,
    IDENTIFIER,
    TARGET,
    TEST_HASH_BOUND,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 3

CONTRACT_COLUMNS = [IDENTIFIER, "Universe", *CATEGORY_LEVELS, *BINARY_FEATURES, TARGET]
ALLOWED: dict[str, tuple[Any, ...]] = {**CATEGORY_LEVELS, **dict.fromkeys((*BINARY_FEATURES, TARGET), (0, 1))}
MISPLACED = {"train": f"md5({IDENTIFIER}) < '{TEST_HASH_BOUND}'", "test": f"md5({IDENTIFIER}) >= '{TEST_HASH_BOUND}'"}


def contract_violations(
    ask: Callable[[str], list[tuple[Any, ...]]], relation: str, split: Literal["train", "test"]
) -> list[str]:
    """What is wrong with a cleaned table; empty where nothing is.

    One query counts every kind of offence where the rows are; only where there are some, a few cases are fetched.

    Args:
        ask: runs a SELECT, and returns its few rows.
        relation: holds the columns of CONTRACT_COLUMNS.
        split: which of the two tables it is; each id belongs to one of them by its MD5 alone.

    Returns:
        A sentence for each promise that is broken, naming the column and some of the cases.
    """
    offences = {
        **{f"{name} is missing": f"{name} IS NULL" for name in CONTRACT_COLUMNS},
        **{name: f"{name} NOT IN {_listed(values)}" for name, values in ALLOWED.items()},
        "misplaced": MISPLACED[split],
    }
    counted = ", ".join(f"coalesce(sum(CASE WHEN {offence} THEN 1 ELSE 0 END), 0)" for offence in offences.values())
    repeated = f"count({IDENTIFIER}) - count(DISTINCT {IDENTIFIER})"
    [(*numbers, repeats)] = ask(f"SELECT {counted}, {repeated} FROM {relation}")  # noqa: S608
    found = {name: int(number) for name, number in zip(offences, numbers, strict=True) if number}

    def cases(column: str, offence: str) -> list[Any]:
        some = f"SELECT DISTINCT {column} FROM {relation} WHERE {offence} ORDER BY {column} LIMIT {SHOWN}"  # noqa: S608
        return [row[0] for row in ask(some)]

    missing = [f"{name} in {number} rows" for name, number in found.items() if name.endswith(" is missing")]
    unique = [f"{IDENTIFIER} is not unique: {repeats} rows repeat an id"] if repeats else []
    others = [
        f"{name} holds {cases(name, offences[name])}, expected one of {list(values)}"
        for name, values in ALLOWED.items()
        if name in found
    ]
    misplaced = (
        [f"{found['misplaced']} ids belong to the other table, such as {cases(IDENTIFIER, MISPLACED[split])}"]
        if "misplaced" in found
        else []
    )
    return missing + unique + others + misplaced


def _listed(values: tuple[Any, ...]) -> str:
    return "(" + ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values) + ")"


def split_of(identifier: str) -> Literal["train", "test"]:
    """The table that an id belongs to."""
    digest = hashlib.md5(identifier.encode(), usedforsecurity=False).hexdigest()
    return "test" if digest < TEST_HASH_BOUND else "train"
