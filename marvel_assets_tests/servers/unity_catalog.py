"""An in-memory server that speaks the registry part of the open-source Unity Catalog server 0.6.

It answers what this project's client and MLflow's ``uc:`` registry ask of catalogs, schemas, tables, models and model
versions, with the real server's statuses, error codes and words (``test_unity_catalog_server.py`` holds it to them). As
there, ``file:`` locations are made as directories when a model or a version is created.

It keeps these weaknesses of the real server on purpose:

- Nothing is locked between a look and the insert that follows, and no name or number is unique: creations in parallel
  give two versions one number, or make two models of one name. Whatever asks by a doubled name or number gets the row
  that was inserted first. `race_seconds` widens the gap between the look and the insert.
- The model's highest number is written after that gap, so a version created in parallel can set it back.
- Versions are paged by their number, so doubles that straddle the end of a page are lost to the reader. A page that is
  exactly full names a next page even where that one is empty. No page holds more than 100 rows.
- A text longer than its column (255 characters for a version's source and run id, 65,535 for a comment) is an internal
  error.
- Fields it does not know are dropped: there are no tags and no aliases.
- Finalizing reads the version's name and number from the body and ignores the path's.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Self

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from marvel_assets_tests.servers.unity_catalog_registry import Json, Refusal, Registry
from marvel_assets_tests.servers.wsgi import serving

PREFIX = "/api/2.1/unity-catalog/"
ROUTES = {
    "POST catalogs": Registry.create_catalog,
    "GET catalogs/<name>": Registry.get_catalog,
    "POST schemas": Registry.create_schema,
    "GET schemas/<full_name>": Registry.get_schema,
    "POST tables": Registry.create_table,
    "GET tables/<full_name>": Registry.get_table,
    "DELETE tables/<full_name>": Registry.delete_table,
    "POST models": Registry.create_model,
    "GET models": Registry.list_models,
    "POST models/versions": Registry.create_version,
    "GET models/<full_name>": Registry.get_model,
    "PATCH models/<full_name>": Registry.update_model,
    "DELETE models/<full_name>": Registry.delete_model,
    "GET models/<full_name>/versions": Registry.list_versions,
    "GET models/<full_name>/versions/<version>": Registry.get_version,
    "PATCH models/<full_name>/versions/<version>": Registry.update_version,
    "DELETE models/<full_name>/versions/<version>": Registry.delete_version,
    "PATCH models/<full_name>/versions/<version>/finalize": Registry.finalize_version,
}


class UnityCatalogServer(Registry):
    """The server, at ``url`` within a ``with`` block; with a status in ``fail_with`` it answers that alone."""

    def __init__(self, token: str | None = None, race_seconds: float = 0.0) -> None:
        super().__init__(race_seconds)
        self.url = ""
        self.fail_with: int | None = None
        self._token = token
        self._serving = ExitStack()

    def __enter__(self) -> Self:
        app = Flask(__name__)
        for route, call in ROUTES.items():
            method, _, path = route.partition(" ")
            app.add_url_rule(f"{PREFIX}{path}", route, partial(self._answer, call), methods=[method])
        app.before_request(self._admit)
        app.register_error_handler(Refusal, lambda refusal: (refusal.body, refusal.status))
        app.register_error_handler(HTTPException, _unrouted)
        self.url = self._serving.enter_context(serving(app))
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def _answer(self, call: Callable[..., Json | None], **path: str) -> Response | str:
        answer = call(self, **path)
        return "200 OK" if answer is None else jsonify(answer)

    def _admit(self) -> None:
        if self.fail_with is not None:
            raise Refusal("INTERNAL", f"Told to fail with {self.fail_with}.", self.fail_with)
        authorization = request.headers.get("Authorization", "")
        if self._token is not None and authorization != f"Bearer {self._token}":
            raise Refusal("UNAUTHENTICATED", "Invalid access token." if authorization else "No authorization found.")


def _unrouted(error: HTTPException) -> Response:
    text = f"Status: {error.code}\nDescription: {error.name}\n"
    return Response(text, status=error.code, content_type="text/plain; charset=utf-8")
