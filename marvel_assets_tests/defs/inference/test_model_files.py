"""What is loaded is what was logged: files that were changed in between are noticed, and nothing of them runs."""

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import mlflow
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.model.safe_loading import digest_of_files
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.registry.model_pairs import ModelPair, ModelPairs
from marvel_assets.tracking.artifacts import FILES_DIGEST
from marvel_assets.tracking.mlflow_resource import CACHE_KEY
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.graph import failure_of, observed, run_graph, run_job, succeeded
from marvel_assets_tests.homes import Templates
from marvel_assets_tests.pages import free_port

pytestmark = pytest.mark.integration

FAIR, GOOD = 0.1, 0.0
"""Shares of training rows with the wrong label."""
CHANGED = "the files are not those that were logged as"


@pytest.fixture
def pairs(given_runs: Callable[..., ProjectPaths], small_project: Path) -> ModelPairs:
    """A home in which version 1 is served."""
    home = given_runs(FAIR)
    catalog = MlflowRegistry(connect(home.mlflow_uri, home.locks), home.locks)
    return ModelPairs(catalog, ProjectConfig.from_yaml(small_project), home.locks)


def served(pairs: ModelPairs) -> ModelPair:
    pair = pairs.current()
    assert pair is not None
    return pair


def folder_of(home: ProjectPaths, model_id: str) -> Path:
    """Where MLflow keeps a model's files."""
    [folder] = (home.mlflow_database.parent / "artifacts").rglob(f"{model_id}/artifacts")
    return folder


def plant(home: ProjectPaths, model_id: str, marker: Path) -> None:
    """Let the custom model write a file when it is loaded."""
    script = folder_of(home, model_id) / "serving_script.py"
    script.write_text(f"open({str(marker)!r}, 'w').close()\n" + script.read_text())


def test_a_custom_model_holds_exactly_the_files_of_its_basic_version(home: ProjectPaths, pairs: ModelPairs):
    # given
    pair = served(pairs)

    # when
    inside = digest_of_files(folder_of(home, pair.custom.model_id) / "artifacts" / "model")

    # then
    assert inside == pair.basic.tags[FILES_DIGEST]


def test_a_custom_model_takes_the_features_of_its_basic_version_after_the_configured_ones_have_changed(
    home: ProjectPaths, pairs: ModelPairs, without_magic: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: it has to be wrapped again
    before = served(pairs).custom
    connect(home.mlflow_uri, home.locks).delete_logged_model_tag(before.model_id, CACHE_KEY)
    monkeypatch.setenv("MARVEL_CONFIG", str(without_magic))

    # when
    succeeded(run_graph(home, select="custom_model_version"))

    # then
    after = served(pairs).custom
    assert after.model_id != before.model_id
    info = mlflow.models.get_model_info(f"models:/{after.model_id}")
    assert "Magic" in info.signature.inputs.input_names()


def test_a_custom_model_that_was_changed_scores_no_row(home: ProjectPaths, pairs: ModelPairs, tmp_path: Path):
    # given
    marker = tmp_path / "marker"
    plant(home, served(pairs).custom.model_id, marker)

    # when
    result = run_job(home, "score", "score_table", table="marvel_dev.marvel_characters.raw_characters")

    # then
    assert CHANGED in failure_of(result)
    assert not marker.exists()
    mlflow.pyfunc.load_model(f"models:/{served(pairs).custom.model_id}")
    assert marker.exists(), "the planted model is harmless, so that this test can't fail"


def test_serve_loads_nothing_that_was_changed(
    home: ProjectPaths, pairs: ModelPairs, tmp_path: Path, marvel_here: Callable[..., CompletedProcess[str]]
):
    # given
    marker = tmp_path / "marker"
    plant(home, served(pairs).custom.model_id, marker)

    # when
    done = marvel_here("serve", "--port", str(free_port()))

    # then
    assert done.returncode != 0
    assert CHANGED in done.stderr
    assert not marker.exists()


def test_a_champion_that_was_changed_refuses_the_challenger_with_the_reason(
    home: ProjectPaths, pairs: ModelPairs, templates: Templates
):
    # given
    before = served(pairs)
    with (folder_of(home, before.basic.model_id) / "model.skops").open("ab") as file:
        file.write(os.urandom(8))

    # when
    result = run_graph(home, templates.source(GOOD))

    # then
    assert result.success
    [reason] = observed(result)
    assert "can't be loaded: models:/" in reason
    assert "the files are not those that were logged" in reason
    assert served(pairs) == before


def test_the_graph_works_where_mlflow_may_unpickle_nothing(
    home: ProjectPaths, templates: Templates, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

    # when
    result = run_graph(home, templates.source(FAIR))

    # then
    assert result.success, failure_of(result)
