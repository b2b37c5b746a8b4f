"""An in-memory server that speaks the part of the open-source Unity Catalog server 0.6 that this project asks.

It answers what the project's client and MLflow's ``uc:`` registry ask of catalogs, schemas, tables, models and model
versions, with the real server's statuses, error codes and words (``test_unity_catalog_server.py`` holds it to them). As
there, ``file:`` locations are made as directories when a model or a version is created.

It keeps these weaknesses of the real server on purpose:

- Nothing is locked between a look and the insert that follows, and no name or number is unique: creations in parallel
  give two versions one number, or make two models of one name. Whatever asks by a doubled name or number gets the row
  that was inserted first. `RACE_SECONDS` widen the gap between the look and the insert.
- The model's highest number is written after that gap, so a version created in parallel can set it back.
- Versions are paged by their number. A page that is exactly full names a next page even where that one is empty.
- Fields it does not know are dropped: there are no tags and no aliases.
- Finalizing reads the version's name and number from the body and ignores the path's.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flask import Flask, Response, jsonify, request

from marvel_assets_tests.servers.wsgi import serving

PREFIX = "/api/2.1/unity-catalog/"
PAGE_SIZE = 100
PENDING = "PENDING_REGISTRATION"
RACE_SECONDS = 0.005
STATUSES = {"UNAUTHENTICATED": 401, "ALREADY_EXISTS": 409}
"""HTTP statuses of error codes; of others it is 404 where something is not found, else 400."""

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    """A request answered with an error."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status or STATUSES.get(code, 404 if code.endswith("NOT_FOUND") else 400)
        details = [{"@type": "google.rpc.ErrorInfo", "reason": code}]
        self.body = {"error_code": code, "message": message, "details": details}


def _body() -> Json:
    return request.get_json(silent=True) or {}


def _named(*fields: str) -> str:
    """The name that the body spells in several fields."""
    return ".".join(_body()[field] for field in fields)


def _row(**columns: Any) -> Json:
    return {"id": str(uuid.uuid4()), "created_at": time.time_ns() // 1_000_000, **columns}


def _first(rows: list[Json], **columns: object) -> Json | None:
    return next((row for row in list(rows) if columns.items() <= row.items()), None)


def _found(rows: list[Json], error_code: str, kind: str, **key: str) -> Json:
    """The row with this one key; a refusal that names it where there is none."""
    if row := _first(rows, **key):
        return row
    raise Refusal(error_code, f"{kind} not found: {', '.join(key.values())}")


def _make_directory(location: str) -> None:
    if location.startswith("file:"):
        Path(url2pathname(urlsplit(location).path)).mkdir(parents=True)


class UnityCatalogServer:
    """The server, at ``url`` within a ``with`` block; with a status in ``fail_with`` it answers that alone."""

    def __init__(self, token: str | None = None) -> None:
        self.url, self._token = "", token
        self.fail_with: int | None = None
        self._serving = ExitStack()
        rows: list[list[Json]] = [[], [], [], [], []]
        self._catalogs, self._schemas, self._tables, self._models, self._versions = rows
        self._last_numbers: dict[str, int] = {}

    def __enter__(self) -> Self:
        app = Flask(__name__)
        for route, call in ROUTES.items():
            method, _, path = route.partition(" ")
            app.add_url_rule(f"{PREFIX}{path}", route, partial(self._answer, call), methods=[method])
        app.before_request(self._admit)
        app.register_error_handler(Refusal, lambda refusal: (refusal.body, refusal.status))
        self.url = self._serving.enter_context(serving(app))
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def _answer(self, call: Callable[..., Json | None], **path: str) -> Response | str:
        answer = call(self, **path)
        return "200 OK" if answer is None else jsonify(answer)

    def _admit(self) -> None:
        if self.fail_with is not None:
            raise Refusal("INTERNAL", f"A failure with {self.fail_with}, as the test asked.", self.fail_with)
        authorization = request.headers.get("Authorization", "")
        if self._token is not None and authorization != f"Bearer {self._token}":
            raise Refusal("UNAUTHENTICATED", "Invalid access token." if authorization else "No authorization found.")

    def create_catalog(self) -> Json:
        name = _named("name")
        if _first(self._catalogs, name=name):
            raise Refusal("CATALOG_ALREADY_EXISTS", f"Catalog already exists: {name}")
        return self._insert(self._catalogs, _row(name=name, storage_root=_body().get("storage_root")))

    def get_catalog(self, name: str) -> Json:
        return _found(self._catalogs, "CATALOG_NOT_FOUND", "Catalog", name=name)

    def create_schema(self) -> Json:
        name, catalog = _named("name"), self.get_catalog(_named("catalog_name"))["name"]
        if _first(self._schemas, name=name, catalog_name=catalog):
            raise Refusal("SCHEMA_ALREADY_EXISTS", f"Schema already exists: {name}")
        return self._insert(self._schemas, _row(name=name, catalog_name=catalog, full_name=f"{catalog}.{name}"))

    def get_schema(self, full_name: str) -> Json:
        self.get_catalog(full_name.partition(".")[0])
        return _found(self._schemas, "SCHEMA_NOT_FOUND", "Schema", full_name=full_name)

    def create_table(self) -> Json:
        full_name = f"{self.get_schema(_named('catalog_name', 'schema_name'))['full_name']}.{_named('name')}"
        if _first(self._tables, full_name=full_name):
            raise Refusal("TABLE_ALREADY_EXISTS", f"Table already exists: {full_name}")
        return self._insert(self._tables, _row(full_name=full_name, **{"comment": None, **_body()}))

    def get_table(self, full_name: str) -> Json:
        self.get_schema(full_name.rpartition(".")[0])
        return _found(self._tables, "TABLE_NOT_FOUND", "Table", full_name=full_name)

    def delete_table(self, full_name: str) -> None:
        self._tables.remove(self.get_table(full_name))

    def create_model(self) -> Json:
        name, catalog = _named("name"), self.get_catalog(_named("catalog_name"))
        schema = self.get_schema(_named("catalog_name", "schema_name"))
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
        _make_directory(row["storage_location"])
        return self._insert(self._models, row)

    def get_model(self, full_name: str) -> Json:
        self.get_schema(full_name.rpartition(".")[0])
        return _found(self._models, "NOT_FOUND", "Registered model", full_name=full_name)

    def update_model(self, full_name: str) -> Json:
        return self._update(self.get_model(full_name))

    def create_version(self) -> Json:
        model = self.get_model(_named("catalog_name", "schema_name", "model_name"))
        number = self._last_numbers.get(model["id"], 0) + 1
        row = _row(
            model_id=model["id"], version=number, status=PENDING, updated_at=None,
            **{name: model[name] for name in ("catalog_name", "schema_name")}, model_name=model["name"],
            **{name: _body().get(name) for name in ("comment", "source", "run_id")},
        )  # fmt: skip
        row["storage_location"] = f"{model['storage_location']}/versions/{row['id']}"
        _make_directory(row["storage_location"])
        self._insert(self._versions, row)
        self._last_numbers[model["id"]] = number
        return row

    def list_versions(self, full_name: str) -> Json:
        model, after = self.get_model(full_name), int(request.args.get("page_token") or 0)
        size = min(int(request.args.get("max_results") or PAGE_SIZE), PAGE_SIZE)
        rows = [row for row in self._versions if row["model_id"] == model["id"] and row["version"] > after]
        page = sorted(rows, key=lambda row: int(row["version"]))[:size]
        return {"model_versions": page, "next_page_token": str(page[-1]["version"]) if len(page) == size else None}

    def get_version(self, full_name: str, version: str) -> Json:
        if row := _first(self._versions, model_id=self.get_model(full_name)["id"], version=int(version)):
            return row
        raise Refusal("NOT_FOUND", f"Model version not found: {full_name}/{version}")

    def update_version(self, full_name: str, version: str) -> Json:
        return self._update(self.get_version(full_name, version))

    def delete_version(self, full_name: str, version: str) -> None:
        self._versions.remove(self.get_version(full_name, version))

    def finalize_version(self, **_: str) -> Json:
        name, number = _body()["full_name"], _body()["version"]
        row = self.get_version(name, number)
        if row["status"] != PENDING:
            message = f"Model version not in a pending registration state: {name}/{number}"
            raise Refusal("INVALID_ARGUMENT", message)
        row["status"] = "READY"
        return row

    def set_back(self, full_name: str) -> None:
        """Let the next version get the last one's number, as a creation in parallel can do."""
        self._last_numbers[self.get_model(full_name)["id"]] -= 1

    def set_status(self, full_name: str, number: int, status: str) -> None:
        """Let a version look as if the server were not done with it."""
        self.get_version(full_name, str(number))["status"] = status

    def _insert(self, rows: list[Json], row: Json) -> Json:
        time.sleep(RACE_SECONDS)
        rows.append(row)
        return row

    @staticmethod
    def _update(row: Json) -> Json:
        row.update(comment=_body()["comment"], updated_at=time.time_ns() // 1_000_000)
        return row


ROUTES = {
    "POST catalogs": UnityCatalogServer.create_catalog,
    "GET catalogs/<name>": UnityCatalogServer.get_catalog,
    "POST schemas": UnityCatalogServer.create_schema,
    "GET schemas/<full_name>": UnityCatalogServer.get_schema,
    "POST tables": UnityCatalogServer.create_table,
    "GET tables/<full_name>": UnityCatalogServer.get_table,
    "DELETE tables/<full_name>": UnityCatalogServer.delete_table,
    "POST models": UnityCatalogServer.create_model,
    "GET models/<full_name>": UnityCatalogServer.get_model,
    "PATCH models/<full_name>": UnityCatalogServer.update_model,
    "POST models/versions": UnityCatalogServer.create_version,
    "GET models/<full_name>/versions": UnityCatalogServer.list_versions,
    "GET models/<full_name>/versions/<version>": UnityCatalogServer.get_version,
    "PATCH models/<full_name>/versions/<version>": UnityCatalogServer.update_version,
    "DELETE models/<full_name>/versions/<version>": UnityCatalogServer.delete_version,
    "PATCH models/<full_name>/versions/<version>/finalize": UnityCatalogServer.finalize_version,
}
