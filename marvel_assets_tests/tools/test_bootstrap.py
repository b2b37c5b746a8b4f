"""How a checkout's environment is made, without making one."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from marvel_assets.paths import PROJECT_ROOT

SCRIPT = PROJECT_ROOT / "tools" / "bootstrap.py"
WAITING = f"""
import runpy
bootstrap = runpy.run_path({str(SCRIPT)!r})
try:
    print("started", flush=True)
    bootstrap["run"](["sleep", "60"])
except KeyboardInterrupt:
    raise SystemExit("one line")
"""


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for a checkout in a folder of its own; the commands that it would run are kept in ``ran``."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bootstrap", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    module.ran = []
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "run", lambda command, *_: module.ran.append(command))
    monkeypatch.delenv("MARVEL_HOME", raising=False)
    (tmp_path / "config").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "config/dagster.yaml"):
        (tmp_path / name).write_bytes((PROJECT_ROOT / name).read_bytes())
    return module


def environment_in(bootstrap: ModuleType, folder: Path) -> None:
    """What a finished set-up leaves in a checkout."""
    bootstrap.ROOT = folder
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    bootstrap.install_environment(bootstrap.PROFILES["embedded"])
    bootstrap.ran.clear()


def test_an_environment_that_is_up_to_date_is_left_alone(bootstrap: ModuleType, tmp_path: Path):
    # given
    environment_in(bootstrap, tmp_path)

    # when
    bootstrap.install_environment(bootstrap.PROFILES["embedded"])

    # then
    assert bootstrap.ran == []


def test_the_environment_of_a_checkout_that_was_moved_or_copied_is_made_anew(bootstrap: ModuleType, tmp_path: Path):
    # given
    environment_in(bootstrap, tmp_path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    bootstrap.ROOT = moved

    # when
    bootstrap.install_environment(bootstrap.PROFILES["embedded"])

    # then
    assert ["-m", "venv", "--clear", str(moved / ".venv")] in [command[1:] for command in bootstrap.ran]
    assert json.loads((moved / ".venv" / "installed.json").read_text())["made_by"][1] == str(moved)


def test_of_the_env_file_one_line_is_written(bootstrap: ModuleType, tmp_path: Path):
    # given
    file = tmp_path / ".env"
    file.write_text("MARVEL_WEBHOOK_URL=https://example.org/x\nDAGSTER_HOME=/old\n# mine")

    # when
    bootstrap.write_env_file()

    # then
    assert file.read_text().splitlines() == [
        "MARVEL_WEBHOOK_URL=https://example.org/x",
        "# mine",
        f"DAGSTER_HOME=${{MARVEL_HOME:-{tmp_path / '.marvel'}}}/dagster",
    ]


def test_where_the_env_file_points_dagster_finds_its_instance(bootstrap: ModuleType, tmp_path: Path):
    # when
    bootstrap.write_env_file()

    # then
    settings = (tmp_path / ".marvel" / "dagster" / "dagster.yaml").read_bytes()
    assert settings == (tmp_path / "config" / "dagster.yaml").read_bytes()


def test_a_home_elsewhere_is_not_made_by_setting_up(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("MARVEL_HOME", str(tmp_path / "home"))

    # when
    bootstrap.write_env_file()

    # then
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / ".marvel").exists()


@pytest.mark.parametrize(("variable", "value"), [("MARVEL_INSTALL", "1"), ("CI", "true"), ("CI", "")])
def test_what_the_system_lacks_is_named_and_installed_only_where_that_is_asked_for(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
):
    # given
    for name in ("MARVEL_INSTALL", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)

    # when
    missing = bootstrap.missing_system_parts(frozenset({"spark"}))
    try:
        bootstrap.install_system_parts(missing)
        message = ""
    except SystemExit as error:
        message = str(error)

    # then
    assert missing["a Java runtime (17 or newer) for Spark"] == "default-jre-headless"
    assert [command[-1] for command in bootstrap.ran] == (["-qq", "default-jre-headless"] if value else [])
    assert ("sudo apt-get install default-jre-headless" in message) is not bool(value)


def test_an_unknown_profile_is_answered_with_those_that_users_choose(bootstrap: ModuleType):
    # when
    with pytest.raises(SystemExit) as error:
        bootstrap.main("sparc", "marvel", "run")

    # then
    assert str(error.value) == "PROFILE is 'sparc'; choose embedded, spark, databricks."


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("NewConnectionError('<pip.Connection at 0x7f>: [Errno 111] Connection refused')", "([Errno 111] Connection"),
        ("SSLError(SSLCertVerificationError(1, 'self-signed certificate'))", "self-signed certificate"),
    ],
)
def test_without_a_network_that_is_said_and_not_what_pip_makes_of_it(bootstrap: ModuleType, cause: str, reason: str):
    # given
    printed = (
        f"WARNING: Retrying (Retry(total=0)) after connection broken by '{cause}': /simple/uv/\nERROR: conflicting"
    )

    # when
    text = bootstrap.explain_failure(printed)

    # then
    assert text.startswith("The package index can't be reached (")
    assert reason in text
    assert "conflicting" not in text


def test_any_other_failure_is_told_as_it_was_printed(bootstrap: ModuleType):
    # then
    assert bootstrap.explain_failure("ERROR: No space left on device\n") == "ERROR: No space left on device"


def test_ctrl_c_while_a_command_runs_prints_nothing_of_that_command():
    # given
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    while not psutil.Process(process.pid).children():
        time.sleep(0.05)

    # when
    process.send_signal(signal.SIGINT)

    # then
    assert process.communicate(timeout=60) == ("", "one line\n")
