"""Rows that are read where they are needed: all of them, once, however they are divided."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from marvel_assets.spark.session import Spark
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError, TableScan
from marvel_assets.storage.tables import CatalogTables, Tables

ROWS = pa.table({"Id": [f"Character_{n:04d}_(Earth-616)" for n in range(5000)], "Teams": pa.array(range(5000))})
COLUMNS = ("Id", "Teams")


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of several files, whose second version holds more than the first."""
    folder = tmp_path_factory.mktemp("table")
    write_deltalake(folder, ROWS.slice(0, 3000))
    write_deltalake(folder, ROWS.slice(3000), mode="append")
    return folder


def ids(scan: TableScan) -> list[str]:
    return scan.read().column("Id").to_pylist()


@pytest.mark.parametrize("number", [1, 3])
def test_each_row_is_in_one_part_and_the_parts_are_of_one_size_and_ordered_by_id(location: Path, number: int):
    # when
    scans = TableScan(location, 1, ("Teams", "Id")).parts(number)
    parts = [ids(part) for part in scans]

    # then
    assert scans[0].read().column_names == ["Teams", "Id"]
    assert parts == [sorted(part) for part in parts]
    assert sorted(character for part in parts for character in part) == ROWS.column("Id").to_pylist()
    assert all(abs(len(part) - 5000 / number) < 250 for part in parts)


def test_the_part_of_a_character_does_not_depend_on_files_or_on_other_characters(location: Path, tmp_path: Path):
    # given: half of the characters, in one file and backwards
    write_deltalake(tmp_path / "other", ROWS.take(list(range(4999, 0, -2))))
    there = set(ROWS.column("Id").to_pylist()[1::2])

    # then
    for part, other in zip(
        TableScan(location, 1, COLUMNS).parts(3), TableScan(tmp_path / "other", 0, COLUMNS).parts(3), strict=True
    ):
        assert ids(other) == [character for character in ids(part) if character in there]


def test_a_sample_is_the_same_rows_whether_they_are_read_at_once_or_in_parts(location: Path):
    # given
    tables = Tables(warehouse="", locks="", provenance="")
    table = TableVersion(str(location), 1, 5000, "")

    # when
    at_once = tables.read(table, COLUMNS, sample=0.3).column("Id").to_pylist()
    in_parts = [character for part in tables.scan(table, COLUMNS, 0.3).parts(4) for character in ids(part)]

    # then
    assert 1200 < len(at_once) < 1800
    assert sorted(in_parts) == at_once


def test_a_part_without_rows_has_its_columns(location: Path):
    # when
    rows = TableScan(location, 1, COLUMNS, condition="Id = 'nobody'").read()

    # then
    assert (rows.num_rows, rows.schema.field("Teams").type) == (0, pa.int64())


def test_a_table_that_only_a_catalog_knows_is_refused_with_the_way_out():
    # given
    tables = CatalogTables(spark=Spark(folder=""), warehouse="", locks="", provenance="")

    # then
    with pytest.raises(TableNotFoundError, match=r"`c`\.`s`\.`t` is a table in the catalog .* fit in one process"):
        tables.scan(TableVersion("c.s.t", 0, 1, ""), COLUMNS)
