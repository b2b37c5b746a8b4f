"""A web server of the test's own."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

CONTENT = b"PageID,Name\n1,Anna\n" * 1000


class _Answers(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        match self.path:
            case "/tagged.csv":
                self._answer(200, {"ETag": '"one"', "Content-Length": "5"}, b"")
            case "/dated.csv":
                self._answer(200, {"Last-Modified": "Mon, 02 Nov 2026 06:00:00 GMT"}, b"")
            case "/plain.csv":
                self._answer(200, {"Content-Length": "5"}, b"")
            case _:
                self._answer(405, {}, b"")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        match path:
            case "/characters.csv":
                self._answer(200, {"Content-Length": str(len(CONTENT))}, CONTENT)
            case "/moved":
                self._answer(302, {"Location": "/characters.csv", "Content-Length": "0"}, b"")
            case "/breaks-off.csv":
                self._answer(200, {"Content-Length": str(2 * len(CONTENT))}, CONTENT)
            case "/error":
                self._answer(500, {"Content-Length": "0"}, b"")
            case _:
                self._answer(404, {"Content-Length": "9"}, b"not found")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing is to be printed."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as listening:
        thread = Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()
