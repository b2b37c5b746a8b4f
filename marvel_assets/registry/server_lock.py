"""A lock that all clients of an open-source Unity Catalog server see.

That server has no compare-and-set and no unique names, so nothing there is taken by creating it. What it does have is
rows that one client writes and all can read, and for these Lamport's bakery algorithm suffices ("A New Solution of
Dijkstra's Concurrent Programming Problem", 1974): each client draws a number higher than all that it sees, and waits
for those that hold lower ones. Each client's row is the comment of a model of its own, ``<model>@lock@<client>``.

A client that died is passed over when its row has stayed the same for ``STALE_SECONDS`` of the waiter's own clock; one
that lives writes its row anew every ``BEAT_SECONDS``.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from marvel_assets.registry.base import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from marvel_assets.registry.unity_catalog_api import UnityCatalogApi

MODELS = "RegisteredModelsApi"
LOCK = "@lock@"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
POLL_SECONDS = 0.1
WAIT_SECONDS = 300.0


@dataclass(frozen=True)
class Intent:
    """A client's row.

    Attributes:
        choosing: it is looking for a number.
        ticket: its number, 0 while it wants nothing.
        beat: counts its signs of life.
    """

    choosing: bool = False
    ticket: int = 0
    beat: int = 0


class ServerLock:
    """The lock of one registered model."""

    def __init__(self, api: UnityCatalogApi, model: str, client: str, stale_seconds: float = STALE_SECONDS) -> None:
        self._api = api
        self._catalog, self._schema, self._model = model.split(".")
        self._client = client
        self._stale_seconds = stale_seconds
        self._row = f"{model}{LOCK}{client}"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do what only one client may do at a time. Processes that share a client's name exclude each other before.

        Raises:
            CatalogError: others have held the lock for minutes, or it was lost while it was held.
        """
        self._write(Intent(choosing=True))
        ended = threading.Event()
        beating: threading.Thread | None = None
        lost: list[str] = []
        try:
            others = self._others()
            mine = Intent(ticket=1 + max((intent.ticket for intent in others.values()), default=0))
            self._write(mine)
            beating = threading.Thread(target=self._beat, args=(mine, ended, lost), daemon=True)
            beating.start()
            self._wait_for_turn(mine)
            yield
        finally:
            ended.set()
            if beating is not None:
                beating.join()
            self._write(Intent())
        if lost:
            raise CatalogError(f"The lock of {self._row.partition(LOCK)[0]} was lost while it was held: {lost[0]}")

    def _wait_for_turn(self, mine: Intent) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        seen: dict[str, tuple[Intent, float]] = {}
        while True:
            blocking = {
                client: intent
                for client, intent in self._others().items()
                if intent.choosing or (intent.ticket and (intent.ticket, client) < (mine.ticket, self._client))
            }
            now = time.monotonic()
            for client, intent in blocking.items():
                if client not in seen or seen[client][0] != intent:
                    seen[client] = (intent, now)
            if all(now - seen[client][1] > self._stale_seconds for client in blocking):
                return
            if now > deadline:
                raise CatalogError(
                    f"{', '.join(blocking)} held the lock of {self._catalog}.{self._schema}.{self._model} on "
                    f"{self._api.url} for {WAIT_SECONDS:g} s; run again."
                )
            time.sleep(POLL_SECONDS)

    def _beat(self, mine: Intent, ended: threading.Event, lost: list[str]) -> None:
        while not ended.wait(BEAT_SECONDS):
            mine = replace(mine, beat=mine.beat + 1)
            try:
                self._write(mine)
            except CatalogError as error:
                lost.append(str(error))
                return

    def _write(self, intent: Intent) -> None:
        from unitycatalog.client.models import CreateRegisteredModel, UpdateRegisteredModel

        comment = json.dumps(asdict(intent))
        update = UpdateRegisteredModel(comment=comment)
        known = self._api.find(MODELS, "update_registered_model", full_name=self._row, update_registered_model=update)
        if known is None:
            name = self._row.split(".", 2)[2]
            row = CreateRegisteredModel(
                name=name, catalog_name=self._catalog, schema_name=self._schema, comment=comment
            )
            self._api.call(MODELS, "create_registered_model", create_registered_model=row)

    def _others(self) -> dict[str, Intent]:
        prefix = f"{self._model}{LOCK}"
        return {
            client: Intent(**json.loads(model.comment or "{}"))
            for page in self._api.pages(
                MODELS, "list_registered_models", catalog_name=self._catalog, schema_name=self._schema
            )
            for model in page.registered_models or []
            if model.name.startswith(prefix) and (client := model.name.removeprefix(prefix)) != self._client
        }
