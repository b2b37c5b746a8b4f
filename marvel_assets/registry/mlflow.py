"""What registries that MLflow knows in full have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from marvel_assets.registry.base import (
    MODELS_URI,
    CatalogError,
    CatalogVersion,
    check_three_levels,
    ready,
)
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from pathlib import Path

    import mlflow
    from mlflow.entities.model_registry import ModelVersion

UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}


class MlflowRegistryCatalog:
    """A catalog that keeps aliases and tags itself.

    Registrations stand under a lock file, since the registry would give one model two versions where two runs register
    it at once.
    """

    def __init__(self, client: mlflow.MlflowClient, locks: Path) -> None:
        self._client = client
        self._locks = locks

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Make sure that models can be registered under ``catalog.schema``."""
        raise NotImplementedError

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> CatalogVersion:
        """Register ``models:/<model_id>``, or find the version that was made of it.

        MLflow asks again where an answer was lost, and another machine may register at the same moment: of two versions
        of one model the lower one counts, and the other, which has no alias yet, is deleted.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        check_three_levels(name)
        with exclusive(self._locks, f"model-{name}"):
            for known in self.versions(name, model_id=model_id):
                self._link(known)
                return known
            try:
                made = int(mlflow.register_model(f"{MODELS_URI}{model_id}", name, tags=dict(tags)).version)
                # A search may not know the new version yet.
                first = min([made, *(version.version for version in self.versions(name, model_id=model_id))])
                if first < made:
                    self._client.delete_model_version(name, str(made))
                self._client.update_model_version(name, str(first), description=description)
            except MlflowException as error:
                raise CatalogError(f"{name}: {model_id} can't be registered: {error}") from error
        return self._get(name, first)

    def wait_until_ready(self, name: str, version: int, seconds: float) -> CatalogVersion:
        """Ask until the status is READY."""
        check_three_levels(name)
        return ready(lambda: self._get(name, version), seconds)

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

        check_three_levels(name)
        try:
            return self._version(self._client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise

    def models(self, catalog: str, schema: str) -> Sequence[str]:
        """Search all, and keep the schema's own: not every registry can search by a part of the name."""
        found: list[str] = []
        token: str | None = None
        while True:
            page = self._client.search_registered_models(page_token=token)
            found += [model.name for model in page if model.name.startswith(f"{catalog}.{schema}.")]
            token = page.token
            if not token:
                return sorted(found)

    def find_version(self, name: str, number: int) -> CatalogVersion | None:
        """Ask for the version itself: a search may not know it yet."""
        from mlflow.exceptions import MlflowException

        check_three_levels(name)
        try:
            return self._version(self._client.get_model_version(name, str(number)))
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise

    def versions(self, name: str, *, model_id: str | None = None) -> Sequence[CatalogVersion]:
        """Search by name, and keep those of the logged model: not every registry searches by it."""
        condition = f"name = '{check_three_levels(name)}'"
        found: list[CatalogVersion] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(condition, page_token=token)
            found += [self._found(version) for version in page if model_id in {None, _model_id_of(version)}]
            token = page.token
            if not token:
                return sorted(found, key=lambda version: version.version, reverse=True)

    def versions_tagged(self, name: str, key: str, value: str) -> Sequence[CatalogVersion]:
        """Search by name, then compare: a search condition has no way to quote every value."""
        return [version for version in self.versions(name) if version.tags.get(key) == value]

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set them one by one."""
        for key, value in tags.items():
            self._client.set_model_version_tag(name, str(version), key, value)

    def set_description(self, name: str, version: int, description: str) -> None:
        """Replace it."""
        self._client.update_model_version(name, str(version), description=description)

    def _get(self, name: str, version: int) -> CatalogVersion:
        from mlflow.exceptions import MlflowException

        try:
            return self._version(self._client.get_model_version(name, str(version)))
        except MlflowException as error:
            raise CatalogError(f"{name} version {version} can't be looked up: {error}") from error

    def _found(self, version: ModelVersion) -> CatalogVersion:
        """A version as a search tells it."""
        return self._version(version)

    def _link(self, version: CatalogVersion) -> None:
        """Let the logged model tell of its version, as MLflow does after it has made one; it may have been killed."""
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        told = json.loads(self._client.get_logged_model(version.model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        link = {"name": version.name, "version": str(version.version)}
        if link not in [{**known, "version": str(known["version"])} for known in told]:
            tags = {MLFLOW_MODEL_VERSIONS: json.dumps([*told, link])}
            self._client.set_logged_model_tags(version.model_id, tags)

    @staticmethod
    def _version(version: ModelVersion) -> CatalogVersion:
        return CatalogVersion(
            version.name,
            int(version.version),
            _model_id_of(version),
            version.run_id or "",
            version.status,
            dict(version.tags),
            version.description or "",
        )


def _model_id_of(version: ModelVersion) -> str:
    """The SQL registry keeps the logged model's id in the source alone."""
    return str(version.model_id or (version.source or "").removeprefix(MODELS_URI))
