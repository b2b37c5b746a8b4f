"""An open-source Unity Catalog server: MLflow's ``uc:`` registry for the files, its REST interface for the rest.

That server has neither aliases nor tags. Both are emulated with what it stores, so that all clients see them:

- A version's tags and its model's id are a line of JSON at the end of its comment, written with the version itself.
- An alias is a separate model, ``<model>@<alias>``, whose comment is the version's number: moving it updates one row.

Its version numbers are not unique either: two clients that register at the same moment may both get the same one. A
home registers under a lock; two homes detect it afterwards, and report what to delete.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, ValidationError

from marvel_assets.registry.base import MODELS_URI, ModelRegistry, ModelVersion, RegistryError
from marvel_assets.registry.unity_catalog_api import Json, UnityCatalogApi
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import mlflow

RECORD = "marvel_assets: "
"""Begins the comment's last line, which holds the data that the server has no field for."""


class _Record(BaseModel):
    """The content of a comment's last line."""

    model_id: str
    tags: dict[str, str] = Field(default_factory=dict)


class UnityCatalogRegistry(ModelRegistry):
    """The registry on an open-source Unity Catalog server."""

    def __init__(self, client: mlflow.MlflowClient, locks: Path, url: str, storage_root: str | None) -> None:
        super().__init__(client, locks)
        self._api = UnityCatalogApi(url)
        self._storage_root = storage_root

    def ensure_model(self, name: str) -> None:
        """Create what is missing of catalog, schema and model."""
        if self._api.find(f"models/{name}") is None:
            catalog, schema, model = name.split(".")
            for path, body in missing_securables(self._api, catalog, schema, self._storage_root):
                self._api.create(path, body)
            self._api.create("models", {"name": model, "catalog_name": catalog, "schema_name": schema})

    def get_version(self, name: str, version: int) -> ModelVersion | None:
        """Fetch one version."""
        row = self._api.find(f"models/{name}/versions/{version}")
        return None if row is None else self._version(name, row)

    def get_version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Follow the row that stands for the alias to the version that it names."""
        pointer = self._api.find(f"models/{name}@{alias}")
        if pointer is None:
            return None
        comment = pointer["comment"] or ""
        version = self.get_version(name, int(comment)) if comment.isdecimal() else None
        if version is None:
            raise RegistryError(
                f"The model {name}@{alias} on {self._api.url} represents an alias, and its comment is {comment!r}, "
                f"expected the number of a version of {name}. Correct the comment there, or delete {name}@{alias}."
            )
        return version

    def search_versions(self, name: str, *, model_id: str | None = None) -> list[ModelVersion]:
        """List all versions; their comments name the logged models."""
        found = [self._version(name, row) for row in self._rows(name)]
        wanted = [version for version in found if model_id in {None, version.model_id}]
        return sorted(wanted, key=lambda version: version.version, reverse=True)

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Rewrite the comment with the new tags."""
        with exclusive(self._locks, f"model-{name}"):
            path = f"models/{name}/versions/{version}"
            description, record = self._read_comment(name, self._api.call("GET", path))
            record = record.model_copy(update={"tags": {**record.tags, **tags}})
            self._api.call("PATCH", path, body={"comment": _comment(description, record)})

    def _create_version(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> ModelVersion:
        comment = _comment(description, _Record(model_id=model_id, tags=dict(tags)))
        self._upload(name, model_id, comment)
        versions = self.search_versions(name)
        made = next(version for version in versions if version.model_id == model_id)
        if [version.version for version in versions].count(made.version) > 1:
            raise self._given_twice(name, made.version)
        return made

    def _upload(self, name: str, model_id: str, comment: str) -> None:
        """Create the version through MLflow.

        The files are downloaded to a temporary folder first: MLflow would delete those of the logged model.
        """
        import mlflow
        from mlflow.exceptions import MlflowException
        from mlflow.store._unity_catalog.registry.uc_oss_rest_store import UnityCatalogOssStore

        source = f"{MODELS_URI}{model_id}"
        with tempfile.TemporaryDirectory() as folder:
            try:
                run_id = self._client.get_logged_model(model_id).source_run_id or ""
                files = mlflow.artifacts.download_artifacts(source, dst_path=folder)
                store = UnityCatalogOssStore(f"uc:{self._api.url}")  # type: ignore[no-untyped-call]
                store.create_model_version(name, source, run_id=run_id, description=comment, local_model_path=files)
            except MlflowException as error:
                raise RegistryError(f"{name}: {model_id} can't be registered on {self._api.url}: {error}") from error

    def _given_twice(self, name: str, number: int) -> RegistryError:
        return RegistryError(
            f"{name}: version {number} exists twice on {self._api.url}: another home or another client registered "
            "at the same moment. Delete that version there twice, then run again, one client at a time."
        )

    def _delete_version(self, version: ModelVersion) -> None:
        found = self.get_version(version.name, version.version)
        if found is not None and found.model_id != version.model_id:
            raise self._given_twice(version.name, version.version)
        self._api.call("DELETE", f"models/{version.name}/versions/{version.version}")

    def _set_alias(self, name: str, alias: str, version: int) -> None:
        pointer = f"{name}@{alias}"
        if self._api.find(f"models/{pointer}") is None:
            catalog, schema, model = pointer.split(".", 2)
            body = {"name": model, "catalog_name": catalog, "schema_name": schema, "comment": str(version)}
            self._api.call("POST", "models", body=body)
        else:
            self._api.call("PATCH", f"models/{pointer}", body={"comment": str(version)})

    def _rows(self, name: str) -> list[Json]:
        return list(self._api.rows(f"models/{name}/versions", "model_versions"))

    def _version(self, name: str, row: Json) -> ModelVersion:
        description, record = self._read_comment(name, row)
        run_id, status = row["run_id"] or "", row["status"]
        return ModelVersion(name, int(row["version"]), record.model_id, run_id, status, record.tags, description)

    def _read_comment(self, name: str, row: Json) -> tuple[str, _Record]:
        description, _, last = (row["comment"] or "").rpartition("\n")
        if not last.startswith(RECORD):  # registered by another client
            return row["comment"] or "", _Record(model_id=(row["source"] or "").removeprefix(MODELS_URI))
        try:
            return description, _Record.model_validate_json(last.removeprefix(RECORD))
        except ValidationError as error:
            raise RegistryError(
                f"The comment of {name} version {row['version']} on {self._api.url} was edited: its last line is "
                f"{last[:100]!r}, expected {RECORD!r} and the JSON that this project wrote. Restore that line there, "
                "or delete the version."
            ) from error


def missing_securables(
    api: UnityCatalogApi, catalog: str, schema: str, storage_root: str | None
) -> list[tuple[str, Json]]:
    """Path and body of the requests that would create a missing catalog or schema; none is sent.

    Raises:
        RegistryError: the catalog is missing, and there is no storage root to create it with.
    """
    new_schema = "schemas", {"name": schema, "catalog_name": catalog}
    if api.find(f"catalogs/{catalog}") is not None:
        return [] if api.find(f"schemas/{catalog}.{schema}") else [new_schema]
    if not storage_root:
        raise RegistryError(
            f"There is no catalog {catalog} on {api.url}. Create it with a storage root, or set "
            "MARVEL_UC_STORAGE_ROOT (file:///…, s3://…) and it will be created."
        )
    return [("catalogs", {"name": catalog, "storage_root": f"{storage_root.rstrip('/')}/{catalog}"}), new_schema]


def _comment(description: str, record: _Record) -> str:
    return f"{description}\n{RECORD}{record.model_dump_json()}"
