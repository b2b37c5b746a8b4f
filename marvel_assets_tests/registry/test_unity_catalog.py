"""What is special to an open-source server: doubled numbers, edited rows, its failures, and the graph's tables."""

import contextlib
from pathlib import Path

import mlflow
import pytest
from deltalake import write_deltalake
from pyarrow import array, table

from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.registry.unity_catalog import UnityCatalogRegistry, register_table
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.graph import run_graph, succeeded
from marvel_assets_tests.registry.backends import Backend, Models, register
from marvel_assets_tests.servers.fault_proxy import FaultProxy, Kind
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

CATALOG = "marvel_machines"
COMMENTS = {"Id": "The id.", "Height": "In metres."}


@pytest.fixture
def server(unity_catalog_server: UnityCatalogServer) -> UnityCatalogServer:
    return unity_catalog_server


@pytest.fixture
def api(server: UnityCatalogServer) -> UnityCatalogApi:
    return UnityCatalogApi(server.url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a model in this test's schema."""
    return f"{CATALOG}.t{abs(hash(request.node.nodeid))}.some_model"


@pytest.fixture
def registry(embedded_registry: Backend, tmp_path: Path, server: UnityCatalogServer) -> UnityCatalogRegistry:
    client = connect(embedded_registry.settings["tracking_uri"], tmp_path / "locks", f"uc:{server.url}")
    api = UnityCatalogApi(server.url, (tmp_path / "files").as_uri())
    return UnityCatalogRegistry(client, tmp_path / "home", api)


@pytest.fixture
def models(embedded_registry: Backend) -> Models:
    return embedded_registry.models


def test_a_number_that_a_foreign_client_was_given_before_is_an_error_until_somebody_deletes_it(
    registry: UnityCatalogRegistry, models: Models, server: UnityCatalogServer, api: UnityCatalogApi, name: str
):
    # given
    register(registry, models[0], name)
    catalog, schema, model = name.split(".")
    theirs = {"model_name": model, "catalog_name": catalog, "schema_name": schema, "source": "theirs"}
    api.call("POST", "models/versions", theirs)
    server.set_back(name)

    # then: also at the next try, which deletes nothing that is not its own
    for _ in range(2):
        with pytest.raises(RegistryError, match=f"{name}: version 2 exists twice on {server.url}: .* Delete that"):
            register(registry, models[1], name)
    assert api.call("GET", f"models/{name}/versions/2")["source"] == "theirs"


@pytest.mark.parametrize(
    ("kind", "call"),
    [(Kind.CUT, "POST .*/models/versions"), (Kind.LOST, "POST .*/models/versions"), (Kind.LOST, "PATCH .*/finalize")],
)
def test_a_version_whose_answer_was_lost_is_there_once(
    registry: UnityCatalogRegistry, server: UnityCatalogServer, models: Models, name: str, kind: Kind, call: str
):
    # given
    registry.ensure_model(name)
    with FaultProxy(server.url) as proxy:
        registry._api.url = proxy.url
        proxy.fail(kind, call)

        # when: MLflow can't repeat every call, so that the first try may fail
        with contextlib.suppress(RegistryError):
            register(registry, models[0], name)
        assert proxy.failed
        proxy.back()
        made = register(registry, models[0], name)

        # then
        assert made.status == "READY"
        assert registry.search_versions(name) == [made]


def test_each_catalog_that_is_created_has_a_folder_of_its_own(
    registry: UnityCatalogRegistry, api: UnityCatalogApi, tmp_path: Path
):
    # when
    registry.ensure_model("marvel_own_folder.characters.some_model")

    # then
    root = api.call("GET", "catalogs/marvel_own_folder")["storage_root"]
    assert root == f"{(tmp_path / 'files').as_uri()}/marvel_own_folder"


@pytest.mark.parametrize(
    ("catalog", "problem"),
    [
        ("marvel_new", "There is no catalog marvel_new on {url}.*MARVEL_UC_STORAGE_ROOT"),
        ("marvel_rootless", "{url} refused POST models: 400 .*FAILED_PRECONDITION.*None of"),
    ],
    ids=["missing", "without a storage root"],
)
def test_a_catalog_that_can_not_be_used_is_named_before_anything_is_registered(
    server: UnityCatalogServer, api: UnityCatalogApi, tmp_path: Path, catalog: str, problem: str
):
    # given
    if not api.call("GET", "catalogs/marvel_rootless"):
        api.call("POST", "catalogs", {"name": "marvel_rootless"})
    registry = UnityCatalogRegistry(mlflow.MlflowClient(), tmp_path, api)

    # then
    with pytest.raises(RegistryError, match=problem.format(url=server.url)):
        registry.ensure_model(f"{catalog}.characters.some_model")


def test_what_is_missing_and_would_be_created_is_not_created_by_a_look(
    server: UnityCatalogServer, api: UnityCatalogApi
):
    # given
    settings = {"tracking_uri": "", "registry_uri": f"uc:{server.url}", "storage_root": "file:///a", "locks": ""}
    resource = UnityCatalog(backend="oss", **settings)

    # when
    problems = resource.problems("looked_at", "characters")

    # then
    assert problems == []
    assert api.call("GET", "catalogs/looked_at") == {}


def test_a_token_that_is_refused_is_reported_and_not_shown(monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MLFLOW_UC_OSS_TOKEN", "canary-token")

    # when
    with UnityCatalogServer(token="another") as server, pytest.raises(RegistryError) as refusal:
        UnityCatalogApi(server.url).call("GET", "catalogs/marvel_new")

    # then
    assert f"{server.url} refused GET catalogs/marvel_new: 401 " in str(refusal.value)
    assert "canary-token" not in str(refusal.value)


@pytest.mark.parametrize("status", [503, None])
def test_a_server_that_refuses_or_is_gone_is_named_with_the_reason(status: int | None):
    # given
    with UnityCatalogServer() as server:
        api, server.fail_with = UnityCatalogApi(server.url), status
        reason = f"refused GET models/a.b.c: {status}"
        if status is None:
            server.__exit__()
            reason = r"can't be reached: \[Errno 111\] Connection refused\. Is"

        # then
        with pytest.raises(RegistryError, match=f"server at {server.url} {reason}"):
            api.call("GET", "models/a.b.c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Delta table, in a folder whose name a URL spells otherwise."""
    made = tmp_path / "a warehouse" / "train_set"
    write_deltalake(made, table({"Id": ["anna"], "Height": [1.7], "Alive": array([1], "int32"), "row": [1]}))
    return made


def registered_table(api: UnityCatalogApi, name: str, folder: Path, comment: str = "To learn from.") -> str:
    locks = folder.parent.parent / "locks"
    return register_table(UnityCatalogApi(api.url, locks.as_uri()), locks, name, folder, comment, COMMENTS)


def columns_of(api: UnityCatalogApi, name: str) -> list[tuple[str, str, str, str]]:
    found = api.call("GET", f"tables/{name}")["columns"]
    return [(row["name"], row["type_name"], row["type_text"], row["comment"]) for row in found]


def test_a_table_is_there_with_its_place_columns_types_and_comments(api: UnityCatalogApi, name: str, folder: Path):
    # when: also what is missing of catalog and schema
    assert registered_table(api, name, folder) == ""

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
        registered_table(api, name, folder, comment)
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
    registered_table(api, name, tmp_path / "theirs")

    # when
    reason = registered_table(api, name, folder)

    # then
    assert f"The table {name} on {api.url} is at {(tmp_path / 'theirs').as_uri()}, not at {folder}" in reason
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
