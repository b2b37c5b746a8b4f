"""Whether a cleaned table keeps what the data set declares, asked in the SQL that DuckDB and Spark share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from marvel_assets.datasets.base import IDENTIFIER, TEST_HASH_BOUND
from marvel_assets.datasets.statements import texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from marvel_assets.datasets.base import Dataset

SHOWN = 3
MISPLACED = {"train": f"md5({IDENTIFIER}) < '{TEST_HASH_BOUND}'", "test": f"md5({IDENTIFIER}) >= '{TEST_HASH_BOUND}'"}


def contract_violations(
    dataset: Dataset,
    ask: Callable[[str], list[tuple[Any, ...]]],
    relation: str,
    split: Literal["train", "test"],
) -> list[str]:
    """What is wrong with a cleaned table; empty where nothing is.

    One query counts every kind of violation where the rows are; only where there are some, a few cases are fetched.

    Args:
        dataset: what the columns may hold.
        ask: runs a SELECT, and returns its few rows.
        relation: holds the columns of ``train_set``.
        split: which of the two tables it is; each id belongs to one of them by its MD5 alone.

    Returns:
        A sentence for each promise that is broken, naming the column and some of the cases.
    """
    closed: dict[str, tuple[Any, ...]] = {
        feature.name: feature.values for feature in dataset.features if feature.values
    }
    closed |= {feature.name: (0, 1) for feature in dataset.features if feature.kind == "flag"}
    closed[dataset.target.name] = (0, 1)
    complete = [IDENTIFIER, *dataset.fill_values, dataset.target.name]
    violations = {
        **{f"{name} is missing": f"{name} IS NULL" for name in complete},
        **{name: f"{name} NOT IN {texts(values)}" for name, values in closed.items()},
        "misplaced": MISPLACED[split],
    }
    counted = ", ".join(
        f"coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)" for condition in violations.values()
    )
    repeated = f"count({IDENTIFIER}) - count(DISTINCT {IDENTIFIER})"
    [(*numbers, repeats)] = ask(f"SELECT {counted}, {repeated} FROM {relation}")  # noqa: S608
    found = {name: int(number) for name, number in zip(violations, numbers, strict=True) if number}

    def cases(column: str, condition: str) -> list[Any]:
        some = f"SELECT DISTINCT {column} FROM {relation} WHERE {condition} ORDER BY {column} LIMIT {SHOWN}"  # noqa: S608
        return [row[0] for row in ask(some)]

    missing = [f"{name} in {number} rows" for name, number in found.items() if name.endswith(" is missing")]
    unique = [f"{IDENTIFIER} is not unique: {repeats} rows repeat an id"] if repeats else []
    others = [
        f"{name} holds {cases(name, violations[name])}, expected one of {list(values)}"
        for name, values in closed.items()
        if name in found
    ]
    misplaced = (
        [f"{found['misplaced']} ids belong to the other table, such as {cases(IDENTIFIER, MISPLACED[split])}"]
        if "misplaced" in found
        else []
    )
    return missing + unique + others + misplaced


def split_of(identifier: str) -> Literal["train", "test"]:
    """The table that an id belongs to."""
    digest = hashlib.md5(identifier.encode(), usedforsecurity=False).hexdigest()
    return "test" if digest < TEST_HASH_BOUND else "train"
