"""An open-source Unity Catalog server: MLflow's ``uc:`` registry for the files, its REST interface for the rest.

The server has neither aliases nor tags, its version numbers are not unique, and it can't change a table. How each is
emulated, and what that means for other clients and homes, is in ``docs/deployment.md``.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from marvel_assets.registry.base import ModelRegistry, ModelVersion, RegistryError
from marvel_assets.registry.unity_catalog_api import Json, UnityCatalogApi
from marvel_assets.utils.locks import file_lock

if TYPE_CHECKING:
    import mlflow

TAGS = "marvel_assets: "  # begins the last line of a version's comment, which holds the tags as JSON
TYPES = {"long": ("LONG", "bigint"), "integer": ("INT", "int")}
"""The server's and SQL's names of Delta's types, where they differ."""


class UnityCatalogRegistry(ModelRegistry):
    """The registry on an open-source Unity Catalog server.

    An alias is a model, ``<model>@<alias>``, whose comment is the version's number.
    """

    def __init__(self, client: "mlflow.MlflowClient", locks: Path, api: UnityCatalogApi) -> None:
        super().__init__(client, locks)
        self._api = api

    def ensure_model(self, name: str) -> None:
        if not self._api.call("GET", f"models/{name}"):
            catalog, schema, _ = name.split(".")
            self._api.check_schema(catalog, schema, create=True)
            self._api.call("POST", "models", _names(name))

    def get_version(self, name: str, version: int) -> ModelVersion | None:
        row = self._api.call("GET", f"models/{name}/versions/{version}")
        return _to_model_version(name, row) if row else None

    def get_version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        pointer = self._api.call("GET", f"models/{name}@{alias}")
        return self.get_version(name, int(pointer["comment"])) if pointer else None

    def set_tags(self, name: str, version: int, tags: Mapping[str, str], description: str | None = None) -> None:
        with file_lock(self.locks, f"model-{name}"):
            path = f"models/{name}/versions/{version}"
            found = _to_model_version(name, self._api.call("GET", path))
            described = found.description if description is None else description
            self._api.call("PATCH", path, {"comment": _comment(described, {**found.tags, **tags})})

    def _list_versions(self, name: str) -> Iterator[ModelVersion]:
        token = None
        while True:
            page = self._api.call("GET", f"models/{name}/versions", page_token=token)
            yield from (_to_model_version(name, row) for row in page.get("model_versions") or [])
            token = page.get("next_page_token")
            if not token:
                return

    def _create_version(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> ModelVersion:
        import mlflow
        from mlflow.exceptions import MlflowException
        from mlflow.store._unity_catalog.registry.uc_oss_rest_store import UnityCatalogOssStore

        source, comment = f"models:/{model_id}", _comment(description, tags)
        with tempfile.TemporaryDirectory() as folder:
            try:
                run_id = self._client.get_logged_model(model_id).source_run_id or ""
                # Downloaded first: MLflow would delete the files of the logged model.
                files = mlflow.artifacts.download_artifacts(source, dst_path=folder)
                store = UnityCatalogOssStore(f"uc:{self._api.url}")  # type: ignore[no-untyped-call]
                store.create_model_version(name, source, run_id=run_id, description=comment, local_model_path=files)
            except MlflowException as error:
                raise RegistryError(f"{name}: {model_id} can't be registered on {self._api.url}: {error}") from error
        versions = self.search_versions(name)
        made = next(version for version in versions if version.model_id == model_id)
        if [version.version for version in versions].count(made.version) > 1:
            raise self._duplicate(made)
        return made

    def _delete_version(self, version: ModelVersion) -> None:
        found = self.get_version(version.name, version.version)
        if found is not None and found.model_id != version.model_id:
            raise self._duplicate(version)
        self._api.call("DELETE", f"models/{version.name}/versions/{version.version}")

    def _duplicate(self, version: ModelVersion) -> RegistryError:
        return RegistryError(
            f"{version.name}: version {version.version} exists twice on {self._api.url}: another home or another "
            "client registered at the same moment. Delete that version there twice, then run again, one client at a "
            "time."
        )

    def _set_alias(self, name: str, alias: str, version: int) -> None:
        pointer, comment = f"{name}@{alias}", {"comment": str(version)}
        if self._api.call("GET", f"models/{pointer}"):
            self._api.call("PATCH", f"models/{pointer}", comment)
        else:
            self._api.call("POST", "models", {**_names(pointer), **comment})


def _names(name: str) -> Json:
    return dict(zip(("catalog_name", "schema_name", "name"), name.split(".", 2), strict=True))


def _to_model_version(name: str, row: Json) -> ModelVersion:
    description, tags = row["comment"] or "", {}
    text, _, last = description.rpartition("\n")
    if last.startswith(TAGS):  # not registered by another client
        description, tags = text, json.loads(last.removeprefix(TAGS))
    model_id = (row["source"] or "").removeprefix("models:/")
    return ModelVersion(name, int(row["version"]), model_id, row["run_id"] or "", row["status"], tags, description)


def _comment(description: str, tags: Mapping[str, str]) -> str:
    return f"{description}\n{TAGS}{json.dumps(dict(tags), ensure_ascii=False)}"


def register_table(
    api: UnityCatalogApi, locks: Path, name: str, folder: Path, comment: str, column_comments: Mapping[str, str]
) -> str:
    """Make the server's entry match a Delta table; see ``UnityCatalog.register_table``.

    Under a lock: two simultaneous creations of one name break that name permanently.
    """
    described = {"columns": _columns(folder, column_comments), "comment": comment}
    with file_lock(locks, f"external-table-{name}"):
        found = api.call("GET", f"tables/{name}")
        if not found:
            catalog, schema, _ = name.split(".")
            api.check_schema(catalog, schema, create=True)
        elif Path(url2pathname(urlsplit(found["storage_location"]).path)) != folder:
            return (
                f"The table {name} on {api.url} is at {found['storage_location']}, not at {folder}, and was not "
                "changed. To register this one under that name, delete that table on the server, and run again."
            )
        elif _description(found) == _description(described):
            return ""
        else:
            api.call("DELETE", f"tables/{name}")
        stored = {"storage_location": folder.as_uri(), "table_type": "EXTERNAL", "data_source_format": "DELTA"}
        api.call("POST", "tables", {**_names(name), **stored, **described})
    return ""


def _columns(folder: Path, comments: Mapping[str, str]) -> list[Json]:
    from deltalake import DeltaTable

    columns = []
    for position, field in enumerate(DeltaTable(folder).schema().fields):
        delta_type = str(field.type.type)
        type_name, type_text = TYPES.get(delta_type, (delta_type.upper(), delta_type))
        columns.append(
            {
                "name": field.name,
                "type_name": type_name,
                "type_text": type_text,
                "type_json": field.to_json(),
                "position": position,
                "nullable": field.nullable,
                "comment": comments.get(field.name, ""),
            }
        )
    return columns


def _description(table: Json) -> tuple[object, ...]:
    """A table's comment and columns, without what the server adds."""
    columns = sorted(table["columns"], key=lambda column: int(column["position"]))
    return table["comment"] or "", [(each["name"], each["type_text"], each["comment"] or "") for each in columns]
