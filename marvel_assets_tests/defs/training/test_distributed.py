"""The whole graph with a fit by several processes."""

import json
from pathlib import Path

import mlflow
import pytest

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.storage.pipeline_cache import PipelineCache
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.signature import example_frame
from marvel_assets_tests.commands import CUSTOM, reference, state_of
from marvel_assets_tests.graph import checks_of, run_graph, succeeded
from marvel_assets_tests.kaggle import OUTPUT_COLUMN

pytestmark = pytest.mark.integration

MODEL = f"marvel_dev.marvel_characters.{CUSTOM}"
TWO_WORKERS = {"distribution": {"workers": 2}}


def test_a_fit_by_workers_ends_in_a_registered_model_that_answers(home: ProjectPaths, small_project: Path):
    # when
    result = succeeded(run_graph(home, parameters=TWO_WORKERS))

    # then
    assert all(checks_of(result).values())
    assert {"training_rows_are_read_again", "loads_by_model_id_and_by_run"} <= checks_of(result).keys()
    assert state_of(home, small_project).aliases[MODEL] == 1
    connect(home.mlflow_uri, home.locks)
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
    cache_key = json.loads((home.references / "fitted_pipeline.json").read_text())["cache_key"]
    fitted = PipelineCache(folder=str(home.pipelines), locks=str(home.locks)).find(cache_key)
    assert fitted is not None
    assert (fitted.workers, fitted.rows) == (2, reference(home, "train_set").rows)
    assert client.get_logged_model(basic.model_id).tags["training_workers"] == "2"

    # and: the same again makes nothing
    before = state_of(home, small_project)
    succeeded(run_graph(home, parameters=TWO_WORKERS))
    assert state_of(home, small_project) == before
