"""The jobs `trial` and `tune`: what they try is logged and shown, and nothing that is served changes."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import reference, state_of
from marvel_assets_tests.graph import failure_of, metadata_of, run_graph, run_job, succeeded

pytestmark = pytest.mark.integration

FEW = {"trials": 3, "folds": 2, "threads": 1}
MADE = ("pipelines", "logged_models", "mlflow_runs")
EXPERIMENT = "/Shared/marvel-characters-basic-tuning"


@pytest.fixture
def trained(home: ProjectPaths, first_run: ProjectPaths) -> ProjectPaths:
    """The test's own home, with training rows."""
    shutil.copytree(first_run.warehouse, home.warehouse)
    shutil.copytree(first_run.references, home.references)
    return home


def test_a_trial_is_logged_and_shown_beside_the_champion_and_moves_nothing(
    materialised: ProjectPaths, small_project: Path, capfd: pytest.CaptureFixture[str]
):
    # given
    before = state_of(materialised, small_project)
    parameters = {"n_estimators": 30, "max_depth": 3}

    # when
    succeeded(run_job(materialised, "trial", "try_parameters", parameters=parameters))

    # then
    after = state_of(materialised, small_project)
    assert replace(after, **dict.fromkeys(MADE)) == replace(before, **dict.fromkeys(MADE))
    printed = capfd.readouterr().err
    assert re.search(r"trial +basic version 1\nROC AUC +0\.\d{4} +0\.\d{4}\n", printed)
    assert "The gate would " in printed
    [made] = after.mlflow_runs.keys() - before.mlflow_runs.keys()
    run = connect(materialised.mlflow_uri, materialised.locks).get_run(made)
    assert (run.data.params["n_estimators"], run.data.params["trees"]) == ("30", "30")
    assert "n_estimators 30" in run.info.run_name

    # and when the same is fitted from the Launchpad, the fit is found done
    again = run_graph(materialised, select="fitted_pipeline", parameters={"parameters": parameters})
    assert metadata_of(again, "fitted_pipeline")["unchanged"]


@pytest.fixture
def tune(home: ProjectPaths) -> Callable[..., str]:
    """Runs the job; returns what it failed with, or nothing."""

    def run(**config: object) -> str:
        result = run_job(home, "tune", "tune_hyperparameters", **(FEW | config))
        return "" if result.success else failure_of(result)

    return run


def runs_of(home: ProjectPaths) -> list[mlflow.entities.Run]:
    """The studies in MLflow, the oldest first."""
    client = connect(home.mlflow_uri, home.locks)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"]))


def artifact(home: ProjectPaths, run: mlflow.entities.Run, name: str) -> str:
    connect(home.mlflow_uri, home.locks)
    return str(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{name}"))


def test_a_study_is_in_mlflow_proposes_a_block_that_the_configuration_takes_and_changes_nothing(
    trained: ProjectPaths, tune: Callable[..., str], small_project: Path, tmp_path: Path, capfd: pytest.CaptureFixture
):
    # given
    def everything() -> dict[str, bytes]:
        folders = (trained.warehouse, trained.pipelines, trained.references, small_project.parent)
        return {str(file): file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}

    before = everything()

    # when
    assert tune() == ""

    # then
    assert everything() == before
    client = connect(trained.mlflow_uri, trained.locks)
    assert client.search_registered_models() == []

    # and: its course, its trials and its rows
    [run] = runs_of(trained)
    course = client.get_metric_history(run.info.run_id, "log_loss")
    trials = pd.read_json(artifact(trained, run, "trials.json"), orient="split")
    assert run.info.status == "FINISHED"
    assert [metric.step for metric in course] == [0, 1, 2]
    assert [metric.value for metric in course] == pytest.approx(trials["log_loss"].to_list())
    assert run.data.metrics["best_log_loss"] == pytest.approx(trials["log_loss"].min())
    assert run.data.metrics["log_loss_difference_low"] <= run.data.metrics["log_loss_difference_high"]
    [rows] = run.inputs.dataset_inputs
    assert rows.dataset.digest.startswith(f"v{reference(trained, 'train_set').version}-")

    # and: what it proposes
    proposal = artifact(trained, run, "parameters.yml")
    assert proposal in capfd.readouterr().err
    pasted = tmp_path / "pasted.yml"
    pasted.write_text(yaml.safe_dump(yaml.safe_load(small_project.read_text()) | yaml.safe_load(proposal)))
    config = ProjectConfig.from_yaml(pasted)
    assert str(config.model.learning_rate) == run.data.params["learning_rate"]
    assert config.model.subsample is not None


def test_a_second_run_goes_on_with_the_same_study(trained: ProjectPaths, tune: Callable[..., str]):
    # given
    assert tune(trials=2) == ""

    # when
    assert tune(trials=4) == ""

    # then
    first, second = (pd.read_json(artifact(trained, run, "trials.json"), orient="split") for run in runs_of(trained))
    pd.testing.assert_frame_equal(second.head(2), first)
    assert len(second) == 4
    assert len(list(trained.studies.glob("*.db"))) == 1


def test_without_training_rows_it_says_what_to_materialise(tune: Callable[..., str]):
    assert "train_set does not exist; materialise train_set first" in tune()
