"""An HTTP proxy on loopback that hands calls on to a real server, and fails those that a test names."""

import re
import socket
import struct
import threading
from collections.abc import Callable
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import urllib3

from marvel_assets_tests.servers.scripted import print_nothing

HOST = "127.0.0.1"
SECONDS_OF_SLOW_BUT_FINE = 0.8
IDS = re.compile(r"\b(m-)?[0-9a-f]{32}\b|(?<=/)\d+(?=/|$)")
"""What differs from run to run in a path."""


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
        self._lock = threading.Lock()

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
        """Be whole again; whoever is kept waiting is let go."""
        self._fault: Callable[[str], Kind | None] = lambda _: None
        self.failed: list[str] = []
        self.until_back.set()
        self.until_back = threading.Event()

    def __enter__(self) -> Self:
        self._server = _Listener((HOST, 0), _Handler)
        self._server.proxy = self
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.back()
        self._server.shutdown()
        self._server.server_close()

    def meet(self, call: str) -> Kind | None:
        """How a call such as ``POST /runs/create`` is to fail, if it is."""
        with self._lock:
            kind = self._fault(call)
            if kind is not None:
                self.failed.append(call)
            return kind


_POOL = urllib3.PoolManager(maxsize=20)
_NOT_HANDED_ON = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50
    handle_error = print_nothing
    proxy: FaultProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _take(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = proxy.meet(f"{self.command} {IDS.sub('…', self.path.partition('?')[0])}")
        self.close_connection = kind in {Kind.RESET, Kind.BLACK_HOLE, Kind.LOST, Kind.CUT}
        match kind:
            case None:
                self.wfile.write(b"".join(self._answer(body)))
            case Kind.RESET:
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

    log_message = print_nothing
