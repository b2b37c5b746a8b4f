"""The resources of each profile. ``MARVEL_PROFILE`` selects one; the graph is the same in each."""

import os
import re
from dataclasses import replace
from functools import cache, cached_property
from itertools import chain
from typing import Any

import dagster as dg
from pydantic import Field

from marvel_assets.config import DEFAULT_DATASET, ConfigError, ProjectConfig
from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.retraining_lock import RetrainingLock
from marvel_assets.evaluation.metrics import METRICS
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.registry.model_pairs import BASIC_MODEL
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.sources.resource import SourceResource
from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets.storage.pipeline_cache import PipelineCache, PipelineIOManager
from marvel_assets.storage.references import ReferenceIOManager
from marvel_assets.storage.tables import CatalogTables, Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking

WEB = r"https?://[\w.:/\[\]~%-]+"
STORE = r":(///[^?#]*|//([^:/?#@]+@)?[^?#@]*)"  # after its scheme; a database's user or a storage's container is shown
ADDRESSES = {
    "MLFLOW_TRACKING_URI": rf"{WEB}|(sqlite|postgresql|mysql|mssql)(\+\w+)?{STORE}",
    "MARVEL_UC_STORAGE_ROOT": rf"(file|s3|gs|abfss?){STORE}",
    "DATABRICKS_HOST": rf"{WEB}|[\w.-]+/?",
    # Other parameters are sent as headers, and may hold a secret.
    "MARVEL_SPARK_URL": r"sc://[^@?;]+(;(use_ssl|user_id|user_agent|session_id|grpc_max_message_size)=[^;]*)*;?",
}
"""Patterns of addresses other than of web pages. Pages and logs show them, so they hold no password, token or query."""

SECRET_SETTING = re.compile(
    r"^[^=]*(secret|passw|token|credential|(access|account)[._-]?key|sas[._-])|=.*://[^/\s@]*@", re.IGNORECASE
)
"""Names that Spark redacts or that storage clients use for secrets, and values that are URLs with credentials."""


class Project(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The project's settings: environment, names, features, parameters, thresholds of the gate."""

    environment: str = Field(default="dev", description="dev, acc or prd. Default: $MARVEL_ENV, else dev.")
    dataset: str | None = Field(default=None, description="Default: $MARVEL_DATASET, else the configuration's.")
    config_path: str = Field(default=f"{PROJECT_ROOT}/config/project.yml", description="Default: $MARVEL_CONFIG.")

    @classmethod
    def from_environment(cls) -> "Project":
        """The project that MARVEL_ENV, MARVEL_DATASET and MARVEL_CONFIG describe; a process reads its settings once."""
        variables = {"environment": "MARVEL_ENV", "dataset": "MARVEL_DATASET", "config_path": "MARVEL_CONFIG"}
        return _project(**{name: value for name, key in variables.items() if (value := os.environ.get(key))})

    @cached_property
    def config(self) -> ProjectConfig:
        """The settings of the environment; a ConfigError names file and key."""
        config = ProjectConfig.from_yaml(self.config_path, self.environment, self.dataset)
        if unknown := [name for name in config.gate.thresholds if name not in METRICS]:
            raise ConfigError(
                f"{self.config_path}: gate.thresholds names {', '.join(unknown)}; the metrics are {', '.join(METRICS)}."
            )
        return config


@cache
def _project(**settings: str) -> Project:
    return Project(**settings)


def configured_home(home: ProjectPaths) -> ProjectPaths:
    """The home with the profile, and the environment and data set that the configuration selects."""
    config = Project.from_environment().config
    return replace(
        home,
        environment="" if config.environment == "dev" else config.environment,
        dataset="" if config.dataset.name == DEFAULT_DATASET else config.dataset.name,
        profile="databricks" if profile_name() == "databricks" else "",
    )


def profile_name() -> str:
    """The value of MARVEL_PROFILE, else embedded."""
    return os.environ.get("MARVEL_PROFILE") or "embedded"


def profile_resources(home: ProjectPaths) -> dict[str, Any]:
    """The resources of the profile; a ConfigError names the file and the key, or the variable, that can't be used."""
    name = profile_name()
    if name not in PROFILES:
        raise ConfigError(f"MARVEL_PROFILE is {name!r}; choose {', '.join(PROFILES)}.")
    return PROFILES[name](configured_home(home))


def embedded(home: ProjectPaths) -> dict[str, Any]:
    """Everything in this process and in one folder, or MLflow and Unity Catalog on their servers; no JVM needed."""
    mlflow, catalog = _address("MLFLOW_TRACKING_URI") or home.mlflow_uri, _address("MARVEL_UC_URL")
    pages = _address("MARVEL_MLFLOW_URL") or (mlflow if mlflow.startswith("http") else "http://127.0.0.1:5000")
    registry = UnityCatalog(
        tracking_uri=mlflow,
        registry_uri=f"uc:{catalog}" if catalog else mlflow,
        backend="oss" if catalog else "embedded",
        storage_root=_address("MARVEL_UC_STORAGE_ROOT"),
        locks=str(home.locks),
    )
    server, settings = _address("MARVEL_SPARK_URL"), _spark_settings()
    return {
        **_common(home, registry, pages),
        "engine": DuckDBEngine(scratch=str(home.scratch)),
        "tables": Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance)),
        "spark": Spark(mode="connect" if server else "local", url=server, folder=str(home.spark), settings=settings),
    }


def spark(home: ProjectPaths) -> dict[str, Any]:
    """Spark writes the tables, in the run's own JVM or on the Spark Connect server that MARVEL_SPARK_URL names."""
    resources = embedded(home)
    return {**resources, "engine": SparkEngine(spark=resources["spark"], scratch=str(home.scratch))}


def databricks(home: ProjectPaths) -> dict[str, Any]:
    """Tables, runs and models on Databricks: Databricks Connect, its tracking server, Unity Catalog."""
    profile, locks = os.environ.get("DATABRICKS_CONFIG_PROFILE"), str(home.locks)
    suffix = f"://{profile}" if profile else ""
    stores = {"tracking_uri": f"databricks{suffix}", "registry_uri": f"databricks-uc{suffix}"}
    session = Spark(mode="databricks", profile=profile, folder=str(home.spark), settings=_spark_settings())
    workspace = _address("DATABRICKS_HOST") or ""
    return {
        **_common(home, UnityCatalog(**stores, backend="databricks", locks=locks), workspace),
        "engine": SparkEngine(spark=session),
        "tables": CatalogTables(spark=session, warehouse="", locks=locks, provenance=str(home.provenance)),
        "spark": session,
    }


PROFILES = {profile.__name__: profile for profile in (embedded, spark, databricks)}


def _common(home: ProjectPaths, registry: UnityCatalog, mlflow_pages: str) -> dict[str, Any]:
    """What all profiles share; MLflow's stores are those of the registry."""
    locks, references = str(home.locks), str(home.references)
    stores = {"tracking_uri": registry.tracking_uri, "registry_uri": registry.registry_uri, "locks": locks}
    dagster_pages = _address("MARVEL_DAGSTER_URL") or "http://127.0.0.1:3000"
    pipeline_cache = PipelineCache(folder=str(home.pipelines), locks=locks)
    return {
        "project": Project.from_environment(),
        "sources": SourceResource(scratch=str(home.scratch), last_read=str(home.last_source)),
        "tracking": MlflowTracking(**stores, ui_url=mlflow_pages, dagster_url=dagster_pages.rstrip("/")),
        "unity_catalog": registry,
        "pipeline_cache": pipeline_cache,
        "retraining_lock": RetrainingLock(locks=locks),
        "wheel_builder": WheelBuilder(folder=str(home.wheels)),
        "references": ReferenceIOManager(folder=references),
        "pipelines": PipelineIOManager(cache=pipeline_cache, folder=references),
    }


def _spark_settings() -> dict[str, str]:
    """``MARVEL_SPARK_SETTINGS``: Spark's settings as ``key=value``, separated by spaces."""
    settings = {}
    for setting in os.environ.get("MARVEL_SPARK_SETTINGS", "").split():
        key, equals, value = setting.partition("=")
        if SECRET_SETTING.search(setting) or not (key.startswith("spark.") and equals):
            raise ConfigError(
                f"MARVEL_SPARK_SETTINGS: {key.partition('://')[0]!r} is not a setting such as spark.driver.memory=8g, "
                "or holds a secret, which would be shown: put secrets into the storage client's own variables (such "
                "as AWS_SECRET_ACCESS_KEY), or into a spark-defaults.conf under SPARK_CONF_DIR."
            )
        settings[key] = value
    return settings


def _address(variable: str) -> str | None:
    """A variable's value, if pages and logs may show it; an error never repeats it."""
    address = os.environ.get(variable) or None
    if address and not re.fullmatch(ADDRESSES.get(variable, WEB), address, re.IGNORECASE):
        raise ConfigError(
            f"{variable} is not an address as in docs/configuration.md, or has a password, a token or a query, which "
            "would be shown; docs/deployment.md names the variables for secrets."
        )
    return address


def problems_by_part(
    config: ProjectConfig, engine: Engine, tracking: MlflowTracking, unity_catalog: UnityCatalog
) -> dict[str, list[str]]:
    """What each part of the profile still lacks for a run, one sentence each; nothing for a part that is ready."""
    return {
        "home": ProjectPaths.from_environment().problems(),
        "tables": engine.problems(),
        "tracking": tracking.problems(),
        "catalog": unity_catalog.problems(config.catalog_name, config.schema_name),
    }


def prepare_run(config: ProjectConfig, engine: Engine, tracking: MlflowTracking, unity_catalog: UnityCatalog) -> None:
    """Fail the run if something is missing; create the registered model, and end MLflow runs of killed processes."""
    if problems := [*chain.from_iterable(problems_by_part(config, engine, tracking, unity_catalog).values())]:
        raise dg.Failure(" ".join(problems))
    unity_catalog.ensure_model(config.qualified(BASIC_MODEL))
    experiments = config.experiment_name_basic, config.experiment_name_custom, config.experiment_name_tuning
    tracking.end_abandoned_runs(*experiments)
