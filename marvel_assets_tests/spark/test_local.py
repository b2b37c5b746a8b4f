"""Java and Delta's jars: found or downloaded, checked, and named with what to do where they can't be had."""

import hashlib
import shlex
from pathlib import Path

import pytest

from marvel_assets.spark.local import DELTA_JARS, SparkError, ensure_jars, find_java, local_settings


def java_that_runs(home: Path, script: str) -> Path:
    """A home of Java whose command is a shell script."""
    command = home / "bin" / "java"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return command


@pytest.mark.parametrize("banner", ['openjdk version "17.0.15" 2025-04-15', 'java version "25-ea"'])
def test_the_java_of_java_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str):
    # given
    command = java_that_runs(tmp_path, f"echo '{banner}' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    # then
    assert find_java() == (str(command), banner)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'java version \"1.8.0_292\"' >&2", 'bin/java prints java version "1.8.0_292"'),
        ("exit 1", "bin/java does not run"),
        (None, "bin/java does not run"),
    ],
)
def test_a_java_that_can_not_be_used_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, problem: str
):
    # given
    if script is not None:
        java_that_runs(tmp_path, script)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    # then
    with pytest.raises(SparkError, match=rf"Spark needs Java 17 or newer.* {tmp_path}/{problem}.*apt-get install"):
        find_java()


def test_a_class_data_archive_is_left_by_the_first_session_and_used_by_later_ones(tmp_path: Path):
    # given: a name that is two words to a shell, and to Spark
    folder = tmp_path / "a folder"
    (folder / "jars").mkdir(parents=True)
    for name in DELTA_JARS:
        (folder / "jars" / name).touch()

    def java_options() -> list[str]:
        return shlex.split(local_settings(folder)["spark.driver.extraJavaOptions"])

    # when
    [left] = [option.partition("=")[2] for option in java_options() if "ArchiveClassesAtExit" in option]
    Path(left).touch()

    # then
    assert java_options()[-1] == f"-XX:SharedArchiveFile={left}"


@pytest.mark.spark
def test_both_jars_are_downloaded_as_they_are_trusted_and_nothing_else_is_left(tmp_path: Path):
    # when
    jars = ensure_jars(tmp_path / "jars", find_java()[0])

    # then
    assert sorted((tmp_path / "jars").iterdir()) == sorted(jars)
    assert [hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars] == list(DELTA_JARS.values())


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (
            "echo ':: java.net.UnknownHostException: no such host'",
            "io.delta:delta-spark_4.2_2.13:4.4.0 can't be downloaded .*UnknownHostException.* put .* into {folder}",
        ),
        (
            'for last; do :; done; echo planted > "$(dirname "$last")/delta-spark_4.2_2.13-4.4.0.jar"',
            r"delta-spark_4.2_2.13-4.4.0.jar was downloaded with SHA-256 .* it is not used",
        ),
    ],
    ids=["no network", "another file"],
)
def test_a_jar_that_can_not_be_had_is_named_and_nothing_is_kept(tmp_path: Path, script: str, problem: str):
    # given: a script in Ivy's place
    java, folder = java_that_runs(tmp_path, script), tmp_path / "jars"

    # when
    with pytest.raises(SparkError, match=problem.format(folder=folder)):
        ensure_jars(folder, str(java))

    # then
    assert list(folder.iterdir()) == []
