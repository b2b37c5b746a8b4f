"""MLflow runs as they come out of real Dagster runs."""

import time
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
from marvel_assets.utils.locks import heartbeat, home_id

BASIC, CUSTOM = "/Shared/basic", "/Shared/custom"
NAME = "marvel_dev.schema.model"


@pytest.fixture
def client(home: ProjectPaths) -> mlflow.MlflowClient:
    return connect(home.mlflow_uri, home.locks)


@pytest.fixture
def tracking(home: ProjectPaths) -> MlflowTracking:
    return MlflowTracking(tracking_uri=home.mlflow_uri, locks=str(home.locks))


def log(context: dg.AssetExecutionContext, tracking: MlflowTracking, experiment: str) -> None:
    """Log a metric under the asset's own name."""
    name = context.asset_key.to_user_string()
    with tracking.run(experiment, f"run of {name}", f"assets/{name}"):
        mlflow.log_metric(name, 1)


@dg.asset
def first(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
    log(context, tracking, BASIC)


@dg.asset(deps=[first])
def second(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
    log(context, tracking, CUSTOM)


@dg.asset(deps=[first], retry_policy=dg.RetryPolicy(max_retries=1))
def broken(tracking: MlflowTracking) -> None:
    """Fails while it logs, and again when it is tried again."""
    with tracking.run(CUSTOM, "broken", "assets/broken"):
        raise ValueError("broken on purpose")


def materialize(tracking: MlflowTracking, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets, resources={"tracking": tracking}, raise_on_error=False)


def runs_of(client: mlflow.MlflowClient, experiment: str = BASIC) -> list[Run]:
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def logged_model(tracking: MlflowTracking) -> LoggedModelRef:
    mlflow.set_experiment(experiment_id=tracking.ensure_experiment(BASIC))
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(name="model")
    return LoggedModelRef("model", model.model_id, run.info.run_id, BASIC)


def test_a_run_has_its_dagster_run_commit_and_branch(
    client: mlflow.MlflowClient, tracking: MlflowTracking, monkeypatch: pytest.MonkeyPatch
):
    # given
    for name, value in (("GIT_SHA", "0123abc"), ("GIT_BRANCH", "some/branch"), ("RUN_ID", "run-of-the-scheduler")):
        monkeypatch.setenv(f"MARVEL_{name}", value)

    # when
    result = materialize(tracking, first)

    # then
    [run] = runs_of(client)
    pages = "http://127.0.0.1:3000"
    made_in = f"[Dagster run {result.run_id[:8]}]({pages}/runs/{result.run_id})"
    expected = {
        "dagster_run_id": result.run_id,
        "git_sha": "0123abc",
        "branch": "some/branch",
        "run_id": "run-of-the-scheduler",
        "mlflow.runName": "run of first",
        "mlflow.note.content": f"Made by [first]({pages}/assets/first) in {made_in}",
    }
    assert expected.items() <= run.data.tags.items()
    experiment = client.get_experiment(run.info.experiment_id)
    assert f"{pages}/asset-groups" in experiment.tags["mlflow.note.content"]


def test_system_metrics_are_logged_where_mlflow_is_asked_for_them(
    client: mlflow.MlflowClient, tracking: MlflowTracking, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")

    # when: a run goes on until they are there
    @dg.asset
    def working(tracking: MlflowTracking) -> None:
        with tracking.run(BASIC, "working", "assets/working") as run:
            deadline = time.monotonic() + 120
            while not tracking.client().get_run(run.info.run_id).data.metrics and time.monotonic() < deadline:
                time.sleep(0.05)

    materialize(tracking, working)

    # then
    [run] = runs_of(client)
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0


def test_slices_are_logged_as_one_table_however_often_they_are_logged(
    client: mlflow.MlflowClient, tracking: MlflowTracking
):
    # given
    experiment = tracking.ensure_experiment(BASIC)
    run_id = client.create_run(experiment).info.run_id

    # when
    for _ in range(2):
        log_slices(client, run_id, [Slice("Gender", "Male", 600, 0.75, 0.5, 1.0)])

    # then
    [row] = client.load_table(experiment, "slices.json", [run_id]).to_dict("records")
    assert "Male" in row.values()


def test_each_dagster_run_has_a_run_of_its_own_in_each_experiment(
    client: mlflow.MlflowClient, tracking: MlflowTracking
):
    # when
    ids = {materialize(tracking, first, second).run_id for _ in range(2)}

    # then
    for experiment, asset in ((BASIC, "first"), (CUSTOM, "second")):
        runs = runs_of(client, experiment)
        assert [run.data.metrics for run in runs] == [{asset: 1}] * 2
        assert {run.data.tags["dagster_run_id"] for run in runs} == ids
        assert {run.info.status for run in runs} == {"FINISHED"}
    assert mlflow.active_run() is None


def test_a_step_that_fails_however_often_has_one_failed_run_and_leaves_others_alone_also_the_callers(
    client: mlflow.MlflowClient, tracking: MlflowTracking
):
    # given
    own = client.create_experiment("/own")

    # when
    with mlflow.start_run(experiment_id=own) as opened:
        assert not materialize(tracking, first, broken).success

        # then
        assert mlflow.active_run().info.run_id == opened.info.run_id
        [after] = client.search_runs([own])
        assert (after.info.status, after.data.metrics, after.data.tags) == ("RUNNING", {}, opened.data.tags)
    statuses = [[run.info.status for run in runs_of(client, experiment)] for experiment in (BASIC, CUSTOM)]
    assert statuses == [["FINISHED"], ["FAILED"]]


def test_a_deleted_experiment_is_named_together_with_the_way_out(client: mlflow.MlflowClient, tracking: MlflowTracking):
    # given
    client.delete_experiment(client.create_experiment(BASIC))

    # then
    with pytest.raises(Exception, match=rf"Cannot set a deleted experiment '{BASIC}'.* You can restore"):
        dg.materialize([first], resources={"tracking": tracking})


@pytest.mark.parametrize(
    ("home_of_it", "living", "status"),
    [({}, "another", "KILLED"), ({}, "earlier", "RUNNING"), ({HOME_ID: "another machine's"}, "another", "RUNNING")],
    ids=["a killed process", "a living process", "another home"],
)
def test_the_next_run_ends_what_killed_processes_of_its_home_left_running_and_no_other(
    home: ProjectPaths,
    client: mlflow.MlflowClient,
    tracking: MlflowTracking,
    home_of_it: dict[str, str],
    living: str,
    status: str,
):
    # given
    tags = {HOME_ID: home_id(home.locks), DAGSTER_RUN_ID: "earlier", **home_of_it}
    left = client.create_run(client.create_experiment(BASIC, home.mlflow_artifacts.as_uri()), tags=tags)

    # when
    with heartbeat(home.locks, living):
        materialize(tracking, first)

    # then
    assert client.get_run(left.info.run_id).info.status == status


def test_a_model_is_found_by_its_cache_key_once_it_is_complete_and_until_its_run_is_deleted(
    home: ProjectPaths, client: mlflow.MlflowClient, tracking: MlflowTracking
):
    # given
    logged = logged_model(tracking)
    assert tracking.find_model(BASIC, "one", NAME) is None

    # when
    tracking.mark_complete(logged, "one")

    # then
    assert tracking.find_model(BASIC, "one", NAME) == logged
    assert tracking.find_model(BASIC, "another", NAME) is None

    # and when its run is deleted
    client.delete_run(logged.run_id)

    # then: neither while it could be restored nor after that
    assert tracking.find_model(BASIC, "one", NAME) is None
    done = CliRunner().invoke(gc, ["--backend-store-uri", home.mlflow_uri, "--run-ids", logged.run_id])
    assert done.exit_code == 0, done.output
    assert tracking.find_model(BASIC, "one", NAME) is None


def test_of_two_models_that_two_machines_logged_at_once_both_find_that_of_the_later_version(tracking: MlflowTracking):
    # given: both have one cache key, and the one of the later version was logged first, by every clock
    logged = [logged_model(tracking) for _ in range(2)]
    for number, model in zip((2, 1), logged, strict=True):
        tracking.mark_complete(model, "one")
        tracking.tag_registered_version(model, NAME, number)

    # and another environment numbers its versions differently
    tracking.tag_registered_version(logged[1], "marvel_acc.schema.model", 9)

    # then
    assert tracking.find_model(BASIC, "one", NAME) == logged[0]


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


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        (None, "http://127.0.0.1:5000/#/models/c.s.model/versions/1?workflowType=machine_learning"),
        ("uc:http://127.0.0.1:8080/", "http://127.0.0.1:8080/api/2.1/unity-catalog/models/c.s.model/versions/1"),
    ],
)
def test_links_to_versions_lead_to_the_registry_that_has_them(home: ProjectPaths, registry: str | None, url: str):
    tracking = MlflowTracking(tracking_uri=home.mlflow_uri, registry_uri=registry, locks=str(home.locks))
    assert tracking.version_url("c.s.model", 1) == url
