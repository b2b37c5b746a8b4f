"""Files in folders."""

from pathlib import Path

import pytest

from marvel_assets.utils.files import list_files


def test_the_files_that_match_are_listed_by_name(tmp_path: Path):
    # given
    for name in ("b.json", "a.json", "a.txt"):
        (tmp_path / name).touch()

    # then
    assert list_files(tmp_path, "*.json") == [tmp_path / "a.json", tmp_path / "b.json"]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path):
    assert list_files(tmp_path / "nowhere", "*") == []


def test_a_folder_that_can_not_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path):
    # given
    (tmp_path / "file").touch()

    # then
    with pytest.raises(NotADirectoryError):
        list_files(tmp_path / "file", "*")
