"""kill -9 at every kind of boundary: the next run converges to what an undisturbed run would have made."""

import contextlib
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import succeeded
from marvel_assets_tests.faults import amount
from marvel_assets_tests.faults.conftest import Differences
from marvel_assets_tests.faults.runs import PREPARE, Moment, run, spread

pytestmark = [pytest.mark.slow(reason="every run is another process"), pytest.mark.usefixtures("config")]

LANDMARKS = {
    "delta raw_characters": "within",
    "delta train_set": "after",
    "replace pipelines/*.json": "before",
    "mlflow finalize_logged_model": "after",
    "mlflow set_logged_model_tags": "after",
    "mlflow create_model_version": "after",
    "mlflow set_registered_model_alias": "after",
    "delta survival_predictions": "within",
}
"""Commits of each kind, in the order of a run: tables, fit, logging, registration, aliases, predictions."""

KILLED, KILLED_ON_SPARK, KILLED_AGAIN = amount((0, 0, 1), (50, 10, 6))
IN_THE_PREPARATION = {"open dagster/.is_made": "before"}
IN_A_SPARK_COMMIT = Moment("delta train_set", 1, "within", 0.3)
SECONDS_TO_END = 60


def assert_killed(home: ProjectPaths, moment: Moment, **how: Any) -> None:
    """Run, and die at the moment."""
    assert run(home, moment, **how).returncode == -signal.SIGKILL, f"not killed {moment}"


@pytest.fixture(scope="module")
def moments_on_embedded(undisturbed: Path) -> list[Moment]:
    return spread((undisturbed / "boundaries").read_text().splitlines(), LANDMARKS, KILLED)


@pytest.fixture(scope="module")
def moments_on_spark(tmp_path_factory: pytest.TempPathFactory, spark_folder: Path) -> list[Moment]:
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
    moment = request.getfixturevalue(f"moments_on_{profile}")[number]
    if profile == "spark":
        home.spark.symlink_to(request.getfixturevalue("spark_folder"), target_is_directory=True)
    assert_killed(home, moment, MARVEL_PROFILE=profile)
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
    assert_killed(home, moment, command=PREPARE)
    succeeded(run(home, command=PREPARE))

    # and kills of the runs after a kill, each some landmarks further on
    for name, when in [*LANDMARKS.items()][number % 2 :: amount(3, 2)]:
        assert_killed(home, Moment(name, 1, when))

    # when
    succeeded(run(home))

    # then
    assert differences(home) == []
