"""Unity Catalog on Databricks: MLflow's ``databricks-uc`` registry, and the vendor's SDK for catalogs and schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marvel_assets.resources.unity_catalog.catalog import CatalogError, CatalogVersion
from marvel_assets.resources.unity_catalog.mlflow_registry import MlflowRegistryCatalog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import mlflow
    from mlflow.entities.model_registry import ModelVersion

PROFILE = "://"
HTTP_SECONDS = 10
RETRY_SECONDS = 20


class DatabricksCatalog(MlflowRegistryCatalog):
    """The catalog on Databricks.

    Its searches know no tags and return none, so that tags are read version by version.
    """

    def __init__(self, client: mlflow.MlflowClient, locks: Path, registry_uri: str) -> None:
        super().__init__(client, locks)
        self._profile = registry_uri.partition(PROFILE)[2] or None

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Create the schema where it is missing; a catalog is for its administrators to create.

        Raises:
            CatalogError: naming the catalog that is missing, or the privilege that is refused.
        """
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.config import Config
        from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied

        full_name = f"{catalog}.{schema}"
        try:
            workspace = WorkspaceClient(
                config=Config(
                    profile=self._profile, http_timeout_seconds=HTTP_SECONDS, retry_timeout_seconds=RETRY_SECONDS
                )
            )
        except ValueError as error:
            raise CatalogError(f"Databricks has no credentials to use: {error}") from error
        host = workspace.config.host
        try:
            workspace.catalogs.get(catalog)
        except NotFound as error:
            raise CatalogError(
                f"There is no catalog {catalog} on {host}; have it created, or change catalog_name in project.yml."
            ) from error
        except PermissionDenied as error:
            raise CatalogError(f"{host} refuses the catalog {catalog}: {error} Grant USE CATALOG on it.") from error
        except (DatabricksError, OSError, TimeoutError) as error:
            raise CatalogError(f"{host} can't be asked for the catalog {catalog}: {error}") from error
        try:
            workspace.schemas.get(full_name)
        except NotFound:
            try:
                workspace.schemas.create(schema, catalog)
            except PermissionDenied as error:
                raise CatalogError(
                    f"{host} refuses to create the schema {full_name}: {error} Grant CREATE SCHEMA on {catalog}."
                ) from error
        except PermissionDenied as error:
            raise CatalogError(f"{host} refuses the schema {full_name}: {error} Grant USE SCHEMA on it.") from error

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> CatalogVersion:
        """Register the model; where another machine did so at the same moment, its version, the lower one, counts."""
        made = super().register(name, model_id, tags, description)
        first = min((version for version in self.versions(name) if version.model_id == model_id), key=_number)
        if first.version < made.version:
            self._client.delete_model_version(name, str(made.version))
        return first

    def _found(self, version: ModelVersion) -> CatalogVersion:
        return self._get(version.name, int(version.version))


def _number(version: CatalogVersion) -> int:
    return version.version
