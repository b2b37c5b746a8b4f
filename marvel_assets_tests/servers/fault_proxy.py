"""An HTTP proxy on loopback that forwards calls to a real server, and fails those that a test names."""

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from typing import Self

import urllib3

from marvel_assets_tests.servers.scripted import Answer, Handler, Listener

SECONDS_OF_SLOW_BUT_FINE = 0.8
IDS = re.compile(r"\b(m-)?[0-9a-f]{32}\b|(?<=/)\d+(?=/|$)")
"""What differs from run to run in a path."""
NOT_FORWARDED = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
POOL = urllib3.PoolManager(maxsize=20)


class Kind(StrEnum):
    """How a call fails, before anything is done or with its answer."""

    RESET = "connection reset"
    BLACK_HOLE = "taken, and never done or answered"
    LOST = "done, and not answered"
    CUT = "done, and answered with half of the body"
    ERROR = "500"
    BUSY = "503, Retry-After 3600"
    SLOW = "done, and answered within most of the time that a client allows"


class FaultProxy:
    """The proxy, at ``url`` within a ``with`` block; ``failed`` are the calls that failed under the last fault."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.url, self.until_back = upstream, "", threading.Event()
        self.back()
        self._lock, self._running = threading.Lock(), ExitStack()

    def __enter__(self) -> Self:
        server = Listener(self._respond)
        self.url = f"http://127.0.0.1:{server.server_port}"
        self._running.enter_context(server.running())
        return self

    def __exit__(self, *_: object) -> None:
        self.back()
        self._running.close()

    def fail(self, kind: Kind, pattern: str = "", *, lasting: bool = False) -> None:
        """Let the first call fail that matches, or all from there on."""
        self.back()

        def fault(call: str) -> Kind | None:
            fails = lasting if self.failed else re.search(pattern, call)
            return kind if fails else None

        self._fault = fault

    def fail_each_once(self, *kinds: Kind) -> None:
        """Let the first of each kind of call fail, in these ways in turn."""
        self.back()
        self._fault = lambda call: None if call in self.failed else kinds[len(self.failed) % len(kinds)]

    def back(self) -> None:
        """Be whole again; calls that wait go on."""
        self._fault: Callable[[str], Kind | None] = lambda _: None
        self.failed: list[str] = []
        self.until_back.set()
        self.until_back = threading.Event()

    def _respond(self, handler: Handler, body: bytes) -> Answer | None:
        """Forward the call, or fail as its fault says, which is found by a name such as ``POST /runs/create``."""
        call = f"{handler.command} {IDS.sub('…', handler.path.partition('?')[0])}"
        with self._lock:
            kind = self._fault(call)
            if kind is not None:
                self.failed.append(call)
        match kind:
            case Kind.ERROR:
                return Answer(500, {"Content-Length": "0"})
            case Kind.BUSY:
                return Answer(503, {"Content-Length": "0", "Retry-After": "3600"})
            case Kind.RESET:
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
                return None
            case Kind.BLACK_HOLE:
                self.until_back.wait()
                return None
        answer = self._forward(handler, body)
        if kind is Kind.SLOW:
            self.until_back.wait(SECONDS_OF_SLOW_BUT_FINE)
        if kind is Kind.CUT:
            answer = answer._replace(body=answer.body[: len(answer.body) // 2])
        return None if kind is Kind.LOST else answer

    def _forward(self, handler: Handler, body: bytes) -> Answer:
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in NOT_FORWARDED}
        answer = POOL.request(
            handler.command, f"{self.upstream}{handler.path}", headers=headers, body=body, retries=False,
            redirect=False, decode_content=False, timeout=120,
        )  # fmt: skip
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_FORWARDED}
        return Answer(answer.status, headers | {"Content-Length": str(len(answer.data))}, answer.data)
