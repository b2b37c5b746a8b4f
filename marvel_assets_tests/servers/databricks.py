"""A Databricks workspace as MLflow's client and databricks-sdk see one, on this machine.

A client needs `DATABRICKS_HOST` (the server's `url`) and `DATABRICKS_TOKEN` (its `token`), or `DATABRICKS_CLIENT_ID`
and `DATABRICKS_CLIENT_SECRET`. Then the stores `databricks` and `databricks-uc` and `WorkspaceClient()` work, in any
number of processes. Imitated are Unity Catalog's models, the Files API for artifacts and the files of versions, and
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
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import mlflow
from flask import Response, jsonify, request
from mlflow.server import app as mlflow_server
from mlflow.server.handlers import initialize_backend_stores
from werkzeug.exceptions import HTTPException

from marvel_assets_tests.servers.wsgi import FlaskServer, Refusal

ARTIFACTS = "dbfs:/databricks/mlflow-tracking"
OSS_MODELS = re.compile(rb"(dbfs:/databricks/mlflow-tracking/[^/\"]+)/models/")
NAME_FILTER = re.compile(r"\s*name\s*=\s*'(.*)'\s*")
MODELS, VERSIONS = (f"/api/2.0/mlflow/unity-catalog/{kind}" for kind in ("registered-models", "model-versions"))
UNITY = "/api/2.1/unity-catalog"
SDK = "is_databricks_sdk_models_artifact_repository_enabled"

Json = dict[str, Any]


def _missing(kind: str, name: str, code: str = "RESOURCE_DOES_NOT_EXIST") -> Refusal:
    return Refusal(404, code, f"{kind} '{name}' does not exist.")


class Registry:
    """Catalogs, schemas and models. One call runs at a time."""

    def __init__(self) -> None:
        self.catalogs: set[str] = set()
        self.schemas: set[str] = set()
        self.denied: set[str] = set()
        self.is_search_behind = False
        self._models: dict[str, Json] = {}
        self._lock = Lock()
        self.calls: dict[str, Callable[[Json], Json]] = {
            f"GET {UNITY}/catalogs/<name>": lambda given: {"name": self._catalog(given["name"])},
            f"GET {UNITY}/schemas/<full_name>": lambda given: {"full_name": self._schema(given["full_name"])},
            f"POST {UNITY}/schemas": self._create_schema,
            f"POST {MODELS}/create": self._create_model,
            f"GET {MODELS}/get": lambda given: {"registered_model": {"name": self._model(given)["name"]}},
            f"POST {MODELS}/alias": self._set_alias,
            f"GET {MODELS}/alias": self._version_by_alias,
            f"GET {MODELS}:{SDK.replace('_', '-')}": lambda _: {SDK: True},
            f"POST {VERSIONS}/create": self._create_version,
            f"GET {VERSIONS}/get": self._get_version,
            f"POST {VERSIONS}/finalize": partial(self._change_version, status="READY"),
            f"DELETE {VERSIONS}/delete": self._delete_version,
            f"GET {VERSIONS}/search": self._search_versions,
            f"PATCH {VERSIONS}/update": lambda given: self._change_version(given, description=given["description"]),
            f"POST {VERSIONS}/set-tag": self._set_version_tag,
            f"GET {VERSIONS}/get-download-uri": lambda given: {
                "artifact_uri": self._version(given)["storage_location"]
            },
        }

    def answer(self, call: Callable[[Json], Json], **path: str) -> Response:
        """Call with the fields of the query, the body and the path."""
        with self._lock:
            return jsonify(call({**request.args, **(request.get_json(silent=True) or {}), **path}))

    def set_status(self, name: str, number: int, status: str) -> None:
        self._models[name]["versions"][str(number)]["status"] = status

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

    def _create_schema(self, given: Json) -> Json:
        catalog = self._catalog(given["catalog_name"])
        self._needs("CREATE_SCHEMA", f"Catalog '{catalog}'")
        full_name = f"{catalog}.{given['name']}"
        if full_name in self.schemas:
            raise Refusal(400, "SCHEMA_ALREADY_EXISTS", f"Schema '{full_name}' already exists.")
        self.schemas.add(full_name)
        return {"full_name": full_name}

    def _model(self, given: Json) -> Json:
        self._schema(given["name"].rpartition(".")[0])
        if given["name"] not in self._models:
            raise _missing("Routine or Model", given["name"])
        return self._models[given["name"]]

    def _create_model(self, given: Json) -> Json:
        name = given["name"]
        schema = self._schema(name.rpartition(".")[0])
        self._needs("CREATE_MODEL", f"Schema '{schema}'")
        if name in self._models:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Routine or Model '{name}' already exists.")
        self._models[name] = {"name": name, "aliases": {}, "versions": {}, "last": 0}
        return {"registered_model": {"name": name}}

    def _set_alias(self, given: Json) -> Json:
        self._version(given)
        self._model(given)["aliases"][given["alias"]] = str(given["version"])
        return {}

    def _version_by_alias(self, given: Json) -> Json:
        aliases = self._model(given)["aliases"]
        if given["alias"] not in aliases:
            raise _missing("Alias", given["alias"])
        return self._get_version({**given, "version": aliases[given["alias"]]})

    def _version(self, given: Json) -> Json:
        versions, number = self._model(given)["versions"], str(given["version"])
        if number not in versions:
            raise _missing("Model version", f"{given['name']}/{number}")
        return versions[number]  # type: ignore[no-any-return]

    def _get_version(self, given: Json) -> Json:
        version = self._version(given)
        tags = [{"key": key, "value": value} for key, value in version["tags"].items()]
        return {"model_version": {**version, "tags": tags}}

    def _create_version(self, given: Json) -> Json:
        model = self._model(given)
        model["last"] += 1
        number = str(model["last"])
        model["versions"][number] = {
            **{key: given.get(key, "") for key in ("name", "source", "run_id", "model_id", "description")},
            "version": number,
            "status": "PENDING_REGISTRATION",
            "creation_timestamp": time.time_ns() // 1_000_000,
            "storage_location": f"dbfs:/Models/{given['name'].replace('.', '/')}/{number}",
            "tags": {tag["key"]: tag.get("value", "") for tag in given.get("tags", [])},
        }
        return self._get_version({**given, "version": number})

    def _change_version(self, given: Json, **changes: str) -> Json:
        self._version(given).update(changes)
        return self._get_version(given)

    def _set_version_tag(self, given: Json) -> Json:
        self._version(given)["tags"][given["key"]] = given["value"]
        return {}

    def _delete_version(self, given: Json) -> Json:
        self._version(given)
        del self._model(given)["versions"][str(given["version"])]
        return {}

    def _search_versions(self, given: Json) -> Json:
        named = NAME_FILTER.fullmatch(given.get("filter", ""))
        if named is None:
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Unsupported filter query : `{given.get('filter')}`.")
        known = {} if self.is_search_behind else self._models
        versions = known.get(named[1], {"versions": {}})["versions"].values()
        return {"model_versions": [{**version, "tags": []} for version in versions]}


class DatabricksWorkspace(FlaskServer):
    """The workspace; its tracking begins with an empty database of MLflow."""

    def __init__(self, folder: Path, database: Path) -> None:
        super().__init__()
        self.registry, self._files = Registry(), folder / "files"
        self.token, self.client_id, self.client_secret = f"dapi{secrets.token_hex(16)}", "tests", secrets.token_hex(16)
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[str], object] = lambda _: None
        shutil.copyfile(database, store := folder / "mlflow.db")
        before = mlflow.get_tracking_uri()
        initialize_backend_stores(f"sqlite:///{store}", default_artifact_root=ARTIFACTS)
        mlflow.set_tracking_uri(before)  # it takes the server's store for the client's
        for route, call in self.registry.calls.items():
            method, _, path = route.partition(" ")
            self.app.add_url_rule(path, route, partial(self.registry.answer, call), methods=[method])
        add = self.app.add_url_rule
        add("/api/<version>/mlflow/<path:path>", "tracking", self._track, methods=["GET", "POST", "PATCH", "DELETE"])
        # Listed if the Files API has no folder of the run's artifacts: there are none.
        add("/api/2.0/mlflow/artifacts/list", "artifacts", lambda: {"files": []})
        add("/api/2.0/fs/files/<path:path>", "file", self._file, methods=["GET", "PUT"])
        add("/api/2.0/fs/directories/<path:path>", "folder", self._folder, methods=["GET", "PUT"])
        add("/.well-known/databricks-config", "host", lambda: {"oidc_endpoint": f"{self.url}/oidc"})
        add("/oidc/.well-known/oauth-authorization-server", "oidc", self._oidc)
        add("/oidc/v1/token", "token", self._token, methods=["POST"])
        self.app.before_request(self._admit)
        self.app.register_error_handler(HTTPException, _no_such_api)

    def _admit(self) -> None:
        self.requests.append((request.method, request.path))
        self.before(request.path)
        is_open = request.path.startswith(("/.well-known/", "/oidc/"))
        if not is_open and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(403, "403", "Invalid access token.")

    def _track(self, **_: str) -> Response:
        answer = mlflow_server.test_client().open(
            request.full_path, method=request.method, data=request.get_data(), content_type="application/json"
        )
        content = OSS_MODELS.sub(rb"\1/logged_models/", answer.data)
        return Response(content, answer.status_code, mimetype="application/json")

    def _file(self, path: str) -> Response:
        file = self._files / path
        if request.method == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(request.get_data())
            return Response(status=204)
        if not file.is_file():
            raise _missing("File", path, "NOT_FOUND")
        return Response(file.read_bytes(), headers={"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"})

    def _folder(self, path: str) -> Json:
        folder = self._files / path
        if request.method == "PUT":
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise _missing("Directory", path, "NOT_FOUND")
        return {
            "contents": [
                {"path": f"/{path}/{file.name}", "is_directory": file.is_dir(), "file_size": file.stat().st_size}
                for file in folder.iterdir()
            ]
        }

    def _oidc(self) -> Json:
        return {f"{name}_endpoint": f"{self.url}/oidc/v1/{name}" for name in ("authorization", "token")}

    def _token(self) -> Json:
        client = request.authorization
        if client is None or (client.username, client.password) != (self.client_id, self.client_secret):
            raise Refusal(401, "invalid_client", "Client authentication failed")
        return {"access_token": self.token, "token_type": "Bearer", "expires_in": 3600}


def _no_such_api(_error: HTTPException) -> tuple[Json, int]:
    message = f"No API found for '{request.method} {request.path}'"
    return {"error_code": "ENDPOINT_NOT_FOUND", "message": message}, 404
