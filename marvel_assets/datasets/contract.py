"""Checks a cleaned table against what the data set declares, in the SQL that DuckDB and Spark share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from marvel_assets.datasets.base import IDENTIFIER, TEST_HASH_BOUND
from marvel_assets.datasets.statements import texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from marvel_assets.datasets.base import Dataset

MISPLACED = {"train": f"md5({IDENTIFIER}) < '{TEST_HASH_BOUND}'", "test": f"md5({IDENTIFIER}) >= '{TEST_HASH_BOUND}'"}


def contract_violations(
    dataset: Dataset, ask: Callable[[str], list[tuple[Any, ...]]], relation: str, split: Literal["train", "test"]
) -> list[str]:
    """What is wrong with a cleaned table: a sentence for each rule that is broken, with a count and an example.

    Args:
        dataset: what the columns may hold.
        ask: runs a SELECT, and returns its few rows; it is asked once.
        relation: holds the columns of ``train_set``.
        split: which of the two tables it is; each id belongs to one of them by its MD5 alone.
    """
    closed = {**dataset.known_values, dataset.target.name: (0, 1)}
    promises = [
        *((name, f"{name} IS NULL", "is missing") for name in (IDENTIFIER, *dataset.fill_values, dataset.target.name)),
        *((name, f"{name} NOT IN {texts(values)}", f"is not one of {list(values)}") for name, values in closed.items()),
        (IDENTIFIER, MISPLACED[split], "belongs to the other table"),
    ]
    counted = ", ".join(
        f"count(CASE WHEN {condition} THEN 1 END), min(CASE WHEN {condition} THEN {column} END)"
        for column, condition, _ in promises
    )
    repeated = f"count({IDENTIFIER}) - count(DISTINCT {IDENTIFIER})"
    [(repeats, *found)] = ask(f"SELECT {repeated}, {counted} FROM {relation}")  # noqa: S608
    problems = [f"{IDENTIFIER} is not unique: {repeats} rows repeat an id"] if repeats else []
    for (column, _, problem), number, example in zip(promises, found[::2], found[1::2], strict=True):
        if number:
            shown = "" if example is None else f", such as {example!r}"
            problems.append(f"{column} {problem} in {number} rows{shown}")
    return problems
