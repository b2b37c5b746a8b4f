"""An open-source Unity Catalog server: MLflow's ``uc:`` registry for the files, the server's own client for the rest.

That server keeps neither aliases nor tags. Both are emulated in what it does keep, where all its clients see them:

- A version's tags and its model's id are a line of JSON at the end of its comment, written with the version itself.
- An alias is a model of its own, ``<model>@<alias>``, whose comment is the version's number: moving it is one update of
  one row.

Whatever reads before it writes (a registration, an alias, a tag) stands under a lock that all clients of this project
see (``server_lock.py``). Others, who don't know of it, can still be given a number twice; that is noticed and said.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from marvel_assets.registry.base import (
    MODELS_URI,
    READY,
    CatalogError,
    CatalogVersion,
    check_three_levels,
    ready,
)
from marvel_assets.registry.server_lock import ServerLock
from marvel_assets.registry.unity_catalog_api import UnityCatalogApi
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import mlflow

CATALOGS, SCHEMAS, MODELS, VERSIONS = "CatalogsApi", "SchemasApi", "RegisteredModelsApi", "ModelVersionsApi"
RECORD = "marvel_assets: "
"""Begins the comment's last line, which holds what the server has no field for."""

POINTER = "@"
LONGEST_COMMENT = 65_535


class OpenSourceCatalog:
    """The catalog on an open-source Unity Catalog server."""

    def __init__(
        self, client: mlflow.MlflowClient, locks: Path, url: str, storage_root: str | None, client_name: str
    ) -> None:
        self._mlflow = client
        self._locks = locks
        self._api = UnityCatalogApi(url)
        self._storage_root = storage_root
        self._client_name = client_name

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Create what is missing of the two."""
        from unitycatalog.client.models import CreateCatalog, CreateSchema

        with exclusive(self._locks, f"catalog-{catalog}"):
            missing = missing_securables(self._api, catalog, schema, self._storage_root)
            if CATALOGS in missing:
                new = CreateCatalog(name=catalog, storage_root=self._storage_root)
                self._api.call(CATALOGS, "create_catalog", create_catalog=new)
            if SCHEMAS in missing:
                self._api.call(SCHEMAS, "create_schema", create_schema=CreateSchema(name=schema, catalog_name=catalog))

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> CatalogVersion:
        """Upload the logged model as a version, or find the version that was made of it."""
        from mlflow.exceptions import MlflowException

        check_three_levels(name)
        try:
            run_id = self._mlflow.get_logged_model(model_id).source_run_id or ""
        except MlflowException as error:
            raise CatalogError(f"{name}: {model_id} can't be registered: {error}") from error
        with self._alone(name):
            for known in self.versions(name, model_id=model_id):
                self._check_given_once(name, known.version)
                if known.status == READY:
                    return known
                # Nobody else is at work under the lock: its maker died, and it would never be READY.
                self._api.call(VERSIONS, "delete_model_version", full_name=name, version=known.version)
            self._ensure_model(name)
            made = self._upload(name, model_id, run_id, _comment(description, model_id, tags))
            self._check_given_once(name, made)
        return self._get(name, made)

    def wait_until_ready(self, name: str, version: int, seconds: float) -> CatalogVersion:
        """Ask until the status is READY."""
        check_three_levels(name)
        return ready(lambda: self._get(name, version), seconds)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point the alias, after a look at the version's status."""
        check_three_levels(name)
        with self._alone(name):
            self.wait_until_ready(name, version, seconds=0)
            self._check_given_once(name, version)
            self._write_model(f"{name}{POINTER}{alias}", str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove the pointer, where there is one."""
        check_three_levels(name)
        with self._alone(name):
            pointer = f"{name}{POINTER}{alias}"
            if self._api.find(MODELS, "get_registered_model", full_name=pointer) is not None:
                self._api.call(MODELS, "delete_registered_model", full_name=pointer)

    def version_under(self, name: str, alias: str) -> CatalogVersion | None:
        """Follow the pointer."""
        check_three_levels(name)
        pointer = self._api.find(MODELS, "get_registered_model", full_name=f"{name}{POINTER}{alias}")
        return None if pointer is None else self._get(name, int(pointer.comment))

    def models(self, catalog: str, schema: str) -> Sequence[str]:
        """List them; the models that stand for aliases and locks are left out."""
        return sorted(
            f"{catalog}.{schema}.{model.name}"
            for page in self._api.pages(MODELS, "list_registered_models", catalog_name=catalog, schema_name=schema)
            for model in page.registered_models or []
            if POINTER not in model.name
        )

    def find_version(self, name: str, number: int) -> CatalogVersion | None:
        """Ask for the version itself."""
        check_three_levels(name)
        found = self._api.find(VERSIONS, "get_model_version", full_name=name, version=number)
        return None if found is None else _version(name, found)

    def versions(self, name: str, *, model_id: str | None = None) -> Sequence[CatalogVersion]:
        """List them all; the comments tell their logged models."""
        check_three_levels(name)
        found = [version for version in self._listed(name) if model_id in {None, version.model_id}]
        return sorted(found, key=lambda version: version.version, reverse=True)

    def versions_tagged(self, name: str, key: str, value: str) -> Sequence[CatalogVersion]:
        """List the versions, then compare: the server searches by name alone."""
        return [version for version in self.versions(name) if version.tags.get(key) == value]

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Write the comment anew, with the tags added."""
        with self._alone(name):
            known = self._get(name, version)
            self._rewrite(known, known.description, {**known.tags, **tags})

    def set_description(self, name: str, version: int, description: str) -> None:
        """Write the comment anew, with the tags kept."""
        with self._alone(name):
            known = self._get(name, version)
            self._rewrite(known, description, known.tags)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with exclusive(self._locks, f"model-{check_three_levels(name)}"):
            self._check_schema(name)
            with ServerLock(self._api, name, self._client_name).held():
                yield

    def _check_given_once(self, name: str, version: int) -> None:
        if [known.version for known in self._listed(name)].count(version) != 1:
            raise CatalogError(
                f"{name} version {version} was given twice on {self._api.url}: another client registered at the same "
                "moment without this project's lock, and a number no longer tells the two apart. Delete that version "
                "there, once for each, then run again."
            )

    def _check_schema(self, name: str) -> None:
        catalog, schema, _ = name.split(".")
        if self._api.find(SCHEMAS, "get_schema", full_name=f"{catalog}.{schema}") is None:
            raise CatalogError(f"There is no schema {catalog}.{schema} on {self._api.url}; create it.")

    def _upload(self, name: str, model_id: str, run_id: str, comment: str) -> int:
        """Make the version through MLflow.

        The files are fetched into a folder of their own first: MLflow would delete the logged model's.
        """
        import mlflow
        from mlflow.exceptions import MlflowException
        from mlflow.store._unity_catalog.registry.uc_oss_rest_store import UnityCatalogOssStore

        with tempfile.TemporaryDirectory() as folder:
            try:
                files = mlflow.artifacts.download_artifacts(f"{MODELS_URI}{model_id}", dst_path=folder)
                store = UnityCatalogOssStore(f"uc:{self._api.url}")  # type: ignore[no-untyped-call]
                made = store.create_model_version(
                    name, f"{MODELS_URI}{model_id}", run_id=run_id, description=comment, local_model_path=files
                )
            except MlflowException as error:
                raise CatalogError(f"{name}: {model_id} can't be registered on {self._api.url}: {error}") from error
        return int(made.version)

    def _ensure_model(self, name: str) -> None:
        if self._api.find(MODELS, "get_registered_model", full_name=name) is None:
            self._create_model(name, "")

    def _write_model(self, name: str, comment: str) -> None:
        from unitycatalog.client.models import UpdateRegisteredModel

        update = UpdateRegisteredModel(comment=comment)
        known = self._api.find(MODELS, "update_registered_model", full_name=name, update_registered_model=update)
        if known is None:
            self._create_model(name, comment)

    def _create_model(self, name: str, comment: str) -> None:
        from unitycatalog.client.models import CreateRegisteredModel

        catalog, schema, model = name.split(".", 2)
        new = CreateRegisteredModel(name=model, catalog_name=catalog, schema_name=schema, comment=comment)
        self._api.call(MODELS, "create_registered_model", create_registered_model=new)

    def _rewrite(self, version: CatalogVersion, description: str, tags: Mapping[str, str]) -> None:
        from unitycatalog.client.models import UpdateModelVersion

        update = UpdateModelVersion(comment=_comment(description, version.model_id, tags))
        self._api.call(
            VERSIONS,
            "update_model_version",
            full_name=version.name,
            version=version.version,
            update_model_version=update,
        )

    def _get(self, name: str, version: int) -> CatalogVersion:
        found = self.find_version(name, version)
        if found is None:
            raise CatalogError(f"{name} version {version} can't be looked up: {self._api.url} knows no such version.")
        return found

    def _listed(self, name: str) -> Iterator[CatalogVersion]:
        for page in self._api.pages(VERSIONS, "list_model_versions", full_name=name):
            for found in page.model_versions or []:
                yield _version(name, found)


def missing_securables(api: UnityCatalogApi, catalog: str, schema: str, storage_root: str | None) -> list[str]:
    """Which of catalog and schema have to be created; nothing is.

    Raises:
        CatalogError: the catalog is missing and can't be created: that needs a storage root for the models' files.
    """
    if api.find(CATALOGS, "get_catalog", name=catalog) is not None:
        return [] if api.find(SCHEMAS, "get_schema", full_name=f"{catalog}.{schema}") else [SCHEMAS]
    if not storage_root:
        raise CatalogError(
            f"There is no catalog {catalog} on {api.url}. Create it with a storage root, or set "
            "MARVEL_UC_STORAGE_ROOT (file:///…, s3://…) and it will be created."
        )
    return [CATALOGS, SCHEMAS]


def _comment(description: str, model_id: str, tags: Mapping[str, str]) -> str:
    comment = f"{description}\n{RECORD}{json.dumps({'model_id': model_id, 'tags': dict(tags)})}"
    if len(comment) > LONGEST_COMMENT:
        raise CatalogError(
            f"Description and tags of {model_id} are {len(comment):,} characters; the server keeps "
            f"{LONGEST_COMMENT:,}. Shorten them."
        )
    return comment


def _version(name: str, found: Any) -> CatalogVersion:  # noqa: ANN401 - the client's ModelVersionInfo
    description, _, last = (found.comment or "").rpartition("\n")
    if last.startswith(RECORD):
        recorded = json.loads(last.removeprefix(RECORD))
    else:  # registered by another client
        description, recorded = found.comment or "", {}
    model_id = recorded.get("model_id") or (found.source or "").removeprefix(MODELS_URI)
    return CatalogVersion(
        name,
        int(found.version),
        model_id,
        found.run_id or "",
        found.status.value,
        recorded.get("tags", {}),
        description,
    )
