"""What the contract suite can't ask of every backend: several machines on one open-source server, and its failures."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from unitycatalog.client import CreateModelVersion

from marvel_assets.registry import server_lock
from marvel_assets.registry.base import CatalogError
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.registry.server_lock import ServerLock
from marvel_assets.registry.unity_catalog import OpenSourceCatalog
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.registry.backends import ALIAS, Backend, Models, register
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

CATALOG = "marvel_machines"
MACHINES = ("first", "second", "third")

Machine = Callable[[str], OpenSourceCatalog]


@pytest.fixture
def server(unity_catalog_server: UnityCatalogServer) -> UnityCatalogServer:
    return unity_catalog_server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a model in a schema of the test's own."""
    return f"{CATALOG}.t{abs(hash(request.node.nodeid))}.some_model"


@pytest.fixture
def machine(embedded_registry: Backend, tmp_path: Path, server: UnityCatalogServer, name: str) -> Machine:
    """Makes clients that share nothing but the servers: each has a lock folder and a name of its own."""
    client = connect(embedded_registry.settings["tracking_uri"], tmp_path / "locks", f"uc:{server.url}")

    def made(machine: str) -> OpenSourceCatalog:
        return OpenSourceCatalog(client, tmp_path / machine, server.url, (tmp_path / "files").as_uri(), machine)

    made("first").ensure_schema(*name.split(".")[:2])
    return made


@pytest.fixture
def models(embedded_registry: Backend) -> Models:
    return embedded_registry.models


def test_machines_that_register_models_of_their_own_get_numbers_of_their_own(
    machine: Machine, models: Models, name: str
):
    # given
    clients = [machine(name) for name in MACHINES]

    # when
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda pair: register(*pair, name).version, zip(clients, models, strict=True)))

    # then
    assert sorted(made) == [1, 2, 3]


def test_machines_that_register_the_same_model_make_one_version(machine: Machine, models: Models, name: str):
    # given
    clients = [machine(name) for name in MACHINES]

    # when
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda client: register(client, models[0], name).version, clients))

    # then
    assert made == [1, 1, 1]
    assert [version.version for version in clients[0].versions(name)] == [1]


def test_tags_that_machines_set_at_once_are_all_kept(machine: Machine, models: Models, name: str):
    # given
    clients = [machine(name) for name in MACHINES]
    register(clients[0], models[0], name)

    # when
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda place: clients[place % 3].set_tags(name, 1, {f"tag {place}": "set"}), range(9)))

    # then
    [version] = clients[0].versions(name)
    assert sorted(version.tags) == [f"tag {place}" for place in range(9)]


def test_an_alias_that_machines_move_at_once_is_one_and_points_at_a_version(
    machine: Machine, models: Models, name: str
):
    # given
    clients = [machine(name) for name in MACHINES]
    for model in models:
        register(clients[0], model, name)

    # when
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda place: clients[place % 3].set_alias(name, ALIAS, 1 + place % 3), range(9)))

    # then
    api = clients[0]._api
    [page] = api.pages(
        "RegisteredModelsApi", "list_registered_models", catalog_name=CATALOG, schema_name=name.split(".")[1]
    )
    assert [model.name for model in page.registered_models].count(f"some_model@{ALIAS}") == 1
    assert clients[1].version_under(name, ALIAS).version in {1, 2, 3}


def test_another_client_of_the_server_sees_the_alias(
    machine: Machine, models: Models, server: UnityCatalogServer, name: str
):
    # given
    register(machine("first"), models[0], name)
    machine("first").set_alias(name, ALIAS, 1)

    # when
    pointer = UnityCatalogApi(server.url).call(
        "RegisteredModelsApi", "get_registered_model", full_name=f"{name}@{ALIAS}"
    )

    # then
    assert pointer.comment == "1"


def test_a_number_that_a_foreign_client_was_given_too_is_noticed(
    machine: Machine, models: Models, server: UnityCatalogServer, name: str
):
    # given: a client without our lock, whose creation races with ours
    catalog = machine("first")
    register(catalog, models[0], name)
    foreign = CreateModelVersion(
        model_name="some_model", catalog_name=CATALOG, schema_name=name.split(".")[1], source="theirs", run_id=""
    )
    api = UnityCatalogApi(server.url)
    api.call("ModelVersionsApi", "create_model_version", create_model_version=foreign)
    server.set_back(name)

    # then: when it happens, at every later try, and when an alias is to be set
    told = f"{name} version 2 was given twice on {server.url}"
    with pytest.raises(CatalogError, match=told):
        register(catalog, models[1], name)
    with pytest.raises(CatalogError, match=told):
        register(catalog, models[1], name)
    server.set_status(name, 2, "READY")
    with pytest.raises(CatalogError, match=told):
        catalog.set_alias(name, ALIAS, 2)


def test_a_version_whose_maker_died_is_made_anew(
    machine: Machine, models: Models, server: UnityCatalogServer, name: str
):
    # given
    catalog = machine("first")
    register(catalog, models[0], name)
    server.set_status(name, 1, "PENDING_REGISTRATION")

    # when
    made = register(catalog, models[0], name)

    # then
    assert (made.version, made.status) == (2, "READY")
    assert [version.version for version in catalog.versions(name)] == [2]


def test_the_lock_of_a_client_that_died_is_passed_over(
    machine: Machine, models: Models, server: UnityCatalogServer, name: str
):
    # given: a client that drew a number and was never heard of again
    register(machine("first"), models[0], name)
    dead = ServerLock(UnityCatalogApi(server.url), name, "dead")
    dead._write(server_lock.Intent(ticket=1))

    # when
    waiting = ServerLock(UnityCatalogApi(server.url), name, "waiting", stale_seconds=0.5)
    with waiting.held():
        # then
        assert dead._others()["waiting"].ticket == 2


def test_a_client_that_lives_is_waited_for(machine: Machine, models: Models, server: UnityCatalogServer, name: str):
    # given
    register(machine("first"), models[0], name)
    order = []
    api = UnityCatalogApi(server.url)

    def second() -> None:
        with ServerLock(api, name, "second").held():
            order.append("second")

    # when
    with ServerLock(api, name, "first").held():
        waiting = threading.Thread(target=second)
        waiting.start()
        while not ServerLock(api, name, "onlooker")._others().get("second", server_lock.Intent()).ticket:
            time.sleep(0.01)
        order.append("first")
    waiting.join()

    # then
    assert order == ["first", "second"]


def test_a_catalog_that_is_missing_is_named_with_the_way_to_have_it(server: UnityCatalogServer, tmp_path: Path):
    # given
    catalog = OpenSourceCatalog(mlflow.MlflowClient(), tmp_path, server.url, None, "first")

    # then
    with pytest.raises(CatalogError, match=r"There is no catalog marvel_new on http.*MARVEL_UC_STORAGE_ROOT"):
        catalog.ensure_schema("marvel_new", "characters")


def test_what_is_missing_and_would_be_created_is_not_created_by_a_look(server: UnityCatalogServer, tmp_path: Path):
    # given
    database = tmp_path / "mlflow.db"
    resource = UnityCatalog(
        backend="oss",
        tracking_uri=f"sqlite:///{database}",
        registry_uri=f"uc:{server.url}",
        storage_root=tmp_path.as_uri(),
        locks=str(tmp_path / "locks"),
    )

    # when
    problems = resource.problems("looked_at", "characters")

    # then
    assert problems == []
    assert UnityCatalogApi(server.url).find("CatalogsApi", "get_catalog", name="looked_at") is None
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_is_refused_is_told_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MLFLOW_UC_OSS_TOKEN", "canary-token")
    with UnityCatalogServer(token="another") as server:
        catalog = OpenSourceCatalog(mlflow.MlflowClient(), tmp_path, server.url, None, "first")

        # when
        with pytest.raises(CatalogError) as told:
            catalog.ensure_schema("marvel_new", "characters")

    # then
    assert f"{server.url} refused get_catalog: 401" in str(told.value)
    assert "canary-token" not in str(told.value)


@pytest.mark.parametrize("status", [500, 503, 403])
def test_a_server_that_refuses_is_named_with_its_answer(tmp_path: Path, status: int):
    # given
    with UnityCatalogServer() as server:
        catalog = OpenSourceCatalog(mlflow.MlflowClient(), tmp_path, server.url, None, "first")
        server.fail_with = status

        # then
        with pytest.raises(CatalogError, match=f"{server.url} refused .*: {status}"):
            catalog.versions("a.b.c")


def test_a_server_that_is_gone_is_named_at_once(tmp_path: Path):
    # given
    with UnityCatalogServer() as server:
        url = server.url
    catalog = OpenSourceCatalog(mlflow.MlflowClient(), tmp_path, url, None, "first")

    # then
    with pytest.raises(CatalogError, match=f"The Unity Catalog server at {url} can't be reached"):
        catalog.versions("a.b.c")


def test_a_notebook_whose_loop_is_running_can_ask(server: UnityCatalogServer):
    # given
    async def cell() -> object:
        return UnityCatalogApi(server.url).find("CatalogsApi", "get_catalog", name="absent")

    # then
    assert asyncio.run(cell()) is None
