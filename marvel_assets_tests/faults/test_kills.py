"""kill -9 at every kind of boundary: the next run converges to what an undisturbed run would have made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import succeeded
from marvel_assets_tests.faults.conftest import Undisturbed
from marvel_assets_tests.faults.inventory import differences, inventory
from marvel_assets_tests.faults.kills import Moment, is_killed, left_in, prepare, run, spread
from marvel_assets_tests.faults.scale import amount

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

IN_THE_PREPARATION = Moment("start: open dagster/.is_made", 1, "before")
IN_A_SPARK_COMMIT = Moment("characters: delta train_set", 1, "within", 0.3)
LEFT_BY_SPARK = ("derby.log", "metastore_db", "spark-warehouse")
ADVICE_OF_NO_USE = ("does not recreate the same environment", "Setting default log level")
"""On settings that are not the user's."""


@pytest.fixture(scope="module")
def moments(undisturbed: Undisturbed) -> list[Moment]:
    return spread(undisturbed.boundaries, LANDMARKS, KILLED)


@pytest.fixture
def fresh(tmp_path: Path) -> ProjectPaths:
    home = ProjectPaths(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def converges(undisturbed: Undisturbed, config: ProjectConfig) -> Callable[[ProjectPaths, str], None]:
    """Compares a home with an undisturbed one."""

    def compare(home: ProjectPaths, killed: str) -> None:
        assert differences(undisturbed.holds, inventory(home, config)) == [], f"killed {killed}"

    return compare


@pytest.mark.parametrize("number", range(KILLED))
def test_the_run_after_a_kill_leaves_what_an_undisturbed_run_would_have_left(
    fresh: ProjectPaths, moments: list[Moment], number: int, converges: Callable[..., None]
):
    # given
    assert is_killed(run(fresh, moments[number])), f"not killed {moments[number]}"

    # when
    succeeded(run(fresh))

    # then
    converges(fresh, str(moments[number]))


@pytest.mark.parametrize("number", range(KILLED_AGAIN))
def test_a_home_in_which_every_run_but_the_last_is_killed_loses_nothing(
    tmp_path: Path, number: int, converges: Callable[..., None]
):
    # given: a kill in its preparation
    other, record, home = ProjectPaths(tmp_path / "other"), tmp_path / "boundaries", ProjectPaths(tmp_path / "home")
    moments = [IN_THE_PREPARATION]
    if number:
        succeeded(prepare(other, record=record))
        moments = spread(record.read_text().splitlines(), {}, number)[-1:]
    assert is_killed(prepare(home, moments[0])), f"not killed {moments[0]}"
    succeeded(prepare(home))

    # and kills of the runs that make up for a kill, each some landmarks further on
    moments += [Moment(name, 1, when) for name, when in LANDMARKS.items()][number % 2 :: amount(3, 2)]
    for moment in moments[1:]:
        assert is_killed(run(home, moment)), f"not killed {moment}"

    # when
    succeeded(run(home))

    # then
    converges(home, ", ".join(map(str, moments)))


@pytest.fixture(scope="module")
def moments_on_spark(tmp_path_factory: pytest.TempPathFactory, spark_folder: Path) -> list[Moment]:
    """One that is known beforehand, and some that an undisturbed run passes."""
    folder = tmp_path_factory.mktemp("undisturbed-on-spark")
    home, record = ProjectPaths(folder / "home"), folder / "boundaries"
    home.prepare()
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    succeeded(run(home, record=record, MARVEL_PROFILE="spark"))
    return [IN_A_SPARK_COMMIT, *spread(record.read_text().splitlines(), {}, KILLED_ON_SPARK - 1)]


@pytest.mark.spark
@pytest.mark.parametrize("number", range(KILLED_ON_SPARK))
def test_a_kill_on_spark_takes_the_jvm_along_and_loses_nothing(
    fresh: ProjectPaths,
    spark_folder: Path,
    moments_on_spark: list[Moment],
    number: int,
    converges: Callable[[ProjectPaths, str], None],
):
    # given
    fresh.spark.symlink_to(spark_folder, target_is_directory=True)
    moment = moments_on_spark[number]
    assert is_killed(run(fresh, moment, MARVEL_PROFILE="spark")), f"not killed {moment}"
    assert left_in(fresh) == []

    # when
    done = succeeded(run(fresh, MARVEL_PROFILE="spark"))

    # then
    converges(fresh, f"{moment}, on Spark")
    assert not [name for name in LEFT_BY_SPARK if (PROJECT_ROOT / name).exists()]
    assert not [advice for advice in ADVICE_OF_NO_USE if advice in done.stderr]
