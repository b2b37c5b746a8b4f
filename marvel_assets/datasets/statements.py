"""The statements that clean, split and check the rows of a data set, in the SQL that DuckDB and Spark share."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from marvel_assets.datasets.base import BLANKS, IDENTIFIER, SOURCE_ROW, TEST_HASH_BOUND, WRITTEN_AT
from marvel_assets.utils.code_versions import sql_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from marvel_assets.datasets.base import Dataset, Feature

SEPARATOR, ABSENT = "chr(31)", "chr(30)"
"""Between the cells of a digest, and for a missing cell: control characters that no text holds."""


def cleaning_sql(dataset: Dataset) -> str:
    """The statement that cleans: the rules of the data set's ``cleaning.sql``, and those that its columns declare.

    From ``raw_characters`` it makes one row for each row read: ``source_row``, the id, the features, the target,
    ``split`` ('train', 'test', or null where rejected), ``rejected_column``, ``reason`` and ``row_digest``.
    """
    target, unusable, reasons = dataset.target, [], []
    for name, source, values, accepted in _closed_lists(dataset):
        unusable.append(f"WHEN {name} NOT IN {texts(values)} THEN '{name}'")
        before, after = f'{dataset.delivered_names[source]} is "', f'", expected {accepted}'
        reasons.append(f"WHEN rejected_column = '{name}' THEN {text(before)} || substr({name}, 1, 80) || {text(after)}")
    identifier = dataset.delivered_names[dataset.identifier]
    digested, typed = [], []
    for name, feature in dataset.by_name.items():
        typed.append(f"try_cast({name} AS DOUBLE) AS {name}" if feature.kind == "number" else name)
        digested.append(name if feature.missing is not None else f"coalesce(CAST({name} AS STRING), {ABSENT})")
    return f"""{_ruled(dataset)},
spelled AS (
    SELECT {SOURCE_ROW}, {IDENTIFIER}, {", ".join(_spelled_feature(feature, dataset) for feature in dataset.features)},
        {_spelled(target.name, {value.lower(): value for value in target.values})} AS {target.name}
    FROM ruled
),
checked AS (
    SELECT *, CASE {" ".join(unusable)} WHEN {IDENTIFIER} IS NULL THEN '{IDENTIFIER}' END AS unusable_column
    FROM spelled
),
repeated AS (
    SELECT {IDENTIFIER}, min({SOURCE_ROW}) AS first_row FROM checked WHERE unusable_column IS NULL
    GROUP BY {IDENTIFIER} HAVING count(*) > 1
),
decided AS (
    SELECT checked.*, coalesce(unusable_column, CASE WHEN {SOURCE_ROW} > first_row THEN '{IDENTIFIER}' END)
        AS rejected_column
    FROM checked LEFT JOIN repeated USING ({IDENTIFIER})
)
SELECT {SOURCE_ROW}, {IDENTIFIER}, {", ".join(typed)},
    CASE WHEN {target.name} = {text(target.values[1])} THEN 1 ELSE 0 END AS {target.name},
    CASE WHEN rejected_column IS NULL
        THEN CASE WHEN md5({IDENTIFIER}) < '{TEST_HASH_BOUND}' THEN 'test' ELSE 'train' END END AS split,
    rejected_column,
    CASE
        {" ".join(reasons)}
        WHEN rejected_column IS NULL THEN NULL
        WHEN {IDENTIFIER} IS NULL THEN {text(f"{identifier} is missing")}
        ELSE {text(f'{identifier} "')} || substr({IDENTIFIER}, 1, 80) || '" repeats an earlier usable row'
    END AS reason,
    md5(concat_ws({SEPARATOR}, coalesce({IDENTIFIER}, {ABSENT}), {", ".join(digested)}, {target.name})) AS row_digest
FROM decided"""  # noqa: S608


def _ruled(dataset: Dataset) -> str:
    """The beginning of a statement: ``ruled`` is ``raw_characters`` after the data set's rules."""
    used = used_columns(dataset)
    trimmed = [f"trim(BOTH '{BLANKS}' FROM {stored}) AS {stored}" for stored in used if stored != dataset.identifier]
    cells = [
        f"coalesce({stored}, '') AS {stored}"
        if stored == dataset.target.source
        else f"CASE WHEN {stored} IN {texts(dataset.missing_texts)} THEN NULL ELSE {stored} END AS {stored}"
        for stored in used
    ]
    return f"""
WITH trimmed AS (
    SELECT {SOURCE_ROW}, {dataset.identifier}, {", ".join(trimmed)} FROM raw_characters
),
cells AS (
    SELECT {SOURCE_ROW}, {", ".join(cells)} FROM trimmed
),
ruled AS (
{rules_sql(dataset)}
)"""  # noqa: S608


def cleaning_version(dataset: Dataset) -> str:
    """A hash of everything that decides the cleaned tables; lines of comment and layout don't count."""
    return sql_version(cleaning_sql(dataset), split_sql(dataset, "train"), rejected_sql(dataset))


def used_columns(dataset: Dataset) -> list[str]:
    """The stored columns that the data set's rules name."""
    rules = rules_sql(dataset)
    return [stored for stored in dataset.source_columns.values() if re.search(rf"\b{stored}\b", rules)]


def rules_sql(dataset: Dataset) -> str:
    """The data set's ``cleaning.sql`` without lines of comment and a last semicolon."""
    content = files(dataset.package).joinpath("cleaning.sql").read_text(encoding="utf-8")
    return "\n".join(line for line in content.splitlines() if not line.lstrip().startswith("--")).strip("; \t\n")


def text(value: str) -> str:
    """A text as a literal for both engines: a backslash is an escape in Spark, and a plain character in DuckDB."""
    quoted = value.replace("'", "''").replace("\\", "' || chr(92) || '")
    return f"('{quoted}')" if "\\" in value else f"'{quoted}'"


def texts(values: Iterable[object]) -> str:
    """The list of an IN."""
    return f"({', '.join(map(_literal, values))})"


def _literal(value: object) -> str:
    return text(value) if isinstance(value, str) else str(value)


def _spelled_feature(feature: Feature, dataset: Dataset) -> str:
    """The feature with the values of its closed list, and with its value for missing cells."""
    name = expression = feature.name
    match feature.kind:
        case "number":
            cell = f"CAST({name} AS STRING)"
            expression = f"CASE WHEN {is_number(cell)} THEN {cell} END"
        case "flag":  # by way of a double, since engines differ on '1.0'
            expression = f"try_cast(try_cast({name} AS DOUBLE) AS INTEGER)"
        case "text" if feature.others is not None:
            expression = _spelled(name, dataset.spellings[name])
    if feature.others == "missing":
        expression = f"CASE WHEN {expression} IN {texts(feature.values)} THEN {expression} END"
    if feature.missing is not None:
        expression = f"coalesce({expression}, {_literal(feature.missing)})"
    return f"{expression} AS {name}" if expression != name else name


def _spelled(name: str, spellings: dict[str, str]) -> str:
    """The value of a closed list that a cell names, in any case; other cells unchanged."""
    # The engines differ on lower('İ').
    cases = " ".join(f"WHEN {text(spelling)} THEN {text(value)}" for spelling, value in spellings.items())
    return f"CASE lower(replace({name}, 'İ', '?')) {cases} ELSE {name} END"


def is_number(cell: str) -> str:
    """A decimal number, plain or as 5e-05, within a double's range: casts alone differ (1_000, 1e400, a line break)."""
    exponent = "[0-9]([.][0-9]+)?[eE][+-]?[0-9][0-9]?"
    number = f"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+|{exponent})$"
    return f"length({cell}) <= 300 AND regexp_extract({cell}, '{number}', 0) = {cell}"


def _closed_lists(dataset: Dataset) -> list[tuple[str, str, tuple[str, ...], str]]:
    """The columns in which another value rejects a row, each with its source, its values, and these in words."""
    lists = []
    for feature in dataset.features:
        if feature.others == "reject":
            named = ", ".join(value for value in feature.values if value != feature.missing)
            accepted = f"{named} or nothing" if feature.missing is not None else named
            lists.append((feature.name, feature.source, feature.values, accepted))
    target = dataset.target
    return [*lists, (target.name, target.source, target.values, " or ".join(reversed(target.values)))]


def unreadable_numbers_sql(dataset: Dataset, feature: Feature, examples: int) -> tuple[str, str]:
    """Two statements: the counts of a feature's non-missing cells and of those that aren't numbers, and examples."""
    cell, ruled = f"CAST({feature.name} AS STRING)", _ruled(dataset)
    lost = f"{cell} IS NOT NULL AND NOT coalesce({is_number(cell)}, false)"
    return (
        f"{ruled} SELECT count({cell}), coalesce(sum(CASE WHEN {lost} THEN 1 ELSE 0 END), 0) FROM ruled",  # noqa: S608
        f"{ruled} SELECT DISTINCT {cell} AS cell FROM ruled WHERE {lost} ORDER BY cell LIMIT {examples}",  # noqa: S608
    )


def digested_source_sql(dataset: Dataset, relation: str) -> str:
    """The statement that adds a ``row_digest`` to rows as delivered; their number in the source is left out of it."""
    cells = ", ".join(f"coalesce({column}, {ABSENT})" for column in dataset.source_columns.values())
    return f"SELECT *, md5(concat_ws({SEPARATOR}, {cells})) AS row_digest FROM {relation}"  # noqa: S608


def split_sql(dataset: Dataset, split: str) -> str:
    """The statement that selects the train or test rows of ``cleaned_characters``."""
    columns = ", ".join([IDENTIFIER, *dataset.by_name, dataset.target.name])
    return f"""
        SELECT {columns}, current_timestamp AS {WRITTEN_AT}, row_digest
        FROM cleaned_characters WHERE split = '{split}' ORDER BY {IDENTIFIER}"""  # noqa: S608


def rejected_sql(dataset: Dataset) -> str:
    """The statement that selects the rejected rows, as delivered and with the reason."""
    columns = [f"raw.{column}" for column in dataset.source_columns.values()]
    cells = ", ".join(f"coalesce({column}, {ABSENT})" for column in columns)
    return f"""
        SELECT cleaned.{SOURCE_ROW}, {", ".join(columns)}, cleaned.rejected_column, cleaned.reason,
            current_timestamp AS {WRITTEN_AT}, md5(concat_ws({SEPARATOR}, {cells}, cleaned.reason)) AS row_digest
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.{SOURCE_ROW} = cleaned.{SOURCE_ROW}
        WHERE cleaned.rejected_column IS NOT NULL ORDER BY cleaned.{SOURCE_ROW}"""  # noqa: S608


def top_rejection_reasons_sql(relation: str, count: int) -> str:
    """The statement that counts rejected rows by reason, the most common first."""
    return f"""
        SELECT reason, count(*) AS number FROM {relation}
        GROUP BY reason ORDER BY number DESC, reason LIMIT {count}"""  # noqa: S608


def contract_violations(
    dataset: Dataset, fetchall: Callable[[str], list[tuple[Any, ...]]], relation: str, split: Literal["train", "test"]
) -> list[str]:
    """What is wrong with a cleaned table: a sentence for each rule that is broken, with a count and an example.

    Args:
        dataset: what the columns may hold.
        fetchall: runs a SELECT.
        relation: holds the columns of ``train_set``.
        split: which of the two tables it is; each id belongs to one of them by its MD5 alone.
    """
    closed = {**dataset.known_values, dataset.target.name: (0, 1)}
    misplaced = f"md5({IDENTIFIER}) {'<' if split == 'train' else '>='} '{TEST_HASH_BOUND}'"
    promises = [
        *((name, f"{name} IS NULL", "is missing") for name in (IDENTIFIER, *dataset.fill_values, dataset.target.name)),
        *((name, f"{name} NOT IN {texts(values)}", f"is not one of {list(values)}") for name, values in closed.items()),
        (IDENTIFIER, misplaced, "belongs to the other table"),
    ]
    counted = ", ".join(
        f"count(CASE WHEN {condition} THEN 1 END), min(CASE WHEN {condition} THEN {column} END)"
        for column, condition, _ in promises
    )
    repeated = f"count({IDENTIFIER}) - count(DISTINCT {IDENTIFIER})"
    [(repeats, *found)] = fetchall(f"SELECT {repeated}, {counted} FROM {relation}")  # noqa: S608
    problems = [f"{IDENTIFIER} is not unique: {repeats} rows repeat an id"] if repeats else []
    for (column, _, problem), number, example in zip(promises, found[::2], found[1::2], strict=True):
        if number:
            shown = "" if example is None else f", such as {example!r}"
            problems.append(f"{column} {problem} in {number} rows{shown}")
    return problems
