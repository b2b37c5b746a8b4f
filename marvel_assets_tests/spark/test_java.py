"""Which Java is found, and what is said where none can be used."""

from pathlib import Path

import pytest

from marvel_assets.spark.java import JavaError, find_java


def java_that_says(folder: Path, version: str) -> Path:
    """A Java home whose runtime reports a version."""
    command = folder / "bin" / "java"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\necho '{version}' >&2\n")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("banner", ['openjdk version "17.0.15" 2025-04-15', 'java version "25-ea"'])
def test_the_java_of_java_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str):
    # given
    monkeypatch.setenv("JAVA_HOME", str(java_that_says(tmp_path, banner)))

    # then
    assert find_java().version == banner


@pytest.mark.parametrize("banner", ['java version "1.8.0_292"', "no Java at all"])
def test_a_java_that_is_too_old_is_reported_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str
):
    # given
    monkeypatch.setenv("JAVA_HOME", str(java_that_says(tmp_path, banner)))

    # then
    with pytest.raises(JavaError, match=r"Spark needs Java 17 or newer; .*bin/java prints .*apt-get install"):
        find_java()


def test_a_java_that_is_not_there_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    # then
    with pytest.raises(JavaError, match=f"{tmp_path}/bin/java does not run"):
        find_java()
    monkeypatch.delenv("JAVA_HOME")
    with pytest.raises(JavaError, match="no 'java' is on the PATH"):
        find_java()
