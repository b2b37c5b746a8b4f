"""kill -9 at every kind of boundary: the next run converges to what an undisturbed run would have made."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import succeeded
from marvel_assets_tests.faults import amount
from marvel_assets_tests.faults.conftest import Differences
from marvel_assets_tests.faults.runs import PREPARE, Moment, run, spread

pytestmark = [pytest.mark.slow(reason="every run is a process of its own"), pytest.mark.usefixtures("config")]

LANDMARKS = {
    "raw_characters: delta raw_characters": "within",
    "characters: delta train_set": "after",
    "fitted_pipeline: replace pipelines/*.json": "before",
    "basic_model: mlflow finalize_logged_model": "after",
    "basic_model: mlflow set_logged_model_tags": "after",
    "basic_model_version: mlflow create_model_version": "after",
    "custom_model_version: mlflow set_registered_model_alias": "after",
    "survival_predictions: delta survival_predictions": "within",
}
"""Commits of each kind, in the order of a run: tables, fit, logging, registration, aliases, predictions."""

KILLED = amount(0, 50)
KILLED_AGAIN = amount(1, 6)
KILLED_ON_SPARK = amount(0, 10)

IN_THE_PREPARATION = {"start: open dagster/.is_made": "before"}
IN_A_SPARK_COMMIT = Moment("characters: delta train_set", 1, "within", 0.3)
SECONDS_TO_END = 60


def is_killed(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def embedded_moments(undisturbed: Path) -> list[Moment]:
    return spread((undisturbed / "boundaries").read_text().splitlines(), LANDMARKS, KILLED)


@pytest.fixture(scope="module")
def spark_moments(tmp_path_factory: pytest.TempPathFactory, spark_folder: Path) -> list[Moment]:
    """One that is known beforehand, and some that an undisturbed run passes."""
    folder = tmp_path_factory.mktemp("undisturbed-on-spark")
    home, record = ProjectPaths(folder / "home"), folder / "boundaries"
    home.prepare()
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    succeeded(run(home, record=record, MARVEL_PROFILE="spark"))
    return [IN_A_SPARK_COMMIT, *spread(record.read_text().splitlines(), {}, KILLED_ON_SPARK - 1)]


@pytest.mark.parametrize(
    ("profile", "number"),
    [
        *(("embedded", number) for number in range(KILLED)),
        *(pytest.param("spark", number, marks=pytest.mark.spark) for number in range(KILLED_ON_SPARK)),
    ],
)
def test_a_kill_leaves_no_process_and_the_next_run_what_an_undisturbed_run_would_have_left(
    tmp_path: Path, request: pytest.FixtureRequest, profile: str, number: int, differences: Differences
):
    # given
    home = ProjectPaths(tmp_path / "home")
    home.prepare()
    moment = request.getfixturevalue(f"{profile}_moments")[number]
    if profile == "spark":
        home.spark.symlink_to(request.getfixturevalue("spark_folder"), target_is_directory=True)
    assert is_killed(run(home, moment, MARVEL_PROFILE=profile)), f"not killed {moment}"
    deadline = time.monotonic() + SECONDS_TO_END
    while left := processes_in(home):  # such as the JVM
        assert time.monotonic() < deadline, left
        time.sleep(0.1)

    # when
    succeeded(run(home, MARVEL_PROFILE=profile))

    # then
    assert differences(home) == [], f"killed {moment}"


def processes_in(home: ProjectPaths) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("MARVEL_HOME") == str(home.root):
                found.append(process.name())
    return found


@pytest.mark.parametrize("number", range(KILLED_AGAIN))
def test_a_home_in_which_every_run_but_the_last_is_killed_loses_nothing(
    tmp_path: Path, number: int, differences: Differences
):
    # given: a kill in its preparation
    other, record, home = ProjectPaths(tmp_path / "other"), tmp_path / "boundaries", ProjectPaths(tmp_path / "home")
    succeeded(run(other, record=record, command=PREPARE))
    moment = spread(record.read_text().splitlines(), IN_THE_PREPARATION, number + 1)[-1]
    assert is_killed(run(home, moment, command=PREPARE)), f"not killed {moment}"
    succeeded(run(home, command=PREPARE))

    # and kills of the runs that make up for a kill, each some landmarks further on
    for name, when in [*LANDMARKS.items()][number % 2 :: amount(3, 2)]:
        assert is_killed(run(home, Moment(name, 1, when))), f"not killed {when} {name}"

    # when
    succeeded(run(home))

    # then
    assert differences(home) == []
