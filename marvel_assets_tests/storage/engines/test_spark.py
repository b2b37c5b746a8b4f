"""The Spark engine makes what the embedded engine makes, and each goes on with the other's tables."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql.classic.dataframe import DataFrame

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.sources.files import FileSource
from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets.storage.tables import Tables
from marvel_assets_tests.kaggle import (
    MISSING_TEXT,
    SOURCE_COLUMNS,
    cleaning_sql,
    digested_source_sql,
    rejected_sql,
    split_sql,
)

pytestmark = pytest.mark.spark

STATEMENTS = {"train": split_sql("train"), "test": split_sql("test"), "rejected": rejected_sql()}
GOOD = {
    "PageID": "Somebody_(Earth-616)",
    "Name": "Somebody",
    "Universe": "Earth-616",
    "URL": "https://example.org",
    "Identity": "Public",
    "Gender": "Female",
    "Alive": "Alive",
    "Marital Status": "Single",
    "Teams": "A Team",
    "Height (m)": "1.85",
    "Weight (kg)": "90.5",
    "Origin": "Human",
    "Creators": "Nobody",
}
NUMBERS = ["1_000", "1e400", "1.5\n", " 1.5", "1.5\u00a0\t", "+.5", "5.", "-0", "½", "٣", "0x1F", "1,5", "9" * 400]
NUMBERS += ["5e-05", "1.25E+16", "9.9e99", "1e-99", "1e100"]
TEXTS = ['a "quoted" one', "a, comma", "two\nlines", "\x1f\x01", "🦸 emoji", "e\u0301 combined", "'; DROP", "\\n", "%_"]
SPELLINGS = ["PUBLIC", "\u00a0Male\u202f", "\tfemale", "unknown\r\n", "WIDOW ", "Un\u212anown", "PublİC", "FALSE", " 0"]
BLANKS_ALONE = [" ", "\u00a0\u2007", "\x0b", "\u2003"]
ORIGINS = ["INHUMAN", "İNHUMAN", "MAGİC", "Mutate magic", "MUTANT", "cosmic\tbeing", "ROBOT human", "straße", "ﬁre"]


@pytest.fixture(scope="module")
def spark(spark_folder: Path) -> Iterator[Spark]:
    resource = Spark(folder=str(spark_folder))
    session = resource.session()
    yield resource
    session.stop()


@pytest.fixture
def engines(spark: Spark, tmp_path: Path) -> dict[str, Engine]:
    return {
        "duckdb": DuckDBEngine(scratch=str(tmp_path / "duckdb")),
        "spark": SparkEngine(spark=spark, scratch=str(tmp_path / "spark")),
        "spark without shared files": SparkEngine(spark=spark),
    }


def edge_cases() -> list[dict[str, str]]:
    """A table that holds every kind of cell that the rules distinguish, and the universes on both sides of fifty."""
    odd = [
        *({"Height (m)": number, "Weight (kg)": number} for number in NUMBERS),
        *({"Name": text, "Origin": text, "Identity": text, "PageID": f"id {text}"} for text in TEXTS),
        *({"Name": text, "Creators": text} for text in TEXTS),
        *({"Origin": origin} for origin in ORIGINS),
        *({column: text} for column in GOOD for text in (*MISSING_TEXT, *SPELLINGS, *BLANKS_ALONE)),
        *({"PageID": "twice"} for _ in range(3)),
        *({"Marital Status": status} for status in ("Widow", "Widowed", "Divorced", "single")),
        *({"Alive": alive} for alive in ("Dead", "alive", "Deceased")),
        *({"Gender": gender} for gender in ("Male", "male", "Agender")),
        *({"Universe": "Earth-forty-nine"} for _ in range(49)),
        *({"Universe": "Earth-fifty"} for _ in range(50)),
    ]
    return [GOOD | {"PageID": f"row-{place}"} | row for place, row in enumerate(odd)]


@pytest.fixture
def source(sample: Path, tmp_path: Path) -> FileSource:
    """Generated and genuine characters, and every edge case."""
    genuine = pd.read_csv(sample, dtype=str, keep_default_na=False)[list(SOURCE_COLUMNS)]
    file = tmp_path / "source.csv"
    rows = pd.concat([generate(1500, 7), genuine, pd.DataFrame(edge_cases())])
    rows.to_csv(file, index=False, quoting=csv.QUOTE_ALL)
    return FileSource("everything", {file: "everything"}, SOURCE_COLUMNS)


def make_tables(engine: Engine, source: FileSource, folder: Path) -> dict[str, tuple[int, str]]:
    """Clean and split the source, and write the three tables."""
    with engine.session() as session:
        session.read_source(source, "delivered")
        session.create_view(digested_source_sql("delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(), "cleaned_characters")
        for name, statement in STATEMENTS.items():
            session.create_view(statement, name)
            session.write(name, folder / name, "{}")
        return {name: session.fingerprint(name) for name in ("raw_characters", *STATEMENTS)}


def rows_of(table: Path) -> pd.DataFrame:
    columns = [name for name in DeltaTable(table).schema().to_arrow().names if name != "update_timestamp_utc"]
    frame = pa.table(DeltaTable(table).scan(columns=columns)).to_pandas()
    return frame.sort_values("Id" if "Id" in columns else "source_row", ignore_index=True)


def test_the_engines_make_the_same_rows_and_leave_nothing_of_the_source_behind(
    engines: dict[str, Engine], source: FileSource, tmp_path: Path
):
    # when
    contents = {name: make_tables(engine, source, tmp_path / "made" / name) for name, engine in engines.items()}

    # then
    baseline, *others = engines
    for other in others:
        assert contents[other] == contents[baseline]
        for name in STATEMENTS:
            expected, found = tmp_path / "made" / baseline / name, tmp_path / "made" / other / name
            pd.testing.assert_frame_equal(rows_of(found), rows_of(expected))
            assert DeltaTable(found).schema().to_json() == DeltaTable(expected).schema().to_json()
    assert list((tmp_path / "spark").iterdir()) == []


def publish(engine: Engine, tables: Tables, *rows: tuple[str, int]) -> tuple[int, bool]:
    values = ", ".join(f"('{key}', {number})" for key, number in rows)
    digest = "md5(concat_ws('|', Id, number)) AS row_digest"
    with engine.session() as session:
        session.create_table_as(f"SELECT Id, number, {digest} FROM (VALUES {values}) AS given(Id, number)", "made")
        published = tables.write_if_changed(session, "made", "c.s.t", {"made_by": "a test"})
        return published.table.version, published.is_new


def test_each_engine_goes_on_with_the_table_of_the_other_and_reads_its_past(engines: dict[str, Engine], tables: Tables):
    # given
    embedded, spark = engines["duckdb"], engines["spark"]

    # when
    made = [
        publish(embedded, tables, ("anna", 1)),
        publish(spark, tables, ("anna", 1)),
        publish(spark, tables, ("anna", 1), ("ben", 2)),
        publish(embedded, tables, ("ben", 2), ("anna", 1)),
        publish(embedded, tables, ("anna", 1), ("ben", 2), ("cleo", 3)),
    ]

    # then: what one has written the other does not write again
    assert made == [(0, True), (0, False), (1, True), (1, False), (2, True)]
    for engine in (embedded, spark):
        with engine.session() as session:
            for version in range(3):
                session.read_table(tables.location("c.s.t"), version, f"at_{version}")
                assert session.fetchall(f"SELECT count(*) FROM at_{version}") == [(version + 1,)]


@pytest.mark.parametrize(
    ("properties", "statements"),
    [
        ("'delta.enableDeletionVectors' = 'true'", ["DELETE FROM {table} WHERE Id = 'ben'"]),
        (
            "'delta.columnMapping.mode' = 'name'",
            ["DELETE FROM {table} WHERE Id = 'ben'", "ALTER TABLE {table} RENAME COLUMN number TO place"],
        ),
    ],
    ids=["deletion vectors", "mapped columns"],
)
def test_what_spark_records_beside_the_files_counts_for_the_embedded_engine(
    engines: dict[str, Engine], spark: Spark, tmp_path: Path, properties: str, statements: list[str]
):
    # given
    location = tmp_path / "table"
    table = f"delta.`{location}`"
    session = spark.session()
    session.sql(f"CREATE TABLE {table} (Id STRING, number INT) USING delta TBLPROPERTIES ({properties})")
    rows = session.sql("SELECT * FROM VALUES ('anna', 1), ('ben', 2), ('cleo', 3) AS given(Id, number)")
    rows.coalesce(1).write.insertInto(table)
    for statement in statements:
        session.sql(statement.format(table=table))

    # when
    with engines["duckdb"].session() as reader:
        reader.read_table(location, DeltaTable(location).version(), "found")

        # then
        assert sorted(reader.fetchall("SELECT * FROM found")) == [("anna", 1), ("cleo", 3)]


def test_an_instant_that_spark_wrote_is_one_for_the_embedded_engine(
    engines: dict[str, Engine], spark: Spark, tmp_path: Path
):
    # given
    rows = spark.session().sql("SELECT TIMESTAMP '2020-02-29 12:00:00 UTC' AS moment")
    rows.write.format("delta").save(str(tmp_path / "table"))

    # when
    with engines["duckdb"].session() as reader:
        reader.read_table(tmp_path / "table", 0, "found")

        # then
        found = reader.fetchall("SELECT typeof(moment), epoch(moment) FROM found")
        assert found == [("TIMESTAMP WITH TIME ZONE", 1582977600.0)]


def test_serverless_compute_which_keeps_no_rows_makes_the_same(
    engines: dict[str, Engine], tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    # given
    def refuse(*_: object) -> None:
        raise AnalysisException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute.")

    monkeypatch.setattr(DataFrame, "persist", refuse)

    # then
    assert publish(engines["spark"], tables, ("anna", 1)) == (0, True)
    assert publish(engines["spark"], tables, ("anna", 1)) == (0, False)
    configuration = DeltaTable(tables.location("c.s.t")).metadata().configuration
    assert configuration["delta.enableChangeDataFeed"] == "true"
    assert tables.latest("c.s.t").provenance == {"made_by": "a test"}
