"""The project's commands, called in this process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from marvel_assets.cli import servers
from marvel_assets.paths import PROJECT_ROOT

Command = Callable[..., CompletedProcess[str]]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_home_that_is_a_file_ends_a_command_in_a_sentence(marvel_here: Command, tmp_path: Path, command: str):
    # given
    (tmp_path / "file").touch()

    # when
    done = marvel_here(command, MARVEL_HOME=str(tmp_path / "file"))

    # then
    assert done.returncode == 1
    assert f"{tmp_path}/file can't be " in done.stderr
    assert "or it is a file. Grant this user access, or set MARVEL_HOME to another folder." in done.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["doctor", "summary", "score new.csv -o out.csv", "explain Uatu", "serve"])
def test_a_command_that_only_looks_makes_no_home(marvel_here: Command, tmp_path: Path, command: str):
    # when
    marvel_here(*command.split(), MARVEL_HOME=str(tmp_path / "nothing"), MARVEL_PROFILE="spark")

    # then
    assert not (tmp_path / "nothing").exists()


@pytest.mark.usefixtures("home")
def test_the_pages_are_not_served_on_a_port_that_is_taken(marvel_here: Command):
    # given
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        # when
        done = marvel_here("ui", "--mlflow-port", str(port))

    # then
    assert done.stderr.startswith(f"Port {port} is in use. Choose another: make … MLFLOW_PORT=…")


@pytest.fixture
def _handlers_are_put_back() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers_are_put_back")
def test_all_servers_end_when_the_second_ends(capsys: pytest.CaptureFixture[str]):
    # given
    long = [sys.executable, "-c", "import time; time.sleep(60)"]
    short = [sys.executable, "-c", "raise SystemExit(3)"]

    # when
    code = servers._run_until_first_ends([long, short], {})

    # then
    assert code == 3
    assert "SystemExit(3)" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("settings", "pages"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"MLFLOW_TRACKING_URI": "https://mlflow.example.org"}, "https://mlflow.example.org"),
        # given: the address is in a profile of Databricks' own configuration
        ({"MARVEL_PROFILE": "databricks", "DATABRICKS_CONFIG_PROFILE": "team"}, "your Databricks workspace"),
    ],
    ids=["home", "server", "databricks"],
)
def test_the_summary_names_the_pages_of_the_server_that_is_used(
    marvel_here: Command, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], pages: str
):
    # given
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)

    # then
    assert f"and {pages} (MLflow)" in marvel_here("summary", **settings).stdout


@pytest.mark.usefixtures("home")
def test_a_command_whose_reader_has_seen_enough_ends_quietly(marvel_here: Command, monkeypatch: pytest.MonkeyPatch):
    # given: as `marvel doctor | head -0` leaves it
    reader, writer = os.pipe()
    os.close(reader)

    # when
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        done = marvel_here("doctor")

    # then
    assert (done.returncode, done.stderr) == (141, "")


def test_the_help_is_shown_without_the_imports_of_a_run():
    # when
    loaded = "import sys, marvel_assets.cli; print(*{'dagster', 'mlflow', 'pandas', 'pydantic'} & sys.modules.keys())"

    # then
    assert subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout == "\n"


def test_bare_make_lists_every_target_with_its_help():
    # when
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=PROJECT_ROOT, check=True, capture_output=True, text=True
    ).stdout

    # then
    [phony] = [line for line in (PROJECT_ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")]
    assert sorted(line.split()[1] for line in shown.splitlines()) == sorted(phony.split()[1:])


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("new-dataset Wines --from wines.csv", "'Wines': choose another name"),
        ("run --select nonsense", "--select 'nonsense': AssetKey(s) ['nonsense'] were selected, but no "),
        ("run --select tag:none=no", "--select 'tag:none=no': there are no such assets."),
        ("rollback", "marvel rollback --set: reason: missing key; the settings are actor, basic_version, reason."),
        ("rollback --set reason=x --set why=y", "marvel rollback --set: why: unknown key; the settings are "),
        ("approve --set basic_version=zero", "marvel approve --set: basic_version: Input should be a valid integer"),
        ("trial --set n_trees=3", "model.n_trees: unknown key"),
        ("promote --set to=moon", "marvel promote --set: to: String should match pattern '^(dev|acc|prd)$'"),
        (
            "tune --set trials=0 --set folds=1",
            "marvel tune --set: trials: Input should be greater than or equal to 1; folds: ",
        ),
        ("serve --port 99999", "argument --port: invalid port value: '99999'"),
        ("trial --set n_estimators", "argument --set: invalid setting value: 'n_estimators'"),
    ],
)
def test_what_a_command_cannot_use_is_named_before_anything_runs(marvel_here: Command, command: str, problem: str):
    # when
    done = marvel_here(*command.split())

    # then
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
