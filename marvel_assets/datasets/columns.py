"""Profiles the columns of a file that no data set declares yet."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import BLANKS, IDENTIFIER, PANDAS_MISSING, SOURCE_ROW, WRITTEN_AT
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS
from marvel_assets.datasets.statements import is_number, texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

OWN_COLUMNS = {IDENTIFIER, SOURCE_ROW, WRITTEN_AT, *PREDICTION_COLUMNS, "split", "reason", "row_digest", "first_row"}
OWN_COLUMNS |= {"rejected_column", "unusable_column"}
"""Columns that the project's tables have besides the data set's."""

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
        """Whether nearly all non-missing cells are numbers."""
        return self.present > 0 and self.numbers >= NUMBERS_AT_LEAST * self.present


def read_columns(file: Path) -> tuple[int, list[Column], str]:
    """The number of rows, the profiles of the columns, and the file's encoding."""
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
    """A file's encoding, and the same text as UTF-8, the only encoding that DuckDB reads without an extension."""
    try:
        for _ in file.open(encoding="utf-8"):
            pass
    except UnicodeDecodeError:
        copy = folder / file.name
        copy.write_text(file.read_text(encoding="cp1252", errors="replace"), encoding="utf-8")
        return "cp1252", copy
    return "utf-8", file


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
