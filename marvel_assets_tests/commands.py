"""The project's commands, as a user runs them: in another process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.storage.references import from_json
from marvel_assets.tracking.mlflow_store import connect

SECONDS = 800
MARVEL = (sys.executable, "-c", "from marvel_assets.cli import main; main()")
BASIC = "marvel_character_model_basic"
CUSTOM = "marvel_character_model_custom"
INTERPRETED = "spark.sql.codegen.wholeStage=false spark.sql.codegen.factoryMode=NO_CODEGEN"
"""Settings of Spark: compiling code for each query takes a fifth of the JVM's time if tables are this small."""
TABLES = ("raw_characters", "train_set", "test_set", "rejected_characters")


def materialize(select: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`dagster asset materialize` for a selection."""
    selected = "-m", "marvel_assets.definitions", "--select", select
    return python("-m", "dagster", "asset", "materialize", *selected, **environment)


def marvel(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The project's own command."""
    return python(*MARVEL[1:], *arguments, **environment)


def python(*arguments: str, cwd: Path = PROJECT_ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """This environment's Python; the given environment is added to the test's own."""
    settings = {**users_environment(), **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, check=False, timeout=SECONDS)


def users_environment() -> dict[str, str]:
    """The environment without the store that MLflow sets in this process: a user's shell has no such variable."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The command's result if it succeeded; else a failure with what it printed."""
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
    return done


@dataclass(frozen=True)
class State:
    """What a home holds, as far as a run could change it."""

    table_versions: dict[str, int]
    table_rows: dict[str, int]
    pipelines: dict[str, int]
    logged_models: set[str]
    mlflow_runs: dict[str, str]
    versions: dict[str, list[int]]
    aliases: dict[str, int | None]


def state_of(home: ProjectPaths, config_path: Path) -> State:
    """Read everything from where it is stored, not from what a run reported."""
    config = ProjectConfig.from_yaml(config_path)
    client = connect(home.mlflow_uri, home.locks)
    catalog = MlflowRegistry(client, home.locks)
    tables = {name: DeltaTable(home.warehouse.joinpath(*config.qualified(name).split("."))) for name in TABLES}
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    models = [config.qualified(name) for name in (BASIC, CUSTOM)]
    served = {name: catalog.get_version_by_alias(name, "latest-model") for name in models}
    return State(
        {name: table.version() for name, table in tables.items()},
        {name: table.count() for name, table in tables.items()},
        {file.name: file.stat().st_mtime_ns for file in home.pipelines.iterdir()},
        {model.model_id for model in client.search_logged_models(experiments)},
        {run.info.run_id: run.info.status for run in client.search_runs(experiments)},
        {name: [version.version for version in catalog.search_versions(name)] for name in models},
        {name: None if version is None else version.version for name, version in served.items()},
    )


def reference(home: ProjectPaths, asset: str) -> Any:
    """The reference that an asset stored last."""
    return from_json((home.references / f"{asset}.json").read_text())
