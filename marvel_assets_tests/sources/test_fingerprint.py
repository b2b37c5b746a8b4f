"""A glance that tells whether a source may have changed."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.fingerprint import fingerprint
from marvel_assets_tests.sources.conftest import CONTENT


def look(setting: str | Path, seed: int = 5) -> str | None:
    return fingerprint(str(setting), generator_rows=100, generator_seed=seed)


def test_a_file_left_alone_looks_the_same(tmp_path: Path):
    # given
    file = tmp_path / "a.csv"
    file.write_bytes(CONTENT)

    # then
    assert look(file) == look(file)


def test_a_file_of_the_same_size_and_time_that_took_its_place_looks_changed(tmp_path: Path):
    # given
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_bytes(b"1")
    other.write_bytes(b"2")
    for each in (file, other):
        os.utime(each, (1, 1))
    before = look(file)

    # when
    other.replace(file)

    # then
    assert look(file) != before


def test_a_folder_with_another_file_looks_changed(tmp_path: Path):
    # given
    (tmp_path / "a.csv").write_bytes(CONTENT)
    before = look(tmp_path)

    # when
    (tmp_path / "b.csv").write_bytes(CONTENT)

    # then
    assert look(tmp_path) != before


def test_a_delta_table_with_another_version_looks_changed(tmp_path: Path):
    # given
    write_deltalake(tmp_path / "table", pa.table({"Name": ["Anna"]}))
    before = look(tmp_path / "table")

    # when
    write_deltalake(tmp_path / "table", pa.table({"Name": ["Ben"]}), mode="append")

    # then
    assert look(tmp_path / "table") != before


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("tagged.csv", 'ETag:"one":5'),
        ("dated.csv", "Last-Modified:Mon, 02 Nov 2026 06:00:00 GMT:"),
        ("plain.csv", None),
        ("without-head.csv", None),
    ],
)
def test_a_url_is_known_by_what_its_server_tells(server: str, page: str, told: str | None):
    assert look(f"{server}/{page}") == told


def test_a_server_that_is_gone_is_told():
    with pytest.raises(SourceError, match=r"http://127.0.0.1:1/a.csv: can't be reached"):
        look("http://127.0.0.1:1/a.csv")


def test_the_generator_is_known_by_size_and_seed():
    assert look("generated") == look("generated") != look("generated", seed=6)


def test_a_file_that_is_gone_is_told(tmp_path: Path):
    with pytest.raises(SourceError, match="no such file or folder"):
        look(tmp_path / "absent.csv")


def test_of_kaggle_only_the_content_can_tell():
    assert look("kaggle:owner/dataset") is None
