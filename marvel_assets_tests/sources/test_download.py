"""Downloads from a real server on this machine."""

import socket
from pathlib import Path

import pytest

from marvel_assets.sources.download import download, version_told_by_server
from marvel_assets.sources.errors import SourceError
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
