"""Kaggle, out of reach: the error says what to do instead. Each case runs in a process without credentials."""

from pathlib import Path

import pytest

from marvel_assets_tests.commands import python, succeeded

HANDLE = "mohitbansal31s/marvel-characters"
NOWHERE = "http://127.0.0.1:9"
PROGRAM = """
import sys
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.kaggle import download_dataset
try:
    print(download_dataset(sys.argv[1]))
except SourceError as error:
    print("SourceError", error)
"""


def answer(folder: Path, handle: str) -> str:
    """What comes of a download through a proxy that is not there, with an empty cache unless the folder has one."""
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
    }
    return succeeded(python("-c", PROGRAM, handle, **surroundings)).stdout.strip().splitlines()[-1]


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
