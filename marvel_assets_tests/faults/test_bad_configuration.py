"""Settings that are wrong by accident or on purpose: named by file and key, or by variable, and without effect."""

import os
import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import dagster as dg
import pytest

from marvel_assets.config import ConfigError, ProjectConfig
from marvel_assets.defs.readiness import check_settings
from marvel_assets.defs.resources import embedded
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths, ProjectPathsError
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import failure_of, run_job

PROJECT = (PROJECT_ROOT / "config" / "project.yml").read_text() + "\ntarget: Alive\n"
CANARY = "canary-5f1e"

BOMB = "a0: &a0 [x, x, x]\na1: [*a0, *a0, *a0]\n"


@pytest.mark.parametrize(
    ("spoilt", "problem"),
    [
        (PROJECT.replace("  max_depth: 6", "  max_depth: 6\n  max_depth: 7"), "the key 'max_depth' a second time"),
        (BOMB + PROJECT, "found an alias"),
        (PROJECT.replace("marvel_dev", "m\u00e4rvel"), "can't decode byte 0xe4"),
    ],
    ids=["key twice", "alias", "latin-1"],
)
def test_a_spoilt_file_is_named_with_the_place(tmp_path: Path, spoilt: str, problem: str):
    # given
    file = tmp_path / "project.yml"
    file.write_text(spoilt, encoding="latin-1")

    # then
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: (.|\n)*{problem}"):
        ProjectConfig.from_yaml(file)


def test_changed_characters_are_named_or_read_and_never_crash(tmp_path: Path):
    """A seeded fuzzer: every file gives settings, or an error that begins with the file."""
    # given
    draw = random.Random(616)  # noqa: S311
    alphabet = [*string.printable, "\0", "\ufeff", "\u2028", "\U0001f9b8", "&a ", "*a ", "!!x ", "<<: ", "- ", "? "]
    file, unclear = tmp_path / "project.yml", []

    # when
    for _ in range(amount(50, 5000)):
        text = PROJECT
        for _ in range(draw.randint(1, 4)):
            place, length = draw.randrange(len(text)), draw.randint(1, 40)
            put, rest = draw.choice(
                [(draw.choice(alphabet), place), ("", place + length), (text[place : place + 5 * length], place)]
            )
            text = text[:place] + put + text[rest:]
        file.write_text(text)
        try:
            ProjectConfig.from_yaml(file)
        except ConfigError as error:
            if not str(error).startswith(f"{file}: "):
                unclear.append(str(error))

    # then
    assert unclear == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a?b", "without '[?]' in its path"),
        ("x" * 300, "File name too long"),
        ("a-file/home", "Not a directory"),
    ],
)
def test_a_home_that_can_be_none_is_named_and_nothing_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, problem: str
):
    # given
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("MARVEL_HOME", str(tmp_path / name))

    # then
    with pytest.raises(ProjectPathsError, match=f"MARVEL_HOME is .*{problem}"):
        ProjectPaths.from_environment().prepare()
    assert [file.name for file in tmp_path.iterdir()] == ["a-file"]


def test_a_home_of_an_odd_name_keeps_everything_within(tmp_path: Path, mlflow_database: Path):
    # given
    home = ProjectPaths(tmp_path / "a b#'\"`\u00e4;$&")
    home.mlflow_database.parent.mkdir(parents=True)
    home.mlflow_database.write_bytes(mlflow_database.read_bytes())
    home.prepare()
    tracking = embedded(home)["tracking"]

    # when
    client = tracking.client()
    run = client.create_run(tracking.experiment_id("/Shared/'odd' \"name\""))
    client.log_text(run.info.run_id, "kept", "note.txt")

    # then
    assert [file.name for file in tmp_path.iterdir()] == [home.root.name]
    assert [file.read_text() for file in home.mlflow_artifacts.rglob("note.txt")] == ["kept"]


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the project is set."""
    for name in os.environ:
        if name.startswith(("MARVEL_", "MLFLOW_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("MARVEL_ENV", "'; DROP TABLE", "choose dev, acc or prd (MARVEL_ENV)"),
        ("MARVEL_PROFILE", "x`", "MARVEL_PROFILE is 'x`'; choose embedded"),
        ("MARVEL_CONFIG", "no/such.yml", "no/such.yml: no such file; MARVEL_CONFIG"),
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
def test_a_variable_that_can_not_be_used_or_holds_a_secret_that_would_be_shown_is_named_and_its_secret_is_not(
    unset: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, problem: str
):
    # given
    unset.setenv(variable, value)

    # when: the code location asks for these resources in every command, Dagster's own too
    with pytest.raises(ConfigError, match=re.escape(problem)) as error:
        check_settings(ProjectPaths(tmp_path))

    # then
    assert CANARY not in str(error.value)
    assert CANARY not in str(error.value.__cause__)


@pytest.mark.parametrize(
    ("arguments", "environment", "problem"),
    [
        ("doctor", {"MARVEL_ENV": "'"}, 'environment "\'" is unknown'),
        ("summary", {"MARVEL_HOME": "/a?b"}, "MARVEL_HOME is '/a?b'; choose a folder without '?' in its path"),
        ("run --select a'b", {}, '--select "a\'b": '),
        ("serve --port 70000", {}, "'70000' is not a port"),
    ],
)
@pytest.mark.usefixtures("home")
def test_the_command_line_says_it_in_a_sentence(
    marvel_here: Callable[..., CompletedProcess[str]], arguments: str, environment: dict[str, str], problem: str
):
    # when
    done = marvel_here(*arguments.split(), **environment)

    # then
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert 'File "' not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "op", "config", "problem"),
    [
        ("promote", "promote_pair", {"to": "uat"}, "PromoteConfig\nto\n"),
        ("rollback", "rollback_models", {"reason": ""}, "RollbackConfig\nreason\n"),
    ],
)
def test_a_setting_of_a_job_is_named_with_its_key(
    home: ProjectPaths, job: str, op: str, config: dict[str, Any], problem: str
):
    # when
    result: dg.ExecuteInProcessResult = run_job(home, job, op, **config)

    # then
    assert problem in failure_of(result)
