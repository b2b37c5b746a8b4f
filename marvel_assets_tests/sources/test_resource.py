"""The resource: which source is meant, what a cheap look at it notices, and that nothing stays behind."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from deltalake import write_deltalake

from marvel_assets.config import Generator, ProjectConfig
from marvel_assets.datasets.base import load_dataset
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.graph import run_graph, succeeded
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.sources.conftest import characters, folder_of

CONFIG = ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml").model_copy(
    update={"generator": Generator(rows=100, seed=5)}
)
WITHOUT_SOURCE = CONFIG.model_copy(update={"dataset": replace(load_dataset("marvel_wikia_2014"), default_source=None)})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell without MARVEL_SOURCE, which asks servers of this machine without a proxy."""
    monkeypatch.delenv("MARVEL_SOURCE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def sources(tmp_path: Path) -> SourceResource:
    return SourceResource(scratch=str(tmp_path / "scratch"), last_read=str(tmp_path / "source.json"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (None, "MARVEL_SOURCE is not set, and the data set marvel_wikia_2014 has no default source"),
        ("generated", "The data set marvel_wikia_2014 has no generator"),
    ],
)
def test_a_data_set_without_a_source_of_its_own_asks_for_one(
    sources: SourceResource, setting: str | None, message: str
):
    # then
    with pytest.raises(SourceError, match=message):
        sources.fingerprint(setting, WITHOUT_SOURCE)


def test_what_was_brought_is_deleted(sources: SourceResource):
    # when
    with serving(lambda _: Answer(body=b"a")) as served, sources.located(f"{served.url}/a.csv", CONFIG) as source:
        assert source.digest

    # then
    assert list(Path(sources.scratch).iterdir()) == []


def read_once(sources: SourceResource, setting: str | None) -> str:
    """The label of the source that a run reads."""
    with sources.located(setting, CONFIG) as source:
        return source.label


def test_where_no_source_is_named_the_last_one_is_read_again_from_wherever_it_is_called(
    sources: SourceResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    read_once(sources, "a.csv")
    before = sources.fingerprint("a.csv", CONFIG)

    # when
    monkeypatch.chdir("/")

    # then
    assert sources.fingerprint(None, CONFIG) == before
    assert read_once(sources, None) == f"{tmp_path}/a.csv"

    # when: generated characters are requested
    read_once(sources, "generated")

    # then
    assert read_once(sources, None).startswith("generated (")


def test_a_path_may_begin_at_the_users_folder(sources: SourceResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    (tmp_path / "a.csv").touch()
    monkeypatch.setenv("HOME", str(tmp_path))

    # then
    assert read_once(sources, "~/a.csv") == f"{tmp_path}/a.csv"


@pytest.mark.parametrize("setting", ["absent.csv", "~nobody-here/x.csv", "s3://bucket/x.csv", "file:///etc/passwd"])
def test_what_is_no_source_is_reported_with_what_is(
    sources: SourceResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
):
    # given
    monkeypatch.chdir(tmp_path)

    # then
    message = f"{setting}: no such file or folder that this user can read (relative to {tmp_path}); set MARVEL_SOURCE "
    with pytest.raises(SourceError, match=re.escape(message)):
        read_once(sources, setting)


def test_a_source_that_could_not_be_read_is_not_kept(sources: SourceResource):
    # given
    with pytest.raises(SourceError):
        read_once(sources, "/not/there.csv")

    # then
    assert read_once(sources, None).startswith("generated (")


def test_an_address_that_may_hold_a_secret_is_asked_for_again(sources: SourceResource):
    # given
    with serving(lambda _: Answer(body=b"a")) as served:
        read_once(sources, f"{served.url}/a.csv?token=c4n4ry")

    # then
    assert "c4n4ry" not in Path(sources.last_read).read_text()
    with pytest.raises(SourceError, match=r"/a.csv\?…: .* Set MARVEL_SOURCE to it again, or to 'generated'"):
        read_once(sources, None)


def test_the_secrets_of_an_address_are_nowhere_in_what_a_run_leaves(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    # given
    canary = "c4n4ry"
    rows = characters("a", "b").to_csv(index=False).encode()
    with serving(lambda _: Answer(200, {"ETag": '"1"'}, rows)) as served:
        monkeypatch.setenv("MARVEL_SOURCE", f"http://user:{canary}@127.0.0.1:{served.port}/x.csv?token={canary}")

        # when
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            succeeded(run_graph(home, instance=instance, select="raw_characters"))

    # then: neither printed, nor in Dagster's events and logs, nor in Delta's log
    printed = "".join(capfd.readouterr())
    assert f"http://127.0.0.1:{served.port}/x.csv?…" in printed
    assert canary not in printed
    files = [file.read_bytes() for file in home.root.rglob("*") if file.is_file()]
    assert any(served.url.encode() in content for content in files)
    assert not any(canary.encode() in content for content in files)


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


def swap(file: Path) -> None:
    """Put another file of the same size and time in the file's place."""
    other = Path(shutil.copy2(file, file.with_suffix(".new")))
    other.replace(file)


def make_anew(table: Path) -> None:
    shutil.rmtree(table)
    write_deltalake(table, characters("a"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *[("file", change) for change in (touch, swap, lambda file: touch(file, b"longer", later=0))],
        ("folder", lambda folder: touch(folder / "b.csv")),
        ("folder", lambda folder: (folder / "c.csv").write_bytes(b"c")),
        ("folder", lambda folder: (folder / "a.csv").unlink()),
        ("table", lambda table: write_deltalake(table, characters("b"), mode="append")),
        ("table", make_anew),
    ],
)
def test_what_is_untouched_looks_the_same_and_a_change_is_noticed(
    sources: SourceResource, deliveries: Path, name: str, change: Callable[[Path], object]
):
    def look(path: Path) -> str:
        return sources.fingerprint(str(path), CONFIG)

    # given
    before = look(deliveries / name)
    for ignored in ("readme.txt", ".upload.csv"):
        (deliveries / "folder" / ignored).write_bytes(b"x")
    assert look(deliveries / name) == before

    # when
    change(deliveries / name)

    # then
    assert look(deliveries / name) != before


def test_a_url_is_known_by_the_version_that_its_server_names_and_no_secret_is_kept(sources: SourceResource):
    # given
    headers = {"ETag": '"1"'}
    with serving(lambda _: Answer(headers=headers)) as served:
        url = f"{served.url}/x.csv?token=secret"
        before = sources.fingerprint(url, CONFIG)

        # then
        assert sources.fingerprint(url, CONFIG) == before
        assert re.fullmatch("[0-9a-f]{32}", before)

        # when
        headers["ETag"] = '"2"'

        # then
        assert sources.fingerprint(url, CONFIG) != before


@pytest.fixture
def set_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def test_a_source_without_a_version_looks_new_each_day(sources: SourceResource, set_time_zone: Callable[[str], None]):
    # when: the last time zone is 26 hours ahead, so that it is another day there
    found = []
    for zone in ("UTC+12", "UTC+12", "UTC-14"):
        set_time_zone(zone)
        found.append(sources.fingerprint("kaggle:owner/dataset", CONFIG))

    # then
    assert found[0] == found[1] != found[2]


def test_the_generator_is_known_by_its_rows_and_seed(sources: SourceResource):
    # when
    configs = [
        CONFIG.model_copy(update={"generator": Generator(rows=rows, seed=seed)})
        for rows, seed in ((100, 5), (100, 5), (101, 5), (100, 6), (1, 11), (11, 1))
    ]
    fingerprints = [sources.fingerprint("generated", config) for config in configs]

    # then
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 5
