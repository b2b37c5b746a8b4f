"""Whether MLflow's store can do what a run asks of it, by calls that a run makes anyway and that write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import mlflow

DEFAULT_EXPERIMENT = "0"
PROXIED = "mlflow-artifacts"
PACKAGES = {
    "azure": "azure-storage-blob",
    "botocore": "boto3",
    "google": "google-cloud-storage",
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
"""What to install for a module of another name."""


class StoreError(RuntimeError):
    """What keeps MLflow's store from being used, in a sentence with a way out."""


def store_problems(uri: str, locks: Path, registry_uri: str | None = None) -> list[str]:
    """What keeps a tracking server or database from taking runs, models and files.

    Args:
        uri: of the store.
        locks: folder of the lock files.
        registry_uri: of the registry, where that is another store.
    """
    from marvel_assets.tracking.mlflow_store import connect

    try:
        if not uri.startswith("http") and not _has_tables(uri):
            return []
        with _in_a_sentence(f"MLflow's tracking server at {uri}"):
            client = connect(uri, locks, registry_uri, read_only=True)
            client.search_logged_models([DEFAULT_EXPERIMENT], max_results=1)
            root = artifact_root_of(client, uri)
        if root is not None:
            with _in_a_sentence(f"MLflow's artifact store at {root}"):
                _list(root)
    except StoreError as error:
        return [str(error)]
    return []


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


def _list(root: str) -> None:
    import mlflow

    mlflow.artifacts.list_artifacts(artifact_uri=root)


@contextmanager
def _in_a_sentence(what: str) -> Iterator[None]:
    from marvel_assets.tracking.patient_http import ServerUnavailableError

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
        chain = list(_chain(error))
        if away := next((cause for cause in chain if isinstance(cause, ServerUnavailableError)), None):
            reason = f"{away.reason}. Is it running, and is MLFLOW_TRACKING_URI its address?"
        elif "logged-models/search failed with error code 404" in str(error):
            reason = f"knows no logged models: {_version()}"
        else:
            reason = f"can't be used: {str(chain[-1]).strip().splitlines()[0]}"
        raise StoreError(f"{what} {reason}") from error


def _version() -> str:
    import mlflow

    return f"it is older than MLflow 3, and {mlflow.__version__} is used here. Upgrade the server."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
