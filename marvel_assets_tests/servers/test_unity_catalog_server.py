"""The tests' Unity Catalog server answers as the real one (0.6.0) did to the same requests, in the same order."""

from pathlib import Path
from typing import Any

import requests

from marvel_assets_tests.servers.unity_catalog import PENDING, PREFIX, UnityCatalogServer

S = {"catalog_name": "c", "schema_name": "s"}
M = {**S, "model_name": "m"}
VERSIONS = "models/c.s.m/versions"
NO_CATALOG = "Catalog not found: nope"
NO_VERSION = "Model version not found: c.s.m/99"
TABLE = {
    **S,
    "name": "train_set",
    "table_type": "EXTERNAL",
    "data_source_format": "DELTA",
    "columns": [{
        "name": "Id", "type_text": "string", "type_name": "STRING", "position": 0, "nullable": True,
        "type_json": '{"name": "Id", "type": "string", "nullable": true, "metadata": {}}', "comment": "the id",
    }],
}  # fmt: skip
NEW_TABLE = {**TABLE, "storage_location": "file:///srv/ext/train_set"}
MODEL = {"name": "m", **S, "full_name": "c.s.m", "comment": "x"}
POINTER = {"name": "m@latest-model", **S, "full_name": "c.s.m@latest-model", "comment": "1"}
FIRST = {**M, "version": 1, "source": "models:/a", "run_id": "r", "status": PENDING, "comment": "c"}
BARE = {**M, "version": 2, "source": None, "run_id": None, "status": PENDING, "comment": None}
FINALIZE = {"full_name": "c.s.m", "version": 1}

DONE: tuple[tuple[str, str, dict[str, Any] | None, dict[str, Any]], ...] = (
    ("POST", "catalogs", {"name": "c", "storage_root": "file://{folder}"}, {"name": "c"}),
    ("GET", "catalogs/c", None, {"name": "c"}),
    ("POST", "schemas", {"name": "s", "catalog_name": "c"}, {"name": "s", "catalog_name": "c", "full_name": "c.s"}),
    ("GET", "schemas/c.s", None, {"name": "s", "catalog_name": "c", "full_name": "c.s"}),
    ("POST", "models", {"name": "m", **S, "comment": "x"}, MODEL),
    ("POST", "models", {"name": "m@latest-model", **S, "comment": "1"}, POINTER),
    ("GET", "models/c.s.m%40latest-model", None, POINTER),
    ("PATCH", "models/c.s.m", {"comment": "y"}, {**MODEL, "comment": "y"}),
    ("POST", "tables", NEW_TABLE, {**TABLE, "comment": None}),
    ("GET", "tables/c.s.train_set", None, {**TABLE, "comment": None}),
    ("POST", "models/versions", {**M, "source": "models:/a", "run_id": "r", "comment": "c"}, FIRST),
    ("POST", "models/versions", M, BARE),
    ("GET", f"{VERSIONS}/1", None, FIRST),
    ("GET", VERSIONS, None, {"model_versions": [FIRST, BARE], "next_page_token": None}),
    ("GET", f"{VERSIONS}?max_results=1", None, {"model_versions": [FIRST], "next_page_token": "1"}),
    ("PATCH", f"{VERSIONS}/1", {"comment": "new"}, {**FIRST, "comment": "new"}),
    ("PATCH", f"{VERSIONS}/1/finalize", FINALIZE, {**FIRST, "comment": "new", "status": "READY"}),
)
"""Method, path, body, and the fields of the answer that clients read."""

REFUSED: tuple[tuple[str, str, dict[str, Any] | None, int, str, str], ...] = (
    ("POST", "catalogs", {"name": "c"}, 400, "CATALOG_ALREADY_EXISTS", "Catalog already exists: c"),
    ("GET", "catalogs/nope", None, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("POST", "schemas", {"name": "s", "catalog_name": "c"}, 400, "SCHEMA_ALREADY_EXISTS", "Schema already exists: s"),
    ("POST", "schemas", {"name": "s", "catalog_name": "nope"}, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("GET", "schemas/c.nope", None, 404, "SCHEMA_NOT_FOUND", "Schema not found: c.nope"),
    ("POST", "models", {"name": "m", **S}, 409, "ALREADY_EXISTS", "Registered model already exists: c.s.m"),
    ("GET", "models/c.s.nope", None, 404, "NOT_FOUND", "Registered model not found: c.s.nope"),
    ("GET", "models/nope.s.m", None, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("GET", f"{VERSIONS}/99", None, 404, "NOT_FOUND", NO_VERSION),
    ("PATCH", f"{VERSIONS}/1/finalize", FINALIZE, 400, "INVALID_ARGUMENT",
     "Model version not in a pending registration state: c.s.m/1"),
    ("POST", "tables", NEW_TABLE, 400, "TABLE_ALREADY_EXISTS", "Table already exists: c.s.train_set"),
    ("GET", "tables/c.s.nope", None, 404, "TABLE_NOT_FOUND", "Table not found: c.s.nope"),
    ("DELETE", f"{VERSIONS}/99", None, 404, "NOT_FOUND", NO_VERSION),
)  # fmt: skip
"""Method, path, body, status, error code and message; requested when what ``DONE`` makes exists."""


def holds(answer: Any, expected: Any) -> bool:
    """Whether an answer has what is expected, and maybe more fields."""
    match expected:
        case dict():
            return all(name in answer and holds(answer[name], value) for name, value in expected.items())
        case list():
            return len(answer) == len(expected) and all(map(holds, answer, expected))
        case _:
            return bool(answer == expected)


def test_each_request_is_answered_as_the_real_server_answered_it(tmp_path: Path):
    # given
    def send(method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        if body and "storage_root" in body:
            body = {**body, "storage_root": tmp_path.as_uri()}
        return requests.request(method, f"{server.url}{PREFIX}{path}", json=body, timeout=10)

    differences = []
    with UnityCatalogServer() as server:
        # when: what it does, then what it refuses, then what it forgets
        for method, path, body, fields in DONE:
            answer = send(method, path, body)
            if answer.status_code != 200 or not holds(answer.json(), fields):
                differences.append((method, path, body, answer.text[:500]))
        for method, path, body, status, code, message in REFUSED:
            answer = send(method, path, body)
            details = [{"reason": code, "@type": "google.rpc.ErrorInfo"}]
            expected = {"error_code": code, "message": message, "details": details}
            if answer.status_code != status or answer.json() != expected:
                differences.append((method, path, body, answer.text[:500]))
        forgotten = [send("DELETE", path).text for path in (f"{VERSIONS}/1", "tables/c.s.train_set")]

    # then
    assert differences == []
    assert forgotten == ["200 OK"] * 2
