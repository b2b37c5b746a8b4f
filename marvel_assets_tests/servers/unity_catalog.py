"""The part of the open-source Unity Catalog server 0.6 that this project and MLflow's ``uc:`` registry call.

It answers with the real server's statuses, error codes and messages, which ``test_unity_catalog_server.py`` compares.
As there, ``file:`` locations become directories when a model or a version is created.

It keeps these weaknesses of the real server on purpose:

- Nothing is locked between a check and the insert that follows, and no name or number is unique: creations in parallel
  give two versions one number, or make two models of one name. A request for a doubled name or number gets the row
  that was inserted first. `RACE_SECONDS` widen the gap between them.
- The model's highest number is written after that gap, so a version created in parallel can set it back.
- Versions are paged by their number. A page that is exactly full names a next page even if that one is empty.
- Fields it does not know are dropped: there are no tags and no aliases.
- Finalizing reads the version's name and number from the body and ignores the path's.
"""

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flask import Response, jsonify, request

from marvel_assets_tests.servers.wsgi import FlaskServer, Refusal

PREFIX = "/api/2.1/unity-catalog/"
PAGE_SIZE = 100
PENDING = "PENDING_REGISTRATION"
RACE_SECONDS = 0.005
STATUSES = {"UNAUTHENTICATED": 401, "ALREADY_EXISTS": 409}
"""HTTP statuses of error codes; of others it is 404 if something is not found, else 400."""

CATALOG, SCHEMA, TABLE, MODEL, VERSION = "Catalog", "Schema", "Table", "Registered model", "Model version"
PARENTS = {SCHEMA: CATALOG, TABLE: SCHEMA, MODEL: SCHEMA, VERSION: MODEL}
CODES = {kind: f"{kind.upper()}_" for kind in (CATALOG, SCHEMA, TABLE)}
WITHIN = ("catalog_name", "schema_name")

Json = dict[str, Any]


def _refusal(code: str, message: str, status: int | None = None) -> Refusal:
    status = status or STATUSES.get(code, 404 if code.endswith("NOT_FOUND") else 400)
    return Refusal(status, code, message, details=[{"@type": "google.rpc.ErrorInfo", "reason": code}])


def _body() -> Json:
    return request.get_json(silent=True) or {}


def _fields(*names: str) -> Json:
    """Fields of the body, None if they are missing."""
    return {name: _body().get(name) for name in names}


def _name(*fields: str) -> str:
    """The name that the body spells in several fields."""
    return ".".join(_body()[field] for field in fields)


def _make_directory(location: str) -> None:
    if location.startswith("file:"):
        Path(url2pathname(urlsplit(location).path)).mkdir(parents=True)


class UnityCatalogServer(FlaskServer):
    """The server; with a status in ``fail_with`` it answers only that."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self._token = token
        self.fail_with: int | None = None
        self._rows: defaultdict[str, list[tuple[str, Json]]] = defaultdict(list)
        self._last_numbers: Counter[str] = Counter()
        self.app.before_request(self._admit)
        version = "models/<name>/versions/<version>"
        routes: dict[str, Callable[..., Json | None]] = {
            "POST catalogs": self._create_catalog,
            "GET catalogs/<name>": partial(self._find, CATALOG),
            "POST schemas": self._create_schema,
            "GET schemas/<name>": partial(self._find, SCHEMA),
            "POST tables": self._create_table,
            "GET tables/<name>": partial(self._find, TABLE),
            "DELETE tables/<name>": partial(self._delete, TABLE),
            "POST models": self._create_model,
            "GET models/<name>": partial(self._find, MODEL),
            "PATCH models/<name>": partial(self._set_comment, MODEL),
            "POST models/versions": self._create_version,
            "GET models/<name>/versions": self._list_versions,
            f"GET {version}": partial(self._find, VERSION),
            f"PATCH {version}": partial(self._set_comment, VERSION),
            f"DELETE {version}": partial(self._delete, VERSION),
            f"PATCH {version}/finalize": self._finalize,
        }
        for route, call in routes.items():
            method, _, path = route.partition(" ")
            self.app.add_url_rule(f"{PREFIX}{path}", route, partial(self._answer, call), methods=[method])

    def set_back(self, model: str) -> None:
        """Give the next version the last one's number, as a creation in parallel can do."""
        self._last_numbers[model] -= 1

    def set_status(self, model: str, number: int, status: str) -> None:
        """Make a version look as if the server had not finished it."""
        self._find(VERSION, model, str(number))["status"] = status

    def _answer(self, call: Callable[..., Json | None], **path: str) -> Response | str:
        answer = call(**path)
        return "200 OK" if answer is None else jsonify(answer)

    def _admit(self) -> None:
        if self.fail_with is not None:
            raise _refusal("INTERNAL", f"A failure with {self.fail_with}, as the test demands.", self.fail_with)
        authorization = request.headers.get("Authorization", "")
        if self._token is not None and authorization != f"Bearer {self._token}":
            raise _refusal("UNAUTHENTICATED", "Invalid access token." if authorization else "No authorization found.")

    def _find(self, kind: str, name: str, version: str = "") -> Json:
        """The row that was inserted first under this name; a refusal that names what is missing: it, or its parent."""
        if kind in PARENTS:
            self._find(PARENTS[kind], name if kind == VERSION else name.rpartition(".")[0])
        key = f"{name}/{version}" if version else name
        for existing, row in list(self._rows[kind]):
            if existing == key:
                return row
        raise _refusal(f"{CODES.get(kind, '')}NOT_FOUND", f"{kind} not found: {key}")

    def _insert(self, kind: str, key: str, **columns: Any) -> Json:
        if kind != VERSION and any(existing == key for existing, _ in self._rows[kind]):
            shown = columns["name"] if kind == SCHEMA else key
            raise _refusal(f"{CODES.get(kind, '')}ALREADY_EXISTS", f"{kind} already exists: {shown}")
        if kind in (MODEL, VERSION):
            _make_directory(columns["storage_location"])
        time.sleep(RACE_SECONDS)
        row = {"id": str(uuid.uuid4()), "created_at": time.time_ns() // 1_000_000, "updated_at": None, **columns}
        self._rows[kind].append((key, row))
        return row

    def _set_comment(self, kind: str, **name: str) -> Json:
        row = self._find(kind, **name)
        row.update(comment=_body()["comment"], updated_at=time.time_ns() // 1_000_000)
        return row

    def _delete(self, kind: str, name: str, version: str = "") -> None:
        self._rows[kind].remove((f"{name}/{version}" if version else name, self._find(kind, name, version)))

    def _create_catalog(self) -> Json:
        return self._insert(CATALOG, _name("name"), **_fields("name", "storage_root"))

    def _create_schema(self) -> Json:
        self._find(CATALOG, _name("catalog_name"))
        name = _name("catalog_name", "name")
        return self._insert(SCHEMA, name, **_fields("name", "catalog_name"), full_name=name)

    def _create_table(self) -> Json:
        self._find(SCHEMA, _name("catalog_name", "schema_name"))
        return self._insert(TABLE, _name("catalog_name", "schema_name", "name"), **{"comment": None, **_body()})

    def _create_model(self) -> Json:
        self._find(SCHEMA, _name("catalog_name", "schema_name"))
        root = self._find(CATALOG, _name("catalog_name"))["storage_root"]
        if not root:
            message = "None of catalog, schema or storage-root.tables server property has managed location configured."
            raise _refusal("FAILED_PRECONDITION", message)
        name, row = _name("catalog_name", "schema_name", "name"), _fields("name", *WITHIN, "comment")
        location = f"{root}/__unitystorage/models/{uuid.uuid4()}"
        return self._insert(MODEL, name, **row, full_name=name, storage_location=location)

    def _create_version(self) -> Json:
        name = _name("catalog_name", "schema_name", "model_name")
        model, number = self._find(MODEL, name), self._last_numbers[name] + 1
        row = _fields("model_name", *WITHIN, "comment", "source", "run_id")
        row |= {"model_id": model["id"], "version": number, "status": PENDING}
        location = f"{model['storage_location']}/versions/{uuid.uuid4()}"
        row = self._insert(VERSION, f"{name}/{number}", **row, storage_location=location)
        self._last_numbers[name] = number
        return row

    def _list_versions(self, name: str) -> Json:
        model, after = self._find(MODEL, name), int(request.args.get("page_token") or 0)
        size = min(int(request.args.get("max_results") or PAGE_SIZE), PAGE_SIZE)
        rows = [row for _, row in self._rows[VERSION] if row["model_id"] == model["id"] and row["version"] > after]
        page = sorted(rows, key=lambda row: int(row["version"]))[:size]
        return {"model_versions": page, "next_page_token": str(page[-1]["version"]) if len(page) == size else None}

    def _finalize(self, **_: str) -> Json:
        name, number = _body()["full_name"], _body()["version"]
        row = self._find(VERSION, name, str(number))
        if row["status"] != PENDING:
            raise _refusal("INVALID_ARGUMENT", f"Model version not in a pending registration state: {name}/{number}")
        row["status"] = "READY"
        return row
