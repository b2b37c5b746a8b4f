"""``marvel new-dataset``: the folder of your own table, guessed from a file. Each guess is a line that you can edit."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow as pa

from marvel_assets import datasets
from marvel_assets.config import ConfigError
from marvel_assets.datasets.base import BLANKS, IDENTIFIER, PANDAS_MISSING, SOURCE_ROW, WRITTEN_AT
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import FileSource, names_and_encoding

RESERVED_COLUMNS = {
    IDENTIFIER, SOURCE_ROW, WRITTEN_AT, *PREDICTION_COLUMNS, "split", "reason", "row_digest", "first_row",
    "rejected_column", "unusable_column", "name", "why",
}  # fmt: skip
"""Columns that the project's tables and the answers of ``marvel score`` have besides the data set's."""

NUMBER = re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+|[0-9]([.][0-9]+)?[eE][+-]?[0-9][0-9]?)")
"""As in ``datasets.statements.is_number``."""

THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+([.][0-9]+)?")
"""A number with a comma between thousands, which may also be a decimal comma with three digits behind it."""

ID_WORD = re.compile(r"(?<![A-Z])ID(?![A-Z])|Id(?![a-z])|(?<![A-Za-z])id(?![a-z])")
MAX_CATEGORIES, MAX_SLICES = 1000, 6
BINARY = 2
MIN_NUMERIC_SHARE = 0.95  # share of the non-missing cells that are numbers, for a column to count as numeric


class Column:
    """A column of the file.

    Attributes:
        delivered: its name in the file.
        name: its name in the tables.
        values: of its cells, trimmed, without those that count as missing; the most frequent first.
        number: its most frequent number; None if the column is not numeric.
        rule: its line of ``cleaning.sql``. Commas in numbers become points, or nothing if all can separate thousands.
    """

    def __init__(self, delivered: str, name: str, cells: Iterable[str | None]) -> None:
        self.delivered, self.name = delivered, name
        trimmed = Counter(cell.strip(BLANKS) for cell in cells if cell is not None)
        times = {cell: trimmed[cell] for cell in trimmed.keys() - PANDAS_MISSING}
        self.values = sorted(times, key=lambda cell: (-times[cell], cell))
        decimals = [cell for cell in times if "," in cell and NUMBER.fullmatch(cell.replace(",", "."))]
        comma = "" if all(map(THOUSANDS.fullmatch, decimals)) else "."
        # A list such as 1,2,3 is no number, since its commas don't separate thousands.
        plain = {
            cell: cell.replace(",", comma)
            for cell in self.values
            if comma or "," not in cell or THOUSANDS.fullmatch(cell)
        }
        numbers = [cell for cell, number in plain.items() if NUMBER.fullmatch(number)]
        is_numeric = numbers and sum(times[cell] for cell in numbers) >= MIN_NUMERIC_SHARE * sum(times.values())
        self.number = float(numbers[0].replace(",", comma)) if is_numeric else None
        has_commas = is_numeric and any("," in cell for cell in numbers)
        self.rule = f"replace({name}, ',', '{comma}') AS {name}" if has_commas else name


def new_dataset(name: str, file: Path, target: str | None = None, identifier: str | None = None) -> None:
    """Write the folder of a data set for the rows of a file, and print what to do next.

    The target is by default the last column with two values, the identifier one with a different value in each row.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name) or find_spec(f"marvel_assets.datasets.{name}"):
        raise ConfigError(
            f"{name!r}: choose another name, of 1 to 61 lowercase letters, digits and underscores, a letter first, one "
            "that is not in marvel_assets/datasets yet; or delete that folder there."
        )
    header, encoding = names_and_encoding(file, str(file))
    names = {old: new for old, new in zip(header, safe_names(header), strict=True) if old}
    if not names:
        raise SourceError(f"{file}: the first line must hold the names of the columns.")
    table = pa.Table.from_batches(FileSource(str(file), {file: str(file)}, names, encoding).batches())
    columns = {old: Column(old, new, table[new].to_pylist()) for old, new in names.items()}
    for chosen in (target, identifier):
        if chosen and chosen not in columns:
            raise SourceError(f"{file}: there is no column {chosen!r}; it has {', '.join(columns)}.")
    id_column = columns[identifier] if identifier else _identifier([*columns.values()], len(table), file)
    target_column = _target([columns[target]] if target else [*columns.values()], id_column, file)
    # Names and free texts are no features: their values don't repeat often enough to learn from.
    most_values = min(MAX_CATEGORIES, max(len(table) // 10, 2))
    others = [column for column in columns.values() if column not in (id_column, target_column)]
    features = [each for each in others if each.number is not None or 0 < len(each.values) <= most_values]
    if not features:
        raise SourceError(
            f"{file}: besides {id_column.delivered!r} and {target_column.delivered!r} no column is usable."
        )
    left_out = [each.delivered for each in others if each not in features]
    folder = Path(datasets.__path__[0], name)
    folder.mkdir(parents=True)
    declaration = _declaration(names, encoding, id_column, target_column, features, left_out)
    (folder / "__init__.py").write_text(declaration, encoding="utf-8")
    (folder / "cleaning.sql").write_text(_cleaning_sql(id_column, target_column, features), encoding="utf-8")
    print(f"Wrote {folder}: check the guesses in __init__.py and the rules in cleaning.sql, then\n")
    print(f"  export MARVEL_DATASET={name}\n  MARVEL_SOURCE={shlex.quote(str(file.resolve()))} make run")


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
    unique = [column for column in columns if len(column.values) == rows]
    if not unique:
        nearest = max(columns, key=lambda column: len(column.values))
        raise SourceError(
            f"{file}: no column has a different value in each of the {rows:,} rows; such an id decides whether a row "
            f"is a test row. {nearest.delivered!r} has {len(nearest.values):,} values: --identifier "
            f"{shlex.quote(nearest.delivered)} takes it, and a run keeps the first row of each. Or add a column with a "
            "stable, unique id."
        )
    return next((column for column in unique if ID_WORD.search(column.delivered)), unique[0])


def _target(candidates: Sequence[Column], identifier: Column, file: Path) -> Column:
    binary = [column for column in candidates if len(column.values) == BINARY and column is not identifier]
    if not binary:
        found = ", ".join(f"{column.delivered!r} with {len(column.values):,}" for column in candidates)
        raise SourceError(
            f"{file}: expected a column to predict that has exactly two values, besides the id "
            f"{identifier.delivered!r}; found {found}. Put values into two groups, or choose another --target."
        )
    return binary[-1]


def _declaration(
    names: dict[str, str], encoding: str, identifier: Column, target: Column, features: list[Column], unused: list[str]
) -> str:
    classes = ",\n                          ".join(map(_literal, sorted(target.values)))
    source_columns = "\n".join(f"        {_literal(old)}: {_literal(new)}," for old, new in names.items())
    others = ", ".join(map(_literal, unused))
    left_out = f"    # Left out: no values, or too few that repeat: {others}.\n" if others else ""
    return f'''"""A table of your own; `marvel new-dataset` wrote this from a file."""

from marvel_assets.datasets.base import Dataset, Feature, Target

# fmt: off
DATASET = Dataset(
    package=__name__,
    schema_name=__name__.rpartition(".")[2],
    # The columns of the source, and their names in the tables.
    source_columns={{
{source_columns}
    }},
    encoding={_literal(encoding)},
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
)
'''


def _feature(column: Column) -> str:
    kind, more, examples = "number", "", f"{column.number}, None"
    if column.number is None:
        kind, more = "text", 'missing="Unknown", '
        examples = ", ".join(map(_literal, (column.values * 2)[:2]))
        if len(column.values) <= MAX_SLICES:
            more += "has_slices=True, "
        if {cell.lower() for cell in column.values} == {"true", "false"}:
            examples = '"True", "False"'
            more += 'values=("True", "False", "Unknown"), others="missing",\n                '
    name, values = _literal(column.name), ", ".join(_literal(cell[:20]) for cell in column.values[:3])
    return f"""        # {len(column.values):,} values, such as {values}
        Feature(name={name}, kind="{kind}", source={name},
                examples=({examples}),
                {more}description={_literal(f"{column.delivered}, as delivered.")}),
"""


def _literal(text: str) -> str:
    """As Python code, in the quotes that ruff asks for."""
    return repr(text) if '"' in text and "'" not in text else json.dumps(text, ensure_ascii=False)


def _cleaning_sql(identifier: Column, target: Column, features: Sequence[Column]) -> str:
    rules = [SOURCE_ROW, f"{identifier.name} AS {IDENTIFIER}", *(each.rule for each in features), target.name]
    selected = ",\n    ".join(rules)
    return f"""\
-- One row for each row of `cells`: the columns of raw_characters, trimmed, and NULL where missing. Write
-- rules in the SQL that DuckDB and Spark share; numbers may stay strings.
SELECT
    {selected}
FROM cells
"""  # noqa: S608
