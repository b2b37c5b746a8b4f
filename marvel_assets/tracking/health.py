"""Whether MLflow's store can be used: asked before a run trains anything, by calls that write nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.tracking.mlflow_store import DEFAULT_EXPERIMENT, PROXIED, StoreError, artifact_root_of, connect
from marvel_assets.utils.errors import causes

PACKAGES = {
    "azure": "azure-storage-blob",
    "botocore": "boto3",
    "google": "google-cloud-storage",
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
"""What to install for a module of another name."""

OUTAGE = re.compile(r"API request to https?://\S+ failed with (timeout )?exception")
"""How MLflow begins to tell that a server did not answer, or that it can't."""


def check_health(uri: str, locks: Path, registry_uri: str | None = None) -> list[str]:
    """Ask the store for what a run needs first: logged models, and the place of the artifacts.

    ``GET /health`` would not do: it is answered without credentials, by servers of MLflow 2, and by proxies.

    Args:
        uri: of the tracking server or database.
        locks: folder of the lock files.
        registry_uri: of the registry, where that is another store.

    Returns:
        A sentence for what keeps the store from being used; none where it is ready.
    """
    import mlflow

    is_server = uri.startswith("http")
    try:
        if not is_server and not _has_tables(uri):
            return []
        with _in_a_sentence(f"MLflow's tracking {'server' if is_server else 'database'} at {uri}"):
            client = connect(uri, locks, registry_uri, read_only=True)
            client.search_logged_models([DEFAULT_EXPERIMENT], max_results=1)
            root = artifact_root_of(client, uri)
        if root is not None:
            with _in_a_sentence(f"MLflow's artifact store at {uri if root.startswith(PROXIED) else root}"):
                mlflow.artifacts.list_artifacts(artifact_uri=root)
    except StoreError as error:
        return [str(error)]
    return []


def add_outage_hint(text: str) -> str:
    """An error's text, with what to do where it says that MLflow's server did not answer."""
    return f"{text} Run again when the server is back; what was done is kept." if OUTAGE.search(text) else text


def _has_tables(uri: str) -> bool:
    """Whether MLflow has made its tables in a database; to ask MLflow would make them."""
    import sqlalchemy

    scheme, _, path = uri.partition(":///")
    if scheme == "sqlite" and not Path(path).exists():
        return False
    with _in_a_sentence(f"The {scheme.partition(':')[0]} database that MLFLOW_TRACKING_URI names"):
        engine = sqlalchemy.create_engine(uri)
        try:
            return sqlalchemy.inspect(engine).has_table("experiments")
        finally:
            engine.dispose()


@contextmanager
def _in_a_sentence(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        package = PACKAGES.get(module, module)
        raise StoreError(
            f"{what} needs the Python package {package}. Install it beside this project's: "
            f".venv/bin/python -m pip install '{package}'"
        ) from error
    except Exception as error:  # clients of databases and stores have no exception in common
        raise StoreError(f"{what} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    import mlflow
    from requests import RequestException

    chain = list(causes(error))
    innermost = str(chain[-1]).strip().splitlines()[0]
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
