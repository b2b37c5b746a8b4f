"""A Databricks workspace as MLflow's client and databricks-sdk see one, with state, on this machine.

A client needs `DATABRICKS_HOST` (the server's `url`) and either `DATABRICKS_TOKEN` (its `token`) or
`DATABRICKS_CLIENT_ID` and `DATABRICKS_CLIENT_SECRET`. Then `mlflow.set_tracking_uri("databricks")`,
`mlflow.set_registry_uri("databricks-uc")` and `databricks.sdk.WorkspaceClient()` work, in any number of processes.

Played here: Unity Catalog (see `databricks_catalog.py`), the Files API with its presigned URLs, the workspace's user,
tokens and OAuth for service principals. Tracking is MLflow's own server in a process of its own, behind the same
token, whose artifacts stand under `dbfs:/databricks/mlflow-tracking` as in the service; clients read and write them,
and the files of model versions, with the Files API. With `sdk_artifacts = False` the client takes presigned URLs for
model versions, as where a workspace has default storage.

As in the service: version numbers are given one by one and never again, a version is READY when it is finalized,
searches take a name alone and find neither tags nor aliases, and refusals carry the service's codes.

Unlike it: no TLS; tokens never expire; all tokens are of one user; files of 50 MB or more can't be uploaded with the
SDK; files of a version may be read before it is READY and overwritten after; an unknown model has no versions to
search for, where the service's answer isn't known. The wording of what Unity Catalog refuses is the service's for
catalogs, schemas, privileges, names and filters, and a guess for aliases, versions and tags.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests

from marvel_assets_tests.servers.databricks_catalog import Json, Refusal, Registry, find_call, missing

HOST = "127.0.0.1"
WORKSPACE_ID = "6160616061606160"
ARTIFACTS = "dbfs:/databricks/mlflow-tracking"
OSS_MODELS = re.compile(rb"(dbfs:/databricks/mlflow-tracking/[^/\"]+)/models/")
TRACKED = re.compile(r"/(ajax-)?api/[23]\.0/mlflow/(?!unity-catalog/)")
SECONDS_TO_START = 60
SECONDS_TO_STOP = 10
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "REQUEST_LIMIT_EXCEEDED",
    404: "NOT_FOUND",
    500: "INTERNAL_ERROR",
}


@dataclass
class Request:
    """What a client asks."""

    method: str
    path: str
    target: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def asked(self) -> Json:
        """The query and the body as one."""
        try:
            body = json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise Refusal(400, "MALFORMED_REQUEST", f"The request body isn't JSON: {error}") from error
        return {**self.query, **body}

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Answer:
    """What the server says to it."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def of(cls, body: Json, status: int = 200) -> Self:
        return cls(json.dumps(body).encode(), status)


class Files:
    """The Files API: the files of model versions, and the artifacts of runs and logged models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._key = secrets.token_bytes()

    def place(self, path: str) -> Path:
        place = (self.folder / path.lstrip("/")).resolve()
        if not place.is_relative_to(self.folder):
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Invalid path: {path}")
        return place

    def write(self, path: str, content: bytes) -> Answer:
        place = self.place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{secrets.token_hex(8)}.part")
        part.write_bytes(content)
        part.replace(place)
        return Answer(status=204)

    def read(self, path: str, _content: bytes = b"") -> Answer:
        place = self.place(path)
        if not place.is_file():
            raise Refusal(404, "NOT_FOUND", f"The file being accessed is not found: {path}")
        changed = formatdate(place.stat().st_mtime, usegmt=True)
        headers = {"Content-Type": "application/octet-stream", "Last-Modified": changed}
        return Answer(place.read_bytes(), headers=headers)

    def delete(self, path: str, _content: bytes) -> Answer:
        self.read(path)
        self.place(path).unlink()
        return Answer(status=204)

    def make_folder(self, path: str, _content: bytes) -> Answer:
        self.place(path).mkdir(parents=True, exist_ok=True)
        return Answer(status=204)

    def list_folder(self, path: str, _content: bytes) -> Answer:
        place = self.place(path)
        if not place.is_dir():
            raise Refusal(404, "NOT_FOUND", f"The directory being accessed is not found: {path}")
        return Answer.of({"contents": [self._entry(path, found) for found in sorted(place.iterdir())]})

    def _entry(self, path: str, found: Path) -> Json:
        about, is_folder = found.stat(), found.is_dir()
        size = {} if is_folder else {"file_size": about.st_size}
        entry = {"path": f"{path.rstrip('/')}/{found.name}", "name": found.name, "is_directory": is_folder}
        return {**entry, **size, "last_modified": int(about.st_mtime * 1000)}

    def signature(self, method: str, path: str) -> str:
        return hmac.new(self._key, f"{method} {path}".encode(), hashlib.sha256).hexdigest()


FILE_CALLS: dict[tuple[str, str], Callable[[Files, str, bytes], Answer]] = {
    ("PUT", "files"): Files.write,
    ("GET", "files"): Files.read,
    ("HEAD", "files"): Files.read,
    ("DELETE", "files"): Files.delete,
    ("PUT", "directories"): Files.make_folder,
    ("GET", "directories"): Files.list_folder,
    ("HEAD", "directories"): Files.list_folder,
}
PRESIGNED = {"create-upload-url": "PUT", "create-download-url": "GET"}


class Tracking:
    """MLflow's own server, in a process group that ends with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        self.url = f"http://{HOST}:{port}"
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--default-artifact-root", ARTIFACTS,
        ]  # fmt: skip
        quiet = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DATABRICKS_"))}
        with (self.folder / "tracking.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**quiet, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                if requests.get(f"{self.url}/health", timeout=1).ok:
                    return
            except requests.RequestException:
                time.sleep(0.1)
        raise RuntimeError(f"MLflow's server did not start:\n{(self.folder / 'tracking.log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(SECONDS_TO_STOP)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def answer(self, request: Request) -> Answer:
        answer = requests.request(
            request.method,
            f"{self.url}{request.target}",
            data=request.body,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        return Answer(OSS_MODELS.sub(rb"\1/logged_models/", answer.content), answer.status_code)


class DatabricksWorkspace:
    """The workspace, served on a port of its own while it is entered."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.token = f"dapi{secrets.token_hex(16)}"
        self.client_id, self.client_secret = "0a1b2c3d-tests", f"dose{secrets.token_hex(16)}"
        self.registry = Registry()
        self.requests: list[tuple[str, str]] = []
        self.delay_seconds = 0.0
        self.fail_with: int | None = None
        self._issued: set[str] = set()
        self._lock = threading.Lock()
        self._files = Files(folder / "files")
        self._tracking = Tracking(folder)
        self._listener = _Listener((HOST, port), _handler_of(self))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._listener.server_address[1]}"

    @property
    def denied(self) -> set[str]:
        """The privileges that the user lacks, such as CREATE_MODEL."""
        return self.registry.denied

    @denied.setter
    def denied(self, privileges: set[str]) -> None:
        self.registry.denied = privileges

    @property
    def sdk_artifacts(self) -> bool:
        """Whether clients move the files of model versions with the SDK, not with MLflow's presigned URLs."""
        return self.registry.sdk_artifacts

    @sdk_artifacts.setter
    def sdk_artifacts(self, enabled: bool) -> None:
        self.registry.sdk_artifacts = enabled

    def set_status(self, full_name: str, version: int, status: str) -> None:
        with self._lock:
            self.registry.models[full_name].version(str(version)).about["status"] = status

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._tracking.start()
        except BaseException:
            self._tracking.stop()
            self._listener.server_close()
            raise
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._tracking.stop()

    def answer(self, request: Request) -> Answer:
        self.requests.append((request.method, request.path))
        time.sleep(self.delay_seconds)
        try:
            return self._routed(request)
        except Refusal as refusal:
            return Answer.of(refusal.body, refusal.status)
        except KeyError as error:
            return Answer.of(Refusal(400, "INVALID_PARAMETER_VALUE", f"Missing required field: {error}").body, 400)

    def _routed(self, request: Request) -> Answer:
        if self.fail_with is not None:
            code = CODES.get(self.fail_with, "TEMPORARILY_UNAVAILABLE")
            raise Refusal(self.fail_with, code, "The service is broken on purpose.")
        for prefix, opened in self._open_routes().items():
            if request.path.startswith(prefix):
                return opened(request)
        self._admit(request.headers.get("authorization", ""))
        if request.path.startswith("/api/2.0/fs/"):
            return self._file(request)
        if TRACKED.match(request.path):
            return self._tracking.answer(request)
        call, named = find_call(request.method, request.path)
        with self._lock:
            return Answer.of(call(self.registry, {**request.asked(), **named}))

    def _open_routes(self) -> dict[str, Callable[[Request], Answer]]:
        """What needs no token."""
        return {
            "/.well-known/databricks-config": self._discover,
            "/oidc/.well-known/oauth-authorization-server": self._discover_oauth,
            "/oidc/v1/token": self._issue,
            "/presigned/": self._presigned,
        }

    def _admit(self, authorization: str) -> None:
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer":
            message = "Credential was not sent or was of an unsupported type for this API."
            raise Refusal(401, "401", message)
        if token != self.token and token not in self._issued:
            raise Refusal(403, "403", "Invalid access token.")

    def _discover(self, _request: Request) -> Answer:
        return Answer.of({"oidc_endpoint": f"{self.url}/oidc", "workspace_id": WORKSPACE_ID})

    def _discover_oauth(self, _request: Request) -> Answer:
        endpoints = {"authorization_endpoint": f"{self.url}/oidc/v1/authorize"}
        return Answer.of({**endpoints, "token_endpoint": f"{self.url}/oidc/v1/token", "issuer": f"{self.url}/oidc"})

    def _issue(self, request: Request) -> Answer:
        form = request.form()
        basic = request.headers.get("authorization", "").removeprefix("Basic ")
        named = base64.b64decode(basic).decode() or f"{form.get('client_id')}:{form.get('client_secret')}"
        if named != f"{self.client_id}:{self.client_secret}":
            return Answer.of({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
        if form.get("grant_type") != "client_credentials":
            return Answer.of({"error": "unsupported_grant_type", "error_description": "Unsupported grant"}, 400)
        token = secrets.token_urlsafe(32)
        self._issued.add(token)
        return Answer.of({"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "all-apis"})

    def _file(self, request: Request) -> Answer:
        kind, _, name = request.path.removeprefix("/api/2.0/fs/").partition("/")
        if kind in PRESIGNED and request.method == "POST":
            path, method = request.asked()["path"], PRESIGNED[kind]
            self._enter_version(path, writes=method == "PUT")
            signed = f"{self.url}/presigned/{self._files.signature(method, path)}{quote(path)}"
            return Answer.of({"url": signed, "headers": []})
        call = FILE_CALLS.get((request.method, kind))
        if call is None:
            raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")
        self._enter_version(f"/{name}", writes=request.method in {"PUT", "DELETE"})
        return call(self._files, f"/{name}", request.body)

    def _enter_version(self, path: str, *, writes: bool) -> None:
        """The files of a version stand and fall with it."""
        parts = path.strip("/").split("/")
        if parts[0] != "Models":
            return
        if len(parts) < 5:
            raise missing("Path", path, "NOT_FOUND")
        asked = {"name": ".".join(parts[1:4]), "version": parts[4]}
        with self._lock:
            self.registry.version(asked, "CREATE_MODEL_VERSION" if writes else "EXECUTE")

    def _presigned(self, request: Request) -> Answer:
        signature, _, name = request.path.removeprefix("/presigned/").partition("/")
        if not hmac.compare_digest(signature, self._files.signature(request.method, f"/{name}")):
            raise Refusal(403, "PERMISSION_DENIED", "The signature does not match.")
        answer = FILE_CALLS[request.method, "files"](self._files, f"/{name}", request.body)
        return Answer(answer.content, HTTPStatus.OK, answer.headers)


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def _handler_of(workspace: DatabricksWorkspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chunks = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _request(self) -> Request:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query))
            return Request(self.command, unquote(parts.path), self.path, query, headers, self._body())

        def _answer(self) -> None:
            answer = workspace.answer(self._request())
            self.send_response(answer.status)
            for name, value in {**answer.headers, "x-databricks-org-id": WORKSPACE_ID}.items():
                self.send_header(name, value)
            if answer.status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            if self.command != "HEAD" and answer.status != HTTPStatus.NO_CONTENT:
                self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    """Serve a workspace until it is interrupted."""
    parser = argparse.ArgumentParser(description="Serve a Databricks workspace on this machine.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--catalog", action="append", default=[], help="a catalog that exists from the start")
    chosen = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with DatabricksWorkspace(chosen.folder.resolve(), chosen.port) as workspace:
        workspace.registry.catalogs.update(chosen.catalog)
        names = {"HOST": workspace.url, "TOKEN": workspace.token}
        sys.stdout.write("".join(f"export DATABRICKS_{name}={value}\n" for name, value in names.items()))
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
