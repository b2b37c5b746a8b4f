"""The REST interface of an open-source Unity Catalog server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from marvel_assets.registry.base import RegistryError
from marvel_assets.utils.errors import root_cause

TOKEN = "MLFLOW_UC_OSS_TOKEN"  # noqa: S105 - the variable's name, which MLflow's client reads as well
PREFIX = "/api/2.1/unity-catalog"
TIMEOUT_SECONDS = 10
"""To connect, and between two parts of an answer."""

Json = dict[str, Any]


class RefusedError(RegistryError):
    """The server answers a request with an error; ``code`` is the server's name of it."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class UnityCatalogApi:
    """A client of one server that returns its JSON unchanged.

    Args:
        url: of the server.
        storage_root: where a new catalog stores its models' files, in a folder with its name.
    """

    def __init__(self, url: str, storage_root: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._storage_root = storage_root

    def call(self, method: str, path: str, body: Json | None = None, **query: str | int | None) -> Json:
        """Make one request to a path such as ``models/catalog.schema.model``.

        Raises:
            RegistryError: the server can't be reached, is too slow, or refuses; the text has its URL and message.
        """
        import requests

        url, token = f"{self.url}{PREFIX}/{path}", os.environ.get(TOKEN)
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            answer = requests.request(method, url, params=query, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
            if answer.ok:
                return {} if method == "DELETE" else dict(answer.json())
        except requests.RequestException as error:
            is_timeout = isinstance(error, requests.Timeout)
            reason = f"no answer within {TIMEOUT_SECONDS} s" if is_timeout else str(root_cause(error))
            raise RegistryError(
                f"The Unity Catalog server at {self.url} can't be reached: {reason}. Is it running, and is "
                "MARVEL_UC_URL its address?"
            ) from error
        try:
            content = answer.json()
            code, reason = content["error_code"], f"{content['error_code']}: {content.get('message', '')}"
        except (ValueError, TypeError, KeyError):
            code, reason = "", answer.text
        text = f"The Unity Catalog server at {self.url} refused {method} {path}: {answer.status_code} {reason[:500]}"
        raise RefusedError(text, code)

    def find(self, path: str, **query: str | int | None) -> Json | None:
        """The object at a path, or None."""
        try:
            return self.call("GET", path, None, **query)
        except RefusedError as error:
            if not error.code.endswith("NOT_FOUND"):
                raise
            return None

    def create(self, path: str, body: Json) -> None:
        """Create an object, unless another client has just created it."""
        try:
            self.call("POST", path, body)
        except RefusedError as error:
            if not error.code.endswith("ALREADY_EXISTS"):
                raise

    def rows(self, path: str, key: str) -> Iterator[Json]:
        """All rows of a list, page by page; none if the parent does not exist."""
        page = self.find(path, max_results=50)
        while page is not None:
            yield from page.get(key) or []
            token = page.get("next_page_token")
            page = self.find(path, max_results=50, page_token=token) if token else None

    def missing_securables(self, catalog: str, schema: str) -> list[tuple[str, Json]]:
        """Path and body of the requests that would create a missing catalog or schema; none is sent.

        Raises:
            RegistryError: the catalog is missing, and there is no storage root to create it with.
        """
        new_schema = "schemas", {"name": schema, "catalog_name": catalog}
        if self.find(f"catalogs/{catalog}") is not None:
            return [] if self.find(f"schemas/{catalog}.{schema}") else [new_schema]
        if not self._storage_root:
            raise RegistryError(
                f"There is no catalog {catalog} on {self.url}. Create it with a storage root, or set "
                "MARVEL_UC_STORAGE_ROOT (file:///…, s3://…) and it will be created."
            )
        storage_root = f"{self._storage_root.rstrip('/')}/{catalog}"
        return [("catalogs", {"name": catalog, "storage_root": storage_root}), new_schema]

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Create what is missing of catalog and schema."""
        for path, body in self.missing_securables(catalog, schema):
            self.create(path, body)
