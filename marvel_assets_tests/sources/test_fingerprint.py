"""What a cheap look notices, and what it leaves alone."""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.config import Generator
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.locate import fingerprint
from marvel_assets_tests.sources.conftest import ANSWERS_AFTER_SECONDS, characters, folder_of


def look(setting: object, rows: int = 100, seed: int = 5, seconds: float = 10) -> str | None:
    return fingerprint(str(setting), Generator(rows=rows, seed=seed), seconds=seconds)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "characters.csv"
    path.write_bytes(b"old")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "deliveries", {"a.csv": b"a", "b.csv": b"b"})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_deltalake(tmp_path / "table", characters("a"))
    return tmp_path / "table"


def touch(file: Path) -> None:
    """Give the file another time of change, however fast the test runs."""
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def replace(file: Path) -> None:
    """Put another file of the same size and time in the file's place."""
    state = file.stat()
    other = file.with_suffix(".new")
    other.write_bytes(b"x" * state.st_size)
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(file)


def longer(file: Path) -> None:
    """Append to the file and leave its time of change as it was."""
    state = file.stat()
    file.write_bytes(file.read_bytes() + b"more")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("fixture", ["file", "folder", "table"])
def test_what_nobody_touched_looks_the_same(request: pytest.FixtureRequest, fixture: str):
    # given
    path = request.getfixturevalue(fixture)

    # then
    assert look(path) == look(path) is not None


@pytest.mark.parametrize("change", [touch, replace, longer])
def test_a_changed_file_is_noticed(file: Path, change: Callable[[Path], None]):
    # given
    before = look(file)

    # when
    change(file)

    # then
    assert look(file) != before


def test_a_file_is_not_read_whole(file: Path):
    # given
    os.truncate(file, 64 << 30)

    # then
    assert look(file, seconds=5) is not None


def test_another_file_of_the_same_content_looks_different(file: Path, tmp_path: Path):
    # given
    shutil.copy2(file, tmp_path / "copy.csv")

    # then
    assert look(tmp_path / "copy.csv") != look(file)


@pytest.mark.parametrize("change", [touch, replace, longer])
def test_a_changed_file_of_a_folder_is_noticed(folder: Path, change: Callable[[Path], None]):
    # given
    before = look(folder)

    # when
    change(folder / "b.csv")

    # then
    assert look(folder) != before


def test_a_new_file_in_a_folder_is_noticed(folder: Path):
    # given
    before = look(folder)

    # when
    (folder / "c.csv").write_bytes(b"c")

    # then
    assert look(folder) != before


def test_a_file_that_left_a_folder_is_noticed(folder: Path):
    # given
    before = look(folder)

    # when
    (folder / "a.csv").unlink()

    # then
    assert look(folder) != before


def test_a_file_of_a_folder_under_a_new_name_is_noticed(folder: Path):
    # given
    before = look(folder)

    # when
    (folder / "b.csv").rename(folder / "c.csv")

    # then
    assert look(folder) != before


def test_files_of_a_folder_that_are_not_read_do_not_count(folder: Path):
    # given
    before = look(folder)

    # when
    for name in ("readme.txt", ".upload.csv"):
        (folder / name).write_bytes(b"x")

    # then
    assert look(folder) == before


def test_a_new_version_of_a_delta_table_is_noticed(table: Path):
    # given
    before = look(table)

    # when
    write_deltalake(table, characters("b"), mode="append")

    # then
    assert look(table) != before


def test_a_delta_table_that_was_made_anew_is_noticed(table: Path):
    # given
    before = look(table)

    # when
    shutil.rmtree(table)
    write_deltalake(table, characters("a"))

    # then
    assert DeltaTable(table).version() == 0
    assert look(table) != before


@pytest.mark.parametrize(
    "headers", [{"ETag": '"1"'}, {"Last-Modified": "Monday", "Content-Length": "5"}], ids=["tag", "time and size"]
)
def test_a_url_whose_version_stays_looks_the_same(server: str, told_headers: dict[str, str], headers: dict[str, str]):
    # given
    told_headers.update(headers)

    # then
    assert look(f"{server}/told.csv") == look(f"{server}/told.csv") is not None


@pytest.mark.parametrize(
    ("headers", "changed"),
    [
        ({"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"Last-Modified": "Monday", "Content-Length": "5"}, {"Last-Modified": "Tuesday"}),
        ({"Last-Modified": "Monday", "Content-Length": "5"}, {"Content-Length": "6"}),
    ],
    ids=["tag", "time", "size"],
)
def test_a_url_with_another_version_is_noticed(
    server: str, told_headers: dict[str, str], headers: dict[str, str], changed: dict[str, str]
):
    # given
    told_headers.update(headers)
    before = look(f"{server}/told.csv")

    # when
    told_headers.update(changed)

    # then
    assert look(f"{server}/told.csv") != before


def test_a_url_of_unknown_version_has_none(server: str):
    # then
    assert look(f"{server}/told.csv") is None


def test_secrets_of_an_address_are_not_kept(server: str, told_headers: dict[str, str]):
    # given
    told_headers["ETag"] = '"1"'

    # then
    assert re.fullmatch("[0-9a-f]{64}", str(look(f"{server}/told.csv?token=secret")))


def test_a_version_of_kaggles_data_set_looks_the_same():
    # then
    assert look("kaggle:owner/dataset/versions/3") == look("kaggle:owner/dataset/versions/3") is not None


def test_another_version_of_kaggles_data_set_looks_different():
    # then
    assert look("kaggle:owner/dataset/versions/3") != look("kaggle:owner/dataset/versions/4")


def test_the_generator_looks_the_same():
    # then
    assert look("generated") == look("generated") is not None


@pytest.mark.parametrize(("rows", "seed"), [(101, 5), (100, 6)])
def test_the_generator_with_other_rows_or_another_seed_is_noticed(rows: int, seed: int):
    # then
    assert look("generated", rows, seed) != look("generated")


@pytest.mark.parametrize("fixture", ["file", "folder", "table"])
def test_what_is_gone_is_told(request: pytest.FixtureRequest, fixture: str):
    # given
    path = request.getfixturevalue(fixture)
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    # then
    with pytest.raises(SourceError, match=re.escape(f"{path}: no such file or folder")):
        look(path)


def test_a_folder_that_was_emptied_is_told(folder: Path):
    # given
    for file in folder.iterdir():
        file.unlink()

    # then
    with pytest.raises(SourceError, match="the folder holds neither"):
        look(folder)


def test_a_file_of_a_folder_that_leads_nowhere_is_named(folder: Path):
    # given
    (folder / "c.csv").symlink_to(folder / "gone")

    # then
    with pytest.raises(SourceError, match=re.escape(f"{folder}: c.csv can't be looked at: No such file")):
        look(folder)


def test_a_url_that_is_gone_is_told(server: str):
    # then
    with pytest.raises(SourceError, match=f"{server}/absent.csv: can't be reached: the server answered 404"):
        look(f"{server}/absent.csv")


def test_an_unknown_scheme_is_told():
    # then
    with pytest.raises(SourceError, match=r"s3://bucket/x.csv: sources are read from a file"):
        look("s3://bucket/x.csv")


def test_a_server_that_takes_too_long_is_not_waited_for(server: str):
    # given
    started = time.monotonic()

    # then
    with pytest.raises(SourceError, match=re.escape(f"{server}/slow.csv: no answer within 0.2 seconds")):
        look(f"{server}/slow.csv", seconds=0.2)
    assert time.monotonic() - started < ANSWERS_AFTER_SECONDS
