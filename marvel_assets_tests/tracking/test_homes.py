"""Where what was logged is kept, and what becomes of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.cli import gc

from marvel_assets.paths import Home
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import reference
from marvel_assets_tests.graph import failure_of, run_graph
from marvel_assets_tests.planted import spoilt_characters
from marvel_assets_tests.servers.mlflow_server import mlflow_server

pytestmark = pytest.mark.slow


def run(home: Home, source: Path) -> None:
    result = run_graph(home, source)
    assert result.success, failure_of(result)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return spoilt_characters(tmp_path, 0.1)


def test_a_model_whose_run_was_removed_is_made_anew(home: Home, source: Path):
    # given
    run(home, source)
    removed = reference(home, "basic_model")
    client = connect(home.mlflow_uri, home.locks)
    client.delete_run(removed.run_id)
    done = CliRunner().invoke(gc, ["--backend-store-uri", home.mlflow_uri, "--run-ids", removed.run_id])
    assert done.exit_code == 0, done.output

    # when
    run(home, source)

    # then
    made = reference(home, "basic_model")
    assert made.model_id != removed.model_id
    assert client.get_run(made.run_id).data.metrics["roc_auc"] > 0.5


def test_what_is_logged_on_a_server_is_kept_by_the_server(
    home: Home, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    with mlflow_server(tmp_path) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)

        # when
        run(home, source)

    # then
    stored = {file.name for file in (tmp_path / "artifacts").rglob("*")}
    assert {"roc_curve.png", "model_card.md", "MLmodel"} <= stored
    assert not home.mlflow_artifacts.exists()
