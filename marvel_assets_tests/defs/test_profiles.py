"""The whole graph on other profiles: the same assets, through the commands that a user gives."""

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import failure_of, run_graph
from marvel_assets_tests.servers.starting import free_port

Command = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MARVEL_UC_URL"])
def test_a_server_that_is_down_ends_the_run_with_its_url_before_anything_is_written(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, variable: str
):
    # given
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv(variable, url)

    # when
    result = run_graph(home, select="raw_characters")

    # then
    assert re.search(rf"{re.escape(url)}.* can't be (reached|used)", failure_of(result))
    assert not home.warehouse.exists()


@pytest.mark.usefixtures("home")
def test_the_doctor_names_all_that_is_missing_at_once(marvel_here: Command, tmp_path: Path):
    # given
    url = f"http://127.0.0.1:{free_port()}"
    lacking = {"MLFLOW_TRACKING_URI": url, "MARVEL_UC_URL": url, "JAVA_HOME": str(tmp_path)}

    # when
    done = marvel_here("doctor", MARVEL_PROFILE="spark", **lacking)

    # then
    assert done.returncode == 1
    assert f"{tmp_path}/bin/java does not run" in done.stdout
    assert f"MLflow's tracking server at {url}" in done.stdout
    assert f"The Unity Catalog server at {url} can't be reached" in done.stdout


@pytest.mark.usefixtures("home")
def test_the_doctor_finds_a_fresh_home_ready(marvel_here: Command):
    # when
    done = marvel_here("doctor")

    # then
    assert done.returncode == 0
    first, *checks = done.stdout.splitlines()
    assert first == "Profile embedded, environment dev (marvel_dev.marvel_characters)"
    assert [line.split()[-1] for line in checks] == ["ready"] * 4
