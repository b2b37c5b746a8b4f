"""MLflow's own registry, in its database or on its server."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from marvel_assets.registry.base import ModelRegistry, ModelVersion, RegistryError

if TYPE_CHECKING:
    from mlflow.entities import model_registry

ALREADY_EXISTS = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
DOES_NOT_EXIST = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}
MODEL_DESCRIPTION = "Registered by marvel_assets. `latest-model` is served; a version's description is its model card."


class MlflowRegistry(ModelRegistry):
    """A registry with aliases and tags. Catalog and schema are part of the model's name."""

    def ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, description=MODEL_DESCRIPTION)
        except MlflowException as error:
            if error.error_code not in ALREADY_EXISTS:
                raise RegistryError(f"{name} can't be registered: {error}") from error

    def get_version(self, name: str, version: int) -> ModelVersion | None:
        return _version_or_none(self._client.get_model_version, name, str(version))

    def get_version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        return _version_or_none(self._client.get_model_version_by_alias, name, alias)

    def set_tags(self, name: str, version: int, tags: Mapping[str, str], description: str | None = None) -> None:
        for key, value in tags.items():
            self._client.set_model_version_tag(name, str(version), key, value)
        if description is not None:
            self._client.update_model_version(name, str(version), description)

    def _list_versions(self, name: str) -> Iterable[ModelVersion]:
        import mlflow

        return map(_to_model_version, mlflow.search_model_versions(filter_string=f"name = '{name}'"))

    def _create_version(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        try:
            links = self._client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]")
            made = self._client.create_model_version(
                name, f"models:/{model_id}", tags=dict(tags), description=description, model_id=model_id
            )
            # MLflow's page of the logged model reads its versions from this tag, as mlflow.register_model sets it.
            links = json.dumps([*json.loads(links), {"name": name, "version": str(made.version)}])
            self._client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: links})
            return _to_model_version(self._client.get_model_version(name, str(made.version)))
        except MlflowException as error:
            raise RegistryError(f"{name}: {model_id} can't be registered: {error}") from error

    def _delete_version(self, version: ModelVersion) -> None:
        self._client.delete_model_version(version.name, str(version.version))

    def _set_alias(self, name: str, alias: str, version: int) -> None:
        self._client.set_registered_model_alias(name, alias, str(version))


def _version_or_none(get: Callable[..., "model_registry.ModelVersion"], name: str, key: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return _to_model_version(get(name, key))
    except MlflowException as error:
        if error.error_code in DOES_NOT_EXIST:
            return None
        raise


def _to_model_version(version: "model_registry.ModelVersion") -> ModelVersion:
    return ModelVersion(
        name=version.name,
        version=int(version.version),
        # The SQL registry stores the logged model's id only in the source.
        model_id=str(version.model_id or (version.source or "").removeprefix("models:/")),
        run_id=version.run_id or "",
        status=version.status,
        # A search on Databricks returns no tags, but a method that raises an error.
        tags={} if callable(version.tags) else dict(version.tags),
        description=version.description or "",
    )
