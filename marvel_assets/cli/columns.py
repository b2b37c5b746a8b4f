"""Profiles the columns of a file that no data set declares yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import BLANKS, IDENTIFIER, PANDAS_MISSING, SOURCE_ROW, WRITTEN_AT
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS
from marvel_assets.datasets.statements import is_number, texts
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import InputFile, names_and_encoding, read_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

OWN_COLUMNS = {IDENTIFIER, SOURCE_ROW, WRITTEN_AT, *PREDICTION_COLUMNS, "split", "reason", "row_digest", "first_row"}
OWN_COLUMNS |= {"rejected_column", "unusable_column", "name", "why"}
"""Columns that the project's tables and the answers of ``marvel score`` have besides the data set's."""

THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+([.]\d+)?"
"""A number with a comma between thousands, which may also be a decimal comma with three digits behind it."""

NUMBERS_AT_LEAST = 0.95
"""Share of the non-missing cells that are numbers, for a column to count as numeric."""

SHOWN = 5
"""Values of a column that are kept: the commonest."""


class ScaffoldError(ValueError):
    """No data set can be guessed from the file; the text says what is missing, and what to do."""


@dataclass(frozen=True)
class Column:
    """The profile of a column. Cells are trimmed; those that count as missing are left out.

    Attributes:
        delivered: its name in the file.
        name: letters, digits and underscores; unique, ignoring case.
        present: how many rows have a value.
        distinct: how many values there are.
        numbers: how many values are decimal numbers, once their commas are replaced.
        comma: what a number's comma stands for: a point, or nothing where all separate thousands. None: there is none.
        commonest: the most frequent values, the most frequent first.
    """

    delivered: str
    name: str
    present: int
    distinct: int
    numbers: int
    comma: str | None
    commonest: tuple[str, ...]

    @property
    def is_number(self) -> bool:
        """Whether nearly all non-missing cells are numbers."""
        return self.present > 0 and self.numbers >= NUMBERS_AT_LEAST * self.present


def read_columns(file: Path) -> tuple[int, list[Column], str]:
    """The number of rows, the profiles of the columns that have a name, and the encoding: of what a run will read.

    Raises:
        ScaffoldError: no run could read the file.
    """
    import duckdb

    label = str(file)
    with duckdb.connect() as connection:
        try:
            delivered, encoding = names_and_encoding(file, label)
            names = {old: new for old, new in zip(delivered, safe_names(delivered), strict=True) if old}
            if not names:
                raise ScaffoldError(f"{label}: the first line must hold the names of the columns.")
            connection.execute(f"CREATE TABLE delivered ({', '.join(f'{name} VARCHAR' for name in names.values())})")
            for batch in read_files([InputFile(file, label)], names, encoding):
                connection.register("batch", batch)
                connection.execute(f"INSERT INTO delivered SELECT * EXCLUDE {SOURCE_ROW} FROM batch")  # noqa: S608
                connection.unregister("batch")
        except SourceError as error:
            raise ScaffoldError(str(error)) from error
        [(rows,)] = connection.execute("SELECT count(*) FROM delivered").fetchall()
        columns = [_known(connection, old, new) for old, new in names.items()]
    return int(rows), columns, encoding


def _known(connection: duckdb.DuckDBPyConnection, delivered: str, name: str) -> Column:
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW cells AS
        SELECT cell, regexp_full_match(cell, '{THOUSANDS}') AS has_thousands,
            replace(cell, ',', CASE WHEN has_thousands THEN '' ELSE '.' END) AS plain
        FROM (SELECT trim("{name}", '{BLANKS}') AS cell FROM delivered) WHERE cell NOT IN {texts(PANDAS_MISSING)}"""  # noqa: S608
    )
    [(present, distinct, numbers, comma)] = connection.execute(
        f"""SELECT count(*), count(DISTINCT cell), count(*) FILTER ({is_number("plain")}),
        max(CASE WHEN has_thousands THEN '' ELSE '.' END) FILTER ({is_number("plain")} AND cell <> plain) FROM cells"""  # noqa: S608
    ).fetchall()
    commonest = connection.execute(
        f"SELECT cell FROM cells GROUP BY cell ORDER BY count(*) DESC, cell LIMIT {SHOWN}"  # noqa: S608
    ).fetchall()
    return Column(delivered, name, present, distinct, numbers, comma, tuple(str(cell) for (cell,) in commonest))


def safe_names(delivered: Iterable[str]) -> list[str]:
    """Names that SQL, Delta and LightGBM take unquoted: one for each column, none twice.

    >>> safe_names(["Height (m)", "select", "Größe", "größe", "Id", "why", ""])
    ['Height_m', 'select_', 'Gr_e', 'gr_e_2', 'Id_', 'why_', 'column_7']
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
