"""Real Delta tables as sources."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.sources.base import SourceError
from marvel_assets.sources.delta import DeltaSource
from marvel_assets_tests.kaggle import SOURCE_COLUMNS
from marvel_assets_tests.sources.conftest import characters, rows_of

COLUMN_MAPPING = {"delta.columnMapping.mode": "name", "delta.minReaderVersion": "2", "delta.minWriterVersion": "5"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table"


def newest(table: Path) -> DeltaSource:
    scratch = table.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return DeltaSource("the table", table, SOURCE_COLUMNS, scratch)


@pytest.mark.parametrize(
    ("names", "configuration"),
    [({}, None), ({}, COLUMN_MAPPING), (SOURCE_COLUMNS, None)],
    ids=["as delivered", "as delivered, by column mapping", "as stored"],
)
def test_columns_may_have_the_names_as_delivered_or_as_stored(
    table: Path, names: dict[str, str], configuration: dict[str, str] | None
):
    # given
    write_deltalake(table, characters("a").rename(columns=names), configuration=configuration)

    # then
    expected = characters("a").rename(columns=SOURCE_COLUMNS)
    expected.insert(0, "source_row", 1)
    pd.testing.assert_frame_equal(rows_of(newest(table)), expected)


def test_rows_of_several_files_are_numbered_alike_at_every_reading(table: Path):
    # given
    for start in range(0, 40_000, 10_000):
        write_deltalake(table, characters(*(f"{name:05}" for name in range(start, start + 10_000))), mode="append")
    source = newest(table)

    # when
    readings = [rows_of(source) for _ in range(3)]

    # then
    assert source.label == "the table@v3"
    assert source.digest == f"delta:{DeltaTable(table).metadata().id}@3"
    for reading in readings:
        assert list(reading["source_row"]) == list(range(1, 40_001))
        assert list(reading["Name"]) == [f"{name:05}" for name in range(40_000)]


def without_a_column(table: Path) -> None:
    write_deltalake(table, characters("a").drop(columns="Marital Status"))


def without_rows(table: Path) -> None:
    write_deltalake(table, characters("a")[:0])


def without_files(table: Path) -> None:
    write_deltalake(table, characters("a"))
    for file in table.glob("*.parquet"):
        file.unlink()


def without_commits(table: Path) -> None:
    (table / "_delta_log").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_a_column, "the table@v0: there is no column 'Marital Status'; expected"),
        (without_rows, "the table@v0: there are no rows"),
        (without_files, "the table@v0: the Delta table can't be read"),
        (without_commits, "the table: the Delta table can't be opened"),
    ],
)
def test_a_table_that_can_not_be_read_is_reported_with_its_version(
    table: Path, make: Callable[[Path], None], message: str
):
    # given
    make(table)

    # then
    with pytest.raises(SourceError, match=re.escape(message)):
        rows_of(newest(table))
