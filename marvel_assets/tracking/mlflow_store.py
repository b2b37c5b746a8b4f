"""MLflow's store: created once, and made the one that MLflow's module-wide functions use."""

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
    # MLflow itself would try a dead server for four minutes, call by call. So a call is given up after half a minute,
    # and a run makes three at most once the server is gone: one that fails, and two that would note that it did.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "20",
}
"""MLflow's settings where the user has set none."""

ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's database has absolute addresses of files."""

DEFAULT_EXPERIMENT = "0"
PROXIED = "mlflow-artifacts"


class StoreError(RuntimeError):
    """What keeps MLflow's store from being used, in a sentence with a way out."""


def connect(uri: str, locks: Path, registry_uri: str | None = None, *, read_only: bool = False) -> mlflow.MlflowClient:
    """A client of the store.

    MLflow's logging functions know no other way than its module-wide settings, so these are set as well.

    Args:
        uri: ``sqlite:///<path>``, a server's URL, or ``databricks``. A SQLite file is created where there is none.
        locks: folder of the lock files.
        registry_uri: of the model registry, where that is another store.
        read_only: leave the database as it is, also where it is missing or was moved.
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
    """Where a store keeps the artifacts of new experiments, as its first experiment shows, if that is there.

    Raises:
        StoreError: no other machine could read them there.
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
            f"The {scheme} database that MLFLOW_TRACKING_URI names keeps its artifacts at {root}, which only a server "
            "can share: start `mlflow server` on it and name that server's address."
        )
    return root


def _is_ready(database: Path, home: ProjectPaths) -> bool:
    return database.exists() and (database != home.mlflow_database or _recorded_home(home) in {None, home.root})


def _prepare_database(database: Path, home: ProjectPaths) -> None:
    """Make the database, or let the home's own name its files where they are: it may have been moved or copied."""
    if not database.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        # Moved into place whole: a first start that is cut off would spoil it.
        database.parent.mkdir(parents=True, exist_ok=True)
        unfinished = database.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"{SQLITE}{unfinished}", (database.parent / "artifacts").as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        unfinished.replace(database)
    elif not _is_ready(database, home) and (before := _recorded_home(home)):
        rename_home(ProjectPaths(before), home)


def rename_home(before: ProjectPaths, home: ProjectPaths) -> None:
    """Have the database of a home that was moved or copied name the files and tables in its own folders."""
    old, new = (f"{place.mlflow_artifacts.as_uri()}/" for place in (before, home))
    with closing(sqlite3.connect(home.mlflow_database)) as database, database:
        for table, column in ARTIFACT_COLUMNS:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                (new, len(old) + 1, len(old), old),
            )
        # The sources of data sets are JSON, with the folders of tables in it.
        folders = [json.dumps(f"{place.warehouse}/")[:-1] for place in (before, home)]
        database.execute("UPDATE datasets SET dataset_source = replace(dataset_source, ?, ?)", folders)


def _recorded_home(home: ProjectPaths) -> Path | None:
    """The home in which the database was made, as its first experiment has it; None where it was made elsewhere."""
    with closing(sqlite3.connect(home.mlflow_database)) as database:
        found = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    suffix = ProjectPaths(Path("/")).mlflow_artifacts / "0"
    path = Path(unquote(urlsplit(found[0]).path)) if found and found[0].startswith("file:") else Path()
    return path.parents[2] if str(path).endswith(str(suffix)) else None
