"""``marvel new-dataset``: the folder of your own table, guessed from a file. Each guess is a line that you can edit."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from marvel_assets import datasets
from marvel_assets.config import ConfigError
from marvel_assets.datasets.base import BLANKS, IDENTIFIER, PANDAS_MISSING, SOURCE_ROW, WRITTEN_AT
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS
from marvel_assets.datasets.statements import is_number, texts
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import InputFile, names_and_encoding, read_files

RESERVED_COLUMNS = {
    IDENTIFIER, SOURCE_ROW, WRITTEN_AT, *PREDICTION_COLUMNS, "split", "reason", "row_digest", "first_row",
    "rejected_column", "unusable_column", "name", "why",
}  # fmt: skip
"""Columns that the project's tables and the answers of ``marvel score`` have besides the data set's."""

THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+([.]\d+)?"
"""A number with a comma between thousands, which may also be a decimal comma with three digits behind it."""

MAX_CATEGORIES, MAX_SLICES, MAX_SHOWN = 1000, 6, 5
BINARY = 2
MIN_NUMERIC_SHARE = 0.95
"""Share of the non-missing cells that are numbers, for a column to count as numeric."""


class Column(NamedTuple):
    """The profile of a column. Cells are trimmed; those that count as missing are left out."""

    delivered: str  # its name in the file
    name: str  # in the tables
    present: int
    distinct: int
    is_numeric: bool  # nearly all cells are decimal numbers, once their commas are replaced
    comma: str | None  # what replaces those commas: a point, or nothing where all can separate thousands
    number: float | None  # the most frequent one
    commonest: list[str]


def new_dataset(name: str, file: Path, target: str | None = None, identifier: str | None = None) -> None:
    """Write the folder of a data set, and print what to do next.

    Args:
        name: of the folder.
        file: a CSV or Parquet file with the rows.
        target: the column to predict. Default: the last one that has two values.
        identifier: the column that names a row. Default: one with a different value in each row.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name) or find_spec(f"marvel_assets.datasets.{name}"):
        raise ConfigError(
            f"{name!r}: choose another name, of 1 to 61 lowercase letters, digits and underscores, a letter first, one "
            "that is not in marvel_assets/datasets yet; or delete that folder there."
        )
    rows, columns, encoding = _read_columns(file)
    by_name = {column.delivered: column for column in columns}
    for chosen in (target, identifier):
        if chosen and chosen not in by_name:
            raise SourceError(f"{file}: there is no column {chosen!r}; it has {', '.join(by_name)}.")
    id_column = by_name[identifier] if identifier else _identifier(columns, rows, file)
    target_column = _target([by_name[target]] if target else columns, id_column, file)
    # Names and free texts are no features: their values don't repeat often enough to learn from.
    most_categories = min(MAX_CATEGORIES, max(rows // 10, 2))
    others = [column for column in columns if column not in (id_column, target_column)]
    features = [each for each in others if each.present and (each.is_numeric or each.distinct <= most_categories)]
    if not features:
        raise SourceError(
            f"{file}: besides {id_column.delivered!r} and {target_column.delivered!r} no column is usable."
        )
    folder = Path(datasets.__path__[0], name)
    folder.mkdir(parents=True)
    declaration = _declaration(file, encoding, columns, id_column, target_column, features)
    (folder / "__init__.py").write_text(declaration, encoding="utf-8")
    (folder / "cleaning.sql").write_text(_cleaning_sql(id_column, target_column, features), encoding="utf-8")
    print(f"Wrote {folder}: check the guesses in __init__.py and the rules in cleaning.sql, then\n")
    print(f"  export MARVEL_DATASET={name}\n  MARVEL_SOURCE={shlex.quote(str(file.resolve()))} make run")


def _read_columns(file: Path) -> tuple[int, list[Column], str]:
    """The number of rows, the profiles of the columns that have a name, and the encoding: of what a run will read."""
    header, encoding = names_and_encoding(file, str(file))
    if not (names := {old: new for old, new in zip(header, safe_names(header), strict=True) if old}):
        raise SourceError(f"{file}: the first line must hold the names of the columns.")
    delivered = pa.Table.from_batches(read_files([InputFile(file, str(file))], names, encoding))
    with duckdb.connect() as connection:
        connection.register("delivered", delivered)
        profiles = {old: connection.execute(_profile_sql(new)).fetchall()[0] for old, new in names.items()}
    return len(delivered), [Column(old, names[old], *profile) for old, profile in profiles.items()], encoding


def _profile_sql(name: str) -> str:
    """The statement that returns the fields of ``Column`` after its names."""
    return f"""
        WITH trimmed AS (SELECT trim("{name}", '{BLANKS}') AS cell FROM delivered), cells AS (
            SELECT cell, count(*) AS times,
                if(regexp_full_match(cell, '{THOUSANDS}'), '', '.') AS cell_comma,
                replace(cell, ',', cell_comma) AS plain, {is_number("plain")} AS is_number
            FROM trimmed GROUP BY cell HAVING cell NOT IN {texts(PANDAS_MISSING)}
        ), columns AS (
            SELECT *, max(cell_comma) FILTER (is_number AND contains(cell, ',')) OVER () AS comma FROM cells
        )
        SELECT coalesce(sum(times), 0), count(*),
            coalesce(sum(times) FILTER (is_number) >= {MIN_NUMERIC_SHARE} * sum(times), false) AS is_numeric,
            if(is_numeric, any_value(comma), NULL),
            any_value(try_cast(replace(cell, ',', coalesce(comma, '')) AS DOUBLE) ORDER BY times DESC, cell)
                FILTER (is_number),
            coalesce(list(cell ORDER BY times DESC, cell)[:{MAX_SHOWN}], [])
        FROM columns"""  # noqa: S608


def safe_names(delivered: Iterable[str]) -> list[str]:
    """Names that SQL, Delta and LightGBM take unquoted: one for each column, none twice.

    >>> safe_names(["Height (m)", "select", "Größe", "größe", "Id", "why", "", "2nd"])
    ['Height_m', 'select_', 'Gr_e', 'gr_e_', 'Id_', 'why_', 'column_7', 'column_2nd']
    """
    keywords = duckdb.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    taken = {str(word) for (word,) in keywords} | {name.lower() for name in RESERVED_COLUMNS}
    names = []
    for number, column in enumerate(delivered, start=1):
        name = re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_") or str(number)
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
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _target(candidates: Sequence[Column], identifier: Column, file: Path) -> Column:
    """The last candidate with two values."""
    binary = [column for column in candidates if column.distinct == BINARY and column is not identifier]
    if binary:
        return binary[-1]
    problem = "no column has exactly two values; a binary classifier needs one"
    if candidates == [identifier]:
        problem = f"column {identifier.delivered!r} names the rows; choose another target, or another --identifier"
    elif len(candidates) == 1:
        [chosen] = candidates
        values = ", ".join(chosen.commonest) + (", …" if chosen.distinct > MAX_SHOWN else "")
        problem = f"column {chosen.delivered!r} has {chosen.distinct:,} values ({values}); a target has two. Put them "
        problem += "into two groups, or choose another column"
    raise SourceError(f"{file}: {problem}.")


def _declaration(
    file: Path, encoding: str, columns: Sequence[Column], identifier: Column, target: Column, features: Sequence[Column]
) -> str:
    classes = ",\n                          ".join(_literal(value) for value in sorted(target.commonest))
    others = [_literal(column.delivered) for column in columns if column not in (identifier, target, *features)]
    left_out = f"    # Left out: no values, or texts of which too few repeat: {', '.join(others)}.\n" if others else ""
    encoded = "" if encoding == "utf-8" else f"    encoding={_literal(encoding)},  # guessed: the file is not UTF-8\n"
    names = "\n".join(f"        {_literal(column.delivered)}: {_literal(column.name)}," for column in columns)
    title = f'"""The rows of {file.name}."""'.replace("\\", "/")
    return f"""{title}

from marvel_assets.datasets.base import Dataset, Feature, Target

# fmt: off
DATASET = Dataset(
    package=__name__,
    schema_name=__name__.rpartition(".")[2],
    # The columns of the source, and their names in the tables.
    source_columns={{
{names}
    }},
    # A hash of it decides which rows are test rows; of rows with the same value the first is kept.
    identifier={_literal(identifier.name)},
    display_name={_literal(identifier.name)},
    description={_literal(f"Predicts {target.delivered}.")},
{left_out}    features=(
{"".join(map(_feature, features))}    ),
    # The model predicts the probability of the second value.
    target=Target(name={_literal(target.name)}, source={_literal(target.name)},
                  values=({classes}),
                  labels=({classes}),
                  answer={_literal(f"{target.delivered} prediction")}),
{encoded})
"""


def _feature(column: Column) -> str:
    kind, more, examples = "number", "", f"{column.number}, None"
    if not column.is_numeric:
        kind, more = "text", 'missing="Unknown", '
        examples = ", ".join(_literal(cell) for cell in (column.commonest * 2)[:2])
        if column.distinct <= MAX_SLICES:
            more += "has_slices=True, "
        if {cell.lower() for cell in column.commonest} == {"true", "false"}:
            examples = '"True", "False"'
            more += 'values=("True", "False", "Unknown"), others="missing",\n                '
    name, values = _literal(column.name), ", ".join(_literal(cell[:20]) for cell in column.commonest[:3])
    return f"""        # {column.distinct:,} values, such as {values}
        Feature(name={name}, kind="{kind}", source={name},
                examples=({examples}),
                {more}description={_literal(f"{column.delivered}, as delivered.")}),
"""


def _literal(text: str) -> str:
    """As Python code, in the quotes that ruff asks for."""
    return repr(text) if '"' in text and "'" not in text else json.dumps(text, ensure_ascii=False)


def _cleaning_sql(identifier: Column, target: Column, features: Sequence[Column]) -> str:
    rules = [
        each.name if each.comma is None else f"replace({each.name}, ',', '{each.comma}') AS {each.name}"
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
