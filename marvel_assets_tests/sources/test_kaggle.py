"""Kaggle, out of reach or on this machine: what is brought, and what the errors say to do instead."""

from pathlib import Path

import pytest

from marvel_assets.sources.base import SourceError
from marvel_assets.sources.remote import download_kaggle

HANDLE = "mohitbansal31s/marvel-characters"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there, an empty cache, and no credentials."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("handle", "reason"), [(HANDLE, ""), ("no-owner", "ValueError")])
def test_an_error_names_the_data_set_the_credentials_and_the_reason(handle: str, reason: str):
    # when
    with pytest.raises(SourceError) as error:
        download_kaggle(handle)

    # then
    assert str(error.value).startswith(f"kaggle:{handle}: can't be downloaded ({reason}")
    assert "KAGGLE_API_TOKEN" in str(error.value)


def cached(folder: Path, *names: str) -> Path:
    """A data set that kagglehub has downloaded before."""
    files = folder / "cache" / "datasets" / HANDLE / "versions" / "1"
    files.mkdir(parents=True)
    for name in names:
        (files / name).write_text("PageID\n")
    (files.parent / "1.complete").touch()
    (files.parent.parent / "1.complete").touch()
    return files


def test_the_one_csv_file_of_a_data_set_is_taken(tmp_path: Path):
    # given
    files = cached(tmp_path, "marvel.csv", "readme.txt")

    # then
    assert download_kaggle(f"{HANDLE}/versions/1") == files / "marvel.csv"


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"]], ids=["none", "two"])
def test_a_data_set_without_exactly_one_csv_file_is_refused(tmp_path: Path, names: list[str]):
    # given
    cached(tmp_path, "readme.txt", *names)

    # then
    with pytest.raises(SourceError, match=f"expected one CSV file, found {len(names)}"):
        download_kaggle(f"{HANDLE}/versions/1")
