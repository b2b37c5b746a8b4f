"""The folder that ``marvel new-dataset`` writes for a table of your own.

Every guess is a line that you can edit: what names a row, what is predicted, which columns are numbers.
"""

from __future__ import annotations

import contextlib
import json
import pkgutil
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets import datasets
from marvel_assets.cli.columns import SHOWN, Column, ScaffoldError, read_columns
from marvel_assets.datasets.base import IDENTIFIER, SOURCE_ROW, dataset_names

if TYPE_CHECKING:
    from collections.abc import Sequence


NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
MAX_CATEGORIES = 1000
MAX_SLICES = 6


def new_dataset(name: str, file: Path, parent: Path, target: str | None = None, identifier: str | None = None) -> Path:
    """Write the folder of a data set.

    Args:
        name: of the folder: 1 to 61 lowercase letters, digits and underscores, a letter first.
        file: a CSV or Parquet file with the rows.
        parent: where the folder is written.
        target: the column to predict. Default: the last one that has two values.
        identifier: the column that names a row. Default: one with a different value in each row.

    Returns:
        The folder.

    Raises:
        ScaffoldError: there is a data set of that name, or the file lacks what a data set needs.
    """
    if not NAME.fullmatch(name):
        raise ScaffoldError(
            f"{name!r}: choose another name, of 1 to 61 lowercase letters, digits and underscores, a letter first."
        )
    if name in dataset_names():
        raise ScaffoldError(f"{name!r} already exists: choose another name, or delete {parent / name} first.")
    if name in {module.name for module in pkgutil.iter_modules(datasets.__path__)}:
        raise ScaffoldError(f"{name!r} names another part of marvel_assets.datasets: choose another name.")
    rows, columns, encoding = read_columns(file)
    row_name = _identifier(columns, rows, file) if identifier is None else _named(columns, identifier, file)
    predicted = _target(columns, row_name, target, file)
    others = [column for column in columns if column not in (row_name, predicted)]
    features = [column for column in others if column.present and (column.is_number or _is_category(column, rows))]
    if not features:
        raise ScaffoldError(f"{file}: besides {row_name.delivered!r} and {predicted.delivered!r} no column is usable.")
    folder = parent / name
    files = {
        "__init__.py": _declaration(file, columns, row_name, predicted, features, encoding),
        "cleaning.sql": _cleaning_sql(row_name, predicted, features),
    }
    folder.mkdir(parents=True)
    for file_name, text in files.items():
        (folder / file_name).write_text(text, encoding="utf-8")
    return folder


def _identifier(columns: Sequence[Column], rows: int, file: Path) -> Column:
    unique = [column for column in columns if column.present == column.distinct == rows]
    unique.sort(key=lambda column: "id" not in re.split(r"[^a-z]+", column.delivered.lower()))
    if not unique:
        nearest = max(columns, key=lambda column: column.distinct)
        raise ScaffoldError(
            f"{file}: no column has a different value in each of the {rows:,} rows; such an id decides whether a row "
            f"is a test row. {nearest.delivered!r} has {nearest.distinct:,} values: --identifier "
            f"{shlex.quote(nearest.delivered)} takes it, and a run keeps the first row of each. Or add a column with a "
            "stable, unique id."
        )
    return unique[0]


def _target(columns: Sequence[Column], identifier: Column, named: str | None, file: Path) -> Column:
    if named is None:
        binary = [column for column in columns if column.distinct == 2 and column is not identifier]  # noqa: PLR2004
        if not binary:
            raise ScaffoldError(f"{file}: no column has exactly two values; a binary classifier needs one.")
        return binary[-1]
    chosen = _named(columns, named, file)
    if chosen is identifier:
        raise ScaffoldError(f"{file}: column {named!r} names the rows; choose another target, or another --identifier.")
    if chosen.distinct != 2:  # noqa: PLR2004
        values = [*chosen.commonest, *(["…"] if chosen.distinct > SHOWN else [])]
        raise ScaffoldError(
            f"{file}: column {named!r} has {chosen.distinct:,} values ({', '.join(values)}); a target has two. Put "
            "them into two groups, or choose another column."
        )
    return chosen


def _named(columns: Sequence[Column], name: str, file: Path) -> Column:
    named = [column for column in columns if column.delivered == name]
    if not named:
        raise ScaffoldError(f"{file}: there is no column {name!r}; it has {', '.join(c.delivered for c in columns)}.")
    return named[0]


def _is_category(column: Column, rows: int) -> bool:
    """Whether values repeat often enough to learn from: names and free texts don't."""
    return column.distinct <= min(MAX_CATEGORIES, max(rows // 10, 2))


def _declaration(
    file: Path, columns: Sequence[Column], identifier: Column, target: Column, features: Sequence[Column], encoding: str
) -> str:
    zero, one = sorted(target.commonest)
    others = [column.delivered for column in columns if column not in (identifier, target, *features)]
    left_out = f"    # Left out, since they have no values or few that repeat: {', '.join(map(_literal, others))}.\n"
    encoded = f"    encoding={_literal(encoding)},  # guessed: the file is not UTF-8\n"
    names = "\n".join(f"        {_literal(column.delivered)}: {_literal(column.name)}," for column in columns)
    title = f'"""The rows of {file.name}."""'.replace("\\", "/")
    return f"""{title}

from marvel_assets.datasets.base import Dataset, Feature, Target

DATASET = Dataset(
    package=__name__,
    schema_name=__name__.rpartition(".")[2],
    # The columns of the source, and their names in the tables.
    source_columns={{
{names}
    }},
    # Guessed: it has a different value in each row. A hash of it decides which rows are test rows.
    identifier={_literal(identifier.name)},
    display_name={_literal(identifier.name)},
    description={_literal(f"Predicts {target.delivered}.")},
{left_out if others else ""}    features=(
{"".join(map(_feature, features))}    ),
    target=Target(
        name={_literal(target.name)},
        source={_literal(target.name)},
        # Guessed: the model predicts the probability of the second value.
        values={_literal((zero, one))},
        labels={_literal((zero, one))},
        answer={_literal(f"{target.delivered} prediction")},
    ),
{encoded if encoding != "utf-8" else ""})
"""


def _feature(column: Column) -> str:
    values = ", ".join(_literal(value[:40]) for value in column.commonest[:3])
    kind, ending = "number", ""
    examples: tuple[object, ...] = (_first_number(column), None)
    if not column.is_number:
        kind, examples = "text", (*column.commonest, *column.commonest)[:2]
        ending = '            missing="Unknown",\n'
        ending += "            has_slices=True,\n" if column.distinct <= MAX_SLICES else ""
        if {cell.lower() for cell in column.commonest} == {"true", "false"}:
            examples = ("True", "False")
            ending += '            values=("True", "False", "Unknown"),\n            others="missing",\n'
    return f"""        Feature(
            name={_literal(column.name)},
            # {column.distinct:,} values, such as {values}
            kind={_literal(kind)},
            source={_literal(column.name)},
            description={_literal(f"{column.delivered}, as delivered.")},
            examples={_literal(examples)},
{ending}        ),
"""


def _literal(value: object) -> str:
    """As Python code, in the quotes that ruff asks for."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))})"
    if not isinstance(value, str) or ('"' in value and "'" not in value):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _first_number(column: Column) -> float:
    """The first cell that is a number: the most common cell of a numeric column may be a word, such as 'unknown'."""
    for cell in column.commonest:
        with contextlib.suppress(ValueError):
            return float(cell.replace(",", column.comma or ""))
    return 0.0


def _cleaning_sql(identifier: Column, target: Column, features: Sequence[Column]) -> str:
    def rule(column: Column) -> str:
        if column.is_number and column.comma is not None:
            return f"replace({column.name}, ',', '{column.comma}') AS {column.name}"
        return column.name

    selected = [SOURCE_ROW, f"{identifier.name} AS {IDENTIFIER}", *map(rule, features), target.name]
    return (
        "-- One row for each row of `cells`: the columns of raw_characters, trimmed, and NULL where missing. Write\n"
        "-- rules in the SQL that DuckDB and Spark share; numbers may stay strings.\n"
        "SELECT\n    " + ",\n    ".join(selected) + "\nFROM cells\n"
    )
