"""MLflow's SQL registry under three-level names."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from marvel_assets.locking import exclusive
from marvel_assets.resources.unity_catalog.catalog import CatalogError, CatalogVersion

if TYPE_CHECKING:
    from pathlib import Path

    import mlflow
    from mlflow.entities.model_registry import ModelVersion

POLL_SECONDS = 0.2
READY = "READY"
THREE_LEVELS = 3
MODELS_URI = "models:/"


class EmbeddedCatalog:
    """The catalog where MLflow's own database is the registry.

    Catalog and schema are a part of the model's name there. Registrations stand under a lock file, since the
    registry itself would give one model two versions where two runs register it at once.
    """

    def __init__(self, client: mlflow.MlflowClient, locks: Path) -> None:
        self._client = client
        self._locks = locks

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Nothing is to be made: names are all there is."""

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> CatalogVersion:
        """Register ``models:/<model_id>``, or find the version that was made of it."""
        import mlflow
        from mlflow.exceptions import MlflowException

        _check_three_levels(name)
        with exclusive(self._locks, f"model-{name}"):
            for known in self.versions(name):
                if known.model_id == model_id:
                    return known
            try:
                made = mlflow.register_model(f"{MODELS_URI}{model_id}", name, tags=dict(tags))
            except MlflowException as error:
                raise CatalogError(f"{name}: {model_id} can't be registered: {error}") from error
        self._client.update_model_version(name, str(made.version), description=description)
        return self._version(made)

    def wait_until_ready(self, name: str, version: int, seconds: float) -> CatalogVersion:
        """Ask until the status is READY."""
        from mlflow.exceptions import MlflowException

        _check_three_levels(name)
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self._version(self._client.get_model_version(name, str(version)))
            except MlflowException as error:
                raise CatalogError(f"{name} version {version} can't be looked up: {error}") from error
            if found.status == READY:
                return found
            if time.monotonic() > deadline:
                raise CatalogError(
                    f"{name} version {version} is {found.status} after {seconds:g} s, expected {READY}; "
                    "the alias was not moved. Run again when the registry has finished."
                )
            time.sleep(POLL_SECONDS)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point the alias, after a look at the version's status."""
        self.wait_until_ready(name, version, seconds=0)
        self._client.set_registered_model_alias(name, alias, str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove the alias, where it is set."""
        if self.version_under(name, alias) is not None:
            self._client.delete_registered_model_alias(name, alias)

    def version_under(self, name: str, alias: str) -> CatalogVersion | None:
        """Ask for the alias itself: those in search results are not to be relied on."""
        from mlflow.exceptions import MlflowException

        _check_three_levels(name)
        try:
            return self._version(self._client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def versions(self, name: str) -> Sequence[CatalogVersion]:
        """Search by name."""
        return self._search(f"name = '{_check_three_levels(name)}'")

    def versions_tagged(self, name: str, key: str, value: str) -> Sequence[CatalogVersion]:
        """Search by name, then compare: a search condition has no way to quote every value."""
        return [version for version in self.versions(name) if version.tags.get(key) == value]

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set them one by one."""
        for key, value in tags.items():
            self._client.set_model_version_tag(name, str(version), key, value)

    def _search(self, condition: str) -> Sequence[CatalogVersion]:
        found: list[CatalogVersion] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(condition, page_token=token)
            found += [self._version(version) for version in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda version: version.version, reverse=True)

    @staticmethod
    def _version(version: ModelVersion) -> CatalogVersion:
        # The SQL registry keeps the model's id in the source alone.
        return CatalogVersion(
            version.name,
            int(version.version),
            version.model_id or (version.source or "").removeprefix(MODELS_URI),
            version.run_id or "",
            version.status,
            dict(version.tags),
        )


def _check_three_levels(name: str) -> str:
    levels = name.split(".")
    if len(levels) != THREE_LEVELS or not all(levels) or "'" in name:
        raise CatalogError(f"{name!r} is no catalog.schema.model; name all three levels.")
    return name
