"""Checks that MLflow's store can be used, before a run trains anything."""

from __future__ import annotations

import re
from pathlib import Path

from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import DEFAULT_EXPERIMENT, SQLITE, artifact_root_of, connect
from marvel_assets.utils.databricks import databricks_config
from marvel_assets.utils.errors import causes

OUTAGE = re.compile(r"API request to https?://\S+ failed with (timeout )?exception")
"""The beginning of MLflow's error when a server does not answer."""


def check_health(uri: str, locks: Path, registry_uri: str | None = None) -> list[str]:
    """Request what a run needs first: logged models, and the location of the artifacts; returns what prevents it.

    ``GET /health`` is not enough: it succeeds without credentials, and with servers of MLflow 2 and proxies.
    """
    part = f"tracking {'server' if uri.startswith('http') else 'database'} at {uri}"
    try:
        if uri.startswith("databricks"):
            # MLflow would retry an unreachable workspace for minutes; the registry's check reports it in seconds.
            databricks_config(uri.partition("://")[2] or None)
        elif uri != ProjectPaths(locks.parent).mlflow_uri and (uri.startswith("http") or _has_tables(uri)):
            import mlflow

            client = connect(uri, locks, registry_uri)
            client.search_logged_models([DEFAULT_EXPERIMENT], max_results=1)
            if root := artifact_root_of(client):
                part = f"artifact store at {root}"
                mlflow.artifacts.list_artifacts(artifact_uri=root)
    except Exception as error:  # noqa: BLE001 - clients of databases and stores have no exception in common
        return [str(error) if uri.startswith("databricks") else f"MLflow's {part} {_reason(error)}"]
    return []


def _has_tables(uri: str) -> bool:
    """Whether a database has MLflow's tables; MLflow itself would create them."""
    import sqlalchemy

    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        return False
    return sqlalchemy.inspect(sqlalchemy.create_engine(uri)).has_table("experiments")


def add_outage_hint(text: str) -> str:
    """An error's text, with what to do if it reports that MLflow's server did not answer."""
    return f"{text} Run again when the server is back; finished work is kept." if OUTAGE.search(text) else text


def _reason(error: Exception) -> str:
    import mlflow
    from requests import RequestException

    chain = list(causes(error))
    innermost = str(chain[-1]).partition("\n")[0]
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
