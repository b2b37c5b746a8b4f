"""The model registries under test: each lives a session, and each test has its own schema in it."""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import ModelRegistry, ModelVersion
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.servers.databricks import DatabricksWorkspace
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

CATALOG = "marvel_contract_suite"
ALIAS = "latest-model"


Models = list[Any]
"""What MLflow returns for logged models: their ids, and the runs' ids."""


@dataclass(frozen=True)
class Backend:
    """A registry under test, and what the suite needs around it.

    Attributes:
        settings: of the client.
        models: logged models that nobody has registered yet under this test's names.
        set_status: makes a version look as if the registry were not done with it; None where nothing can do so.
        environment: variables that the client reads.
        schema: the test's own.
    """

    settings: dict[str, str]
    models: Models
    set_status: Callable[[str, int, str], None] | None
    environment: Mapping[str, str] = field(default_factory=dict)
    schema: str = ""

    @property
    def registry(self) -> ModelRegistry:
        return UnityCatalog(**self.settings).registry()

    @property
    def name(self) -> str:
        """Of a model that is not there yet."""
        return f"{CATALOG}.{self.schema}.some_model"


def register(registry: ModelRegistry, model: Any, name: str, **tags: str) -> ModelVersion:
    return registry.register(name, model.model_id, tags, description="made by a test")


def config_of(backend: Backend, project: Path) -> ProjectConfig:
    """The project's configuration, with the names of the test's schema."""
    config = ProjectConfig.from_yaml(project)
    return config.model_copy(update={"catalog_name": CATALOG, "schema_name": backend.schema})


def pairs_of(backend: Backend, project: Path) -> ModelPairs:
    return ModelPairs(backend.registry, config_of(backend, project))


def log_models(experiment: str) -> Models:
    """Log three models where MLflow is connected to."""
    import mlflow
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment(experiment_id=experiment)
    rows, models = np.array([[0.0], [1.0]]), []
    signature = mlflow.models.infer_signature(rows, np.array([0, 1]))
    for _ in range(3):
        with mlflow.start_run():
            fitted = LogisticRegression().fit(rows, [0, 1])
            models.append(mlflow.sklearn.log_model(fitted, name="model", pip_requirements=[], signature=signature))
    return models


@pytest.fixture(scope="session")
def embedded_registry(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Backend:
    """MLflow's own database."""
    home = ProjectPaths(tmp_path_factory.mktemp("registry"))
    home.mlflow_database.parent.mkdir(parents=True)
    shutil.copyfile(mlflow_database, home.mlflow_database)
    client = connect(home.mlflow_uri, home.locks)
    models = log_models(client.create_experiment("/models", home.mlflow_artifacts.as_uri()))

    def set_status(name: str, version: int, status: str) -> None:
        with closing(sqlite3.connect(home.mlflow_database)) as database, database:
            statement = "UPDATE model_versions SET status = ? WHERE name = ? AND version = ?"
            assert database.execute(statement, (status, name, version)).rowcount == 1

    settings = {"tracking_uri": home.mlflow_uri, "registry_uri": home.mlflow_uri, "locks": str(home.locks)}
    return Backend(settings, models, set_status)


@pytest.fixture(scope="session")
def unity_catalog_server() -> Iterator[UnityCatalogServer]:
    """The tests' own server, without a token."""
    with UnityCatalogServer() as server:
        yield server


@pytest.fixture(scope="session")
def oss_registry(
    embedded_registry: Backend, unity_catalog_server: UnityCatalogServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """The real server that MARVEL_UC_URL names, else the tests' own."""
    real, root = os.environ.get("MARVEL_UC_URL"), os.environ.get("MARVEL_UC_STORAGE_ROOT")
    settings = {
        "backend": "oss",
        "tracking_uri": embedded_registry.settings["tracking_uri"],
        "registry_uri": f"uc:{real or unity_catalog_server.url}",
        "storage_root": root or tmp_path_factory.mktemp("catalog").as_uri(),
        "locks": embedded_registry.settings["locks"],
    }
    yield Backend(settings, embedded_registry.models, None if real else unity_catalog_server.set_status)
    if real:
        UnityCatalogApi(real).call("DELETE", f"catalogs/{CATALOG}", force="true")


@pytest.fixture(scope="session")
def databricks_workspace(
    tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path
) -> Iterator[DatabricksWorkspace]:
    """The tests' own workspace, which has the catalog."""
    with DatabricksWorkspace(tmp_path_factory.mktemp("workspace"), mlflow_database) as workspace:
        workspace.registry.catalogs.add(CATALOG)
        yield workspace


@pytest.fixture(scope="session")
def databricks_registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """The workspace that DATABRICKS_CONFIG_PROFILE names, where the catalog must exist, else the tests' own."""
    import mlflow

    settings = {
        "backend": "databricks",
        "tracking_uri": "databricks",
        "registry_uri": "databricks-uc",
        "locks": str(tmp_path_factory.mktemp("locks")),
    }
    environment, set_status = {}, None
    if not os.environ.get("DATABRICKS_CONFIG_PROFILE"):
        workspace = request.getfixturevalue("databricks_workspace")
        environment = {"DATABRICKS_HOST": workspace.url, "DATABRICKS_TOKEN": workspace.token}
        set_status = workspace.registry.set_status
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        connect("databricks", Path(settings["locks"]), "databricks-uc")
        models = log_models(mlflow.set_experiment(f"/Shared/{CATALOG}").experiment_id)
    return Backend(settings, models, set_status, environment)


@pytest.fixture
def made_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Backend]:
    """Makes a schema for this test in a registry."""

    def made(kind: str) -> Backend:
        registry: Backend = request.getfixturevalue(f"{kind}_registry")
        for variable, value in registry.environment.items():
            monkeypatch.setenv(variable, value)
        return replace(registry, schema=f"t{uuid.uuid4().hex[:8]}")

    return made


@pytest.fixture
def embedded(made_backend: Callable[[str], Backend]) -> Backend:
    return made_backend("embedded")


@pytest.fixture
def databricks(made_backend: Callable[[str], Backend]) -> Backend:
    return made_backend("databricks")


@pytest.fixture(
    params=["embedded", *(pytest.param(kind, marks=pytest.mark.integration) for kind in ("oss", "databricks"))]
)
def backend(request: pytest.FixtureRequest, made_backend: Callable[[str], Backend]) -> Backend:
    return made_backend(request.param)


@pytest.fixture
def registry(backend: Backend) -> ModelRegistry:
    return backend.registry
