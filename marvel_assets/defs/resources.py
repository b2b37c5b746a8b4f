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

WEB_PATTERN = r"https?://([\w.-]+|\[[\da-f:]+\])(:0*[1-9]\d*)?(/[^?#@]*)?"
"""Without user, password, query and fragment: pages and logs show addresses, and each of these may be a secret."""

STORE_PATTERN = r":(///[^?#]*|//([^:/?#@]+@)?[^?#@]*)"
"""After its scheme: a database or storage, whose user or container may be shown."""

MLFLOW_STORES = rf"{WEB_PATTERN}|(sqlite|postgresql|mysql|mssql)(\+\w+)?{STORE_PATTERN}"
CONNECT_PATTERN = (
    r"sc://[^@?;]*(;(use_ssl|user_id|user_agent|session_id|x-databricks-cluster-id|grpc_max_message_size)=[^;]*)*;?"
)
"""Other parameters of Spark Connect are sent as headers, and may hold a secret."""

SECRET_SETTING = re.compile(
    r"^[^=]*(secret|passw|token|credential|(access|account)[._-]?key|sas[._-])|=.*://[^/\s@]*@", re.IGNORECASE
)
"""Names that Spark redacts or that storage clients use for secrets, and values that are URLs with credentials."""

MLFLOW_CREDENTIALS = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the database's own variables"


class Project(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The project's settings: environment, names, features, parameters, thresholds of the gate."""

    environment: str = Field(default="dev", description="dev, acc or prd. Default: $MARVEL_ENV, else dev.")
    dataset: str | None = Field(default=None, description="Default: $MARVEL_DATASET, else the configuration's.")
    config_path: str = Field(
        default=str(PROJECT_ROOT / "config" / "project.yml"), description="Default: $MARVEL_CONFIG, else the project's."
    )

    @classmethod
    def from_environment(cls) -> "Project":
        """The project that MARVEL_ENV, MARVEL_DATASET and MARVEL_CONFIG describe; a process reads its settings once."""
        variables = {"environment": "MARVEL_ENV", "dataset": "MARVEL_DATASET", "config_path": "MARVEL_CONFIG"}
        set_here = {name: os.environ[variable] for name, variable in variables.items() if os.environ.get(variable)}
        return _project(**set_here)

    @cached_property
    def config(self) -> ProjectConfig:
        """The settings of the environment.

        Raises:
            ConfigError: naming file and key.
        """
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
    environment = "" if config.environment == "dev" else config.environment
    dataset = "" if config.dataset.name == DEFAULT_DATASET else config.dataset.name
    profile = "databricks" if profile_name() == "databricks" else ""
    return replace(home, environment=environment, dataset=dataset, profile=profile)


def profile_name() -> str:
    """The value of MARVEL_PROFILE, else embedded."""
    return os.environ.get("MARVEL_PROFILE") or "embedded"


def profile_resources(home: ProjectPaths) -> dict[str, Any]:
    """The resources of the profile that ``MARVEL_PROFILE`` names.

    Raises:
        ConfigError: naming the file and the key, or the variable, that can't be used.
    """
    name = profile_name()
    if name not in PROFILES:
        raise ConfigError(f"MARVEL_PROFILE is {name!r}; choose {', '.join(PROFILES)}.")
    return PROFILES[name](configured_home(home))


def embedded(home: ProjectPaths) -> dict[str, Any]:
    """Everything in this process and in one folder, or MLflow and Unity Catalog on their servers; no JVM needed."""
    locks, scratch = str(home.locks), str(home.scratch)
    spark_server = _url("MARVEL_SPARK_URL", "SPARK_CONNECT_AUTHENTICATE_TOKEN", CONNECT_PATTERN, "sc://server:15002")
    mlflow = _url("MLFLOW_TRACKING_URI", MLFLOW_CREDENTIALS, MLFLOW_STORES) or home.mlflow_uri
    catalog = _url("MARVEL_UC_URL", "MLFLOW_UC_OSS_TOKEN")
    stores = {"tracking_uri": mlflow, "registry_uri": f"uc:{catalog}" if catalog else mlflow, "locks": locks}
    pages = mlflow if mlflow.startswith("http") else "http://127.0.0.1:5000"
    return {
        **_common(home),
        "engine": DuckDBEngine(scratch=scratch),
        "tables": Tables(warehouse=str(home.warehouse), locks=locks, provenance=str(home.provenance)),
        "spark": Spark(
            mode="connect" if spark_server else "local",
            url=spark_server,
            folder=str(home.spark),
            settings=_spark_settings(),
        ),
        "tracking": MlflowTracking(
            **stores, dagster_url=_dagster_url(), ui_url=_url("MARVEL_MLFLOW_URL", MLFLOW_CREDENTIALS) or pages
        ),
        "unity_catalog": UnityCatalog(
            **stores,
            backend="oss" if catalog else "embedded",
            storage_root=_url(
                "MARVEL_UC_STORAGE_ROOT",
                "the storage client's own variables",
                rf"(file|s3|gs|abfss?){STORE_PATTERN}",
                "s3://bucket/folder",
            ),
        ),
    }


def spark(home: ProjectPaths) -> dict[str, Any]:
    """Spark writes the tables, in the run's own JVM or on the Spark Connect server that MARVEL_SPARK_URL names."""
    local = embedded(home)
    return {**local, "engine": SparkEngine(spark=local["spark"], scratch=str(home.scratch))}


def databricks(home: ProjectPaths) -> dict[str, Any]:
    """Tables, runs and models on Databricks: Databricks Connect, its tracking server, Unity Catalog."""
    profile, locks = os.environ.get("DATABRICKS_CONFIG_PROFILE"), str(home.locks)
    suffix = f"://{profile}" if profile else ""
    stores = {"tracking_uri": f"databricks{suffix}", "registry_uri": f"databricks-uc{suffix}", "locks": locks}
    workspace = _url("DATABRICKS_HOST", "DATABRICKS_TOKEN", rf"{WEB_PATTERN}|[^:/?#@]+/?") or ""
    session = Spark(mode="databricks", profile=profile, folder=str(home.spark), settings=_spark_settings())
    return {
        **_common(home),
        "engine": SparkEngine(spark=session),
        "tables": CatalogTables(spark=session, warehouse="", locks=locks, provenance=str(home.provenance)),
        "spark": session,
        "tracking": MlflowTracking(**stores, dagster_url=_dagster_url(), ui_url=workspace),
        "unity_catalog": UnityCatalog(**stores, backend="databricks"),
    }


PROFILES = {profile.__name__: profile for profile in (embedded, spark, databricks)}


def _common(home: ProjectPaths) -> dict[str, Any]:
    """Resources that all profiles share."""
    locks, references = str(home.locks), str(home.references)
    pipeline_cache = PipelineCache(folder=str(home.pipelines), locks=locks)
    return {
        "project": Project.from_environment(),
        "sources": SourceResource(scratch=str(home.scratch), last_read=str(home.last_source)),
        "pipeline_cache": pipeline_cache,
        "retraining_lock": RetrainingLock(locks=locks),
        "wheel_builder": WheelBuilder(folder=str(home.wheels)),
        "references": ReferenceIOManager(folder=references),
        "pipelines": PipelineIOManager(cache=pipeline_cache, folder=references),
    }


def _spark_settings() -> dict[str, str]:
    """``MARVEL_SPARK_SETTINGS``: Spark's settings as ``key=value``, separated by spaces."""
    variable, settings = "MARVEL_SPARK_SETTINGS", {}
    for setting in os.environ.get(variable, "").split():
        key, equals, value = setting.partition("=")
        if SECRET_SETTING.search(setting):
            raise ConfigError(
                f"{variable}: {key.partition('://')[0]!r} holds a secret, which would be shown; put it into the "
                "storage client's own variables (such as AWS_SECRET_ACCESS_KEY), or into a spark-defaults.conf under "
                "SPARK_CONF_DIR."
            )
        if not key.startswith("spark.") or not equals:
            raise ConfigError(
                f"{variable}: {key!r} is not a setting; expected key=value, such as spark.driver.memory=8g."
            )
        settings[key] = value
    return settings


def _dagster_url() -> str:
    return (_url("MARVEL_DAGSTER_URL", "the browser's password store") or "http://127.0.0.1:3000").rstrip("/")


def _url(
    variable: str, secrets_belong_in: str, pattern: str = WEB_PATTERN, example: str = "https://server:8080"
) -> str | None:
    """A variable's value, if pages and logs may show it; an error never repeats it."""
    url = os.environ.get(variable) or None
    if url and not re.fullmatch(pattern, url, re.IGNORECASE):
        raise ConfigError(
            f"{variable} is not an address such as {example}, without a password or query, which would be shown; put "
            f"what is secret into {secrets_belong_in}."
        )
    return url


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
