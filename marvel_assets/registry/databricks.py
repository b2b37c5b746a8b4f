"""Unity Catalog on Databricks: MLflow's ``databricks-uc`` registry, and Databricks' SDK for catalogs and schemas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.registry.base import ModelVersion, RegistryError
from marvel_assets.registry.mlflow import MlflowRegistry, to_model_version
from marvel_assets.utils.databricks import databricks_config

if TYPE_CHECKING:
    import mlflow
    from databricks.sdk import WorkspaceClient
    from mlflow.entities import model_registry

RETRY_SECONDS = 20


class DatabricksRegistry(MlflowRegistry):
    """The registry on Databricks. Its search returns no tags, so each version is fetched by its number."""

    def __init__(self, client: mlflow.MlflowClient, locks: Path, registry_uri: str) -> None:
        super().__init__(client, locks)
        self._registry_uri = registry_uri

    def ensure_model(self, name: str) -> None:
        """Create the schema and the model if they are missing; only administrators create catalogs."""
        catalog, schema, _ = name.split(".")
        workspace = workspace_of(self._registry_uri)
        if not has_schema(workspace, catalog, schema):
            what, grant = f"the creation of the schema {catalog}.{schema}", f"CREATE SCHEMA on {catalog}"
            with _explain_refusal(str(workspace.config.host), what, grant):
                workspace.schemas.create(schema, catalog)
        super().ensure_model(name)

    def _searched(self, version: model_registry.ModelVersion) -> ModelVersion:
        return to_model_version(self._client.get_model_version(version.name, version.version))


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

    host, full_name = str(workspace.config.host), f"{catalog}.{schema}"
    with _explain_refusal(host, f"the catalog {catalog}", "USE CATALOG on it"):
        try:
            workspace.catalogs.get(catalog)
        except NotFound as error:
            raise RegistryError(
                f"There is no catalog {catalog} on {host}; have it created, or change catalog_name."
            ) from error
    with _explain_refusal(host, f"the schema {full_name}", "USE SCHEMA on it"):
        try:
            workspace.schemas.get(full_name)
        except NotFound:
            return False
    return True


@contextmanager
def _explain_refusal(host: str, what: str, grant: str) -> Iterator[None]:
    """Name the missing privilege in the error of a refusal, and the workspace in that of any other failure."""
    from databricks.sdk.errors import DatabricksError, PermissionDenied

    try:
        yield
    except PermissionDenied as error:
        raise RegistryError(f"{host} refuses {what}: {error} Grant {grant}.") from error
    except (DatabricksError, OSError, TimeoutError) as error:
        raise RegistryError(f"{host} does not answer for {what}: {error}") from error
