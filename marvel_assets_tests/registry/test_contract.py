"""The contract of the model catalog. Every backend passes the same suite: add one to ``BACKENDS``."""

import json
import logging
import multiprocessing
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from marvel_assets.paths import Home
from marvel_assets.registry.base import CatalogError, CatalogVersion, ModelCatalog
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.servers.databricks import DatabricksWorkspace, Registry
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

CATALOG = "marvel_contract_suite"
NAME = f"{CATALOG}.tests.some_model"
OTHER = f"{CATALOG}.tests.other_model"
ALIAS = "latest-model"
VERSIONS_OF_A_MODEL = "mlflow.modelVersions"
AWKWARD = """it's "so": `x` = 'y' and \\ % ✓"""


@dataclass(frozen=True)
class Logged:
    """A model that a run has logged."""

    model_id: str
    run_id: str


@dataclass(frozen=True)
class Backend:
    """A catalog under test, and what the suite needs around it.

    Attributes:
        settings: of the client.
        models: logged models that nobody has registered yet.
        set_status: makes a version look as if the registry were not done with it; None where nothing can do so.
    """

    settings: dict[str, str]
    models: tuple[Logged, Logged, Logged]
    set_status: Callable[[str, int, str], None] | None

    @property
    def catalog(self) -> ModelCatalog:
        return UnityCatalog(**self.settings).catalog()


@pytest.fixture(scope="session")
def home_with_models(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> tuple[Home, list[Logged]]:
    """Three small models, logged once. Their artifacts are only read."""
    home = Home(tmp_path_factory.mktemp("models"))
    home.mlflow_database.parent.mkdir(parents=True)
    shutil.copyfile(mlflow_database, home.mlflow_database)
    client = connect(f"sqlite:///{home.mlflow_database}", home.locks)
    return home, log_models(client.create_experiment("/models", home.mlflow_artifacts.as_uri()))


def log_models(experiment: str) -> list[Logged]:
    """Log three models where MLflow is connected to."""
    models = []
    for _ in range(3):
        mlflow.set_experiment(experiment_id=experiment)
        with mlflow.start_run(experiment_id=experiment) as run:
            fitted = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
            signature = mlflow.models.infer_signature(np.array([[0.0]]), np.array([0]))
            info = mlflow.sklearn.log_model(fitted, name="model", pip_requirements=[], signature=signature)
            models.append(Logged(info.model_id, run.info.run_id))
    return models


def embedded(request: pytest.FixtureRequest) -> Iterator[Backend]:
    template, models = request.getfixturevalue("home_with_models")
    home: Home = request.getfixturevalue("home")
    shutil.copyfile(template.mlflow_database, home.mlflow_database)
    logging.getLogger("mlflow").setLevel(logging.WARNING)

    def set_status(name: str, version: int, status: str) -> None:
        with closing(sqlite3.connect(home.mlflow_database)) as database, database:
            changed = database.execute(
                "UPDATE model_versions SET status = ? WHERE name = ? AND version = ?", (status, name, version)
            )
            assert changed.rowcount == 1

    store = f"sqlite:///{home.mlflow_database}"
    settings = {"tracking_uri": store, "registry_uri": store, "locks": str(home.locks)}
    yield Backend(settings, tuple(models), set_status)


def oss(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The real server that MARVEL_UC_URL names, else the tests' own."""
    template, models = request.getfixturevalue("home_with_models")
    home: Home = request.getfixturevalue("home")
    shutil.copyfile(template.mlflow_database, home.mlflow_database)
    folder: Path = request.getfixturevalue("tmp_path")
    settings = {
        "backend": "oss",
        "tracking_uri": f"sqlite:///{home.mlflow_database}",
        "storage_root": os.environ.get("MARVEL_UC_STORAGE_ROOT") or (folder / "catalog").as_uri(),
        "locks": str(home.locks),
    }
    if url := os.environ.get("MARVEL_UC_URL"):
        api = UnityCatalogApi(url)
        if api.find("CatalogsApi", "get_catalog", name=CATALOG) is not None:
            api.call("CatalogsApi", "delete_catalog", name=CATALOG, force=True)
        yield Backend({**settings, "registry_uri": f"uc:{url}"}, tuple(models), None)
        return
    with UnityCatalogServer(token="of-the-tests", race_seconds=0.005) as server:
        request.getfixturevalue("monkeypatch").setenv("MLFLOW_UC_OSS_TOKEN", "of-the-tests")
        yield Backend({**settings, "registry_uri": f"uc:{server.url}"}, tuple(models), server.set_status)


@pytest.fixture(scope="session")
def workspace_with_models(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[DatabricksWorkspace, list[Logged]]]:
    """The tests' own workspace, where three small models were logged once."""
    with (
        DatabricksWorkspace(tmp_path_factory.mktemp("workspace")) as workspace,
        pytest.MonkeyPatch.context() as environment,
    ):
        log_in(environment, workspace)
        connect("databricks", workspace.folder / "locks", "databricks-uc")
        yield workspace, log_models(mlflow.create_experiment("/Shared/models"))


def log_in(environment: pytest.MonkeyPatch, workspace: DatabricksWorkspace) -> None:
    environment.setenv("DATABRICKS_HOST", workspace.url)
    environment.setenv("DATABRICKS_TOKEN", workspace.token)


@pytest.fixture(scope="session")
def models_on_databricks(tmp_path_factory: pytest.TempPathFactory) -> list[Logged]:
    """Three small models, logged once in the workspace of a real profile."""
    connect("databricks", tmp_path_factory.mktemp("locks"), "databricks-uc")
    experiment = mlflow.set_experiment(f"/Shared/{CATALOG}")
    return log_models(experiment.experiment_id)


def databricks(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The workspace that DATABRICKS_CONFIG_PROFILE names, where the catalog must exist, else the tests' own."""
    if os.environ.get("DATABRICKS_CONFIG_PROFILE"):
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.errors import NotFound

        with suppress(NotFound):
            WorkspaceClient().schemas.delete(f"{CATALOG}.tests", force=True)
        home = request.getfixturevalue("home")
        stores = {"tracking_uri": "databricks", "registry_uri": "databricks-uc", "locks": str(home.locks)}
        yield Backend({"backend": "databricks", **stores}, tuple(request.getfixturevalue("models_on_databricks")), None)
        return
    workspace, models = request.getfixturevalue("workspace_with_models")
    home: Home = request.getfixturevalue("home")
    log_in(request.getfixturevalue("monkeypatch"), workspace)
    workspace.registry = Registry()
    workspace.registry.catalogs.add(CATALOG)
    settings = {
        "backend": "databricks",
        "tracking_uri": "databricks",
        "registry_uri": "databricks-uc",
        "locks": str(home.locks),
    }
    yield Backend(settings, tuple(models), workspace.set_status)


BACKENDS = {"embedded": embedded, "oss": oss, "databricks": databricks}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with contextmanager(BACKENDS[request.param])(request) as made:
        made.catalog.ensure_schema(*NAME.split(".")[:2])
        yield made


@pytest.fixture
def catalog(backend: Backend) -> ModelCatalog:
    return backend.catalog


def register(catalog: ModelCatalog, model: Logged, name: str = NAME, **tags: str) -> CatalogVersion:
    return catalog.register(name, model.model_id, tags, description="made by a test")


def register_in_a_process(settings: dict[str, str], model_id: str) -> int:
    return UnityCatalog(**settings).catalog().register(NAME, model_id, {}, "made by a test").version


def test_the_first_registration_is_version_1_and_tells_what_it_was_made_of(backend: Backend, catalog: ModelCatalog):
    # given
    model = backend.models[0]

    # when
    made = register(catalog, model, git_sha="abc")

    # then
    assert made == CatalogVersion(NAME, 1, model.model_id, model.run_id, "READY", {"git_sha": "abc"}, "made by a test")


def test_another_model_makes_the_next_version(backend: Backend, catalog: ModelCatalog):
    # when
    numbers = [register(catalog, model).version for model in backend.models]

    # then
    assert numbers == [1, 2, 3]


def test_the_same_model_never_makes_a_second_version(backend: Backend, catalog: ModelCatalog):
    # given
    first, second = (register(catalog, model) for model in backend.models[:2])

    # when
    again = [register(catalog, model) for model in backend.models[:2]]

    # then
    assert [version.version for version in again] == [first.version, second.version]
    assert len(catalog.versions(NAME)) == 2


def test_registering_again_makes_up_for_the_note_on_the_model_that_a_killed_process_did_not_come_to(
    backend: Backend, catalog: ModelCatalog
):
    # given
    client, model_id = mlflow.MlflowClient(), backend.models[0].model_id
    register(catalog, backend.models[0])
    before = client.get_logged_model(model_id).tags
    if VERSIONS_OF_A_MODEL in before:
        client.delete_logged_model_tag(model_id, VERSIONS_OF_A_MODEL)

    # when
    register(catalog, backend.models[0])

    # then: other tests have registered the model, too
    after = client.get_logged_model(model_id).tags
    assert after.keys() == before.keys()
    if VERSIONS_OF_A_MODEL in after:
        assert json.loads(after[VERSIONS_OF_A_MODEL]) == [{"name": NAME, "version": "1"}]


def test_the_same_model_may_stand_under_two_names(backend: Backend, catalog: ModelCatalog):
    # when
    made = [register(catalog, backend.models[0], name) for name in (NAME, OTHER)]

    # then
    assert [(version.name, version.version) for version in made] == [(NAME, 1), (OTHER, 1)]


def test_threads_that_register_the_same_model_make_one_version(backend: Backend, catalog: ModelCatalog):
    # when
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda _: register(catalog, backend.models[0]).version, range(6)))

    # then
    assert made == [1] * 6
    assert [version.version for version in catalog.versions(NAME)] == [1]


def test_threads_that_register_models_of_their_own_make_a_version_each(backend: Backend, catalog: ModelCatalog):
    # when
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda model: register(catalog, model).version, backend.models))

    # then
    assert sorted(made) == [1, 2, 3]


def test_processes_that_register_the_same_model_make_one_version(backend: Backend):
    # given
    settings = backend.settings

    # when
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.starmap(register_in_a_process, [(settings, backend.models[0].model_id)] * 6, chunksize=1)

    # then
    assert made == [1] * 6
    assert [version.version for version in backend.catalog.versions(NAME)] == [1]


def test_a_model_that_was_never_logged_is_refused_and_makes_no_version(catalog: ModelCatalog):
    # when
    with pytest.raises(CatalogError, match=f"{NAME}: m-0000 can't be registered"):
        register(catalog, Logged("m-0000", ""))

    # then
    assert list(catalog.versions(NAME)) == []


def test_a_registered_version_can_be_loaded_by_its_number(backend: Backend, catalog: ModelCatalog):
    # given
    made = register(catalog, backend.models[0])

    # when
    model = mlflow.sklearn.load_model(f"models:/{NAME}/{made.version}")

    # then
    assert list(model.predict([[0.0], [1.0]])) == [0, 1]


def test_registering_leaves_the_logged_model_in_place(backend: Backend, catalog: ModelCatalog):
    # when
    register(catalog, backend.models[0])

    # then
    model = mlflow.sklearn.load_model(f"models:/{backend.models[0].model_id}")
    assert list(model.predict([[0.0], [1.0]])) == [0, 1]


def test_a_version_that_is_ready_is_not_waited_for(backend: Backend, catalog: ModelCatalog):
    # given
    made = register(catalog, backend.models[0])

    # then
    assert catalog.wait_until_ready(NAME, made.version, seconds=0) == made


def test_waiting_ends_when_the_version_is_ready(backend: Backend, catalog: ModelCatalog):
    if backend.set_status is None:
        pytest.skip("nothing can hold back this backend's versions")
    # given
    register(catalog, backend.models[0])
    backend.set_status(NAME, 1, "PENDING_REGISTRATION")

    # when
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(catalog.wait_until_ready, NAME, 1, 120)
        backend.set_status(NAME, 1, "READY")

        # then
        assert waiting.result().status == "READY"


@pytest.mark.parametrize("status", ["PENDING_REGISTRATION", "FAILED_REGISTRATION"])
def test_an_alias_is_not_set_to_a_version_that_is_not_ready(backend: Backend, catalog: ModelCatalog, status: str):
    if backend.set_status is None:
        pytest.skip("nothing can hold back this backend's versions")
    # given
    for model in backend.models[:2]:
        register(catalog, model)
    catalog.set_alias(NAME, ALIAS, 1)
    backend.set_status(NAME, 2, status)

    # when
    with pytest.raises(CatalogError, match=f"{NAME} version 2 is {status}"):
        catalog.set_alias(NAME, ALIAS, 2)

    # then
    assert catalog.version_under(NAME, ALIAS).version == 1


@pytest.mark.parametrize(("name", "version"), [(NAME, 7), (OTHER, 1)])
def test_a_version_that_does_not_exist_is_named(backend: Backend, catalog: ModelCatalog, name: str, version: int):
    # given
    register(catalog, backend.models[0])

    # then
    with pytest.raises(CatalogError, match=f"{name} version {version}"):
        catalog.wait_until_ready(name, version, seconds=0)
    with pytest.raises(CatalogError, match=f"{name} version {version}"):
        catalog.set_alias(name, ALIAS, version)


def test_an_alias_points_at_the_version_that_it_was_set_to(backend: Backend, catalog: ModelCatalog):
    # given
    made = [register(catalog, model) for model in backend.models[:2]]

    # when
    catalog.set_alias(NAME, ALIAS, 1)

    # then
    assert catalog.version_under(NAME, ALIAS) == made[0]


@pytest.mark.parametrize("target", [1, 3], ids=["back", "forward"])
def test_an_alias_moves_both_ways(backend: Backend, catalog: ModelCatalog, target: int):
    # given
    for model in backend.models:
        register(catalog, model)
    catalog.set_alias(NAME, ALIAS, 2)

    # when
    catalog.set_alias(NAME, ALIAS, target)

    # then
    assert catalog.version_under(NAME, ALIAS).version == target


def test_aliases_do_not_touch_one_another(backend: Backend, catalog: ModelCatalog):
    # given
    for model in backend.models[:2]:
        register(catalog, model)
    register(catalog, backend.models[0], OTHER)
    catalog.set_alias(NAME, ALIAS, 2)
    catalog.set_alias(NAME, "previous", 1)
    catalog.set_alias(OTHER, ALIAS, 1)

    # when
    catalog.delete_alias(NAME, ALIAS)

    # then
    assert catalog.version_under(NAME, ALIAS) is None
    assert catalog.version_under(NAME, "previous").version == 1
    assert catalog.version_under(OTHER, ALIAS).version == 1


def test_deleting_an_alias_keeps_the_versions(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0])
    catalog.set_alias(NAME, ALIAS, 1)

    # when
    catalog.delete_alias(NAME, ALIAS)

    # then
    assert [version.version for version in catalog.versions(NAME)] == [1]


@pytest.mark.parametrize("name", [NAME, OTHER], ids=["no such alias", "no such model"])
def test_deleting_an_alias_that_is_not_there_does_nothing(backend: Backend, catalog: ModelCatalog, name: str):
    # given
    register(catalog, backend.models[0])

    # when
    catalog.delete_alias(name, ALIAS)

    # then
    assert catalog.version_under(name, ALIAS) is None


def test_an_alias_makes_no_version_and_no_model_of_its_own(backend: Backend, catalog: ModelCatalog):
    # given
    made = register(catalog, backend.models[0])

    # when
    catalog.set_alias(NAME, ALIAS, 1)

    # then
    assert list(catalog.versions(NAME)) == [made]


def test_versions_come_newest_first(backend: Backend, catalog: ModelCatalog):
    # given
    for model in backend.models:
        register(catalog, model)

    # then
    assert [version.version for version in catalog.versions(NAME)] == [3, 2, 1]


def test_versions_of_other_models_are_not_found(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], f"{NAME}_longer")
    register(catalog, backend.models[1])

    # then
    assert [version.model_id for version in catalog.versions(NAME)] == [backend.models[1].model_id]


def test_an_unknown_model_has_no_versions_and_no_alias(catalog: ModelCatalog):
    # then
    assert list(catalog.versions(NAME)) == []
    assert list(catalog.versions_tagged(NAME, "key", "value")) == []
    assert catalog.version_under(NAME, ALIAS) is None


@pytest.mark.parametrize("value", ["plain", "with spaces", "it's", '"quoted"', AWKWARD])
def test_versions_are_found_by_a_tag_that_was_registered(backend: Backend, catalog: ModelCatalog, value: str):
    # given
    register(catalog, backend.models[0], source=value)
    register(catalog, backend.models[1], source="another")
    register(catalog, backend.models[2], source=value)

    # then
    assert [version.version for version in catalog.versions_tagged(NAME, "source", value)] == [3, 1]


def test_a_tag_is_found_by_its_whole_value_and_its_own_key(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], source="abc", other="ab")

    # then
    assert list(catalog.versions_tagged(NAME, "source", "ab")) == []
    assert list(catalog.versions_tagged(NAME, "absent", "abc")) == []


def test_tags_can_be_added_and_changed_later(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], kept="as it was", changed="before")

    # when
    catalog.set_tags(NAME, 1, {"changed": "after", "key with blanks": AWKWARD})

    # then
    [version] = catalog.versions(NAME)
    assert version.tags == {"kept": "as it was", "changed": "after", "key with blanks": AWKWARD}
    assert list(catalog.versions_tagged(NAME, "key with blanks", AWKWARD)) == [version]


def test_tags_of_one_version_are_not_those_of_another(backend: Backend, catalog: ModelCatalog):
    # given
    for model in backend.models[:2]:
        register(catalog, model)

    # when
    catalog.set_tags(NAME, 2, {"only": "two"})

    # then
    assert [version.version for version in catalog.versions_tagged(NAME, "only", "two")] == [2]


@pytest.mark.parametrize("name", ["model", "schema.model", "a.b.c.d", "a..c", ".b.c", "a.b.", "", "a.b.c'd"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda catalog, name: register(catalog, Logged("m-0000", ""), name),
        lambda catalog, name: catalog.versions(name),
        lambda catalog, name: catalog.versions_tagged(name, "key", "value"),
        lambda catalog, name: catalog.version_under(name, ALIAS),
        lambda catalog, name: catalog.set_alias(name, ALIAS, 1),
        lambda catalog, name: catalog.wait_until_ready(name, 1, 0),
    ],
    ids=["register", "versions", "versions_tagged", "version_under", "set_alias", "wait_until_ready"],
)
def test_a_name_without_three_levels_is_refused(
    catalog: ModelCatalog, name: str, ask: Callable[[ModelCatalog, str], object]
):
    # then
    with pytest.raises(CatalogError, match=r"is no catalog.schema.model; name all three levels"):
        ask(catalog, name)


def test_another_process_sees_what_was_registered(backend: Backend, catalog: ModelCatalog):
    from marvel_assets_tests.commands import python, succeeded

    # given
    register(catalog, backend.models[0])
    catalog.set_alias(NAME, ALIAS, 1)
    program = (
        "from marvel_assets.registry.resource import UnityCatalog;"
        f"made = UnityCatalog(**{backend.settings!r});"
        f"print(made.catalog().version_under({NAME!r}, {ALIAS!r}).model_id)"
    )

    # then
    of_the_client = {name: value for name, value in os.environ.items() if name == "MLFLOW_UC_OSS_TOKEN"}
    assert succeeded(python("-c", program, **of_the_client)).stdout.split() == [backend.models[0].model_id]


def test_the_description_is_kept_beside_the_tags(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], kept="tag")

    # when
    catalog.set_description(NAME, 1, AWKWARD)
    catalog.set_tags(NAME, 1, {"more": "tags"})

    # then
    [version] = catalog.versions(NAME)
    assert (version.description, version.tags) == (AWKWARD, {"kept": "tag", "more": "tags"})


def test_the_models_of_a_schema_are_listed_and_aliases_are_not_among_them(backend: Backend, catalog: ModelCatalog):
    # given
    for name in (NAME, OTHER):
        register(catalog, backend.models[0], name)
        catalog.set_alias(name, ALIAS, 1)

    # then
    assert list(catalog.models(*NAME.split(".")[:2])) == [OTHER, NAME]
    assert list(catalog.models(CATALOG, "no_such_schema")) == []
