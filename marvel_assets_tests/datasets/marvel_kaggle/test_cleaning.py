"""Every rule of the cleaning, on DuckDB."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from marvel_assets.config import ProjectConfig
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.sources.locate import FileSource
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.training.fit import pipeline_from_config
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.kaggle import (
    CATEGORY_LEVELS,
    CHARACTER_COLUMNS,
    FEATURES,
    FILL_VALUES,
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
    "PageID": "Somebody_(Earth-616)",
    "Name": "Somebody",
    "Universe": "Earth-616",
    "URL": "https://example.org",
    "Identity": "Public",
    "Gender": "Female",
    "Alive": "Alive",
    "Marital_Status": "Single",
    "Teams": "A Team",
    "Height_m": "1.85",
    "Weight_kg": "90.5",
    "Origin": "Human",
    "Creators": "Nobody",
}
MISSING = [None, *MISSING_TEXT]
EXAMPLES = amount(20, 100)
Row = dict[str, str | None]


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def clean(database: duckdb.DuckDBPyConnection, *rows: Row) -> pd.DataFrame:
    """Run the statement over rows that differ from a good one; ids are made unique where none is given."""
    whole = [GOOD | {"PageID": f"row-{place}"} | row for place, row in enumerate(rows, start=1)]
    delivered = {name: pa.array([row[name] for row in whole], pa.string()) for name in STORED}
    database.register("delivered", pa.table({SOURCE_ROW: range(1, len(whole) + 1), **delivered}))
    database.execute("CREATE OR REPLACE TABLE raw_characters AS SELECT * FROM delivered")
    database.execute(f"CREATE OR REPLACE TABLE cleaned_characters AS {cleaning_sql()}")
    return database.execute(f"SELECT * FROM cleaned_characters ORDER BY {SOURCE_ROW}").df()


def one(database: duckdb.DuckDBPyConnection, **cells: str | None) -> pd.Series:
    return clean(database, cells).iloc[0]


def made_of(database: duckdb.DuckDBPyConnection, column: str, cells: Iterable[str | None], *kept: str) -> dict:
    """What stands in the columns for each cell of one column, by one statement: planning it is most of its time."""
    rows = clean(database, *({column: cell} for cell in cells))[list(kept)].astype(object)
    values = [tuple(row) for row in rows.where(rows.notna(), None).to_numpy()]
    return dict(zip(cells, values if len(kept) > 1 else [value for (value,) in values], strict=True))


def test_the_list_of_missing_texts_is_that_of_pandas():
    assert set(MISSING_TEXT) == set(STR_NA_VALUES)


def test_a_missing_cell_is_missing_in_every_column(database: duckdb.DuckDBPyConnection):
    # given
    columns = ["Universe", "Identity", "Gender", "Marital_Status", "Teams", "Height_m", "Weight_kg", "Origin"]

    # when
    rows = clean(database, *(dict.fromkeys(columns, cell) for cell in MISSING))

    # then
    assert rows[["Height", "Weight", "rejected_column"]].isna().all(axis=None)
    expected = {**FILL_VALUES, "Universe": "Unknown", "Gender": "Other", "Marital_Status": "Unknown", "Teams": 0}
    assert rows[list(expected)].to_dict("records") == [expected] * len(MISSING)  # as the model takes them


NUMBERS = {
    "1.85": 1.85,
    "304.8": 304.8,
    "2": 2.0,
    "+1.5": 1.5,
    "-1.5": -1.5,
    ".5": 0.5,
    "5.": 5.0,
    "+1": 1.0,
    "-1": -1.0,
    "-.5": -0.5,
    "0": 0.0,
    "007": 7.0,
    "1_000": None,
    "1e3": None,
    "1e400": None,
    "1E3": None,
    "inf": None,
    "-inf": None,
    "Infinity": None,
    "0x1f": None,
    "1,85": None,
    " 1.85": 1.85,
    "1.85 \t": 1.85,
    "1.85\n": 1.85,
    "\n1.85": 1.85,
    "1.85\r\n": 1.85,
    "1.85\x00": None,
    "1.85\u00a0": 1.85,
    "\u202f1.85": 1.85,
    "1.8\n5": None,
    "1.85\n1.90": None,
    "1.85 m": None,
    "1.8.5": None,
    "1,000.5": None,
    "++1": None,
    "+-1": None,
    "1-": None,
    ".": None,
    "+": None,
    "-.": None,
    "٣": None,
    "\u0661\u066b\u0668\u0665": None,
    "\uff11.\uff18\uff15": None,
    "½": None,
    "true": None,
    "9" * 300: float("9" * 300),
    "9" * 400: None,
}


@pytest.mark.parametrize(("raw", "column"), [("Height_m", "Height"), ("Weight_kg", "Weight")])
def test_only_a_plain_decimal_number_is_a_measure(database: duckdb.DuckDBPyConnection, raw: str, column: str):
    # when
    made = made_of(database, raw, NUMBERS, column, "rejected_column")

    # then
    assert made == {cell: (value, None) for cell, value in NUMBERS.items()}


def test_a_universe_keeps_its_name_however_rare_it_is(database: duckdb.DuckDBPyConnection):
    # given
    universes = ["Earth-616", "earth-1", "Earth\u20111", "Other", "Unknown"]

    # then
    assert made_of(database, "Universe", universes, "Universe") == {universe: universe for universe in universes}


def test_blanks_around_a_value_are_trimmed(database: duckdb.DuckDBPyConnection):
    # when
    row = one(database, **{name: f" \u00a0{cell}\t\u202f" for name, cell in GOOD.items() if name != "PageID"})

    # then
    assert row.drop("row_digest").to_dict() == one(database).drop("row_digest").to_dict()


def test_blanks_alone_are_a_missing_cell(database: duckdb.DuckDBPyConnection):
    assert one(database, Identity=" ", Teams="\u00a0")[["Identity", "Teams"]].tolist() == ["Unknown", 0]


def test_an_accepted_identity_stays_whatever_its_case(database: duckdb.DuckDBPyConnection):
    # given
    spelt = ["Public", "Secret", "Unknown", "public", "SECRET", "unKNOWN"]

    # then
    assert made_of(database, "Identity", spelt, "Identity") == {identity: identity.capitalize() for identity in spelt}


def test_another_identity_is_rejected(database: duckdb.DuckDBPyConnection):
    # when
    made = made_of(database, "Identity", ["No Dual", "PublİC", "Known to Authorities"], "rejected_column", "reason")

    # then
    for identity, (column, reason) in made.items():
        assert column == "Identity"
        assert f'"{identity}"' in reason


def test_gender_is_male_female_or_other(database: duckdb.DuckDBPyConnection):
    # given
    expected = {
        "Male": "Male",
        "Female": "Female",
        "male": "Male",
        "FEMALE": "Female",
        "Agender": "Other",
        "M": "Other",
    }

    # then
    assert made_of(database, "Gender", expected, "Gender") == expected


def test_an_accepted_marital_status_stays_and_a_widow_is_widowed(database: duckdb.DuckDBPyConnection):
    # given
    same = ("Single", "Married", "Engaged", "Widowed", "Unknown")
    expected = {**dict(zip(same, same, strict=True)), "Widow": "Widowed", "single": "Single", "WIDOW": "Widowed"}

    # then
    assert made_of(database, "Marital_Status", expected, "Marital_Status") == expected


def test_another_marital_status_is_rejected(database: duckdb.DuckDBPyConnection):
    # when
    made = made_of(database, "Marital_Status", ["Divorced", "Separated", "Sİngle"], "rejected_column")

    # then
    assert set(made.values()) == {"Marital_Status"}


def test_any_named_team_counts(database: duckdb.DuckDBPyConnection):
    # given
    some, none = ["Avengers", "A; B", "none", "true"], ["0", "0.0", "false", "False", " "]

    # then
    assert made_of(database, "Teams", some + none, "Teams") == {**dict.fromkeys(some, 1), **dict.fromkeys(none, 0)}


ORIGINS = {
    "Human": ("Human", 0, 0),
    "Inhuman": ("Human", 0, 0),
    "HUMAN MUTATE": ("Human", 0, 1),
    "Human (Mutant)": ("Human", 0, 1),
    "Mutate": ("Mutant", 0, 1),
    "mutant": ("Mutant", 0, 1),
    "Mutant Asgardian": ("Mutant", 0, 1),
    "Asgardian": ("Asgardian", 0, 0),
    "Alien, Asgardian": ("Asgardian", 0, 0),
    "InHuMan": ("Human", 0, 0),
    "Alien mutate": ("Mutant", 0, 1),
    "Mutated human clone": ("Human", 0, 1),
    "Robot symbiote alien asgardian mutant human": ("Human", 0, 1),
    "Alien": ("Alien", 0, 0),
    "symbiote alien": ("Alien", 0, 0),
    "Symbiote": ("Symbiote", 0, 0),
    "Robot symbiote": ("Symbiote", 0, 0),
    "Robot": ("Robot", 0, 0),
    "Cosmic being (robotic)": ("Robot", 0, 0),
    "Cosmic Being": ("Cosmic Being", 0, 0),
    "Cosmic  Being": ("Other", 0, 0),
    "Demon": ("Other", 0, 0),
    "Magical construct": ("Other", 1, 0),
    "Human MAGIC user": ("Human", 1, 0),
    "Asgardian\nmagic": ("Asgardian", 1, 0),
    "magic mutate": ("Mutant", 1, 1),
    "hum%an": ("Other", 0, 0),
    "hum_n": ("Other", 0, 0),
    "mag ic, mut ant": ("Other", 0, 0),
    "magİc": ("Other", 0, 0),
    "huKman": ("Other", 0, 0),
}


def test_the_first_origin_that_matches_wins(database: duckdb.DuckDBPyConnection):
    # then
    assert made_of(database, "Origin", ORIGINS, "Origin", "Magic", "Mutant") == ORIGINS


def test_alive_is_one_and_dead_is_zero(database: duckdb.DuckDBPyConnection):
    # given
    expected = {"Alive": 1, "Dead": 0, "ALIVE": 1, "dead ": 0, "Alive\r\n": 1}

    # then
    assert made_of(database, "Alive", expected, "Alive") == expected


def test_another_state_is_rejected(database: duckdb.DuckDBPyConnection):
    # given
    others = [None, "", "nan", "Alİve", "Alive\x0b", "Alive (currently imprisoned)", "Deceased", "1"]

    # then
    assert made_of(database, "Alive", others, "rejected_column") == dict.fromkeys(others, "Alive")


def test_a_missing_id_is_rejected(database: duckdb.DuckDBPyConnection):
    # when
    made = made_of(database, "PageID", MISSING, "rejected_column", "reason")

    # then
    assert made == dict.fromkeys(MISSING, ("Id", "PageID is missing"))


def test_rows_without_an_id_do_not_share_one(database: duckdb.DuckDBPyConnection):
    # when
    rows = clean(database, {"PageID": None}, {"PageID": ""}, {"PageID": None})

    # then
    assert list(rows["reason"]) == ["PageID is missing"] * 3


def test_ids_are_told_apart_to_the_letter(database: duckdb.DuckDBPyConnection):
    # when
    rows = clean(database, *[{"PageID": page} for page in ("a", "A", "a ", "\u00e9", "e\u0301", "a\x00")])

    # then
    assert rows["rejected_column"].isna().all()


def test_of_rows_that_share_an_id_the_first_in_the_source_is_kept(database: duckdb.DuckDBPyConnection):
    # when
    rows = clean(database, *[{"PageID": "same"}] * 3)

    # then
    assert list(rows["rejected_column"].isna()) == [True, False, False]
    assert set(rows["rejected_column"].dropna()) == {"Id"}
    assert set(rows["reason"].dropna()) == {'PageID "same" stands on an earlier usable row'}


def test_of_rows_that_share_an_id_the_first_usable_one_is_kept(database: duckdb.DuckDBPyConnection):
    # when
    rows = clean(
        database,
        {"PageID": "same", "Alive": "Maybe"},
        {"PageID": "same", "Identity": "?"},
        {"PageID": "same"},
        {"PageID": "same", "Marital_Status": "?"},
        {"PageID": "same"},
    )

    # then
    assert list(rows["rejected_column"].fillna("")) == ["Alive", "Identity", "", "Marital_Status", "Id"]


def test_a_row_that_fails_several_rules_is_rejected_for_the_first(database: duckdb.DuckDBPyConnection):
    # given
    faults = {"Identity": "?", "Marital_Status": "?", "Alive": "?", "PageID": None}
    healed = [dict(list(faults.items())[start:]) for start in range(len(faults))]

    # when
    rows = clean(database, *healed)

    # then
    assert list(rows["rejected_column"]) == ["Identity", "Marital_Status", "Alive", "Id"]


def test_the_split_follows_the_hash_of_the_id_alone(database: duckdb.DuckDBPyConnection):
    # given
    pages = [f"Character_{number}" for number in range(2000)]

    # when
    rows = clean(database, *[{"PageID": page} for page in pages])

    # then
    expected = ["test" if hashlib.md5(page.encode()).hexdigest() < "33333333" else "train" for page in pages]
    assert list(rows["split"]) == expected
    assert 0.17 < (rows["split"] == "test").mean() < 0.23


def test_no_character_moves_when_the_table_grows(database: duckdb.DuckDBPyConnection):
    # given
    few = clean(database, *[{"PageID": f"c-{number}"} for number in range(300)])

    # when
    many = clean(database, *[{"PageID": f"c-{number}"} for number in range(600)])

    # then
    assert list(many["split"][:300]) == list(few["split"])
    assert set(few["split"]) == {"train", "test"}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.lists(st.text(min_size=1).filter(lambda page: page not in MISSING_TEXT), min_size=1, unique=True))
@example(pages=["\U0001f480", "it's", 'say "no"', "a\nb", "a\x00b", "\u00e9", "e\u0301", "\\", " "])
def test_statement_and_contract_split_any_id_alike(database: duckdb.DuckDBPyConnection, pages: list[str]):
    # when
    rows = clean(database, *[{"PageID": page} for page in pages])

    # then
    assert list(rows["Id"]) == pages
    assert list(rows["split"]) == [split_of(page) for page in pages]


def test_a_rejected_row_belongs_to_neither_split(database: duckdb.DuckDBPyConnection):
    # when
    rows = clean(database, *[{"Alive": "Maybe"}] * 20)

    # then
    assert rows["split"].isna().all()


def test_rejected_rows_are_kept_as_delivered_with_the_reason(database: duckdb.DuckDBPyConnection):
    # given
    clean(database, {}, {"Alive": "Alive (imprisoned)", "Height_m": "tall"})

    # when
    [row] = database.execute(rejected_sql()).df().to_dict("records")

    # then
    assert (row[SOURCE_ROW], row["Alive"], row["Height_m"]) == (2, "Alive (imprisoned)", "tall")
    assert row["rejected_column"] == "Alive"
    assert row["reason"] == 'Alive is "Alive (imprisoned)", expected Alive or Dead'


def test_a_reason_is_short_however_long_the_cell(database: duckdb.DuckDBPyConnection):
    # when
    reasons = clean(database, *[{column: "x" * 5000} for column in ("Identity", "Marital_Status", "Alive")])["reason"]

    # then
    assert reasons.str.len().between(80, 200).all()


def test_a_rejected_row_keeps_every_cell_to_the_letter(database: duckdb.DuckDBPyConnection):
    # given
    cells = ["it's", 'a "quoted" cell', "two\nlines", "{missing}", "\U0001f480", "", None]
    delivered = [dict.fromkeys(STORED, cell) for cell in cells]

    # when
    clean(database, *delivered)

    # then
    rows = database.sql(f"SELECT * FROM ({rejected_sql()}) ORDER BY {SOURCE_ROW}").to_arrow_table().to_pylist()
    assert [{name: row[name] for name in STORED} for row in rows] == delivered


def test_each_table_has_the_columns_that_are_described(database: duckdb.DuckDBPyConnection):
    # given
    clean(database, {})

    # when
    train, test, refused = (
        list(database.execute(each).df()) for each in (split_sql("train"), split_sql("test"), rejected_sql())
    )

    # then
    assert train == test == [*CHARACTER_COLUMNS, "row_digest"]
    assert refused == [*REJECTED_COLUMNS, "row_digest"]


def test_measures_are_doubles_and_flags_and_target_integers(database: duckdb.DuckDBPyConnection):
    # given: a table in which every measure is missing
    clean(database, {"Height_m": None, "Weight_kg": None})

    # when
    types = {name: str(kind) for name, kind, *_ in database.execute(f"DESCRIBE {split_sql('train')}").fetchall()}

    # then
    assert {types[name] for name in ("Height", "Weight")} == {"DOUBLE"}
    assert {types[name] for name in ("Teams", "Magic", "Mutant", "Alive")} == {"INTEGER"}


def test_sets_are_ordered_by_the_code_points_of_the_id(database: duckdb.DuckDBPyConnection):
    # given
    clean(database, *[{"PageID": page} for page in ["\U0001f480", "\uffee", "é", "_", *"zyxwvutsrqponmZYXWVUTSRQ10"]])

    # when
    ids = [*database.execute(split_sql("train")).df()["Id"]]

    # then
    assert ids == sorted(ids)
    assert {"\U0001f480", "\uffee", "é", "_"} & set(ids)
    assert {"z", "Z"} & set(ids)


def test_a_row_digest_leaves_the_place_in_the_source_out(database: duckdb.DuckDBPyConnection):
    # when
    first = clean(database, {"PageID": "a"}, {"PageID": "b"}).set_index("Id")["row_digest"]
    second = clean(database, {"PageID": "b"}, {"PageID": "a"}).set_index("Id")["row_digest"]

    # then
    assert first.to_dict() == second.to_dict()
    assert first["a"] != first["b"]


CHANGED = (
    {"PageID": "other"},
    {"Universe": None},
    {"Identity": None},
    {"Gender": "Male"},
    {"Alive": "Dead"},
    {"Marital_Status": "Widow"},
    {"Teams": None},
    {"Height_m": None},
    {"Height_m": "90.5", "Weight_kg": "1.85"},
    {"Weight_kg": "91"},
    {"Origin": "Alien"},
    {"Origin": "Human magician"},
    {"Origin": "Human mutate"},
)
DROPPED = (
    {"Name": "else"},
    {"URL": "else"},
    {"Creators": "else"},
    {"Teams": "Another Team"},
    {"Origin": "Inhuman"},
)


def test_a_row_digest_changes_with_whatever_is_kept_of_the_row_and_with_nothing_that_is_dropped(
    database: duckdb.DuckDBPyConnection,
):
    # when
    rows = clean(database, *({"PageID": "same"} | row for row in ({}, *CHANGED, *DROPPED)))

    # then
    good, *others = rows["row_digest"]
    same = [row for row, digest in zip(CHANGED + DROPPED, others, strict=True) if digest == good]
    assert same == [*DROPPED]


def test_the_source_digest_tells_missing_from_empty_and_column_from_column(database: duckdb.DuckDBPyConnection):
    # given
    clean(database, {"PageID": "x", "Teams": ""}, {"PageID": "x", "Teams": None},
          {"PageID": "x", "Teams": "a", "Origin": ""}, {"PageID": "x", "Teams": "", "Origin": "a"})  # fmt: skip

    # when
    digests = database.execute(digested_source_sql("raw_characters")).df()["row_digest"]

    # then
    assert digests.is_unique


def test_every_placeholder_of_the_statement_is_filled_in():
    assert not re.search("[{}]", cleaning_sql())


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
    coercer = (
        pipeline_from_config(ProjectConfig.from_yaml(small_project), threads=1).named_steps["coerce"].fit(features)
    )

    # when
    coerced = coercer.transform(features.assign(**{column: pd.Series(asked, dtype=object)}))

    # then
    assert coerced[column].tolist() == cleaned[column].tolist()


# The rules told once more, in Python and from the design alone: what follows shares nothing with cleaning.sql.

USUAL = {
    "PageID": ["a", "A", "b", "c", "it's"],
    "Universe": ["Earth-616", "Earth-1", "Unknown", "Other", " Earth-1\t"],
    "Identity": ["Public", "Secret", "Unknown", "unKNOWN", "\u00a0public "],
    "Gender": ["Male", "Female", "Other", "Agender", "MALE", "female\u202f"],
    "Alive": ["Alive", "Dead", "ALIVE", "dead\r\n"],
    "Marital_Status": ["Single", "Married", "Widowed", "Engaged", "Unknown", "Widow", "WIDOW "],
    "Teams": ["A Team", "False", " 0"],
}
UNUSUAL = [
    "?",
    "'",
    '"',
    "two\nlines",
    "\x1f",
    "\x1e",
    "\x00",
    "%",
    "_",
    "\\",
    " ",
    "\u00a0",
    "{missing}",
    "Divorced",
    "alive",
]
TIMES_COMMON = 8


def cells(column: str) -> st.SearchStrategy[str | None]:
    """Cells of a column: mostly those that a rule is about, now and then any text at all."""
    numbers = st.one_of(st.text("0123456789", max_size=4), st.text("0123456789.+-eE_, \n", max_size=6))
    origins = st.lists(
        st.sampled_from(
            [
                "human",
                "MUTATE",
                "Mutant",
                "Asgardian",
                "alien",
                "Symbiote",
                "ROBOT",
                "Cosmic Being",
                "Magic",
                "In",
                " ",
                "; ",
                "K",
            ]
        ),
        max_size=3,
    ).map("".join)
    usual = {"Height_m": numbers, "Weight_kg": numbers, "Origin": origins}
    common = usual.get(column, st.sampled_from(USUAL.get(column, ["x"])))
    odd = [st.none(), st.sampled_from(MISSING_TEXT), st.sampled_from(UNUSUAL), st.text(max_size=8)]
    return st.sampled_from([common] * TIMES_COMMON + odd).flatmap(lambda chosen: chosen)


rows_of_cells = st.lists(st.fixed_dictionaries({name: cells(name) for name in STORED}), min_size=1, max_size=8)


def present(cell: str | None) -> str | None:
    return None if cell is None or cell in MISSING_TEXT else cell


def named(cell: str | None, *values: str) -> str | None:
    """The value that a cell names, whatever its case; any other cell as it stands."""
    found = (value for value in values if cell is not None and value.lower() == cell.lower())
    return next(found, cell)


def measure(cell: str | None) -> float | None:
    """The number that a cell of ASCII digits, at most one point and at most one sign means."""
    if present(cell) is None:
        return None
    whole, _, fraction = (cell[1:] if cell[0] in "+-" else cell).partition(".")
    digits = whole + fraction
    return float(cell) if digits.isascii() and digits.isdecimal() else None


def kind(origin: str) -> str:
    if "human" in origin:
        return "Human"
    if "mutate" in origin or "mutant" in origin:
        return "Mutant"
    for name in ("Asgardian", "Alien", "Symbiote", "Robot", "Cosmic Being"):
        if name.lower() in origin:
            return name
    return "Other"


def by_the_design(rows: list[Row]) -> list[dict[str, object]]:
    """What the design makes of a whole table, rows in the order of the source."""
    taken: set[str] = set()
    made: list[dict[str, object]] = []
    for delivered in rows:
        page = present(delivered["PageID"])
        row = {
            name: None if cell is None else cell.strip(" \t\r\n\u00a0\u2007\u202f") for name, cell in delivered.items()
        }
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
        if failed is None and page is not None:
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
                "rejected_column": failed,
            }
        )
    return made


def as_found(database: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """The columns that the design speaks of, rows in the order of the source, with None where missing."""
    columns = [name for name in CHARACTER_COLUMNS if name != "update_timestamp_utc"]
    rows = database.sql(f"SELECT * FROM cleaned_characters ORDER BY {SOURCE_ROW}").to_arrow_table()
    return rows.select([*columns, "rejected_column"]).to_pylist()


def test_statement_and_design_agree_on_the_genuine_rows_as_the_engine_reads_them(sample: Path, tmp_path: Path):
    # given
    names = ", ".join(STORED)

    # when
    with DuckDBEngine(scratch=str(tmp_path)).session() as session:
        session.read_source(FileSource("the genuine rows", sample, DATASET), "delivered")
        session.create_table_as(digested_source_sql("delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(), "cleaned_characters")
        found = as_found(session._connection)
        read = session.fetchall(f"SELECT {names} FROM raw_characters ORDER BY {SOURCE_ROW}")

    # then
    by_pandas = pd.read_csv(sample, dtype=str, keep_default_na=False)[list(SOURCE_COLUMNS)]
    assert read == list(by_pandas.itertuples(index=False, name=None))
    assert found == by_the_design([dict(zip(STORED, row, strict=True)) for row in read])
    assert any(row["rejected_column"] is None for row in found)


@settings(max_examples=2 * EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of_cells)
def test_any_table_is_cleaned_by_the_design_and_every_row_is_in_exactly_one_table_and_within_the_contract(
    database: duckdb.DuckDBPyConnection, rows: list[Row]
):
    # given
    cleaned = clean(database, *rows)
    assert as_found(database) == by_the_design(rows)
    places = cleaned[cleaned["rejected_column"].isna()].set_index("Id")[SOURCE_ROW]

    # when
    train, test, refused = (
        database.execute(statement).df() for statement in (split_sql("train"), split_sql("test"), rejected_sql())
    )

    # then
    accepted = pd.concat([train, test])
    assert accepted["Id"].is_unique
    assert sorted([*places[accepted["Id"]], *refused[SOURCE_ROW]]) == list(range(1, len(rows) + 1))
    assert refused["reason"].notna().all()
    for column, values in CATEGORY_LEVELS.items():
        assert set(accepted[column]) <= set(values)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({name: cells(name) for name in STORED if name != "PageID"}), min_size=1, max_size=6
    ),
    chance=st.randoms(),
)
def test_the_order_of_rows_with_ids_of_their_own_changes_nothing_but_their_places(
    database: duckdb.DuckDBPyConnection, rows: list[Row], chance
):
    # given
    named = [row | {"PageID": f"c-{place}"} for place, row in enumerate(rows)]
    shuffled = list(named)
    chance.shuffle(shuffled)

    # when
    first, second = (
        clean(database, *order).drop(columns=SOURCE_ROW).sort_values("Id", ignore_index=True)
        for order in (named, shuffled)
    )

    # then
    pd.testing.assert_frame_equal(first, second)
