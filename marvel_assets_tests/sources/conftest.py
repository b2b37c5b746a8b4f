"""Characters to deliver, and a web server of the test's own."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pandas as pd
import pytest

from marvel_assets.datasets.marvel_kaggle.columns import SOURCE_COLUMNS

CONTENT = b"PageID,Name\n1,Anna\n" * 1000


def characters(*names: str) -> pd.DataFrame:
    """One row for each name, with the columns as delivered."""
    return pd.DataFrame([{column: name if column == "Name" else column for column in SOURCE_COLUMNS} for name in names])


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    """A new folder with these files."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


ANSWERS_AFTER_SECONDS = 2
"""How long the path `/slow.csv` takes."""


class _Answers(BaseHTTPRequestHandler):
    told_headers: ClassVar[dict[str, str]] = {}

    def do_HEAD(self) -> None:
        match self.path.partition("?")[0]:
            case "/told.csv":
                self._answer(200, self.told_headers, b"")
            case "/moved":
                self._answer(302, {"Location": "/told.csv"}, b"")
            case "/refused/403.csv":
                self._answer(403, {}, b"")
            case "/refused/405.csv":
                self._answer(405, {}, b"")
            case "/refused/501.csv":
                self._answer(501, {}, b"")
            case "/error":
                self._answer(500, {}, b"")
            case "/slow.csv":
                time.sleep(ANSWERS_AFTER_SECONDS)
                self._answer(200, self.told_headers, b"")
            case _:
                self._answer(404, {}, b"")

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


@pytest.fixture
def told_headers(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the server tells of `/told.csv`, for the test to change."""
    headers: dict[str, str] = {}
    monkeypatch.setattr(_Answers, "told_headers", headers)
    return headers
