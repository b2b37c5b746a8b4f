"""What the tests' Unity Catalog server stores, and how each request reads and changes it; see ``unity_catalog.py``."""

import re
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flask import request

PAGE_SIZE = 100
NAME_LENGTH = 255
LENGTHS = {"comment": 65_535, "source": 255, "run_id": 255}
NO_LOCATION = (
    'Cannot invoke "io.unitycatalog.server.utils.NormalizedURL.isCloudStorageRoot()" because "storageLocation" is null'
)
NAME = re.compile(r"[a-zA-Z0-9_@-]+")
STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "CATALOG_ALREADY_EXISTS": 400,
    "SCHEMA_ALREADY_EXISTS": 400,
    "TABLE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "NOT_FOUND": 404,
    "CATALOG_NOT_FOUND": 404,
    "SCHEMA_NOT_FOUND": 404,
    "TABLE_NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "INTERNAL": 500,
}

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    """A request answered with an error."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status or STATUSES[code]
        details = [{"@type": "google.rpc.ErrorInfo", "reason": code}]
        self.body = {"error_code": code, "message": message, "details": details}


def _body() -> Json:
    return request.get_json(silent=True) or {}


def _named(*fields: str) -> str:
    """The name that the body spells in several fields; a missing one is Java's null."""
    return ".".join(_body().get(field) or "null" for field in fields)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refusal("INVALID_ARGUMENT", f'For input string: "{text}"') from None


def _new_name() -> str:
    name = _body().get("name")
    if not name:
        raise Refusal("INVALID_ARGUMENT", "Name cannot be empty")
    if len(name) > NAME_LENGTH:
        raise Refusal("INVALID_ARGUMENT", f"Name cannot be longer than {NAME_LENGTH} characters")
    if not NAME.fullmatch(name):
        message = "Name cannot contain a period, space, forward-slash, or control characters"
        raise Refusal("INVALID_ARGUMENT", message)
    return str(name)


def _row(**columns: Any) -> Json:
    return {"id": str(uuid.uuid4()), "created_at": time.time_ns() // 1_000_000, **columns}


def _first(rows: list[Json], **columns: object) -> Json | None:
    return next((row for row in list(rows) if columns.items() <= row.items()), None)


def _refuse_too_long(row: Json, failure: str) -> None:
    if any(len(row.get(column) or "") > length for column, length in LENGTHS.items()):
        raise Refusal("INTERNAL", failure)


def _page(rows: list[Json], key: str, after: object) -> tuple[list[Json], str | None]:
    size = _number(request.args.get("max_results") or "0")
    if size < 0:
        raise Refusal("INVALID_ARGUMENT", "maxResults must be greater than or equal to 0")
    size = min(size or PAGE_SIZE, PAGE_SIZE)
    page = sorted((row for row in rows if row[key] > after), key=lambda row: row[key])[:size]
    return page, str(page[-1][key]) if len(page) == size else None


def _make_directory(location: str) -> None:
    if location.startswith("file:"):
        Path(url2pathname(urlsplit(location).path)).mkdir(parents=True)


class Registry:
    """What is stored, and how each request reads and changes it."""

    def __init__(self, race_seconds: float) -> None:
        self.race_seconds = race_seconds
        self._catalogs: list[Json] = []
        self._schemas: list[Json] = []
        self._tables: list[Json] = []
        self._models: list[Json] = []
        self._versions: list[Json] = []
        self._last_numbers: dict[str, int] = {}

    def create_catalog(self) -> Json:
        name = _new_name()
        if _first(self._catalogs, name=name):
            raise Refusal("CATALOG_ALREADY_EXISTS", f"Catalog already exists: {name}")
        return self._insert(self._catalogs, _row(name=name, storage_root=_body().get("storage_root")))

    def get_catalog(self, name: str) -> Json:
        return self._catalog(name)

    def create_schema(self) -> Json:
        name, catalog = _new_name(), self._catalog(_named("catalog_name"))["name"]
        if _first(self._schemas, name=name, catalog_name=catalog):
            raise Refusal("SCHEMA_ALREADY_EXISTS", f"Schema already exists: {name}")
        return self._insert(self._schemas, _row(name=name, catalog_name=catalog, full_name=f"{catalog}.{name}"))

    def get_schema(self, full_name: str) -> Json:
        return self._schema(full_name)

    def create_table(self) -> Json:
        name, schema = _new_name(), self._schema(_named("catalog_name", "schema_name"))
        full_name = f"{schema['full_name']}.{name}"
        if not _body().get("storage_location"):
            raise Refusal("INTERNAL", f"Error creating table: {full_name}: {NO_LOCATION}")
        if _first(self._tables, full_name=full_name):
            raise Refusal("TABLE_ALREADY_EXISTS", f"Table already exists: {full_name}")
        return self._insert(self._tables, _row(full_name=full_name, **{"comment": None, **_body()}))

    def get_table(self, full_name: str) -> Json:
        return self._table(full_name, named=full_name)

    def delete_table(self, full_name: str) -> None:
        self._tables.remove(self._table(full_name, named=full_name.rpartition(".")[2]))

    def create_model(self) -> Json:
        name = _new_name()
        catalog = self._catalog(_named("catalog_name"))
        schema = self._schema(_named("catalog_name", "schema_name"))
        full_name = f"{schema['full_name']}.{name}"
        if not catalog["storage_root"]:
            message = "None of catalog, schema or storage-root.tables server property has managed location configured."
            raise Refusal("FAILED_PRECONDITION", message)
        if _first(self._models, full_name=full_name):
            raise Refusal("ALREADY_EXISTS", f"Registered model already exists: {full_name}")
        row = _row(
            name=name, catalog_name=catalog["name"], schema_name=schema["name"], full_name=full_name,
            comment=_body().get("comment"), updated_at=None,
        )  # fmt: skip
        row["storage_location"] = f"{catalog['storage_root']}/__unitystorage/models/{row['id']}"
        _refuse_too_long(row, f"Error creating registered model: {full_name}")
        _make_directory(row["storage_location"])
        return self._insert(self._models, row)

    def list_models(self) -> Json:
        catalog, schema = request.args.get("catalog_name"), request.args.get("schema_name")
        if not schema:
            raise Refusal("INVALID_ARGUMENT", "Cannot specify catalog w/o schema for list registered models.")
        if not catalog:
            raise Refusal("INVALID_ARGUMENT", "Cannot specify schema w/o catalog for list registered models.")
        self._schema(f"{catalog}.{schema}")
        rows = [row for row in self._models if (row["catalog_name"], row["schema_name"]) == (catalog, schema)]
        page, token = _page(rows, "name", request.args.get("page_token", ""))
        return {"registered_models": page, "next_page_token": token}

    def get_model(self, full_name: str) -> Json:
        return self._model(full_name)

    def update_model(self, full_name: str) -> Json:
        return self._update(self._model(full_name), f"Error updating registered model: {full_name}")

    def delete_model(self, full_name: str) -> None:
        model = self._model(full_name)
        versions = [row for row in self._versions if row["model_id"] == model["id"]]
        if versions and request.args.get("force") != "true":
            message = f"Unable to delete a registered model with existing model versions: {model['name']}"
            raise Refusal("ABORTED", message)
        for row in versions:
            self._versions.remove(row)
        self._models.remove(model)

    def create_version(self) -> Json:
        full_name = _named("catalog_name", "schema_name", "model_name")
        model = self._model(full_name, by_its_last_name=True)
        number = self._last_numbers.get(model["id"], 0) + 1
        row = _row(
            model_id=model["id"], version=number, status="PENDING_REGISTRATION", updated_at=None,
            **{name: model[name] for name in ("catalog_name", "schema_name")}, model_name=model["name"],
            **{name: _body().get(name) for name in ("comment", "source", "run_id")},
        )  # fmt: skip
        row["storage_location"] = f"{model['storage_location']}/versions/{row['id']}"
        _refuse_too_long(row, f"Error creating model version for model: {full_name}")
        _make_directory(row["storage_location"])
        self._insert(self._versions, row)
        self._last_numbers[model["id"]] = number
        return row

    def list_versions(self, full_name: str) -> Json:
        model, token = self._model(full_name, by_its_last_name=True), request.args.get("page_token")
        if token is not None and not token.isdecimal():
            raise Refusal("INVALID_ARGUMENT", f"Invalid page token received: {token}")
        rows = [row for row in self._versions if row["model_id"] == model["id"]]
        page, token = _page(rows, "version", int(token or 0))
        return {"model_versions": page, "next_page_token": token}

    def get_version(self, full_name: str, version: str) -> Json:
        return self._version(full_name, _number(version))

    def update_version(self, full_name: str, version: str) -> Json:
        failure = f"Error updating model version: {full_name}/{version}"
        return self._update(self.get_version(full_name, version), failure)

    def delete_version(self, full_name: str, version: str) -> None:
        self._versions.remove(self.get_version(full_name, version))

    def finalize_version(self, **_: str) -> Json:
        if _body().get("full_name") is None:
            raise Refusal("INVALID_ARGUMENT", "No three tier full name specified.")
        name, number = _body()["full_name"], _body()["version"]
        row = self._version(name, number)
        if row["status"] != "PENDING_REGISTRATION":
            message = f"Model version not in a pending registration state: {name}/{number}"
            raise Refusal("INVALID_ARGUMENT", message)
        row["status"] = "READY"
        return row

    def set_back(self, full_name: str) -> None:
        self._last_numbers[self._model(full_name)["id"]] -= 1

    def set_status(self, full_name: str, number: int, status: str) -> None:
        self._version(full_name, number)["status"] = status

    def _insert(self, rows: list[Json], row: Json) -> Json:
        time.sleep(self.race_seconds)
        rows.append(row)
        return row

    @staticmethod
    def _update(row: Json, failure: str) -> Json:
        if _body().get("comment") is None:
            raise Refusal("INVALID_ARGUMENT", "No updated fields defined.")
        _refuse_too_long(_body(), failure)
        row.update(comment=_body()["comment"], updated_at=time.time_ns() // 1_000_000)
        return row

    def _catalog(self, name: str) -> Json:
        if (row := _first(self._catalogs, name=name)) is None:
            raise Refusal("CATALOG_NOT_FOUND", f"Catalog not found: {name}")
        return row

    def _schema(self, full_name: str) -> Json:
        if full_name.count(".") != 1:
            raise Refusal("INVALID_ARGUMENT", f"Invalid schema full name: {full_name}")
        self._catalog(full_name.partition(".")[0])
        if (row := _first(self._schemas, full_name=full_name)) is None:
            raise Refusal("SCHEMA_NOT_FOUND", f"Schema not found: {full_name}")
        return row

    def _table(self, full_name: str, named: str) -> Json:
        self._schema(full_name.rpartition(".")[0])
        if (row := _first(self._tables, full_name=full_name)) is None:
            raise Refusal("TABLE_NOT_FOUND", f"Table not found: {named}")
        return row

    def _model(self, full_name: str, *, by_its_last_name: bool = False) -> Json:
        if full_name.count(".") != 2:
            raise Refusal("INVALID_ARGUMENT", f"Invalid registered model name: {full_name}")
        schema, _, name = full_name.rpartition(".")
        self._schema(schema)
        if (row := _first(self._models, full_name=full_name)) is None:
            raise Refusal("NOT_FOUND", f"Registered model not found: {name if by_its_last_name else full_name}")
        return row

    def _version(self, full_name: str, number: int) -> Json:
        if (row := _first(self._versions, model_id=self._model(full_name)["id"], version=number)) is None:
            raise Refusal("NOT_FOUND", f"Model version not found: {full_name}/{number}")
        return row
