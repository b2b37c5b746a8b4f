"""The clock jumps, and two machines differ: versions and ids decide, never what a clock said."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import mlflow
import pandas as pd
import pytest
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.ingestion.sensors import source_change_sensor
from marvel_assets.defs.monitoring.sensors import latest_windows
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.storage.references import LoggedModelRef
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import HOME_ID, MlflowTracking
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import TABLES, marvel, state_of, succeeded, users_environment
from marvel_assets_tests.faults.clock import HOUR, YEAR, Clock, tell
from marvel_assets_tests.faults.conftest import LOST
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.kaggle import PREDICTION_COLUMNS
from marvel_assets_tests.planted import spoilt_characters
from marvel_assets_tests.servers.mlflow_server import mlflow_server
from marvel_assets_tests.tracking import logging_assets
from marvel_assets_tests.tracking.logging_assets import BASIC, log, waiting_run

SHIFTS = (
    (0, -5 * YEAR, -2 * YEAR, -7 * YEAR, -6 * YEAR),
    (0, 3 * YEAR, -YEAR, 2 * HOUR, -8 * YEAR),
    (-6 * YEAR, 0, -HOUR, 9 * YEAR, 0),
    (9 * YEAR, 0, -20, -21, -22),
)[: amount(0, 4)]
"""How far the clock is off at each of five steps: the first stands for the present, or for a clock put right later.
Ten runs: with FAULTS=all alone."""

MANY_COMMITS = """
import os, sys
from pathlib import Path
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets_tests.faults.clock import YEAR, Clock

folder = Path(sys.argv[1])
with DuckDBEngine(scratch=str(folder / "scratch")).session() as session:
    for number in range(102):
        if number == 90:
            Clock.of_this_process().set(5 * YEAR)
        session.create_table_as(f"SELECT {number} AS number, 'x' AS row_digest", f"rows{number}")
        session.write(f"rows{number}", folder / "table", "{}")
"""
"""More commits than there are between two checkpoints of the log, at which Delta looks for old ones."""


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock of the test's own."""
    return Clock.build(tmp_path)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Characters that make a fair model, others that make a better one, and these with some gone, changed and new."""
    folder = tmp_path_factory.mktemp("sources")
    fair, good = spoilt_characters(folder, 0.1), spoilt_characters(folder, 0.0)
    characters = pd.read_csv(good, dtype=str, keep_default_na=False)
    new = characters.head(60).assign(PageID=lambda rows: rows["PageID"] + "_again")
    changed = characters.iloc[50:].copy()
    changed.iloc[:40, changed.columns.get_loc("Gender")] = "Female"
    fed = folder / "fed.csv"
    pd.concat([changed, new]).to_csv(fed, index=False)
    return {"fair": fair, "good": good, "fed": fed}


def story(sources: dict[str, Path], shifts: tuple[int, ...]) -> list[tuple[int, str, str]]:
    """A model, a better one, new characters to score, back to the first model, and forth again."""
    jobs = [
        ("retrain", str(sources["fair"])),
        ("retrain", str(sources["good"])),
        ("feed", str(sources["fed"])),
        ("rollback", "the test wants it"),
        ("feed", str(sources["good"])),
    ]
    return [(shift, *job) for shift, job in zip(shifts, jobs, strict=True)]


@pytest.fixture(scope="module")
def undisturbed(
    sources: dict[str, Path], small_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ProjectPaths, list[dict[str, int]]]:
    """The story with a clock that is right."""
    home = ProjectPaths(tmp_path_factory.mktemp("undisturbed") / "home")
    told = tell(home, story(sources, (0,) * 5), MARVEL_CONFIG=str(small_project))
    return home, told


def predictions_sql(home: ProjectPaths, config: ProjectConfig) -> set[tuple[object, ...]]:
    """All that is told of everybody, but for when."""
    columns = [name for name in PREDICTION_COLUMNS if not name.endswith("_utc")]
    table = DeltaTable(home.warehouse.joinpath(*config.qualified("survival_predictions").split(".")))
    return {tuple(row.values()) for row in table.to_pyarrow_table(columns=columns).to_pylist()}


def histories(home: ProjectPaths, config: ProjectConfig) -> dict[str, list[tuple[int, str]]]:
    """Versions and contents of every table, the newest first."""
    tables = Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance))
    found = {}
    for name in (*TABLES, "survival_predictions"):
        qualified = config.qualified(name)
        versions = [entry["version"] for entry in tables.history(tables.location(qualified))]
        head = tables.latest(qualified)
        assert head is not None
        found[name] = [(version, head.table.content if version == head.table.version else "") for version in versions]
    return found


@pytest.mark.parametrize("shifts", SHIFTS, ids=str)
def test_a_clock_that_jumps_changes_nothing_that_is_decided(
    undisturbed: tuple[ProjectPaths, list[dict[str, int]]],
    sources: dict[str, Path],
    clock: Clock,
    home: ProjectPaths,
    small_project: Path,
    record_property: Callable[[str, int], None],
    shifts: tuple[int, ...],
):
    # given
    right, expected = undisturbed
    config = ProjectConfig.from_yaml(small_project)

    # when
    told = tell(home, story(sources, shifts), MARVEL_CONFIG=str(small_project), **clock.environment)

    # then: the clock did jump
    assert len({step["year"] for step in told}) > 1

    # then: all is as with a clock that is right
    assert [step["scored_now"] for step in told] == [step["scored_now"] for step in expected]
    found, wanted = state_of(home, small_project), state_of(right, small_project)
    assert (found.table_versions, found.table_rows) == (wanted.table_versions, wanted.table_rows)
    assert (found.versions, found.aliases) == (wanted.versions, wanted.aliases)
    assert set(found.mlflow_runs.values()) == {"FINISHED"}
    assert histories(home, config) == histories(right, config)
    lost = len(predictions_sql(right, config) - predictions_sql(home, config))
    record_property(LOST, lost)
    assert lost == 0
    assert predictions_sql(home, config) == predictions_sql(right, config)

    # then: the sensors take the last for the last
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        [*windows] = latest_windows(instance, 5)
    assert windows[0]["window"] == found_window(home, config)
    assert asked_for_by_the_sensor(home, sources["good"]) == asked_for_by_the_sensor(right, sources["good"])


def asked_for_by_the_sensor(home: ProjectPaths, source: Path) -> tuple[str | None, list[str | None]]:
    """Why the sensor that watches the source asks for no run, or the runs that it asks for."""
    chosen = {**profile_resources(home), "sources": sources_of(home, source)}
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        context = dg.build_sensor_context(instance=instance)
        seen = source_change_sensor(context, project=chosen["project"], sources=chosen["sources"])
    assert isinstance(seen, dg.SensorResult)
    return seen.skip_reason, [request.run_key for request in seen.run_requests or []]


def sources_of(home: ProjectPaths, default: Path) -> object:
    from marvel_assets.sources.resource import SourceResource

    return SourceResource(default=str(default), scratch=str(home.scratch))


def found_window(home: ProjectPaths, config: ProjectConfig) -> int:
    tables = Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance))
    head = tables.latest(config.qualified("survival_predictions"))
    assert head is not None
    return head.table.version


def test_a_clock_that_is_set_forward_takes_no_version_of_a_table_away(clock: Clock, tmp_path: Path):
    # when
    subprocess.run(
        [sys.executable, "-c", MANY_COMMITS, str(tmp_path)], cwd=PROJECT_ROOT, check=True, timeout=500,
        env={**os.environ, **clock.environment},
    )  # fmt: skip

    # then
    table = DeltaTable(tmp_path / "table")
    assert [entry["version"] for entry in table.history()] == list(range(101, -1, -1))
    assert DeltaTable(tmp_path / "table", version=0).to_pyarrow_table()["number"].to_pylist() == [0]


@pytest.fixture
def waiting(home: ProjectPaths, clock: Clock) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ARG001 - the home is in the environment
    """A run of this home, three hours ahead, that has its MLflow run open."""
    clock.set(3 * HOUR)
    environment = {**users_environment(), **clock.environment}
    with waiting_run("-m", logging_assets.__name__, env=environment, start_new_session=True) as process:
        yield process


def statuses(home: ProjectPaths) -> set[str]:
    client = connect(f"sqlite:///{home.mlflow_database}", home.locks)
    found = client.get_experiment_by_name(BASIC)
    return {run.info.status for run in client.search_runs([found.experiment_id])}


def test_a_run_that_began_in_the_future_is_ended_when_it_is_dead_and_not_before(
    home: ProjectPaths, waiting: subprocess.Popen[bytes]
):
    # given
    tracking = logging_assets.tracking_of(home)

    @dg.asset
    def looks(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
        log(context, tracking)

    # when: a run of the present looks while that one lives
    dg.materialize([looks], resources={"tracking": tracking})

    # then
    assert statuses(home) == {"RUNNING", "FINISHED"}

    # when
    os.killpg(waiting.pid, signal.SIGKILL)
    waiting.wait()
    dg.materialize([looks], resources={"tracking": tracking})

    # then
    assert statuses(home) == {"KILLED", "FINISHED"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server: tracking and registry of two machines."""
    folder = tmp_path / "server"
    folder.mkdir()
    with mlflow_server(folder) as url:
        yield url


@pytest.mark.slow(reason="starts a tracking server and two runs")
@pytest.mark.skipif(amount(1, 0), reason="FAULTS=all: the next test shows what decides")
def test_of_two_machines_the_later_version_counts_and_not_the_later_clock(
    server: str,
    sources: dict[str, Path],
    small_project: Path,
    tmp_path: Path,
    record_property: Callable[[str, int], None],
):
    # given: one machine is five hours ahead, the other five hours behind
    machines = {}
    for name, shift in (("ahead", 5 * HOUR), ("behind", -5 * HOUR)):
        folder = tmp_path / name
        folder.mkdir()
        clock = Clock.build(folder)
        clock.set(shift)
        machines[name] = (ProjectPaths(folder / "home"), clock)

    def retrain(machine: str, source: str) -> None:
        home, clock = machines[machine]
        succeeded(
            marvel(
                "run", MARVEL_HOME=str(home.root), DAGSTER_HOME=str(home.dagster), MARVEL_CONFIG=str(small_project),
                MARVEL_SOURCE=str(sources[source]), MLFLOW_TRACKING_URI=server, **clock.environment,
            )
        )  # fmt: skip

    config = ProjectConfig.from_yaml(small_project)
    names = [config.qualified(f"marvel_character_model_{kind}") for kind in ("basic", "custom")]

    def served() -> list[int]:
        catalog = MlflowRegistry(connect(server, tmp_path / "locks"), tmp_path / "locks")
        found = [catalog.get_version_by_alias(name, "latest-model") for name in names]
        return [version.version for version in found if version is not None]

    # given: the one that is ahead has made the first version, and has a run open for all that is known
    retrain("ahead", "fair")
    client = connect(server, tmp_path / "locks")
    experiment = client.get_experiment_by_name(config.experiment_name_basic)
    [ahead] = {
        run.data.tags[HOME_ID]
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags[HOME_ID] == (machines["ahead"][0].locks / "home-id").read_text()
    }
    open_run = client.create_run(
        experiment.experiment_id, tags={HOME_ID: ahead, "dagster_run_id": "not-of-this-machine"}
    )

    # when: the other one makes a better version, which the log calls ten hours older
    retrain("behind", "good")

    # then: that one counts, and the run of the other machine goes on
    assert served() == [2, 2]
    assert client.get_run(open_run.info.run_id).info.status == "RUNNING"
    record_property(LOST, 0 if served() == [2, 2] else 1)


def test_of_two_models_that_two_machines_logged_at_once_both_find_that_of_the_later_version(home: ProjectPaths):
    # given: both have one cache key, and the one of the later version was logged first, by every clock
    tracking = logging_assets.tracking_of(home)
    connect(tracking.tracking_uri, home.locks)
    logged = []
    for number in (2, 1):
        mlflow.set_experiment(experiment_id=tracking.experiment_id(BASIC))
        with mlflow.start_run() as run:
            model = mlflow.initialize_logged_model(name="model")
            logged.append(LoggedModelRef("model", model.model_id, run.info.run_id, BASIC))
        tracking.tag_model(logged[-1], {"cache_key": "one"})
        tracking.tag_registered_version(logged[-1], number)

    # then
    assert tracking.find_model(BASIC, "one") == logged[0]
