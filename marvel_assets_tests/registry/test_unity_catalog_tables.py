"""The graph's Delta tables under their names on an open-source Unity Catalog server."""

from pathlib import Path

import pytest
from deltalake import write_deltalake
from pyarrow import array, table

from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.unity_catalog import register_table
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets_tests.graph import run_graph, succeeded
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

COMMENTS = {"Id": "The id.", "Height": "In metres."}


@pytest.fixture
def api(unity_catalog_server: UnityCatalogServer) -> UnityCatalogApi:
    return UnityCatalogApi(unity_catalog_server.url, "file:///tmp/not-written-to")


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"marvel_tables.{tmp_path.name.replace('-', '_')}.train_set"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Delta table, in a folder whose name a URL spells otherwise."""
    made = tmp_path / "a warehouse" / "train_set"
    write_deltalake(made, table({"Id": ["anna"], "Height": [1.7], "Alive": array([1], "int32"), "row": [1]}))
    return made


def register(api: UnityCatalogApi, name: str, folder: Path, comment: str = "To learn from.") -> str:
    return register_table(api, folder.parent.parent / "locks", name, folder, comment, COMMENTS)


def columns_of(api: UnityCatalogApi, name: str) -> list[tuple[str, str, str, str]]:
    found = api.call("GET", f"tables/{name}")["columns"]
    return [(row["name"], row["type_name"], row["type_text"], row["comment"]) for row in found]


def test_a_table_is_there_with_its_place_columns_types_and_comments(api: UnityCatalogApi, name: str, folder: Path):
    # when: also what is missing of catalog and schema
    assert register(api, name, folder) == ""

    # then
    found = api.call("GET", f"tables/{name}")
    assert (found["table_type"], found["data_source_format"]) == ("EXTERNAL", "DELTA")
    assert (found["comment"], found["storage_location"]) == ("To learn from.", folder.as_uri())
    assert columns_of(api, name) == [
        ("Id", "STRING", "string", "The id."),
        ("Height", "DOUBLE", "double", "In metres."),
        ("Alive", "INT", "int", ""),
        ("row", "LONG", "bigint", ""),
    ]


def test_it_is_made_anew_where_its_columns_or_comments_change_and_only_there(
    api: UnityCatalogApi, name: str, folder: Path
):
    # given
    def id_after(comment: str = "To learn from.") -> str:
        register(api, name, folder, comment)
        return str(api.call("GET", f"tables/{name}")["id"])

    first, again, described_anew = id_after(), id_after(), id_after("To fit on.")

    # when
    write_deltalake(folder, table({"Id": ["anna"], "Magic": [True]}), mode="overwrite", schema_mode="overwrite")
    widened = id_after("To fit on.")

    # then
    assert first == again
    assert len({first, described_anew, widened}) == 3
    assert columns_of(api, name) == [("Id", "STRING", "string", "The id."), ("Magic", "BOOLEAN", "boolean", "")]


def test_a_table_of_somebody_else_under_that_name_is_left_as_it_is(
    api: UnityCatalogApi, name: str, folder: Path, tmp_path: Path
):
    # given
    write_deltalake(tmp_path / "theirs", table({"Id": ["ben"]}))
    register(api, name, tmp_path / "theirs")

    # when
    reason = register(api, name, folder)

    # then
    assert f"The table {name} on {api.url} is at {tmp_path / 'theirs'}, not at {folder}" in reason
    assert api.call("GET", f"tables/{name}")["storage_location"] == (tmp_path / "theirs").as_uri()


@pytest.mark.integration
def test_a_run_registers_each_of_its_tables_also_those_that_it_finds_unchanged(
    home: ProjectPaths, api: UnityCatalogApi, monkeypatch: pytest.MonkeyPatch
):
    # given: tables that were made without a server
    tables = ("raw_characters", "train_set", "test_set", "rejected_characters")
    select = ",".join(tables)
    succeeded(run_graph(home, select=select))
    monkeypatch.setenv("MARVEL_UC_URL", api.url)
    monkeypatch.setenv("MARVEL_UC_STORAGE_ROOT", (home.root / "models").as_uri())

    # when
    succeeded(run_graph(home, select=select))

    # then
    for table_name in tables:
        found = api.call("GET", f"tables/marvel_dev.marvel_characters.{table_name}")
        assert found["comment"]
        assert all(column["comment"] for column in found["columns"])
        place = home.warehouse / "marvel_dev" / "marvel_characters" / table_name
        assert found["storage_location"] == place.as_uri()
