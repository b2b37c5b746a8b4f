"""Downloads from a real server on this machine."""

import gzip
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from marvel_assets.sources.download import download, version_told_by_server
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.limits import Limits
from marvel_assets_tests.servers.scripted import Answer, Wire, redirect, serving
from marvel_assets_tests.sources.conftest import CONTENT


@pytest.mark.parametrize("path", ["/characters.csv", "/characters.csv?token=a/b.parquet", "/moved"])
def test_what_the_server_has_is_brought_here_whole(server: str, tmp_path: Path, path: str):
    # when
    file = download(server + path, tmp_path)

    # then
    assert file.parent == tmp_path
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize(("path", "status"), [("/absent.csv", "404"), ("/error", "500")])
def test_an_answer_that_is_an_error_is_told_with_the_address(server: str, tmp_path: Path, path: str, status: str):
    # then
    with pytest.raises(SourceError, match=f"{server}{path}: can't be downloaded: {status}"):
        download(server + path, tmp_path)


def test_a_download_that_breaks_off_is_an_error(server: str, tmp_path: Path):
    # then
    with pytest.raises(SourceError, match=r"breaks-off.csv: can't be downloaded"):
        download(f"{server}/breaks-off.csv", tmp_path)


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    # then
    with pytest.raises(SourceError, match=f"127.0.0.1:{port}/x.csv: can't be downloaded"):
        download(f"http://127.0.0.1:{port}/x.csv", tmp_path)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://127.0.0.1:port/x.csv"])
def test_an_address_that_is_none_is_an_error(tmp_path: Path, url: str):
    # then
    with pytest.raises(SourceError, match="can't be downloaded"):
        download(url, tmp_path)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"ETag": '"1"', "Last-Modified": "yesterday", "Content-Length": "5"}, ['"1"']),
        ({"Last-Modified": "yesterday", "Content-Length": "5"}, ["yesterday", "5"]),
        ({"Last-Modified": "yesterday"}, None),
        ({"Content-Length": "5"}, None),
        ({}, None),
    ],
    ids=["tag", "time and size", "time", "size", "nothing"],
)
def test_the_version_is_the_tag_else_the_time_with_the_size(
    server: str, told_headers: dict[str, str], headers: dict[str, str], told: list[str] | None
):
    # given
    told_headers.update(headers)

    # then
    assert version_told_by_server(f"{server}/told.csv") == told


def test_the_version_is_told_by_the_place_that_a_file_has_moved_to(server: str, told_headers: dict[str, str]):
    # given
    told_headers["ETag"] = '"1"'

    # then
    assert version_told_by_server(f"{server}/moved") == ['"1"']


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_that_does_not_answer_such_questions_tells_no_version(server: str, status: int):
    # then
    assert version_told_by_server(f"{server}/refused/{status}.csv") is None


@pytest.mark.parametrize(("path", "status"), [("/absent.csv", "404"), ("/error", "500")])
def test_a_version_of_what_is_not_there_is_an_error_with_the_address(server: str, path: str, status: str):
    # then
    with pytest.raises(SourceError, match=f"{server}{path}: can't be reached: {status}"):
        version_told_by_server(server + path)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://127.0.0.1:port/x.csv"])
def test_a_version_at_an_address_that_is_none_is_an_error(url: str):
    # then
    with pytest.raises(SourceError, match="can't be reached"):
        version_told_by_server(url)


CANARY = "c4n4ry"
GIVEN_UP = "can't be downloaded: (not here after 1 seconds|no answer in time)"


def zipped(content: bytes) -> Answer:
    packed = gzip.compress(content)
    return Answer(headers={"Content-Encoding": "gzip", "Content-Length": str(len(packed))}, body=packed)


def in_chunks(pieces: Iterable[bytes], pause: float = 0) -> Answer:
    def write(wire: Wire) -> None:
        for piece in pieces:
            wire.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            time.sleep(pause)
        wire.write(b"0\r\n\r\n")

    return Answer(headers={"Transfer-Encoding": "chunked"}, body=write)


@pytest.mark.parametrize(
    "answer",
    [zipped(CONTENT), in_chunks([CONTENT[:7], CONTENT[7:]]), Answer(body=CONTENT)],
    ids=["packed", "in chunks", "of no announced size"],
)
def test_the_ways_in_which_a_file_is_sent_make_no_difference(tmp_path: Path, answer: Answer):
    # given
    with serving(lambda _: answer) as served:
        # then
        assert download(f"{served.url}/x.csv", tmp_path).read_bytes() == CONTENT


def test_a_packed_answer_that_is_empty_is_an_empty_file(tmp_path: Path):
    # given
    with serving(lambda _: zipped(b"")) as served:
        # then
        assert download(f"{served.url}/x.csv", tmp_path).read_bytes() == b""


def test_a_file_of_as_many_bytes_as_allowed_is_brought(tmp_path: Path):
    # given
    with serving(lambda _: Answer(body=CONTENT)) as served:
        # then
        assert download(f"{served.url}/x.csv", tmp_path, Limits(max_bytes=len(CONTENT))).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers={"Content-Length": str(10**12)}),
        Answer(headers={"Content-Length": str(len(CONTENT))}, body=CONTENT),
        Answer(body=CONTENT),
        in_chunks([CONTENT]),
        zipped(CONTENT),
    ],
    ids=["announced", "announced and sent", "of no announced size", "in chunks", "packed"],
)
def test_a_file_that_is_too_large_is_refused(tmp_path: Path, answer: Answer):
    # given
    told = (
        rf"x.csv: can't be downloaded: it is larger than {len(CONTENT) - 1:,} bytes; .* raise MARVEL_SOURCE_MAX_BYTES"
    )

    # then
    with serving(lambda _: answer) as served, pytest.raises(SourceError, match=told):
        download(f"{served.url}/x.csv", tmp_path, Limits(max_bytes=len(CONTENT) - 1))


def hasty(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def test_a_server_that_trickles_is_given_up(tmp_path: Path):
    # given
    answer = in_chunks(hasty(b"x"), pause=0.05)

    # then
    with serving(lambda _: answer) as served, pytest.raises(SourceError, match=GIVEN_UP):
        download(f"{served.url}/x.csv", tmp_path, Limits(max_seconds=1))


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path):
    # given
    over = Event()
    answer = Answer(headers={"Content-Length": "5"}, body=lambda _: over.wait(60))

    # then
    with serving(lambda _: answer) as served, pytest.raises(SourceError, match=GIVEN_UP):
        download(f"{served.url}/x.csv", tmp_path, Limits(max_seconds=1))
    over.set()


def test_a_server_that_trickles_its_headers_is_given_up(tmp_path: Path):
    # given
    def trickle(listening: socket.socket) -> None:
        with suppress(OSError), listening.accept()[0] as connection:
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                connection.send(bytes([byte]))
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=trickle, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]

        # then
        with pytest.raises(SourceError, match=r"can't be downloaded: not here after 1 seconds"):
            download(f"http://127.0.0.1:{port}/x.csv", tmp_path, Limits(max_seconds=1))


def everything_told(error: BaseException | None) -> str:
    """Of the error and all that led to it, shown or not: other tools print what a traceback leaves out."""
    if error is None:
        return ""
    told = "".join(traceback.format_exception(error)) + repr(error)
    return told + everything_told(error.__cause__) + everything_told(error.__context__)


@pytest.mark.parametrize(
    "path", ["absent.csv", "error", "moved-away", "breaks-off.csv", "to-a-secret", "odd", "\x00", "no-gzip"]
)
@pytest.mark.parametrize("ask", [download, version_told_by_server])
def test_no_error_shows_the_secrets_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, ask: Callable[..., object]
):
    # given
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    answers = {
        "/error": Answer(500),
        "/moved-away": redirect(f"http://127.0.0.1:1/x?token={CANARY}"),
        "/to-a-secret": redirect(f"ftp://{CANARY}@127.0.0.1/x"),
        "/breaks-off.csv": Answer(headers={"Content-Length": "9"}, body=b"x"),
        "/no-gzip": Answer(headers={"Content-Encoding": "gzip"}, body=b"x" * 100),
        "/odd": Answer(999, {"Content-Length": CANARY}),
    }

    with serving(lambda asked: answers.get(asked.partition("?")[0], Answer(404))) as served:
        url = f"http://user:{CANARY}@127.0.0.1:{served.port}/{path}?token={CANARY}#{CANARY}"
        arguments = (tmp_path,) if ask is download else ()

        # when
        if ask is version_told_by_server and path in {"breaks-off.csv", "no-gzip"}:
            assert ask(url) is None
            return
        with pytest.raises(SourceError) as refused:
            ask(url, *arguments)

    # then
    assert CANARY not in everything_told(refused.value)
    assert f"127.0.0.1:{served.port}/" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{CANARY}@nowhere.invalid/x.csv?{CANARY}",
        f"http://user:{CANARY}/{CANARY}@127.0.0.1:1/x.csv",
        f"http://{CANARY}@[::1",
        f"http://{CANARY}@",
        f"http://127.0.0.1:1/x?{CANARY}",
        f"http:///{'x' * 10}?{CANARY}",
    ],
)
def test_no_error_of_an_address_shows_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str):
    # given
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,nowhere.invalid")

    # when
    with pytest.raises(SourceError) as refused:
        download(url, tmp_path)

    # then
    assert CANARY not in everything_told(refused.value)


def test_a_disk_that_is_full_is_told_with_the_address(tmp_path: Path):
    # given: a device on which nothing has room
    (tmp_path / "download").symlink_to("/dev/full")
    told = r"x.csv: can't be downloaded: No space left on device"

    # then
    with serving(lambda _: Answer(body=CONTENT)) as served, pytest.raises(SourceError, match=told):
        download(f"{served.url}/x.csv", tmp_path)
