"""An HTTP proxy on loopback that hands calls on to a real server, and fails those that it is told to."""

import re
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

import urllib3

HOST = "127.0.0.1"
SECONDS_OF_SLOW_BUT_FINE = 0.8
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
    BUSY = "503, Retry-After 3600"

    SLOW = "slow"
    """The call is done; its answer takes most of the time that a client allows."""


class Call(NamedTuple):
    """A call as the client made it."""

    method: str
    path: str

    @property
    def type(self) -> str:
        """The call without the ids in its path."""
        return f"{self.method} {IDS.sub('…', self.path)}"


@dataclass
class Once:
    """Fails the first call of each type, in each of these ways in turn."""

    kinds: Sequence[Kind]
    met: set[str] = field(default_factory=set)

    def meet(self, call: Call) -> Kind | None:
        """How a call is to fail, if it is."""
        if call.type in self.met:
            return None
        self.met.add(call.type)
        return self.kinds[len(self.met) % len(self.kinds)]


@dataclass
class From:
    """Fails the first call whose type matches, and where it lasts all that follow."""

    kind: Kind
    pattern: str
    lasting: bool
    is_met: bool = False

    def meet(self, call: Call) -> Kind | None:
        """How a call is to fail, if it is."""
        if self.lasting and self.is_met:
            return self.kind
        if self.is_met or not re.search(self.pattern, call.type):
            return None
        self.is_met = True
        return self.kind


class FaultProxy:
    """The proxy, at ``url`` within a ``with`` block; ``failed`` are the calls that failed under the last fault."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.until_back = threading.Event()
        self.failed: list[Call] = []
        self._lock = threading.Lock()
        self._fault: Once | From | None = None
        self._server: _Listener | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address that clients are given."""
        return f"http://{HOST}:{self._port}"

    def fail(self, kind: Kind, pattern: str = "", *, lasting: bool = False) -> None:
        """Let the first call fail whose type (such as ``POST /runs/create``) matches, or all from there on."""
        self.back()
        self._fault = From(kind, pattern, lasting)

    def fail_each_once(self, *kinds: Kind) -> None:
        """Let the first call of each type fail, in these ways in turn."""
        self.back()
        self._fault = Once(kinds)

    def back(self) -> None:
        """Be whole again; whoever is kept waiting is let go."""
        self._fault, self.failed = None, []
        self.until_back.set()
        self.until_back = threading.Event()
        if self._server is None:
            self._listen()

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._fault = None
        self.until_back.set()
        self._close()

    def meet(self, call: Call) -> Kind | None:
        """How a call is to fail, if it is."""
        with self._lock:
            kind = self._fault.meet(call) if self._fault else None
            if kind is not None:
                self.failed.append(call)
            if kind is Kind.REFUSED and isinstance(self._fault, From) and self._fault.lasting:
                self._close()
            return kind

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

    def _take(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = proxy.meet(Call(self.command, self.path.partition("?")[0]))
        self.close_connection = kind in {Kind.REFUSED, Kind.BLACK_HOLE, Kind.LOST, Kind.CUT}
        match kind:
            case None:
                self.wfile.write(b"".join(self._answer(body)))
            case Kind.REFUSED:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            case Kind.BLACK_HOLE:
                proxy.until_back.wait()
            case Kind.LOST:
                self._answer(body)
            case Kind.CUT:
                head, content = self._answer(body)
                self.wfile.write(head + content[: len(content) // 2] if content else head[: len(head) // 2])
            case Kind.SLOW:
                answer = b"".join(self._answer(body))
                proxy.until_back.wait(SECONDS_OF_SLOW_BUT_FINE)
                self.wfile.write(answer)
            case Kind.ERROR | Kind.BUSY:
                self.send_response(int(kind[:3]))
                if kind is Kind.BUSY:
                    self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", "0")
                self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _take  # noqa: N815

    def _answer(self, body: bytes) -> tuple[bytes, bytes]:
        """The head and the body that the real server answers with."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_HANDED_ON}
        answer = _POOL.request(
            self.command, f"{self.server.proxy.upstream}{self.path}", headers=headers, body=body, retries=False,
            redirect=False, decode_content=False, timeout=120,
        )  # fmt: skip
        lines = [f"HTTP/1.1 {answer.status} {answer.reason or 'OK'}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() not in _NOT_HANDED_ON]
        lines += [f"Content-Length: {len(answer.data)}", "", ""]
        return "\r\n".join(lines).encode(), answer.data

    def log_message(self, *_: object) -> None:
        """Be quiet."""
