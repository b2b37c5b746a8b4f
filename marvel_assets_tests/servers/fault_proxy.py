"""An HTTP proxy on loopback that counts the calls to a real server, and fails those that it is told to.

Each call is handed on and noted as method and path, until the one that is to fail: that call alone, or all from there
until the server is said to be back. What a client may meet is in ``Kind``.
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, NamedTuple, Self

import urllib3

HOST = "127.0.0.1"
SECONDS_OF_SLOW_BUT_FINE = 2.0
SECONDS_A_BYTE = 0.5
IDS = re.compile(r"\b(m-)?[0-9a-f]{32}\b|(?<=/)\d+(?=/|$)")
"""What differs from run to run in a path."""


class Kind(StrEnum):
    """How a call fails."""

    REFUSED = "refused"
    """The connection is reset before anything is done; a lasting outage closes the port, too."""

    BLACK_HOLE = "black hole"
    """The call is taken and nothing is ever done or answered."""

    LOST = "answer lost"
    """The call is done; the connection ends without an answer."""

    CUT = "cut"
    """The call is done; its answer ends in the middle of the body, short of the length that it announced."""

    ERROR = "500"
    BUSY = "503"
    BUSY_FOR_AN_HOUR = "503, Retry-After 3600"
    TOO_MANY = "429"
    TOO_MANY_FOR_A_SECOND = "429, Retry-After 1"
    TOO_MANY_FOR_AN_HOUR = "429, Retry-After 3600"

    SLOW = "slow"
    """The call is done; its answer, headers included, takes two seconds."""

    TRICKLE = "trickle"
    """The call is done; its answer comes byte by byte and never ends."""

    @property
    def is_survived(self) -> bool:
        """Whether a call that meets it is nothing but late."""
        return self is Kind.SLOW

    @property
    def waits(self) -> bool:
        """Whether the client can't tell it but by waiting."""
        return self in {Kind.BLACK_HOLE, Kind.TRICKLE}


class Call(NamedTuple):
    """A call as the client made it."""

    method: str
    path: str

    @property
    def type(self) -> str:
        """The call without the ids in its path."""
        return f"{self.method} {IDS.sub('…', self.path)}"


@dataclass(frozen=True)
class Fault:
    """Which calls fail, and how: of those whose path has ``part``, number ``at`` (from 1), or all from there on."""

    kind: Kind
    at: int
    lasting: bool
    part: str

    def meets(self, calls: Sequence[Call]) -> bool:
        """Whether the last of the calls is such a one."""
        number = sum(1 for call in calls if self.part in call.path)
        return self.part in calls[-1].path and (number >= self.at if self.lasting else number == self.at)


class FaultProxy:
    """The proxy, at ``url`` within a ``with`` block.

    ``calls`` are those since the last ``fail`` or ``back``, ``failed`` those of them that failed, ``failed_at`` when
    the first one did, by ``time.monotonic``.
    """

    def __init__(self, upstream: Callable[[], str] | str) -> None:
        self._upstream = upstream if callable(upstream) else lambda: upstream
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._back = threading.Event()
        self._server: _Listener | None = None
        self._port = 0
        self.calls: list[Call] = []
        self.failed_at: float | None = None
        self.failed: list[Call] = []
        self.upload_seconds_a_block = 0.0
        """How long the proxy takes for 64 kB of what is sent to it."""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def fail(self, kind: Kind, at: int = 1, *, lasting: bool = False, part: str = "") -> None:
        """Count anew, and let the call of that number fail, or all from there on, of those whose path has the part."""
        self.back()
        self._fault = Fault(kind, at, lasting, part)

    def back(self) -> None:
        """Be whole again and count anew; whoever is kept waiting is let go."""
        self._fault = None
        self._back.set()
        self._back = threading.Event()
        self.calls, self.failed, self.failed_at = [], [], None
        if self._server is None:
            self._listen()

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._fault = None
        self._back.set()
        self._close()

    def count(self, call: Call) -> Kind | None:
        """Note a call; tells how it is to fail."""
        with self._lock:
            self.calls.append(call)
            fault = self._fault
            if fault is None or not fault.meets(self.calls):
                return None
            self.failed.append(call)
            self.failed_at = self.failed_at or time.monotonic()
            if fault.kind is Kind.REFUSED and fault.lasting:
                self._close()
            return fault.kind

    def answer(self, call: Call, target: str, headers: dict[str, str], body: bytes) -> urllib3.BaseHTTPResponse:
        """What the real server answers."""
        return _POOL.request(
            call.method, f"{self._upstream()}{target}", headers=headers, body=body, retries=False, redirect=False,
            decode_content=False, timeout=120,
        )  # fmt: skip

    @property
    def until_back(self) -> threading.Event:
        return self._back

    def _listen(self) -> None:
        self._server = _Listener((HOST, self._port), _Handler)
        self._server.proxy = self
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()  # from here on the system refuses
            threading.Thread(target=server.shutdown, daemon=True).start()


_POOL = urllib3.PoolManager(maxsize=20)
_NOT_HANDED_ON = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50
    proxy: FaultProxy

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener
    _statuses: ClassVar[dict[Kind, tuple[int, str | None]]] = {
        Kind.ERROR: (500, None),
        Kind.BUSY: (503, None),
        Kind.BUSY_FOR_AN_HOUR: (503, "3600"),
        Kind.TOO_MANY: (429, None),
        Kind.TOO_MANY_FOR_A_SECOND: (429, "1"),
        Kind.TOO_MANY_FOR_AN_HOUR: (429, "3600"),
    }

    def _take(self) -> None:
        proxy = self.server.proxy
        call = Call(self.command, self.path.partition("?")[0])
        body = self._body(proxy.upload_seconds_a_block)
        kind = proxy.count(call)
        if kind is None:
            self._answer(proxy, call, body)
        elif kind in self._statuses:
            self._refuse(*self._statuses[kind])
        else:
            self.close_connection = True
            self._break(kind, proxy, call, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take  # noqa: N815

    def _break(self, kind: Kind, proxy: FaultProxy, call: Call, body: bytes) -> None:
        match kind:
            case Kind.REFUSED:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            case Kind.BLACK_HOLE:
                proxy.until_back.wait()
            case Kind.LOST:
                proxy.answer(call, self.path, self._headers(), body)
            case Kind.CUT:
                head, content = self._whole(proxy, call, body)
                self.wfile.write(head + content[: len(content) // 2] if content else head[: len(head) // 2])
            case Kind.SLOW:
                answer = b"".join(self._whole(proxy, call, body))
                pieces = 8
                for start in range(0, len(answer), -(-len(answer) // pieces)):
                    proxy.until_back.wait(SECONDS_OF_SLOW_BUT_FINE / pieces)
                    self.wfile.write(answer[start : start + -(-len(answer) // pieces)])
            case Kind.TRICKLE:
                head, _ = self._whole(proxy, call, body, announce=10**9)
                for byte in _endless(head):
                    self.wfile.write(byte)
                    if proxy.until_back.wait(SECONDS_A_BYTE):
                        return

    def _answer(self, proxy: FaultProxy, call: Call, body: bytes) -> None:
        self.wfile.write(b"".join(self._whole(proxy, call, body)))

    def _whole(self, proxy: FaultProxy, call: Call, body: bytes, announce: int | None = None) -> tuple[bytes, bytes]:
        answer = proxy.answer(call, self.path, self._headers(), body)
        lines = [f"HTTP/1.1 {answer.status} {answer.reason or 'OK'}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() not in _NOT_HANDED_ON]
        lines += [f"Content-Length: {len(answer.data) if announce is None else announce}", "", ""]
        return "\r\n".join(lines).encode(), answer.data

    def _refuse(self, status: int, retry_after: str | None) -> None:
        content = b"the server can't, on purpose"
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower() not in _NOT_HANDED_ON}

    def _body(self, seconds_a_block: float) -> bytes:
        left, blocks = int(self.headers.get("Content-Length") or 0), []
        while left > 0 and (block := self.rfile.read(min(left, 65_536))):
            blocks.append(block)
            left -= len(block)
            if seconds_a_block:
                threading.Event().wait(seconds_a_block)
        return b"".join(blocks)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def _endless(head: bytes) -> Iterator[bytes]:
    for byte in head:
        yield bytes([byte])
    while True:
        yield b" "
