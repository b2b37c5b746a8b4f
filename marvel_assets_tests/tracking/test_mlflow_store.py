"""MLflow's store on a first start, and in a home that was moved."""

from pathlib import Path

import mlflow

from marvel_assets.cli.summary import summary
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import reference


def test_what_a_broken_off_start_left_behind_is_in_nobodys_way(tmp_path: Path):
    # given
    fresh = ProjectPaths(tmp_path / "fresh")
    fresh.mlflow_database.parent.mkdir(parents=True)
    fresh.mlflow_database.with_suffix(".unfinished").write_bytes(b"half a data")

    # when
    client = connect(fresh.mlflow_uri, fresh.locks)

    # then
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert sorted(file.name for file in fresh.mlflow_database.parent.iterdir() if file.is_file()) == ["mlflow.db"]


def test_a_moved_home_is_summarised_without_a_write_and_then_has_its_files_and_rows(
    materialised: ProjectPaths, tmp_path: Path
):
    # given: a blank in the new path, since addresses of files write it as %20
    moved = ProjectPaths(materialised.root.rename(tmp_path / "moved home"))
    before = moved.mlflow_database.read_bytes()

    # when
    lines = list(summary(moved, with_predictions=True))

    # then
    assert any("alias latest-model" in line for line in lines)
    assert moved.mlflow_database.read_bytes() == before

    # and when
    client = connect(moved.mlflow_uri, moved.locks)

    # then
    model, version = reference(moved, "basic_model"), reference(moved, "basic_model_version")
    run = client.get_run(model.run_id)
    for uri in (model.uri, f"models:/{version.name}/{version.version}", str(run.info.artifact_uri)):
        files = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
        assert any(files.iterdir())
    experiment = client.get_experiment(run.info.experiment_id)
    assert str(experiment.artifact_location).startswith(moved.mlflow_artifacts.as_uri())
    [training] = [given for given in run.inputs.dataset_inputs if given.tags[0].value == "training"]
    rows = mlflow.data.get_source(training).load()  # without Spark
    assert len(rows) == reference(moved, "train_set").rows
    assert {"Id", "Alive"} <= set(rows.columns)
