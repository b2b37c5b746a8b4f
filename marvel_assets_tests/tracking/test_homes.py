"""Where logged models are kept, also after a home or a server is gone."""

import shutil
from pathlib import Path

import mlflow
import pytest
import yaml

from marvel_assets.defs.training.assets import SAME_ROWS
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.artifacts import dataset_source
from marvel_assets_tests.commands import reference
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.graph import checks_of, metadata_of, run_graph, succeeded
from marvel_assets_tests.homes import copy_of, mislabelled_characters
from marvel_assets_tests.servers.starting import TrackingServer

pytestmark = pytest.mark.slow(reason="starts a tracking server, and runs the graph")


def test_a_server_keeps_what_is_logged_and_a_second_home_goes_on_when_the_first_one_is_gone(
    tracking_server: TrackingServer,
    empty_home: ProjectPaths,
    home: ProjectPaths,
    tmp_path: Path,
    small_project: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    # given: a home that has logged to the server, and is gone
    first, file = copy_of(empty_home, tmp_path / "first"), mislabelled_characters(tmp_path, 0.1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server.url)
    with monkeypatch.context() as patch:
        patch.setenv("MARVEL_HOME", str(first.root))
        succeeded(run_graph(first, file, select="*custom_model_version"))
    assert not first.mlflow_artifacts.exists()
    shutil.rmtree(first.root)
    stored = {file.name for file in tracking_server.artifacts.rglob("*")}
    assert {"roc_curve.png", "model_card.md", "MLmodel"} <= stored

    # and another model on the same rows, whose data sets MLflow has recorded already, in the first home
    more_trees = yaml.safe_load(small_project.read_text()) | {"model": {**FEW_TREES, "n_estimators": 30}}
    config = tmp_path / "project.yml"
    config.write_text(yaml.safe_dump(more_trees))
    monkeypatch.setenv("MARVEL_CONFIG", str(config))

    # when
    result = succeeded(run_graph(home, file))

    # then: inspected, compared with the first home's model, and compared for drift
    source = dataset_source(mlflow.get_run(reference(home, "basic_model").run_id), "testing")
    assert str(source.path).startswith(str(first.warehouse))
    assert checks_of(result)[SAME_ROWS]
    version = metadata_of(result, "basic_model_version")
    assert (version["version"], version["champion"]) == (2, "1")
    assert "tested on marvel_dev.marvel_characters.test_set@v0" in version["model_card"]
    assert metadata_of(result, "drift_report")["reason"] == "nothing has drifted"
