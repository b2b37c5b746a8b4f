"""MLflow's store: created once, and made the one that MLflow's module-wide functions use."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    import mlflow

SQLITE = "sqlite:///"
DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow itself would try a dead server for four minutes; see patience.py, which is bounded by these two.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "20",
}
"""MLflow's settings where the user has set none."""


def connect(uri: str, locks: Path, registry_uri: str | None = None) -> mlflow.MlflowClient:
    """A client of the store.

    MLflow's logging functions know no other way than its module-wide settings, so these are set as well.

    Args:
        uri: ``sqlite:///<path>``, a server's URL, or ``databricks``. A SQLite file is created where there is none.
        locks: folder of the lock files.
        registry_uri: of the model registry, where that is another store.
    """
    registry_uri = registry_uri or uri
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    from marvel_assets.tracking.patient_http import be_patient_with_mlflow

    be_patient_with_mlflow()
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if uri.startswith(SQLITE):
        _create_once(Path(uri.removeprefix(SQLITE)), locks)
    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
    if mlflow.get_registry_uri() != registry_uri:
        mlflow.set_registry_uri(registry_uri)
    return mlflow.MlflowClient()


def _create_once(database: Path, locks: Path) -> None:
    """Create MLflow's tables aside and move them into place whole: several first starts at once would spoil them."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(locks, "mlflow-database"):
        if database.exists():
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        unfinished = database.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"{SQLITE}{unfinished}", (database.parent / "artifacts").as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        unfinished.replace(database)
