"""MLflow runs as they come out of real Dagster runs."""

import time
from dataclasses import asdict
from pathlib import Path

import dagster as dg
import mlflow
import pytest
from click.testing import CliRunner
from mlflow.cli import gc
from mlflow.entities import Run

from marvel_assets.evaluation.gate import Slice
from marvel_assets.paths import ProjectPaths
from marvel_assets.storage.references import LoggedModelRef
from marvel_assets.tracking.mlflow_resource import DAGSTER_RUN_ID, HOME_ID, MlflowTracking
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.model_logging import log_slices
from marvel_assets.tracking.run_tags import RunTags
from marvel_assets.utils.locks import home_id
from marvel_assets.utils.run_heartbeat import heartbeat
from marvel_assets_tests.tracking.logging_assets import BASIC, CUSTOM, broken, first, second, tracking_of


def client_of(home: ProjectPaths) -> mlflow.MlflowClient:
    return connect(home.mlflow_uri, home.locks)


def runs_of(home: ProjectPaths, experiment: str = BASIC) -> list[Run]:
    client = client_of(home)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def statuses(home: ProjectPaths, experiment: str = BASIC) -> list[str]:
    return [run.info.status for run in runs_of(home, experiment)]


def materialize(home: ProjectPaths, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets, resources={"tracking": tracking_of(home)}, raise_on_error=False)


def abandoned_run(home: ProjectPaths, **tags: str) -> str:
    """A run that is RUNNING, as a process leaves it that is killed."""
    client = client_of(home)
    tags = {HOME_ID: home_id(home.locks), DAGSTER_RUN_ID: "earlier", **tags}
    experiment = client.create_experiment(BASIC, home.mlflow_artifacts.as_uri())  # by default it is in this folder
    return str(client.create_run(experiment, tags=tags).info.run_id)


def test_a_run_has_its_dagster_run_commit_and_branch(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MARVEL_GIT_SHA", "0123abc")
    monkeypatch.setenv("MARVEL_GIT_BRANCH", "some/branch")
    monkeypatch.setenv("MARVEL_RUN_ID", "run-of-the-scheduler")

    # when
    result = materialize(home, first)

    # then
    [run] = runs_of(home)
    expected = {
        "dagster_run_id": result.run_id,
        "git_sha": "0123abc",
        "branch": "some/branch",
        "run_id": "run-of-the-scheduler",
        "mlflow.runName": "run of first",
    }
    assert expected.items() <= run.data.tags.items()
    pages = "http://127.0.0.1:3000"
    assert run.data.tags["mlflow.note.content"] == (
        f"Made by [first]({pages}/assets/first) in [Dagster run {result.run_id[:8]}]({pages}/runs/{result.run_id})"
    )
    experiment = client_of(home).get_experiment(run.info.experiment_id)
    assert f"{pages}/asset-groups" in experiment.tags["mlflow.note.content"]


def test_system_metrics_are_logged_where_mlflow_is_asked_for_them(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")

    # when: a run goes on until they are there
    @dg.asset
    def working(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
        with tracking.run(BASIC, RunTags.collect(context.run.run_id), "working", "assets/working") as run:
            deadline = time.monotonic() + 120
            while not tracking.client().get_run(run.info.run_id).data.metrics and time.monotonic() < deadline:
                time.sleep(0.05)

    materialize(home, working)

    # then
    [run] = runs_of(home)
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0


def test_slices_are_logged_as_one_table_however_often_they_are_logged(home: ProjectPaths):
    # given
    client = client_of(home)
    experiment = client.create_experiment(BASIC, home.mlflow_artifacts.as_uri())
    run_id = client.create_run(experiment).info.run_id
    slices = [Slice("Gender", "Male", 600, 0.75, 0.5, 1.0), Slice("Gender", "Female", 500, 0.5, 0.25, 0.75)]

    # when
    for _ in range(2):
        log_slices(client, run_id, slices)

    # then
    table = client.load_table(experiment, "slices.json", [run_id])
    assert table.to_dict("records") == [asdict(each) for each in slices]


def test_each_dagster_run_has_a_run_of_its_own_in_each_experiment(home: ProjectPaths):
    # when
    ids = {materialize(home, first, second).run_id for _ in range(2)}

    # then
    for experiment, asset in ((BASIC, "first"), (CUSTOM, "second")):
        runs = runs_of(home, experiment)
        assert [run.data.metrics for run in runs] == [{asset: 1}] * 2
        assert {run.data.tags["dagster_run_id"] for run in runs} == ids
        assert {run.info.status for run in runs} == {"FINISHED"}
    assert mlflow.active_run() is None


def test_the_run_of_a_step_that_fails_is_failed_however_often_it_is_tried_and_earlier_ones_stay_finished(
    home: ProjectPaths,
):
    # when
    assert not materialize(home, first, broken).success

    # then
    assert (statuses(home, BASIC), statuses(home, CUSTOM)) == (["FINISHED"], ["FAILED"])


def test_a_run_that_the_caller_has_open_stays_open_and_is_not_written_to(home: ProjectPaths):
    # given
    client = client_of(home)
    own = client.create_experiment("/own")

    # when
    with mlflow.start_run(experiment_id=own) as opened:
        materialize(home, first, broken)

        # then
        assert mlflow.active_run().info.run_id == opened.info.run_id
        [after] = client.search_runs([own])
        assert (after.info.status, after.data.metrics, after.data.tags) == ("RUNNING", {}, opened.data.tags)
    assert [run.data.metrics for run in runs_of(home)] == [{"first": 1}]


def test_a_deleted_experiment_is_named_together_with_the_way_out(home: ProjectPaths):
    # given
    client = client_of(home)
    client.delete_experiment(client.create_experiment(BASIC))

    # then
    with pytest.raises(Exception, match=rf"{BASIC} is deleted; restore it"):
        dg.materialize([first], resources={"tracking": tracking_of(home)})


@pytest.mark.parametrize(
    ("home_of_it", "living", "status"),
    [({}, "another", "KILLED"), ({}, "earlier", "RUNNING"), ({HOME_ID: "another machine's"}, "another", "RUNNING")],
    ids=["a killed process", "a living process", "another home"],
)
def test_the_next_run_ends_what_killed_processes_of_its_home_left_running_and_no_other(
    home: ProjectPaths, home_of_it: dict[str, str], living: str, status: str
):
    # given
    running = abandoned_run(home, **home_of_it)

    # when
    with heartbeat(home.locks, living):
        materialize(home, first)

    # then
    assert client_of(home).get_run(running).info.status == status


def test_a_completed_model_is_found_by_its_cache_key_alone(home: ProjectPaths):
    # given
    client = client_of(home)

    @dg.asset
    def logging_a_model(context: dg.AssetExecutionContext, tracking: dg.ResourceParam[MlflowTracking]):
        with tracking.run(BASIC, RunTags.collect(context.run.run_id), "a name", "assets/logging_a_model") as run:
            model = client.create_logged_model(run.info.experiment_id, "model", run.info.run_id)
            reference = LoggedModelRef("model", model.model_id, run.info.run_id, BASIC)
            assert tracking.find_model(BASIC, "the-key") is None
            tracking.mark_complete(reference, "the-key")
            assert tracking.find_model(BASIC, "the-key") == reference
            assert tracking.find_model(BASIC, "another-key") is None

    # then
    dg.materialize([logging_a_model], resources={"tracking": tracking_of(home)})


def model_with_key(tracking: MlflowTracking, key: str) -> LoggedModelRef:
    mlflow.set_experiment(experiment_id=tracking.experiment_id(BASIC))
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(name="model")
    logged = LoggedModelRef("model", model.model_id, run.info.run_id, BASIC)
    tracking.tag_model(logged, {"cache_key": key})
    return logged


def test_of_two_models_that_two_machines_logged_at_once_both_find_that_of_the_later_version(home: ProjectPaths):
    # given: both have one cache key, and the one of the later version was logged first, by every clock
    tracking = tracking_of(home)
    logged = [model_with_key(tracking, "one") for _ in range(2)]
    for number, model in zip((2, 1), logged, strict=True):
        tracking.tag_registered_version(model, number)

    # then
    assert tracking.find_model(BASIC, "one") == logged[0]


@pytest.mark.parametrize("host", ["https://127.0.0.1:1", "127.0.0.1:1", "https://127.0.0.1:1/"])
def test_on_databricks_links_lead_to_the_workspace_of_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
):
    # given
    profiles = tmp_path / "databrickscfg"
    profiles.write_text(f"[avengers]\nhost = {host}\ntoken = a token\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))

    # when
    tracking = MlflowTracking(tracking_uri="databricks://avengers", locks=str(tmp_path), ui_url="")

    # then
    assert tracking.version_url("c.s.model", 1) == "https://127.0.0.1:1/explore/data/models/c/s/model/version/1"


def test_a_model_whose_run_was_deleted_is_not_found(home: ProjectPaths):
    # given
    tracking = tracking_of(home)
    logged = model_with_key(tracking, "one")
    assert tracking.find_model(BASIC, "one") == logged

    # when
    client_of(home).delete_run(logged.run_id)

    # then: neither while it could be restored nor after that
    assert tracking.find_model(BASIC, "one") is None
    done = CliRunner().invoke(gc, ["--backend-store-uri", home.mlflow_uri, "--run-ids", logged.run_id])
    assert done.exit_code == 0, done.output
    assert tracking.find_model(BASIC, "one") is None
