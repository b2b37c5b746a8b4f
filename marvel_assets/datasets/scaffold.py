"""A first declaration of a table of one's own: the folder that ``marvel new-dataset`` writes.

Every guess is a line that a person can mend: what names a row, what is predicted, which columns are numbers.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import BLANKS, IDENTIFIER, PANDAS_MISSING, SOURCE_ROW, WRITTEN_AT, dataset_names
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS
from marvel_assets.datasets.statements import is_number, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
OWN_COLUMNS = {IDENTIFIER, SOURCE_ROW, WRITTEN_AT, *PREDICTION_COLUMNS, "split", "reason", "row_digest", "first_row"}
OWN_COLUMNS |= {"rejected_column", "unusable_column"}
"""Columns that the project's tables have besides the data set's."""

NUMBERS_AT_LEAST = 0.95
"""Of the cells that hold something, in a column that is taken for numbers."""

MAX_CATEGORIES = 1000
MAX_SLICES = 6
SHOWN = 5


class ScaffoldError(ValueError):
    """No data set can be guessed from the file; the text says what is missing, and what to do."""


@dataclass(frozen=True)
class Column:
    """What is known of a column: cells are trimmed, and those that count as missing are left out of it.

    Attributes:
        delivered: its name in the file.
        name: letters, digits and underscores; unlike every other, whatever the case.
        present: how many rows have a value.
        distinct: how many values there are.
        numbers: how many values are plain decimal numbers, once a decimal comma is a point.
        commas: how many of these have a decimal comma.
        commonest: the most frequent values, the most frequent first.
    """

    delivered: str
    name: str
    present: int
    distinct: int
    numbers: int
    commas: int
    commonest: tuple[str, ...]

    @property
    def is_number(self) -> bool:
        """Whether nearly all cells that hold something are numbers."""
        return self.present > 0 and self.numbers >= NUMBERS_AT_LEAST * self.present


def new_dataset(name: str, file: Path, parent: Path, target: str | None = None) -> Path:
    """Write the folder of a data set.

    Args:
        name: of the folder: small letters, digits and underscores.
        file: a CSV or Parquet file with the rows.
        parent: where the folder is written.
        target: the column to predict. Default: the last one that has two values.

    Returns:
        The folder.

    Raises:
        ScaffoldError: there is a data set of that name, or the file lacks what a data set needs.
    """
    if not NAME.fullmatch(name) or name in dataset_names():
        raise ScaffoldError(
            f"{name!r}: choose another name, of small letters, digits and underscores; there are already "
            f"{', '.join(dataset_names())}."
        )
    rows, columns, encoding = _look_at(file)
    identifier = _identifier(columns, rows, file)
    predicted = _target(columns, identifier, target, file)
    others = [column for column in columns if column not in (identifier, predicted)]
    features = [column for column in others if column.present and (column.is_number or _is_category(column, rows))]
    if not features:
        raise ScaffoldError(
            f"{file}: besides {identifier.delivered!r} and {predicted.delivered!r} no column is usable."
        )
    folder = parent / name
    folder.mkdir(parents=True)
    declaration = _declaration(file, columns, identifier, predicted, features, encoding)
    (folder / "__init__.py").write_text(declaration, encoding="utf-8")
    (folder / "cleaning.sql").write_text(_rules(identifier, predicted, features), encoding="utf-8")
    return folder


def safe_names(delivered: Iterable[str]) -> list[str]:
    """Names that SQL, Delta and LightGBM take unquoted: one for each column, none twice.

    >>> safe_names(["Height (m)", "select", "Größe", "größe", "Id", ""])
    ['Height_m', 'select_', 'Gr_e', 'gr_e_2', 'Id_', 'column_6']
    """
    import duckdb

    words = duckdb.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    reserved = {str(word) for (word,) in words}
    reserved |= {name.lower() for name in OWN_COLUMNS}
    names: list[str] = []
    for place, column in enumerate(delivered, start=1):
        name = re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_") or f"column_{place}"
        if name[0].isdigit():
            name = f"column_{name}"
        if name.lower() in reserved:
            name += "_"
        taken, plain, number = {other.lower() for other in names}, name, 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}_{number}"
        names.append(name)
    return names


def _look_at(file: Path) -> tuple[int, list[Column], str]:
    """How many rows there are, what is known of the columns, and how the file is encoded."""
    import duckdb

    encoding = "utf-8"
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as folder:
        try:
            with file.open("rb") as content:
                is_parquet = content.read(4) == b"PAR1"
            if is_parquet:
                relation = connection.read_parquet(str(file))
            else:
                encoding, path = _in_utf8(file, Path(folder))
                relation = connection.read_csv(str(path), header=True, all_varchar=True)
            delivered = relation.columns
            names = safe_names(delivered)
            cells = [
                duckdb.ColumnExpression(old).cast("VARCHAR").alias(new)
                for old, new in zip(delivered, names, strict=True)
            ]
            relation.select(*cells).to_table("delivered")
        except (OSError, duckdb.Error) as error:
            raise ScaffoldError(f"{file}: can't be read as CSV or Parquet: {str(error).splitlines()[0]}") from error
        [(rows,)] = connection.execute("SELECT count(*) FROM delivered").fetchall()
        columns = [_known(connection, old, new) for old, new in zip(delivered, names, strict=True)]
    return int(rows), columns, encoding


def _known(connection: duckdb.DuckDBPyConnection, delivered: str, name: str) -> Column:
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW cells AS SELECT cell, replace(cell, ',', '.') AS plain
        FROM (SELECT trim("{name}", '{BLANKS}') AS cell FROM delivered) WHERE cell NOT IN {texts(PANDAS_MISSING)}"""  # noqa: S608
    )
    [(present, distinct, numbers, commas)] = connection.execute(
        f"""SELECT count(*), count(DISTINCT cell), count(*) FILTER ({is_number("plain")}),
        count(*) FILTER ({is_number("plain")} AND cell <> plain) FROM cells"""  # noqa: S608
    ).fetchall()
    commonest = connection.execute(
        f"SELECT cell FROM cells GROUP BY cell ORDER BY count(*) DESC, cell LIMIT {SHOWN}"  # noqa: S608
    ).fetchall()
    return Column(delivered, name, present, distinct, numbers, commas, tuple(str(cell) for (cell,) in commonest))


def _in_utf8(file: Path, folder: Path) -> tuple[str, Path]:
    """How a file is encoded, and a file of the same text in UTF-8, which is all that DuckDB reads by itself."""
    try:
        for _ in file.open(encoding="utf-8"):
            pass
    except UnicodeDecodeError:
        copy = folder / file.name
        copy.write_text(file.read_text(encoding="cp1252", errors="replace"), encoding="utf-8")
        return "cp1252", copy
    return "utf-8", file


def _identifier(columns: Sequence[Column], rows: int, file: Path) -> Column:
    unique = [column for column in columns if column.present == column.distinct == rows]
    unique.sort(key=lambda column: "id" not in re.split(r"[^a-z]+", column.delivered.lower()))
    if not unique:
        raise ScaffoldError(
            f"{file}: no column has a value of its own in each of the {rows:,} rows; add one that names a row for "
            "good, since it decides which rows are test rows."
        )
    return unique[0]


def _target(columns: Sequence[Column], identifier: Column, named: str | None, file: Path) -> Column:
    if named is None:
        binary = [column for column in columns if column.distinct == 2 and column is not identifier]  # noqa: PLR2004
        if not binary:
            raise ScaffoldError(f"{file}: no column has exactly two values; a model that says which of two needs one.")
        return binary[-1]
    found = next((column for column in columns if column.delivered == named), None)
    if found is None:
        raise ScaffoldError(f"{file}: there is no column {named!r}; it has {', '.join(c.delivered for c in columns)}.")
    if found.distinct != 2:  # noqa: PLR2004
        raise ScaffoldError(
            f"{file}: column {named!r} has {found.distinct:,} values ({', '.join(found.commonest)}, …); a target has "
            "two. Put them into two groups, or choose another column."
        )
    return found


def _is_category(column: Column, rows: int) -> bool:
    """Whether values repeat often enough to learn from: names and free texts don't."""
    return column.distinct <= min(MAX_CATEGORIES, max(rows // 10, 2))


def _declaration(
    file: Path, columns: Sequence[Column], identifier: Column, target: Column, features: Sequence[Column], encoding: str
) -> str:
    zero, one = sorted(target.commonest)
    left_out = [column.delivered for column in columns if column not in (identifier, target, *features)]
    lines = [
        f'"""The rows of {file.name}."""'.replace("\\", "/"),
        "",
        "from marvel_assets.datasets.base import Dataset, Feature, Target",
        "",
        "DATASET = Dataset(",
        "    package=__name__,",
        '    schema_name=__name__.rpartition(".")[2],',
        "    # The columns of the source, and their names in the tables.",
        "    source_columns={",
        *(f"        {column.delivered!r}: {column.name!r}," for column in columns),
        "    },",
        "    # Guessed: it has a value of its own in each row. A hash of it decides which rows are test rows.",
        f"    identifier={identifier.name!r},",
        f"    display_name={identifier.name!r},",
        f"    description={f'Predicts {target.delivered}.'!r},",
        *([f"    # Left out, since their values hardly repeat: {', '.join(map(repr, left_out))}."] if left_out else []),
        "    features=(",
        *(line for column in features for line in _feature(column)),
        "    ),",
        "    target=Target(",
        f"        name={target.name!r},",
        f"        source={target.name!r},",
        "        # Guessed: the second of the two is what the model's probability is of.",
        f"        values=({zero!r}, {one!r}),",
        f"        labels=({zero!r}, {one!r}),",
        f"        answer={f'{target.delivered} prediction'!r},",
        "    ),",
        *([f"    encoding={encoding!r},  # guessed: the file is not UTF-8"] if encoding != "utf-8" else []),
        ")",
    ]
    return "\n".join(lines) + "\n"


def _feature(column: Column) -> Iterable[str]:
    kind = "number" if column.is_number else "text"
    first, second = (*column.commonest, *column.commonest)[:2]
    examples = (_number(first), None) if column.is_number else (first, second)
    yield "        Feature("
    yield f"            name={column.name!r},"
    values = ", ".join(repr(value[:40]) for value in column.commonest[:3])
    yield f"            # {column.distinct:,} values, such as {values}"
    yield f"            kind={kind!r},"
    yield f"            source={column.name!r},"
    yield f"            description={f'{column.delivered}, as delivered.'!r},"
    yield f"            examples={examples!r},"
    if not column.is_number:
        yield "            missing='Unknown',"
        if column.distinct <= MAX_SLICES:
            yield "            has_slices=True,"
    yield "        ),"


def _number(cell: str) -> float:
    return float(cell.replace(",", "."))


def _rules(identifier: Column, target: Column, features: Sequence[Column]) -> str:
    def rule(column: Column) -> str:
        if column.is_number and column.commas:
            return f"replace({column.name}, ',', '.') AS {column.name}"
        return column.name

    selected = [SOURCE_ROW, f"{identifier.name} AS {IDENTIFIER}", *map(rule, features), target.name]
    return (
        "-- One row for each row of `cells`: the columns of raw_characters, trimmed, and NULL where missing. Write\n"
        "-- rules in the SQL that DuckDB and Spark share; numbers may stay texts here.\n"
        "SELECT\n    " + ",\n    ".join(selected) + "\nFROM cells\n"
    )
