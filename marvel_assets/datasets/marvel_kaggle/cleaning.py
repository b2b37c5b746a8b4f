"""The statements that clean and split the characters, ready to run on DuckDB or Spark SQL."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from marvel_assets.datasets.marvel_kaggle.columns import (
    BLANKS,
    MISSING_TEXT,
    NO_TEAM,
    SOURCE_COLUMNS,
    SPELLINGS,
    TEST_HASH_BOUND,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def cleaning_sql() -> str:
    """The statement of ``cleaning.sql``, with the lists of ``columns.py`` put in.

    From ``raw_characters`` it makes one row for each row read, with ``split`` ('train', 'test', or null where
    rejected), ``rejected_column``, ``reason`` and ``row_digest``.
    """
    template = files(__package__).joinpath("cleaning.sql").read_text(encoding="utf-8")
    text = "\n".join(line for line in template.splitlines() if not line.lstrip().startswith("--")).strip()
    text = re.sub(r"\{spelled\((\w+)\)\}", lambda found: _spelled(found[1]), text)
    text = re.sub(r"\{is_number\((\w+)\)\}", lambda found: _is_number(found[1]), text)
    lists = {
        "{missing}": MISSING,
        "{no_team}": _listed(NO_TEAM),
        "{blanks}": f"'{BLANKS}'",
        "{test_hash_bound}": TEST_HASH_BOUND,
    }
    for name, value in lists.items():
        text = text.replace(name, value)
    return text


def _listed(texts: Sequence[str]) -> str:
    return "(" + ", ".join(f"'{text}'" for text in texts) + ")"


MISSING = _listed(MISSING_TEXT)


def _spelled(column: str) -> str:
    """The value of a closed list that a cell names, whatever its case; other cells as they stand."""
    cases = " ".join(f"WHEN '{spelling}' THEN '{value}'" for spelling, value in SPELLINGS[column].items())
    return f"CASE lower(replace({column}, 'İ', '?')) {cases} ELSE {column} END"


def _is_number(text: str) -> str:
    """A plain decimal number, and short enough for a double: casts alone differ (1_000, 1e400, a line break)."""
    return f"length({text}) <= 300 AND regexp_extract({text}, '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)$', 0) = {text}"


def unreadable_numbers_sql(column: str, examples: int) -> tuple[str, str]:
    """The statements that look for the cells of a column of numbers in ``raw_characters`` that hold none.

    Returns:
        The statement that counts the cells that hold something, and those of them that aren't numbers; and the one that
        takes some of the latter.
    """
    cells = f"""
        SELECT {column} AS cell, coalesce({_is_number("text")}, false) AS is_number
        FROM (SELECT {column}, trim(BOTH '{BLANKS}' FROM {column}) AS text FROM raw_characters) AS trimmed
        WHERE text NOT IN {MISSING}"""  # noqa: S608
    return (
        f"SELECT count(*), coalesce(sum(CASE WHEN is_number THEN 0 ELSE 1 END), 0) FROM ({cells}) AS given",  # noqa: S608
        f"SELECT DISTINCT cell FROM ({cells}) AS given WHERE NOT is_number ORDER BY cell LIMIT {examples}",  # noqa: S608
    )


def digested_source_sql(relation: str) -> str:
    """The statement that adds a ``row_digest`` to rows as delivered, their place in the source left out."""
    cells = ", ".join(f"coalesce({column}, chr(30))" for column in SOURCE_COLUMNS.values())
    return f"SELECT *, md5(concat_ws(chr(31), {cells})) AS row_digest FROM {relation}"  # noqa: S608


def split_sql(split: str) -> str:
    """The statement that takes the train or test rows out of ``cleaned_characters``."""
    return f"""
        SELECT Id, Height, Weight, Universe, Identity, Gender, Marital_Status, Teams, Origin, Magic, Mutant, Alive,
            current_timestamp AS update_timestamp_utc, row_digest
        FROM cleaned_characters WHERE split = '{split}' ORDER BY Id"""  # noqa: S608


def rejected_sql() -> str:
    """The statement that takes the rejected rows, as delivered and with the reason."""
    columns = ", ".join(f"raw.{column}" for column in SOURCE_COLUMNS.values())
    cells = ", ".join(f"coalesce(raw.{column}, chr(30))" for column in SOURCE_COLUMNS.values())
    return f"""
        SELECT cleaned.source_row, {columns}, cleaned.rejected_column, cleaned.reason,
            current_timestamp AS update_timestamp_utc,
            md5(concat_ws(chr(31), {cells}, cleaned.reason)) AS row_digest
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.source_row = cleaned.source_row
        WHERE cleaned.rejected_column IS NOT NULL ORDER BY cleaned.source_row"""  # noqa: S608


def top_rejection_reasons_sql(relation: str, count: int) -> str:
    """The statement that takes the commonest reasons, and how many rows each has, out of rejected rows."""
    return f"""
        SELECT reason, count(*) AS number FROM {relation}
        GROUP BY reason ORDER BY number DESC, reason LIMIT {count}"""  # noqa: S608
