"""Kaggle, out of reach: the error says what to do instead. Each case runs in a process without credentials."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from marvel_assets_tests.commands import python, succeeded

HANDLE = "mohitbansal31s/marvel-characters"
NOWHERE = "http://127.0.0.1:9"
PROGRAM = """
import sys
from marvel_assets.sources.base import SourceError
from marvel_assets.sources import kaggle
try:
    print(getattr(kaggle, sys.argv[1])(sys.argv[2]))
except SourceError as error:
    print("SourceError", error)
"""


def answer(folder: Path, handle: str, function: str = "download_dataset", **environment: str) -> str:
    """What comes of a call through a proxy that is not there, with an empty cache unless the folder has one."""
    surroundings = {
        "HTTPS_PROXY": NOWHERE,
        "https_proxy": NOWHERE,
        "NO_PROXY": "",
        "no_proxy": "",
        "KAGGLEHUB_CACHE": str(folder / "cache"),
        "KAGGLE_CONFIG_DIR": str(folder),
        "HOME": str(folder),
        "KAGGLE_API_TOKEN": "",
        "KAGGLE_USERNAME": "",
        "KAGGLE_KEY": "",
        **environment,
    }
    return succeeded(python("-c", PROGRAM, function, handle, **surroundings)).stdout.strip().splitlines()[-1]


def test_without_network_the_error_tells_credentials_and_the_way_by_hand(tmp_path: Path):
    # when
    told = answer(tmp_path, HANDLE)

    # then
    assert told.startswith(f"SourceError kaggle:{HANDLE}: can't be downloaded (")
    assert "KAGGLE_API_TOKEN" in told
    assert "set MARVEL_SOURCE to its path" in told


@pytest.mark.parametrize("handle", ["", "no-owner", "a/b/c/d/e"])
def test_a_handle_that_is_none_is_told(tmp_path: Path, handle: str):
    # then
    assert answer(tmp_path, handle).startswith(f"SourceError kaggle:{handle}: can't be downloaded (ValueError")


def cached(folder: Path, *names: str) -> Path:
    """A data set that kagglehub has downloaded before."""
    files = folder / "cache" / "datasets" / HANDLE / "versions" / "1"
    files.mkdir(parents=True)
    for name in names:
        (files / name).write_text("PageID\n")
    (files.parent / "1.complete").touch()
    marker = files.parent.parent / "1.complete"
    marker.touch()
    return files


def test_the_one_csv_file_of_a_data_set_is_taken(tmp_path: Path):
    # given
    files = cached(tmp_path, "marvel.csv", "readme.txt")

    # then
    assert answer(tmp_path, f"{HANDLE}/versions/1") == str(files / "marvel.csv")


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"]], ids=["none", "two"])
def test_a_data_set_without_exactly_one_csv_file_is_refused(tmp_path: Path, names: list[str]):
    # given
    cached(tmp_path, "readme.txt", *names)

    # then
    assert f"expected one CSV file, found {len(names)}" in answer(tmp_path, f"{HANDLE}/versions/1")


@contextmanager
def kaggle_on_this_machine(status: int, dataset: dict[str, object]) -> Iterator[dict[str, str]]:
    """The environment in which kagglehub asks a server of the test's own, which knows one data set."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked == dict(zip(("ownerSlug", "datasetSlug"), HANDLE.split("/"), strict=True))
            body = json.dumps(dataset).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is to be printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.server_port}"
        # kagglehub's local environment has a fixed address, which the proxy leads here.
        yield {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": address, "http_proxy": address}
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(("dataset", "told"), [({"currentVersionNumber": 7}, "7"), ({}, "None")], ids=["told", "not"])
def test_the_current_version_is_the_one_that_kaggle_tells(tmp_path: Path, dataset: dict[str, object], told: str):
    # given
    with kaggle_on_this_machine(200, dataset) as environment:
        # then
        assert answer(tmp_path, HANDLE, "current_version", **environment) == told


def test_a_data_set_that_is_gone_is_told(tmp_path: Path):
    # given
    with kaggle_on_this_machine(404, {"message": "gone"}) as environment:
        told = answer(tmp_path, HANDLE, "current_version", **environment)

    # then
    assert told.startswith(f"SourceError kaggle:{HANDLE}: its version can't be asked for (HTTPError: 404")


def test_a_version_that_the_handle_names_is_told_without_asking(tmp_path: Path):
    # then
    assert answer(tmp_path, f"{HANDLE}/versions/3", "current_version") == "3"


def test_without_network_the_error_of_the_version_tells_what_to_check(tmp_path: Path):
    # when
    told = answer(tmp_path, HANDLE, "current_version")

    # then
    assert told.startswith(f"SourceError kaggle:{HANDLE}: its version can't be asked for (")
    assert "KAGGLE_API_TOKEN" in told


@pytest.mark.parametrize("handle", ["", "no-owner"])
def test_a_version_of_a_handle_that_is_none_is_told(tmp_path: Path, handle: str):
    # then
    told = answer(tmp_path, handle, "current_version")
    assert told.startswith(f"SourceError kaggle:{handle}: its version can't be asked for (ValueError")
