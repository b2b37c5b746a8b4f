"""The REST interface of an open-source Unity Catalog server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from marvel_assets.registry.base import RegistryError, RegistryUnavailableError
from marvel_assets.utils.errors import root_cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN = "MLFLOW_UC_OSS_TOKEN"  # noqa: S105 - the variable's name, which MLflow's client reads as well
PREFIX = "/api/2.1/unity-catalog"
SECONDS = 10
"""Timeout of a request: to connect, and between two parts of an answer."""

NOT_FOUND, TOO_MANY, SERVER_ERRORS = 404, 429, 500
PAGE = 50
LONGEST_REASON = 500

Json = dict[str, Any]


class RefusedError(RegistryError):
    """The server refuses a request, with its HTTP ``status`` and error ``code``."""

    def __init__(self, text: str, status: int, code: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


class UnityCatalogApi:
    """A client of one server that returns its JSON unchanged."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(
        self, method: str, path: str, *, query: Mapping[str, str | int | None] | None = None, body: Json | None = None
    ) -> Json:
        """Make one request.

        Args:
            method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
            path: below ``PREFIX``, such as ``models/catalog.schema.model``.
            query: parameters; those that are None are left out.
            body: sent as JSON.

        Raises:
            RefusedError: the server refuses; the text has its URL and message.
            RegistryUnavailableError: it can't be reached, is too slow, or reports that it can't answer.
        """
        import requests

        token = os.environ.get(TOKEN)
        try:
            answer = requests.request(
                method,
                f"{self.url}{PREFIX}/{path}",
                params=query,
                json=body,
                headers={"Authorization": f"Bearer {token}"} if token else None,
                timeout=SECONDS,
            )
            if answer.ok:
                return {} if method == "DELETE" else dict(answer.json())
        except requests.RequestException as error:
            reason = f"no answer within {SECONDS} s" if isinstance(error, requests.Timeout) else str(root_cause(error))
            raise RegistryUnavailableError(
                f"The Unity Catalog server at {self.url} can't be reached: {reason}. Is it running, and is "
                "MARVEL_UC_URL its address?"
            ) from error
        code, words = _reason(answer)
        text = f"The Unity Catalog server at {self.url} refused {method} {path}: {answer.status_code} {words}"
        if answer.status_code >= SERVER_ERRORS or answer.status_code == TOO_MANY:
            raise RegistryUnavailableError(text)
        raise RefusedError(text, answer.status_code, code)

    def find(self, path: str, **query: str | int | None) -> Json | None:
        """The object at a path, or None."""
        try:
            return self.call("GET", path, query=query)
        except RefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def create(self, path: str, body: Json) -> None:
        """Create an object, unless another client has just created it."""
        try:
            self.call("POST", path, body=body)
        except RefusedError as error:
            if not error.code.endswith("ALREADY_EXISTS"):
                raise

    def rows(self, path: str, key: str) -> Iterator[Json]:
        """All rows of a list, page by page; none if the parent does not exist."""
        token: str | None = None
        while (page := self.find(path, max_results=PAGE, page_token=token)) is not None:
            yield from page.get(key) or []
            token = page.get("next_page_token")
            if not token:
                return


def _reason(answer: Any) -> tuple[str, str]:  # noqa: ANN401 - a response of requests
    """The code of an error and its message, without the server's stack trace."""
    try:
        content = answer.json()
        return content["error_code"], f"{content['error_code']}: {content.get('message', '')}"[:LONGEST_REASON]
    except (ValueError, TypeError, KeyError):
        return "", answer.text[:LONGEST_REASON]
