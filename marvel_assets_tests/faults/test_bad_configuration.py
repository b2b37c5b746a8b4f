"""Wrong settings: named by file and key, or by variable, and without effect."""

import os
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marvel_assets.config import ConfigError, ProjectConfig
from marvel_assets.defs.resources import embedded, profile_resources
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths, ProjectPathsError
from marvel_assets_tests.faults import amount
from marvel_assets_tests.faults.canaries import CANARY
from marvel_assets_tests.homes import copy_of

PROJECT = (PROJECT_ROOT / "config" / "project.yml").read_text() + "\ntarget: Alive\n"
BOMB = "a0: &a0 [x, x, x]\na1: [*a0, *a0, *a0]\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (PROJECT.replace("  max_depth: 6", "  max_depth: 6\n  max_depth: 7"), "the key 'max_depth' a second time"),
        (BOMB + PROJECT, "found an alias"),
        (PROJECT.replace("marvel_dev", "m\u00e4rvel"), "can't decode byte 0xe4"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, content: str, problem: str):
    # given
    file = tmp_path / "project.yml"
    file.write_text(content, encoding="latin-1")

    # then
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: (.|\n)*{problem}"):
        ProjectConfig.from_yaml(file)


ODD = [*string.printable, "\0", "\ufeff", "\u2028", "\U0001f9b8", "&a ", "*a ", "!!x ", "<<: ", "- ", "? "]
CHANGES = st.lists(st.tuples(st.integers(0, len(PROJECT)), st.integers(0, 40), st.sampled_from(ODD)), min_size=1)


@settings(max_examples=amount(50, 5000), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_a_file_with_changed_characters_is_read_or_named(tmp_path: Path, changes: list[tuple[int, int, str]]):
    # given
    text = PROJECT
    for place, cut, inserted in changes:
        text = text[:place] + inserted + text[place + cut :]
    (file := tmp_path / "project.yml").write_text(text)

    # when
    try:
        ProjectConfig.from_yaml(file)

    # then
    except ConfigError as error:
        assert str(error).startswith(f"{file}: ")  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "problem"),
    [("a?b", "without '[?]' in its path"), ("x" * 300, "File name too long"), ("a-file/home", "Not a directory")],
)
def test_a_folder_that_can_not_be_a_home_is_named_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, problem: str
):
    # given
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("MARVEL_HOME", str(tmp_path / name))

    # then
    with pytest.raises(ProjectPathsError, match=f"MARVEL_HOME is .*{problem}"):
        ProjectPaths.from_environment().prepare()
    assert [file.name for file in tmp_path.iterdir()] == ["a-file"]


def test_a_home_with_an_odd_name_works(tmp_path: Path, empty_home: ProjectPaths):
    # given
    home = copy_of(empty_home, tmp_path / "a b#'\"`\u00e4;$&")
    tracking = embedded(home)["tracking"]

    # when
    client = tracking.client()
    run = client.create_run(tracking.ensure_experiment("/Shared/'odd' \"name\""))
    client.log_text(run.info.run_id, "kept", "note.txt")

    # then
    assert [file.name for file in tmp_path.iterdir()] == [home.root.name]
    assert [file.read_text() for file in home.mlflow_artifacts.rglob("note.txt")] == ["kept"]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("MARVEL_ENV", "'; DROP TABLE", "Choose dev, acc or prd (MARVEL_ENV)"),
        ("MARVEL_PROFILE", "x`", "MARVEL_PROFILE is 'x`'; choose embedded"),
        ("MARVEL_CONFIG", "no/such.yml", "no/such.yml: can't be read as YAML: [Errno 2] No such file"),
        ("MARVEL_UC_URL", "garbage", "MARVEL_UC_URL is not an address"),
        ("MARVEL_UC_STORAGE_ROOT", "no scheme", "MARVEL_UC_STORAGE_ROOT is not an address"),
        ("MARVEL_MLFLOW_URL", "javascript:alert(1)", "MARVEL_MLFLOW_URL is not an address"),
        ("MARVEL_DAGSTER_URL", "http://a'b", "MARVEL_DAGSTER_URL is not an address"),
        ("MLFLOW_TRACKING_URI", "x://y", "MLFLOW_TRACKING_URI is not an address"),
        *[
            (variable, f"https://{secret}@server.example.org", variable)
            for variable in ("MLFLOW_TRACKING_URI", "MARVEL_UC_URL", "MARVEL_MLFLOW_URL")
            for secret in (f"user:{CANARY}", CANARY, f":{CANARY}")
        ],
        ("MLFLOW_TRACKING_URI", f"postgresql://user:{CANARY}@db/mlflow", "MLFLOW_TRACKING_URI"),
        ("MLFLOW_TRACKING_URI", f"user:{CANARY}@server", "MLFLOW_TRACKING_URI"),
        ("MARVEL_UC_URL", f"https://server/?token={CANARY}", "MARVEL_UC_URL"),
        ("MARVEL_UC_STORAGE_ROOT", f"s3://key:{CANARY}@bucket", "MARVEL_UC_STORAGE_ROOT"),
        ("MARVEL_SPARK_URL", f"sc://server:1/;token={CANARY}", "MARVEL_SPARK_URL"),
        ("MARVEL_SPARK_URL", f"sc://user:{CANARY}@server:1", "MARVEL_SPARK_URL"),
        ("MARVEL_SPARK_SETTINGS", f"spark.hadoop.fs.s3a.secret.key={CANARY}", "MARVEL_SPARK_SETTINGS"),
        ("MARVEL_SPARK_SETTINGS", f"spark.jars.repositories=https://user:{CANARY}@host", "MARVEL_SPARK_SETTINGS"),
    ],
)
def test_a_variable_that_can_not_be_used_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, problem: str
):
    # given
    for name in os.environ:
        if name.startswith(("MARVEL_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv(variable, value)

    # when
    with pytest.raises(ConfigError, match=re.escape(problem)) as error:
        profile_resources(ProjectPaths(tmp_path))

    # then
    assert CANARY not in str(error.value)
    assert CANARY not in str(error.value.__cause__)
