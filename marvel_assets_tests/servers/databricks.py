"""A Databricks workspace as MLflow's client and databricks-sdk see one, on this machine.

A client needs `DATABRICKS_HOST` (the server's `url`) and `DATABRICKS_TOKEN` (its `token`), or `DATABRICKS_CLIENT_ID`
and `DATABRICKS_CLIENT_SECRET`. Then the stores `databricks` and `databricks-uc` and `WorkspaceClient()` work, in any
number of processes. Played here are Unity Catalog's models, the Files API for artifacts and the files of versions, and
OAuth for service principals. Tracking is MLflow's own server behind the same token, which has one store a process.

As in the service: version numbers are given one by one and never again, a version is READY when it is finalized,
searches take a name alone, find neither tags nor aliases, and know nothing new while `is_search_behind`. Unlike it: no
TLS, one user, who owns what exists and lacks the privileges in `denied`. `before` is called before each request.
"""

import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Self

import mlflow
from flask import Flask, Response, jsonify, request
from mlflow.server import app as mlflow_server
from mlflow.server.handlers import initialize_backend_stores
from werkzeug.exceptions import HTTPException

from marvel_assets_tests.servers.wsgi import serving

ARTIFACTS = "dbfs:/databricks/mlflow-tracking"
OSS_MODELS = re.compile(rb"(dbfs:/databricks/mlflow-tracking/[^/\"]+)/models/")
ENTRY = ("path", "is_directory", "file_size")
NAME_FILTER = re.compile(r"\s*name\s*=\s*'(.*)'\s*")

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.body = status, {"error_code": code, "message": message}


def _missing(kind: str, name: str, code: str = "RESOURCE_DOES_NOT_EXIST") -> Refusal:
    return Refusal(404, code, f"{kind} '{name}' does not exist.")


def _asked() -> Json:
    """The query and the body as one."""
    return {**request.args, **(request.get_json(silent=True) or {})}


class Registry:
    """Catalogs, schemas and models. Whoever calls takes care that one call runs at a time."""

    def __init__(self) -> None:
        self.catalogs: set[str] = set()
        self.schemas: set[str] = set()
        self.models: dict[str, Json] = {}
        self.denied: set[str] = set()
        self.is_search_behind = False

    def set_status(self, name: str, number: int, status: str) -> None:
        self.models[name]["versions"][str(number)]["status"] = status

    def get_catalog(self, asked: Json) -> Json:
        return {"name": self._catalog(asked["name"])}

    def get_schema(self, asked: Json) -> Json:
        return {"full_name": self._schema(asked["full_name"])}

    def create_schema(self, asked: Json) -> Json:
        catalog = self._catalog(asked["catalog_name"])
        self._needs("CREATE_SCHEMA", f"Catalog '{catalog}'")
        self.schemas.add(f"{catalog}.{asked['name']}")
        return {"full_name": f"{catalog}.{asked['name']}"}

    def create_model(self, asked: Json) -> Json:
        name = asked["name"]
        schema = self._schema(name.rpartition(".")[0])
        self._needs("CREATE_MODEL", f"Schema '{schema}'")
        if name in self.models:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Routine or Model '{name}' already exists.")
        self.models[name] = {"name": name, "aliases": {}, "versions": {}, "last": 0}
        return {"registered_model": {"name": name}}

    def get_model(self, asked: Json) -> Json:
        return {"registered_model": {"name": self._model(asked)["name"]}}

    def set_alias(self, asked: Json) -> Json:
        self._version(asked)
        self.models[asked["name"]]["aliases"][asked["alias"]] = str(asked["version"])
        return {}

    def get_by_alias(self, asked: Json) -> Json:
        aliases = self._model(asked)["aliases"]
        if asked["alias"] not in aliases:
            raise _missing("Alias", asked["alias"])
        return self.get_version({**asked, "version": aliases[asked["alias"]]})

    def create_version(self, asked: Json) -> Json:
        model = self._model(asked)
        model["last"] += 1
        number = str(model["last"])
        model["versions"][number] = {
            **{key: asked.get(key, "") for key in ("name", "source", "run_id", "model_id", "description")},
            "version": number,
            "status": "PENDING_REGISTRATION",
            "creation_timestamp": time.time_ns() // 1_000_000,
            "storage_location": f"dbfs:/Models/{asked['name'].replace('.', '/')}/{number}",
            "tags": {tag["key"]: tag.get("value", "") for tag in asked.get("tags", [])},
        }
        return self.get_version({**asked, "version": number})

    def get_version(self, asked: Json) -> Json:
        version = self._version(asked)
        tags = [{"key": key, "value": value} for key, value in version["tags"].items()]
        return {"model_version": {**version, "tags": tags}}

    def finalize_version(self, asked: Json) -> Json:
        self._version(asked)["status"] = "READY"
        return self.get_version(asked)

    def delete_version(self, asked: Json) -> Json:
        self._version(asked)
        del self.models[asked["name"]]["versions"][str(asked["version"])]
        return {}

    def search_versions(self, asked: Json) -> Json:
        named = NAME_FILTER.fullmatch(asked.get("filter", ""))
        if named is None:
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Unsupported filter query : `{asked.get('filter')}`.")
        known = {} if self.is_search_behind else self.models
        versions = known.get(named[1], {"versions": {}})["versions"].values()
        return {"model_versions": [{**version, "tags": []} for version in versions]}

    def update_version(self, asked: Json) -> Json:
        self._version(asked)["description"] = asked["description"]
        return self.get_version(asked)

    def set_version_tag(self, asked: Json) -> Json:
        self._version(asked)["tags"][asked["key"]] = asked["value"]
        return {}

    def download_uri(self, asked: Json) -> Json:
        return {"artifact_uri": self._version(asked)["storage_location"]}

    def _needs(self, privilege: str, securable: str) -> None:
        if privilege in self.denied:
            raise Refusal(403, "PERMISSION_DENIED", f"User does not have {privilege.replace('_', ' ')} on {securable}.")

    def _catalog(self, name: str) -> str:
        if name not in self.catalogs:
            raise _missing("Catalog", name, "CATALOG_DOES_NOT_EXIST")
        self._needs("USE_CATALOG", f"Catalog '{name}'")
        return name

    def _schema(self, full_name: str) -> str:
        self._catalog(full_name.partition(".")[0])
        if full_name not in self.schemas:
            raise _missing("Schema", full_name, "SCHEMA_DOES_NOT_EXIST")
        self._needs("USE_SCHEMA", f"Schema '{full_name}'")
        return full_name

    def _model(self, asked: Json) -> Json:
        self._schema(asked["name"].rpartition(".")[0])
        if asked["name"] not in self.models:
            raise _missing("Routine or Model", asked["name"])
        return self.models[asked["name"]]

    def _version(self, asked: Json) -> Json:
        versions, number = self._model(asked)["versions"], str(asked["version"])
        if number not in versions:
            raise _missing("Model version", f"{asked['name']}/{number}")
        return versions[number]  # type: ignore[no-any-return]


MODELS, VERSIONS = (f"/api/2.0/mlflow/unity-catalog/{kind}" for kind in ("registered-models", "model-versions"))
UNITY = "/api/2.1/unity-catalog"
SDK = "is_databricks_sdk_models_artifact_repository_enabled"
CALLS: dict[str, Callable[[Registry, Json], Json]] = {
    f"GET {UNITY}/catalogs/<name>": Registry.get_catalog,
    f"GET {UNITY}/schemas/<full_name>": Registry.get_schema,
    f"POST {UNITY}/schemas": Registry.create_schema,
    f"POST {MODELS}/create": Registry.create_model,
    f"GET {MODELS}/get": Registry.get_model,
    f"POST {MODELS}/alias": Registry.set_alias,
    f"GET {MODELS}/alias": Registry.get_by_alias,
    f"GET {MODELS}:{SDK.replace('_', '-')}": lambda *_: {SDK: True},
    f"POST {VERSIONS}/create": Registry.create_version,
    f"GET {VERSIONS}/get": Registry.get_version,
    f"POST {VERSIONS}/finalize": Registry.finalize_version,
    f"DELETE {VERSIONS}/delete": Registry.delete_version,
    f"GET {VERSIONS}/search": Registry.search_versions,
    f"PATCH {VERSIONS}/update": Registry.update_version,
    f"POST {VERSIONS}/set-tag": Registry.set_version_tag,
    f"GET {VERSIONS}/get-download-uri": Registry.download_uri,
}


class DatabricksWorkspace:
    """The workspace, at ``url`` within a ``with`` block; its tracking begins with an empty database of MLflow."""

    def __init__(self, folder: Path, database: Path) -> None:
        shutil.copyfile(database, folder / "mlflow.db")
        self.url, self.folder, self.registry = "", folder, Registry()
        self.token, self.client_id, self.client_secret = f"dapi{secrets.token_hex(16)}", "tests", secrets.token_hex(16)
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str], object] = lambda _: None
        self._lock, self._serving = Lock(), ExitStack()

    def __enter__(self) -> Self:
        before = mlflow.get_tracking_uri()
        initialize_backend_stores(f"sqlite:///{self.folder / 'mlflow.db'}", default_artifact_root=ARTIFACTS)
        mlflow.set_tracking_uri(before)  # it takes the server's store for the client's
        app = Flask(__name__)
        for route, call in CALLS.items():
            method, _, path = route.partition(" ")
            app.add_url_rule(path, route, partial(self._call, call), methods=[method])
        methods = ["GET", "POST", "PATCH", "DELETE"]
        app.add_url_rule("/api/<version>/mlflow/<path:path>", "tracking", self._track, methods=methods)
        # Asked where the Files API has no folder of the run's artifacts: it has none.
        app.add_url_rule("/api/2.0/mlflow/artifacts/list", "artifacts", lambda: {"files": []})
        app.add_url_rule("/api/2.0/fs/files/<path:path>", "file", self._file, methods=["GET", "PUT"])
        app.add_url_rule("/api/2.0/fs/directories/<path:path>", "folder", self._folder, methods=["GET", "PUT"])
        app.add_url_rule("/.well-known/databricks-config", "host", lambda: {"oidc_endpoint": f"{self.url}/oidc"})
        app.add_url_rule("/oidc/.well-known/oauth-authorization-server", "oidc", self._oidc)
        app.add_url_rule("/oidc/v1/token", "token", self._token, methods=["POST"])
        app.before_request(self._admit)
        app.register_error_handler(Refusal, lambda refusal: (refusal.body, refusal.status))
        app.register_error_handler(HTTPException, _no_such_api)
        self.url = self._serving.enter_context(serving(app))
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def _admit(self) -> None:
        self.requests.append((request.method, request.path))
        self.before(request.path)
        is_open = request.path.startswith(("/.well-known/", "/oidc/"))
        if not is_open and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(403, "403", "Invalid access token.")

    def _call(self, call: Callable[[Registry, Json], Json], **path: str) -> Response:
        with self._lock:
            return jsonify(call(self.registry, {**_asked(), **path}))

    def _track(self, **_: str) -> Response:
        answer = mlflow_server.test_client().open(
            request.full_path, method=request.method, data=request.get_data(), content_type="application/json"
        )
        content = OSS_MODELS.sub(rb"\1/logged_models/", answer.data)
        return Response(content, answer.status_code, mimetype="application/json")

    def _file(self, path: str) -> Response:
        file = self.folder / "files" / path
        if request.method == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(request.get_data())
            return Response(status=204)
        if not file.is_file():
            raise _missing("File", path, "NOT_FOUND")
        return Response(file.read_bytes(), headers={"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"})

    def _folder(self, path: str) -> Response:
        folder = self.folder / "files" / path
        if request.method == "PUT":
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise _missing("Directory", path, "NOT_FOUND")
        found = [(f"/{path}/{file.name}", file.is_dir(), file.stat().st_size) for file in folder.iterdir()]
        return jsonify({"contents": [dict(zip(ENTRY, entry, strict=True)) for entry in found]})

    def _oidc(self) -> Json:
        return {f"{name}_endpoint": f"{self.url}/oidc/v1/{name}" for name in ("authorization", "token")}

    def _token(self) -> Response:
        asked = request.authorization
        if asked is None or (asked.username, asked.password) != (self.client_id, self.client_secret):
            raise Refusal(401, "invalid_client", "Client authentication failed")
        return jsonify({"access_token": self.token, "token_type": "Bearer", "expires_in": 3600})


def _no_such_api(_error: HTTPException) -> tuple[Json, int]:
    message = f"No API found for '{request.method} {request.path}'"
    return {"error_code": "ENDPOINT_NOT_FOUND", "message": message}, 404
