"""The tests' Unity Catalog server answers as the real one (0.6.0) did to the same requests, in the same order."""

from pathlib import Path
from typing import Any

import requests

from marvel_assets_tests.servers.unity_catalog import PREFIX, UnityCatalogServer
from marvel_assets_tests.servers.unity_catalog_registry import NO_LOCATION

S = {"catalog_name": "c", "schema_name": "s"}
M = {**S, "model_name": "m"}
VERSIONS = "models/c.s.m/versions"
LISTED = "models?catalog_name=c&schema_name=s"
BAD_NAME = "Name cannot contain a period, space, forward-slash, or control characters"
NO_CATALOG = "Catalog not found: nope"
NO_VERSION = "Model version not found: c.s.m/99"
PENDING = "PENDING_REGISTRATION"
LONG, TOO_LONG = "z" * 65_535, "z" * 65_536

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

REFUSED: tuple[tuple[str, str, dict[str, Any] | None, int, str, str], ...] = (
    ("POST", "catalogs", {"name": "c"}, 400, "CATALOG_ALREADY_EXISTS", "Catalog already exists: c"),
    ("POST", "catalogs", {"name": "a.b"}, 400, "INVALID_ARGUMENT", BAD_NAME),
    ("POST", "catalogs", {"name": ""}, 400, "INVALID_ARGUMENT", "Name cannot be empty"),
    ("POST", "catalogs", {}, 400, "INVALID_ARGUMENT", "Name cannot be empty"),
    ("GET", "catalogs/nope", None, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("POST", "schemas", {"name": "s", "catalog_name": "c"}, 400, "SCHEMA_ALREADY_EXISTS", "Schema already exists: s"),
    ("POST", "schemas", {"name": "s", "catalog_name": "nope"}, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("GET", "schemas/c.nope", None, 404, "SCHEMA_NOT_FOUND", "Schema not found: c.nope"),
    ("GET", "schemas/nope.s", None, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("GET", "schemas/onelevel", None, 400, "INVALID_ARGUMENT", "Invalid schema full name: onelevel"),
    ("POST", "models", {"name": "m", **S}, 409, "ALREADY_EXISTS", "Registered model already exists: c.s.m"),
    *(("POST", "models", {"name": bad, **S}, 400, "INVALID_ARGUMENT", BAD_NAME) for bad in ("m.x", "m x", "m/x", "ü")),
    ("POST", "models", {"name": "n" * 256, **S}, 400, "INVALID_ARGUMENT", "Name cannot be longer than 255 characters"),
    ("POST", "models", {"name": "m2", "catalog_name": "c", "schema_name": "nope"}, 404, "SCHEMA_NOT_FOUND",
     "Schema not found: c.nope"),
    ("POST", "models", {"name": "m2"}, 404, "CATALOG_NOT_FOUND", "Catalog not found: null"),
    ("GET", "models/c.s.%C3%BC", None, 404, "NOT_FOUND", "Registered model not found: c.s.ü"),
    ("GET", "models/c.s.nope", None, 404, "NOT_FOUND", "Registered model not found: c.s.nope"),
    ("GET", "models/nope.s.m", None, 404, "CATALOG_NOT_FOUND", NO_CATALOG),
    ("GET", "models/c.s", None, 400, "INVALID_ARGUMENT", "Invalid registered model name: c.s"),
    ("GET", "models/a.b.c.d", None, 400, "INVALID_ARGUMENT", "Invalid registered model name: a.b.c.d"),
    ("GET", f"{LISTED}&max_results=-1", None, 400, "INVALID_ARGUMENT",
     "maxResults must be greater than or equal to 0"),
    ("GET", f"{LISTED}&max_results=x", None, 400, "INVALID_ARGUMENT", 'For input string: "x"'),
    ("GET", "models?catalog_name=c", None, 400, "INVALID_ARGUMENT",
     "Cannot specify catalog w/o schema for list registered models."),
    ("GET", "models?schema_name=s", None, 400, "INVALID_ARGUMENT",
     "Cannot specify schema w/o catalog for list registered models."),
    ("GET", "models?catalog_name=c&schema_name=nope", None, 404, "SCHEMA_NOT_FOUND", "Schema not found: c.nope"),
    ("PATCH", "models/c.s.m", {}, 400, "INVALID_ARGUMENT", "No updated fields defined."),
    ("PATCH", "models/c.s.nope", {"comment": "y"}, 404, "NOT_FOUND", "Registered model not found: c.s.nope"),
    ("PATCH", "models/c.s.m", {"comment": TOO_LONG}, 500, "INTERNAL", "Error updating registered model: c.s.m"),
    ("POST", "models/versions", {**S, "model_name": "nope", "source": "models:/a"}, 404, "NOT_FOUND",
     "Registered model not found: nope"),
    ("POST", "models/versions", {**M, "source": "s" * 300}, 500, "INTERNAL",
     "Error creating model version for model: c.s.m"),
    ("POST", "models/versions", {**M, "source": "models:/b", "comment": TOO_LONG}, 500, "INTERNAL",
     "Error creating model version for model: c.s.m"),
    ("GET", f"{VERSIONS}/99", None, 404, "NOT_FOUND", NO_VERSION),
    ("GET", f"{VERSIONS}/x", None, 400, "INVALID_ARGUMENT", 'For input string: "x"'),
    ("GET", f"{VERSIONS}?page_token=x", None, 400, "INVALID_ARGUMENT", "Invalid page token received: x"),
    ("GET", "models/c.s.nope/versions", None, 404, "NOT_FOUND", "Registered model not found: nope"),
    ("PATCH", f"{VERSIONS}/1", {}, 400, "INVALID_ARGUMENT", "No updated fields defined."),
    ("PATCH", f"{VERSIONS}/99", {"comment": "new"}, 404, "NOT_FOUND", NO_VERSION),
    ("PATCH", f"{VERSIONS}/1/finalize", {"full_name": "c.s.m", "version": 1}, 400, "INVALID_ARGUMENT",
     "Model version not in a pending registration state: c.s.m/1"),
    ("PATCH", f"{VERSIONS}/99/finalize", {"full_name": "c.s.m", "version": 99}, 404, "NOT_FOUND", NO_VERSION),
    ("PATCH", f"{VERSIONS}/1/finalize", {}, 400, "INVALID_ARGUMENT", "No three tier full name specified."),
    ("POST", "tables", NEW_TABLE, 400, "TABLE_ALREADY_EXISTS", "Table already exists: c.s.train_set"),
    ("GET", "tables/c.s.nope", None, 404, "TABLE_NOT_FOUND", "Table not found: c.s.nope"),
    ("POST", "tables", {**NEW_TABLE, "name": "x y"}, 400, "INVALID_ARGUMENT", BAD_NAME),
    ("POST", "tables", {**TABLE, "name": "noplace", "storage_location": None}, 500, "INTERNAL",
     f"Error creating table: c.s.noplace: {NO_LOCATION}"),
    ("POST", "tables", {**NEW_TABLE, "schema_name": "nope"}, 404, "SCHEMA_NOT_FOUND", "Schema not found: c.nope"),
    ("DELETE", "tables/c.s.nope", None, 404, "TABLE_NOT_FOUND", "Table not found: nope"),
    ("DELETE", "models/c.s.m", None, 409, "ABORTED",
     "Unable to delete a registered model with existing model versions: m"),
    ("DELETE", f"{VERSIONS}/99", None, 404, "NOT_FOUND", NO_VERSION),
    ("DELETE", "models/c.s.nope", None, 404, "NOT_FOUND", "Registered model not found: c.s.nope"),
)  # fmt: skip
"""Method, path, body, status, error code and message; asked when what ``DONE`` makes is there."""

MODEL = {"name": "m", **S, "full_name": "c.s.m", "comment": "x"}
POINTER = {"name": "m@latest-model", **S, "full_name": "c.s.m@latest-model", "comment": "1"}
LONGEST = {"name": "n" * 255, **S, "full_name": f"c.s.{'n' * 255}", "comment": None}
FIRST = {**M, "version": 1, "source": "models:/a", "run_id": "r", "status": PENDING, "comment": "c"}
BARE = {**M, "version": 2, "source": None, "run_id": None, "status": PENDING, "comment": None}
MARKED = {**BARE, "version": 3, "source": "models:/b", "comment": "✓" * 65_535}
MODELS = {"registered_models": [MODEL, POINTER, LONGEST], "next_page_token": None}

DONE: tuple[tuple[str, str, dict[str, Any] | None, dict[str, Any]], ...] = (
    ("POST", "catalogs", {"name": "c", "storage_root": "file://{folder}"}, {"name": "c"}),
    ("GET", "catalogs/c", None, {"name": "c"}),
    ("POST", "schemas", {"name": "s", "catalog_name": "c"}, {"name": "s", "catalog_name": "c", "full_name": "c.s"}),
    ("GET", "schemas/c.s", None, {"name": "s", "catalog_name": "c", "full_name": "c.s"}),
    ("POST", "models", {"name": "m", **S, "comment": "x"}, MODEL),
    ("POST", "models", {"name": "m@latest-model", **S, "comment": "1"}, POINTER),
    ("POST", "models", {"name": "n" * 255, **S}, LONGEST),
    ("GET", "models/c.s.m", None, MODEL),
    ("GET", "models/c.s.m@latest-model", None, POINTER),
    ("GET", "models/c.s.m%40latest-model", None, POINTER),
    ("GET", LISTED, None, MODELS),
    ("GET", f"{LISTED}&max_results=1", None, {"registered_models": [MODEL], "next_page_token": "m"}),
    ("GET", f"{LISTED}&max_results=0", None, MODELS),
    ("PATCH", "models/c.s.m", {"comment": "y"}, {**MODEL, "comment": "y"}),
    ("PATCH", "models/c.s.m", {"comment": ""}, {**MODEL, "comment": ""}),
    ("PATCH", "models/c.s.m", {"comment": LONG}, {**MODEL, "comment": LONG}),
    ("POST", "tables", NEW_TABLE, {**TABLE, "comment": None}),
    ("GET", "tables/c.s.train_set", None, {**TABLE, "comment": None}),
    ("POST", "tables", {**NEW_TABLE, "name": "at_the_same_place"}, {**TABLE, "name": "at_the_same_place"}),
    ("POST", "tables", {**NEW_TABLE, "name": "bare", "columns": []}, {"name": "bare", "columns": []}),
    ("POST", "models/versions", {**M, "source": "models:/a", "run_id": "r", "comment": "c"}, FIRST),
    ("POST", "models/versions", M, BARE),
    ("POST", "models/versions", {**M, "source": "models:/b", "comment": "✓" * 65_535}, MARKED),
    ("GET", f"{VERSIONS}/1", None, FIRST),
    ("GET", VERSIONS, None, {"model_versions": [FIRST, BARE, MARKED], "next_page_token": None}),
    ("GET", f"{VERSIONS}?max_results=1", None, {"model_versions": [FIRST], "next_page_token": "1"}),
    ("PATCH", f"{VERSIONS}/1", {"comment": "new"}, {**FIRST, "comment": "new"}),
    ("PATCH", f"{VERSIONS}/1/finalize", {"full_name": "c.s.m", "version": 1},
     {**FIRST, "comment": "new", "status": "READY"}),
)  # fmt: skip
"""Method, path, body, and the fields of the answer that clients read."""


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
    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        if body and "storage_root" in body:
            body = {**body, "storage_root": tmp_path.as_uri()}
        return requests.request(method, f"{server.url}{PREFIX}{path}", json=body, timeout=10)

    differences = []
    with UnityCatalogServer() as server:
        # when: what it does, then what it refuses, then what it forgets
        for method, path, body, fields in DONE:
            answer = ask(method, path, body)
            if answer.status_code != 200 or not holds(answer.json(), fields):
                differences.append((method, path, body, answer.text[:500]))
        for method, path, body, status, code, message in REFUSED:
            answer = ask(method, path, body)
            details = [{"reason": code, "@type": "google.rpc.ErrorInfo"}]
            told = {"error_code": code, "message": message, "details": details}
            if answer.status_code != status or answer.json() != told:
                differences.append((method, path, body, answer.text[:500]))
        gone = (f"{VERSIONS}/1", "models/c.s.m?force=true", "tables/c.s.train_set")
        forgotten = [ask("DELETE", path).text for path in gone]
        forgotten_before = ask("DELETE", "tables/c.s.train_set").json()["message"]
        not_allowed = [ask("PUT", "models/c.s.m", {}).text, ask("PATCH", "tables/c.s.train_set", {}).text]
        unrouted = [ask("GET", "nope").text, ask("GET", "models/").text]

    # then
    assert differences == []
    assert forgotten == ["200 OK"] * 3
    assert forgotten_before == "Table not found: train_set"
    assert not_allowed == ["Status: 405\nDescription: Method Not Allowed\n"] * 2
    assert unrouted == ["Status: 404\nDescription: Not Found\n"] * 2
