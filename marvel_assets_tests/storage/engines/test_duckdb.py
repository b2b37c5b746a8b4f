"""The embedded engine's session: what it reads, how it distinguishes contents, what it leaves behind."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.table_scan import TableNotFoundError

ROWS = pa.table({"value": ["a", "b"], "kind": ["x", "y"]})


@pytest.fixture
def engine(tmp_path: Path) -> DuckDBEngine:
    return DuckDBEngine(scratch=str(tmp_path / "scratch"))


def content_of(engine: DuckDBEngine, *values: str) -> tuple[int, str]:
    rows = ", ".join(f"('{value}')" for value in values)
    with engine.session() as session:
        session.create_table_as(f"SELECT value, md5(value) AS row_digest FROM (VALUES {rows}) AS given(value)", "made")
        return session.fingerprint("made")


@pytest.mark.parametrize("other", [("a", "b", "c"), ("a",), ("a", "a"), ("a", "c"), ("a", "c", "c")])
def test_other_rows_have_another_content(engine: DuckDBEngine, other: tuple[str, ...]):
    # given: an even number of equal rows would cancel out in an exclusive or
    content = content_of(engine, "a", "b", "b")

    # then
    assert content[0] == 3
    assert content_of(engine, *other)[1] != content[1]


def write_with_an_added_column(location: Path) -> None:
    write_deltalake(location, ROWS.select(["value"]).slice(0, 1))
    write_deltalake(location, ROWS.slice(1), mode="append", schema_mode="merge")


@pytest.mark.parametrize(
    ("folder", "write", "kinds"),
    [
        ("partitioned", partial(write_deltalake, data=ROWS, partition_by="kind"), ["x", "y"]),
        ("added", write_with_an_added_column, [None, "y"]),
        ("a* ?b 'quoted'", partial(write_deltalake, data=ROWS), ["x", "y"]),
    ],
    ids=["partitioned", "an added column", "a folder with a pattern for a name"],
)
def test_the_rows_are_the_table_s_and_not_just_those_of_its_files(
    engine: DuckDBEngine, tmp_path: Path, folder: str, write: Callable[[Path], None], kinds: list[str | None]
):
    # given
    location = tmp_path / folder
    location.mkdir()
    write(location)

    # when
    with engine.session() as session:
        session.read_table(location, DeltaTable(location).version(), "found")

        # then
        assert session.fetchall("SELECT value, kind FROM found ORDER BY value") == list(zip("ab", kinds, strict=True))


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:200])])
def test_a_table_with_a_missing_or_broken_file_is_named(
    engine: DuckDBEngine, tmp_path: Path, harm: Callable[[Path], object]
):
    # given
    location = tmp_path / "table"
    write_deltalake(location, pa.table({"value": ["a"] * 1000}))
    [file] = location.glob("*.parquet")

    # when
    harm(file)

    # then
    with (
        engine.session() as session,
        pytest.raises(TableNotFoundError, match=rf"{location} has no readable version 0: .*{file.name}.* Materialise"),
    ):
        session.read_table(location, 0, "found")


def test_a_session_leaves_no_file_even_where_a_statement_fails(engine: DuckDBEngine):
    import duckdb

    # when
    with engine.session() as session, pytest.raises(duckdb.ParserException):
        session.create_table_as("no statement", "made")

    # then
    assert list(Path(engine.scratch).iterdir()) == []


def test_more_rows_than_fit_into_memory_move_to_the_scratch_folder(tmp_path: Path):
    # given
    engine = DuckDBEngine(scratch=str(tmp_path / "scratch"), max_memory=64)

    # when
    with engine.session() as session:
        session.create_table_as("SELECT repeat(md5(i::VARCHAR), 4) AS value FROM range(1500000) AS numbers(i)", "many")

        # then
        assert list(Path(engine.scratch).rglob("*.tmp")) != []
        assert session.fetchall("SELECT count(*), count(DISTINCT length(value)) FROM many") == [(1_500_000, 1)]
