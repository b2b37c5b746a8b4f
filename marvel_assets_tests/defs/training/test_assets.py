"""The basic model: what MLflow records of it, and its inspection."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import mlflow
import pytest
import yaml
from deltalake import DeltaTable

from marvel_assets.defs.training.assets import SAME_ROWS, basic_model
from marvel_assets.model.pipeline import default_threads
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import reference, state_of
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.graph import checks_of, failure_of, inspect_alone, metadata_of, run_graph, succeeded
from marvel_assets_tests.homes import Templates

pytestmark = pytest.mark.integration

FAIR = 0.1
"""Share of training rows with the wrong label."""
PLOTS = {
    "calibration_curve", "confusion_matrix", "feature_importance", "precision_recall_curve", "roc_curve",
    "shap_summary",
}  # fmt: skip
METRICS = {
    "accuracy_score", "f1_score", "precision_score", "recall_score", "roc_auc", "log_loss", "precision_recall_auc",
    "balanced_accuracy_score", "matthews_corrcoef", "brier_score_loss",
}  # fmt: skip


@pytest.fixture
def client(first_run: ProjectPaths) -> mlflow.MlflowClient:
    return connect(first_run.mlflow_uri, first_run.locks)


@pytest.fixture
def run(first_run: ProjectPaths, client: mlflow.MlflowClient) -> mlflow.entities.Run:
    return client.get_run(reference(first_run, "basic_model").run_id)


def test_both_data_sets_are_inputs_at_their_true_version(first_run: ProjectPaths, run: mlflow.entities.Run):
    # when
    inputs = {tag.value: item.dataset for item in run.inputs.dataset_inputs for tag in item.tags}

    # then
    assert set(inputs) == {"training", "testing"}
    for context, asset in {"training": "train_set", "testing": "test_set"}.items():
        table, source = reference(first_run, asset), json.loads(inputs[context].source)
        assert inputs[context].source_type == "delta_folder"
        assert source["delta_table_version"] == str(table.version)
        assert DeltaTable(source["path"], version=int(source["delta_table_version"])).count() == table.rows
        assert inputs[context].digest.startswith(f"v{table.version}-")


def test_metrics_are_linked_to_the_model_and_the_data_set(first_run: ProjectPaths, client: mlflow.MlflowClient):
    # when
    model = client.get_logged_model(reference(first_run, "basic_model").model_id)

    # then
    assert {metric.key for metric in model.metrics} >= METRICS
    assert {metric.dataset_name for metric in model.metrics} == {"marvel_dev.marvel_characters.test_set"}


def test_parameters_tags_and_plots_are_there(client: mlflow.MlflowClient, run: mlflow.entities.Run):
    # then
    assert {name: run.data.params[name] for name in FEW_TREES} == {k: str(v) for k, v in FEW_TREES.items()}
    assert run.data.params.items() >= {"seed": "default", "sample": "1.0", "train_set": "v0"}.items()
    assert run.data.params["threads"] == str(default_threads())
    assert {"git_sha", "branch", "dagster_run_id"} <= run.data.tags.keys()
    assert "run_id" not in run.data.tags
    assert {Path(file.path).stem for file in client.list_artifacts(run.info.run_id, "plots")} == PLOTS
    assert run.data.metrics["training_seconds"] > 0
    for name in ("train_log_loss", "test_log_loss", "train_roc_auc", "test_roc_auc"):
        curve = client.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in curve] == list(range(1, 21))
        assert (curve[-1].value < curve[0].value) == name.endswith("loss")
    table = client.load_table(run.info.experiment_id, "feature_importance.json", [run.info.run_id])
    assert table.columns.tolist() == ["feature", "share of gain", "mean |SHAP value|"]


def test_the_custom_model_has_the_metrics_and_the_data_sets_of_the_basic_one(
    first_run: ProjectPaths, client: mlflow.MlflowClient, run: mlflow.entities.Run
):
    # when
    basic = client.get_logged_model(reference(first_run, "basic_model").model_id)
    custom = client.get_logged_model(reference(first_run, "custom_model_version").model_id)

    # then
    assert {(metric.key, metric.value, metric.dataset_name) for metric in custom.metrics} == {
        (metric.key, metric.value, metric.dataset_name) for metric in basic.metrics
    }
    inputs = client.get_run(custom.source_run_id).inputs
    assert [item.dataset for item in inputs.dataset_inputs] == [item.dataset for item in run.inputs.dataset_inputs]
    assert [item.model_id for item in inputs.model_inputs] == [custom.model_id]


def test_the_model_is_stored_as_skops_with_given_requirements(first_run: ProjectPaths):
    # given
    connect(first_run.mlflow_uri, first_run.locks)
    model = reference(first_run, "basic_model")

    # when
    folder = Path(mlflow.artifacts.download_artifacts(model.uri))

    # then
    assert model.name == "lightgbm-pipeline-model"
    assert (folder / "model.skops").exists()
    assert not list(folder.rglob("*.pkl"))
    *requirements, wheel = (folder / "requirements.txt").read_text().splitlines()
    assert wheel.startswith("code/marvel_assets-")
    assert (folder / wheel).is_file()
    installed = {line.split("==")[0] for line in requirements}
    assert installed == {"lightgbm", "mlflow", "numpy", "pandas", "scikit-learn", "skops"}


def test_a_model_that_fails_its_inspection_is_never_registered(home: ProjectPaths):
    # given: a pipeline whose rows are not those that its table version holds
    succeeded(run_graph(home, select="*fitted_pipeline,test_set,inference_wheel"))
    [description] = home.pipelines.glob("*.json")
    content = json.loads(description.read_text())
    description.write_text(json.dumps(content | {"rows_digest": "0" * 32}))

    # when
    whole = run_graph(home, select="basic_model,basic_model_version")
    alone = run_graph(home, select="basic_model_version")

    # then
    assert not whole.success
    assert "is not registered: failed training_rows_are_read_again" in failure_of(alone)
    client = connect(home.mlflow_uri, home.locks)
    assert client.search_model_versions() == []


def test_another_wheel_makes_no_other_model(materialised: ProjectPaths):
    # given
    wheel = materialised.references / "inference_wheel.json"
    wheel.write_text(json.dumps(json.loads(wheel.read_text()) | {"content": "0" * 16}))

    # when
    result = run_graph(materialised, select="basic_model")

    # then
    metadata = metadata_of(result, "basic_model")
    assert metadata["unchanged"]

    # and the page of an unchanged model shows what matters first, in few enough letters to be shown at once
    assert [*metadata][:2] == ["metrics", "plots"]
    assert re.match(
        r"\| metric \| on the test rows \|\n\| --- \| --- \|\n\| ROC AUC \| 0\.\d{3} \|\n", str(metadata["metrics"])
    )
    assert "](http://127.0.0.1:5000/get-artifact?path=plots%2Froc_curve.png&run_uuid=" in str(metadata["plots"])
    assert len(str(metadata["plots"])) < 1000


def test_another_classifier_with_early_stopping_and_native_categories_is_checked_served_and_scored_like_any_other(
    home: ProjectPaths, small_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    model = {"kind": "hist_gradient_boosting", "max_iter": 400, "learning_rate": 0.2, "max_depth": 4}
    settings = yaml.safe_load(small_project.read_text()) | {"native_categories": True, "early_stopping": {"rounds": 5}}
    config = tmp_path / "project.yml"
    config.write_text(yaml.safe_dump(settings | {"model": model}))
    monkeypatch.setenv("MARVEL_CONFIG", str(config))

    # when
    succeeded(run_graph(home))

    # then: MLflow shows the settings and the results
    client, run_id = connect(home.mlflow_uri, home.locks), reference(home, "basic_model").run_id
    params = client.get_run(run_id).data.params
    stopped = {"early_stopping_rounds": "5", "early_stopping_share": "0.1"}
    assert params.items() >= {"model": model["kind"], "native_categories": "True", **stopped}.items()
    assert 0 < int(params["trees"]) < 400
    assert "plots/shap_summary.png" not in {file.path for file in client.list_artifacts(run_id, "plots")}

    # and the pair is under its aliases, and has scored everybody
    assert set(state_of(home, config).aliases.values()) == {1}
    assert reference(home, "survival_predictions").rows > 0


def test_a_model_that_passed_is_not_inspected_again_by_the_next_run(
    given_runs: Callable[..., ProjectPaths], templates: Templates
):
    # given
    home = given_runs(FAIR)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        [first] = instance.get_runs()

    # when
    second = run_graph(home, templates.source(FAIR))

    # then
    reused = [check for check in second.get_asset_check_evaluations() if check.asset_key == basic_model.key]
    assert [(check.passed, check.metadata["inspected_in"].value) for check in reused] == [(True, first.run_id)] * 2


def test_the_checks_alone_inspect_again(given_runs: Callable[..., ProjectPaths]):
    # given: the rows that the model was fitted on are gone
    home = given_runs(FAIR)
    assert checks_of(inspect_alone(home))[SAME_ROWS]
    shutil.rmtree(home.warehouse / "marvel_dev" / "marvel_characters" / "train_set")

    # when
    result = inspect_alone(home)

    # then
    assert not checks_of(result)[SAME_ROWS]


def test_a_fit_by_workers_passes_the_same_checks_and_is_served(home: ProjectPaths, small_project: Path):
    # when
    result = succeeded(run_graph(home, parameters={"distribution": {"workers": 2}}))

    # then
    assert all(checks_of(result).values())
    assert {"training_rows_are_read_again", "loads_by_model_id_and_by_run"} <= checks_of(result).keys()
    assert set(state_of(home, small_project).aliases.values()) == {1}

    # and: the table that the training rows came from is recorded
    client, basic = connect(home.mlflow_uri, home.locks), reference(home, "basic_model")
    inputs = {
        tag.value: item.dataset for item in client.get_run(basic.run_id).inputs.dataset_inputs for tag in item.tags
    }
    assert json.loads(inputs["training"].source)["delta_table_version"] == "0"
    assert "Universe" in inputs["training"].schema
    assert client.get_logged_model(basic.model_id).tags["training_workers"] == "2"
