"""An in-memory server that speaks the registry part of the open-source Unity Catalog server 0.6.

It answers catalogs, schemas, models, model versions and model version credentials under `/api/2.1/unity-catalog/`, with
the real server's fields, error codes and HTTP statuses. As there, `file:` locations are made as directories when a
model or a version is created, and never removed.

It keeps these weaknesses of the real server on purpose:

- Nothing is locked between a look and the insert that follows, and no name or number is unique: creations in parallel
  give two versions one number, or make two models of one name. Whatever asks by a doubled name or number gets the row
  that was inserted first. `race_seconds` widens the gap between the look and the insert.
- A model's row is written whole, so a version created in parallel can undo a change of the model's comment, and can set
  the model's highest number back.
- Versions are paged by their number, so doubles that straddle the end of a page are lost to the reader. A page that is
  exactly full names a next page even where that one is empty. No page holds more than 100 rows.
- A text longer than its column (255 characters for a version's source and run id, 65,535 for the comment of a model or
  a version) is an internal error, after a new version's directory was made.
- Fields it does not know are dropped: there are no tags and no aliases.
- Finalizing reads the version's name and number from the body and ignores the path's. `force` counts in the query only.

Authorization is one bearer token, which may do everything: there are no users, grants or external locations.
"""

import argparse
import json
import re
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from posixpath import normpath
from threading import Event, Lock, Thread
from types import FrameType
from typing import Any, ClassVar, Generic, Self, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import url2pathname

HOST = "127.0.0.1"
PREFIX = "/api/2.1/unity-catalog/"
PAGE_SIZE = 100
NAME_LENGTH = 255
SHORT_TEXT = 255
LONG_TEXT = 65_535
LOCATION_LENGTH = 4096
NAME = re.compile(r"[a-zA-Z0-9_@-]+")
MANAGED = "__unitystorage"
CLOUD_SCHEMES = ("s3", "gs", "abfs", "abfss")
PRINCIPAL = "admin"

Json = dict[str, Any]


class ErrorCode(StrEnum):
    """The real server's names of what can go wrong."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    CATALOG_ALREADY_EXISTS = "CATALOG_ALREADY_EXISTS"
    SCHEMA_ALREADY_EXISTS = "SCHEMA_ALREADY_EXISTS"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    CATALOG_NOT_FOUND = "CATALOG_NOT_FOUND"
    SCHEMA_NOT_FOUND = "SCHEMA_NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    INTERNAL = "INTERNAL"
    UNIMPLEMENTED = "UNIMPLEMENTED"


HTTP_STATUSES = {
    ErrorCode.INVALID_ARGUMENT: 400,
    ErrorCode.FAILED_PRECONDITION: 400,
    ErrorCode.CATALOG_ALREADY_EXISTS: 400,
    ErrorCode.SCHEMA_ALREADY_EXISTS: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CATALOG_NOT_FOUND: 404,
    ErrorCode.SCHEMA_NOT_FOUND: 404,
    ErrorCode.ALREADY_EXISTS: 409,
    ErrorCode.ABORTED: 409,
    ErrorCode.RESOURCE_EXHAUSTED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNIMPLEMENTED: 501,
}
CODES_OF_FAULTS = {
    400: ErrorCode.INVALID_ARGUMENT,
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.PERMISSION_DENIED,
    404: ErrorCode.NOT_FOUND,
    409: ErrorCode.ABORTED,
    429: ErrorCode.RESOURCE_EXHAUSTED,
    501: ErrorCode.UNIMPLEMENTED,
}


class Status(StrEnum):
    """How far a model version is."""

    MODEL_VERSION_STATUS_UNKNOWN = "MODEL_VERSION_STATUS_UNKNOWN"
    PENDING_REGISTRATION = "PENDING_REGISTRATION"
    FAILED_REGISTRATION = "FAILED_REGISTRATION"
    READY = "READY"


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    """A request answered with an error."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    status: int
    content_type: str
    body: bytes

    @classmethod
    def of_json(cls, content: Json, status: int = HTTPStatus.OK) -> Self:
        return cls(status, "application/json; charset=utf-8", json.dumps(content).encode())

    @classmethod
    def of_text(cls, text: str, status: int = HTTPStatus.OK) -> Self:
        return cls(status, "text/plain; charset=utf-8", text.encode())

    @classmethod
    def of_error(cls, code: ErrorCode, message: str, status: int | None = None) -> Self:
        details = [{"@type": "google.rpc.ErrorInfo", "reason": code}]
        content = {"error_code": code, "message": message, "details": details}
        return cls.of_json(content, HTTP_STATUSES[code] if status is None else status)

    @classmethod
    def of_unrouted(cls, status: HTTPStatus) -> Self:
        return cls.of_text(f"Status: {status.value}\nDescription: {status.phrase}\n", status)


def _integer(value: object) -> int | None:
    if value is None:
        return None
    try:
        return int(str(value))
    except ValueError:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Can't convert '{value}' to type 'Long'.") from None


@dataclass(frozen=True)
class Request:
    """What was asked, without the fields that nobody reads."""

    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: Json

    def text(self, name: str) -> str | None:
        value = self.body.get(name)
        if isinstance(value, dict | list):
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "failed to parse a JSON document")
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def properties(self) -> Mapping[str, str]:
        value = self.body.get("properties") or {}
        if not isinstance(value, dict):
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "failed to parse a JSON document")
        return {str(key): str(text) for key, text in value.items()}

    def number(self, name: str) -> int | None:
        return _integer(self.body.get(name))

    @property
    def full_name(self) -> str:
        return self.parameters["full_name"]

    @property
    def version(self) -> int:
        return cast("int", _integer(self.parameters["version"]))

    @property
    def force(self) -> bool:
        return self.query.get("force", "false").lower() in {"true", "1"}

    @property
    def page_token(self) -> str | None:
        return self.query.get("page_token")

    @property
    def page_size(self) -> int:
        asked = _integer(self.query.get("max_results"))
        if asked is not None and asked < 0:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "maxResults must be greater than or equal to 0")
        return min(asked or PAGE_SIZE, PAGE_SIZE)


def _now() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """What every stored thing has; `widths` are the lengths of its columns."""

    widths: ClassVar[Mapping[str, int]] = {"comment": SHORT_TEXT}

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    comment: str | None
    principal: str | None
    created_at: int = field(default_factory=_now)
    updated_at: int = 0

    def described(self) -> Json:
        return {
            "comment": self.comment,
            "created_at": self.created_at,
            "created_by": self.principal,
            "updated_at": self.updated_at or self.created_at,
            "updated_by": self.principal,
        }

    def too_long(self) -> str | None:
        """The first column whose text does not fit."""
        texts = {name: getattr(self, name) for name in self.widths}
        return next((name for name, text in texts.items() if text and len(text) > self.widths[name]), None)


@dataclass(frozen=True, kw_only=True)
class Container(Row):
    """A catalog, or a schema."""

    widths: ClassVar[Mapping[str, int]] = {
        "comment": SHORT_TEXT,
        "storage_root": SHORT_TEXT,
        "storage_location": SHORT_TEXT,
    }

    name: str
    properties: Mapping[str, str]
    storage_root: str | None
    storage_location: str | None

    def described(self) -> Json:
        return {
            "name": self.name,
            **super().described(),
            "properties": dict(self.properties),
            "owner": self.principal,
            "storage_root": self.storage_root,
            "storage_location": self.storage_location,
        }


@dataclass(frozen=True, kw_only=True)
class Catalog(Container):
    def described(self) -> Json:
        return {**super().described(), "id": self.id}


@dataclass(frozen=True, kw_only=True)
class Schema(Container):
    catalog_id: str


@dataclass(frozen=True, kw_only=True)
class Model(Row):
    widths: ClassVar[Mapping[str, int]] = {"comment": LONG_TEXT, "storage_location": LOCATION_LENGTH}

    name: str
    schema_id: str
    storage_location: str
    max_version_number: int = 0


@dataclass(frozen=True, kw_only=True)
class Version(Row):
    widths: ClassVar[Mapping[str, int]] = {
        "comment": LONG_TEXT,
        "source": SHORT_TEXT,
        "run_id": SHORT_TEXT,
        "storage_location": LOCATION_LENGTH,
    }

    model_id: str
    version: int
    source: str | None
    run_id: str | None
    storage_location: str
    status: Status = Status.PENDING_REGISTRATION


R = TypeVar("R", bound=Row)
N = TypeVar("N", Catalog, Schema, Model)


class Table(Generic[R]):
    """Rows in the order of their insertion; each change is atomic, and nothing more than one change is."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._rows: dict[str, R] = {}

    def insert(self, row: R, failure: str) -> None:
        _refuse_too_long(row, failure)
        with self._lock:
            self._rows[row.id] = row

    def update(self, row: R, failure: str) -> None:
        _refuse_too_long(row, failure)
        with self._lock:
            if row.id not in self._rows:
                raise Refusal(ErrorCode.INTERNAL, failure)
            self._rows[row.id] = row

    def remove(self, row: R) -> None:
        with self._lock:
            self._rows.pop(row.id, None)

    def where(self, **columns: object) -> list[R]:
        rows = list(self._rows.values())
        return [row for row in rows if all(getattr(row, name) == value for name, value in columns.items())]

    def first(self, **columns: object) -> R | None:
        return next(iter(self.where(**columns)), None)


def _refuse_too_long(row: Row, failure: str) -> None:
    if row.too_long():
        raise Refusal(ErrorCode.INTERNAL, failure)


def _valid_name(name: str | None) -> str:
    if not name:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, "Name cannot be empty")
    if len(name) > NAME_LENGTH:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Name cannot be longer than {NAME_LENGTH} characters")
    if not NAME.fullmatch(name):
        message = "Name cannot contain a period, space, forward-slash, or control characters"
        raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
    return name


def _model_name_parts(full_name: str) -> tuple[str, str, str]:
    parts = full_name.split(".")
    if len(parts) != 3:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Invalid registered model name: {full_name}")
    return parts[0], parts[1], parts[2]


def _schema_name_parts(full_name: str) -> tuple[str, str]:
    parts = full_name.split(".")
    if len(parts) != 2:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Invalid schema full name: {full_name}")
    return parts[0], parts[1]


def _normalized(url: str) -> str:
    """A location in the one form that the server stores."""
    if not url.strip():
        raise Refusal(ErrorCode.INVALID_ARGUMENT, "Path cannot be null or empty")
    if "/" not in url:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Ambiguous path: {url}")
    if re.search(r"\s", url):
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Unsupported path: {url}")
    parts = urlsplit(url)
    if parts.scheme in CLOUD_SCHEMES:
        return url.rstrip("/")
    if parts.scheme not in {"", "file"}:
        raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Unsupported URI scheme: {parts.scheme}")
    path = parts.path if parts.scheme else str(Path(url).absolute())
    return f"file:///{normpath(path).lstrip('/')}"


def _storage_root(request: Request) -> str | None:
    asked = request.text("storage_root")
    if asked is None:
        return None
    root = _normalized(asked)
    if MANAGED in root:
        message = f"Input path '{root}' contains managed storage prefix {MANAGED}."
        raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
    return root


def _make_directory(location: str) -> None:
    if not location.startswith("file:"):
        return
    path = Path(url2pathname(urlsplit(location).path))
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise Refusal(ErrorCode.INTERNAL, f"Failed to create directory: {path}") from error


def _page_by_name(rows: list[N], request: Request) -> tuple[list[N], str | None]:
    token = request.page_token
    later = sorted((row for row in rows if token is None or row.name > token), key=lambda row: row.name)
    page = later[: request.page_size]
    return page, page[-1].name if len(page) == request.page_size else None


class Registry:
    """What is stored, and how each request reads and changes it."""

    def __init__(self, race_seconds: float, principal: str | None) -> None:
        lock = Lock()
        self.race_seconds = race_seconds
        self._principal = principal
        self._catalogs = Table[Catalog](lock)
        self._schemas = Table[Schema](lock)
        self._models = Table[Model](lock)
        self._versions = Table[Version](lock)

    # Catalogs

    def create_catalog(self, request: Request) -> Json:
        name = _valid_name(request.text("name"))
        root = _storage_root(request)
        catalog_id = str(uuid.uuid4())
        catalog = Catalog(
            id=catalog_id,
            name=name,
            comment=request.text("comment"),
            principal=self._principal,
            properties=request.properties(),
            storage_root=root,
            storage_location=root and f"{root}/{MANAGED}/catalogs/{catalog_id}",
        )
        self._refuse_second_catalog(name)
        self._race()
        self._catalogs.insert(catalog, "Failed to add catalog")
        return catalog.described()

    def list_catalogs(self, request: Request) -> Json:
        page, token = _page_by_name(self._catalogs.where(), request)
        return {"catalogs": [catalog.described() for catalog in page], "next_page_token": token}

    def get_catalog(self, request: Request) -> Json:
        return self._catalog(request.parameters["name"]).described()

    def update_catalog(self, request: Request) -> Json:
        catalog = self._catalog(request.parameters["name"])
        changes = self._changes_of_container(request)
        if "name" in changes:
            self._refuse_second_catalog(changes["name"])
        if changes:
            catalog = replace(catalog, **changes, updated_at=_now())
            self._catalogs.update(catalog, "Failed to update catalog")
        return catalog.described()

    def delete_catalog(self, request: Request) -> None:
        catalog = self._catalog(request.parameters["name"])
        schemas = self._schemas.where(catalog_id=catalog.id)
        if schemas and not request.force:
            message = "Cannot delete catalog with schemas. Use force=true to force deletion."
            raise Refusal(ErrorCode.FAILED_PRECONDITION, message)
        for schema in schemas:
            self._delete_schema(schema, force=True)
        self._catalogs.remove(catalog)

    # Schemas

    def create_schema(self, request: Request) -> Json:
        name = _valid_name(request.text("name"))
        catalog = self._catalog(request.text("catalog_name"))
        self._refuse_second_schema(catalog, name)
        root = _storage_root(request)
        schema_id = str(uuid.uuid4())
        schema = Schema(
            id=schema_id,
            catalog_id=catalog.id,
            name=name,
            comment=request.text("comment"),
            principal=self._principal,
            properties=request.properties(),
            storage_root=root,
            storage_location=root and f"{root}/{MANAGED}/schemas/{schema_id}",
        )
        self._race()
        self._schemas.insert(schema, "Failed to create schema")
        return self._described_schema(schema, catalog.name)

    def list_schemas(self, request: Request) -> Json:
        if "catalog_name" not in request.query:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "Mandatory parameter/header 'catalog_name' is missing")
        catalog = self._catalog(request.query["catalog_name"])
        page, token = _page_by_name(self._schemas.where(catalog_id=catalog.id), request)
        return {
            "schemas": [self._described_schema(schema, catalog.name) for schema in page],
            "next_page_token": token,
        }

    def get_schema(self, request: Request) -> Json:
        catalog, schema = _schema_name_parts(request.full_name)
        return self._described_schema(self._schema(catalog, schema), catalog)

    def update_schema(self, request: Request) -> Json:
        catalog_name, schema_name = _schema_name_parts(request.full_name)
        schema = self._schema(catalog_name, schema_name)
        changes = self._changes_of_container(request)
        if "name" in changes:
            self._refuse_second_schema(self._catalog(catalog_name), changes["name"])
        if changes:
            schema = replace(schema, **changes, updated_at=_now())
            self._schemas.update(schema, "Failed to update schema")
        return self._described_schema(schema, catalog_name)

    def delete_schema(self, request: Request) -> None:
        catalog, schema = _schema_name_parts(request.full_name)
        self._delete_schema(self._schema(catalog, schema), force=request.force)

    # Models

    def create_model(self, request: Request) -> Json:
        name = _valid_name(request.text("name"))
        catalog_name, schema_name = request.text("catalog_name"), request.text("schema_name")
        catalog, schema = self._catalog(catalog_name), self._schema(catalog_name, schema_name)
        parent = self._managed_location(catalog, schema)
        self._refuse_second_model(schema, f"{catalog.name}.{schema.name}", name)
        model_id = str(uuid.uuid4())
        model = Model(
            id=model_id,
            schema_id=schema.id,
            name=name,
            comment=request.text("comment"),
            principal=self._principal,
            storage_location=f"{parent}/models/{model_id}",
        )
        self._race()
        _make_directory(model.storage_location)
        self._models.insert(model, f"Error creating registered model: {catalog.name}.{schema.name}.{name}")
        return self._described_model(model)

    def list_models(self, request: Request) -> Json:
        catalog, schema = request.query.get("catalog_name") or None, request.query.get("schema_name") or None
        if catalog and not schema:
            message = "Cannot specify catalog w/o schema for list registered models."
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        if schema and not catalog:
            message = "Cannot specify schema w/o catalog for list registered models."
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        if catalog and schema:
            rows = self._models.where(schema_id=self._schema(catalog, schema).id)
            page, token = _page_by_name(rows, request)
        else:
            page, token = self._page_of_all_models(request)
        return {"registered_models": [self._described_model(model) for model in page], "next_page_token": token}

    def get_model(self, request: Request) -> Json:
        return self._described_model(self._model(request.full_name))

    def update_model(self, request: Request) -> Json:
        new_name, comment = request.text("new_name"), request.text("comment")
        if new_name is not None:
            _valid_name(new_name)
        if new_name is None and comment is None:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "No updated fields defined.")
        catalog_name, schema_name, _ = _model_name_parts(request.full_name)
        if new_name is not None:
            schema = self._schema(catalog_name, schema_name)
            self._refuse_second_model(schema, f"{catalog_name}.{schema_name}", new_name)
        model = self._model(request.full_name)
        changed = replace(
            model,
            name=model.name if new_name is None else new_name,
            comment=model.comment if comment is None else comment,
            updated_at=_now(),
        )
        self._models.update(changed, f"Error updating registered model: {request.full_name}")
        return self._described_model(changed)

    def delete_model(self, request: Request) -> None:
        self._delete_model(self._model(request.full_name), force=request.force)

    # Versions

    def create_version(self, request: Request) -> Json:
        names = [request.text(name) for name in ("catalog_name", "schema_name", "model_name")]
        full_name = ".".join(str(name) for name in names)
        model = self._model(full_name)
        number = model.max_version_number + 1
        self._race()
        version_id = str(uuid.uuid4())
        version = Version(
            id=version_id,
            model_id=model.id,
            version=number,
            source=request.text("source"),
            run_id=request.text("run_id"),
            comment=request.text("comment"),
            principal=self._principal,
            storage_location=f"{model.storage_location}/versions/{version_id}",
        )
        _make_directory(version.storage_location)
        failure = f"Error creating model version for model: {full_name}"
        self._versions.insert(version, failure)
        self._models.update(replace(model, max_version_number=number), failure)
        return self._described_version(version, full_name)

    def list_versions(self, request: Request) -> Json:
        size, token = request.page_size, request.page_token
        try:
            after = 0 if token is None else int(token)
        except ValueError:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Invalid page token received: {token}") from None
        rows = self._versions.where(model_id=self._model(request.full_name).id)
        page = sorted((row for row in rows if row.version > after), key=lambda row: row.version)[:size]
        return {
            "model_versions": [self._described_version(version, request.full_name) for version in page],
            "next_page_token": str(page[-1].version) if len(page) == size else None,
        }

    def get_version(self, request: Request) -> Json:
        version = self._version(request.full_name, request.version)
        return self._described_version(version, request.full_name)

    def update_version(self, request: Request) -> Json:
        if request.version < 1:
            message = f"No valid model version specified: {request.version}"
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        comment = request.text("comment")
        if comment is None:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "No updated fields defined.")
        version = self._version(request.full_name, request.version)
        changed = replace(version, comment=comment, updated_at=_now())
        self._versions.update(changed, f"Error updating model version: {request.full_name}/{request.version}")
        return self._described_version(changed, request.full_name)

    def delete_version(self, request: Request) -> None:
        self._versions.remove(self._version(request.full_name, request.version))

    def finalize_version(self, request: Request) -> Json:
        full_name, number = request.text("full_name"), request.number("version")
        if full_name is None:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "No three tier full name specified.")
        if number is None:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, "No version specified.")
        version = self._version(full_name, number)
        if version.status != Status.PENDING_REGISTRATION:
            message = f"Model version not in a pending registration state: {full_name}/{number}"
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        changed = replace(version, status=Status.READY, updated_at=_now())
        self._versions.update(changed, f"Error finalizing model version: {full_name}/{number}")
        return self._described_version(changed, full_name)

    def credentials(self, request: Request) -> Json:
        """Refused always: files need no credentials, and no cloud is set up."""
        names = [request.text(name) for name in ("catalog_name", "schema_name", "model_name")]
        full_name, number = ".".join(str(name) for name in names), request.number("version")
        if number is None:
            raise Refusal(ErrorCode.INTERNAL, "java.lang.NullPointerException")
        version = self._version(full_name, number)
        named = f"{full_name}/{number}"
        if version.storage_location.startswith("file"):
            message = f"Cannot request credentials on a model version with a file based storage location: {named}"
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        if version.status in {Status.FAILED_REGISTRATION, Status.MODEL_VERSION_STATUS_UNKNOWN}:
            message = f"Cannot request credentials on a model version with status {version.status}: {named}"
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        if version.status == Status.READY and request.text("operation") == "READ_WRITE_MODEL_VERSION":
            message = f"Cannot request read/write credentials on a model version that has been finalized: {named}"
            raise Refusal(ErrorCode.INVALID_ARGUMENT, message)
        raise Refusal(ErrorCode.FAILED_PRECONDITION, "S3 bucket configuration not found.")

    def set_back(self, full_name: str) -> None:
        model = self._model(full_name)
        self._models.update(replace(model, max_version_number=model.max_version_number - 1), "set back")

    def set_status(self, full_name: str, number: int, status: Status) -> None:
        version = replace(self._version(full_name, number), status=status)
        self._versions.update(version, f"{full_name}/{number} is gone")

    # Looking up

    def _catalog(self, name: str | None) -> Catalog:
        catalog = self._catalogs.first(name=name)
        if catalog is None:
            raise Refusal(ErrorCode.CATALOG_NOT_FOUND, f"Catalog not found: {name}")
        return catalog

    def _schema(self, catalog_name: str | None, name: str | None) -> Schema:
        schema = self._schemas.first(catalog_id=self._catalog(catalog_name).id, name=name)
        if schema is None:
            raise Refusal(ErrorCode.SCHEMA_NOT_FOUND, f"Schema not found: {catalog_name}.{name}")
        return schema

    def _model(self, full_name: str) -> Model:
        catalog, schema, name = _model_name_parts(full_name)
        model = self._models.first(schema_id=self._schema(catalog, schema).id, name=name)
        if model is None:
            raise Refusal(ErrorCode.NOT_FOUND, f"Registered model not found: {full_name}")
        return model

    def _version(self, full_name: str, number: int) -> Version:
        version = self._versions.first(model_id=self._model(full_name).id, version=number)
        if version is None:
            raise Refusal(ErrorCode.NOT_FOUND, f"Model version not found: {full_name}/{number}")
        return version

    def _names_above(self, model: Model) -> tuple[str, str]:
        schema = self._schemas.first(id=model.schema_id)
        if schema is None:
            raise Refusal(ErrorCode.SCHEMA_NOT_FOUND, f"Schema not found: {model.schema_id}")
        catalog = self._catalogs.first(id=schema.catalog_id)
        if catalog is None:
            raise Refusal(ErrorCode.CATALOG_NOT_FOUND, f"Catalog not found: {schema.catalog_id}")
        return catalog.name, schema.name

    def _page_of_all_models(self, request: Request) -> tuple[list[Model], str | None]:
        """Ordered by id, for names are not unique across schemas."""
        size, token = request.page_size, request.page_token
        try:
            after = "" if token is None else str(uuid.UUID(token))
        except ValueError:
            raise Refusal(ErrorCode.INVALID_ARGUMENT, f"Invalid page token received: {token}") from None
        rows = sorted(self._models.where(), key=lambda row: row.id)
        page = [row for row in rows if row.id > after][:size]
        return page, page[-1].id if len(page) == size else None

    def _managed_location(self, catalog: Catalog, schema: Schema) -> str:
        location = schema.storage_location or catalog.storage_location
        if location is None:
            message = "None of catalog, schema or storage-root.tables server property has managed location configured."
            raise Refusal(ErrorCode.FAILED_PRECONDITION, message)
        return location

    # Refusing and changing

    def _race(self) -> None:
        if self.race_seconds > 0:
            time.sleep(self.race_seconds)

    def _refuse_second_catalog(self, name: str) -> None:
        if self._catalogs.first(name=name):
            raise Refusal(ErrorCode.CATALOG_ALREADY_EXISTS, f"Catalog already exists: {name}")

    def _refuse_second_schema(self, catalog: Catalog, name: str) -> None:
        if self._schemas.first(catalog_id=catalog.id, name=name):
            raise Refusal(ErrorCode.SCHEMA_ALREADY_EXISTS, f"Schema already exists: {name}")

    def _refuse_second_model(self, schema: Schema, schema_full_name: str, name: str) -> None:
        if self._models.first(schema_id=schema.id, name=name):
            message = f"Registered model already exists: {schema_full_name}.{name}"
            raise Refusal(ErrorCode.ALREADY_EXISTS, message)

    def _changes_of_container(self, request: Request) -> dict[str, Any]:
        new_name = request.text("new_name")
        asked = {
            "name": None if new_name is None else _valid_name(new_name),
            "comment": request.text("comment"),
            "properties": request.properties() or None,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def _delete_schema(self, schema: Schema, *, force: bool) -> None:
        models = self._models.where(schema_id=schema.id)
        if models and not force:
            raise Refusal(ErrorCode.FAILED_PRECONDITION, "Cannot delete schema with models")
        for model in models:
            self._delete_model(model, force=True)
        self._schemas.remove(schema)

    def _delete_model(self, model: Model, *, force: bool) -> None:
        versions = self._versions.where(model_id=model.id)
        if versions and not force:
            message = f"Unable to delete a registered model with existing model versions: {model.name}"
            raise Refusal(ErrorCode.ABORTED, message)
        for version in versions:
            self._versions.remove(version)
        self._models.remove(model)

    # Describing

    def _described_schema(self, schema: Schema, catalog_name: str) -> Json:
        return {
            **schema.described(),
            "schema_id": schema.id,
            "catalog_name": catalog_name,
            "full_name": f"{catalog_name}.{schema.name}",
        }

    def _described_model(self, model: Model) -> Json:
        catalog_name, schema_name = self._names_above(model)
        return {
            **model.described(),
            "id": model.id,
            "name": model.name,
            "catalog_name": catalog_name,
            "schema_name": schema_name,
            "full_name": f"{catalog_name}.{schema_name}.{model.name}",
            "owner": model.principal,
            "storage_location": model.storage_location,
        }

    def _described_version(self, version: Version, full_name: str) -> Json:
        catalog_name, schema_name, model_name = _model_name_parts(full_name)
        return {
            **version.described(),
            "id": version.id,
            "catalog_name": catalog_name,
            "schema_name": schema_name,
            "model_name": model_name,
            "version": version.version,
            "source": version.source,
            "run_id": version.run_id,
            "status": version.status,
            "storage_location": version.storage_location,
        }


@dataclass(frozen=True)
class Route:
    """A method and a path below the prefix, and what answers them; where nothing is answered, the body says 200 OK."""

    method: str
    template: str
    answer: Callable[[Registry, Request], Json | None]

    def match(self, path: str) -> dict[str, str] | None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return found and {name: unquote(value) for name, value in found.groupdict().items()}


ROUTES = (
    Route("POST", "catalogs", Registry.create_catalog),
    Route("GET", "catalogs", Registry.list_catalogs),
    Route("GET", "catalogs/{name}", Registry.get_catalog),
    Route("PATCH", "catalogs/{name}", Registry.update_catalog),
    Route("DELETE", "catalogs/{name}", Registry.delete_catalog),
    Route("POST", "schemas", Registry.create_schema),
    Route("GET", "schemas", Registry.list_schemas),
    Route("GET", "schemas/{full_name}", Registry.get_schema),
    Route("PATCH", "schemas/{full_name}", Registry.update_schema),
    Route("DELETE", "schemas/{full_name}", Registry.delete_schema),
    Route("POST", "models", Registry.create_model),
    Route("GET", "models", Registry.list_models),
    Route("GET", "models/{full_name}", Registry.get_model),
    Route("PATCH", "models/{full_name}", Registry.update_model),
    Route("DELETE", "models/{full_name}", Registry.delete_model),
    Route("POST", "models/versions", Registry.create_version),
    Route("GET", "models/{full_name}/versions", Registry.list_versions),
    Route("GET", "models/{full_name}/versions/{version}", Registry.get_version),
    Route("PATCH", "models/{full_name}/versions/{version}", Registry.update_version),
    Route("DELETE", "models/{full_name}/versions/{version}", Registry.delete_version),
    Route("PATCH", "models/{full_name}/versions/{version}/finalize", Registry.finalize_version),
    Route("POST", "temporary-model-version-credentials", Registry.credentials),
)


def _parsed(body: bytes) -> Json:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refusal(ErrorCode.INVALID_ARGUMENT, "failed to parse a JSON document")
    return content


class UnityCatalogServer:
    """The server, reachable at `url` inside a `with` block; entered again, it has its old address and state.

    `requests` are the methods and the paths (without their queries) seen. `delay_seconds` passes between what a request
    does and its answer; with `fail_with`, requests do nothing and are answered with that HTTP status.
    """

    def __init__(self, token: str | None = None, race_seconds: float = 0.0, *, port: int = 0) -> None:
        self.requests: list[tuple[str, str]] = []
        self.delay_seconds = 0.0
        self.fail_with: int | None = None
        self._token = token
        self._registry = Registry(race_seconds, PRINCIPAL if token is not None else None)
        self._port = port
        self._listener: _Listener | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def race_seconds(self) -> float:
        return self._registry.race_seconds

    @race_seconds.setter
    def race_seconds(self, seconds: float) -> None:
        self._registry.race_seconds = seconds

    def set_back(self, full_name: str) -> None:
        """Have the model give its last number again, as after two creations that raced."""
        self._registry.set_back(full_name)

    def set_status(self, full_name: str, version: int, status: str) -> None:
        """Give the first version of this number a status, as no request can."""
        self._registry.set_status(full_name, version, Status(status))

    def __enter__(self) -> Self:
        self._listener = _Listener((HOST, self._port), self)
        self._port = self._listener.server_address[1]
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener and self._thread:
            self._listener.shutdown()
            self._listener.server_close()
            self._thread.join()
        self._listener = self._thread = None

    def reply(self, method: str, target: str, authorization: str | None, body: bytes) -> Reply:
        """Do what is asked, and say what to answer."""
        url = urlsplit(target)
        self.requests.append((method, url.path))
        reply = self._reply(method, url.path, dict(parse_qsl(url.query, keep_blank_values=True)), authorization, body)
        if self.delay_seconds > 0:
            time.sleep(self.delay_seconds)
        return reply

    def _reply(self, method: str, path: str, query: Mapping[str, str], authorization: str | None, body: bytes) -> Reply:
        if self.fail_with is not None:
            code = CODES_OF_FAULTS.get(self.fail_with, ErrorCode.INTERNAL)
            return Reply.of_error(code, f"Told to fail with {self.fail_with}.", self.fail_with)
        try:
            self._authenticate(authorization)
            return self._route(method, path, query, body)
        except Refusal as refusal:
            return Reply.of_error(refusal.code, refusal.message)

    def _authenticate(self, authorization: str | None) -> None:
        if self._token is None:
            return
        if authorization is None or not authorization.startswith("Bearer "):
            raise Refusal(ErrorCode.UNAUTHENTICATED, "No authorization found.")
        if authorization.removeprefix("Bearer ") != self._token:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "Invalid access token.")

    def _route(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        below = path.removeprefix(PREFIX) if path.startswith(PREFIX) else ""
        routes = [(route, match) for route in ROUTES if (match := route.match(below)) is not None]
        for route, parameters in routes:
            if route.method == method:
                content = _parsed(body) if method in {"POST", "PATCH"} else {}
                answer = route.answer(self._registry, Request(parameters, query, content))
                return Reply.of_text("200 OK") if answer is None else Reply.of_json(answer)
        return Reply.of_unrouted(HTTPStatus.METHOD_NOT_ALLOWED if routes else HTTPStatus.NOT_FOUND)


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], catalog: UnityCatalogServer) -> None:
        super().__init__(address, _Handler)
        self.catalog = catalog

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Closes the connection after each answer, so that none outlives the server."""

    server: _Listener
    wbufsize = -1

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.catalog.reply(self.command, self.path, self.headers.get("Authorization"), body)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Tests read `requests` instead."""


def main() -> None:
    """Serve in the foreground until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="An in-memory Unity Catalog server for tests.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--token")
    parser.add_argument("--race-seconds", type=float, default=0.0)
    options = parser.parse_args()
    ended = Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with UnityCatalogServer(options.token, options.race_seconds, port=options.port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
