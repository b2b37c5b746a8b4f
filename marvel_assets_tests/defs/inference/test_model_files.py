"""What is loaded is what was logged: files that were changed in between are noticed, and nothing of them runs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import mlflow
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.resources import profile_resources
from marvel_assets.model.safe_loading import digest_of_files
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets.tracking.artifacts import FILES_DIGEST
from marvel_assets.tracking.mlflow_resource import CACHE_KEY
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.graph import failure_of, observed, run_graph, run_job, succeeded
from marvel_assets_tests.homes import Templates
from marvel_assets_tests.servers.starting import free_port

pytestmark = pytest.mark.integration

FAIR, GOOD = 0.1, 0.0
"""Shares of training rows with the wrong label."""
CHANGED = "the files are not those that were logged as"


@pytest.fixture
def pairs(given_runs: Callable[..., ProjectPaths], small_project: Path) -> ModelPairs:
    """A home in which version 1 is served."""
    return profile_resources(given_runs(FAIR))["unity_catalog"].pairs(ProjectConfig.from_yaml(small_project))


def folder_of(home: ProjectPaths, model_id: str) -> Path:
    """Where MLflow keeps a model's files."""
    [folder] = (home.mlflow_database.parent / "artifacts").rglob(f"{model_id}/artifacts")
    return folder


def test_a_custom_model_holds_exactly_the_files_of_its_basic_version_after_the_configured_features_have_changed(
    home: ProjectPaths, pairs: ModelPairs, without_magic: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: it has to be wrapped again
    before = pairs.current().custom
    connect(home.mlflow_uri, home.locks).delete_logged_model_tag(before.model_id, CACHE_KEY)
    monkeypatch.setenv("MARVEL_CONFIG", str(without_magic))

    # when
    succeeded(run_graph(home, select="custom_model_version"))

    # then
    basic, custom = pairs.current()
    assert custom.model_id != before.model_id
    info = mlflow.models.get_model_info(f"models:/{custom.model_id}")
    assert "Magic" in info.signature.inputs.input_names()
    inside = folder_of(home, custom.model_id) / "artifacts" / "model"
    assert digest_of_files(inside) == basic.tags[FILES_DIGEST]


def test_a_custom_model_is_scored_with_after_another_python_has_loaded_it_in_place(
    home: ProjectPaths, pairs: ModelPairs
):
    # given
    bytecode = folder_of(home, pairs.current().custom.model_id) / "__pycache__"
    bytecode.mkdir(exist_ok=True)
    (bytecode / "serving_script.cpython-399.pyc").write_bytes(os.urandom(8))

    # then
    succeeded(run_job(home, "score", "score_table", table="marvel_dev.marvel_characters.raw_characters"))


def test_a_custom_model_that_was_changed_is_neither_scored_with_nor_served(
    home: ProjectPaths, pairs: ModelPairs, tmp_path: Path, marvel_here: Callable[..., CompletedProcess[str]]
):
    # given: it would write a file when it is loaded
    marker, model_id = tmp_path / "marker", pairs.current().custom.model_id
    script = folder_of(home, model_id) / "serving_script.py"
    script.write_text(f"open({str(marker)!r}, 'w').close()\n" + script.read_text())

    # when
    result = run_job(home, "score", "score_table", table="marvel_dev.marvel_characters.raw_characters")
    done = marvel_here("serve", "--port", str(free_port()))

    # then
    assert CHANGED in failure_of(result)
    assert done.returncode != 0
    assert CHANGED in done.stderr
    assert not marker.exists()
    mlflow.pyfunc.load_model(f"models:/{model_id}")
    assert marker.exists(), "the planted model is harmless, so that this test can't fail"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda files: (files / "model.skops").write_bytes(os.urandom(8)), "the files are not those that were logged"),
        (shutil.rmtree, ""),
    ],
    ids=["changed", "gone"],
)
def test_a_champion_that_can_not_be_loaded_refuses_the_challenger_with_the_reason(
    home: ProjectPaths, pairs: ModelPairs, templates: Templates, spoil: Callable[[Path], object], problem: str
):
    # given
    before = pairs.current()
    spoil(folder_of(home, before.basic.model_id))

    # when
    result = succeeded(run_graph(home, templates.source(GOOD)))

    # then
    [reason] = observed(result)
    assert "no comparison with the champion: basic version 1 can't be scored: " in reason
    assert problem in reason
    assert "set gate.mode to report" in reason
    assert pairs.current() == before


def test_the_graph_works_where_mlflow_may_unpickle_nothing(
    home: ProjectPaths, templates: Templates, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

    # when
    result = run_graph(home, templates.source(FAIR))

    # then
    assert result.success, failure_of(result)
