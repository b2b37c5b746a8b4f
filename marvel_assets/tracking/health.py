"""Checks that MLflow's store can be used, before a run trains anything."""

from __future__ import annotations

import re
from pathlib import Path

from marvel_assets.tracking.mlflow_store import DEFAULT_EXPERIMENT, StoreError, artifact_root_of, connect
from marvel_assets.utils.databricks import databricks_config
from marvel_assets.utils.errors import causes

OUTAGE = re.compile(r"API request to https?://\S+ failed with (timeout )?exception")
"""The beginning of MLflow's error when a server does not answer."""


def check_health(uri: str, locks: Path, registry_uri: str | None = None) -> list[str]:
    """Request what a run needs first: logged models, and the location of the artifacts.

    ``GET /health`` is not enough: it succeeds without credentials, and with servers of MLflow 2 and proxies.

    Args:
        uri: of the tracking server or database.
        locks: folder of the lock files.
        registry_uri: of the registry, if it is another store.

    Returns:
        A sentence for each problem; empty if the store is ready.
    """
    if uri.startswith("databricks"):
        # MLflow would retry an unreachable workspace for minutes; the registry's check reports it in seconds.
        return _missing_credentials(uri)
    import mlflow

    part = f"tracking {'server' if uri.startswith('http') else 'database'} at {uri}"
    try:
        if not uri.startswith("http") and not _has_tables(uri):
            return []
        client = connect(uri, locks, registry_uri)
        client.search_logged_models([DEFAULT_EXPERIMENT], max_results=1)
        root = artifact_root_of(client, uri)
        if root is not None:
            part = f"artifact store at {root}"
            mlflow.artifacts.list_artifacts(artifact_uri=root)
    except StoreError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001 - clients of databases and stores have no exception in common
        return [f"MLflow's {part} {_reason(error)}"]
    return []


def _missing_credentials(uri: str) -> list[str]:
    """What is missing of the credentials for ``databricks[://profile]``."""
    try:
        databricks_config(uri.partition("://")[2] or None)
    except ValueError as error:
        return [str(error)]
    return []


def _has_tables(uri: str) -> bool:
    """Whether a database has MLflow's tables; MLflow itself would create them."""
    import sqlalchemy

    scheme, _, path = uri.partition(":///")
    if scheme == "sqlite" and not Path(path).exists():
        return False
    engine = sqlalchemy.create_engine(uri)
    try:
        return sqlalchemy.inspect(engine).has_table("experiments")
    finally:
        engine.dispose()


def add_outage_hint(text: str) -> str:
    """An error's text, with what to do if it reports that MLflow's server did not answer."""
    return f"{text} Run again when the server is back; finished work is kept." if OUTAGE.search(text) else text


def _reason(error: Exception) -> str:
    import mlflow
    from requests import RequestException

    chain = list(causes(error))
    innermost = (str(chain[-1]).strip() or type(chain[-1]).__name__).splitlines()[0]
    if isinstance(error, ImportError):
        package = (error.name or innermost).partition(".")[0]
        return f"needs the Python package {package}. Install it beside this project's, in .venv."
    match getattr(error, "get_http_status_code", int)():
        case 401 | 403 as status:
            return (
                f"refuses the credentials ({status}): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN, to those of a user who may write to it."
            )
        case 404:
            return (
                f"has no logged models: it is older than MLflow 3, and {mlflow.__version__} is used here. Upgrade the "
                "server, or correct MLFLOW_TRACKING_URI."
            )
    if any(isinstance(cause, RequestException) for cause in chain):
        return f"can't be reached: {innermost}. Is it running, and is MLFLOW_TRACKING_URI its address?"
    return f"can't be used: {innermost}"
