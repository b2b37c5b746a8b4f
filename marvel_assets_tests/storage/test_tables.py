"""Tables: one version for each content, each traceable to what it was made of."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.schema import Field, PrimitiveType

from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import Commit, Tables

NAME = "catalog.schema.characters"
ANNA_BEN = [("anna", 1), ("ben", 2)]
ANNA_CLEO = [("anna", 1), ("cleo", 3)]


def publish(
    tables: Tables, rows: Sequence[tuple[str, int]], provenance: dict[str, Any] | None = None, name: str = NAME
) -> Commit:
    values = ", ".join(f"('{key}', {number})" for key, number in rows) or "('none', 0)"
    statement = f"""
        SELECT Id, number, current_timestamp AS update_timestamp_utc, md5(concat_ws('|', Id, number)) AS row_digest
        FROM (VALUES {values}) AS given(Id, number) WHERE {bool(rows)}"""
    with DuckDBEngine(scratch=f"{tables.warehouse}-scratch").session() as session:
        session.create_table_as(statement, "made")
        return tables.write_if_changed(session, "made", name, provenance or {})


def delta(tables: Tables) -> DeltaTable:
    return DeltaTable(tables.location(NAME))


def rows_of(tables: Tables, table: TableVersion) -> list[tuple[str, int]]:
    read = tables.read(table, ["Id", "number"])
    return list(zip(read["Id"].to_pylist(), read["number"].to_pylist(), strict=True))


def test_the_first_content_makes_version_0_in_a_folder_of_its_name(tables: Tables):
    # given
    assert tables.latest(NAME) is None
    made_of = {"raw": "catalog.schema.raw@v3", "counts": [1, 2], "quote": 'it\'s "so" ✓'}

    # when
    published = publish(tables, ANNA_BEN, made_of)

    # then
    table = published.table
    assert published.is_new
    assert (table.name, table.version, table.rows) == (NAME, 0, 2)
    assert DeltaTable.is_deltatable(str(Path(tables.warehouse, "catalog", "schema", "characters")))
    assert rows_of(tables, table) == ANNA_BEN
    assert tables.preview(table, 1).column_names == ["Id", "number", "update_timestamp_utc"]
    assert tables.preview(table, 1).schema.field("update_timestamp_utc").type == pa.timestamp("us", "UTC")

    # and its commit says what it was made of, for other tools too
    assert tables.latest(NAME) == Commit(table, made_of)
    [entry] = delta(tables).history()
    assert json.loads(entry["userMetadata"]) == {"rows": 2, "content": table.content, "provenance": made_of}


@pytest.mark.parametrize("order", [1, -1], ids=["same order", "other order"])
def test_equal_content_is_written_once_whatever_the_row_order(tables: Tables, order: int):
    # given
    first = publish(tables, ANNA_BEN)

    # then
    assert publish(tables, ANNA_BEN[::order]) == first._replace(is_new=False)
    assert delta(tables).version() == 0


@pytest.mark.parametrize(
    "changed",
    [ANNA_CLEO, [*ANNA_BEN, ("cleo", 3)], ANNA_BEN[:1], [*ANNA_BEN, ("ben", 2)], []],
    ids=["other row", "one more", "one fewer", "a row twice", "none"],
)
def test_changed_content_makes_a_new_version_that_holds_it(tables: Tables, changed: list[tuple[str, int]]):
    # given
    first = publish(tables, ANNA_BEN)

    # when
    published = publish(tables, changed)

    # then
    assert (published.is_new, published.table.version) == (True, 1)
    assert published.table.content != first.table.content
    assert rows_of(tables, published.table) == changed
    assert rows_of(tables, first.table) == ANNA_BEN


def vacuum(tables: Tables) -> None:
    delta(tables).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def test_a_version_whose_files_vacuum_removed_is_read_from_an_equal_one_or_named_in_plain_words(tables: Tables):
    # given
    first = publish(tables, ANNA_BEN)
    delta(tables).optimize.z_order(["number"])

    # when
    vacuum(tables)

    # then: the files that took the place of its own have the same rows
    assert rows_of(tables, first.table) == ANNA_BEN

    # and without them
    publish(tables, ANNA_CLEO)
    vacuum(tables)
    with pytest.raises(
        TableNotFoundError, match=rf"{tables.location(NAME)} has no readable version \d: .* VACUUM removes the files"
    ):
        rows_of(tables, first.table)


@pytest.mark.parametrize("rows_there", [None, ANNA_CLEO], ids=["nothing", "other rows"])
def test_content_that_is_not_where_it_was_recorded_is_found_elsewhere(
    tables: Tables, tmp_path: Path, rows_there: list[tuple[str, int]] | None
):
    # given: another home under the recorded path
    other = Tables(warehouse=str(tmp_path / "other"), locks=tables.locks, provenance=str(tmp_path / "other-provenance"))
    if rows_there is not None:
        publish(other, rows_there)
    publish(tables, ANNA_CLEO)
    wanted = publish(tables, ANNA_BEN).table

    # then
    names = [str(other.location(NAME)), NAME]
    assert tables.find(names, wanted.content[:16]).table == wanted
    with pytest.raises(TableNotFoundError, match=f"content abcdef are not at {names[0]} or {tables.location(NAME)}"):
        tables.find(names, "abcdef")


def test_every_version_has_the_provenance_of_its_own_commit(tables: Tables):
    # given
    made = [publish(tables, [("anna", number)], {"raw": f"v{number}"}) for number in range(4)]

    # then
    assert [commit.table.version for commit in made] == [0, 1, 2, 3]
    for commit in made:
        assert tables.find([NAME], commit.table.content) == commit._replace(is_new=False)


def test_equal_content_has_the_provenance_that_it_was_last_made_of_without_a_commit(tables: Tables):
    # given
    publish(tables, ANNA_BEN, {"raw": "v0"})

    # when
    again = publish(tables, ANNA_BEN, {"raw": "v1"})

    # then
    assert (again.is_new, again.provenance) == (False, {"raw": "v1"})
    assert tables.latest(NAME) == again
    assert (delta(tables).version(), tables.find([NAME], again.table.content).provenance) == (0, {"raw": "v0"})

    # and it is not that of equal rows that came back
    for version, characters in enumerate([ANNA_CLEO, ANNA_BEN], start=2):
        publish(tables, characters, {"raw": f"v{version}"})
    assert tables.latest(NAME).provenance == {"raw": "v3"}


def test_a_table_keeps_its_id_and_its_successor_has_another(tables: Tables):
    # given
    publish(tables, ANNA_BEN)
    before = tables.table_id(NAME)

    # when
    publish(tables, ANNA_CLEO)
    kept = tables.table_id(NAME)
    shutil.rmtree(tables.location(NAME))
    gone = tables.table_id(NAME)
    publish(tables, ANNA_BEN)

    # then
    assert (kept, gone) == (before, "")
    assert tables.table_id(NAME) not in {before, ""}


def overwrite(tables: Tables, note: str | None = None) -> None:
    properties = None if note is None else CommitProperties(custom_metadata={"userMetadata": note})
    theirs = pa.table(delta(tables).scan())
    write_deltalake(tables.location(NAME), theirs, mode="overwrite", commit_properties=properties)


@pytest.mark.parametrize(
    "change",
    [
        overwrite,
        lambda tables: overwrite(tables, "a note"),
        lambda tables: delta(tables).delete("Id = 'anna'"),
        lambda tables: delta(tables).alter.add_columns([Field("added", PrimitiveType("string"))]),
    ],
    ids=["equal rows", "equal rows with a note", "delete", "add a column"],
)
def test_a_table_that_others_changed_has_no_known_content_and_is_written_again(
    tables: Tables, change: Callable[[Tables], object]
):
    # given
    publish(tables, ANNA_CLEO)
    publish(tables, ANNA_BEN)
    change(tables)
    assert (tables.latest(NAME).table.version, tables.latest(NAME).table.content) == (2, "")

    # when
    published = publish(tables, ANNA_BEN)

    # then
    assert (published.is_new, published.table.version) == (True, 3)
    assert rows_of(tables, published.table) == ANNA_BEN
    assert tables.preview(published.table, 1).column_names == ["Id", "number", "update_timestamp_utc"]


def test_maintenance_keeps_the_content_and_the_newest_version_is_the_one_whose_files_remain(tables: Tables):
    # given
    first = publish(tables, ANNA_BEN, {"raw": "v0"}).table
    made_of = publish(tables, ANNA_BEN, {"raw": "v1"}).provenance
    delta(tables).optimize.z_order(["number"])
    vacuum(tables)
    delta(tables).alter.set_table_properties({"delta.logRetentionDuration": "interval 30 days"})
    newest = delta(tables).version()

    # when
    latest = tables.latest(NAME)

    # then
    assert latest == Commit(replace(first, version=newest), made_of)
    assert (publish(tables, ANNA_BEN, made_of), delta(tables).version()) == (latest, newest)
    with DuckDBEngine(scratch=f"{tables.warehouse}-scratch").session() as session:
        session.read_table(tables.location(NAME), newest, "found")
        assert session.fetchall("SELECT Id, number FROM found ORDER BY Id") == ANNA_BEN


@pytest.mark.parametrize("name", [NAME, "catalog.schema.never_made"])
def test_a_missing_version_is_named_with_its_table(tables: Tables, name: str):
    # given
    publish(tables, ANNA_BEN)

    # then
    expected = f"{tables.location(name)} has no readable version 7: .* Materialise the table again"
    with pytest.raises(TableNotFoundError, match=expected):
        rows_of(tables, TableVersion(name, 7, 2, "0" * 32))
