"""What a cheap look notices, and what it leaves alone."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import write_deltalake

from marvel_assets.config import Generator, ProjectConfig
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.sources.conftest import characters, folder_of

CONFIG = ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml")


def look(setting: object, rows: int = 100, seed: int = 5) -> str:
    config = CONFIG.model_copy(update={"generator": Generator(rows=rows, seed=seed)})
    return SourceResource(scratch=os.devnull, last_read=os.devnull).fingerprint(str(setting), config)


@pytest.fixture
def deliveries(tmp_path: Path) -> Path:
    """A file, a folder of files, and a Delta table."""
    folder_of(tmp_path / "folder", {"a.csv": b"a", "b.csv": b"b"})
    (tmp_path / "file").write_bytes(b"old")
    write_deltalake(tmp_path / "table", characters("a"))
    return tmp_path


def touch(file: Path, content: bytes | None = None, later: int = 1) -> None:
    """Give the file another time of change, however fast the test runs, or other content at the same time."""
    changed = file.stat().st_mtime_ns + later
    if content is not None:
        file.write_bytes(content)
    os.utime(file, ns=(changed, changed))


def replace(file: Path) -> None:
    """Put another file of the same size and time in the file's place."""
    other = Path(shutil.copy2(file, file.with_suffix(".new")))
    other.replace(file)


def make_anew(table: Path) -> None:
    shutil.rmtree(table)
    write_deltalake(table, characters("a"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *[("file", change) for change in (touch, replace, lambda file: touch(file, b"longer", later=0))],
        ("folder", lambda folder: touch(folder / "b.csv")),
        ("folder", lambda folder: (folder / "c.csv").write_bytes(b"c")),
        ("folder", lambda folder: (folder / "a.csv").unlink()),
        ("table", lambda table: write_deltalake(table, characters("b"), mode="append")),
        ("table", make_anew),
    ],
)
def test_what_is_untouched_looks_the_same_and_a_change_is_noticed(
    deliveries: Path, name: str, change: Callable[[Path], object]
):
    # given
    before = look(deliveries / name)
    for ignored in ("readme.txt", ".upload.csv"):
        (deliveries / "folder" / ignored).write_bytes(b"x")
    assert look(deliveries / name) == before

    # when
    change(deliveries / name)

    # then
    assert look(deliveries / name) != before


def test_a_url_is_known_by_the_version_that_its_server_names_and_no_secret_is_kept():
    # given
    headers = {"ETag": '"1"'}
    with serving(lambda _: Answer(headers=headers)) as served:
        url = f"{served.url}/x.csv?token=secret"
        before = look(url)

        # then
        assert look(url) == before
        assert re.fullmatch("[0-9a-f]{64}", before)

        # when
        headers["ETag"] = '"2"'

        # then
        assert look(url) != before


@pytest.fixture
def set_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def test_a_source_without_a_version_looks_new_each_day_and_a_pinned_version_never(
    set_time_zone: Callable[[str], None],
):
    # when: the second time zone is 26 hours ahead, so that it is another day there
    looks = []
    for zone in ("UTC+12", "UTC+12", "UTC-14"):
        set_time_zone(zone)
        looks.append([look("kaggle:owner/dataset"), look("kaggle:owner/dataset/versions/3")])

    # then
    assert looks[0] == looks[1]
    assert looks[1][0] != looks[2][0]
    assert looks[1][1] == looks[2][1] != look("kaggle:owner/dataset/versions/4")


def test_the_generator_is_known_by_its_rows_and_seed():
    # then
    looks = [look("generated", *given) for given in ((100, 5), (100, 5), (101, 5), (100, 6), (1, 11), (11, 1))]
    assert looks[0] == looks[1]
    assert len(set(looks)) == 5
