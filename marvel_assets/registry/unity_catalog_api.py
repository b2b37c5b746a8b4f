"""The REST interface of an open-source Unity Catalog server."""

import os
from typing import Any

from marvel_assets.registry.base import RegistryError
from marvel_assets.utils.errors import root_cause

TOKEN = "MLFLOW_UC_OSS_TOKEN"  # noqa: S105 - the variable's name, which MLflow's client reads as well
PREFIX = "/api/2.1/unity-catalog"
TIMEOUT_SECONDS = 10  # to connect, and between two parts of an answer

Json = dict[str, Any]


class UnityCatalogApi:
    """Calls one server, and returns the JSON of its answers.

    Args:
        url: of the server.
        storage_root: where a new catalog stores its models' files, in a folder with its name.
    """

    def __init__(self, url: str, storage_root: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._storage_root = storage_root

    def call(self, method: str, path: str, body: Json | None = None, **query: str | None) -> Json:
        """Make one request to a path such as ``models/catalog.schema.model``; {} if a GET finds nothing there.

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
            raise RegistryError(
                f"The Unity Catalog server at {self.url} can't be reached: {root_cause(error)}. Is it running, and is "
                "MARVEL_UC_URL its address?"
            ) from error
        if method == "GET" and answer.status_code == requests.codes.not_found and "NOT_FOUND" in answer.text:
            return {}
        reason = f"{answer.status_code} {answer.text[:500]}"
        raise RegistryError(f"The Unity Catalog server at {self.url} refused {method} {path}: {reason}")

    def check_schema(self, catalog: str, schema: str, *, create: bool) -> None:
        """Check that a catalog and a schema exist or can be created, and create what is missing if ``create``.

        Raises:
            RegistryError: the catalog is missing, and there is no storage root to create it with.
        """
        if not self.call("GET", f"catalogs/{catalog}"):
            if not self._storage_root:
                raise RegistryError(
                    f"There is no catalog {catalog} on {self.url}. Create it with a storage root, or set "
                    "MARVEL_UC_STORAGE_ROOT (file:///…, s3://…) and it will be created."
                )
            if create:
                storage_root = f"{self._storage_root.rstrip('/')}/{catalog}"
                self.call("POST", "catalogs", {"name": catalog, "storage_root": storage_root})
        if create and not self.call("GET", f"schemas/{catalog}.{schema}"):
            self.call("POST", "schemas", {"name": schema, "catalog_name": catalog})
