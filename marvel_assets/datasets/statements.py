"""The statements that clean, split and check the rows of a data set, in the SQL that DuckDB and Spark share."""

import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any, Literal

from marvel_assets.datasets.base import BLANKS, IDENTIFIER, SOURCE_ROW, TEST_HASH_BOUND, WRITTEN_AT, Dataset, Feature
from marvel_assets.utils.code_versions import sql_version


def cleaning_sql(dataset: Dataset) -> str:
    """The statement that cleans: the rules of the data set's ``cleaning.sql``, and those that its columns declare.

    From ``raw_characters`` it makes one row for each row read: ``source_row``, the id, the features, the target,
    ``split`` ('train', 'test', or null where rejected), ``rejected_column``, ``reason`` and ``row_digest``.
    """
    target, unusable, reasons = dataset.target, [], []
    rejecting = [feature for feature in dataset.features if feature.others == "reject"]
    closed = [(each.name, each.source, each.values, each.missing) for each in rejecting]
    for name, source, values, missing in [*closed, (target.name, target.source, target.values[::-1], None)]:
        unusable.append(f"WHEN {name} NOT IN {texts(values)} THEN '{name}'")
        *most, last = [value for value in values if value != missing] + ([] if missing is None else ["nothing"])
        before, after = f'{dataset.delivered_names[source]} is "', f'", expected {", ".join(most)} or {last}'
        reasons.append(f"WHEN rejected_column = '{name}' THEN {text(before)} || substr({name}, 1, 80) || {text(after)}")
    identifier = dataset.delivered_names[dataset.identifier]
    numbers = dataset.numeric_features
    typed = [f"try_cast({name} AS DOUBLE) AS {name}" if name in numbers else name for name in dataset.by_name]
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
    {row_digest(IDENTIFIER, *dataset.by_name, target.name)}
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
{_rules(dataset)}
)"""  # noqa: S608


def _rules(dataset: Dataset) -> str:
    """The data set's ``cleaning.sql`` without lines of comment and a last semicolon."""
    content = files(dataset.package).joinpath("cleaning.sql").read_text(encoding="utf-8")
    return "\n".join(line for line in content.splitlines() if not line.lstrip().startswith("--")).strip("; \t\n")


def used_columns(dataset: Dataset) -> list[str]:
    """The stored columns that the data set's rules name."""
    rules = _rules(dataset)
    return [stored for stored in dataset.source_columns.values() if re.search(rf"\b{stored}\b", rules)]


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
        expression = f"coalesce({expression}, {text(feature.missing)})"
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


def text(value: object) -> str:
    """A text or number as a literal for both engines: a backslash is an escape in Spark, a character in DuckDB."""
    if not isinstance(value, str):
        return str(value)
    quoted = value.replace("'", "''").replace("\\", "' || chr(92) || '")
    return f"('{quoted}')" if "\\" in value else f"'{quoted}'"


def texts(values: Iterable[object]) -> str:
    """The list of an IN."""
    return f"({', '.join(map(text, values))})"


def row_digest(*cells: str) -> str:
    """The hash by which rows are compared. Control characters, which no text holds, separate cells and are missing."""
    present = ", ".join(f"coalesce(CAST({cell} AS STRING), chr(30))" for cell in cells)
    return f"md5(concat_ws(chr(31), {present})) AS row_digest"


def cleaning_version(dataset: Dataset) -> str:
    """A hash of everything that decides the cleaned tables; lines of comment and layout don't count."""
    return sql_version(cleaning_sql(dataset), split_sql(dataset, "train"), rejected_sql(dataset))


def unreadable_numbers_sql(dataset: Dataset, feature: Feature) -> str:
    """The counts of a feature's non-missing cells and of those that aren't numbers, and one of these."""
    cell = f"CAST({feature.name} AS STRING)"
    lost = f"CASE WHEN NOT ({is_number(cell)}) THEN {cell} END"
    return f"{_ruled(dataset)} SELECT count({cell}), count({lost}), min({lost}) FROM ruled"  # noqa: S608


def digested_source_sql(dataset: Dataset, relation: str) -> str:
    """Adds a ``row_digest`` to rows as delivered; their number in the source is left out of it."""
    return f"SELECT *, {row_digest(*dataset.source_columns.values())} FROM {relation}"  # noqa: S608


def split_sql(dataset: Dataset, split: str) -> str:
    """The train or test rows of ``cleaned_characters``."""
    columns = ", ".join([IDENTIFIER, *dataset.by_name, dataset.target.name])
    return f"""
        SELECT {columns}, current_timestamp AS {WRITTEN_AT}, row_digest
        FROM cleaned_characters WHERE split = '{split}' ORDER BY {IDENTIFIER}"""  # noqa: S608


def rejected_sql(dataset: Dataset) -> str:
    """The rejected rows, as delivered and with the reason."""
    columns = [f"raw.{column}" for column in dataset.source_columns.values()]
    return f"""
        SELECT cleaned.{SOURCE_ROW}, {", ".join(columns)}, cleaned.rejected_column, cleaned.reason,
            current_timestamp AS {WRITTEN_AT}, {row_digest(*columns, "cleaned.reason")}
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.{SOURCE_ROW} = cleaned.{SOURCE_ROW}
        WHERE cleaned.rejected_column IS NOT NULL ORDER BY cleaned.{SOURCE_ROW}"""  # noqa: S608


def contract_violations(
    dataset: Dataset, fetchall: Callable[[str], list[tuple[Any, ...]]], relation: str, split: Literal["train", "test"]
) -> list[str]:
    """What is wrong with a table of train or test rows: a sentence with a count and an example for each broken rule.

    ``fetchall`` runs a SELECT. Each id belongs to one of the two tables by its MD5 alone.
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
