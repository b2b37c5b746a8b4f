"""Where what was logged is kept, and what becomes of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
import yaml

from marvel_assets.defs.training.assets import SAME_ROWS
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.artifacts import dataset_source
from marvel_assets_tests.commands import reference
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.graph import checks_of, metadata_of, run_graph, succeeded
from marvel_assets_tests.homes import copy_of
from marvel_assets_tests.planted import spoilt_characters
from marvel_assets_tests.servers.starting import mlflow_server

pytestmark = pytest.mark.slow(reason="starts a tracking server, and runs the graph")


class Server(NamedTuple):
    """A tracking server that a home has logged to, which is gone."""

    url: str
    artifacts: Path
    first_home: ProjectPaths
    source: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_home: ProjectPaths, small_project: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    first, source = copy_of(empty_home, folder / "first"), spoilt_characters(folder, 0.1)
    with mlflow_server(folder) as url:
        settings = {"MARVEL_HOME": str(first.root), "MARVEL_CONFIG": str(small_project), "MLFLOW_TRACKING_URI": url}
        with pytest.MonkeyPatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            succeeded(run_graph(first, source, select="*custom_model_version"))
        assert not first.mlflow_artifacts.exists()
        shutil.rmtree(first.root)
        yield Server(url, folder / "artifacts", first, source)


def test_what_is_logged_on_a_server_is_kept_by_the_server(server: Server):
    stored = {file.name for file in server.artifacts.rglob("*")}
    assert {"roc_curve.png", "model_card.md", "MLmodel"} <= stored


def test_a_second_home_goes_on_when_the_first_one_is_gone(
    server: Server, home: ProjectPaths, tmp_path: Path, small_project: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: another model on the same rows, whose data sets MLflow has recorded already, in the first home
    more_trees = yaml.safe_load(small_project.read_text()) | {"model": {**FEW_TREES, "n_estimators": 30}}
    config = tmp_path / "project.yml"
    config.write_text(yaml.safe_dump(more_trees))
    monkeypatch.setenv("MARVEL_CONFIG", str(config))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)

    # when
    result = succeeded(run_graph(home, server.source))

    # then: inspected, compared with the first home's model, and compared for drift
    source = dataset_source(mlflow.get_run(reference(home, "basic_model").run_id), "testing")
    assert str(source.path).startswith(str(server.first_home.warehouse))
    assert checks_of(result)[SAME_ROWS]
    version = metadata_of(result, "basic_model_version")
    assert (version["version"], version["champion"]) == (2, "1")
    assert "tested on marvel_dev.marvel_characters.test_set@v0" in version["model_card"]
    assert metadata_of(result, "drift_report")["reason"] == "nothing has drifted"
