"""Downloads from real servers on several addresses of this machine, which stand for hosts, and from Kaggle."""

import gzip
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.remote import download, download_kaggle, remote_version
from marvel_assets.sources.resource import locate
from marvel_assets_tests.servers.scripted import Answer, Served, own_certificate, redirect, serving
from marvel_assets_tests.sources.conftest import CONTENT

FILE = Answer(headers={"Content-Length": str(len(CONTENT)), "ETag": '"1"'}, body=CONTENT)
CHUNKS = Answer(
    headers={"Transfer-Encoding": "chunked"},
    body=b"7\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (CONTENT[:7], len(CONTENT) - 7, CONTENT[7:]),
)
CANARY = "c4n4ry"
HANDLE = "mohitbansal31s/marvel-characters"
Serve = Callable[..., Served]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("HOSTS", "MAX_BYTES", "MAX_SECONDS"):
        monkeypatch.delenv(f"MARVEL_SOURCE_{name}", raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives one answer, or one for each path, on 127.0.0.1 or another host."""
    with ExitStack() as servers:
        yield lambda answers, host="127.0.0.1", **how: servers.enter_context(
            serving(answers if callable(answers) else lambda _: answers, host, **how)
        )


def refusal(url: str, folder: Path, **limits: object) -> str:
    """Why a download is refused, under limits such as ``max_bytes=5``."""
    with pytest.MonkeyPatch.context() as environment:
        for name, limit in limits.items():
            environment.setenv(f"MARVEL_SOURCE_{name.upper()}", str(limit))
        with pytest.raises(SourceError) as refused:
            download(url, folder)
    return str(refused.value)


def zipped(content: bytes) -> Answer:
    packed = gzip.compress(content)
    return Answer(headers={"Content-Encoding": "gzip", "Content-Length": str(len(packed))}, body=packed)


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (FILE, CONTENT),
        (zipped(CONTENT), CONTENT),
        (CHUNKS, CONTENT),
        (Answer(body=CONTENT), CONTENT),
        (zipped(b""), b""),
    ],
    ids=["of an announced size", "packed", "in chunks", "of no announced size", "packed and empty"],
)
def test_the_ways_in_which_a_file_is_sent_make_no_difference_to_what_is_read_and_refused(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, content: bytes
):
    # given
    served = serve(answer)

    # when
    monkeypatch.setenv("MARVEL_SOURCE_MAX_BYTES", str(len(CONTENT)))
    file = download(f"{served.url}/x.csv?token=a/b.parquet", tmp_path)

    # then
    assert (file.parent, file.read_bytes()) == (tmp_path, content)
    if content:
        message = refusal(f"{served.url}/x.csv", tmp_path, max_bytes=len(CONTENT) - 1)
        assert f"x.csv: can't be downloaded: it is larger than {len(CONTENT) - 1:,} bytes" in message
        assert "raise MARVEL_SOURCE_MAX_BYTES" in message


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(tmp_path: Path):
    # given
    over = Event()

    def trickle(listening: socket.socket) -> None:
        with suppress(OSError), listening.accept()[0] as connection:
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while not over.wait(0.05):
                connection.send(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=trickle, args=(listening,), daemon=True).start()

        # when
        message = refusal(f"http://127.0.0.1:{listening.getsockname()[1]}/x.csv", tmp_path, max_seconds=1)
        over.set()

    # then
    assert "it took more than 1 seconds" in message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, {"Content-Length": "0", "ETag": '"1"'}), "the server answered 404"),
        (Answer(203, {"Content-Length": "0", "ETag": '"1"'}), "the server answered 203"),
        (Answer(headers={"Content-Length": "9"}, body=b"x"), "the connection broke off"),
        (Answer(headers={"Transfer-Encoding": "chunked"}, body=b"9\r\nx"), "the connection broke off"),
        (Answer(headers={"Transfer-Encoding": "chunked"}, body=b"1\r\nx\r\n"), "the connection broke off"),
        (redirect("/x.csv"), "TooManyRedirects"),
        (redirect("http://a.example/x.csv"), "MARVEL_SOURCE_HOSTS allows only 127.0.0.1, and not a.example"),
    ],
)
def test_what_can_not_be_downloaded_is_reported_with_the_url_and_the_reason(
    serve: Serve, tmp_path: Path, answer: Answer, reason: str
):
    # given
    url = f"{serve(answer).url}/x.csv"

    # then
    assert refusal(url, tmp_path, hosts="127.0.0.1").startswith(f"{url}: can't be downloaded: {reason}. Check")


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (Answer(headers={"ETag": '"1"', "Last-Modified": "yesterday", "Content-Length": "5"}), ['"1"']),
        (Answer(headers={"Last-Modified": "yesterday", "Content-Length": "5"}), ["yesterday", "5"]),
        (Answer(headers={"Last-Modified": "yesterday"}), None),
        (Answer(headers={"Content-Length": "5"}), None),
    ],
    ids=["tag", "time and size", "time", "size"],
)
def test_the_version_is_the_tag_else_the_time_with_the_size(serve: Serve, answer: Answer, version: list[str] | None):
    # given: a server that redirects to where the file is now
    served = serve(lambda path: answer if path == "/there.csv" else redirect("/there.csv"))

    # then
    assert remote_version(f"{served.url}/x.csv") == version


@pytest.mark.parametrize(
    "url",
    [
        *(
            f"http://user:{CANARY}@127.0.0.1:{{port}}/{path}?token={CANARY}#{CANARY}"
            for path in ("absent.csv", "moved-away", "breaks-off.csv", "to-a-secret", "no-gzip")
        ),
        f"http://user:{CANARY}@nowhere.invalid/x.csv?{CANARY}",
        f"http://user:{CANARY}/{CANARY}@127.0.0.1:1/x.csv",
        f"http://{CANARY}@[::1",
        f"http://{CANARY}@",
        f"http://127.0.0.1:1/x?{CANARY}",
    ],
)
def test_no_error_shows_the_secrets_of_the_url(serve: Serve, tmp_path: Path, url: str):
    # given
    answers = {
        "/moved-away": redirect(f"http://127.0.0.1:1/x?token={CANARY}"),
        "/to-a-secret": redirect(f"ftp://{CANARY}@127.0.0.1/x"),
        "/breaks-off.csv": Answer(headers={"Content-Length": "9"}, body=b"x"),
        "/no-gzip": Answer(headers={"Content-Encoding": "gzip"}, body=b"x" * 100),
    }
    served = serve(lambda asked: answers.get(asked.partition("?")[0], Answer(404)))

    # when
    with pytest.raises(SourceError) as refused:
        download(url.replace("{port}", str(served.port)), tmp_path)

    # then
    assert CANARY not in "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert ("{port}" in url) is (f"127.0.0.1:{served.port}/" in str(refused.value))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_private_host_that_the_user_names_is_asked_and_its_redirects_to_itself_followed(
    serve: Serve, tmp_path: Path, host: str
):
    # given
    served = serve(lambda path: FILE if path == "/there.csv" else redirect("/there.csv"), host)

    # then
    assert download(f"{served.url}/x.csv", tmp_path).read_bytes() == CONTENT
    assert served.paths == ["/x.csv", "/there.csv"]


@pytest.mark.parametrize("host", ["127.0.0.2", "2130706434", "localhost"])
def test_a_redirect_to_another_private_host_is_refused_before_it_is_asked(serve: Serve, tmp_path: Path, host: str):
    # given
    inside = serve(FILE, "127.0.0.1" if host == "localhost" else "127.0.0.2")
    outside = serve(redirect(f"http://{host}:{inside.port}/secret.csv"))

    # then
    message = refusal(f"{outside.url}/x.csv", tmp_path)
    assert f"x.csv: can't be downloaded: the server redirects to {host}, which is not a public address" in message
    assert inside.paths == []
    assert list(tmp_path.iterdir()) == []


def test_https_is_read_where_the_certificate_is_trusted_and_never_left_for_http(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    certificate, plain = own_certificate(tmp_path), serve(FILE)
    away = redirect(f"{plain.url}/x.csv?key=secret")
    secure = serve(lambda path: FILE if path == "/there.csv" else away, certificate=certificate)

    # then
    assert "certificate" in refusal(f"{secure.url}/there.csv", tmp_path).lower()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert download(f"{secure.url}/there.csv", tmp_path).read_bytes() == CONTENT
    assert f"redirects from https: down to {plain.url}/x.csv?…" in refusal(f"{secure.url}/x.csv", tmp_path)
    assert plain.paths == []


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (" a.example , Data.Example.com,", "data.example.com", True),
        ("data.example.com", "DATA.example.com", True),
        ("data.example.com", "example.com", False),
        ("example.com", "data.example.com", False),
        ("example.com", "notexample.com", False),
        ("example.com", "example.com@notexample.com", False),
    ],
)
def test_hosts_are_compared_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: str, host: str, *, allowed: bool
):
    # given: a proxy that is not there
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")

    # then
    message = refusal(f"http://{host}/x.csv", tmp_path, hosts=hosts)
    assert ("MARVEL_SOURCE_HOSTS allows only" in message) is not allowed


@pytest.mark.parametrize(("variable", "value"), [("MAX_BYTES", "2GB"), ("MAX_BYTES", "0"), ("MAX_SECONDS", "1e9")])
def test_a_limit_that_can_not_be_used_is_reported_with_its_variable(tmp_path: Path, variable: str, value: str):
    # then
    message = refusal("http://127.0.0.1:1/x.csv", tmp_path, **{variable: value})
    assert message == f"MARVEL_SOURCE_{variable} is {value!r}; expected a whole number above 0."


@pytest.fixture
def kaggle_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """kagglehub's empty folder; Kaggle is behind a proxy that is not there, and there are no credentials."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.setenv(name, "")
    for name in ("KAGGLEHUB_CACHE", "KAGGLE_CONFIG_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("kaggle_cache")
def test_an_error_of_kaggle_names_the_data_set_and_the_credentials():
    # then
    with pytest.raises(SourceError, match=rf"kaggle:{HANDLE}: can't be downloaded \(.* credentials \(KAGGLE_API_TOKEN"):
        download_kaggle(HANDLE)


def test_a_data_set_of_kaggle_is_read_as_a_folder(kaggle_cache: Path):
    # given: a data set that kagglehub has downloaded before
    files = kaggle_cache / "datasets" / HANDLE / "versions" / "1"
    files.mkdir(parents=True)
    for file in ("readme.txt", "marvel.csv", "../1.complete", "../../1.complete"):
        (files / file).touch()

    # when
    source = locate(f"kaggle:{HANDLE}/versions/1", kaggle_cache, DATASET, Generator())

    # then
    assert source.files == {files / "marvel.csv": f"kaggle:{HANDLE}/versions/1/marvel.csv"}
    assert source.skipped == "readme.txt"
