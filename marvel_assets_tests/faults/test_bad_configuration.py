"""Settings that are wrong by accident or on purpose: told by file and key, or by variable, and without effect."""

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
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths, ProjectPathsError
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import failure_of, run_job

PROJECT = (PROJECT_ROOT / "config" / "project.yml").read_text() + "\ntarget: Alive\n"
CANARY = "canary-5f1e"

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)


ODD_HOMES = ["a b#'\"`\u00e4;$&", "a b", "a#b", "a'b", 'a"b', "a`b", "\u00e4", "a;b", "a$b", "a&b"][: amount(1, 10)]


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (PROJECT + "target: Alive\n", "the key 'target' a second time"),
        (PROJECT.replace("  max_depth: 6", "  max_depth: 6\n  max_depth: 7"), "the key 'max_depth' a second time"),
        (BOMB + PROJECT, "found an alias"),
        (PROJECT.replace("Alive", "Al\0ive", 1), "#x0000"),
        (PROJECT.replace("n_estimators: 1000", "n_estimators: 2020-99-99"), "month must be in 1..12"),
        (PROJECT.replace("target: Alive", "target: !!python/name:os.system"), "python/name:os.system"),
        (PROJECT + "---\n" + PROJECT, "another document"),
    ],
    ids=["key twice", "nested key twice", "alias", "NUL", "no date", "code", "two files"],
)
def test_a_spoilt_file_is_told_with_the_place_and_in_a_few_lines(tmp_path: Path, spoilt: str, told: str):
    # given
    file = tmp_path / "project.yml"
    file.write_text(spoilt)

    # when
    with pytest.raises(ConfigError) as error:
        ProjectConfig.from_yaml(file)

    # then
    assert str(error.value).startswith(f"{file}: ")
    assert told in str(error.value)
    assert len(str(error.value)) < 3000


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_in_another_encoding_is_told(tmp_path: Path, encoding: str):
    # given
    file = tmp_path / "project.yml"
    file.write_bytes((PROJECT.replace("marvel_dev", "m\u00e4rvel") + "# \u00e9\n").encode(encoding))

    # then
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        ProjectConfig.from_yaml(file)


def test_a_byte_order_mark_changes_nothing(tmp_path: Path):
    # given
    file = tmp_path / "project.yml"
    file.write_text(PROJECT, encoding="utf-8-sig")

    # then
    assert ProjectConfig.from_yaml(file) == ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml")


def test_changed_characters_are_told_or_read_and_never_crash(tmp_path: Path):
    """A seeded fuzzer: every file gives settings, or an error that begins with the file."""
    # given
    random_source = random.Random(616)  # noqa: S311
    alphabet = [*string.printable, "\0", "\ufeff", "\u2028", "\U0001f9b8", "&a ", "*a ", "!!x ", "<<: ", "- ", "? "]
    file, tried, unclear = tmp_path / "project.yml", amount(100, 5000), []

    # when
    for _ in range(tried):
        text = list(PROJECT)
        for _ in range(random_source.randint(1, 4)):
            place = random_source.randrange(len(text))
            match random_source.choice(["put", "cut", "copy"]):
                case "put":
                    text.insert(place, random_source.choice(alphabet))
                case "cut":
                    del text[place : place + random_source.randint(1, 40)]
                case _:
                    text[place:place] = text[place : place + random_source.randint(1, 200)]
        file.write_text("".join(text))
        try:
            ProjectConfig.from_yaml(file)
        except ConfigError as error:
            if not str(error).startswith(f"{file}: "):
                unclear.append(str(error))

    # then
    assert unclear == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a?b", "without '[?]' in its path"),
        ("a\nb", "choose a folder without"),
        ("x" * 300, "File name too long"),
        ("a-file/home", "Not a directory"),
    ],
)
def test_a_home_that_can_be_none_is_told_and_nothing_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
):
    # given
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("MARVEL_HOME", str(tmp_path / name))

    # then
    with pytest.raises(ProjectPathsError, match=f"MARVEL_HOME is .*{told}"):
        ProjectPaths.from_environment().prepare()
    assert [file.name for file in tmp_path.iterdir()] == ["a-file"]


@pytest.mark.parametrize("name", ODD_HOMES)
def test_a_home_of_an_odd_name_keeps_everything_within(tmp_path: Path, mlflow_database: Path, name: str):
    # given
    from marvel_assets.tracking.mlflow_resource import MlflowTracking

    home = ProjectPaths(tmp_path / name)
    home.mlflow_database.parent.mkdir(parents=True)
    home.mlflow_database.write_bytes(mlflow_database.read_bytes())
    home.prepare()
    artifacts = str(home.mlflow_artifacts)
    tracking = MlflowTracking(
        tracking_uri=f"sqlite:///{home.mlflow_database}", artifact_root=artifacts, locks=str(home.locks)
    )

    # when
    client = tracking.client()
    run = client.create_run(tracking.experiment_id("/Shared/'odd' \"name\""))
    client.log_text(run.info.run_id, "kept", "note.txt")
    client.set_terminated(run.info.run_id)

    # then
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert [file.read_text() for file in home.mlflow_artifacts.rglob("note.txt")] == ["kept"]


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the project is set."""
    for name in os.environ:
        if name.startswith(("MARVEL_", "MLFLOW_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MARVEL_ENV", "'; DROP TABLE", "choose dev, acc or prd (MARVEL_ENV)"),
        ("MARVEL_PROFILE", "x`", "MARVEL_PROFILE is 'x`'; choose embedded"),
        ("MARVEL_CONFIG", "no/such.yml", "no/such.yml: no such file; MARVEL_CONFIG"),
        ("MARVEL_UC_URL", "garbage", "MARVEL_UC_URL is not an address"),
        ("MARVEL_UC_STORAGE_ROOT", "no scheme", "MARVEL_UC_STORAGE_ROOT is not an address"),
        ("MARVEL_MLFLOW_URL", "javascript:alert(1)", "MARVEL_MLFLOW_URL is not an address"),
        ("MARVEL_DAGSTER_URL", "javascript:alert(1)", "MARVEL_DAGSTER_URL is not an address"),
        ("MLFLOW_TRACKING_URI", "x://y", "MLFLOW_TRACKING_URI is not an address"),
        ("MARVEL_SPARK_SETTINGS", "no-setting", "MARVEL_SPARK_SETTINGS: 'no-setting' is not a setting"),
    ],
)
def test_a_variable_that_can_not_be_used_is_named(
    unset: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, told: str
):
    # given
    unset.setenv(variable, value)

    # then
    with pytest.raises(ConfigError, match=re.escape(told)):
        check_settings(ProjectPaths(tmp_path))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *[
            (variable, f"https://{secret}@server.example.org")
            for variable in ("MLFLOW_TRACKING_URI", "MARVEL_UC_URL", "MARVEL_MLFLOW_URL")
            for secret in (f"user:{CANARY}", CANARY, f":{CANARY}")
        ],
        ("MLFLOW_TRACKING_URI", f"postgresql://user:{CANARY}@db/mlflow"),
        ("MLFLOW_TRACKING_URI", f"user:{CANARY}@server"),
        ("MARVEL_UC_URL", f"https://server/?token={CANARY}"),
        ("MARVEL_UC_STORAGE_ROOT", f"s3://key:{CANARY}@bucket"),
        ("MARVEL_SPARK_URL", f"sc://server:1/;token={CANARY}"),
        ("MARVEL_SPARK_URL", f"sc://user:{CANARY}@server:1"),
        ("MARVEL_SPARK_SETTINGS", f"spark.hadoop.fs.s3a.secret.key={CANARY}"),
        ("MARVEL_SPARK_SETTINGS", f"spark.jars.repositories=https://user:{CANARY}@repository"),
    ],
)
def test_a_secret_in_a_variable_that_is_shown_is_refused_and_not_told(
    unset: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str
):
    # given
    unset.setenv(variable, value)

    # when
    with pytest.raises(ConfigError, match=variable) as error:
        check_settings(ProjectPaths(tmp_path))

    # then
    assert CANARY not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["doctor"], {"MARVEL_ENV": "'"}, 'environment "\'" is unknown'),
        (["run"], {"MARVEL_CONFIG": "/dev/null"}, "/dev/null: expected keys and values"),
        (["run", "--select", "a'b"], {}, '--select "a\'b": '),
        (["serve", "--port", "70000"], {}, "'70000' is not a port"),
        (["run"], {"MARVEL_HOME": f"{PROJECT_ROOT}/README.md/x"}, "/README.md/x', and Not a directory there"),
    ],
)
@pytest.mark.usefixtures("home")
def test_the_command_line_says_it_in_a_sentence(
    marvel_here: Callable[..., CompletedProcess[str]],
    arguments: list[str],
    environment: dict[str, str],
    told: str,
):
    # when
    done = marvel_here(*arguments, **environment)

    # then
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert 'File "' not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "op", "config", "told"),
    [
        ("promote", "promote_pair", {"to": "uat"}, "PromoteConfig\nto\n"),
        ("promote", "promote_pair", {"basic_version": 0}, "PromoteConfig\nbasic_version\n"),
        ("rollback", "rollback_models", {"reason": ""}, "RollbackConfig\nreason\n"),
        ("approve", "approve_models", {"basic_version": 10**18}, "that basic_model_version has registered"),
    ],
)
def test_what_a_job_is_asked_for_is_told_with_its_key(
    home: ProjectPaths, job: str, op: str, config: dict[str, Any], told: str
):
    # when
    result: dg.ExecuteInProcessResult = run_job(home, job, op, **config)

    # then
    assert told in failure_of(result)
