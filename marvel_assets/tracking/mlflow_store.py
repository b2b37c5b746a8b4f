"""Connects to MLflow's store, and creates its database."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from marvel_assets.paths import ProjectPaths
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    import mlflow

SQLITE = "sqlite:///"
DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default MLflow retries each call to a dead server for four minutes. Here a call fails after half a minute, and
    # a run makes three at most once the server is gone: the one that fails, and two that report the failure.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "20",
}
"""MLflow's settings, unless the user has set them."""

PATH_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""The columns of MLflow's database with absolute URIs of files, by table."""

DEFAULT_EXPERIMENT = "0"


def connect(uri: str, locks: Path, registry_uri: str | None = None, *, read_only: bool = False) -> mlflow.MlflowClient:
    """A client of the store.

    It also sets MLflow's global URIs, which its logging functions use.

    Args:
        uri: ``sqlite:///<path>``, a server's URL, or ``databricks``. A missing SQLite file is created.
        locks: folder of the lock files.
        registry_uri: of the model registry, if it is another store.
        read_only: don't create the database, or update it after the home was moved.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if uri.startswith(SQLITE) and not read_only:
        prepare_database(Path(uri.removeprefix(SQLITE)), ProjectPaths(locks.parent))
    mlflow.set_tracking_uri(uri)
    if mlflow.get_registry_uri() != (registry_uri or uri):  # unless it follows the tracking URI
        mlflow.set_registry_uri(registry_uri or uri)
    return mlflow.MlflowClient()


def artifact_root_of(client: mlflow.MlflowClient) -> str | None:
    """The artifact root of a store, taken from its default experiment; None if that was deleted permanently."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_experiment(DEFAULT_EXPERIMENT).artifact_location).rpartition("/")[0]
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def prepare_database(database: Path, home: ProjectPaths) -> None:
    """Create a database if it is missing; correct the paths in that of a home that was moved or copied."""
    if database.exists() and not _former_artifacts(database, home):
        return
    with exclusive(home.locks, "mlflow-database"):
        if not database.exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            # Moved into place when complete: a start that is killed would leave a broken database.
            database.parent.mkdir(parents=True, exist_ok=True)
            unfinished = database.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            store = SqlAlchemyStore(f"{SQLITE}{unfinished}", (database.parent / "artifacts").as_uri())  # type: ignore[no-untyped-call]
            store.engine.dispose()
            unfinished.replace(database)
        elif before := _former_artifacts(database, home):
            _move_paths(before, home)


def _former_artifacts(database: Path, home: ProjectPaths) -> str:
    """The URI of the artifacts before the home was moved, as the default experiment has it; '' if it wasn't moved."""
    if database != home.mlflow_database:
        return ""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    before = found[0].removesuffix("0") if found else ""
    # An `mlflow server` that created the database may have put the artifacts elsewhere.
    return before if before.startswith("file:") and before != f"{home.mlflow_artifacts.as_uri()}/" else ""


def _move_paths(before: str, home: ProjectPaths) -> None:
    after = f"{home.mlflow_artifacts.as_uri()}/"
    former_home = ProjectPaths(Path(unquote(urlsplit(before).path)).parents[1])
    with closing(sqlite3.connect(home.mlflow_database)) as database, database:
        for table, column in PATH_COLUMNS.items():
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                (after, len(before) + 1, len(before), before),
            )
        # The sources of data sets are JSON with the folders of tables.
        folders = [json.dumps(f"{place.warehouse}/")[:-1] for place in (former_home, home)]
        database.execute("UPDATE datasets SET dataset_source = replace(dataset_source, ?, ?)", folders)
