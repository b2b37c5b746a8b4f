"""MLflow's own registry, in its database or on its server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from marvel_assets.registry.base import MODELS_URI, ModelRegistry, ModelVersion, RegistryError

if TYPE_CHECKING:
    from mlflow.entities import model_registry

ALREADY_EXISTS = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
MODEL_DESCRIPTION = (
    "Registered by the Dagster project marvel_assets. `latest-model` is the version that is served; each version's "
    "description is its model card."
)
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}


class MlflowRegistry(ModelRegistry):
    """A registry with aliases and tags. Catalog and schema are part of the model's name."""

    def ensure_model(self, name: str) -> None:
        """Create the registered model if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, description=MODEL_DESCRIPTION)
        except MlflowException as error:
            if error.error_code not in ALREADY_EXISTS:
                raise RegistryError(f"{name} can't be registered: {error}") from error

    def get_version(self, name: str, version: int) -> ModelVersion | None:
        """Fetch the version itself: a search may not find it yet."""
        return _find(self._client.get_model_version, name, str(version))

    def get_version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Fetch by alias: the aliases in search results are not reliable."""
        return _find(self._client.get_model_version_by_alias, name, alias)

    def search_versions(self, name: str, *, model_id: str | None = None) -> list[ModelVersion]:
        """Search by name, and filter by the logged model: not every registry can."""
        import mlflow

        found = mlflow.search_model_versions(filter_string=f"name = '{name}'")
        wanted = [self._searched(version) for version in found if model_id in {None, _model_id(version)}]
        return sorted(wanted, key=lambda version: version.version, reverse=True)

    def set_tags(self, name: str, version: int, tags: Mapping[str, str], description: str | None = None) -> None:
        """Set the tags one by one: MLflow has no call for several at once."""
        for key, value in tags.items():
            self._client.set_model_version_tag(name, str(version), key, value)
        if description is not None:
            self._client.update_model_version(name, str(version), description)

    def _create_version(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        try:
            links = self._client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]")
            made = self._client.create_model_version(
                name, f"{MODELS_URI}{model_id}", tags=dict(tags), description=description, model_id=model_id
            )
            # MLflow's page of the logged model reads its versions from this tag, as mlflow.register_model sets it.
            links = json.dumps([*json.loads(links), {"name": name, "version": str(made.version)}])
            self._client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: links})
            return to_model_version(self._client.get_model_version(name, str(made.version)))
        except MlflowException as error:
            raise RegistryError(f"{name}: {model_id} can't be registered: {error}") from error

    def _searched(self, version: model_registry.ModelVersion) -> ModelVersion:
        """A version as a search returned it."""
        return to_model_version(version)

    def _delete_version(self, version: ModelVersion) -> None:
        self._client.delete_model_version(version.name, str(version.version))

    def _set_alias(self, name: str, alias: str, version: int) -> None:
        self._client.set_registered_model_alias(name, alias, str(version))


def _find(ask: Callable[..., model_registry.ModelVersion], name: str, key: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return to_model_version(ask(name, key))
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise


def to_model_version(version: model_registry.ModelVersion) -> ModelVersion:
    """MLflow's version as this project's."""
    number, tags = int(version.version), dict(version.tags)
    return ModelVersion(
        version.name, number, _model_id(version), version.run_id or "", version.status, tags, version.description or ""
    )


def _model_id(version: model_registry.ModelVersion) -> str:
    """The logged model's id, which the SQL registry stores only in the source."""
    return str(version.model_id or (version.source or "").removeprefix(MODELS_URI))
