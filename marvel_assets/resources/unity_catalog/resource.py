"""The Unity Catalog client as a resource."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from marvel_assets.resources.mlflow_store import connect

if TYPE_CHECKING:
    from marvel_assets.resources.unity_catalog.catalog import ModelCatalog


class UnityCatalog(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the model catalog."""

    registry_uri: str = Field(description="Model registry. Default: the same store as MLflow's tracking.")
    backend: Literal["embedded"] = Field(
        default="embedded", description="embedded: MLflow's own database, under three-level names."
    )
    locks: str = Field(description="Folder of the lock files that keep two registrations of one model apart.")

    def catalog(self) -> ModelCatalog:
        """The backend that is configured."""
        from marvel_assets.resources.unity_catalog.embedded import EmbeddedCatalog

        return EmbeddedCatalog(connect(self.registry_uri, Path(self.locks)), Path(self.locks))
