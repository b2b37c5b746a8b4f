"""The model registry as a resource."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from marvel_assets.config import ProjectConfig
from marvel_assets.registry.base import ModelRegistry, ModelVersion, RegistryError
from marvel_assets.registry.databricks import DatabricksRegistry, check_schema
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets.registry.unity_catalog import UnityCatalogRegistry, register_table
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.tracking.artifacts import FILES_DIGEST, checked_files
from marvel_assets.tracking.mlflow_store import connect


class UnityCatalog(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The model registry of the profile: MLflow's own, an open-source Unity Catalog server, or Databricks."""

    backend: Literal["embedded", "oss", "databricks"] = "embedded"
    tracking_uri: str = Field(description="MLflow's tracking store, where the logged models are.")
    registry_uri: str = Field(description="The registry: the tracking store, uc:<URL>, or databricks-uc.")
    storage_root: str | None = Field(
        default=None, description="Where a new catalog stores its models' files, in a folder with its name."
    )
    locks: str = Field(description="Folder of the lock files that prevent concurrent registrations of one model.")

    def problems(self, catalog: str, schema: str) -> list[str]:
        """What prevents registration under ``catalog.schema``; a missing schema doesn't, since a run creates it."""
        try:
            if self.backend == "oss":
                self._api().check_schema(catalog, schema, create=False)
            elif self.backend == "databricks":
                check_schema(self.registry_uri, catalog, schema, create=False)
        except (RegistryError, ValueError) as error:
            return [str(error)]
        return []

    def ensure_model(self, name: str) -> None:
        """Create what is missing of ``catalog.schema.model``; MLflow's own registry needs nothing in advance."""
        if self.backend != "embedded":
            self.registry().ensure_model(name)

    def register_table(self, name: str, folder: Path, comment: str, column_comments: Mapping[str, str]) -> str:
        """Register a Delta table on an open-source Unity Catalog server; does nothing for the other backends.

        Returns:
            Why the server's table was not changed although it differs; '' otherwise.
        """
        if self.backend != "oss":
            return ""
        return register_table(self._api(), Path(self.locks), name, folder, comment, column_comments)

    def files_of(self, version: ModelVersion) -> AbstractContextManager[Path]:
        """A copy of a version's files, verified against the digest in its tags; see ``checked_files``."""
        connect(self.tracking_uri, Path(self.locks), self.registry_uri)
        uri = f"models:/{version.name}/{version.version}"
        return checked_files(uri, version.model_id, version.tags.get(FILES_DIGEST, ""))

    def pairs(self, config: ProjectConfig, *, read_only: bool = False) -> ModelPairs:
        """The pairs of basic and custom versions of an environment; see ``registry``."""
        return ModelPairs(self.registry(read_only=read_only), config)

    def registry(self, *, read_only: bool = False) -> ModelRegistry:
        """The configured backend.

        Args:
            read_only: don't create MLflow's database, or update it after the home was moved.
        """
        locks = Path(self.locks)
        client = connect(self.tracking_uri, locks, self.registry_uri, read_only=read_only)
        if self.backend == "oss":
            return UnityCatalogRegistry(client, locks, self._api())
        if self.backend == "databricks":
            return DatabricksRegistry(client, locks, self.registry_uri)
        return MlflowRegistry(client, locks)

    def _api(self) -> UnityCatalogApi:
        return UnityCatalogApi(self.registry_uri.removeprefix("uc:"), self.storage_root)
