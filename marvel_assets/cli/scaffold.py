"""``marvel new-dataset``: the folder of your own table, guessed from a file. Each guess is a line that you can edit."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from marvel_assets.config import ConfigError
from marvel_assets.datasets.base import BLANKS, IDENTIFIER, PANDAS_MISSING, SOURCE_ROW, WRITTEN_AT
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS
from marvel_assets.datasets.statements import is_number, texts
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import InputFile, names_and_encoding, read_files

OWN_COLUMNS = {
    IDENTIFIER, SOURCE_ROW, WRITTEN_AT, *PREDICTION_COLUMNS, "split", "reason", "row_digest", "first_row",
    "rejected_column", "unusable_column", "name", "why",
}  # fmt: skip
"""Columns that the project's tables and the answers of ``marvel score`` have besides the data set's."""

THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+([.]\d+)?"
"""A number with a comma between thousands, which may also be a decimal comma with three digits behind it."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
MAX_CATEGORIES, MAX_SLICES, SHOWN = 1000, 6, 5
BINARY = 2
NUMBERS_AT_LEAST = 0.95
"""Share of the non-missing cells that are numbers, for a column to count as numeric."""


class Column(NamedTuple):
    """The profile of a column. Cells are trimmed; those that count as missing are left out.

    Attributes:
        delivered: its name in the file; ``name`` is the one in the tables.
        numbers: how many of the ``present`` cells are decimal numbers, once their commas are replaced.
        comma: what a number's comma means: a point, or nothing where all separate thousands. None: there is none.
        number: the most frequent cell that is a number.
        commonest: the most frequent cells, the most frequent first.
    """

    delivered: str
    name: str
    present: int
    distinct: int
    numbers: int
    comma: str | None
    number: str | None
    commonest: list[str]

    @property
    def is_number(self) -> bool:
        """Whether nearly all non-missing cells are numbers."""
        return self.present > 0 and self.numbers >= NUMBERS_AT_LEAST * self.present


def new_dataset(name: str, file: Path, parent: Path, target: str | None = None, identifier: str | None = None) -> Path:
    """Write the folder of a data set, and return it.

    Args:
        name: of the folder: 1 to 61 lowercase letters, digits and underscores, a letter first.
        file: a CSV or Parquet file with the rows.
        parent: where the folder is written.
        target: the column to predict. Default: the last one that has two values.
        identifier: the column that names a row. Default: one with a different value in each row.

    Raises:
        ConfigError: no data set can have that name.
        SourceError: the file can't be read, or lacks what a data set needs.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r}: choose another name, of 1 to 61 lowercase letters, digits and underscores, a letter first."
        )
    if find_spec(f"marvel_assets.datasets.{name}"):
        or_delete = ", or delete that folder" if (parent / name).is_dir() else ""
        raise ConfigError(f"marvel_assets/datasets has {name!r} already: choose another name{or_delete}.")
    rows, columns, encoding = _read_columns(file)
    by_name = {column.delivered: column for column in columns}
    for named in (target, identifier):
        if named and named not in by_name:
            raise SourceError(f"{file}: there is no column {named!r}; it has {', '.join(by_name)}.")
    row_name = by_name[identifier] if identifier else _identifier(columns, rows, file)
    predicted = _checked(by_name[target], row_name, file) if target else _target(columns, row_name, file)
    # Names and free texts are no features: their values don't repeat often enough to learn from.
    most_categories = min(MAX_CATEGORIES, max(rows // 10, 2))
    others = [column for column in columns if column not in (row_name, predicted)]
    features = [each for each in others if each.present and (each.is_number or each.distinct <= most_categories)]
    if not features:
        raise SourceError(f"{file}: besides {row_name.delivered!r} and {predicted.delivered!r} no column is usable.")
    folder = parent / name
    folder.mkdir(parents=True)
    declaration = _declaration(file, columns, row_name, predicted, features, encoding)
    (folder / "__init__.py").write_text(declaration, encoding="utf-8")
    (folder / "cleaning.sql").write_text(_cleaning_sql(row_name, predicted, features), encoding="utf-8")
    return folder


def _read_columns(file: Path) -> tuple[int, list[Column], str]:
    """The number of rows, the profiles of the columns that have a name, and the encoding: of what a run will read."""
    header, encoding = names_and_encoding(file, str(file))
    names = {old: new for old, new in zip(header, safe_names(header), strict=True) if old}
    if not names:
        raise SourceError(f"{file}: the first line must hold the names of the columns.")
    delivered = pa.Table.from_batches(read_files([InputFile(file, str(file))], names, encoding))
    with duckdb.connect() as connection:
        connection.register("delivered", delivered)
        return len(delivered), [_profile(connection, old, new) for old, new in names.items()], encoding


def _profile(connection: duckdb.DuckDBPyConnection, delivered: str, name: str) -> Column:
    [profile] = connection.execute(
        f"""WITH trimmed AS (SELECT trim("{name}", '{BLANKS}') AS cell FROM delivered),
        cells AS (
            SELECT cell, count(*) AS times, if(regexp_full_match(cell, '{THOUSANDS}'), '', '.') AS comma,
                replace(cell, ',', comma) AS plain, {is_number("plain")} AS is_number
            FROM trimmed WHERE cell NOT IN {texts(PANDAS_MISSING)} GROUP BY cell
        )
        SELECT coalesce(sum(times), 0), count(*), coalesce(sum(times) FILTER (is_number), 0),
            max(comma) FILTER (is_number AND cell <> plain), first(cell ORDER BY times DESC, cell) FILTER (is_number),
            coalesce(list(cell ORDER BY times DESC, cell)[:{SHOWN}], [])
        FROM cells"""  # noqa: S608
    ).fetchall()
    return Column(delivered, name, *profile)


def safe_names(delivered: Iterable[str]) -> list[str]:
    """Names that SQL, Delta and LightGBM take unquoted: one for each column, none twice.

    >>> safe_names(["Height (m)", "select", "Größe", "größe", "Id", "why", "", "2nd"])
    ['Height_m', 'select_', 'Gr_e', 'gr_e_', 'Id_', 'why_', 'column_7', 'column_2nd']
    """
    keywords = duckdb.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    taken = {str(word) for (word,) in keywords} | {name.lower() for name in OWN_COLUMNS}
    names = []
    for place, column in enumerate(delivered, start=1):
        name = re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_") or str(place)
        if name[0].isdigit():
            name = f"column_{name}"
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names.append(name)
    return names


def _identifier(columns: Sequence[Column], rows: int, file: Path) -> Column:
    unique = [column for column in columns if column.present == column.distinct == rows]
    if not unique:
        nearest = max(columns, key=lambda column: column.distinct)
        raise SourceError(
            f"{file}: no column has a different value in each of the {rows:,} rows; such an id decides whether a row "
            f"is a test row. {nearest.delivered!r} has {nearest.distinct:,} values: --identifier "
            f"{shlex.quote(nearest.delivered)} takes it, and a run keeps the first row of each. Or add a column with a "
            "stable, unique id."
        )
    return next((column for column in unique if "id" in _words(column.delivered)), unique[0])


def _words(name: str) -> list[str]:
    """The words of a name in lower case: ``PageID`` and ``page_id`` have the same."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _target(columns: Sequence[Column], identifier: Column, file: Path) -> Column:
    binary = [column for column in columns if column.distinct == BINARY and column is not identifier]
    if not binary:
        raise SourceError(f"{file}: no column has exactly two values; a binary classifier needs one.")
    return binary[-1]


def _checked(target: Column, identifier: Column, file: Path) -> Column:
    """The target that was asked for."""
    named = f"{file}: column {target.delivered!r}"
    if target is identifier:
        raise SourceError(f"{named} names the rows; choose another target, or another --identifier.")
    if target.distinct != BINARY:
        values = ", ".join(target.commonest) + (", …" if target.distinct > SHOWN else "")
        raise SourceError(
            f"{named} has {target.distinct:,} values ({values}); a target has two. Put them into two groups, or choose "
            "another column."
        )
    return target


def _declaration(
    file: Path, columns: Sequence[Column], identifier: Column, target: Column, features: Sequence[Column], encoding: str
) -> str:
    classes = tuple(sorted(target.commonest))
    others = [column.delivered for column in columns if column not in (identifier, target, *features)]
    left_out = f"    # Left out: no values, or texts of which too few repeat: {', '.join(map(_literal, others))}.\n"
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
        values={_literal(classes)},
        labels={_literal(classes)},
        answer={_literal(f"{target.delivered} prediction")},
    ),
{encoded if encoding != "utf-8" else ""})
"""


def _feature(column: Column) -> str:
    values = ", ".join(_literal(value[:40]) for value in column.commonest[:3])
    examples: tuple[object, ...] = (*column.commonest, *column.commonest)[:2]
    ending = ""
    if column.is_number:
        examples = (_first_number(column), None)
    else:
        ending = '            missing="Unknown",\n'
        ending += "            has_slices=True,\n" if column.distinct <= MAX_SLICES else ""
        if {cell.lower() for cell in column.commonest} == {"true", "false"}:
            examples = ("True", "False")
            ending += '            values=("True", "False", "Unknown"),\n            others="missing",\n'
    return f"""        Feature(
            name={_literal(column.name)},
            # {column.distinct:,} values, such as {values}
            kind={_literal("number" if column.is_number else "text")},
            source={_literal(column.name)},
            description={_literal(f"{column.delivered}, as delivered.")},
            examples={_literal(examples)},
{ending}        ),
"""


def _first_number(column: Column) -> float:
    cell = str(column.number)
    with suppress(ValueError):
        return float(cell.replace(",", column.comma or ""))
    return float(cell.replace(",", ""))  # such as 1,234.5 in a column with decimal commas


def _literal(value: object) -> str:
    """As Python code, in the quotes that ruff asks for."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))})"
    if not isinstance(value, str) or ('"' in value and "'" not in value):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _cleaning_sql(identifier: Column, target: Column, features: Sequence[Column]) -> str:
    rules = [
        f"replace({each.name}, ',', '{each.comma}') AS {each.name}"
        if each.is_number and each.comma is not None
        else each.name
        for each in features
    ]
    selected = ",\n    ".join([SOURCE_ROW, f"{identifier.name} AS {IDENTIFIER}", *rules, target.name])
    return f"""\
-- One row for each row of `cells`: the columns of raw_characters, trimmed, and NULL where missing. Write
-- rules in the SQL that DuckDB and Spark share; numbers may stay strings.
SELECT
    {selected}
FROM cells
"""  # noqa: S608
