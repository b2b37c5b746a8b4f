"""How long a run waits for a server that does not answer: once for all its calls, not anew with each.

A run makes hundreds of calls. Where each waited as long as one may, a dead server would hold a run for an hour, and the
calls that end a failed run would wait again for what is known to be dead. So it is counted from a server's first
failure, over all calls and threads of the process, until it answers again; when that time is used up, calls fail at
once.
"""

from __future__ import annotations

import os
import threading
import time
from urllib.parse import urlsplit

SECONDS = 12.0
"""How long a server may go on failing before it is left alone, where MLflow's settings say nothing."""

REST_SECONDS = 30.0
"""When a server that was left alone is asked again: a run is over by then, a process that watches sensors goes on."""


class Patience:
    """With one server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.failures = 0
        self._lock = threading.Lock()
        self._since: float | None = None
        self._last = 0.0
        self._reason = ""

    def left(self) -> float:
        """How many seconds the next call may take; none where the server is to be left alone."""
        with self._lock:
            now = time.monotonic()
            if self._since is None or now - self._last > REST_SECONDS:
                self._since = None
                return whole()
            return max(0.0, self._since + whole() - now)

    def failed(self, since: float, reason: str) -> None:
        """Note a failure.

        Args:
            since: when the call began, by ``time.monotonic``.
            reason: for ``given_up``.
        """
        with self._lock:
            self.failures += 1
            self._since = since if self._since is None else min(self._since, since)
            self._last, self._reason = time.monotonic(), reason

    def answered(self) -> None:
        """Note that the server is there."""
        with self._lock:
            self._since = None

    def given_up(self) -> str:
        """Why a call is not made: what the server did, and what follows from it."""
        return f"{self._reason}, and is not asked again for now"


def whole() -> float:
    """How long a server may go on failing: as long as MLflow's own settings, which a user may change, give one call."""
    timeout, retries = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT"), os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    return float(timeout) * (int(retries) + 1) if timeout and retries else SECONDS


_known: dict[str, Patience] = {}
_knowing = threading.Lock()


def patience_with(url: str) -> Patience:
    """The patience of this process with the server of a URL."""
    parts = urlsplit(url)
    # A user's name or password may stand before the host; this is shown.
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    with _knowing:
        return _known.setdefault(server, Patience(server))


def begin_anew() -> None:
    """Ask every server again: what an earlier run met is nothing to this one."""
    with _knowing:
        for patience in _known.values():
            patience.answered()


def failures() -> int:
    """How many calls have failed in this process, because of a server and not because of what was asked."""
    with _knowing:
        return sum(patience.failures for patience in _known.values())
