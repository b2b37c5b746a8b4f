"""The resource: which source is meant, and that nothing stays behind."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.config import Generator, ProjectConfig
from marvel_assets.datasets.base import load_dataset
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.graph import run_graph, succeeded
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.sources.conftest import characters

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
def sources(home: ProjectPaths) -> SourceResource:
    return SourceResource(scratch=str(home.scratch), last_read=str(home.last_source))


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

    # when
    monkeypatch.chdir("/")

    # then
    assert read_once(sources, None) == f"{tmp_path}/a.csv"

    # when: generated characters are asked for
    read_once(sources, "generated")

    # then
    assert read_once(sources, None).startswith("generated (")


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
