"""Connects to MLflow's store, creates its database, and says what prevents a run from using it."""

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
from marvel_assets.spark.session import databricks_config
from marvel_assets.utils.errors import root_cause
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import file_lock

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


def connect(uri: str, locks: Path, registry_uri: str | None = None, *, read_only: bool = False) -> mlflow.MlflowClient:
    """A client of the store, which MLflow's logging functions use from now on, too.

    Args:
        uri: ``sqlite:///<path>``, a server's URL, or ``databricks``.
        locks: the home's folder of lock files.
        registry_uri: of the model registry, if it is another store.
        read_only: don't create a missing SQLite database, or update it after the home was moved.
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
    default = client.get_experiment_by_name("Default")
    return str(default.artifact_location).rpartition("/")[0] if default else None


def store_problems(uri: str, locks: Path, registry_uri: str | None = None) -> list[str]:
    """What prevents a run from using a store, which is asked for logged models and the location of the artifacts.

    ``GET /health`` is not enough: it succeeds without credentials, and with servers of MLflow 2 and proxies.
    """
    if uri.startswith("databricks"):
        try:
            # MLflow would retry an unreachable workspace for minutes; the registry's check reports it in seconds.
            databricks_config(uri.partition("://")[2] or None)
        except ValueError as error:
            return [str(error)]
        return []
    import mlflow

    is_server, root = uri.startswith("http"), None
    try:
        if uri != ProjectPaths(locks.parent).mlflow_uri and (is_server or _has_tables(uri)):
            client = connect(uri, locks, registry_uri)
            client.search_logged_models(["0"], max_results=1)
            if root := artifact_root_of(client):
                mlflow.artifacts.list_artifacts(artifact_uri=root)
    except Exception as error:  # noqa: BLE001 - clients of databases and stores have no exception in common
        reason = str(root_cause(error)).partition("\n")[0]
        if root:
            return [f"MLflow's artifact store at {root} of {uri} can't be used: {reason}"]
        if not is_server:
            return [f"MLflow's tracking database at {uri} can't be used: {reason}"]
        advice = (
            "Is it running, with MLflow 3 or newer, and is MLFLOW_TRACKING_URI its address? If it has users, set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        )
        return [f"MLflow's tracking server at {uri} can't be used: {reason}. {advice}"]
    return []


def _has_tables(uri: str) -> bool:
    """Whether a database has MLflow's tables; MLflow itself would create them."""
    import sqlalchemy

    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        return False
    return sqlalchemy.inspect(sqlalchemy.create_engine(uri)).has_table("experiments")


def add_outage_hint(text: str) -> str:
    """An error's text, with what to do if MLflow reports that its server did not answer."""
    is_outage = "API request to http" in text
    return f"{text} Run again when the server is back; finished work is kept." if is_outage else text


def prepare_database(database: Path, home: ProjectPaths) -> None:
    """Create a database if it is missing; correct the paths in that of a home that was moved or copied."""
    if not database.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with file_lock(home.locks, "mlflow-database"):
            if not database.exists():
                with atomic_write(database) as unfinished:  # a start that is killed would leave a broken database
                    store = SqlAlchemyStore(f"{SQLITE}{unfinished}", (database.parent / "artifacts").as_uri())  # type: ignore[no-untyped-call]
                    store.engine.dispose()
    if database == home.mlflow_database:
        _correct_paths(home)


def _correct_paths(home: ProjectPaths) -> None:
    """Replace the paths in the home's database if the default experiment's artifacts are those of another home."""
    with closing(sqlite3.connect(home.mlflow_database)) as database, database:
        found = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
        before, after = found[0].removesuffix("0") if found else "", f"{home.mlflow_artifacts.as_uri()}/"
        # An `mlflow server` that created the database may have put the artifacts elsewhere.
        if before == after or not before.startswith("file:"):
            return
        for table, column in PATH_COLUMNS.items():
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (before, after))  # noqa: S608
        # The sources of data sets are JSON with the folders of tables.
        former_home = ProjectPaths(Path(unquote(urlsplit(before).path)).parents[1])
        folders = [json.dumps(f"{place.warehouse}/")[:-1] for place in (former_home, home)]
        database.execute("UPDATE datasets SET dataset_source = replace(dataset_source, ?, ?)", folders)
