"""The open-source server's own client, called from code that does not await."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from marvel_assets.registry.base import CatalogError, CatalogUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "MLFLOW_UC_OSS_TOKEN"  # noqa: S105 - the variable's name, which MLflow's client reads as well
PREFIX = "/api/2.1/unity-catalog"
SECONDS = 10.0
"""How long one request may take."""

NOT_FOUND, TOO_MANY, SERVER_ERRORS = 404, 429, 500
PAGE = 50


class UnityCatalogApi:
    """Calls of ``unitycatalog.client``, each over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(self, api: str, method: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the client returns
        """Call a method of one of the client's APIs.

        Raises:
            CatalogError: the server refuses; its URL and its words are in the text.
            CatalogUnavailableError: it can't be reached, is too slow, or says that it can't answer.
        """
        try:
            # In a thread of its own, since a notebook's thread has a loop that is running.
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(asyncio.run, self._call(api, method, arguments)).result()
        except (TimeoutError, OSError) as error:
            problem = f"no answer within {SECONDS:.0f} s" if isinstance(error, asyncio.TimeoutError) else str(error)
            raise CatalogUnavailableError(
                f"The Unity Catalog server at {self.url} can't be reached: {problem}. Is it running, and is "
                "MARVEL_UC_URL its address?"
            ) from error

    def find(self, api: str, method: str, **arguments: Any) -> Any | None:  # noqa: ANN401
        """The same, with None where the server knows no such object."""
        try:
            return self.call(api, method, **arguments)
        except CatalogError as error:
            if getattr(error.__cause__, "status", None) == NOT_FOUND:
                return None
            raise

    def pages(self, api: str, method: str, **arguments: Any) -> Iterator[Any]:  # noqa: ANN401
        """All pages of a list; none where what is listed does not exist."""
        token: str | None = None
        while True:
            page = self.find(api, method, **arguments, max_results=PAGE, page_token=token)
            if page is None:
                return
            yield page
            token = page.next_page_token
            if not token:
                return

    async def _call(self, api: str, method: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
        import aiohttp
        from unitycatalog import client

        settings = client.Configuration(host=f"{self.url}{PREFIX}")
        async with client.ApiClient(settings) as connection:
            if token := os.environ.get(TOKEN):
                connection.set_default_header("Authorization", f"Bearer {token}")
            try:
                answer = getattr(getattr(client, api)(connection), method)
                return await asyncio.wait_for(answer(**arguments), SECONDS)
            except aiohttp.ClientError as error:
                raise OSError(str(error)) from error
            except client.ApiException as error:
                is_able = error.status is not None and error.status < SERVER_ERRORS and error.status != TOO_MANY
                kind = CatalogError if is_able else CatalogUnavailableError
                raise kind(
                    f"The Unity Catalog server at {self.url} refused {method}: {error.status} {_words(error.body)}"
                ) from error


def _words(body: Any) -> str:  # noqa: ANN401
    """The message of an error's body, without the server's stack trace."""
    import json

    try:
        content = json.loads(body)
    except (TypeError, ValueError):
        return str(body)[:300]
    return f"{content.get('error_code', '')}: {content.get('message', '')}"[:500] if isinstance(content, dict) else ""
