"""The resources of each profile. ``MARVEL_PROFILE`` selects one; the graph is the same in each."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from marvel_assets.config import DEFAULT_DATASET, ConfigError, ProjectConfig
from marvel_assets.datasets.base import load_dataset
from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.retraining_lock import RetrainingLock
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.sources.resource import SourceResource
from marvel_assets.spark.session import Spark
from marvel_assets.storage.catalog_tables import CatalogTables
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.pipeline_cache import PipelineCache, PipelineIOManager
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.redaction import WEB_SCHEMES, address_problem, connect_url_problem, may_hold_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from marvel_assets.datasets.base import Dataset
    from marvel_assets.paths import ProjectPaths


STORES = frozenset({*WEB_SCHEMES, "sqlite", "postgresql", "mysql", "mssql"})
"""URI schemes of MLflow's stores."""

STORAGES = frozenset({"file", "s3", "gs", "abfs", "abfss"})
FOR_MLFLOW = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the database's own variables"


class Project(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The project's settings: environment, names, features, parameters, thresholds of the gate."""

    environment: str = Field(default="dev", description="dev, acc or prd. Default: $MARVEL_ENV, else dev.")
    dataset: str | None = Field(
        default=None,
        description="A folder of marvel_assets/datasets. Default: $MARVEL_DATASET, else the configuration's.",
    )
    config_path: str = Field(
        default=str(PROJECT_ROOT / "config" / "project.yml"),
        description="The project's YAML file. Default: $MARVEL_CONFIG, else config/project.yml.",
    )

    @classmethod
    def from_environment(cls) -> Project:
        """The project that MARVEL_ENV, MARVEL_DATASET and MARVEL_CONFIG describe."""
        chosen = {
            "environment": os.environ.get("MARVEL_ENV"),
            "dataset": os.environ.get("MARVEL_DATASET"),
            "config_path": os.environ.get("MARVEL_CONFIG"),
        }
        return cls(**{name: value for name, value in chosen.items() if value})

    @cached_property
    def config(self) -> ProjectConfig:
        """The settings of the environment.

        Raises:
            ConfigError: naming file and key.
        """
        from marvel_assets.evaluation.metrics import METRICS

        config = ProjectConfig.from_yaml(self.config_path, self.environment, self.dataset)
        if unknown := [name for name in config.gate.thresholds if name not in METRICS]:
            raise ConfigError(
                f"{self.config_path}: gate.thresholds names {', '.join(unknown)}; the metrics are {', '.join(METRICS)}."
            )
        return config


@cache
def configured_project() -> ProjectConfig | None:
    """The settings that Dagster's pages describe, or None if they can't be read.

    A run reads the configuration again, and reports what is wrong.
    """
    try:
        return Project.from_environment().config
    except ConfigError:
        return None


def configured_dataset() -> Dataset:
    """The data set that Dagster's pages describe: the default one if the configuration can't be read."""
    config = configured_project()
    return config.dataset if config else load_dataset(DEFAULT_DATASET)


def configured_home(home: ProjectPaths) -> ProjectPaths:
    """The home with the environment and data set that the configuration selects; unchanged if it can't be read."""
    try:
        config = Project.from_environment().config
    except ConfigError:
        return home
    environment, dataset = config.environment, config.dataset.name
    return replace(
        home,
        environment="" if environment == "dev" else environment,
        dataset="" if dataset == DEFAULT_DATASET else dataset,
    )


def profile_resources(home: ProjectPaths) -> dict[str, Any]:
    """The resources of the profile that ``MARVEL_PROFILE`` names (default: embedded).

    Raises:
        ConfigError: the profile does not exist.
    """
    name = profile_name()
    if name not in PROFILES:
        raise ConfigError(f"MARVEL_PROFILE is {name!r}; choose {', '.join(PROFILES)}.")
    return PROFILES[name](configured_home(home))


def profile_name() -> str:
    """The value of MARVEL_PROFILE, else embedded."""
    return os.environ.get("MARVEL_PROFILE") or "embedded"


def embedded(home: ProjectPaths) -> dict[str, Any]:
    """Everything in this process and in one folder: no JVM, no server, no account."""
    return {
        **_common(home),
        **_models(home),
        "engine": DuckDBEngine(scratch=str(home.scratch)),
        "tables": Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance)),
        "spark": _spark(home),
    }


def spark(home: ProjectPaths) -> dict[str, Any]:
    """Spark writes the tables, in the run's own JVM or on the Spark Connect server that MARVEL_SPARK_URL names."""
    local = embedded(home)
    return {**local, "engine": SparkEngine(spark=local["spark"], scratch=str(home.scratch))}


def databricks(home: ProjectPaths) -> dict[str, Any]:
    """Tables, runs and models on Databricks: Databricks Connect, its tracking server, Unity Catalog."""
    profile = os.environ.get("DATABRICKS_CONFIG_PROFILE")
    suffix = f"://{profile}" if profile else ""
    locks = str(home.locks)
    session = Spark(mode="databricks", profile=profile, folder=str(home.spark), locks=locks, settings=_spark_settings())
    tracking_uri, registry_uri = f"databricks{suffix}", f"databricks-uc{suffix}"
    return {
        **_common(home),
        "engine": SparkEngine(spark=session),
        "tables": CatalogTables(spark=session, warehouse="", locks=locks, provenance=str(home.provenance)),
        "spark": session,
        "tracking": MlflowTracking(
            tracking_uri=tracking_uri,
            registry_uri=registry_uri,
            dagster_url=_dagster_url(),
            locks=locks,
            ui_url=_address("DATABRICKS_HOST", "DATABRICKS_TOKEN", {*WEB_SCHEMES, ""}) or "",
        ),
        "unity_catalog": UnityCatalog(
            backend="databricks", tracking_uri=tracking_uri, registry_uri=registry_uri, locks=locks
        ),
    }


PROFILES: dict[str, Callable[[ProjectPaths], dict[str, Any]]] = {
    "embedded": embedded,
    "spark": spark,
    "databricks": databricks,
}


def _common(home: ProjectPaths) -> dict[str, Any]:
    """Resources that all profiles share."""
    pipeline_cache = PipelineCache(folder=str(home.pipelines), locks=str(home.locks))
    return {
        "project": Project.from_environment(),
        "sources": SourceResource(scratch=str(home.scratch), last_read=str(home.last_source)),
        "pipeline_cache": pipeline_cache,
        "retraining_lock": RetrainingLock(locks=str(home.locks)),
        "wheel_builder": WheelBuilder(folder=str(home.wheels)),
        "references": ReferenceIOManager(folder=str(home.references)),
        "pipelines": PipelineIOManager(cache=pipeline_cache, folder=str(home.references)),
    }


def _models(home: ProjectPaths) -> dict[str, Any]:
    """MLflow in the home or on a server; the registry in the same store, or on a Unity Catalog server."""
    store = _address("MLFLOW_TRACKING_URI", FOR_MLFLOW, STORES) or home.mlflow_uri
    pages = store if store.startswith("http") else "http://127.0.0.1:5000"
    server = _address("MARVEL_UC_URL", "MLFLOW_UC_OSS_TOKEN")
    registry_uri = f"uc:{server}" if server else store
    locks = str(home.locks)
    return {
        "tracking": MlflowTracking(
            tracking_uri=store,
            registry_uri=registry_uri,
            dagster_url=_dagster_url(),
            artifact_root=str(home.mlflow_artifacts) if store == home.mlflow_uri else None,
            locks=locks,
            ui_url=_address("MARVEL_MLFLOW_URL", FOR_MLFLOW) or pages,
        ),
        "unity_catalog": UnityCatalog(
            backend="oss" if server else "embedded",
            tracking_uri=store,
            registry_uri=registry_uri,
            storage_root=_address("MARVEL_UC_STORAGE_ROOT", "the storage client's own variables", STORAGES),
            locks=locks,
        ),
    }


def _spark(home: ProjectPaths) -> Spark:
    server = _checked("MARVEL_SPARK_URL", connect_url_problem)
    return Spark(
        mode="connect" if server else "local",
        url=server,
        folder=str(home.spark),
        locks=str(home.locks),
        settings=_spark_settings(),
    )


def _spark_settings() -> dict[str, str]:
    """``MARVEL_SPARK_SETTINGS``: Spark's settings as ``key=value``, separated by spaces."""
    variable = "MARVEL_SPARK_SETTINGS"
    pairs = [setting.partition("=") for setting in os.environ.get(variable, "").split()]
    for key, _, value in pairs:
        if may_hold_secret(key, value):
            raise ConfigError(
                f"{variable}: {key.partition('://')[0]!r} holds a secret, which would be shown; put it into the "
                "storage client's own variables (such as AWS_SECRET_ACCESS_KEY), or into a spark-defaults.conf under "
                "SPARK_CONF_DIR."
            )
    for key, equals, _ in pairs:
        if not key.startswith("spark.") or not equals:
            raise ConfigError(
                f"{variable}: {key!r} is not a setting; expected key=value, such as spark.driver.memory=8g."
            )
    return {key: value for key, _, value in pairs}


def _dagster_url() -> str:
    return (_address("MARVEL_DAGSTER_URL", "the browser's password store") or "http://127.0.0.1:3000").rstrip("/")


def _address(variable: str, secrets_belong_in: str, schemes: Collection[str] = WEB_SCHEMES) -> str | None:
    return _checked(variable, lambda address: address_problem(address, secrets_belong_in, schemes))


def _checked(variable: str, find_problem: Callable[[str], str | None]) -> str | None:
    """A variable's value, if pages and logs may show it; an error never repeats it."""
    value = os.environ.get(variable)
    if value and (problem := find_problem(value)):
        raise ConfigError(f"{variable} {problem}")
    return value or None
