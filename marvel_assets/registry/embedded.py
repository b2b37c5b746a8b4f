"""MLflow's SQL registry under three-level names."""

from __future__ import annotations

from marvel_assets.registry.mlflow import MlflowRegistryCatalog


class EmbeddedCatalog(MlflowRegistryCatalog):
    """The catalog where MLflow's own database is the registry. Catalog and schema are a part of the model's name."""

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Nothing is to be made: names are all there is."""
