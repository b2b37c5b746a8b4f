"""What a JVM of our own is started with."""

from pathlib import Path

import pytest

from marvel_assets.spark.connect_server import serve
from marvel_assets.spark.delta_jars import DELTA_JARS
from marvel_assets.spark.local import LocalJvm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with jars, of which no JVM will be started."""
    made = tmp_path / "spark"
    (made / "jars").mkdir(parents=True)
    for jar in DELTA_JARS:
        (made / "jars" / jar.file_name).touch()
    return made


def provided(folder: Path) -> LocalJvm:
    return LocalJvm.prepare(folder, folder / "locks")


def test_the_archive_is_used_from_when_it_is_there(folder: Path):
    # given
    jvm = provided(folder)
    before = str(jvm.settings({})["spark.driver.extraJavaOptions"])

    # when
    jvm.archive.touch()

    # then
    assert "SharedArchiveFile" not in before
    assert f"-XX:SharedArchiveFile={jvm.archive}" in str(jvm.settings({})["spark.driver.extraJavaOptions"])


def test_the_server_listens_on_this_machine_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    # given: what would take the place of this process
    started: list[tuple[object, ...]] = []
    monkeypatch.setattr("os.execve", lambda *arguments: started.append(arguments))

    # when
    serve(folder, folder / "locks", 15999)

    # then
    [(_, command, _)] = started
    assert "spark.connect.grpc.binding.address=127.0.0.1" in command
    assert "spark.connect.grpc.binding.port=15999" in command
