"""Unity Catalog on Databricks: MLflow's ``databricks-uc`` registry, and Databricks' SDK for catalogs and schemas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.registry.base import ModelVersion, RegistryError
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.spark.session import databricks_config

if TYPE_CHECKING:
    import mlflow
    from databricks.sdk import WorkspaceClient

RETRY_SECONDS = 20


class DatabricksRegistry(MlflowRegistry):
    """The registry on Databricks."""

    def __init__(self, client: mlflow.MlflowClient, locks: Path, registry_uri: str) -> None:
        super().__init__(client, locks)
        self._registry_uri = registry_uri

    def ensure_model(self, name: str) -> None:
        """Create the schema and the model if they are missing; only administrators create catalogs."""
        from databricks.sdk.errors import DatabricksError

        catalog, schema, _ = name.split(".")
        workspace = workspace_of(self._registry_uri)
        if not has_schema(workspace, catalog, schema):
            what, grant = f"creation of the schema {catalog}.{schema}", f"CREATE SCHEMA on {catalog}"
            with _explain_refusal(workspace, what, grant):
                try:
                    workspace.schemas.create(schema, catalog)
                except DatabricksError as error:
                    if not str(error.error_code).endswith("ALREADY_EXISTS"):  # another run has just created it
                        raise
        super().ensure_model(name)

    def search_versions(self, name: str, *, model_id: str | None = None) -> list[ModelVersion]:
        """Search, and fetch each version by its number: the search returns no tags."""
        found = super().search_versions(name, model_id=model_id)
        return [version for each in found if (version := self.get_version(name, each.version))]


def workspace_of(registry_uri: str) -> WorkspaceClient:
    """Databricks' client of the workspace that ``databricks-uc[://profile]`` names."""
    from databricks.sdk import WorkspaceClient

    try:
        return WorkspaceClient(config=databricks_config(registry_uri.partition("://")[2] or None, RETRY_SECONDS))
    except ValueError as error:
        raise RegistryError(str(error)) from error


def has_schema(workspace: WorkspaceClient, catalog: str, schema: str) -> bool:
    """Whether the schema exists; nothing is created.

    Raises:
        RegistryError: naming the catalog that is missing, or the privilege that is refused.
    """
    from databricks.sdk.errors import NotFound

    with _explain_refusal(workspace, f"catalog {catalog}", "USE CATALOG on it"):
        workspace.catalogs.get(catalog)
    with _explain_refusal(workspace, f"schema {catalog}.{schema}", "USE SCHEMA on it"):
        try:
            workspace.schemas.get(f"{catalog}.{schema}")
        except NotFound:
            return False
    return True


@contextmanager
def _explain_refusal(workspace: WorkspaceClient, what: str, grant: str) -> Iterator[None]:
    """Name what is missing, the privilege in the error of a refusal, and the workspace in that of any other failure."""
    from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied

    host = workspace.config.host
    try:
        yield
    except NotFound as error:
        raise RegistryError(f"There is no {what} on {host}; have it created, or change catalog_name.") from error
    except PermissionDenied as error:
        raise RegistryError(f"{host} refuses the {what}: {error} Grant {grant}.") from error
    except (DatabricksError, OSError, TimeoutError) as error:
        raise RegistryError(f"{host} does not answer for the {what}: {error}") from error
