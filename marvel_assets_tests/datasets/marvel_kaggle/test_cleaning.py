"""Every rule of the cleaning, on DuckDB, against the same rules written once more in Python."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from marvel_assets.config import ProjectConfig
from marvel_assets.sources.files import FileSource
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.training.fit import pipeline_from_config
from marvel_assets_tests.faults import amount
from marvel_assets_tests.kaggle import (
    CATEGORY_LEVELS,
    CHARACTER_COLUMNS,
    FEATURES,
    MISSING_TEXT,
    REJECTED_COLUMNS,
    SOURCE_COLUMNS,
    SOURCE_ROW,
    cleaning_sql,
    digested_source_sql,
    rejected_sql,
    split_of,
    split_sql,
)

STORED = list(SOURCE_COLUMNS.values())
GOOD = {
    "PageID": "Somebody_(Earth-616)", "Name": "Somebody", "Universe": "Earth-616", "URL": "https://example.org",
    "Identity": "Public", "Gender": "Female", "Alive": "Alive", "Marital_Status": "Single", "Teams": "A Team",
    "Height_m": "1.85", "Weight_kg": "90.5", "Origin": "Human", "Creators": "Nobody",
}  # fmt: skip
MISSING = [None, *MISSING_TEXT]
EXAMPLES = amount(5, 100)
Row = dict[str, str | None]


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def whole(*rows: Row) -> list[Row]:
    """Rows that differ from a good one; ids are made unique where none is given."""
    return [GOOD | {"PageID": f"row-{place}"} | row for place, row in enumerate(rows, start=1)]


def clean(database: duckdb.DuckDBPyConnection, *rows: Row) -> pd.DataFrame:
    """Run the statement over rows that differ from a good one."""
    delivered = {name: pa.array([row[name] for row in whole(*rows)], pa.string()) for name in STORED}
    database.register("delivered", pa.table({SOURCE_ROW: range(1, len(rows) + 1), **delivered}))
    database.execute("CREATE OR REPLACE TABLE raw_characters AS SELECT * FROM delivered")
    database.execute(f"CREATE OR REPLACE TABLE cleaned_characters AS {cleaning_sql()}")
    return database.execute(f"SELECT * FROM cleaned_characters ORDER BY {SOURCE_ROW}").df()


def test_the_list_of_missing_texts_is_that_of_pandas():
    assert set(MISSING_TEXT) == set(STR_NA_VALUES)


NUMBERS = (
    *("1.85", "304.8", "2", "+1.5", "-1.5", ".5", "5.", "-.5", "0", "007", "9" * 300, " 1.85", "1.85 \t", "\n1.85"),
    *("1.85\r\n", "1.85\u00a0", "\u202f1.85", "5e-05", "-1.25E+16", "1e3", "9.9e99", "1e-99"),
    # none of these is a plain decimal number
    *("1_000", "12e3", ".5e3", "1e", "1e1.5", "1e100", "1e400", "inf", "Infinity", "0x1f", "1,85", "1,000.5", "1.8\n5"),
    *("1.85\x00", "1.85\n1.90", "1.85 m", "1.8.5", "++1", "+-1", "1-", ".", "+", "-.", "½", "true", "9" * 400),
    *("\u0663", "\u0661\u066b\u0668\u0665", "\uff11"),
)
CELLS: dict[str, tuple[str | None, ...]] = {
    "Height_m": NUMBERS,
    "Weight_kg": NUMBERS,
    "Universe": ("Earth-616", "earth-1", "Earth\u20111", "Other", "Unknown", " \u00a0Earth-1\t\u202f"),
    "Identity": ("Public", "Secret", "Unknown", "unKNOWN", " public\r\n", "No Dual", "PublİC", "Known to Authorities"),
    "Gender": ("Male", "Female", "male", "FEMALE", "Agender", "M"),
    "Marital_Status": (
        *("Single", "Married", "Engaged", "Widowed", "Unknown", "Widow", "single", "WIDOW"),
        *("Divorced", "Separated", "Sİngle"),
    ),
    "Teams": ("Avengers", "A; B", "none", "true", "0", "0.0", "false", "False", " "),
    "Origin": (
        *("Human", "Inhuman", "HUMAN MUTATE", "Human (Mutant)", "Mutate", "mutant", "Mutant Asgardian", "Asgardian"),
        *("Alien, Asgardian", "Alien mutate", "Mutated human clone", "Robot symbiote alien asgardian mutant human"),
        *("Alien", "symbiote alien", "Symbiote", "Robot symbiote", "Robot", "Cosmic being (robotic)", "Cosmic Being"),
        *("Cosmic  Being", "Demon", "Magical construct", "Human MAGIC user", "Asgardian\nmagic", "magic mutate"),
        *("hum%an", "hum_n", "mag ic, mut ant", "magİc", "hu\u212aman"),
    ),
    "Alive": ("Alive", "Dead", "ALIVE", "dead ", "Alive\r\n", "Alİve", "Alive\x0b", "Alive (imprisoned)", "1"),
    "PageID": (
        *("a", "A", "a ", "\u00e9", "e\u0301", "a\x00", "\U0001f480", "it's", 'say "no"', "a\nb", "\\"),
        *("same", "same", "same"),
    ),
}
FAULTS: Row = {"Identity": "?", "Marital_Status": "?", "Alive": "?", "PageID": None}
IN_TURN = ({"Alive": "Maybe"}, {"Identity": "?"}, {}, {"Marital_Status": "?"}, {})
ROWS: tuple[Row, ...] = (
    *({column: cell} for column, cells in CELLS.items() for cell in (*cells, *MISSING)),
    *(dict(list(FAULTS.items())[start:]) for start in range(len(FAULTS))),  # the first rule that fails is named
    *({"PageID": "shared"} | fault for fault in IN_TURN),
)


def test_every_kind_of_cell_is_cleaned_by_the_design(database: duckdb.DuckDBPyConnection):
    # when
    clean(database, *ROWS)

    # then
    assert as_found(database) == by_the_design(whole(*ROWS))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"Alive": "Alive (imprisoned)"}, 'Alive is "Alive (imprisoned)", expected Alive or Dead'),
        ({"Identity": "No Dual"}, 'Identity is "No Dual", expected Public, Secret or nothing'),
        ({"PageID": ""}, "PageID is missing"),
        ({"PageID": "same"}, 'PageID "same" repeats an earlier usable row'),
        ({"Alive": "x" * 5000}, f'Alive is "{"x" * 80}", expected Alive or Dead'),
    ],
)
def test_a_rejected_row_is_reported_with_what_was_found_and_what_was_expected(
    database: duckdb.DuckDBPyConnection, row: Row, reason: str
):
    # when
    rows = clean(database, {"PageID": "same"}, row)

    # then
    assert rows["reason"][1] == reason


def test_each_table_has_the_columns_and_types_that_are_described(database: duckdb.DuckDBPyConnection):
    # given: a table in which every measure is missing
    clean(database, {"Height_m": None, "Weight_kg": None})

    # when
    train, rejected = (
        {name: str(kind) for name, kind, *_ in database.execute(f"DESCRIBE {each}").fetchall()}
        for each in (split_sql("train"), rejected_sql())
    )

    # then
    assert list(train) == [*CHARACTER_COLUMNS, "row_digest"]
    assert list(rejected) == [*REJECTED_COLUMNS, "row_digest"]
    assert {train[name] for name in ("Height", "Weight")} == {"DOUBLE"}
    assert {train[name] for name in ("Teams", "Magic", "Mutant", "Alive")} == {"INTEGER"}


CHANGED: tuple[Row, ...] = (
    *({"PageID": "other"}, {"Universe": None}, {"Alive": "Dead"}, {"Teams": None}, {"Height_m": None}),
    *({"Height_m": "90.5", "Weight_kg": "1.85"}, {"Origin": "Human magician"}),
)
DROPPED: tuple[Row, ...] = ({"Name": "else"}, {"Creators": "else"}, {"Teams": "Another Team"}, {"Origin": "Inhuman"})


def test_a_row_digest_changes_with_whatever_is_kept_of_the_row_and_with_nothing_that_is_dropped(
    database: duckdb.DuckDBPyConnection,
):
    # when
    rows = clean(database, *({"PageID": "same"} | row for row in ({}, *CHANGED, *DROPPED)))

    # then
    good, *others = rows["row_digest"]
    same = [row for row, digest in zip(CHANGED + DROPPED, others, strict=True) if digest == good]
    assert same == [*DROPPED]


def test_the_source_digest_distinguishes_missing_from_empty_and_column_from_column(database: duckdb.DuckDBPyConnection):
    # given
    clean(database, {"PageID": "x", "Teams": ""}, {"PageID": "x", "Teams": None},
          {"PageID": "x", "Teams": "a", "Origin": ""}, {"PageID": "x", "Teams": "", "Origin": "a"})  # fmt: skip

    # when
    digests = database.execute(digested_source_sql("raw_characters")).df()["row_digest"]

    # then
    assert digests.is_unique


@pytest.mark.parametrize("column", ["Universe", "Identity", "Gender", "Marital_Status"])
def test_the_model_takes_a_cell_as_the_cleaning_does(
    database: duckdb.DuckDBPyConnection, small_project: Path, column: str
):
    # given: spellings of what the column may hold, blanks around them, and what counts as missing
    values = CATEGORY_LEVELS.get(column, ("Earth-616", "earth-616"))
    spelt = [form for value in values for form in (value, value.upper(), f" {value.lower()}\u00a0", f"\t{value}\r\n")]
    asked = [*spelt, *MISSING, " ", "\u202f", " N/A ", *(["widow", "Widow "] if column == "Marital_Status" else [])]
    cleaned = clean(database, *({column: cell} for cell in asked))
    features = cleaned[list(FEATURES)]
    pipeline = pipeline_from_config(ProjectConfig.from_yaml(small_project), threads=1)
    coercer = pipeline.named_steps["coerce"].fit(features)

    # when
    coerced = coercer.transform(features.assign(**{column: pd.Series(asked, dtype=object)}))

    # then
    assert coerced[column].tolist() == cleaned[column].tolist()


# The rules once more, in Python and from the design alone: what follows shares nothing with cleaning.sql.

ORIGINS = ("human", "MUTATE", "Mutant", "Asgardian", "alien", "Symbiote", "ROBOT", "Cosmic Being", "Magic", " ", "K")
UNUSUAL = ("?", "'", '"', "two\nlines", "\x1f", "\x1e", "\x00", "%", "_", "\\", " ", "\u00a0", "{missing}", "alive")
TIMES_COMMON = 8
MAX_DIGITS = 300


def cells(column: str) -> st.SearchStrategy[str | None]:
    """Cells of a column: mostly those that a rule is about, now and then any text at all."""
    common = st.sampled_from(CELLS.get(column, ("x",)))
    if column == "Origin":
        common = st.lists(st.sampled_from(ORIGINS), max_size=3).map("".join)
    odd = [st.none(), st.sampled_from(MISSING_TEXT), st.sampled_from(UNUSUAL), st.text(max_size=8)]
    return st.sampled_from([common] * TIMES_COMMON + odd).flatmap(lambda chosen: chosen)


rows_of_cells = st.lists(st.fixed_dictionaries({name: cells(name) for name in STORED}), min_size=1, max_size=12)


def present(cell: str | None) -> str | None:
    return None if cell is None or cell in MISSING_TEXT else cell


def named(cell: str | None, *values: str) -> str | None:
    """The value that a cell names, whatever its case; any other cell as it stands."""
    return next((value for value in values if cell is not None and value.lower() == cell.lower()), cell)


def measure(cell: str | None) -> float | None:
    """The number that a cell of ASCII digits, at most one point, one sign and one short exponent means."""
    if present(cell) is None:
        return None
    if re.fullmatch(r"[+-]?\d(\.\d+)?[eE][+-]?\d{1,2}", cell, re.ASCII):
        return float(cell)
    whole, _, fraction = (cell[1:] if cell[0] in "+-" else cell).partition(".")
    digits = whole + fraction
    return float(cell) if digits.isascii() and digits.isdecimal() and len(cell) <= MAX_DIGITS else None


def kind(origin: str) -> str:
    if "mutate" in origin and "human" not in origin:
        return "Mutant"
    kinds = ("Human", "Mutant", "Asgardian", "Alien", "Symbiote", "Robot", "Cosmic Being")
    return next((name for name in kinds if name.lower() in origin), "Other")


def by_the_design(rows: list[Row]) -> list[dict[str, object]]:
    """What the design makes of a whole table, rows in the order of the source."""
    taken: set[str] = set()
    made: list[dict[str, object]] = []
    for delivered in rows:
        page = present(delivered["PageID"])
        row = {name: cell and cell.strip(" \t\r\n\u00a0\u2007\u202f") for name, cell in delivered.items()}
        identity = named(present(row["Identity"]) or "Unknown", "Public", "Secret", "Unknown")
        statuses = ("Single", "Married", "Widowed", "Widow", "Engaged", "Unknown")
        marital = named(present(row["Marital_Status"]) or "Unknown", *statuses)
        gender, alive = named(row["Gender"], "Male", "Female"), named(row["Alive"], "Alive", "Dead")
        team = present(row["Teams"])
        origin = "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in present(row["Origin"]) or "")
        if identity not in ("Public", "Secret", "Unknown"):
            failed = "Identity"
        elif marital not in statuses:
            failed = "Marital_Status"
        elif alive not in ("Alive", "Dead"):
            failed = "Alive"
        elif page is None or page in taken:
            failed = "Id"
        else:
            failed = None
            taken.add(page)
        made.append(
            {
                "Id": page,
                "Height": measure(row["Height_m"]),
                "Weight": measure(row["Weight_kg"]),
                "Universe": present(row["Universe"]) or "Unknown",
                "Identity": identity,
                "Gender": gender if gender in ("Male", "Female") else "Other",
                "Marital_Status": "Widowed" if marital == "Widow" else marital,
                "Teams": int(team is not None and team.lower() not in ("false", "0", "0.0")),
                "Origin": kind(origin),
                "Magic": int("magic" in origin),
                "Mutant": int("mutate" in origin or "mutant" in origin),
                "Alive": int(alive == "Alive"),
                "split": None if failed else split_of(page),
                "rejected_column": failed,
            }
        )
    return made


def as_found(database: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """The columns that the design speaks of, rows in the order of the source, with None where missing."""
    columns = [name for name in CHARACTER_COLUMNS if name != "update_timestamp_utc"]
    rows = database.sql(f"SELECT * FROM cleaned_characters ORDER BY {SOURCE_ROW}").to_arrow_table()
    return rows.select([*columns, "split", "rejected_column"]).to_pylist()


def test_statement_and_design_agree_on_the_genuine_rows_as_the_engine_reads_them(sample: Path, tmp_path: Path):
    # given
    names = ", ".join(STORED)

    # when
    with DuckDBEngine(scratch=str(tmp_path)).session() as session:
        session.read_source(FileSource("the genuine rows", {sample: "the genuine rows"}, SOURCE_COLUMNS), "delivered")
        session.create_table_as(digested_source_sql("delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(), "cleaned_characters")
        found = as_found(session._connection)
        read = session.fetchall(f"SELECT {names} FROM raw_characters ORDER BY {SOURCE_ROW}")

    # then
    by_pandas = pd.read_csv(sample, dtype=str, keep_default_na=False)[list(SOURCE_COLUMNS)]
    assert read == list(by_pandas.itertuples(index=False, name=None))
    assert found == by_the_design([dict(zip(STORED, row, strict=True)) for row in read])
    assert any(row["rejected_column"] is None for row in found)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of_cells)
def test_any_table_is_cleaned_by_the_design_and_every_row_is_in_exactly_one_table(
    database: duckdb.DuckDBPyConnection, rows: list[Row]
):
    # given
    clean(database, *rows)
    designed = by_the_design(rows)
    assert as_found(database) == designed

    # when
    train, test, refused = (
        database.sql(statement).to_arrow_table().to_pylist()
        for statement in (split_sql("train"), split_sql("test"), rejected_sql())
    )

    # then: a rejected row keeps every cell to the letter
    assert sorted(row["Id"] for row in train + test) == sorted(row["Id"] for row in designed if row["split"])
    assert [(row[SOURCE_ROW], {name: row[name] for name in STORED}) for row in refused] == [
        (place, row) for place, row in enumerate(rows, start=1) if designed[place - 1]["rejected_column"]
    ]
    assert all(row["reason"] for row in refused)
