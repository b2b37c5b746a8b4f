"""MLflow runs as they come out of real Dagster runs, in this process and in others."""

import os
import signal
import subprocess
import sys

import dagster as dg
import mlflow
import pytest
from mlflow.entities import Run

from marvel_assets.config import Tags
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.storage.references import LoggedModelRef
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import users_environment
from marvel_assets_tests.tracking import logging_assets
from marvel_assets_tests.tracking.logging_assets import (
    BASIC,
    CUSTOM,
    broken,
    broken_without_mlflow,
    elsewhere,
    first,
    mark,
    second,
    silent,
    tracking_of,
    wait_for,
)

pytestmark = pytest.mark.integration

MODULE = logging_assets.__name__


def client_of(home: ProjectPaths) -> mlflow.MlflowClient:
    return connect(f"sqlite:///{home.mlflow_database}", home.locks)


def runs_of(home: ProjectPaths, experiment: str = BASIC) -> list[Run]:
    client = client_of(home)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def statuses(home: ProjectPaths, experiment: str = BASIC) -> list[str]:
    return [run.info.status for run in runs_of(home, experiment)]


def materialize(
    home: ProjectPaths, *assets: dg.AssetsDefinition, raise_on_error: bool = True
) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets, resources={"tracking": tracking_of(home)}, raise_on_error=raise_on_error)


def command(select: str) -> list[str]:
    return [sys.executable, "-m", "dagster", "asset", "materialize", "-m", MODULE, "--select", select]


@pytest.fixture
def waiting(home: ProjectPaths):  # noqa: ARG001
    """Another process that has its MLflow run open."""
    process = subprocess.Popen(
        command("waiting"),
        cwd=PROJECT_ROOT,
        env=users_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(mark("waiting"))
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_dagster_run_has_one_mlflow_run_that_is_tagged_with_its_id(home: ProjectPaths):
    # when
    result = materialize(home, first)

    # then
    [run] = runs_of(home)
    assert run.data.tags["dagster_run_id"] == result.run_id


def test_a_run_tells_commit_branch_and_run_id(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MARVEL_GIT_SHA", "0123abc")
    monkeypatch.setenv("MARVEL_GIT_BRANCH", "some/branch")
    monkeypatch.setenv("MARVEL_RUN_ID", "run-of-the-scheduler")

    # when
    materialize(home, first)

    # then
    [run] = runs_of(home)
    expected = {"git_sha": "0123abc", "branch": "some/branch", "run_id": "run-of-the-scheduler"}
    assert expected.items() <= run.data.tags.items()


def test_a_second_asset_of_the_same_dagster_run_resumes_the_same_mlflow_run(home: ProjectPaths):
    # when
    materialize(home, first, second)

    # then
    [run] = runs_of(home)
    assert run.data.metrics == {"first": 1, "second": 1}


def test_two_dagster_runs_have_a_run_each(home: ProjectPaths):
    # when
    dagster_runs = {materialize(home, first).run_id for _ in range(2)}

    # then
    runs = runs_of(home)
    assert {run.data.tags["dagster_run_id"] for run in runs} == dagster_runs
    assert len(runs) == 2


def test_two_experiments_have_a_run_each_and_nothing_of_one_is_written_into_the_other(home: ProjectPaths):
    # when
    result = materialize(home, first, elsewhere)

    # then
    [basic], [custom] = runs_of(home, BASIC), runs_of(home, CUSTOM)
    assert basic.info.run_id != custom.info.run_id
    assert (basic.data.metrics, custom.data.metrics) == ({"first": 1}, {"elsewhere": 1})
    assert {run.data.tags["dagster_run_id"] for run in (basic, custom)} == {result.run_id}


def test_experiments_can_be_taken_in_turns(home: ProjectPaths):
    # given
    @dg.asset
    def by_turns(context: dg.AssetExecutionContext, tracking: dg.ResourceParam[logging_assets.MlflowTracking]):
        for number, experiment in enumerate([BASIC, CUSTOM, BASIC, CUSTOM]):
            with tracking.run(experiment, Tags.collect(context.run.run_id)):
                mlflow.log_metric(f"turn_{number}", number)

    # when
    materialize(home, by_turns)

    # then
    [basic], [custom] = runs_of(home, BASIC), runs_of(home, CUSTOM)
    assert basic.data.metrics.keys() == {"turn_0", "turn_2"}
    assert custom.data.metrics.keys() == {"turn_1", "turn_3"}


def test_every_run_is_finished_after_success(home: ProjectPaths):
    # when
    materialize(home, first, second, elsewhere)

    # then
    assert statuses(home, BASIC) + statuses(home, CUSTOM) == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize("raise_on_error", [True, False])
@pytest.mark.parametrize("failing", [broken, broken_without_mlflow], ids=["after logging", "without MLflow"])
def test_every_run_is_failed_where_an_asset_fails_after_others_have_logged(
    home: ProjectPaths, failing: dg.AssetsDefinition, *, raise_on_error: bool
):
    # when
    if raise_on_error:
        with pytest.raises((dg.Failure, ValueError)):
            materialize(home, first, elsewhere, failing)
    else:
        assert not materialize(home, first, elsewhere, failing, raise_on_error=False).success

    # then
    assert set(statuses(home, BASIC) + statuses(home, CUSTOM)) == {"FAILED"}


def test_a_failure_does_not_touch_the_run_of_an_earlier_dagster_run(home: ProjectPaths):
    # given
    earlier = materialize(home, first)

    # when
    materialize(home, first, broken, raise_on_error=False)

    # then
    found = {run.data.tags["dagster_run_id"] == earlier.run_id: run.info.status for run in runs_of(home)}
    assert found == {True: "FINISHED", False: "FAILED"}


def test_an_asset_that_succeeds_at_its_second_attempt_leaves_a_finished_run(home: ProjectPaths):
    # given
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def wavering(context: dg.AssetExecutionContext, tracking: dg.ResourceParam[logging_assets.MlflowTracking]):
        logging_assets.log(context, tracking)
        if context.retry_number == 0:
            raise ValueError("broken on purpose, once")

    # when
    materialize(home, wavering)

    # then
    assert statuses(home) == ["FINISHED"]


def test_a_failing_blocking_check_makes_the_run_failed(home: ProjectPaths):
    # given
    @dg.asset_check(asset=first, blocking=True)
    def refusing() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    # when
    dg.materialize([first, refusing, second], resources={"tracking": tracking_of(home)}, raise_on_error=False)

    # then
    [run] = runs_of(home)
    assert (run.info.status, run.data.metrics) == ("FAILED", {"first": 1})


def test_an_asset_that_logs_nothing_makes_no_run(home: ProjectPaths):
    # when
    materialize(home, silent)

    # then
    assert runs_of(home) == []
    assert client_of(home).get_experiment_by_name(BASIC) is None


def test_nothing_is_left_active_in_this_process(home: ProjectPaths):
    # when
    materialize(home, first, elsewhere)

    # then
    assert mlflow.active_run() is None


@pytest.mark.parametrize("nested", [False, True])
def test_a_callers_own_run_stays_open_and_is_not_written_to(home: ProjectPaths, *, nested: bool):
    # given
    client = client_of(home)
    own = client.create_experiment("/own")
    opened = [mlflow.start_run(experiment_id=own)]
    if nested:
        opened.append(mlflow.start_run(experiment_id=own, nested=True))
    before = {run.info.run_id: dict(run.data.tags) for run in client.search_runs([own])}

    # when
    try:
        materialize(home, first, elsewhere)

        # then
        assert mlflow.active_run().info.run_id == opened[-1].info.run_id
        after = client.search_runs([own])
        assert {run.info.run_id: dict(run.data.tags) for run in after} == before
        assert {run.info.status for run in after} == {"RUNNING"}
        assert [run.data.metrics for run in after] == [{} for _ in opened]
    finally:
        for _ in opened:
            mlflow.end_run()
    assert [run.data.metrics for run in runs_of(home)] == [{"first": 1}]


def test_a_callers_own_run_comes_back_after_a_failure(home: ProjectPaths):
    # given
    own = client_of(home).create_experiment("/own")

    # when
    with mlflow.start_run(experiment_id=own) as opened:
        materialize(home, first, broken, raise_on_error=False)

        # then
        assert mlflow.active_run().info.run_id == opened.info.run_id
    assert statuses(home) == ["FAILED"]


def test_a_dagster_run_that_is_over_leaves_no_lock_under_its_id(home: ProjectPaths):
    # when
    result = materialize(home, first)

    # then
    assert [file for file in home.locks.rglob("*") if result.run_id in str(file)] == []


def test_a_deleted_experiment_is_named_together_with_the_way_out(home: ProjectPaths):
    # given
    client = client_of(home)
    client.delete_experiment(client.create_experiment(BASIC))

    # then
    with pytest.raises(Exception, match=rf"{BASIC} is deleted; restore it"):
        materialize(home, first)


def test_steps_in_processes_of_their_own_share_one_failed_run_where_the_later_fails(home: ProjectPaths):
    # when
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(dg.reconstructable(logging_assets.in_processes_with_a_failure), instance)

    # then
    [run] = runs_of(home)
    assert not result.success
    assert (run.info.status, run.data.metrics) == ("FAILED", {"first": 1, "broken": 1})


def test_steps_in_processes_of_their_own_log_at_the_same_time_into_one_run(home: ProjectPaths):
    # when
    with dg.DagsterInstance.get() as instance:
        job = dg.reconstructable(logging_assets.in_processes_at_the_same_time)
        dg.execute_job(job, instance, raise_on_error=True)

    # then
    [run] = runs_of(home)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"left": 1, "right": 1})


def test_the_next_run_ends_what_a_killed_process_left_running(home: ProjectPaths, waiting: subprocess.Popen[bytes]):
    # given
    os.killpg(waiting.pid, signal.SIGKILL)
    waiting.wait()
    assert statuses(home) == ["RUNNING"]

    # when
    materialize(home, first)

    # then
    ended = {next(iter(run.data.metrics)): run.info.status for run in runs_of(home)}
    assert ended == {"waiting": "KILLED", "first": "FINISHED"}


def test_the_next_run_leaves_the_run_of_a_living_process_alone(home: ProjectPaths, waiting: subprocess.Popen[bytes]):
    # when
    materialize(home, first)

    # then
    assert sorted(statuses(home)) == ["FINISHED", "RUNNING"]
    mark("go").touch()
    assert waiting.wait(timeout=200) == 0
    assert statuses(home) == ["FINISHED", "FINISHED"]


def test_the_run_of_an_interrupted_process_is_killed(home: ProjectPaths, waiting: subprocess.Popen[bytes]):
    # when
    os.killpg(waiting.pid, signal.SIGINT)
    waiting.wait(timeout=200)

    # then
    assert statuses(home) == ["KILLED"]


def test_a_run_whose_end_could_not_be_told_ends_as_dagster_says(home: ProjectPaths):
    # given
    instance = dg.DagsterInstance.get()
    for asset in (first, broken):
        dg.materialize([asset], resources={"tracking": tracking_of(home)}, instance=instance, raise_on_error=False)
    for run in runs_of(home):
        client_of(home).update_run(run.info.run_id, "RUNNING")

    # when
    dg.materialize([second], resources={"tracking": tracking_of(home)}, instance=instance)

    # then
    assert sorted(statuses(home)) == ["FAILED", "FINISHED", "FINISHED"]


def test_runs_of_another_home_in_the_same_store_are_left_alone(home: ProjectPaths):
    # given
    client = client_of(home)
    foreign = client.create_run(
        client.create_experiment(BASIC), tags={"dagster_run_id": "0000", "marvel_home": "another machine's"}
    )

    # when
    materialize(home, first)

    # then
    assert client.get_run(foreign.info.run_id).info.status == "RUNNING"


def test_a_completed_model_is_found_by_its_cache_key_alone(home: ProjectPaths):
    # given
    client = client_of(home)
    tracking = tracking_of(home)

    @dg.asset
    def logging_a_model(context: dg.AssetExecutionContext, tracking: dg.ResourceParam[logging_assets.MlflowTracking]):
        with tracking.run(BASIC, Tags.collect(context.run.run_id)) as run:
            model = client.create_logged_model(run.info.experiment_id, "model", run.info.run_id)
            reference = LoggedModelRef("model", model.model_id, run.info.run_id, BASIC)
            assert tracking.find_model(BASIC, "the-cache_key") is None
            tracking.complete_model(reference, "the-cache_key")
            assert tracking.find_model(BASIC, "the-cache_key") == reference
            assert tracking.find_model(BASIC, "another-cache_key") is None

    # when
    result = dg.materialize([logging_a_model], resources={"tracking": tracking})

    # then
    assert result.success
