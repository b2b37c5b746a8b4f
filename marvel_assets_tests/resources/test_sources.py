"""The resource: which source is meant, and that nothing stays behind."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.home import Home
from marvel_assets.resources.sources import SourceDigest, Sources
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.fingerprint import fingerprint
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets_tests.commands import materialize
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.sources.conftest import characters, folder_of

GENERATOR = {"generator_rows": 100, "generator_seed": 5}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    folder = folder_of(tmp_path / "deliveries", {"a.csv": b"a", "b.csv": b"b"})
    return Sources(default=str(folder), scratch=str(tmp_path / "scratch"))


def test_the_fingerprint_is_that_of_the_default_where_no_source_is_named(sources: Sources):
    # then
    assert sources.fingerprint(None, **GENERATOR) == fingerprint(sources.default, **GENERATOR)


def test_the_fingerprint_is_that_of_the_source_that_is_named(sources: Sources):
    # then
    assert sources.fingerprint("generated", **GENERATOR) == fingerprint("generated", **GENERATOR)


def test_a_look_writes_nothing(sources: Sources, tmp_path: Path):
    # given
    before = sorted(tmp_path.rglob("*"))

    # when
    sources.fingerprint("generated", **GENERATOR)

    # then
    assert sorted(tmp_path.rglob("*")) == before


def test_the_digest_is_that_of_the_located_default(sources: Sources):
    # when
    told = sources.digest(None, **GENERATOR)

    # then
    with sources.located(None, **GENERATOR) as source:
        assert told == SourceDigest(sources.default, source.digest)


def test_the_digest_of_the_source_that_is_named_comes_with_its_label(sources: Sources, tmp_path: Path):
    # given
    write_deltalake(tmp_path / "table", characters("a"))
    identity = DeltaTable(tmp_path / "table").metadata().id

    # when
    told = sources.digest(str(tmp_path / "table"), **GENERATOR)

    # then
    assert told == SourceDigest(f"{tmp_path}/table@v0", f"delta:{identity}@0")


def test_the_digest_of_the_generator_depends_on_rows_and_seed(sources: Sources, tmp_path: Path):
    # then
    assert sources.digest("generated", **GENERATOR).digest == GeneratedSource(100, 5, tmp_path).digest


def test_what_was_brought_for_a_digest_is_deleted(sources: Sources, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = partial(SimpleHTTPRequestHandler, directory=sources.default)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()

        # when
        sources.digest(f"http://127.0.0.1:{listening.server_port}/a.csv", **GENERATOR)
        listening.shutdown()

    # then
    assert list(Path(sources.scratch).iterdir()) == []


def test_a_source_that_is_not_there_has_no_digest(sources: Sources):
    # then
    with pytest.raises(SourceError, match=r"/not/there.csv: no such file or folder"):
        sources.digest("/not/there.csv", **GENERATOR)


def test_the_default_is_what_the_environment_names_and_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given: pages show a resource's settings, and an address may hold secrets
    folder = folder_of(tmp_path / "named", {"a.csv": b"a"})
    monkeypatch.setenv("MARVEL_SOURCE", str(folder))
    sources = Sources(scratch=str(tmp_path / "scratch"))

    # then
    assert sources.digest(None, **GENERATOR).label == str(folder)
    assert str(folder) not in repr(sources)


@pytest.mark.parametrize("ask", ["digest", "fingerprint"])
def test_the_limits_of_the_environment_hold(sources: Sources, monkeypatch: pytest.MonkeyPatch, ask: str):
    # given
    monkeypatch.setenv("MARVEL_SOURCE_HOSTS", "data.example.com")

    # then
    with pytest.raises(SourceError, match=r"127.0.0.1, and MARVEL_SOURCE_HOSTS allows only data.example.com"):
        getattr(sources, ask)("http://127.0.0.1:1/x.csv", **GENERATOR)


@pytest.mark.parametrize("status", [200, 404])
def test_the_secrets_of_an_address_are_nowhere_in_what_a_run_leaves(home: Home, status: int):
    # given
    canary = "c4n4ry"
    rows = characters("a", "b").to_csv(index=False).encode()
    with serving(lambda _: Answer(status, {"ETag": '"1"'}, rows)) as served:
        address = f"http://user:{canary}@127.0.0.1:{served.port}/x.csv?token={canary}"

        # when
        done = materialize("raw_characters", MARVEL_SOURCE=address, NO_PROXY="127.0.0.1")

    # then: neither printed, nor in Dagster's events and logs, nor in Delta's log
    assert (done.returncode == 0) is (status == 200)
    assert f"http://127.0.0.1:{served.port}/x.csv?…" in done.stdout + done.stderr
    assert canary not in done.stdout + done.stderr
    files = [file for file in home.root.rglob("*") if file.is_file()]
    assert any(served.url.encode() in file.read_bytes() for file in files)
    assert [file for file in files if canary.encode() in file.read_bytes()] == []
