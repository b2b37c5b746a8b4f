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

ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""The columns of MLflow's database with absolute URIs of files."""

DEFAULT_EXPERIMENT = "0"
PROXIED = "mlflow-artifacts"


class StoreError(RuntimeError):
    """MLflow's store can't be used; the text says why and what to do."""


def connect(uri: str, locks: Path, registry_uri: str | None = None, *, read_only: bool = False) -> mlflow.MlflowClient:
    """A client of the store.

    It also sets MLflow's global URIs, which its logging functions use.

    Args:
        uri: ``sqlite:///<path>``, a server's URL, or ``databricks``. A missing SQLite file is created.
        locks: folder of the lock files.
        registry_uri: of the model registry, if it is another store.
        read_only: don't create the database, or update it after the home was moved.
    """
    registry_uri = registry_uri or uri
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if uri.startswith(SQLITE) and not read_only:
        database, home = Path(uri.removeprefix(SQLITE)), ProjectPaths(locks.parent)
        if not _is_ready(database, home):
            with exclusive(locks, "mlflow-database"):
                _prepare_database(database, home)
    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
    if mlflow.get_registry_uri() != registry_uri:
        mlflow.set_registry_uri(registry_uri)
    return mlflow.MlflowClient()


def artifact_root_of(client: mlflow.MlflowClient, uri: str) -> str | None:
    """The artifact root of a store, taken from its default experiment; None if that was deleted.

    Raises:
        StoreError: other machines could not read artifacts there.
    """
    from mlflow.exceptions import MlflowException

    try:
        root = str(client.get_experiment(DEFAULT_EXPERIMENT).artifact_location).rpartition("/")[0]
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    scheme = urlsplit(uri).scheme
    # A SQLite file is on the same machine as the folder; a database behind a network may not be.
    unreachable = {"http": set(), "https": set(), "sqlite": {PROXIED}}.get(scheme, {"", "file", PROXIED})
    if urlsplit(root).scheme in unreachable:
        raise StoreError(
            f"The {scheme} database in MLFLOW_TRACKING_URI stores its artifacts at {root}, which only a server can "
            "share: start `mlflow server` with this database, and set MLFLOW_TRACKING_URI to the server's URL."
        )
    return root


def _is_ready(database: Path, home: ProjectPaths) -> bool:
    return database.exists() and (database != home.mlflow_database or _recorded_home(home) in {None, home.root})


def _prepare_database(database: Path, home: ProjectPaths) -> None:
    """Create the database, or update the URIs in that of a home that was moved or copied."""
    if not database.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        # Moved into place when complete: a start that is killed would leave a broken database.
        database.parent.mkdir(parents=True, exist_ok=True)
        unfinished = database.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"{SQLITE}{unfinished}", (database.parent / "artifacts").as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        unfinished.replace(database)
    elif not _is_ready(database, home) and (before := _recorded_home(home)):
        rename_home(ProjectPaths(before), home)


def rename_home(before: ProjectPaths, home: ProjectPaths) -> None:
    """Update the URIs of files and tables in the database of a home that was moved or copied."""
    old, new = (f"{place.mlflow_artifacts.as_uri()}/" for place in (before, home))
    with closing(sqlite3.connect(home.mlflow_database)) as database, database:
        for table, column in ARTIFACT_COLUMNS:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                (new, len(old) + 1, len(old), old),
            )
        # The sources of data sets are JSON with the folders of tables.
        folders = [json.dumps(f"{place.warehouse}/")[:-1] for place in (before, home)]
        database.execute("UPDATE datasets SET dataset_source = replace(dataset_source, ?, ?)", folders)


def _recorded_home(home: ProjectPaths) -> Path | None:
    """The home in which the database was created, from its default experiment; None if it wasn't created in a home."""
    with closing(sqlite3.connect(home.mlflow_database)) as database:
        found = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    suffix = ProjectPaths(Path("/")).mlflow_artifacts / "0"
    path = Path(unquote(urlsplit(found[0]).path)) if found and found[0].startswith("file:") else Path()
    return path.parents[2] if str(path).endswith(str(suffix)) else None
