"""The whole graph with a fit by several processes."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import pytest

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.definitions import defs
from marvel_assets.defs.resources import profile_resources
from marvel_assets.defs.training.jobs import retrain
from marvel_assets.paths import ProjectPaths
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.signature import example_frame
from marvel_assets_tests.commands import CUSTOM, reference, state_of
from marvel_assets_tests.graph import checks_of, succeeded
from marvel_assets_tests.homes import copy_of, made_once
from marvel_assets_tests.kaggle import OUTPUT_COLUMN

pytestmark = pytest.mark.integration

MODEL = f"marvel_dev.marvel_characters.{CUSTOM}"
TWO_WORKERS = {"distribution": {"workers": 2}}


def run(home: ProjectPaths, settings: dict[str, Any], *assets: str) -> dg.ExecuteInProcessResult:
    """Retrain with settings of fitted_pipeline."""
    graph = dg.Definitions(
        assets=defs.assets, asset_checks=defs.asset_checks, jobs=[retrain], resources=profile_resources(home)
    )
    return graph.resolve_job_def("retrain").execute_in_process(
        run_config={"ops": {"fitted_pipeline": {"config": settings}}},
        asset_selection=[dg.AssetKey(asset) for asset in assets] or None,
        raise_on_error=False,
    )


def pipeline_from_config(home: ProjectPaths) -> FittedPipeline:
    cache_key = json.loads((home.references / "fitted_pipeline.json").read_text())["cache_key"]
    found = PipelineCache(folder=str(home.pipelines), locks=str(home.locks)).find(cache_key)
    assert found is not None
    return found


@pytest.fixture
def fitted_by_two(
    tmp_path_factory: pytest.TempPathFactory, home: ProjectPaths, empty_home: ProjectPaths
) -> ProjectPaths:
    """The test's own home, in which two workers have fitted the pipeline, and every check has passed."""

    def make(folder: Path) -> None:
        result = succeeded(run(copy_of(empty_home, folder / "home"), TWO_WORKERS))
        assert all(checks_of(result).values())
        assert {"training_rows_are_read_again", "loads_by_model_id_and_by_run"} <= checks_of(result).keys()

    shutil.rmtree(home.root)
    return copy_of(ProjectPaths(made_once(tmp_path_factory, "fitted-by-two", make) / "home"), home.root)


def test_a_fit_by_workers_ends_in_a_registered_model_that_answers(fitted_by_two: ProjectPaths, small_project: Path):
    # given
    home = fitted_by_two

    # then
    assert state_of(home, small_project).aliases[MODEL] == 1
    connect(f"sqlite:///{home.mlflow_database}", home.locks)
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@latest-model")
    features = list(model.unwrap_python_model().model.feature_names_in_)
    assert set(model.predict(example_frame(DATASET, features))[OUTPUT_COLUMN]) <= {"alive", "dead"}

    # and: what is recorded of the training rows is the table that they came from
    basic = reference(home, "basic_model")
    client = mlflow.MlflowClient()
    [training] = [
        given.dataset
        for given in client.get_run(basic.run_id).inputs.dataset_inputs
        if any(tag.value == "training" for tag in given.tags)
    ]
    assert json.loads(training.source)["delta_table_version"] == "0"
    assert "Universe" in training.schema
    fitted = pipeline_from_config(home)
    assert (fitted.workers, fitted.rows) == (2, reference(home, "train_set").rows)
    assert client.get_logged_model(basic.model_id).tags["training_workers"] == "2"

    # and: the same again makes nothing
    before = state_of(home, small_project)
    assert run(home, TWO_WORKERS).success
    assert state_of(home, small_project) == before
