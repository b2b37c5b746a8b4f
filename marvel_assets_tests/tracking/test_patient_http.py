"""Calls to a server that fails in all ways: bounded, told with the URL, and not done twice."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException
from urllib3 import Retry

from marvel_assets.tracking import patience
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.patient_http import PatientAdapter, ServerUnavailableError
from marvel_assets_tests.servers.fault_proxy import FaultProxy, Kind

TIMEOUT, PATIENCE = 1, 2
SPARE = 5.0
"""Seconds that a busy machine may need besides."""

AT_ONCE = 1.0


class _Server(ThreadingHTTPServer):
    """Answers with what it was sent, or with a text; keeps what it did."""

    daemon_threads = True

    def __init__(self) -> None:
        self.done: list[str] = []
        self.received = 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.done.append(f"{self.command} {self.path}")
        self.server.received = len(body)
        content = b"x" * 10_000
        self.send_response(404 if self.path == "/absent" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _do  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def proxy(server: _Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with FaultProxy(f"http://127.0.0.1:{server.server_port}") as made:
        yield made


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """One that tries again once, as MLflow's does."""
    retries = Retry(1, allowed_methods=None, status_forcelist=[429, 500, 503])
    with requests.Session() as made:
        made.mount("http://", PatientAdapter(max_retries=retries))
        yield made


@pytest.mark.parametrize("kind", [kind for kind in Kind if not kind.is_survived])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_fails_is_given_up_in_time_and_named(
    session: requests.Session, proxy: FaultProxy, kind: Kind, *, streamed: bool
):
    # given
    proxy.fail(kind, lasting=True)
    began = time.monotonic()

    # when
    with pytest.raises(ServerUnavailableError, match=proxy.url) as told:
        _ = session.get(f"{proxy.url}/page", timeout=TIMEOUT, stream=streamed).content

    # then
    assert time.monotonic() - began < PATIENCE + TIMEOUT + SPARE
    assert "Run again" in str(told.value)


def test_what_is_slow_but_comes_is_waited_for(session: requests.Session, proxy: FaultProxy, monkeypatch):
    # given
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    proxy.fail(Kind.SLOW)

    # then
    assert len(session.get(f"{proxy.url}/page", timeout=10).content) == 10_000


def test_a_server_that_is_known_to_be_dead_is_not_waited_for_again(session: requests.Session, proxy: FaultProxy):
    # given
    proxy.fail(Kind.BLACK_HOLE, lasting=True)
    with pytest.raises(ServerUnavailableError):
        session.get(proxy.url, timeout=TIMEOUT)
    asked, began = len(proxy.calls), time.monotonic()

    # when
    for _ in range(20):
        with pytest.raises(ServerUnavailableError, match="no answer within 2 s, and is not asked again"):
            session.get(proxy.url, timeout=TIMEOUT)

    # then
    assert time.monotonic() - began < AT_ONCE
    assert len(proxy.calls) == asked


def test_a_run_that_begins_anew_asks_again(session: requests.Session, proxy: FaultProxy):
    # given
    proxy.fail(Kind.BLACK_HOLE, lasting=True)
    with pytest.raises(ServerUnavailableError):
        session.get(proxy.url, timeout=TIMEOUT)
    proxy.back()

    # when
    patience.begin_anew()

    # then
    assert session.get(proxy.url, timeout=TIMEOUT).ok


def test_a_large_file_takes_longer_than_the_patience_while_it_moves(
    session: requests.Session, proxy: FaultProxy, server: _Server, tmp_path: Path
):
    # given
    file = tmp_path / "model"
    file.write_bytes(bytes(4_000_000))
    proxy.upload_seconds_a_block = 0.1
    began = time.monotonic()

    # when
    with file.open("rb") as content:
        answer = session.put(f"{proxy.url}/model", data=content, timeout=TIMEOUT)

    # then
    assert answer.ok
    assert time.monotonic() - began > 2 * PATIENCE
    assert server.received == 4_000_000


def test_a_large_file_that_does_not_move_is_given_up(session: requests.Session, proxy: FaultProxy, tmp_path: Path):
    # given
    file = tmp_path / "model"
    file.write_bytes(bytes(4_000_000))
    proxy.upload_seconds_a_block = 60
    began = time.monotonic()

    # when
    with file.open("rb") as content, pytest.raises(ServerUnavailableError, match=proxy.url):
        session.put(f"{proxy.url}/model", data=content, timeout=TIMEOUT)

    # then
    assert time.monotonic() - began < PATIENCE + SPARE


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/model-versions/create", "/api/2.0/mlflow/logged-models"])
@pytest.mark.parametrize("kind", [Kind.LOST, Kind.CUT])
def test_what_makes_something_is_not_done_twice(
    session: requests.Session, proxy: FaultProxy, server: _Server, path: str, kind: Kind
):
    # given
    proxy.fail(kind)

    # when
    with pytest.raises(ServerUnavailableError, match=proxy.url):
        session.post(f"{proxy.url}{path}", json={}, timeout=TIMEOUT)

    # then
    assert server.done == [f"POST {path}"]


def test_what_makes_something_is_tried_again_where_the_server_has_not_taken_it(
    session: requests.Session, proxy: FaultProxy, server: _Server
):
    # given
    proxy.fail(Kind.TOO_MANY)

    # then
    assert session.post(f"{proxy.url}/runs/create", json={}, timeout=TIMEOUT).ok
    assert server.done == ["POST /runs/create"]


def test_what_can_be_done_twice_is_tried_again(session: requests.Session, proxy: FaultProxy, server: _Server):
    # given
    proxy.fail(Kind.LOST)

    # then
    assert session.post(f"{proxy.url}/runs/search", json={}, timeout=TIMEOUT).ok
    assert server.done == ["POST /runs/search"] * 2


def test_an_answer_that_is_no_failure_of_the_server_comes_as_it_is(session: requests.Session, proxy: FaultProxy):
    # when
    answer = session.get(f"{proxy.url}/absent", timeout=TIMEOUT)

    # then
    assert (answer.status_code, len(answer.content)) == (404, 10_000)


def test_mlflows_own_calls_are_as_patient(proxy: FaultProxy, tmp_path: Path):
    # given
    proxy.fail(Kind.TRICKLE, lasting=True)
    began = time.monotonic()

    # when
    with pytest.raises(MlflowException, match=f"{proxy.url} can't be reached: no answer within {PATIENCE} s"):
        connect(proxy.url, tmp_path).search_experiments()

    # then
    assert time.monotonic() - began < PATIENCE + SPARE


def test_a_name_before_the_host_is_not_shown(session: requests.Session, proxy: FaultProxy):
    # given
    address = proxy.url.replace("http://", "http://canary-5f1e:canary-77aa@")
    proxy.fail(Kind.BUSY, lasting=True)

    # when
    with pytest.raises(ServerUnavailableError) as told:
        session.get(address, timeout=TIMEOUT)

    # then
    assert "canary" not in str(told.value)
