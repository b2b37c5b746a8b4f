"""The project's commands, called in this process."""

import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marvel_assets import cli
from marvel_assets.cli import run, servers
from marvel_assets.cli.run import check_selection
from marvel_assets.cli.summary import print_summary
from marvel_assets.config import ConfigError
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths


def end_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a command says as it ends."""
    monkeypatch.setattr(sys, "argv", ["marvel", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return str(end.value.code)


def everything_in(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["run", "summary", "ui", "doctor"])
def test_a_home_that_is_a_file_ends_a_command_in_a_sentence(
    marvel_here: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, command: str
):
    # given
    (tmp_path / "file").touch()

    # when
    done = marvel_here(command, MARVEL_HOME=str(tmp_path / "file"))

    # then
    assert done.returncode == 1
    reason = f"MARVEL_HOME is '{tmp_path}/file', which is not a folder; name another."
    assert reason in done.stdout + done.stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["doctor", "summary", "score new.csv -o out.csv", "explain Uatu"])
@pytest.mark.parametrize("profile", ["embedded", "spark"])
def test_a_command_that_only_looks_makes_no_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, profile: str
):
    # given
    monkeypatch.setenv("MARVEL_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("MARVEL_PROFILE", profile)

    # when
    end_of(monkeypatch, *command.split())

    # then
    assert not (tmp_path / "nothing").exists()


def test_doctor_writes_nothing_into_a_home(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    before = everything_in(home.root)

    # when
    end_of(monkeypatch, "doctor")

    # then
    assert everything_in(home.root) == before


@pytest.mark.usefixtures("home")
def test_the_pages_are_not_served_on_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch, taken: int):
    # when
    message = end_of(monkeypatch, "ui", "--mlflow-port", str(taken))

    # then
    assert message.startswith(f"Port {taken} is in use. Choose another: make … MLFLOW_PORT=…")


@pytest.mark.usefixtures("home")
def test_one_port_is_not_enough_for_two_servers(monkeypatch: pytest.MonkeyPatch):
    # when
    message = end_of(monkeypatch, "ui", "--port", "3999", "--mlflow-port", "3999")

    # then
    assert "Port 3999 was given twice" in message


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
    ("address", "pages"),
    [("", "http://127.0.0.1:5000"), ("https://mlflow.example.org", "https://mlflow.example.org")],
)
def test_the_summary_names_the_pages_of_the_server_that_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str, pages: str
):
    # given
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    # when
    end_of(monkeypatch, "summary")

    # then
    assert f"{pages} (MLflow)" in capsys.readouterr().out


def test_the_summary_does_not_send_people_of_databricks_to_this_machine(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    # given: the address is in a profile of Databricks' own configuration
    monkeypatch.setenv("MARVEL_PROFILE", "databricks")
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "team")
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)

    # when
    print_summary(home)

    # then
    assert "and your Databricks workspace (MLflow)" in capsys.readouterr().out


def test_what_a_terminal_cannot_show_does_not_end_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given: this terminal has no other letters than ASCII's
    monkeypatch.setenv("MARVEL_HOME", str(tmp_path / "Évo"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown := io.BytesIO(), encoding="ascii"))

    # when
    end_of(monkeypatch, "summary")

    # then
    sys.stdout.flush()
    assert b"?vo yet; run `make run`" in shown.getvalue()


@pytest.mark.usefixtures("home")
def test_a_command_whose_reader_has_seen_enough_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    # given: as `marvel doctor | head -0` leaves it
    reader, writer = os.pipe()
    os.close(reader)

    # when
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        code = end_of(monkeypatch, "doctor")

    # then
    assert (code, capfd.readouterr().err) == ("141", "")


def test_it_names_its_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    # when
    code = end_of(monkeypatch, "--version")

    # then
    assert code == "0"
    assert re.fullmatch(r"marvel_assets \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_the_examples_of_the_help_are_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    # when
    end_of(monkeypatch, "--help")

    # then
    examples = [line.split("   ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  marvel ")]
    assert examples
    for example in examples:
        assert cli._parser().parse_args(shlex.split(example)[1:])


def test_bare_make_lists_every_target_with_its_help():
    # when
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=PROJECT_ROOT, check=True, capture_output=True, text=True
    ).stdout

    # then
    [phony] = [line for line in (PROJECT_ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")]
    assert sorted(line.split()[1] for line in shown.splitlines()) == sorted(phony.split()[1:])


def test_assets_are_selected_as_dagster_selects_them():
    # then: no complaint
    check_selection("raw_characters,group:training")


def test_a_selection_that_dagster_refuses_in_code_is_answered_in_a_sentence():
    # then
    with pytest.raises(ConfigError, match="--select 'code_location:marvel_assets': "):
        # when
        check_selection("code_location:marvel_assets")


def test_a_setting_without_a_value_is_refused_with_how_to_write_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    # when
    code = end_of(monkeypatch, "trial", "--set", "n_estimators")

    # then
    assert code == "2"
    assert "'n_estimators' is not a setting; expected NAME=VALUE." in capsys.readouterr().err


def test_a_new_data_set_without_a_usable_name_is_refused(monkeypatch: pytest.MonkeyPatch):
    # when
    message = end_of(monkeypatch, "new-dataset", "Wines", "--from", "wines.csv")

    # then
    assert message.startswith("'Wines': choose another name")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["rollback"], "reason is missing; add --set reason=…"),
        (["rollback", "--set", "reason=why", "--set", "why=reason"], "why: unknown key; choose from actor"),
        (["approve", "--set", "basic_version=zero"], "basic_version: Input should be a valid integer"),
        (["trial", "--set", "n_trees=3"], "model.n_trees: unknown key"),
        (["promote", "--set", "to=moon"], "to: 'moon' does not match ^(dev|acc|prd)$"),
        (
            ["tune", "--set", "trials=0", "--set", "folds=1"],
            "trials: Input should be greater than or equal to 1 (found '0'); folds: Input should be ",
        ),
    ],
)
def test_a_setting_that_a_job_cannot_use_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], problem: str
):
    # when
    message = end_of(monkeypatch, *command)

    # then
    assert message.startswith(f"marvel {command[0]} --set: {problem}")
    assert capsys.readouterr() == ("", "")


def test_what_is_printed_after_a_redirection_that_could_not_be_ended_is_seen(capfd: pytest.CaptureFixture[str]):
    # given: as Dagster leaves them where the file of a step's output is on a full disk
    with Path("/dev/full").open("wb") as full, run._restored_output():
        for descriptor in (1, 2):
            os.dup2(full.fileno(), descriptor)
        with pytest.raises(OSError, match="No space left"):
            os.write(2, b"lost")

    # when
    os.write(1, b"output")
    os.write(2, b"problem")

    # then
    assert capfd.readouterr() == ("output", "problem")
