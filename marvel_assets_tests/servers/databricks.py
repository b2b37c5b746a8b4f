"""A Databricks workspace as MLflow's client and databricks-sdk see one, with state, on this machine.

Played here: Unity Catalog's model registry (`/api/2.0/mlflow/unity-catalog/*`), catalogs, schemas and effective
privileges (`/api/2.1/unity-catalog/*`), the Files API under `/Models` and the workspace's user. Tracking
(`/api/2.0/mlflow/*`) is MLflow's own server in a process of its own, behind the same token.

As in the service: version numbers are given one by one, a version is READY when it is finalized, searches take a name
alone, and what they find carries neither tags nor aliases. Unlike it: logged models keep their files in a folder of
this machine, there is one user, and `denied` names the privileges that this user lacks.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

HOST = "127.0.0.1"
TOKEN = "dapi-of-the-tests"  # noqa: S105
USER = "engineer@example.org"
WORKSPACE_ID = "6160616061606160"
REGISTRY = "/api/2.0/mlflow/unity-catalog/"
SECONDS_TO_START = 60
NAME_FILTER = re.compile(r"name\s*=\s*'([^']+)'")

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    """What the server answers instead."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message}


@dataclass
class Model:
    """A registered model."""

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Json] = field(default_factory=dict)
    last: int = 0

    def described(self) -> Json:
        return {
            "name": self.name,
            "description": self.description,
            "user_id": USER,
            "tags": _pairs(self.tags),
            "aliases": [{"alias": alias, "version": version} for alias, version in self.aliases.items()],
        }

    def version(self, number: str) -> Json:
        if number not in self.versions:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Model version '{self.name}/{number}' does not exist.")
        return self.versions[number]

    def described_version(self, number: str) -> Json:
        content = self.version(number)
        aliases = [{"alias": alias, "version": at} for alias, at in self.aliases.items() if at == number]
        return {**content, "tags": _pairs(content["tags"]), "aliases": aliases}


def _pairs(tags: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in tags.items()]


class Registry:
    """Catalogs, schemas and models."""

    def __init__(self) -> None:
        self.catalogs: set[str] = set()
        self.schemas: set[str] = set()
        self.models: dict[str, Model] = {}
        self.denied: set[str] = set()

    def needs(self, privilege: str, securable: str) -> None:
        if privilege in self.denied:
            raise Refusal(403, "PERMISSION_DENIED", f"User does not have {privilege.replace('_', ' ')} on {securable}.")

    def model(self, name: str) -> Model:
        if name not in self.models:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Registered model '{name}' does not exist.")
        return self.models[name]

    def create_model(self, asked: Json) -> Json:
        name = asked["name"]
        schema = name.rpartition(".")[0]
        if schema not in self.schemas:
            raise Refusal(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{schema}' does not exist.")
        self.needs("CREATE_MODEL", f"Schema '{schema}'")
        if name in self.models:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Registered model '{name}' already exists.")
        tags = {tag["key"]: tag.get("value", "") for tag in asked.get("tags", [])}
        self.models[name] = Model(name, asked.get("description", ""), tags)
        return {"registered_model": self.models[name].described()}

    def get_model(self, asked: Json) -> Json:
        return {"registered_model": self.model(asked["name"]).described()}

    def delete_model(self, asked: Json) -> Json:
        del self.models[self.model(asked["name"]).name]
        return {}

    def search_models(self, _asked: Json) -> Json:
        found = [{"name": model.name, "description": model.description} for model in self.models.values()]
        return {"registered_models": found}

    def set_alias(self, asked: Json) -> Json:
        model = self.model(asked["name"])
        model.version(str(asked["version"]))
        model.aliases[asked["alias"]] = str(asked["version"])
        return {}

    def delete_alias(self, asked: Json) -> Json:
        self.model(asked["name"]).aliases.pop(asked["alias"], None)
        return {}

    def get_by_alias(self, asked: Json) -> Json:
        model = self.model(asked["name"])
        if asked["alias"] not in model.aliases:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Alias '{asked['alias']}' does not exist on '{model.name}'.")
        return {"model_version": model.described_version(model.aliases[asked["alias"]])}

    def create_version(self, asked: Json) -> Json:
        model = self.model(asked["name"])
        model.last += 1
        number = str(model.last)
        model.versions[number] = {
            "name": model.name,
            "version": number,
            "source": asked.get("source", ""),
            "run_id": asked.get("run_id", ""),
            "model_id": asked.get("model_id", ""),
            "description": asked.get("description", ""),
            "user_id": USER,
            "status": "PENDING_REGISTRATION",
            "storage_location": f"dbfs:/Models/{model.name.replace('.', '/')}/{number}",
            "creation_timestamp": int(time.time() * 1000),
            "tags": {tag["key"]: tag.get("value", "") for tag in asked.get("tags", [])},
        }
        return {"model_version": model.described_version(number)}

    def get_version(self, asked: Json) -> Json:
        return {"model_version": self.model(asked["name"]).described_version(str(asked["version"]))}

    def update_version(self, asked: Json) -> Json:
        version = self.model(asked["name"]).version(str(asked["version"]))
        version["description"] = asked.get("description", "")
        return self.get_version(asked)

    def finalize_version(self, asked: Json) -> Json:
        self.model(asked["name"]).version(str(asked["version"]))["status"] = "READY"
        return self.get_version(asked)

    def delete_version(self, asked: Json) -> Json:
        model = self.model(asked["name"])
        model.version(str(asked["version"]))
        del model.versions[str(asked["version"])]
        return {}

    def search_versions(self, asked: Json) -> Json:
        found = NAME_FILTER.fullmatch(asked.get("filter", "").strip())
        if found is None:
            raise Refusal(
                400, "INVALID_PARAMETER_VALUE", f"Unsupported filter query: '{asked.get('filter')}'. Use name='…'."
            )
        model = self.models.get(found[1])
        versions = model.versions.values() if model else ()
        return {"model_versions": [{key: version[key] for key in version if key != "tags"} for version in versions]}

    def set_version_tag(self, asked: Json) -> Json:
        self.model(asked["name"]).version(str(asked["version"]))["tags"][asked["key"]] = asked["value"]
        return {}

    def download_uri(self, asked: Json) -> Json:
        return {"artifact_uri": self.model(asked["name"]).version(str(asked["version"]))["storage_location"]}

    def sdk_is_enabled(self, _asked: Json) -> Json:
        return {"is_databricks_sdk_models_artifact_repository_enabled": True}

    def get_catalog(self, name: str) -> Json:
        if name not in self.catalogs:
            raise Refusal(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{name}' does not exist.")
        self.needs("USE_CATALOG", f"Catalog '{name}'")
        return {"name": name, "owner": "admins"}

    def get_schema(self, full_name: str) -> Json:
        if full_name not in self.schemas:
            raise Refusal(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{full_name}' does not exist.")
        self.needs("USE_SCHEMA", f"Schema '{full_name}'")
        return {"full_name": full_name, "owner": USER}

    def create_schema(self, asked: Json) -> Json:
        self.get_catalog(asked["catalog_name"])
        self.needs("CREATE_SCHEMA", f"Catalog '{asked['catalog_name']}'")
        full_name = f"{asked['catalog_name']}.{asked['name']}"
        self.schemas.add(full_name)
        return self.get_schema(full_name)


CALLS: dict[tuple[str, str], Callable[[Registry, Json], Json]] = {
    ("POST", "registered-models/create"): Registry.create_model,
    ("GET", "registered-models/get"): Registry.get_model,
    ("DELETE", "registered-models/delete"): Registry.delete_model,
    ("GET", "registered-models/search"): Registry.search_models,
    ("POST", "registered-models/alias"): Registry.set_alias,
    ("DELETE", "registered-models/alias"): Registry.delete_alias,
    ("GET", "registered-models/alias"): Registry.get_by_alias,
    ("POST", "model-versions/create"): Registry.create_version,
    ("GET", "model-versions/get"): Registry.get_version,
    ("PATCH", "model-versions/update"): Registry.update_version,
    ("POST", "model-versions/finalize"): Registry.finalize_version,
    ("DELETE", "model-versions/delete"): Registry.delete_version,
    ("GET", "model-versions/search"): Registry.search_versions,
    ("POST", "model-versions/set-tag"): Registry.set_version_tag,
    ("GET", "model-versions/get-download-uri"): Registry.download_uri,
    ("GET", "registered-models:is-databricks-sdk-models-artifact-repository-enabled"): Registry.sdk_is_enabled,
}


class DatabricksWorkspace:
    """The workspace, served on a port of its own while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = TOKEN
        self.registry = Registry()
        self.requests: list[tuple[str, str]] = []
        self.delay_seconds = 0.0
        self.fail_with: int | None = None
        self._lock = Lock()
        self._listener = ThreadingHTTPServer((HOST, 0), _handler_of(self))
        self._tracking: subprocess.Popen[bytes] | None = None
        self._tracking_url = ""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._listener.server_address[1]}"

    def set_status(self, full_name: str, version: int, status: str) -> None:
        self.registry.model(full_name).version(str(version))["status"] = status

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        self._tracking_url = f"http://{HOST}:{port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(Path(sys.executable).with_name("mlflow")), "server", "--host", HOST, "--port", str(port),
            "--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--default-artifact-root", (self.folder / "artifacts").as_uri(),
        ]  # fmt: skip
        quiet = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DATABRICKS_"))}
        self._tracking = subprocess.Popen(
            command,
            env={**quiet, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_for_tracking()
        Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        if self._tracking is not None:
            os.killpg(self._tracking.pid, 15)
            self._tracking.wait()

    def _wait_for_tracking(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self._tracking_url}/health", timeout=1).ok:
                    return
            except requests.RequestException:
                time.sleep(0.1)
        raise TimeoutError(f"MLflow's server did not start in {SECONDS_TO_START} s")

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(target)
        path = unquote(parts.path)
        self.requests.append((method, path))
        time.sleep(self.delay_seconds)
        try:
            self._admit(path, headers)
            if path.startswith("/api/2.0/fs/"):
                return self._file(method, path.removeprefix("/api/2.0/fs/"), body)
            if path.startswith("/api/2.0/mlflow/") and not path.startswith(REGISTRY):
                return self._tracked(method, target, body)
            asked = {**dict(parse_qsl(parts.query)), **(json.loads(body) if body else {})}
            with self._lock:
                return 200, json.dumps(self._governed(method, path, asked)).encode()
        except Refusal as refusal:
            return refusal.status, json.dumps(refusal.body).encode()

    def _admit(self, path: str, headers: dict[str, str]) -> None:
        if self.fail_with is not None:
            raise Refusal(self.fail_with, "TEMPORARILY_UNAVAILABLE", "broken on purpose")
        if path.startswith("/.well-known/"):
            raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for 'GET {path}'.")
        if headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(403, "PERMISSION_DENIED", "Invalid access token.")

    def _governed(self, method: str, path: str, asked: Json) -> Json:
        if call := CALLS.get((method, path.removeprefix(REGISTRY))):
            return call(self.registry, asked)
        if path.endswith("/scim/v2/Me"):
            return {"id": "1", "userName": USER}
        if method == "POST" and path == "/api/2.1/unity-catalog/schemas":
            return self.registry.create_schema(asked)
        kind, _, name = path.removeprefix("/api/2.1/unity-catalog/").partition("/")
        if method == "GET" and kind in {"catalogs", "schemas"}:
            return self.registry.get_catalog(name) if kind == "catalogs" else self.registry.get_schema(name)
        raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'.")

    def _tracked(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        answer = requests.request(
            method,
            f"{self._tracking_url}{target}",
            data=body,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        return answer.status_code, answer.content

    def _file(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        kind, _, name = path.partition("/")
        place = self.folder / "files" / name
        if method == "PUT":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(body)
            return 204, b""
        if not (place.is_dir() if kind == "directories" else place.is_file()):
            raise Refusal(404, "NOT_FOUND", f"The {kind} being accessed is not found: /{name}")
        if kind == "files":
            return 200, place.read_bytes()
        contents = [
            {
                "path": f"/{name.rstrip('/')}/{found.name}",
                "name": found.name,
                "is_directory": found.is_dir(),
                "file_size": found.stat().st_size,
            }
            for found in place.iterdir()
        ]
        return 200, json.dumps({"contents": contents}).encode()


def _handler_of(workspace: DatabricksWorkspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chunks = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = workspace.answer(self.command, self.path, headers, self._body())
            self.send_response(status)
            is_file = "/fs/files/" in self.path
            self.send_header("Content-Type", "application/octet-stream" if is_file else "application/json")
            self.send_header("x-databricks-org-id", WORKSPACE_ID)
            if status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD" and status != HTTPStatus.NO_CONTENT:
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
