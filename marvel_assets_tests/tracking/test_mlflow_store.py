"""MLflow's store in a home that was moved, and where a run could not use it."""

import json
import re
from pathlib import Path

import mlflow
import pytest

from marvel_assets.cli.summary import summary
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect, store_problems
from marvel_assets_tests.commands import reference
from marvel_assets_tests.servers.scripted import Answer, serving


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


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_refuses_or_has_no_logged_models_is_named_with_its_answer(home: ProjectPaths, status: int):
    # given
    with serving(lambda _: Answer(status, {"Content-Length": "0"})) as server:
        # when
        [message] = store_problems(server.url, home.locks)

    # then
    assert re.match(
        rf"MLflow's tracking server at {server.url} can't be used: .* {status} .* with MLflow 3 or", message
    )


@pytest.mark.parametrize("status", [403, 404])
def test_an_artifact_store_that_refuses_is_not_taken_for_the_tracking_server(home: ProjectPaths, status: int):
    # given
    experiment = {"experiment_id": "0", "name": "Default", "artifact_location": "mlflow-artifacts:/0"}
    body = json.dumps({"models": [], "experiment": experiment}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    with serving(lambda path: Answer(status if "mlflow-artifacts" in path else 200, headers, body)) as server:
        # when
        [message] = store_problems(server.url, home.locks)

    # then
    assert re.match(
        rf"MLflow's artifact store at mlflow-artifacts: of http\S+ can't be used: {status} Client Error", message
    )


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://nowhere.invalid", "(Name or service not known|failure in name resolution)"),
    ],
)
def test_a_server_that_is_away_is_named_with_the_reason(home: ProjectPaths, uri: str, reason: str):
    # when
    [message] = store_problems(uri, home.locks)

    # then
    assert re.match(rf"MLflow's tracking server at {uri} can't be used: .*{reason}. Is it running", message)


def test_a_database_that_was_not_made_yet_is_not_made_by_the_look(home: ProjectPaths, tmp_path: Path):
    # then
    assert store_problems(f"sqlite:///{tmp_path / 'mlflow.db'}", home.locks) == []
    assert not (tmp_path / "mlflow.db").exists()


def test_a_database_that_is_none_is_named_before_a_run_uses_it(home: ProjectPaths, tmp_path: Path):
    # given
    file = tmp_path / "mlflow.db"
    file.write_text("not a database, " * 100)

    # then
    [message] = store_problems(f"sqlite:///{file}", home.locks)
    assert message == f"MLflow's tracking database at sqlite:///{file} can't be used: file is not a database"


def test_credentials_that_nothing_names_are_missing_before_a_workspace_is_asked(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("HOME", str(home.root))  # where a configuration file would be
    [message] = store_problems("databricks", home.locks)

    # when
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("DATABRICKS_TOKEN", "a token")

    # then
    assert "cannot configure default credentials" in message
    assert store_problems("databricks", home.locks) == []
