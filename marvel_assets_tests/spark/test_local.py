"""What a JVM of our own is started with."""

from pathlib import Path

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets.spark.delta_jars import DELTA_JARS
from marvel_assets.spark.local import LocalJvm
from marvel_assets_tests.servers.spark_connect import spark_connect_server
from marvel_assets_tests.sockets import LOOPBACK, listening


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with jars, of which no JVM will be started."""
    made = tmp_path / "spark"
    (made / "jars").mkdir(parents=True)
    for jar in DELTA_JARS:
        (made / "jars" / jar.file_name).touch()
    return made


def test_the_archive_is_used_from_when_it_is_there(folder: Path):
    # given
    jvm = LocalJvm.prepare(folder, folder / "locks")
    before = str(jvm.settings({})["spark.driver.extraJavaOptions"])

    # when
    jvm.archive.touch()

    # then
    assert "SharedArchiveFile" not in before
    assert f"-XX:SharedArchiveFile={jvm.archive}" in str(jvm.settings({})["spark.driver.extraJavaOptions"])


@pytest.mark.spark
def test_the_server_listens_at_its_port_on_this_machine_alone(spark_home: ProjectPaths):
    # when
    with spark_connect_server(spark_home):
        addresses = listening()

    # then
    assert addresses
    assert addresses <= LOOPBACK
