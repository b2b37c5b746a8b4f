"""Unity Catalog on Databricks: MLflow's ``databricks-uc`` registry, and Databricks' SDK for catalogs and schemas."""

from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.registry.base import ModelVersion, RegistryError
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.spark.session import databricks_config

if TYPE_CHECKING:
    import mlflow

RETRY_SECONDS = 20


class DatabricksRegistry(MlflowRegistry):
    """The registry on Databricks."""

    def __init__(self, client: "mlflow.MlflowClient", locks: Path, registry_uri: str) -> None:
        super().__init__(client, locks)
        self._registry_uri = registry_uri

    def ensure_model(self, name: str) -> None:
        catalog, schema, _ = name.split(".")
        check_schema(self._registry_uri, catalog, schema, create=True)
        super().ensure_model(name)

    def search_versions(self, name: str, *, model_id: str | None = None) -> list[ModelVersion]:
        found = super().search_versions(name, model_id=model_id)
        # The search returns no tags.
        return [version for each in found if (version := self.get_version(name, each.version))]


def check_schema(registry_uri: str, catalog: str, schema: str, *, create: bool) -> None:
    """Check that a catalog and a schema on ``databricks-uc[://profile]`` can be used.

    The schema may be missing, and is created if ``create``; only administrators create catalogs.

    Raises:
        ValueError: no credentials are configured.
        RegistryError: the workspace does not answer, or refuses; its reason names the catalog, or the privilege.
    """
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors import DatabricksError, NotFound

    config = databricks_config(registry_uri.partition("://")[2] or None, RETRY_SECONDS)
    try:
        workspace = WorkspaceClient(config=config)
        workspace.catalogs.get(catalog)
        try:
            workspace.schemas.get(f"{catalog}.{schema}")
        except NotFound:
            if create:
                workspace.schemas.create(schema, catalog)
    except (DatabricksError, OSError, TimeoutError) as error:
        raise RegistryError(
            f"Models can't be registered in {catalog}.{schema} on {config.host}: {error}. Have what is missing "
            "created or granted, or change catalog_name."
        ) from error
