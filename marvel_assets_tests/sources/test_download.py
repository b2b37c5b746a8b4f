"""Downloads from a real server on this machine."""

import socket
from pathlib import Path

import pytest

from marvel_assets.sources.download import download
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
