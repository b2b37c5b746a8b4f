"""Delta's jars: fetched once, checked, and asked for by name where they can't be had."""

import hashlib
from pathlib import Path

import pytest

from marvel_assets.spark.delta_jars import DELTA_JARS, JarsError, provide_jars
from marvel_assets.spark.java import Java, find_java


def runtime(folder: Path, script: str) -> Java:
    """A Java that runs a shell script in its stead; `$folder` is where Ivy is to put the jar."""
    command = folder / "java"
    command.write_text(f'#!/bin/sh\nfor last; do :; done\nfolder=$(dirname "$last")\n{script}\n')
    command.chmod(0o755)
    return Java(str(command), "17")


@pytest.mark.spark
def test_both_jars_are_fetched_as_they_are_trusted_and_nothing_else_is_left(tmp_path: Path):
    # when
    files = provide_jars(tmp_path / "jars", tmp_path / "locks", find_java())

    # then
    assert sorted((tmp_path / "jars").iterdir()) == sorted(files)
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == [jar.sha256 for jar in DELTA_JARS]


def test_jars_that_are_there_are_not_asked_for_again(tmp_path: Path):
    # given
    for jar in DELTA_JARS:
        (tmp_path / jar.file_name).touch()

    # then: a Java that could not run is not started
    assert len(provide_jars(tmp_path, tmp_path / "locks", Java("/nowhere/java", "17"))) == len(DELTA_JARS)


def test_a_jar_that_can_not_be_fetched_is_named_with_the_folder_that_it_belongs_into(tmp_path: Path):
    # given
    java = runtime(tmp_path, "echo ':: java.net.UnknownHostException: no such host'")

    # then
    message = rf"io.delta:delta-spark_4.2_2.13:4.4.0 can't be downloaded .*UnknownHostException.* into {tmp_path}/jars"
    with pytest.raises(JarsError, match=message):
        provide_jars(tmp_path / "jars", tmp_path / "locks", java)


def test_a_jar_that_is_not_the_trusted_one_is_refused_and_not_kept(tmp_path: Path):
    # given
    java = runtime(tmp_path, f'echo planted > "$folder/{DELTA_JARS[0].file_name}"')

    # when
    with pytest.raises(JarsError, match=f"{DELTA_JARS[0].file_name} was downloaded with SHA-256 .* it is not used"):
        provide_jars(tmp_path / "jars", tmp_path / "locks", java)

    # then
    assert list((tmp_path / "jars").iterdir()) == []
