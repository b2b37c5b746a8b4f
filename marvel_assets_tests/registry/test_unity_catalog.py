"""What is special to an open-source server: doubled numbers, rows that somebody edited, and its failures."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from marvel_assets.model.safe_loading import digest_of_files
from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.registry.unity_catalog import UnityCatalogRegistry
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.tracking.artifacts import FILES_DIGEST, ModelFilesChangedError, digest_at
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.registry.backends import ALIAS, Backend, Models, register
from marvel_assets_tests.servers.fault_proxy import FaultProxy, Kind
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

CATALOG = "marvel_machines"

Home = Callable[[str], UnityCatalogRegistry]


@pytest.fixture
def server(unity_catalog_server: UnityCatalogServer) -> UnityCatalogServer:
    return unity_catalog_server


@pytest.fixture
def api(server: UnityCatalogServer) -> UnityCatalogApi:
    return UnityCatalogApi(server.url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a model in a schema of the test's own."""
    return f"{CATALOG}.t{abs(hash(request.node.nodeid))}.some_model"


@pytest.fixture
def home(embedded_registry: Backend, tmp_path: Path, server: UnityCatalogServer) -> Home:
    """Makes registries of homes that share nothing but the servers."""
    client = connect(embedded_registry.settings["tracking_uri"], tmp_path / "locks", f"uc:{server.url}")
    api = UnityCatalogApi(server.url, (tmp_path / "files").as_uri())
    return lambda home: UnityCatalogRegistry(client, tmp_path / home, api)


@pytest.fixture
def models(embedded_registry: Backend) -> Models:
    return embedded_registry.models


def create_a_foreign_version(api: UnityCatalogApi, name: str) -> None:
    catalog, schema, model = name.split(".")
    body = {"model_name": model, "catalog_name": catalog, "schema_name": schema, "source": "theirs"}
    api.call("POST", "models/versions", body)


def test_a_number_that_a_foreign_client_was_given_before_is_an_error_until_somebody_deletes_it(
    home: Home, models: Models, server: UnityCatalogServer, api: UnityCatalogApi, name: str
):
    # given
    registry = home("first")
    register(registry, models[0], name)
    create_a_foreign_version(api, name)
    server.set_back(name)

    # then: also at the next try, which deletes nothing that is not its own
    for _ in range(2):
        with pytest.raises(
            RegistryError, match=rf"{name}: version 2 exists twice on {server.url}: .* Delete that version"
        ):
            register(registry, models[1], name)
    assert api.call("GET", f"models/{name}/versions/2")["source"] == "theirs"


@pytest.mark.parametrize(
    ("kind", "call"),
    [(Kind.CUT, "POST .*/models/versions"), (Kind.LOST, "POST .*/models/versions"), (Kind.LOST, "PATCH .*/finalize")],
)
def test_a_version_whose_answer_was_lost_is_there_once(
    embedded_registry: Backend,
    server: UnityCatalogServer,
    models: Models,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    call: str,
):
    # given
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with FaultProxy(server.url) as proxy:
        client = connect(embedded_registry.settings["tracking_uri"], tmp_path / "locks", f"uc:{proxy.url}")
        api = UnityCatalogApi(proxy.url, (tmp_path / "files").as_uri())
        registry = UnityCatalogRegistry(client, tmp_path / "locks", api)
        registry.ensure_model(name)
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


def test_another_home_gets_a_versions_files_from_the_catalog_alone(
    home: Home, models: Models, name: str, server: UnityCatalogServer, mlflow_database: Path, tmp_path: Path
):
    # given: a version of a model that the other home's MLflow does not know
    digest = digest_at(f"models:/{models[0].model_id}")
    version = register(home("first"), models[0], name, **{FILES_DIGEST: digest})
    shutil.copyfile(mlflow_database, tmp_path / "mlflow.db")
    other = UnityCatalog(
        backend="oss",
        tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        registry_uri=f"uc:{server.url}",
        locks=str(tmp_path / "locks"),
    )

    # when
    with other.files_of(version) as files:
        found = digest_of_files(files)

    # then
    assert found == digest
    changed = replace(version, tags={FILES_DIGEST: "another"})
    with pytest.raises(ModelFilesChangedError, match=f"{digest}, expected another"), other.files_of(changed):
        pass


def test_an_edited_alias_is_named_with_what_was_expected(home: Home, models: Models, api: UnityCatalogApi, name: str):
    # given
    registry = home("first")
    register(registry, models[0], name)
    registry.set_alias(name, ALIAS, 1)
    assert api.call("GET", f"models/{name}@{ALIAS}")["comment"] == "1"  # as other clients of the server see it

    # then
    for comment in ("the first one", "", "7"):
        api.call("PATCH", f"models/{name}@{ALIAS}", {"comment": comment})
        with pytest.raises(RegistryError, match=f"{name}@{ALIAS} on .*its comment is '{comment}', expected the number"):
            registry.get_version_by_alias(name, ALIAS)


def test_an_edited_comment_is_named_with_its_version(home: Home, models: Models, api: UnityCatalogApi, name: str):
    # given
    registry = home("first")
    register(registry, models[0], name)

    # then
    for edited in ('{"git_sha": ', "[1]", ""):
        api.call("PATCH", f"models/{name}/versions/1", {"comment": f"a model\nmarvel_assets: {edited}"})
        with pytest.raises(RegistryError, match=f"The comment of {name} version 1 on .* was edited: its last line is"):
            registry.search_versions(name)


def test_each_catalog_that_is_created_has_a_folder_of_its_own(home: Home, api: UnityCatalogApi, tmp_path: Path):
    # when
    home("first").ensure_model("marvel_own_folder.characters.some_model")

    # then
    root = api.call("GET", "catalogs/marvel_own_folder")["storage_root"]
    assert root == f"{(tmp_path / 'files').as_uri()}/marvel_own_folder"


@pytest.mark.parametrize(
    ("catalog", "problem"),
    [
        ("marvel_new", "There is no catalog marvel_new on {url}.*MARVEL_UC_STORAGE_ROOT"),
        ("marvel_rootless", "{url} refused POST models: 400 FAILED_PRECONDITION: None of"),
    ],
    ids=["missing", "without a storage root"],
)
def test_a_catalog_that_can_not_be_used_is_named_before_anything_is_registered(
    server: UnityCatalogServer, api: UnityCatalogApi, tmp_path: Path, catalog: str, problem: str
):
    # given
    api.create("catalogs", {"name": "marvel_rootless"})
    registry = UnityCatalogRegistry(mlflow.MlflowClient(), tmp_path, api)

    # then
    with pytest.raises(RegistryError, match=problem.format(url=server.url)):
        registry.ensure_model(f"{catalog}.characters.some_model")


def test_what_is_missing_and_would_be_created_is_not_created_by_a_look(
    server: UnityCatalogServer, api: UnityCatalogApi, tmp_path: Path
):
    # given
    resource = UnityCatalog(
        backend="oss",
        tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        registry_uri=f"uc:{server.url}",
        storage_root=tmp_path.as_uri(),
        locks=str(tmp_path / "locks"),
    )

    # when
    problems = resource.problems("looked_at", "characters")

    # then
    assert problems == []
    assert api.find("catalogs/looked_at") is None
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_is_refused_is_reported_and_not_shown(monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MLFLOW_UC_OSS_TOKEN", "canary-token")

    # when
    with UnityCatalogServer(token="another") as server, pytest.raises(RegistryError) as refusal:
        UnityCatalogApi(server.url).find("catalogs/marvel_new")

    # then
    assert f"{server.url} refused GET catalogs/marvel_new: 401 UNAUTHENTICATED" in str(refusal.value)
    assert "canary-token" not in str(refusal.value)


@pytest.mark.parametrize("status", [500, 503, 403])
def test_a_server_that_refuses_is_named_with_its_answer(status: int):
    # given
    with UnityCatalogServer() as server:
        server.fail_with = status

        # then
        with pytest.raises(RegistryError, match=f"{server.url} refused GET models/a.b.c: {status}"):
            UnityCatalogApi(server.url).find("models/a.b.c")


def test_a_server_that_is_gone_is_named():
    # given
    with UnityCatalogServer() as server:
        url = server.url

    # then
    with pytest.raises(
        RegistryError, match=rf"server at {url} can't be reached: \[Errno 111\] Connection refused\. Is"
    ):
        UnityCatalogApi(url).find("models/a.b.c")
