"""MLflow's store on a first start."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import DatasetInput

from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect


@pytest.fixture
def fresh(tmp_path: Path) -> ProjectPaths:
    """A home in which MLflow was never started."""
    return ProjectPaths(tmp_path / "fresh")


def test_what_a_broken_off_start_left_behind_is_in_nobodys_way(fresh: ProjectPaths):
    # given
    fresh.mlflow_database.parent.mkdir(parents=True)
    fresh.mlflow_database.with_suffix(".unfinished").write_bytes(b"half a data")

    # when
    client = connect(fresh.mlflow_uri, fresh.locks)

    # then
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert sorted(file.name for file in fresh.mlflow_database.parent.iterdir() if file.is_file()) == ["mlflow.db"]


def test_the_database_of_a_home_that_was_moved_names_the_files_where_they_are_now(home: ProjectPaths, tmp_path: Path):
    # given: a blank in the new path, since addresses of files write it as %20
    client = connect(home.mlflow_uri, home.locks)
    experiment = client.create_experiment("/e", f"{home.mlflow_artifacts.as_uri()}/e")
    run = client.create_run(experiment)
    model = client.create_logged_model(experiment, "model", run.info.run_id)
    table = home.warehouse / "marvel_dev" / "raw"
    source = DeltaDatasetSource(path=str(table), delta_table_version="0")
    dataset = from_pandas(pd.DataFrame({"any": [1.0]}), source, name="raw", digest="v0")
    client.log_inputs(run.info.run_id, [DatasetInput(dataset._to_mlflow_entity())])
    moved = ProjectPaths(home.root.rename(tmp_path / "moved home"))

    # when
    client = connect(moved.mlflow_uri, moved.locks)

    # then
    artifacts = moved.mlflow_artifacts.as_uri()
    assert client.get_experiment(experiment).artifact_location == f"{artifacts}/e"
    assert str(client.get_run(run.info.run_id).info.artifact_uri).startswith(f"{artifacts}/e/")
    assert client.get_logged_model(model.model_id).artifact_location.startswith(f"{artifacts}/e/")
    [read] = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert json.loads(read.dataset.source)["path"] == str(moved.warehouse / "marvel_dev" / "raw")


def test_who_only_reads_leaves_the_database_of_a_moved_home_as_it_is(home: ProjectPaths, tmp_path: Path):
    # given
    connect(home.mlflow_uri, home.locks)
    moved = ProjectPaths(home.root.rename(tmp_path / "moved"))
    before = moved.mlflow_database.read_bytes()

    # when
    connect(moved.mlflow_uri, moved.locks, read_only=True).search_experiments()

    # then
    assert moved.mlflow_database.read_bytes() == before


def test_connecting_elsewhere_leaves_the_first_store(home: ProjectPaths, mlflow_database: Path):
    # given
    connect(home.mlflow_uri, home.locks)

    # when
    elsewhere = connect(f"sqlite:///{mlflow_database}", home.locks)
    back = connect(home.mlflow_uri, home.locks)
    back.create_experiment("/only-here")

    # then
    assert mlflow.get_tracking_uri() == home.mlflow_uri
    assert back.get_experiment_by_name("/only-here") is not None
    assert elsewhere.tracking_uri != back.tracking_uri
